/** A keyhole that serves: listening, renewing its certificate, and ending in good order. */
import { randomBytes, randomUUID } from 'node:crypto'
import type { Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { buildApp } from './app.ts'
import type { Config } from './config.ts'
import { drainable } from './http/drain.ts'
import type { TlsRenewal } from './http/tls.ts'
import { readTlsPair, renewTls, TlsFileError } from './http/tls.ts'
import { buildManagement } from './routes/management.ts'
import { starting } from './starting.ts'
import type { Surroundings, Wired } from './wire.ts'
import { wire } from './wire.ts'

export interface Serving {
  /** Origin of the service. */
  readonly url: string
  /** Origin of the management port. */
  readonly managementUrl: string
  readonly wired: Wired
  readonly tls: TlsRenewal | undefined
  /** Not ready at once; what is in flight has until the drain bound; then nothing is left open. */
  stop(): Promise<void>
}

/** @throws StartError that says what to do. */
export async function serve(config: Config, surroundings: Surroundings): Promise<Serving> {
  const { clock, log } = surroundings
  const files = config.tls
  const pair = files && (await starting('KEYHOLE_TLS_CERT_FILE', () => readTlsPair(files, clock.now()), TlsFileError))
  const wired = await wire(config, surroundings)
  let draining = false
  wired.health.watch(() => ({ name: 'serving', ok: !draining, state: draining ? 'draining' : 'ok', required: true }))

  const app = await buildApp(wired.services, {
    ...(pair !== undefined && {
      tls: { cert: pair.cert, key: pair.key, minVersion: config.KEYHOLE_TLS_MIN_VERSION },
    }),
    maxHeaderBytes: config.KEYHOLE_MAX_HEADER_BYTES,
    maxUrlBytes: config.KEYHOLE_MAX_URL_BYTES,
    replyTimeoutMs: config.KEYHOLE_REPLY_TIMEOUT_MS,
    waitTimeoutMs: config.KEYHOLE_DEADLINE_MS,
    headersTimeoutMs: 5_000,
    requestTimeoutMs: 10_000,
    keepAliveTimeoutMs: 65_000,
    maxRequestsPerSocket: 10_000,
    maxConnections: config.KEYHOLE_MAX_CONNECTIONS,
  })
  const drain = drainable(app.server)
  const management = await buildManagement(wired.health, wired.metrics)
  const tls =
    files === undefined || pair === undefined
      ? undefined
      : renewTls({
          files,
          initial: pair,
          server: app.server as unknown as Server,
          minVersion: config.KEYHOLE_TLS_MIN_VERSION,
          clock,
          everyMs: config.KEYHOLE_RENEWAL_CHECK_MS,
          renewed: ({ expiresAt }) =>
            log.info('serving certificate renewed', { expires: new Date(expiresAt).toISOString() }),
          failed: (problem) => log.error('serving certificate not renewed', { problem }),
        })
  if (tls !== undefined) {
    wired.metrics.gauge(
      'keyhole_certificate_expiry_seconds',
      'End of validity of the serving certificate, as a Unix time.',
      () => tls.expiresAt() / 1000,
    )
  }

  /** Lets what is in flight end; then nothing is left open, and the audit log has its stop. */
  async function end(): Promise<void> {
    await app.close()
    tls?.stop()
    await wired.close()
    // Nobody's answer is worth waiting for there, and half a request would never end.
    const closing = management.close()
    management.server.closeAllConnections()
    await closing
  }

  let stopped: Promise<void> | undefined
  let managementUrl: string
  let url: string
  try {
    managementUrl = await listen(management, 'KEYHOLE_MANAGEMENT_LISTEN', config, 'http')
    url = await listen(app, 'KEYHOLE_LISTEN', config, tls === undefined ? 'http' : 'https')
  } catch (error) {
    await end()
    throw error
  }
  if (tls === undefined) log.warn('serving plain HTTP: tokens and secrets cross the network in the clear')
  log.info('serving', { url, managementUrl, policy: wired.policy.current().hash })
  // Asked without waiting for it: a Vault that is away must not keep keyhole from starting.
  void wired.checkKeys()
  void wired.takeSurvey()

  return {
    url,
    managementUrl,
    wired,
    tls,
    stop: () => (stopped ??= stop()),
  }

  async function stop(): Promise<void> {
    draining = true
    log.info('draining')
    const cancel = clock.after(config.KEYHOLE_DRAIN_MS, () => {
      log.warn('the drain bound has passed: what is still in flight is cut off')
      drain.cut()
    })
    wired.halt()
    drain.begin()
    await end()
    cancel()
    log.info('stopped')
  }
}

async function listen(
  app: FastifyInstance,
  setting: 'KEYHOLE_LISTEN' | 'KEYHOLE_MANAGEMENT_LISTEN',
  config: Config,
  scheme: string,
): Promise<string> {
  const { host, port } = config[setting]
  await starting(setting, () => app.listen({ host, port }))
  const address = app.server.address() as AddressInfo
  return `${scheme}://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`
}

/** The randomness of a real process. */
export const realRandomness: Pick<Surroundings, 'random' | 'requestId'> = {
  random: (bytes) => randomBytes(bytes),
  requestId: () => randomUUID(),
}

/** A keyhole that serves: listening, renewing its certificate, and ending in good order. */
import { randomBytes, randomUUID } from 'node:crypto'
import type { Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { buildApp } from './app.ts'
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import type { Component } from './health.ts'
import { drainable } from './http/drain.ts'
import type { TlsPair, TlsRenewal } from './http/tls.ts'
import { readTlsPair, renewTls, TlsFileError } from './http/tls.ts'
import { ownFiles } from './own-files.ts'
import { openShown } from './own-state.ts'
import { buildManagement } from './routes/management.ts'
import { FILE_FIXES, starting } from './starting.ts'
import type { Surroundings } from './surroundings.ts'
import type { Waiting } from './waiting.ts'
import { waitingRoom } from './waiting.ts'
import type { Wired } from './wire.ts'
import { wire } from './wire.ts'

export interface Serving {
  /** Origin of the service. */
  readonly url: string
  /** Origin of the management port. */
  readonly managementUrl: string
  readonly wired: Wired
  readonly tls: TlsRenewal | undefined
  /**
   * Not ready at once; what is in flight has until the drain bound; then nothing is left open. Told by `stopping`, it
   * gives clients a part of that to come with another request: they know nothing of it, and whoever disposes of a keyhole
   * of their own has no such clients.
   */
  stop(): Promise<void>
}

/** Of the drain bound, for the next request on each kept-alive connection: whoever comes last still has time for an answer. */
const LINGER_SHARE = 1 / 5

/**
 * The management port first: whoever looks there sees what the start waits for.
 * @throws StartError that says what to do; Stopped, when told to while it waits for its files.
 */
export async function serve(config: Config, surroundings: Surroundings): Promise<Serving> {
  const { clock, log, stopping = new AbortController().signal } = surroundings
  const shown = openShown(config, surroundings)
  const waiting = waitingRoom({ clock, log, signal: stopping })
  let phase: Phase = 'starting'
  shown.health.watch(() => servingAs(phase, waiting))
  await using opened = new AsyncDisposableStack()
  const management = await buildManagement(shown.health, shown.metrics)
  opened.defer(() => atOnce(management))
  const managementUrl = await listen(management, 'KEYHOLE_MANAGEMENT_LISTEN', config, 'http')
  log.debug('probes are answered', { managementUrl })

  const [pair, files] = await Promise.all([tlsPair(config, clock, waiting), ownFiles(config, clock, waiting)])
  const wired = await wire(config, surroundings, files, shown)
  opened.defer(wired.close)
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
  const tls =
    config.tls === undefined || pair === undefined
      ? undefined
      : renewTls({
          files: config.tls,
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
      'keyhole_certificate_expiry_timestamp_seconds',
      'End of validity of the serving certificate, as a Unix time.',
      () => tls.expiresAt() / 1000,
    )
  }

  // Lets what is in flight end; behind it comes the rest, and the audit log has its stop.
  opened.defer(async () => {
    await app.close()
    tls?.stop()
  })
  const url = await listen(app, 'KEYHOLE_LISTEN', config, tls === undefined ? 'http' : 'https')
  const serving = opened.move()
  phase = 'serving'
  if (tls === undefined) log.warn('serving plain HTTP: tokens and secrets cross the network in the clear')
  log.info('serving', { url, managementUrl, policy: wired.policy.current().hash })
  // Asked without waiting for it: an API server or a Vault that is away must not keep keyhole from starting.
  void wired.greet()
  void wired.checkKeys()
  void wired.takeSurvey()

  let stopped: Promise<void> | undefined
  return {
    url,
    managementUrl,
    wired,
    tls,
    stop: () => (stopped ??= stop()),
  }

  async function stop(): Promise<void> {
    phase = 'draining'
    log.info('draining')
    const cancel = clock.after(config.KEYHOLE_DRAIN_MS, () => {
      log.warn('the drain bound has passed: what is still in flight is cut off')
      drain.cut()
    })
    wired.halt()
    await drain.begin(clock, stopping.aborted ? config.KEYHOLE_DRAIN_MS * LINGER_SHARE : 0)
    await serving.disposeAsync()
    cancel()
    log.info('stopped')
  }
}

type Phase = 'starting' | 'serving' | 'draining'

function servingAs(phase: Phase, waiting: Waiting): Component {
  const pending = waiting.pending()
  const state = pending.length > 0 ? `waits for ${pending.toSorted().join(', ')}` : phase
  return { name: 'serving', ok: phase === 'serving', state: phase === 'serving' ? 'ok' : state, required: true }
}

/** Undefined where none is configured. */
async function tlsPair({ tls }: Config, clock: Clock, waiting: Waiting): Promise<TlsPair | undefined> {
  const setting = 'KEYHOLE_TLS_CERT_FILE'
  const file = { setting, fix: FILE_FIXES[setting], problem: TlsFileError }
  return tls && (await waiting.until(file, () => readTlsPair(tls, clock.now())))
}

/** Nobody's answer is worth waiting for there, and half a request would never end. */
async function atOnce(management: FastifyInstance): Promise<void> {
  const closing = management.close()
  management.server.closeAllConnections()
  await closing
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

/**
 * Where every part is handed what it needs. Nothing below knows where it runs; the compiler proves here that the clients of
 * external/ fit the ports that the services declare.
 */
import type { Services } from './app.ts'
import type { Config } from './config.ts'
import type { Health } from './health.ts'
import { refusalLog } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { OwnFiles } from './own-files.ts'
import type { Shown } from './own-state.ts'
import { rotationCounter, showOwnState } from './own-state.ts'
import type { PolicySource } from './policy/current.ts'
import type { Rounds } from './rounds.ts'
import { openRounds } from './rounds.ts'
import type { TransitKeys } from './services/transit-keys.ts'
import type { Surroundings } from './surroundings.ts'
import { wireAudit } from './wire-audit.ts'
import { wireDoor } from './wire-door.ts'
import { wirePolicy } from './wire-policy.ts'
import { wireReading } from './wire-reading.ts'
import { wireRotation } from './wire-rotation.ts'
import { wireUpstreams } from './wire-upstreams.ts'

export interface Wired extends Omit<Rounds, 'stop'> {
  readonly services: Services
  readonly health: Health
  readonly metrics: Metrics
  readonly policy: PolicySource
  readonly keys: TransitKeys
  /** Lets a rotation end what it has begun, and no more. */
  halt(): void
  /** Ends what runs by itself, lets upstream calls end, and closes the audit log with its last record. */
  close(): Promise<void>
}

/** @throws StartError: a sink that fails, or a policy directory that is gone again. */
export async function wire(config: Config, surroundings: Surroundings, files: OwnFiles, shown: Shown): Promise<Wired> {
  const { clock, log, random, requestId } = surroundings
  const { health, metrics } = shown
  const tellRefusal = refusalLog(log, clock)
  const policy = await wirePolicy(config, surroundings)
  // Last of what can fail, so that a start that fails leaves no record of one.
  const audit = await wireAudit(config, surroundings, metrics, policy).catch((error: unknown) => {
    policy.close()
    throw error
  })
  const upstreams = wireUpstreams(config, files, surroundings, shown)
  const { kubernetes, transit, rotation, logins, sessions } = upstreams
  const { reading, keys } = wireReading(config, { kubernetes, transit, sessions, clock, log })
  const rotator = config.serves.rotate
    ? wireRotation(config, {
        kubernetes,
        transit: rotation,
        sessions,
        logins,
        log: audit,
        clock,
        policy: policy.current,
        newId: requestId,
        holder: random(16).toString('hex'),
        failed: tellRefusal,
        rotated: rotationCounter(metrics),
      })
    : undefined
  const { door, requests, reviews } = wireDoor(config, { kubernetes, audit, policy, clock })
  const { stop, ...rounds } = openRounds(config, { clock, log, policy, upstreams, keys, rotator })
  showOwnState(shown, config, { clock, audit, policy, keys, requests, reviews, rotator })
  return {
    services: {
      door,
      reading: config.serves.read ? reading : undefined,
      rotating: rotator,
      turnstile: requests,
      clock,
      refusedUnauthenticated: audit.refusedUnauthenticated,
      refused(error, id) {
        metrics.refused(error.code)
        tellRefusal(error, id)
      },
      replied: metrics.replied,
      requestId,
    },
    health,
    metrics,
    policy,
    keys,
    ...rounds,
    halt: () => rotator?.rotations.halt(),
    async close() {
      stop()
      policy.close()
      await rotator?.rotations.close()
      await upstreams.close()
      await audit.close()
    },
  }
}

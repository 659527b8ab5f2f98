/** The parts of a rotator, put together. It is handed faces of Kubernetes and Vault that cannot decrypt. */
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import type { KeyholeError } from './errors.ts'
import type { Policy } from './policy/in-force.ts'
import { keysWithSecrets } from './policy/secrets-under.ts'
import type { Rotating } from './routes/rotation.ts'
import { advancer } from './services/rotation/advance.ts'
import { allKeysRotator } from './services/rotation/all-keys.ts'
import { closer } from './services/rotation/close.ts'
import type { EffectLog } from './services/rotation/effects.ts'
import { effects as effectsOf } from './services/rotation/effects.ts'
import { foreseer } from './services/rotation/foresee.ts'
import { inspector } from './services/rotation/inspect.ts'
import { intender } from './services/rotation/intend.ts'
import { journal, MAX_SKEW_MS } from './services/rotation/journal.ts'
import { transitKeyring } from './services/rotation/keys.ts'
import { ledger as ledgerOf } from './services/rotation/ledger.ts'
import { mover } from './services/rotation/move.ts'
import { patience } from './services/rotation/patience.ts'
import { gate as gateOf } from './services/rotation/pool.ts'
import type { Leases, SecretStore, TransitRotation } from './services/rotation/ports.ts'
import { minimumKeeper } from './services/rotation/raise.ts'
import { restorer } from './services/rotation/restore.ts'
import { retirer } from './services/rotation/retire.ts'
import { rewrapper } from './services/rotation/rewrap.ts'
import { keyRotator } from './services/rotation/rotate-key.ts'
import { rotations } from './services/rotation/run.ts'
import type { Survey } from './services/rotation/survey.ts'
import { surveyor } from './services/rotation/survey.ts'
import { verifier } from './services/rotation/verify.ts'
import { secretWriter } from './services/rotation/write-secret.ts'
import type { VaultLogins, VaultSessions } from './services/vault-sessions.ts'

export interface RotatorParts {
  readonly kubernetes: SecretStore & Leases
  readonly transit: TransitRotation
  readonly sessions: VaultSessions
  readonly logins: VaultLogins
  readonly log: EffectLog
  readonly clock: Clock
  readonly policy: () => Policy
  readonly newId: () => string
  /** Names this process among all that ever were. */
  readonly holder: string
  /** Told why a key went no further, for the log. */
  readonly failed: (failure: KeyholeError, rotation: string) => void
  /** Told of every rotation that came to its end, for the metrics. */
  readonly rotated: (outcome: RotationOutcome) => void
}

export const ROTATION_OUTCOMES = ['complete', 'incomplete'] as const
export type RotationOutcome = (typeof ROTATION_OUTCOMES)[number]

export type RotatorSettings = Pick<
  Config,
  | 'KEYHOLE_REALM'
  | 'KEYHOLE_VAULT_ROTATE_ROLE'
  | 'KEYHOLE_ROTATION_LEASE'
  | 'KEYHOLE_LEASE_MS'
  | 'KEYHOLE_ROTATION_BUDGET_MS'
  | 'KEYHOLE_ROTATION_PARALLEL'
  | 'KEYHOLE_REPLY_TIMEOUT_MS'
  | 'KEYHOLE_DRAIN_MS'
  | 'KEYHOLE_DEADLINE_MS'
>

export interface Rotator extends Rotating {
  readonly survey: Survey
  /** When a rotation last ended complete, in epoch ms; undefined while none is known of. */
  lastSuccessMs(): number | undefined
  /** Asks the Lease, which also remembers what other processes did. @throws KeyholeError LEASE_UNUSABLE, KUBERNETES_UNAVAILABLE. */
  recall(signal: AbortSignal): Promise<void>
}

/** A ledger that is asked for again and again costs one look at all Secrets in so long, or for each rotation. */
const SURVEY_KEEP_MS = 10_000

export function wireRotation(settings: RotatorSettings, parts: RotatorParts): Rotator {
  const { kubernetes, transit, sessions, logins, clock, policy } = parts
  const role = settings.KEYHOLE_VAULT_ROTATE_ROLE
  const halting = new AbortController()
  const halt = halting.signal
  const patiently = patience(clock)
  // One each for what rotates, for dry runs and for surveys: a write that hangs holds up nobody who only looks.
  const gated = () => gateOf(settings.KEYHOLE_ROTATION_PARALLEL)
  const gate = gated()
  const effects = effectsOf(parts.log, clock)
  const inspect = inspector(kubernetes, patiently)
  const rewrap = rewrapper({ transit, sessions, patiently, realm: settings.KEYHOLE_REALM, role })
  const keys = transitKeyring({ transit, sessions, logins, clock, patiently, role })
  const verify = verifier({ inspect, rewrap, gate, halt })
  const [namespace = '', name = ''] = settings.KEYHOLE_ROTATION_LEASE.split('/')
  const survey = surveyor({
    keys,
    inspect,
    clock,
    gate: gated(),
    inForce: () => keysWithSecrets(policy()),
    policyHash: () => policy().hash,
    keepMs: SURVEY_KEEP_MS,
    ending: halt,
  })
  const writeSecret = secretWriter({ secrets: kubernetes, effects, gate, halt })
  const minimum = minimumKeeper({ keys, inspect, effects, patiently, gate })
  const rotateKey = keyRotator({
    intend: intender({ keys, effects, clock }),
    restore: restorer(minimum.restoreIfFallen),
    advance: advancer({ keys, effects, halt }),
    move: mover({ inspect, rewrap, writeSecret, clock, gate, halt }),
    verify,
    retire: retirer({ keys, verify, minimum, clock, halt, policyHash: () => policy().hash }),
    close: closer(clock),
  })
  const lease = journal({
    leases: kubernetes,
    name: { namespace, name },
    clock,
    holder: parts.holder,
    durationMs: settings.KEYHOLE_LEASE_MS,
    skewMs: MAX_SKEW_MS,
  })
  const rotateAll = allKeysRotator({ rotateKey, clock, halt, failed: parts.failed })
  let lastSuccessMs: number | undefined
  return {
    survey,
    lastSuccessMs: () => lastSuccessMs,
    async recall(signal) {
      const { last } = (await lease.look(signal)).state
      // Whoever may edit Leases wrote it: what ended tomorrow would hide for long that nothing is rotated.
      if (last === undefined || last.finishedAtMs > clock.now() + MAX_SKEW_MS) return
      if (isComplete(last.keys)) lastSuccessMs = Math.max(lastSuccessMs ?? 0, last.finishedAtMs)
    },
    replyTimeoutMs: settings.KEYHOLE_ROTATION_BUDGET_MS + settings.KEYHOLE_REPLY_TIMEOUT_MS,
    rotations: rotations({
      journal: lease,
      async rotateAll(claim, work) {
        const reports = await rotateAll(claim, work)
        if (isComplete(reports)) lastSuccessMs = clock.now()
        parts.rotated(isComplete(reports) ? 'complete' : 'incomplete')
        return reports
      },
      foresee: foreseer({ keys, inspect, rewrap, clock, gate: gated() }),
      keys,
      survey,
      // The other half of the deadline is for the review of the token and for the Lease.
      ledger: ledgerOf({ survey, clock, patienceMs: settings.KEYHOLE_DEADLINE_MS / 2 }),
      effects,
      clock,
      newId: parts.newId,
      failed: parts.failed,
      budgetMs: settings.KEYHOLE_ROTATION_BUDGET_MS,
      drainMs: settings.KEYHOLE_DRAIN_MS,
      halting,
    }),
  }
}

function isComplete(keys: readonly { readonly complete: boolean }[]): boolean {
  return keys.every(({ complete }) => complete)
}

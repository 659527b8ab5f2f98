/**
 * Secrets that have left the policy, and others that rotate the same keys. Two installations with a Lease each do not know
 * of one another, and `exclusive: true` lets each retire what the other's Secrets still need. What both touch is the key: a
 * version that was made after the last rotation on this Lease was made by somebody else.
 */
import type { KeyWithSecrets } from '../policy/secrets-under.ts'
import { droppedOf } from '../services/rotation/dropped.ts'
import type { TransitKeyInfo } from '../services/rotation/ports.ts'
import type { Checking, Finding } from './finding.ts'
import { counted, ok, skipped, toFix, wait } from './finding.ts'
import type { Remembered } from './lease.ts'
import type { Checked } from './policy.ts'
import { pathOf } from './policy.ts'
import type { CheckParts } from './ports.ts'
import type { Infos } from './transit-keys.ts'

export async function* rotators(
  { config, clock }: CheckParts,
  policy: Checked | undefined,
  remembered: Remembered | undefined,
  infos: Infos,
): Checking {
  if (!config.serves.rotate) return
  if (policy === undefined || remembered === undefined) {
    yield* skipped(policy === undefined ? 'policy' : 'lease', 'other-rotators')
    return
  }
  for (const key of policy.keys) {
    yield* dropped(key, remembered, clock.now())
    const info = infos.get(key.transitKey.name)
    yield info === undefined
      ? {
          check: 'other-rotators',
          status: 'skip',
          detail: `not looked at before ${pathOf(key.transitKey)} can be read`,
        }
      : foreign(key, remembered, info, config.KEYHOLE_ROTATION_LEASE)
  }
}

function* dropped({ transitKey, secrets }: KeyWithSecrets, { state }: Remembered, nowMs: number): Generator<Finding> {
  const count = droppedOf(state, transitKey.name, secrets, nowMs)
  if (count === 0 || typeof count !== 'number') return
  yield wait(
    'key-versions',
    `${counted(count, 'Secret')} under ${pathOf(transitKey)} left the policy lately: no old version is retired for a week`,
    'if that was not meant, an older policy is in force, as after a rollback: put the grants back',
  )
}

/** Between the clocks of Vault and of whoever wrote the Lease. */
const MARGIN_MS = 60_000

function foreign(
  key: KeyWithSecrets,
  { state, isNew, isHeld }: Remembered,
  info: TransitKeyInfo,
  lease: string,
): Finding {
  const check = 'other-rotators'
  const { name } = key.transitKey
  const { latestVersion, createdAtMs } = info
  const path = pathOf(key.transitKey)
  if (isHeld || state.intents.some((intent) => intent.key === name)) {
    return ok(check, `${path}: a rotation is under way, or unfinished`)
  }
  const remedy = `if another installation of keyhole rotates it, let both name one Lease: KEYHOLE_ROTATION_LEASE=${lease}`
  const isKnown = state.known.some((one) => one.key === name)
  if (!isKnown) {
    if (latestVersion === 1) return ok(check, `${path} has its first version`)
    const detail = `${path} has ${latestVersion} versions, of which the Lease ${lease} knows nothing${isNew ? ': nothing was ever rotated on it' : ''}`
    return wait(check, detail, remedy)
  }
  const madeAtMs = createdAtMs.get(latestVersion) ?? 0
  if (state.last === undefined || madeAtMs <= state.last.finishedAtMs + MARGIN_MS) {
    return ok(check, `${path}: version ${latestVersion} was made on the Lease ${lease}`)
  }
  const made = new Date(madeAtMs).toISOString()
  return toFix(
    check,
    `${path}: version ${latestVersion} was made at ${made}, by none of the rotations on the Lease ${lease}`,
    `${remedy}. If it was made by hand or by auto_rotate_period, keyhole rotate --rewrap takes it up`,
  )
}

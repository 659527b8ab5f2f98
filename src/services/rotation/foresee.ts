/**
 * What a rotation would do, by the same planners, and nothing of it done: keys and Secrets are read, and each ciphertext is
 * rewrapped in Vault with the result thrown away, so that what would be blocked is found out now.
 */
import type { Clock } from '../../clock.ts'
import { inHand } from './in-hand.ts'
import type { Inspect } from './inspect.ts'
import { isBlocked, isLocated } from './inspect.ts'
import type { Keys } from './keys.ts'
import { retirementOf, targetOf } from './plan.ts'
import type { Gate } from './pool.ts'
import type { Rewrap } from './rewrap.ts'
import type { Wanted } from './wanted.ts'

/** @param dropped Secrets of the key that left the policy lately, as the Lease remembers. */
export type Foresee = (wanted: Wanted, dropped: number | 'unknown', signal: AbortSignal) => Promise<void>

export interface ForeseeOptions {
  readonly keys: Keys
  readonly inspect: Inspect
  readonly rewrap: Rewrap
  readonly clock: Clock
  readonly gate: Gate
}

export function foreseer({ keys, inspect, rewrap, clock, gate }: ForeseeOptions): Foresee {
  return async function foresee(wanted, dropped, signal) {
    const { transitKey, secrets, draft } = wanted
    const info = await keys.read(transitKey, signal)
    const { from, target, advance } = targetOf(wanted, info, clock.now())
    draft.stage('intend', { from, to: target })
    Object.assign(draft.known, { from, to: target, advance })
    let done = 0
    for await (const found of inHand(secrets, gate, (secret) => inspect(secret, signal))) {
      for (const one of found) if (isBlocked(one)) draft.blocked(one)
      for (const { one, ...outcome } of await rewrap(transitKey, found.filter(isLocated), signal)) {
        if ('blocked' in outcome) draft.blocked({ ...one, blocked: outcome.blocked })
        else if ((one.version ?? target) >= target) draft.current(one.secret, one.gitops)
        else if (one.immutable) draft.blocked({ ...one, blocked: 'IMMUTABLE' })
        else draft.rewrapped(one.secret, one.gitops)
      }
      done += found.length
      draft.progress('move', done)
    }
    const { minDecryptionVersion: before } = info
    const { blocked, left } = draft.counts()
    const plan = retirementOf({
      wanted,
      target,
      minDecryptionVersion: before,
      // As it will be once every Secret is moved.
      lowest: target,
      blocked,
      left,
      gitops: draft.gitops(),
      policyChanged: false,
      dropped,
    })
    draft.known.minDecryptionVersion = { before, after: 'why' in plan ? before : plan.raiseTo }
    draft.known.retirement =
      'why' in plan
        ? { done: false, ...plan }
        : { done: false, why: 'dry-run', detail: `min_decryption_version would be raised to ${plan.raiseTo}.` }
  }
}

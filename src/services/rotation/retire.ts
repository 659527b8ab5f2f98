/**
 * Verified -> Retired. Raises min_decryption_version where nothing can need the versions below any more: only ever up, and
 * never where something fell below it before.
 */
import type { Clock } from '../../clock.ts'
import { pause } from '../../clock.ts'
import { droppedOf } from './dropped.ts'
import type { Keys } from './keys.ts'
import type { Retirement } from './plan.ts'
import { RAISED, retirementOf } from './plan.ts'
import type { Minimum, RetirementOutcome } from './raise.ts'
import { raisedEarlier } from './raise.ts'
import type { Verified, Verify } from './verify.ts'

declare const retired: unique symbol

export interface Retired extends RetirementOutcome {
  readonly [retired]: true
  readonly verified: Verified
}

/** @throws KeyholeError; HalfRetired once the minimum is raised. */
export type Retire = (verified: Verified) => Promise<Retired>

export interface RetireOptions {
  readonly keys: Keys
  readonly verify: Verify
  readonly minimum: Minimum
  readonly clock: Clock
  readonly halt: AbortSignal
  /** Of the policy in force now. */
  readonly policyHash: () => string
}

/** How long `retire: now` waits for whoever wrote at the same time: no next rotation will look. */
const LOOK_AGAIN_MS = 60_000

export function retirer({ keys, verify, minimum, clock, halt, policyHash }: RetireOptions): Retire {
  return async function retire(verified) {
    const { fellBack } = verified.moved.advanced.restored
    return { verified, ...(fellBack ?? (await raiseUnlessWithheld(verified))) } as Partial<Retired> as Retired
  }

  async function raiseUnlessWithheld(verified: Verified): Promise<RetirementOutcome> {
    const { intended } = verified.moved.advanced.restored
    const { wanted, claim, info } = intended
    const plan = await planOf(verified)
    if ('why' in plan) {
      const wasRaised = raisedEarlier(intended, info.minDecryptionVersion) !== undefined
      return { minimum: intended.minimum, retirement: wasRaised ? RAISED : { done: false, ...plan } }
    }
    const { minDecryptionVersion: now } = await keys.read(wanted.transitKey, claim.signal)
    // Only ever up: Vault would take a lower one, too, and revive a compromised version.
    if (plan.raiseTo > now) {
      // Who raises it has to look at every Secret afterwards, and a process that ends may not come to that.
      halt.throwIfAborted()
      return await minimum.raise(intended, now, plan.raiseTo)
    }
    const retirement = { done: false, why: 'nothing-older', detail: `Versions from ${now} on are usable.` } as const
    const outcome = { minimum: { ...intended.minimum, after: now }, retirement }
    // An earlier attempt's raise, that has only now taken effect.
    const late = raisedEarlier(intended, now)
    return late === undefined ? outcome : await minimum.lookAfter(intended, late, outcome)
  }

  /** With `retire: now`: what still holds a minute later. */
  async function planOf(verified: Verified): Promise<Retirement> {
    const { wanted, claim } = verified.moved.advanced.restored.intended
    const plan = planNow(verified)
    if ('why' in plan || wanted.retire !== 'now') return plan
    await pause(clock, LOOK_AGAIN_MS, AbortSignal.any([claim.signal, halt]))
    const again = await verify(verified.moved)
    for (const secret of again.astray) wanted.tally.contended(secret)
    return planNow(again)
  }

  function planNow({ moved, lowest }: Verified): Retirement {
    const { wanted, claim, plan, info } = moved.advanced.restored.intended
    const { transitKey, tally, secrets, rotating } = wanted
    const { blocked, left } = tally.counts()
    return retirementOf({
      wanted,
      target: plan.target,
      minDecryptionVersion: info.minDecryptionVersion,
      lowest,
      blocked,
      left,
      gitops: tally.gitops(),
      policyChanged: policyHash() !== rotating.policyHash,
      dropped: droppedOf(claim.state(), transitKey.name, secrets, clock.now()),
    })
  }
}

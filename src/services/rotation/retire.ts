/**
 * Verified -> Retired. Raises min_decryption_version where nothing can need the versions below any more, and looks once
 * more after it did: what fell below meanwhile does not open, so the old minimum is put back, at once. The only other
 * writer of the Transit key.
 */
import type { Clock } from '../../clock.ts'
import { pause } from '../../clock.ts'
import { rotationRefusal } from '../upstream.ts'
import { droppedOf } from './dropped.ts'
import type { Effects } from './effects.ts'
import { inHand } from './in-hand.ts'
import type { Inspect } from './inspect.ts'
import { isLocated } from './inspect.ts'
import type { Intended } from './intend.ts'
import { withIntent } from './journal-state.ts'
import type { Keys } from './keys.ts'
import type { Patience } from './patience.ts'
import { isTransient } from './patience.ts'
import type { Retirement } from './plan.ts'
import { isRetiredAsAsked, RAISED, retirementOf } from './plan.ts'
import type { Gate } from './pool.ts'
import type { Verified, Verify } from './verify.ts'

declare const retired: unique symbol

export interface Retired {
  readonly [retired]: true
  readonly verified: Verified
}

export interface Retire {
  retire(verified: Verified): Promise<Retired>
  /** Looks after a raise that an earlier attempt did not live to look after. Nothing to do where there was none. */
  lookBack(intended: Intended): Promise<void>
}

export interface RetireOptions {
  readonly keys: Keys
  readonly inspect: Inspect
  readonly verify: Verify
  readonly effects: Effects
  readonly clock: Clock
  readonly patiently: Patience
  readonly gate: Gate
  readonly halt: AbortSignal
  /** Of the policy in force now. */
  readonly policyHash: () => string
}

/** With `retire: now` nothing waits for a next rotation, so it waits here, for whoever wrote at the same time. */
const LOOK_AGAIN_MS = 60_000

export function retirer({
  keys,
  inspect,
  verify,
  effects,
  clock,
  patiently,
  gate,
  halt,
  policyHash,
}: RetireOptions): Retire {
  function planOf(verified: Verified, minDecryptionVersion: number): Retirement {
    const { wanted, claim, intent } = verified.moved.advanced.intended
    const { transitKey, draft, secrets, rotating } = wanted
    const { blocked, left } = draft.counts()
    return retirementOf({
      // An intent that is taken up keeps its own options: this is what they were.
      wanted: { ...wanted, retire: intent.retire },
      target: intent.target,
      minDecryptionVersion,
      lowest: verified.lowest,
      blocked,
      left,
      gitops: draft.gitops(),
      policyChanged: policyHash() !== rotating.policyHash,
      dropped: droppedOf(claim.state(), transitKey.name, secrets, clock.now()),
    })
  }

  async function retire(verified: Verified): Promise<Retired> {
    const { intent, wanted } = verified.moved.advanced.intended
    const min = await minAfter(verified)
    if (!isRetiredAsAsked(intent, intent.target, min)) wanted.draft.stillOpens()
    return { verified } as Partial<Retired> as Retired
  }

  /** Raises the minimum where nothing withholds that, and answers with what it is then. */
  async function minAfter(verified: Verified): Promise<number> {
    const { intended } = verified.moved.advanced
    const { wanted, claim, intent } = intended
    const { transitKey, draft } = wanted
    const { minDecryptionVersion: found } = intended.info
    if (draft.known.retirement?.why === 'fell-back') return draft.known.minDecryptionVersion?.after ?? found
    let plan = planOf(verified, found)
    if (!('why' in plan) && intent.retire === 'now') {
      await pause(clock, LOOK_AGAIN_MS, AbortSignal.any([claim.signal, halt]))
      const again = await verify(verified.moved)
      for (const secret of again.astray) draft.contended(secret)
      plan = planOf(again, found)
    }
    if ('why' in plan) {
      draft.known.retirement = wasRaised(intended) ? RAISED : { done: false, ...plan }
      return found
    }
    const { minDecryptionVersion: before } = await keys.read(transitKey, claim.signal)
    // Only ever up: Vault would take a lower one, too, and revive a compromised version.
    if (plan.raiseTo <= before) {
      draft.known.retirement = { done: false, why: 'nothing-older', detail: `Versions from ${before} on are usable.` }
      // An earlier attempt's raise, that has only now taken effect.
      if (intent.raising?.after === before) await lookAfter(intended, intent.raising)
      return before
    }
    return await raise(intended, before, plan.raiseTo)
  }

  /** Answers with what the minimum is then: what fell below may have had it put back. */
  async function raise(intended: Intended, before: number, after: number): Promise<number> {
    const { wanted, claim } = intended
    wanted.draft.stage('retire', { from: before, to: after })
    await claim.write((state) => withIntent(state, { ...intended.intent, raising: { before, after } }))
    await set(intended, 'retire', before, after)
    wanted.draft.known.minDecryptionVersion = { before, after }
    wanted.draft.known.retirement = RAISED
    await putBackIfNeeded(intended, before, after)
    return wanted.draft.known.minDecryptionVersion.after
  }

  /** Of a raise that stands on the Lease, where anybody may have put it: what the grace would retire stays retired. */
  async function lookAfter(intended: Intended, { before, after }: Raising): Promise<void> {
    const { intent, wanted } = intended
    const keep = intent.retire === 'now' ? 0 : wanted.transitKey.rotation.grace
    await putBackIfNeeded(intended, Math.max(before, intent.target - 1 - keep), after)
  }

  /** What fell below the new minimum does not open until the old one is back. */
  async function putBackIfNeeded(intended: Intended, before: number, after: number): Promise<void> {
    const { wanted, claim } = intended
    const few = inHand(wanted.secrets, gate, (secret) => inspect(secret, claim.signal))
    for await (const found of few) {
      const fallen = found.filter(isLocated).filter(({ version = after }) => version < after)
      if (fallen.length === 0) continue
      // Told first: should it not be put back, the report must not say that all is well.
      for (const { secret } of fallen) wanted.draft.contended(secret)
      const lowest = Math.min(...fallen.map(({ version = after }) => version))
      const told = (what: string) => {
        const detail = `Some Secret was written with version ${lowest} just then, below the new minimum of ${after}. ${what}`
        wanted.draft.known.retirement = { done: false, why: 'fell-back', detail }
      }
      const { mount, name } = wanted.transitKey
      told(`It does not open until: vault write ${mount}/keys/${name}/config min_decryption_version=${lowest}`)
      if (before >= after) return
      await set(intended, 'restore', after, before)
      wanted.draft.known.minDecryptionVersion = { before, after: before }
      if (lowest >= before) told(`So ${before} was put back at once. Find who writes it, then rotate again.`)
      return
    }
  }

  /**
   * Whether it was set has to be known. A raise that was not answered is not sent again while it may still take effect: it
   * could do so after it was put back. To put back twice is to put back once.
   */
  async function set(intended: Intended, effect: 'retire' | 'restore', from: number, to: number): Promise<void> {
    const { wanted, claim } = intended
    const { transitKey, rotating } = wanted
    try {
      await effects.record(rotating, { effect, transitKey, from, to }, (begun) => {
        const act = () => keys.setMinDecryptionVersion(begun, transitKey, to, claim)
        return effect === 'restore' ? patiently(claim.signal, act) : act()
      })
    } catch (error) {
      claim.signal.throwIfAborted()
      if (!isTransient(error)) throw rotationRefusal(error)
      await keys.settled(claim.signal)
      const { minDecryptionVersion } = await keys.read(transitKey, claim.signal)
      if (minDecryptionVersion !== to) throw rotationRefusal(error)
    }
  }

  return {
    retire,
    async lookBack(intended) {
      const { raising } = intended.intent
      if (raising?.after === intended.info.minDecryptionVersion) await lookAfter(intended, raising)
    },
  }
}

type Raising = NonNullable<Intended['intent']['raising']>

/** By an earlier attempt of the same intent, and not put back. */
function wasRaised({ intent, info }: Intended): boolean {
  return intent.raising?.after === info.minDecryptionVersion
}

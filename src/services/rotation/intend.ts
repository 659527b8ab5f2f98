/** Claim, Wanted -> Intended. What is to happen stands on the Lease before anything does; what stands there already is taken up. */
import type { Clock } from '../../clock.ts'
import { KeyholeError } from '../../errors.ts'
import type { Effects } from './effects.ts'
import type { OnLease } from './intent-on-lease.ts'
import { intentOnLease } from './intent-on-lease.ts'
import type { Claim } from './journal.ts'
import type { Intent } from './journal-state.ts'
import { hasRoom, withIntent } from './journal-state.ts'
import type { Keys } from './keys.ts'
import type { Target } from './plan.ts'
import { takenUp, targetOf } from './plan.ts'
import type { TransitKeyInfo } from './ports.ts'
import type { Wanted } from './wanted.ts'
import { takingUp } from './wanted.ts'

declare const intended: unique symbol

export interface Intended {
  readonly [intended]: true
  readonly claim: Claim
  /** With the options of the intent, which need not be those that were asked for. */
  readonly wanted: Wanted
  readonly intent: Intent
  /** An earlier rotation left it unfinished. */
  readonly isResumed: boolean
  readonly plan: Target
  /** The key as it was before this rotation touched it, or as an earlier attempt left it. */
  readonly info: TransitKeyInfo
  /** The min_decryption_version: before any attempt, and as `info` has it. */
  readonly minimum: { readonly before: number; readonly after: number }
}

export type Intend = (claim: Claim, wanted: Wanted) => Promise<Intended>

export function intender({ keys, effects, clock }: { keys: Keys; effects: Effects; clock: Clock }): Intend {
  return async function intend(claim, wanted) {
    const { transitKey, steps } = wanted
    const info = await keys.read(transitKey, claim.signal)
    const onLease = intentOnLease(claim.state(), transitKey, info)
    const isResumed = onLease.believed !== undefined
    const plan = isResumed ? takenUp(onLease.believed) : targetOf(wanted, info, clock.now())
    const intent = isResumed ? await takeUp(wanted, onLease.believed) : await begin(claim, wanted, plan, onLease)
    steps.stage('intend', { from: plan.from, to: plan.target })
    const { minDecryptionVersion: after } = info
    return {
      claim,
      wanted: takingUp(wanted, intent),
      intent,
      isResumed,
      plan,
      info,
      minimum: { before: intent.raising?.before ?? after, after },
    } as Partial<Intended> as Intended
  }

  async function takeUp({ rotating, transitKey }: Wanted, intent: Intent): Promise<Intent> {
    const { by, target, retire } = intent
    await effects.tell(rotating, {
      phase: 'resumed',
      transitKeys: [transitKey.name],
      resumed: { by, target, retire },
    })
    return intent
  }

  async function begin(claim: Claim, wanted: Wanted, plan: Target, { disbelieved }: OnLease): Promise<Intent> {
    const { rotating, transitKey } = wanted
    const intent = intentOf(wanted, plan, clock.now(), disbelieved?.intent)
    if (!hasRoom(withIntent(claim.state(), intent))) throw leaseFull()
    if (disbelieved !== undefined) {
      await effects.tell(rotating, { phase: 'discarded', transitKeys: [transitKey.name], why: disbelieved.why })
    }
    await claim.write((state) => withIntent(state, intent))
    return intent
  }
}

/** The other keys' intents are what another rotation finds its way by: this one may not displace them. */
function leaseFull(): KeyholeError {
  return new KeyholeError('LEASE_UNUSABLE', {
    why: LEASE_FULL,
    fix: 'The Lease has no room for another unfinished rotation, so nothing of this key was begun. Fix what keeps the other keys from being finished, rotate those, then this one.',
  })
}

/** Of one key: those whose intent stands there can go on. */
export const LEASE_FULL = 'lease-full'

/** A raise that nobody has looked after yet is remembered, whatever else of an intent is not believed. */
function intentOf(wanted: Wanted, { from, target }: Target, nowMs: number, before: Intent | undefined): Intent {
  const { rotating, transitKey, mode, retire, by } = wanted
  const { name: key, mount } = transitKey
  const { raising } = before?.mount === mount ? before : {}
  return { id: rotating.id, key, mount, from, target, mode, retire, by, startedAtMs: nowMs, raising }
}

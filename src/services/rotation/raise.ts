/**
 * The only writer of min_decryption_version. Looks at every Secret once more after it raised it: what fell below meanwhile
 * does not open, so the old minimum is put back, at once.
 */
import type { KeyReport } from '../../contract.ts'
import { rotationRefusal } from '../upstream.ts'
import type { Effects } from './effects.ts'
import { inHand } from './in-hand.ts'
import type { Inspect, Located } from './inspect.ts'
import { isLocated } from './inspect.ts'
import type { Intended } from './intend.ts'
import { withIntent } from './journal-state.ts'
import type { Keys } from './keys.ts'
import type { Patience } from './patience.ts'
import { isTransient } from './patience.ts'
import { keptBy, RAISED } from './plan.ts'
import type { Gate } from './pool.ts'

/** What the report says of min_decryption_version, and of the versions below it. */
export interface RetirementOutcome {
  readonly minimum: NonNullable<KeyReport['minDecryptionVersion']>
  readonly retirement: NonNullable<KeyReport['retirement']>
}

export interface Raise {
  readonly before: number
  readonly after: number
  /** What is put back where something fell below. */
  readonly backTo: number
}

/** Undefined if nothing fell below. @throws HalfRetired if something did, and the old minimum could not be put back. */
export type RestoreIfFallen = (intended: Intended, raise: Raise) => Promise<RetirementOutcome | undefined>

export interface Minimum {
  readonly restoreIfFallen: RestoreIfFallen
  /** @throws HalfRetired once it is raised. */
  raise(intended: Intended, before: number, after: number): Promise<RetirementOutcome>
  /** Answers with what is to be reported: `reached`, unless something fell below. @throws HalfRetired */
  lookAfter(intended: Intended, raise: Raise, reached: RetirementOutcome): Promise<RetirementOutcome>
}

/** How far retirement came before something failed. It is in the report, so that a failed restore is not reported as success. */
export class HalfRetired extends Error {
  readonly reached: RetirementOutcome

  constructor(reached: RetirementOutcome, cause: unknown) {
    super('half retired', { cause })
    this.reached = reached
  }
}

export interface MinimumOptions {
  readonly keys: Keys
  readonly inspect: Inspect
  readonly effects: Effects
  readonly patiently: Patience
  readonly gate: Gate
}

export function minimumKeeper({ keys, inspect, effects, patiently, gate }: MinimumOptions): Minimum {
  async function raise(intended: Intended, before: number, after: number): Promise<RetirementOutcome> {
    const { wanted, claim, intent } = intended
    wanted.steps.stage('retire', { from: before, to: after })
    await claim.write((state) => withIntent(state, { ...intent, raising: { before, after } }))
    await set(intended, 'retire', before, after)
    const raised = { minimum: { before, after }, retirement: RAISED }
    return await lookAfter(intended, { before, after, backTo: before }, raised)
  }

  async function lookAfter(intended: Intended, raised: Raise, reached: RetirementOutcome): Promise<RetirementOutcome> {
    try {
      return (await restoreIfFallen(intended, raised)) ?? reached
    } catch (error) {
      throw error instanceof HalfRetired ? error : new HalfRetired(reached, error)
    }
  }

  async function restoreIfFallen(intended: Intended, raised: Raise): Promise<RetirementOutcome | undefined> {
    const { wanted, claim } = intended
    for await (const found of inHand(wanted.secrets, gate, (secret) => inspect(secret, claim.signal))) {
      const fallen = found.filter(isLocated).filter(({ version = raised.after }) => version < raised.after)
      if (fallen.length > 0) return await putBack(intended, raised, fallen)
    }
    return undefined
  }

  async function putBack(
    intended: Intended,
    { before, after, backTo }: Raise,
    fallen: readonly Located[],
  ): Promise<RetirementOutcome> {
    const { tally, transitKey } = intended.wanted
    for (const { secret } of fallen) tally.contended(secret)
    const lowest = Math.min(...fallen.map(({ version = after }) => version))
    const fellBack = (what: string) => ({
      done: false,
      why: 'fell-back' as const,
      detail: `Some Secret was written with version ${lowest} just then, below the new minimum of ${after}. ${what}`,
    })
    const byHand = `vault write ${transitKey.mount}/keys/${transitKey.name}/config min_decryption_version=${lowest}`
    const notBack = { minimum: { before, after }, retirement: fellBack(`It does not open until: ${byHand}`) }
    if (backTo >= after) return notBack
    try {
      await set(intended, 'restore', after, backTo)
    } catch (error) {
      throw new HalfRetired(notBack, error)
    }
    const isOpen = lowest >= backTo
    return {
      minimum: { before, after: backTo },
      retirement: isOpen
        ? fellBack(`So ${backTo} was put back at once. Find who writes it, then rotate again.`)
        : notBack.retirement,
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

  return { raise, lookAfter, restoreIfFallen }
}

/**
 * The raise of an earlier attempt of the same intent, where the minimum is what it was raised to. It stands on the Lease, where
 * anybody may have put it: what the grace would retire stays retired.
 */
export function raisedEarlier({ intent, wanted }: Intended, minDecryptionVersion: number): Raise | undefined {
  const { raising, target } = intent
  if (raising?.after !== minDecryptionVersion) return undefined
  return { ...raising, backTo: Math.max(raising.before, target - 1 - keptBy(wanted)) }
}

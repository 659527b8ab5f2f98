/**
 * A record in the making, and the rules of every story: one caller, one record, and nothing after the end. The entry of each action
 * adds its own. A story that breaks a rule is defective: it ends as INTERNAL, even if it catches the error and goes on.
 */
import type { Decision, DecisionCommon, DecisionOfAction } from '../audit-log/record.ts'
import { KeyholeError } from '../errors.ts'
import type { Caller } from './authenticate.ts'

declare const recorded: unique symbol

/** A result with its record. Only a draft makes one, so a story that forgets to record does not compile. */
export interface Recorded<T> {
  readonly [recorded]: true
  readonly result: T
}

/** What a {@link Decision} says besides the request itself. */
export type Verdict = Pick<DecisionCommon, 'policyHash' | 'otherKeys'> & DecisionOfAction

export interface Identity {
  readonly caller: Caller
  /** Of the policy in force when the caller was identified. Refusals are recorded with it. */
  readonly policyHash: string
}

export interface Draft {
  /** @throws KeyholeError INTERNAL for a second caller. */
  identified(caller: Caller): Caller
  identity(): Identity | undefined
  /** @throws KeyholeError INTERNAL, with `why`, if the rule is broken; DEADLINE if the request has ended. */
  assertRule(isKept: boolean, why: string): void
  /** Makes the record. @throws KeyholeError INTERNAL for a second one. */
  record<T>(result: T, verdict: Verdict): Recorded<T>
  /** The same for what must be disposed of. The draft does it: at the end, or at once if there is no record of it. */
  recordOwned<T extends Disposable>(result: T, verdictOf: (result: T) => Verdict): Recorded<T>
  /** @throws KeyholeError INTERNAL unless this is the one record, and no rule was ever broken. */
  verdictOf(record: Recorded<unknown>): Verdict
  /** Ends the draft and disposes of nothing: that is now up to whoever gets the result. */
  handOver(): void
  /** Ends the draft and disposes of what it owns. */
  close(): void
}

export function openDraft(policyInForce: () => string): Draft {
  let identity: Identity | undefined
  let made: { readonly record: Recorded<unknown>; readonly verdict: Verdict } | undefined
  let defect: KeyholeError | undefined
  // Disposed of when the request ends, so it also tells whether it has.
  const owned = new DisposableStack()

  function assertRule(isKept: boolean, why: string): void {
    if (owned.disposed) throw new KeyholeError('DEADLINE', { why: 'told-too-late' })
    if (isKept) return
    defect ??= new KeyholeError('INTERNAL', { why })
    throw defect
  }

  function record<T>(result: T, verdict: Verdict): Recorded<T> {
    assertRule(made === undefined, 'recorded-twice')
    const recorded = { result } as Recorded<T>
    made = { record: recorded, verdict }
    return recorded
  }

  return {
    identified(caller) {
      assertRule(identity === undefined, 'identified-twice')
      identity = { caller, policyHash: policyInForce() }
      return caller
    },
    identity: () => identity,
    assertRule,
    record,
    recordOwned(result, verdictOf) {
      try {
        const recorded = record(result, verdictOf(result))
        owned.use(result)
        return recorded
      } catch (error) {
        result[Symbol.dispose]()
        throw error
      }
    },
    verdictOf(record) {
      if (defect !== undefined) throw defect
      if (made === undefined || made.record !== record)
        throw new KeyholeError('INTERNAL', { why: 'recorded-elsewhere' })
      return made.verdict
    },
    handOver: () => void owned.move(),
    close: () => owned.dispose(),
  }
}

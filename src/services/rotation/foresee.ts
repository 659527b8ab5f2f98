/**
 * What a rotation would do, by the same planners, and nothing of it done: keys and Secrets are read, and each ciphertext is
 * rewrapped in Vault with the result thrown away, so that what would be blocked is found out now.
 */
import type { Clock } from '../../clock.ts'
import type { KeyholeError } from '../../errors.ts'
import { asKeyholeError } from '../../errors.ts'
import { droppedOf } from './dropped.ts'
import { inHand } from './in-hand.ts'
import type { Rotated } from './in-turn.ts'
import type { Inspect } from './inspect.ts'
import { isBlocked, isLocated, standing } from './inspect.ts'
import { intentOnLease } from './intent-on-lease.ts'
import type { Intent, JournalState } from './journal-state.ts'
import type { Reached } from './key-report.ts'
import { keyReport } from './key-report.ts'
import type { Keys } from './keys.ts'
import type { Retirement, Target } from './plan.ts'
import { RAISED, retirementOf, takenUp, targetOf } from './plan.ts'
import type { Gate } from './pool.ts'
import type { TransitKeyInfo } from './ports.ts'
import type { RetirementOutcome } from './raise.ts'
import type { Rewrap } from './rewrap.ts'
import type { Wanted } from './wanted.ts'
import { takingUp } from './wanted.ts'

/** How things stand before what is foreseen. */
export interface Outlook {
  /** What the Lease remembers. */
  readonly state: JournalState
  /** The rotation itself would be refused with it, as things stand. */
  readonly refusal?: KeyholeError | undefined
  /** What comes first, and would have finished what is unfinished. */
  readonly finished?: Foreseen | undefined
}

export interface Foreseen extends Rotated {
  /** The key as it would be then; undefined where that cannot be foreseen. */
  readonly info?: TransitKeyInfo
}

/** Never rejects. */
export type Foresee = (asked: Wanted, outlook: Outlook, signal: AbortSignal) => Promise<Foreseen>

export interface ForeseeOptions {
  readonly keys: Pick<Keys, 'read'>
  readonly inspect: Inspect
  readonly rewrap: Rewrap
  readonly clock: Clock
  readonly gate: Gate
}

export function foreseer({ keys, inspect, rewrap, clock, gate }: ForeseeOptions): Foresee {
  return async function foresee(asked, { state, refusal, finished }, signal) {
    const reached: { -readonly [K in keyof Reached]: Reached[K] } = {}
    try {
      const info = finished?.info ?? (await keys.read(asked.transitKey, signal))
      const intent = finished === undefined ? intentOnLease(state, asked.transitKey, info).believed : undefined
      const wanted = intent === undefined ? asked : takingUp(asked, intent)
      const plan = intent === undefined ? targetOf(asked, info, clock.now()) : takenUp(intent)
      asked.steps.stage('intend', { from: plan.from, to: plan.target })
      reached.intended = { wanted, isResumed: intent !== undefined, plan, info }
      const isMade = plan.target > info.latestVersion
      reached.advanced = { version: isMade ? 'made' : plan.advance }
      await move(wanted, plan, finished?.reached.intended?.plan.target ?? 0, signal)
      const retired = outcomeOf(wanted, plan, { info, intent, state })
      // What is refused comes to no retirement. How the Secrets stand is worth telling all the same.
      if (refusal === undefined) reached.retired = retired
      return {
        reached,
        report: keyReport(asked, reached, refusal),
        info: {
          ...info,
          latestVersion: Math.max(plan.target, info.latestVersion),
          minDecryptionVersion: retired.minimum.after,
          createdAtMs: isMade ? new Map([...info.createdAtMs, [plan.target, clock.now()]]) : info.createdAtMs,
        },
      }
    } catch (error) {
      const failure = asKeyholeError(error)
      return { reached, failure, report: keyReport(asked, reached, failure) }
    }
  }

  async function move(wanted: Wanted, { target }: Target, broughtTo: number, signal: AbortSignal): Promise<void> {
    const { transitKey, secrets, tally, steps } = wanted
    let done = 0
    for await (const found of inHand(secrets, gate, (secret) => inspect(secret, signal))) {
      for (const one of found) if (isBlocked(one)) tally.blocked(one)
      for (const { one, ...outcome } of await rewrap(transitKey, found.filter(isLocated), signal)) {
        if ('blocked' in outcome) tally.blocked({ ...one, blocked: outcome.blocked })
        else if (standing(one, target) === 'immutable') tally.blocked({ ...one, blocked: 'IMMUTABLE' })
        // What comes first would have brought it there.
        else if (standing(one, target) === 'current' || broughtTo >= target) tally.current(one.secret, one.gitops)
        else tally.rewrapped(one.secret, one.gitops)
      }
      done += found.length
      steps.progress('move', done)
    }
  }

  function outcomeOf(
    wanted: Wanted,
    { target }: Target,
    { info, intent, state }: { info: TransitKeyInfo; intent: Intent | undefined; state: JournalState },
  ): RetirementOutcome {
    const { minDecryptionVersion: before } = info
    const { tally, transitKey, secrets } = wanted
    const { blocked, left } = tally.counts()
    const plan = retirementOf({
      wanted,
      target,
      minDecryptionVersion: before,
      // As it will be once every Secret is moved.
      lowest: target,
      blocked,
      left,
      gitops: tally.gitops(),
      policyChanged: false,
      dropped: droppedOf(state, transitKey.name, secrets, clock.now()),
    })
    const after = 'why' in plan ? before : plan.raiseTo
    const wasRaised = intent?.raising?.after === before
    return {
      minimum: { before: intent?.raising?.before ?? before, after },
      retirement: 'why' in plan && wasRaised ? RAISED : foretold(plan),
    }
  }
}

function foretold(plan: Retirement) {
  if ('why' in plan) return { done: false, ...plan }
  return { done: false, why: 'dry-run', detail: `min_decryption_version would be raised to ${plan.raiseTo}.` } as const
}

/**
 * What a rotation would do, by the same planners, and nothing of it done: keys and Secrets are read, and each ciphertext is
 * rewrapped in Vault with the result thrown away, so that what would be blocked is found out now.
 */
import type { Clock } from '../../clock.ts'
import type { Untold } from './dropped.ts'
import { inHand } from './in-hand.ts'
import type { Inspect, Located } from './inspect.ts'
import { isBlocked, isLocated } from './inspect.ts'
import type { Intent } from './journal-state.ts'
import type { Retirement } from './plan.ts'
import { isRetiredAsAsked, RAISED, retirementOf, targetOf } from './plan.ts'
import type { Gate } from './pool.ts'
import type { TransitKeyInfo } from './ports.ts'
import type { Rewrap } from './rewrap.ts'
import type { Wanted } from './wanted.ts'

/** How things stand before what is foreseen. */
export interface Outlook {
  /** The key: as it is, or as what comes first would leave it. */
  readonly info: TransitKeyInfo
  /** The version that what comes first would bring Secrets to. */
  readonly broughtTo?: number | undefined
  /** What stands on the Lease and would be gone on with. */
  readonly intent?: Intent | undefined
  /** Secrets of the key that left the policy lately, as the Lease remembers. */
  readonly dropped: number | Untold
}

/** Answers with the key as it would be then. */
export type Foresee = (wanted: Wanted, outlook: Outlook, signal: AbortSignal) => Promise<TransitKeyInfo>

export interface ForeseeOptions {
  readonly inspect: Inspect
  readonly rewrap: Rewrap
  readonly clock: Clock
  readonly gate: Gate
}

export function foreseer({ inspect, rewrap, clock, gate }: ForeseeOptions): Foresee {
  async function move(wanted: Wanted, target: number, broughtTo: number, signal: AbortSignal): Promise<void> {
    const { transitKey, secrets, draft } = wanted
    let done = 0
    for await (const found of inHand(secrets, gate, (secret) => inspect(secret, signal))) {
      for (const one of found) if (isBlocked(one)) draft.blocked(one)
      for (const { one, ...outcome } of await rewrap(transitKey, found.filter(isLocated), signal)) {
        if ('blocked' in outcome) draft.blocked({ ...one, blocked: outcome.blocked })
        else if (versionOf(one, broughtTo, target) >= target) draft.current(one.secret, one.gitops)
        else if (one.immutable) draft.blocked({ ...one, blocked: 'IMMUTABLE' })
        else draft.rewrapped(one.secret, one.gitops)
      }
      done += found.length
      draft.progress('move', done)
    }
  }

  return async function foresee(wanted, { info, broughtTo = 0, intent, dropped }, signal) {
    const { draft } = wanted
    const { from, target, advance } = planned(wanted, info, intent, clock.now())
    draft.stage('intend', { from, to: target })
    const isMade = target > info.latestVersion
    Object.assign(draft.known, {
      resumed: intent !== undefined,
      from,
      to: Math.max(target, info.latestVersion),
      advance: isMade ? 'made' : advance,
    })
    await move(wanted, target, broughtTo, signal)
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
    const after = 'why' in plan ? before : plan.raiseTo
    draft.known.minDecryptionVersion = { before: intent?.raising?.before ?? before, after }
    draft.known.retirement = 'why' in plan && intent?.raising?.after === before ? RAISED : foretold(plan)
    if (!isRetiredAsAsked(wanted, target, after)) draft.stillOpens()
    return {
      ...info,
      latestVersion: Math.max(target, info.latestVersion),
      minDecryptionVersion: after,
      createdAtMs: isMade ? new Map([...info.createdAtMs, [target, clock.now()]]) : info.createdAtMs,
    }
  }
}

function planned(wanted: Wanted, info: TransitKeyInfo, intent: Intent | undefined, nowMs: number) {
  if (intent === undefined) return targetOf(wanted, info, nowMs)
  const { from, target } = intent
  return { from, target, advance: 'there' } as const
}

/** Once what comes first has moved it, as far as it could. Without a ciphertext it is where it should be. */
function versionOf({ version, immutable }: Located, broughtTo: number, target: number): number {
  if (version === undefined) return target
  return immutable ? version : Math.max(version, broughtTo)
}

function foretold(plan: Retirement) {
  if ('why' in plan) return { done: false, ...plan }
  return { done: false, why: 'dry-run', detail: `min_decryption_version would be raised to ${plan.raiseTo}.` } as const
}

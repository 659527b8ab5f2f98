/** Claim, Wanted -> Intended. What is to happen stands on the Lease before anything does; what stands there already is taken up. */
import type { Clock } from '../../clock.ts'
import { KeyholeError } from '../../errors.ts'
import type { TransitKey } from '../../policy/schema.ts'
import type { Effects } from './effects.ts'
import type { Claim } from './journal.ts'
import type { Intent } from './journal-state.ts'
import { hasRoom, intentFor, withIntent } from './journal-state.ts'
import type { Keys } from './keys.ts'
import { targetOf } from './plan.ts'
import type { TransitKeyInfo } from './ports.ts'
import type { Wanted } from './wanted.ts'

declare const intended: unique symbol

export interface Intended {
  readonly [intended]: true
  readonly claim: Claim
  readonly wanted: Wanted
  readonly intent: Intent
  /** The key as it was before this rotation touched it, or as an earlier attempt left it. */
  readonly info: TransitKeyInfo
}

export type Intend = (claim: Claim, wanted: Wanted) => Promise<Intended>

export function intender({ keys, effects, clock }: { keys: Keys; effects: Effects; clock: Clock }): Intend {
  return async function intend(claim, wanted) {
    const { rotating, transitKey, draft } = wanted
    const info = await keys.read(transitKey, claim.signal)
    const found = intentFor(claim.state(), transitKey.name)
    const flaw = found && disbelief(found, transitKey, info)
    const intent = found === undefined || flaw !== undefined ? intentOf(wanted, info, clock.now(), found) : found
    if (intent !== found && !hasRoom(withIntent(claim.state(), intent))) throw leaseFull()
    if (flaw !== undefined) {
      await effects.tell(rotating, { phase: 'discarded', transitKeys: [transitKey.name], why: flaw })
    }
    if (intent !== found) await claim.write((state) => withIntent(state, intent))
    draft.stage('intend', { from: intent.from, to: intent.target })
    const { latestVersion, minDecryptionVersion } = info
    draft.known.resumed = intent.id !== rotating.id
    draft.known.from = intent.from
    draft.known.to = Math.max(intent.target, latestVersion)
    draft.known.advance = intent === found ? 'there' : targetOf(wanted, info, clock.now()).advance
    draft.known.minDecryptionVersion = {
      before: intent.raising?.before ?? minDecryptionVersion,
      after: minDecryptionVersion,
    }
    return { claim, wanted, intent, info } as Partial<Intended> as Intended
  }
}

/**
 * Whoever may edit the Lease can write an intent there. It is believed only if its target is the newest version or the next,
 * and whom it names may rotate that key now.
 */
export function disbelief(
  { mount, target, by }: Intent,
  key: TransitKey,
  { latestVersion }: TransitKeyInfo,
): 'other-mount' | 'target-elsewhere' | 'not-an-admin' | undefined {
  if (mount !== key.mount) return 'other-mount'
  if (target !== latestVersion && target !== latestVersion + 1) return 'target-elsewhere'
  const isAdmin = key.rotation.admins.some((admin) => `${admin.namespace}/${admin.serviceAccount}` === by)
  return isAdmin ? undefined : 'not-an-admin'
}

/** The other keys' intents are what another rotation finds its way by: this one may not displace them. */
function leaseFull(): KeyholeError {
  return new KeyholeError('LEASE_UNUSABLE', {
    why: LEASE_FULL,
    fix: 'The Lease has no room for another unfinished rotation, so nothing of this key was begun. Mend what keeps the other keys from being finished, rotate those, then this one.',
  })
}

/** Of one key: those whose intent stands there can go on. */
export const LEASE_FULL = 'lease-full'

/** A raise that nobody has looked after yet is remembered, whatever else of an intent is not believed. */
function intentOf(wanted: Wanted, info: TransitKeyInfo, nowMs: number, before: Intent | undefined): Intent {
  const { rotating, transitKey, mode, retire, by } = wanted
  const { from, target } = targetOf(wanted, info, nowMs)
  const { name: key, mount } = transitKey
  const { raising } = before?.mount === mount ? before : {}
  return { id: rotating.id, key, mount, from, target, mode, retire, by, startedAtMs: nowMs, raising }
}

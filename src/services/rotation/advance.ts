/**
 * Restored -> Advanced. Sees to it that the target version exists. Vault has no compare-and-swap for that, and each call
 * makes another version: so a call whose answer did not come is never repeated here, the key is looked at instead.
 */
import { rotationRefusal } from '../upstream.ts'
import type { Effects } from './effects.ts'
import type { Intended } from './intend.ts'
import type { Keys } from './keys.ts'
import { isTransient } from './patience.ts'
import type { Target } from './plan.ts'
import type { Restored } from './restore.ts'

declare const advanced: unique symbol

/** The target version is there. */
export interface Advanced {
  readonly [advanced]: true
  readonly restored: Restored
  /** Whether it was made here, or why none was. */
  readonly version: Target['advance']
}

/** @throws KeyholeError VAULT_UNAVAILABLE where it is not known to be there: another rotation looks again first. */
export type Advance = (restored: Restored) => Promise<Advanced>

export interface AdvanceOptions {
  readonly keys: Keys
  readonly effects: Effects
  /** Aborts when the process is about to end: no version is made any more. */
  readonly halt: AbortSignal
}

export function advancer({ keys, effects, halt }: AdvanceOptions): Advance {
  return async function advance(restored) {
    const { info, plan } = restored.intended
    const isThere = info.latestVersion >= plan.target
    if (!isThere) await make(restored.intended)
    return { restored, version: isThere ? plan.advance : 'made' } as Partial<Advanced> as Advanced
  }

  async function make({ claim, wanted, info, plan: { target } }: Intended): Promise<void> {
    const { transitKey, rotating, steps } = wanted
    const { latestVersion: from } = info
    halt.throwIfAborted()
    steps.stage('advance', { from, to: target })
    try {
      await effects.record(rotating, { effect: 'advance', transitKey, from, to: target }, (begun) =>
        keys.addVersion(begun, transitKey, target, claim),
      )
    } catch (error) {
      claim.signal.throwIfAborted()
      if (!isTransient(error)) throw rotationRefusal(error)
      // What was sent and not answered may still be on its way.
      await keys.settled(claim.signal)
      const { latestVersion } = await keys.read(transitKey, claim.signal)
      if (latestVersion < target) throw rotationRefusal(error)
    }
  }
}

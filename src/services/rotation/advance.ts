/**
 * Intended -> Advanced. Sees to it that the target version exists. Vault has no compare-and-swap for that, and each call
 * makes another version: so a call whose answer did not come is never repeated here, the key is looked at instead.
 */
import { rotationRefusal } from '../upstream.ts'
import type { Effects } from './effects.ts'
import type { Intended } from './intend.ts'
import type { Keys } from './keys.ts'
import { isTransient } from './patience.ts'

declare const advanced: unique symbol

/** The target version is there. */
export interface Advanced {
  readonly [advanced]: true
  readonly intended: Intended
}

/** @throws KeyholeError VAULT_UNAVAILABLE where it is not known to be there: another rotation looks again first. */
export type Advance = (intended: Intended) => Promise<Advanced>

export function advancer({ keys, effects }: { keys: Keys; effects: Effects }): Advance {
  return async function advance(intended) {
    const { claim, wanted, intent, info } = intended
    const { transitKey, rotating, draft } = wanted
    const permit = { intended } as Partial<Advanced> as Advanced
    if (info.latestVersion >= intent.target) return permit
    draft.stage('advance', { from: info.latestVersion, to: intent.target })
    const what = { effect: 'advance', transitKey, from: info.latestVersion, to: intent.target } as const
    try {
      await effects.record(rotating, what, (begun) => keys.addVersion(begun, transitKey, intent.target, claim))
    } catch (error) {
      claim.signal.throwIfAborted()
      if (!isTransient(error)) throw rotationRefusal(error)
      // What was sent and not answered may still be on its way.
      await keys.settled(claim.signal)
      const { latestVersion } = await keys.read(transitKey, claim.signal)
      if (latestVersion < intent.target) throw rotationRefusal(error)
    }
    draft.known.advance = 'made'
    return permit
  }
}

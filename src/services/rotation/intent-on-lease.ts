/** What the Lease says is unfinished of a key. Whoever may edit the Lease can write that, so it is judged first. */
import type { TransitKey } from '../../policy/schema.ts'
import type { Intent, JournalState } from './journal-state.ts'
import { intentFor } from './journal-state.ts'
import type { TransitKeyInfo } from './ports.ts'

/** Neither of them: nothing is unfinished. */
export interface OnLease {
  readonly believed?: Intent
  readonly disbelieved?: { readonly intent: Intent; readonly why: Flaw }
}

export type Flaw = 'other-mount' | 'target-elsewhere' | 'not-an-admin'

export function intentOnLease(state: JournalState, key: TransitKey, info: TransitKeyInfo): OnLease {
  const intent = intentFor(state, key.name)
  if (intent === undefined) return {}
  const why = flawOf(intent, key, info)
  return why === undefined ? { believed: intent } : { disbelieved: { intent, why } }
}

/** It is believed only if its target is the newest version or the next, and whom it names may rotate that key now. */
function flawOf({ mount, target, by }: Intent, key: TransitKey, { latestVersion }: TransitKeyInfo): Flaw | undefined {
  if (mount !== key.mount) return 'other-mount'
  if (target !== latestVersion && target !== latestVersion + 1) return 'target-elsewhere'
  const isAdmin = key.rotation.admins.some((admin) => `${admin.namespace}/${admin.serviceAccount}` === by)
  return isAdmin ? undefined : 'not-an-admin'
}

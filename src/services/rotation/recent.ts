/** Whoever asks again too soon is told when to. */
import type { Clock } from '../../clock.ts'
import { KeyholeError } from '../../errors.ts'
import type { RotationGrant } from '../authorize.ts'
import { glances } from './glances.ts'
import type { JournalState } from './journal-state.ts'
import { intentFor } from './journal-state.ts'
import type { Keys } from './keys.ts'
import { recentForMs } from './plan.ts'
import type { Order } from './run.ts'

/** By when Vault made the newest versions, within one look at each key. @throws KeyholeError VAULT_UNAVAILABLE, VAULT_SEALED. */
export interface Recency {
  /** ROTATED_RECENTLY, where there is nothing to do for any key before its interval is over; undefined where there may be. */
  tooSoon(
    grant: RotationGrant,
    order: Order,
    state: JournalState,
    signal: AbortSignal,
  ): Promise<KeyholeError | undefined>
  /** Every key got its newest version within its interval. */
  areAllRecent(grant: RotationGrant, signal: AbortSignal): Promise<boolean>
}

export function recencyGuard({ keys, clock }: { readonly keys: Keys; readonly clock: Clock }): Recency {
  /** Of each key; 0 where it may have another version. */
  async function waitsMsOf(grant: RotationGrant, signal: AbortSignal): Promise<readonly number[]> {
    const infos = await glances(keys, grant.keys, signal)
    return grant.keys.map(({ transitKey }, index) => {
      const info = infos[index]
      return info === undefined ? 0 : recentForMs(transitKey, info, clock.now())
    })
  }

  return {
    async tooSoon(grant, order, state, signal) {
      if (order.mode !== 'rotate' || order.retire === 'now') return undefined
      if (isAnyUnfinished(grant, state)) return undefined
      const waitsMs = await waitsMsOf(grant, signal)
      return waitsMs.includes(0) ? undefined : recently(Math.min(...waitsMs), clock.now())
    },
    areAllRecent: async (grant, signal) => !(await waitsMsOf(grant, signal)).includes(0),
  }
}

function recently(forMs: number, nowMs: number): KeyholeError {
  const when = new Date(nowMs + forMs).toISOString()
  return new KeyholeError('ROTATED_RECENTLY', {
    why: 'within-min-interval',
    detail: `Nothing is left to do, and no version is made before minInterval is over, at ${when}. Send "mode": "rewrap" to move Secrets without making a version.`,
    retryAfterSeconds: Math.ceil(forMs / 1000),
  })
}

/** An earlier rotation of some key did not come to its end, or there was none that is known of. */
function isAnyUnfinished(grant: RotationGrant, state: JournalState): boolean {
  const done = new Set(state.last?.keys.filter(({ complete }) => complete).map(({ key }) => key))
  return grant.keys.some(({ transitKey: { name } }) => intentFor(state, name) !== undefined || !done.has(name))
}

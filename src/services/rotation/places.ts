/** What runs in this process: one rotation and one dry run at most. The Lease tells processes apart, not two requests to one. */
import { KeyholeError } from '../../errors.ts'
import { isSameRequest, refuseReuse } from './idempotency.ts'
import type { Claim } from './journal.ts'
import { progressOf } from './journal.ts'
import type { Order, Run } from './run.ts'

/** Taken for one run, from before it is prepared until nothing of it is left. */
export interface Place {
  run?: Run
  claim?: Claim | undefined
  leave(): void
  /** Leaves, and keeps the run: whoever sends the same Idempotency-Key gets its report. */
  finish(): void
}

export interface Places {
  /** What runs, or was the last to finish, for this very request, about these very keys. @throws KeyholeError IDEMPOTENCY_KEY_REUSED. */
  runOf(order: Order, keys: readonly string[]): Run | undefined
  /** @throws KeyholeError ROTATION_IN_PROGRESS. */
  take(order: Order): Place
  /** What has begun and is not over. */
  runs(): readonly Run[]
}

interface Taken extends Place {
  readonly idempotency: Order['idempotency']
}

export function openPlaces(): Places {
  const places = new Map<'real' | 'dry', Taken>()
  let finished: Taken | undefined

  function take(order: Order): Place {
    const kind = kindOf(order)
    const there = places.get(kind)
    if (there !== undefined) throw runsHere(there)
    const place: Taken = {
      idempotency: order.idempotency,
      leave() {
        if (places.get(kind) === place) places.delete(kind)
      },
      finish() {
        finished = place
        place.leave()
      },
    }
    places.set(kind, place)
    return place
  }

  return {
    runOf(order, keys) {
      for (const known of [places.get(kindOf(order)), finished]) {
        if (known?.run === undefined) continue
        refuseReuse(order.idempotency, known.idempotency)
        // What the caller may rotate changes with the policy: a report of other keys is no answer, and none of theirs.
        const isAboutThese = known.run.keys.length === keys.length && known.run.keys.every((key) => keys.includes(key))
        if (isAboutThese && isSameRequest(order.idempotency, known.idempotency)) return known.run
      }
      return undefined
    },
    take,
    runs: () => [...places.values()].flatMap(({ run }) => run ?? []),
  }
}

function kindOf({ dryRun }: Order): 'real' | 'dry' {
  return dryRun ? 'dry' : 'real'
}

function runsHere({ claim }: Place): KeyholeError {
  const mark = claim?.state().run
  return new KeyholeError('ROTATION_IN_PROGRESS', {
    why: 'runs-here',
    ...(mark !== undefined && { progress: progressOf(mark) }),
  })
}

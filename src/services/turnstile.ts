/**
 * Bounded concurrency that one peer cannot take for itself: so many inside, so many waiting, and of both at most a
 * share for one address. First come, first served, except that a peer at its share is passed over.
 */
import { KeyholeError } from '../errors.ts'

export interface Turnstile {
  /**
   * Resolves with `leave` once there is room, to be called exactly when the work is over.
   * @throws KeyholeError OVERLOADED when the queue, or the peer's share of it, is full; `signal.reason` when aborted.
   */
  enter(peer: string, signal: AbortSignal): Promise<Leave>
  inside(): number
  waiting(): number
}

export type Leave = () => void

export interface TurnstileBounds {
  readonly inside: number
  readonly waiting: number
  /** Of each bound, what one peer may take: between 0 (exclusive) and 1. Rounded up, so never nothing. */
  readonly sharePerPeer: number
}

interface Waiter {
  readonly peer: string
  readonly admit: () => void
}

export function turnstile(bounds: TurnstileBounds): Turnstile {
  const inside = tally(Math.ceil(bounds.inside * bounds.sharePerPeer))
  const waiting = tally(Math.ceil(bounds.waiting * bounds.sharePerPeer))
  const queue = new Set<Waiter>()

  function take(peer: string): Leave {
    inside.add(peer)
    let left = false
    return () => {
      if (left) return
      left = true
      inside.remove(peer)
      admitNext()
    }
  }

  function admitNext(): void {
    for (const waiter of queue) {
      if (inside.total() >= bounds.inside) return
      if (inside.hasRoom(waiter.peer)) waiter.admit()
    }
  }

  function queued(peer: string, signal: AbortSignal): Promise<Leave> {
    if (waiting.total() >= bounds.waiting || !waiting.hasRoom(peer)) {
      throw new KeyholeError('OVERLOADED', { why: 'queue-full' })
    }
    const { promise, resolve, reject } = Promise.withResolvers<Leave>()
    const waiter: Waiter = { peer, admit: () => settle(() => resolve(take(peer))) }
    const giveUp = () => settle(() => reject(signal.reason as Error))
    function settle(act: () => void): void {
      queue.delete(waiter)
      waiting.remove(peer)
      signal.removeEventListener('abort', giveUp)
      act()
    }
    queue.add(waiter)
    waiting.add(peer)
    signal.addEventListener('abort', giveUp)
    return promise
  }

  return {
    inside: inside.total,
    waiting: waiting.total,
    async enter(peer, signal) {
      signal.throwIfAborted()
      const hasRoom = inside.total() < bounds.inside && inside.hasRoom(peer)
      const leave = hasRoom ? take(peer) : await queued(peer, signal)
      // Let in and gone in one turn, as all requests of a connection that breaks: whoever waits for the end of its
      // request to leave has missed it, and the place would be lost for good.
      if (signal.aborted) leave()
      signal.throwIfAborted()
      return leave
    },
  }
}

/** Counts per peer; an address with none is forgotten, so that the map stays as small as what is counted. */
function tally(perPeer: number) {
  const counts = new Map<string, number>()
  const of = (peer: string): number => counts.get(peer) ?? 0
  let total = 0
  return {
    total: () => total,
    hasRoom: (peer: string) => of(peer) < perPeer,
    add(peer: string): void {
      total += 1
      counts.set(peer, of(peer) + 1)
    },
    remove(peer: string): void {
      total -= 1
      if (of(peer) > 1) counts.set(peer, of(peer) - 1)
      else counts.delete(peer)
    },
  }
}

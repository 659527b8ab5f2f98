/**
 * Refusals that are counted rather than told one by one, so that nobody fills the disk by being refused. A count is
 * written within a second of its first refusal; what could not be written stays counted, and makes the log unhealthy.
 */
import type { Cancel, Clock } from '../clock.ts'
import type { AuditRecord, Unauthenticated } from './record.ts'

export interface TallyOptions {
  readonly clock: Clock
  readonly append: (record: AuditRecord) => Promise<void>
}

interface Counter {
  /** False from a count that could not be written to the next that could. */
  healthy(): boolean
  /** Writes what is counted, and counts no more. Never rejects. */
  close(): Promise<void>
}

export interface RefusalTally extends Counter {
  count(code: Unauthenticated, peer: string): void
}

export interface ThrottleTally extends Counter {
  count(caller: NamedCaller, code: Unauthenticated): void
}

export interface NamedCaller {
  readonly namespace: string
  readonly serviceAccount: string
}

/** How long a count waits for more, in ms. */
const WINDOW_MS = 1000
/** Peers that one record tells apart. */
const MAX_PEERS = 256
const MAX_TOP_PEERS = 5
/** Callers that one record names. */
const MAX_CALLERS = 32

type Counts = Map<Unauthenticated, number>

/** Refusals of those whom nobody could identify. */
export function refusalTally({ clock, append }: TallyOptions): RefusalTally {
  interface Tally {
    readonly counts: Counts
    readonly peers: Map<string, number>
    untold: number
  }

  function addPeer(to: Tally, peer: string, times: number): void {
    if (to.peers.has(peer) || to.peers.size < MAX_PEERS) bump(to.peers, peer, times)
    else to.untold += times
  }

  const { add, ...counter } = windowed<Tally>(clock, {
    empty: () => ({ counts: new Map(), peers: new Map(), untold: 0 }),
    merge(to, from) {
      for (const [code, times] of from.counts) bump(to.counts, code, times)
      for (const [peer, times] of from.peers) addPeer(to, peer, times)
      to.untold += from.untold
    },
    write({ counts, peers, untold }, sinceMs) {
      const top = [...peers].sort(([, a], [, b]) => b - a).slice(0, MAX_TOP_PEERS)
      return append({
        kind: 'refusals',
        timeMs: clock.now(),
        sinceMs,
        counts,
        peers: { distinct: peers.size, untold, top: top.map(([peer, count]) => ({ peer, count })) },
      })
    },
  })
  return {
    ...counter,
    count: (code, peer) =>
      add((tally) => {
        bump(tally.counts, code, 1)
        addPeer(tally, peer, 1)
      }),
  }
}

/** Refusals of identified callers beyond their limit. */
export function throttleTally({ clock, append }: TallyOptions): ThrottleTally {
  interface Tally {
    readonly callers: Map<string, NamedCaller & { readonly counts: Counts }>
    untold: number
  }

  function addCaller(to: Tally, caller: NamedCaller, counts: ReadonlyMap<Unauthenticated, number>): void {
    const { namespace, serviceAccount } = caller
    const key = `${namespace}/${serviceAccount}`
    const known = to.callers.get(key)
    if (known === undefined && to.callers.size >= MAX_CALLERS) {
      for (const times of counts.values()) to.untold += times
      return
    }
    const own: Counts = known?.counts ?? new Map()
    for (const [code, times] of counts) bump(own, code, times)
    to.callers.set(key, { namespace, serviceAccount, counts: own })
  }

  const { add, ...counter } = windowed<Tally>(clock, {
    empty: () => ({ callers: new Map(), untold: 0 }),
    merge(to, from) {
      for (const caller of from.callers.values()) addCaller(to, caller, caller.counts)
      to.untold += from.untold
    },
    write: ({ callers, untold }, sinceMs) =>
      append({ kind: 'throttled', timeMs: clock.now(), sinceMs, callers: [...callers.values()], untold }),
  })
  return {
    ...counter,
    count: (caller, code) => add((tally) => addCaller(tally, caller, new Map([[code, 1]]))),
  }
}

function bump<K>(counts: Map<K, number>, key: K, times: number): void {
  counts.set(key, (counts.get(key) ?? 0) + times)
}

interface Collected<T> {
  empty(): T
  merge(to: T, from: T): void
  write(tally: T, sinceMs: number): Promise<void>
}

function windowed<T>(clock: Clock, { empty, merge, write }: Collected<T>) {
  let tally = empty()
  let sinceMs: number | undefined
  let cancel: Cancel = () => undefined
  let failed = false
  let closed = false

  function openWindow(fromMs: number): void {
    const open = sinceMs !== undefined
    sinceMs = fromMs
    if (!open && !closed) cancel = clock.after(WINDOW_MS, () => void flush())
  }

  async function flush(): Promise<void> {
    cancel()
    if (sinceMs === undefined) return
    const told = tally
    const toldSinceMs = sinceMs
    tally = empty()
    sinceMs = undefined
    try {
      await write(told, toldSinceMs)
      failed = false
    } catch {
      failed = true
      merge(tally, told)
      openWindow(toldSinceMs)
    }
  }

  return {
    add(change: (tally: T) => void): void {
      change(tally)
      if (sinceMs === undefined) openWindow(clock.now())
    },
    healthy: () => !failed,
    close(): Promise<void> {
      closed = true
      return flush()
    },
  }
}

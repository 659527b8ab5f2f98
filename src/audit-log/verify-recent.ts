/** The hashes of the newest records, whatever their chains: a start may name one that is no longer the last of its chain. */
import type { Place } from './verify-finding.ts'

export interface Recent {
  add(instance: string, seq: number, record: RecentRecord): void
  of(instance: string, seq: number): RecentRecord | undefined
}

export interface RecentRecord {
  readonly sha256: string
  readonly at: Place
}

/** Several times what may be under way in one process when its sink fails. */
const MAX_RECENT = 8_192

export function openRecent(): Recent {
  const records = new Map<string, RecentRecord>()
  /** The keys in the order in which they came, written round and round. */
  const keys: string[] = []
  let next = 0
  return {
    add(instance, seq, record) {
      const key = keyOf(instance, seq)
      // The first that is there counts: another is a finding already, and must not take its place.
      if (records.has(key)) return
      const oldest = keys[next]
      if (oldest !== undefined) records.delete(oldest)
      keys[next] = key
      next = (next + 1) % MAX_RECENT
      records.set(key, record)
    },
    of: (instance, seq) => records.get(keyOf(instance, seq)),
  }
}

/** Tells one record of one chain from every other. */
export function keyOf(instance: string, seq: number): string {
  return `${seq} ${instance}`
}

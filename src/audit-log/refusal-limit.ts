/** How many refusals of one caller get a record of their own: a bucket of `burst`, refilled at `perSecond`. */
import type { Clock } from '../clock.ts'

export interface RefusalLimitOptions {
  readonly clock: Clock
  readonly perSecond: number
  readonly burst: number
  /** Callers remembered. The one refused longest ago is forgotten first, and starts anew. */
  readonly maxCallers: number
}

/** Whether this refusal is within its caller's limit; if it is, it has been taken off it. */
export type RefusalLimit = (caller: { readonly namespace: string; readonly serviceAccount: string }) => boolean

export function refusalLimit({ clock, perSecond, burst, maxCallers }: RefusalLimitOptions): RefusalLimit {
  // A Map keeps the order of insertion: the first is the one refused longest ago.
  const buckets = new Map<string, { left: number; atMs: number }>()

  return function within({ namespace, serviceAccount }) {
    const key = `${namespace}/${serviceAccount}`
    const nowMs = clock.now()
    const { left, atMs } = buckets.get(key) ?? { left: burst, atMs: nowMs }
    const refilled = Math.min(burst, left + (Math.max(0, nowMs - atMs) / 1000) * perSecond)
    const taken = refilled >= 1
    buckets.delete(key)
    buckets.set(key, { left: taken ? refilled - 1 : refilled, atMs: nowMs })
    forgetOldest()
    return taken
  }

  function forgetOldest(): void {
    for (const key of buckets.keys()) {
      if (buckets.size <= maxCallers) return
      buckets.delete(key)
    }
  }
}

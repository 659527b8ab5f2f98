/** A fresh chain is tried for with growing patience, until somebody mends the disk. */
import type { Cancel, Clock } from '../clock.ts'

export interface Mending {
  /** It has failed: tries after a while. */
  later(): void
  /** It works: the next failure is tried at soon. */
  worked(): void
  /** No more tries; one that is under way comes to its end. */
  stop(): void
}

const FIRST_RETRY_MS = 250
const LAST_RETRY_MS = 5_000

/** @param mend rejects where there is nothing to be had yet. */
export function mending(clock: Clock, mend: () => Promise<void>): Mending {
  let retryMs = FIRST_RETRY_MS
  let stopped = false
  let cancel: Cancel = () => undefined

  function later(): void {
    if (stopped) return
    cancel = clock.after(retryMs, () => void mend().catch(later))
    retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)
  }

  return {
    later,
    worked() {
      retryMs = FIRST_RETRY_MS
    },
    stop() {
      stopped = true
      cancel()
    },
  }
}

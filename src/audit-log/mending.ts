/** Tries for a fresh chain again and again, with growing patience, until somebody has mended the disk. */
import type { Clock } from '../clock.ts'
import { pause } from '../clock.ts'

export interface Mending {
  /** The chain has failed: the first try is after a while. */
  begin(): void
  /** A record was written: after the next failure the first try is soon again. */
  worked(): void
  /** No more tries. One that is under way comes to its end. */
  stop(): void
}

const FIRST_WAIT_MS = 250
const LAST_WAIT_MS = 5_000

/** @param mend rejects while the disk is not mended. */
export function mending(clock: Clock, mend: () => Promise<void>): Mending {
  const stopping = new AbortController()
  let waitMs = FIRST_WAIT_MS

  async function tryUntilMended(): Promise<void> {
    do {
      await pause(clock, waitMs, stopping.signal)
      waitMs = Math.min(waitMs * 2, LAST_WAIT_MS)
    } while (!(await isDone(mend())))
  }

  return {
    // It ends with a throw only once it is stopped.
    begin: () => void tryUntilMended().catch(() => undefined),
    worked() {
      waitMs = FIRST_WAIT_MS
    },
    stop: () => stopping.abort(),
  }
}

function isDone(work: Promise<void>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  )
}

/** Time that passes only when a test says so. */
import type { Clock } from '../src/clock.ts'

export interface VirtualClock extends Clock {
  /** Lets time pass: fires what falls due in order, each at its own moment, and lets promises settle after each. */
  advance(ms: number): Promise<void>
  /** Sets the wall clock without firing anything, as an operator or NTP does: forward or back. */
  set(nowMs: number): void
  /** How many timers are armed; a test of something that was closed expects none. */
  timers(): number
}

interface Timer {
  readonly dueMs: number
  readonly act: () => void
}

/** @param startMs milliseconds since the epoch */
export function virtualClock(startMs = Date.UTC(2026, 0, 15)): VirtualClock {
  let nowMs = startMs
  const timers = new Set<Timer>()

  /** The earliest due by then; of several, the one armed first. */
  function nextBy(endMs: number): Timer | undefined {
    let next: Timer | undefined
    for (const timer of timers) {
      if (timer.dueMs <= endMs && (next === undefined || timer.dueMs < next.dueMs)) next = timer
    }
    return next
  }

  return {
    now: () => nowMs,
    after(ms, act) {
      const timer = { dueMs: nowMs + ms, act }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    async advance(ms) {
      const endMs = nowMs + ms
      await settled()
      for (let timer = nextBy(endMs); timer !== undefined; timer = nextBy(endMs)) {
        timers.delete(timer)
        nowMs = Math.max(nowMs, timer.dueMs)
        timer.act()
        await settled()
      }
      nowMs = endMs
    },
    set(ms) {
      nowMs = ms
    },
    timers: () => timers.size,
  }
}

/** Resolves when every promise that can settle without time or the network has settled. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

import type { Clock } from '../../src/clock.ts'

export interface ManualClock extends Clock {
  advance(ms: number): void
  /** Timers that wait. */
  pending(): number
}

export function manualClock(startMs = 1_000_000): ManualClock {
  let time = startMs
  const timers = new Set<{ at: number; act: () => void }>()
  return {
    now: () => time,
    after(ms, act) {
      const timer = { at: time + ms, act }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    advance(ms) {
      time += ms
      for (const timer of [...timers]) {
        if (timer.at > time || !timers.delete(timer)) continue
        timer.act()
      }
    },
    pending: () => timers.size,
  }
}

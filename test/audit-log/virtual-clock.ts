import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../../src/clock.ts'

export interface VirtualClock extends Clock {
  /** Moves time on, running what falls due in its order, and lets promises settle after each. */
  advance(ms: number): Promise<void>
  /** Timers that wait. */
  waiting(): number
}

export function virtualClock(startMs = Date.UTC(2026, 10, 22)): VirtualClock {
  let nowMs = startMs
  const timers = new Set<{ readonly dueMs: number; readonly act: () => void }>()
  return {
    now: () => nowMs,
    after(ms, act) {
      const timer = { dueMs: nowMs + ms, act }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    async advance(ms) {
      const untilMs = nowMs + ms
      for (;;) {
        await settled()
        const next = [...timers].filter(({ dueMs }) => dueMs <= untilMs).sort((a, b) => a.dueMs - b.dueMs)[0]
        if (next === undefined) break
        timers.delete(next)
        nowMs = next.dueMs
        next.act()
      }
      nowMs = untilMs
    },
    waiting: () => timers.size,
  }
}

/** Lets every promise that needs no time and no disk settle. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await setImmediate()
}

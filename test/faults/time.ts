/** The time of a world, and each process's own face of it: that dies with the process, and stands still while it is stopped. */
import type { Cancel, Clock } from '../../src/clock.ts'
import { settled, virtualClock } from '../virtual-clock.ts'

export interface WorldTime extends Clock {
  /** Lets time pass until something falls due; false where nothing ever will. */
  next(): Promise<boolean>
  advance(ms: number): Promise<void>
  face(): ClockFace
}

export interface ClockFace extends Clock {
  /** No timer of it fires any more. */
  kill(): void
  /** What falls due from now on is kept until `thaw`. */
  freeze(): void
  thaw(): void
}

export function worldTime(): WorldTime {
  const virtual = virtualClock()
  const due = new Set<{ readonly atMs: number }>()

  function after(ms: number, act: () => void): Cancel {
    const timer = { atMs: virtual.now() + ms }
    due.add(timer)
    const cancel = virtual.after(ms, () => {
      due.delete(timer)
      act()
    })
    return () => {
      due.delete(timer)
      cancel()
    }
  }

  return {
    now: virtual.now,
    after,
    advance: virtual.advance,
    async next() {
      await settled()
      if (due.size === 0) return false
      const atMs = Math.min(...[...due].map((timer) => timer.atMs))
      await virtual.advance(Math.max(0, atMs - virtual.now()))
      return true
    },
    face: () => clockFace({ now: virtual.now, after }),
  }
}

function clockFace(clock: Clock): ClockFace {
  const timers = new Set<Cancel>()
  let held: (() => void)[] | undefined
  let isDead = false
  return {
    now: clock.now,
    after(ms, act) {
      if (isDead) return () => {}
      let isCancelled = false
      const fire = () => {
        if (!isCancelled && !isDead) act()
      }
      const cancelTimer = clock.after(ms, () => {
        timers.delete(cancel)
        if (held === undefined) fire()
        else held.push(fire)
      })
      const cancel = () => {
        isCancelled = true
        timers.delete(cancel)
        cancelTimer()
      }
      timers.add(cancel)
      return cancel
    },
    kill() {
      isDead = true
      for (const cancel of timers) cancel()
    },
    freeze() {
      held ??= []
    },
    thaw() {
      const late = held ?? []
      held = undefined
      for (const fire of late) fire()
    },
  }
}

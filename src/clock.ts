/** Time as an argument, so that tests own it. */

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Runs `act` once after `ms`, unless cancelled. Does not keep the process alive. */
  after(ms: number, act: () => void): Cancel
}

export type Cancel = () => void

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, act) {
    const timer = setTimeout(act, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}

/** Runs `act` every `ms` until cancelled; a run that throws or rejects is the caller's to report inside `act`. */
export function every(clock: Clock, ms: number, act: () => void): Cancel {
  let cancel = clock.after(ms, tick)
  function tick(): void {
    cancel = clock.after(ms, tick)
    act()
  }
  return () => cancel()
}

/** Waits so long. @throws the signal's reason, once it aborts. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const cancel = clock.after(ms, resolve)
  const giveUp = () => reject(signal.reason as Error)
  signal.addEventListener('abort', giveUp)
  try {
    await promise
  } finally {
    cancel()
    signal.removeEventListener('abort', giveUp)
  }
}

/** The outcome of `work`; or, if that takes longer than `ms`, of `late`. The work goes on, and nobody hears of its outcome. */
export async function withinMs<T>(clock: Clock, ms: number, work: Promise<T>, late: () => T): Promise<T> {
  const { promise: time, resolve } = Promise.withResolvers<void>()
  const cancel = clock.after(ms, resolve)
  try {
    return await Promise.race([work, time.then(late)])
  } finally {
    cancel()
  }
}

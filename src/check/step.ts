/** Bounds of the checks: each step has its time, and few calls at once, so that a service that runs notices nothing. */
import type { Clock } from '../clock.ts'
import { all, gate } from '../services/rotation/pool.ts'

const STEP_MS = 30_000
const AT_ONCE = 4

interface Bounds {
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** @param act its signal aborts when the step's time is over, or all is. */
export async function step<T>({ clock, signal }: Bounds, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const over = new AbortController()
  const cancel = clock.after(STEP_MS, () => over.abort())
  try {
    return await act(AbortSignal.any([signal, over.signal]))
  } finally {
    cancel()
  }
}

/** In the order of the items. */
export async function each<I, T>(
  bounds: Bounds,
  items: readonly I[],
  act: (item: I, signal: AbortSignal) => Promise<T>,
): Promise<readonly T[]> {
  const few = gate(AT_ONCE)
  return await step(bounds, (signal) => all(items, (item) => few(() => act(item, signal))))
}

/** Calls that may be repeated are, for a while: a rotation at three in the morning should outlast a Vault that restarts. */
import type { Clock } from '../../clock.ts'
import { pause } from '../../clock.ts'
import type { UpstreamKind } from '../../errors.ts'
import { UpstreamError } from '../../errors.ts'

/** Repeats what is safe to repeat. @throws what `act` threw last; the signal's reason once it aborts. */
export type Patience = <T>(signal: AbortSignal, act: () => Promise<T>) => Promise<T>

/** What another try may mend. `garbage` is a cut or confused answer; what is truly garbage stays so. */
const TRANSIENT: ReadonlySet<UpstreamKind> = new Set([
  'unavailable',
  'timeout',
  'throttled',
  'sealed',
  'standby',
  'garbage',
])

export function isTransient(error: unknown): boolean {
  return error instanceof UpstreamError && TRANSIENT.has(error.kind)
}

export function isKind(error: unknown, ...kinds: readonly UpstreamKind[]): boolean {
  return error instanceof UpstreamError && kinds.includes(error.kind)
}

/** @param pausesMs between two tries; when they are used up, the last failure stands. */
export function patience(clock: Clock, pausesMs: readonly number[] = PAUSES_MS): Patience {
  return async (signal, act) => {
    for (const pauseMs of pausesMs) {
      signal.throwIfAborted()
      try {
        return await act()
      } catch (error) {
        // A call that we ended ourselves says nothing of the peer.
        signal.throwIfAborted()
        if (!isTransient(error)) throw error
      }
      await pause(clock, pauseMs, signal)
    }
    signal.throwIfAborted()
    return await act()
  }
}

/** No patience: for what is asked within a request, whose deadline is shorter than any of this. */
export const ONCE: Patience = async (signal, act) => {
  signal.throwIfAborted()
  return await act()
}

const PAUSES_MS = [200, 500, 1_000, 2_000, 4_000, 8_000]

/**
 * Trying again, for as long as the budget lasts: what may pass by itself is waited for, as long as keyhole asks for or
 * longer and longer; what would be the same again is not.
 */
import { ClientError } from '../client/client-error.ts'
import type { Clock } from '../clock.ts'
import { pause } from '../clock.ts'
import { waitText } from './durations.ts'
import type { ExitCode } from './world.ts'

export interface Failure {
  readonly exit: ExitCode
  /** A code of keyhole's, a kind of ClientError, or a word of our own. */
  readonly code: string
  readonly detail: string
  /** One sentence each, where there are several. */
  readonly details?: readonly string[]
}

export type Ended<T> = { readonly done: T } | { readonly failed: Failure }

/** How one try went: it is the last one, or worth another. */
export type Tried<T> = Ended<T> | { readonly again: Retry<T> }

export interface Retry<T> {
  /** A sentence, for whoever watches. */
  readonly why: string
  /** For something to mend: longer each time. For one's turn: no longer each time, as nothing is wrong. */
  readonly waitsFor: 'mending' | 'turn'
  /** What keyhole asks for; undefined where it does not say. */
  readonly retryAfterMs?: number | undefined
  /** What it comes to where the budget leaves no time for another try. */
  readonly otherwise: Ended<T>
}

export interface Persistence {
  readonly clock: Clock
  readonly random: () => number
  /** Gives up at once. */
  readonly signal: AbortSignal
  /** When the budget is used up, in milliseconds since the epoch. */
  readonly untilMs: number
  /** Told before each wait. */
  readonly say: (text: string) => void
}

/** @throws ClientError aborted, where the signal ends a wait; and what a try throws. */
export async function persist<T>(tryOnce: () => Promise<Tried<T>>, persistence: Persistence): Promise<Ended<T>> {
  const { clock, random, signal, untilMs, say } = persistence
  for (let failures = 0; ; ) {
    const tried = await tryOnce()
    if (!('again' in tried)) return tried
    const { why, otherwise, waitsFor } = tried.again
    const waitMs = waitMsOf(tried.again, failures, random)
    if (clock.now() + waitMs >= untilMs) return otherwise
    if (waitsFor === 'mending') failures += 1
    say(`${why} Trying again in ${waitText(waitMs)}.`)
    await wait(clock, waitMs, signal)
  }
}

const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 30_000

/** @param failures how often something was to mend before. */
function waitMsOf({ waitsFor, retryAfterMs }: Retry<unknown>, failures: number, random: () => number): number {
  const backoffMs = Math.min(FIRST_WAIT_MS * 2 ** failures, LONGEST_WAIT_MS)
  if (waitsFor === 'turn') return retryAfterMs ?? backoffMs
  // From a half to the whole of it: callers that failed together should not come back together.
  const spreadMs = Math.round((backoffMs * (1 + random())) / 2)
  return Math.max(retryAfterMs ?? 0, spreadMs)
}

async function wait(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  await pause(clock, ms, signal).catch(() => {
    throw new ClientError('aborted', 'The wait was given up.')
  })
}

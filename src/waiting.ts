/**
 * Files that are not there yet, or not right yet. The kubelet and whoever issues certificates bring them in their own time,
 * and a wrong one is mended by another version of its Secret or ConfigMap, which reaches a pod that runs. So a start waits
 * for them, alive and not ready: an exit would be a crash loop, whose growing pauses notice a fix later and log less.
 */
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import type { Readable } from './starting.ts'
import { StartError, starting } from './starting.ts'

/** Told to stop before it had started: nothing was served, and nothing recorded. */
export class Stopped extends Error {
  override readonly name = 'Stopped'
}

export interface Waiting {
  /** Reads each second until it succeeds. @throws Stopped; a defect as it is. */
  until<T>(file: AwaitedFile, read: () => T | Promise<T>): Promise<T>
  /** The settings that name what is not there. */
  pending(): readonly string[]
}

export interface AwaitedFile {
  /** The setting that names it. */
  readonly setting: string
  /** What to do about it; absent where the problem says so itself. */
  readonly fix?: string
  /** What `read` throws for a file that is not there or not right. */
  readonly problem: Readable
}

export interface WaitingOptions {
  readonly clock: Clock
  readonly log: Log
  /** Ends the waiting. */
  readonly signal: AbortSignal
}

const LOOK_EVERY_MS = 1_000
const TELL_EVERY_MS = 60_000

export function waitingRoom({ clock, log, signal }: WaitingOptions): Waiting {
  const pending = new Set<string>()
  const tellOfStop = () => {
    if (pending.size > 0) log.info('stopped while it waited', { settings: [...pending].sort() })
  }
  signal.addEventListener('abort', tellOfStop, { once: true })

  async function tried<T>(file: AwaitedFile, read: () => T | Promise<T>): Promise<{ readonly found: T } | StartError> {
    try {
      return { found: await starting(file.setting, read, file.problem) }
    } catch (error) {
      if (error instanceof StartError) return error
      throw error
    }
  }

  return {
    async until(file, read) {
      const { setting, fix } = file
      const since = clock.now()
      const toldAt = new Map<string, number>()
      for (;;) {
        const outcome = await unlessStopped(signal, tried(file, read))
        if (!(outcome instanceof StartError)) {
          const seconds = Math.round((clock.now() - since) / 1_000)
          if (pending.delete(setting)) log.info('no longer waiting', { setting, seconds })
          return outcome.found
        }
        pending.add(setting)
        const { problem } = outcome
        const ageMs = clock.now() - (toldAt.get(problem) ?? Number.NEGATIVE_INFINITY)
        // Less than nothing where the clock was set back.
        if (ageMs < 0 || ageMs >= TELL_EVERY_MS) {
          log.error('waiting to start', { setting, problem, fix })
          toldAt.set(problem, clock.now())
        }
        await nextLook()
      }
    },
    pending: () => [...pending],
  }

  async function nextLook(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = clock.after(LOOK_EVERY_MS, resolve)
    await unlessStopped(signal, promise).finally(cancel)
  }
}

/** Does not wait for a read that hangs. */
async function unlessStopped<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise: stopped, reject } = Promise.withResolvers<never>()
  const stop = () => reject(new Stopped('told to stop while it waited for its files'))
  signal.addEventListener('abort', stop)
  if (signal.aborted) stop()
  try {
    return await Promise.race([stopped, work])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

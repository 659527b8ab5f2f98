/** What a verb is given of the outside: main.ts gives the process's own, a test its own. */
import type { Readable } from 'node:stream'
import type { Clock } from '../clock.ts'

export interface World {
  readonly environment: Environment
  /** Absent where a verb is not to read any. */
  readonly stdin?: Readable & { readonly isTTY?: boolean }
  readonly stdout: Output
  readonly stderr: Output
  /** Its timers keep the process alive. */
  readonly clock: Clock
  /** Between 0 and 1: spreads retries. */
  readonly random: () => number
  /** Nobody else's: names one invocation. */
  readonly newId: () => string
  /** Aborts on SIGINT and SIGTERM. */
  readonly signal: AbortSignal
}

export type Environment = Readonly<Record<string, string | undefined>>

/** As much of process.stdout as is used. */
export interface Output {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

/** A verb; resolves with the exit code. */
export type Verb = (args: readonly string[], world: World) => Promise<ExitCode>

export const EXIT = {
  /** Everything is as it was asked for. */
  done: 0,
  /** The command line or the environment is wrong; nothing was asked of anyone. */
  usage: 1,
  /** No usable answer in time: the same command may succeed later. */
  unavailable: 2,
  /** It ended, and something is not where it should be. */
  incomplete: 3,
  /** keyhole refuses, and would again. */
  refused: 4,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** What the process brings, and tests replace. */
import type { Writable } from 'node:stream'
import type { Clock } from './clock.ts'
import type { SendDecorator } from './external/send.ts'
import type { Log } from './log.ts'

export interface Surroundings {
  readonly clock: Clock
  readonly log: Log
  /** So many random bytes. */
  readonly random: (bytes: number) => Buffer
  /** A fresh UUID for a request. */
  readonly requestId: () => string
  /** Where `KEYHOLE_AUDIT=stdout` writes. */
  readonly stdout: Writable
  readonly versions: { readonly keyhole: string; readonly node: string }
  /** Wraps every call that leaves: recorders and faults of tests. */
  readonly decorate?: SendDecorator
  /** Aborted: a start that still waits for its files is given up, and a stop lets clients come once more. */
  readonly stopping?: AbortSignal
}

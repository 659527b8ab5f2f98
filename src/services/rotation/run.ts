/**
 * Rotations, one at a time. A run is the process's: a caller starts it, watches, and may leave. It has a budget of its own,
 * and ends early, in good order, when the process is told to stop.
 */
import type { Cancel, Clock } from '../../clock.ts'
import type { Retire, RotationEvent, RotationMode, RotationReport, RotationStatus } from '../../contract.ts'
import { KeyholeError } from '../../errors.ts'
import type { RotationGrant } from '../authorize.ts'
import type { RotateAll } from './all-keys.ts'
import { dryRunner } from './dry-run.ts'
import type { Effects } from './effects.ts'
import type { Foresee } from './foresee.ts'
import type { Journal } from './journal.ts'
import type { Idempotency } from './journal-state.ts'
import type { Keys } from './keys.ts'
import type { Ledger } from './ledger.ts'
import { openPlaces } from './places.ts'
import { realRunner } from './real-run.ts'
import { recencyGuard } from './recent.ts'
import { preparer } from './start.ts'
import { statusTeller } from './status.ts'
import type { Survey } from './survey.ts'

export interface Order {
  readonly mode: RotationMode
  readonly retire: Retire
  readonly dryRun: boolean
  readonly idempotency?: Idempotency | undefined
}

/** A rotation that is ready to begin, and has the Lease; disposing of it gives that back. */
export interface Started extends Disposable {
  readonly grant: RotationGrant
  readonly id: string
  /** It runs already, or is over: this is the same request once more. */
  readonly joined: boolean
  begin(): Run
}

export interface Run {
  readonly id: string
  readonly keys: readonly string[]
  readonly dryRun: boolean
  /** Steps from now on; returns how to stop listening. */
  listen(listener: (event: RotationEvent) => void): () => void
  /** @throws KeyholeError AUDIT_UNAVAILABLE: its end has no record. */
  readonly report: Promise<RotationReport>
}

export interface Rotations {
  /** @throws KeyholeError ROTATION_IN_PROGRESS, ROTATED_RECENTLY, IDEMPOTENCY_KEY_REUSED, LEASE_UNUSABLE, KUBERNETES_UNAVAILABLE. */
  start(grant: RotationGrant, order: Order, signal: AbortSignal): Promise<Started>
  status(grant: RotationGrant, signal: AbortSignal): Promise<RotationStatus>
  /** What has begun is finished; nothing else begins. */
  halt(): void
  /** Halts, and resolves once nothing runs. */
  close(): Promise<void>
}

export interface RotationOptions {
  readonly journal: Journal
  readonly rotateAll: RotateAll
  readonly foresee: Foresee
  readonly keys: Keys
  readonly survey: Pick<Survey, 'outdated'>
  readonly ledger: Ledger
  readonly effects: Effects
  readonly clock: Clock
  /** A fresh UUID for a rotation. */
  readonly newId: () => string
  readonly budgetMs: number
  /** Once told to stop, how long a Lease that cannot be given back is tried to be. */
  readonly drainMs: number
  /** Told why a key went no further, for the log. */
  readonly failed: (failure: KeyholeError, rotation: string) => void
  readonly halting: AbortController
}

export function rotations(options: RotationOptions): Rotations {
  const { clock, halting, drainMs } = options
  const drained = new AbortController()
  const givenUp = drained.signal
  let cancelDrain: Cancel = () => {}
  const places = openPlaces()
  const prepare = preparer({
    ...options,
    givenUp,
    recency: recencyGuard(options),
    realRun: realRunner({ ...options, givenUp }),
    dryRun: dryRunner({ ...options, halt: halting.signal }),
  })

  async function start(grant: RotationGrant, order: Order, signal: AbortSignal): Promise<Started> {
    if (halting.signal.aborted) throw new KeyholeError('OVERLOADED', { why: 'stopping' })
    // One that is over is told of once more, by the process that remembers it.
    const known = places.runOf(
      order,
      grant.keys.map(({ transitKey }) => transitKey.name),
    )
    if (known !== undefined) return joining(grant, known)
    const place = places.take(order)
    try {
      return await prepare({ grant, order, place }, signal)
    } catch (error) {
      place.leave()
      throw error
    }
  }

  function halt(): void {
    if (halting.signal.aborted) return
    halting.abort(new KeyholeError('ROTATION_INCOMPLETE', { why: 'stopping', fix: STOPPING }))
    cancelDrain = clock.after(drainMs, () => drained.abort())
  }

  async function close(): Promise<void> {
    halt()
    await Promise.allSettled(places.runs().map(({ report }) => report))
    cancelDrain()
    drained.abort()
  }

  return { start, status: statusTeller(options), halt, close }
}

const STOPPING = 'keyhole was told to stop. Rotate again: it goes on where this one stopped.'

function joining(grant: RotationGrant, run: Run): Started {
  return { grant, id: run.id, joined: true, begin: () => run, [Symbol.dispose]() {} }
}

/**
 * How a Lease that is ours is written: by compare-and-swap, again and again, until it is written or names somebody else.
 * What was sent and not answered may have been written, so it is looked for before it is sent once more.
 */
import type { Clock } from '../../clock.ts'
import { pause } from '../../clock.ts'
import { leaseRefusal } from './lease-refusal.ts'
import { isTransient } from './patience.ts'
import type { LeaseName, LeaseRecord, Leases } from './ports.ts'

/**
 * Writes what `change` makes of the Lease as it was found last; undefined where it is ours no more.
 * @param retrying whatever follows the first try is done under this signal; default: under the same.
 * @throws the signal's reason; KeyholeError LEASE_UNUSABLE, KUBERNETES_UNAVAILABLE.
 */
export type WriteLease = (
  change: (lease: LeaseRecord) => LeaseRecord,
  signal: AbortSignal,
  retrying?: AbortSignal,
) => Promise<LeaseRecord | undefined>

export interface LeaseWriterOptions {
  readonly leases: Leases
  readonly name: LeaseName
  readonly clock: Clock
  readonly holder: string
}

const RETRY_MS = 500

/** @param taken the Lease as it was taken. */
export function leaseWriter({ leases, name, clock, holder }: LeaseWriterOptions, taken: LeaseRecord): WriteLease {
  let latest = taken

  async function lookAgain(signal: AbortSignal): Promise<LeaseRecord | undefined> {
    for (;;) {
      const answer = await unlessTransient(signal, async () => ({ found: await leases.readLease(name, signal) }))
      if (answer !== undefined) return answer.found
    }
  }

  /** Undefined, a while later, where another try may do. */
  async function unlessTransient<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T | undefined> {
    try {
      return await act()
    } catch (error) {
      signal.throwIfAborted()
      if (!isTransient(error)) throw leaseRefusal(error)
      await pause(clock, RETRY_MS, signal)
      return undefined
    }
  }

  return async function write(change, first, retrying = first) {
    for (let signal = first; ; signal = retrying) {
      signal.throwIfAborted()
      const written = await unlessTransient(retrying, () => leases.writeLease(name, change(latest), signal))
      if (written !== undefined && written !== 'conflict') {
        latest = written
        return written
      }
      const found = await lookAgain(retrying)
      if (found?.holder !== holder) return undefined
      latest = found
    }
  }
}

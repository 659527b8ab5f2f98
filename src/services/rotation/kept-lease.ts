/**
 * A Lease that is ours, until it is given back or lost: because somebody else took it, or because it could not be renewed in
 * time. Whichever it is, nothing is written any more, and what runs under it ends.
 */
import { KeyholeError } from '../../errors.ts'
import { leaseTimers } from './lease-timers.ts'
import type { LeaseWriterOptions } from './lease-writer.ts'
import { leaseWriter } from './lease-writer.ts'
import type { LeaseRecord } from './ports.ts'

export interface KeptLease {
  /** Aborts once it is lost or given back, or the signal it is kept under aborts. */
  readonly signal: AbortSignal
  /** Of the last write that is known of, in epoch ms. */
  renewedAtMs(): number
  /** @throws KeyholeError ROTATION_IN_PROGRESS when it is ours no more; as WriteLease does. */
  write(change: (lease: LeaseRecord) => LeaseRecord): Promise<void>
  /** Leaves it as `change` makes it. Retried while the Lease is ours; after `givenUp`, tried once. Never rejects. */
  release(change: (lease: LeaseRecord) => LeaseRecord, givenUp: AbortSignal): Promise<void>
}

export interface KeepOptions extends LeaseWriterOptions {
  readonly durationMs: number
  readonly signal: AbortSignal
  /** Called when it is time to write it once more. */
  readonly renew: () => void
}

/** @param first the Lease as it was taken. */
export function keepLease({ durationMs, signal, renew, ...options }: KeepOptions, first: LeaseRecord): KeptLease {
  const over = new AbortController()
  const expired = new AbortController()
  const until = AbortSignal.any([signal, over.signal])
  const timers = leaseTimers({ clock: options.clock, durationMs, renew, expire })
  const rewrite = leaseWriter(options, first)
  let { renewedAtMs } = first

  function end(why: 'lease-taken' | 'lease-expired' | 'lease-given-back'): KeyholeError {
    const error = new KeyholeError('ROTATION_IN_PROGRESS', { why })
    over.abort(error)
    return error
  }

  function lose(why: 'lease-taken' | 'lease-expired'): KeyholeError {
    timers.stop()
    return end(why)
  }

  function expire(): void {
    expired.abort()
    lose('lease-expired')
  }

  timers.arm(renewedAtMs)
  return {
    signal: until,
    renewedAtMs: () => renewedAtMs,
    async write(change) {
      const written = await rewrite(change, until)
      if (written === undefined) throw lose('lease-taken')
      renewedAtMs = written.renewedAtMs
      if (!over.signal.aborted) timers.arm(renewedAtMs)
    },
    async release(change, givenUp) {
      if (over.signal.aborted) return
      timers.renewNoMore()
      end('lease-given-back')
      // Not under the signal of what ran under it: what ends because its budget is spent gives the Lease back as well.
      await rewrite(change, expired.signal, AbortSignal.any([expired.signal, givenUp])).catch(() => {})
      timers.stop()
    },
  }
}

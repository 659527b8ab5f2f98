/** When a Lease is to be renewed, and when it has run out. */
import type { Cancel, Clock } from '../../clock.ts'

export interface LeaseTimers {
  /** Counts from a write on; what was armed before is off. */
  arm(renewedAtMs: number): void
  /** It still runs out. */
  renewNoMore(): void
  stop(): void
}

export interface LeaseTimersOptions {
  readonly clock: Clock
  readonly durationMs: number
  readonly renew: () => void
  readonly expire: () => void
}

export function leaseTimers({ clock, durationMs, renew, expire }: LeaseTimersOptions): LeaseTimers {
  let cancelRenewal: Cancel = () => {}
  let cancelExpiry: Cancel = () => {}

  function stop(): void {
    cancelRenewal()
    cancelExpiry()
  }

  return {
    arm(renewedAtMs) {
      stop()
      cancelRenewal = clock.after(durationMs / 3, renew)
      cancelExpiry = clock.after(renewedAtMs + durationMs - clock.now(), expire)
    },
    renewNoMore: () => cancelRenewal(),
    stop,
  }
}

/** Clocks: tokens are judged by ours, and two rotators by theirs. */
import { MAX_SKEW_MS } from '../services/rotation/journal.ts'
import type { CheckName, Finding } from './finding.ts'
import { ok, toFix } from './finding.ts'
import type { Peer } from './ports.ts'

export function* clock(check: CheckName, { skewMs }: Peer): Generator<Finding> {
  const skew = skewMs()
  if (skew === undefined) return yield { check, status: 'skip', detail: 'no answer said what time it is there' }
  const seconds = Math.round(Math.abs(skew) / 1000)
  const told = seconds < 2 ? 'no difference' : `this clock is ${seconds} s ${skew > 0 ? 'behind' : 'ahead'}`
  if (Math.abs(skew) <= MAX_SKEW_MS) yield ok(check, told)
  else yield toFix(check, told, 'have the nodes keep time (NTP): tokens are judged, and Leases held, by these clocks')
}

/** The turns of one key: what an earlier rotation left unfinished comes first, then what is asked, if that is not done by it. */
import type { KeyReport } from '../../contract.ts'
import type { KeyholeError } from '../../errors.ts'
import type { Reached } from './key-report.ts'
import { recentForMs } from './plan.ts'
import type { Wanted } from './wanted.ts'

/** What a turn came to, or would come to. */
export interface Rotated {
  readonly report: KeyReport
  readonly reached: Reached
  /** Why it went no further. */
  readonly failure?: KeyholeError
}

/**
 * @param wanted called for each turn, since each has a tally of its own.
 * @param turn finishes the intent that stands on the Lease, if there is one; otherwise it does what is asked. Never rejects.
 */
export async function inTurn<T extends Rotated>(
  wanted: () => Wanted,
  turn: (asked: Wanted, finished?: T) => Promise<T>,
  now: () => number,
): Promise<readonly T[]> {
  const asked = wanted()
  const first = await turn(asked)
  const isFailed = first.failure !== undefined
  return isFailed || satisfies(first, asked, now()) ? [first] : [first, await turn(wanted(), first)]
}

/**
 * Whether finishing the old intent already satisfies this request. The intent may be a month old, or somebody's invention, so
 * it counts as a rotation only if Vault made a version lately. With `retire: now` a recent version is not enough: it may be the
 * compromised one.
 */
function satisfies({ reached: { intended, advanced } }: Rotated, asked: Wanted, nowMs: number): boolean {
  if (!intended?.isResumed) return true
  if (intended.wanted.retire !== asked.retire) return false
  if (asked.mode === 'rewrap' || advanced?.version === 'made') return true
  return asked.retire !== 'now' && recentForMs(asked.transitKey, intended.info, nowMs) > 0
}

/** What a rotation would do to each key that is asked for. It changes nothing, so that it needs neither Lease nor record. */
import type { Clock } from '../../clock.ts'
import type { KeyReport, RotationReport } from '../../contract.ts'
import { KeyholeError } from '../../errors.ts'
import type { Work } from './all-keys.ts'
import { wantedOf } from './all-keys.ts'
import type { Foresee, Foreseen, Outlook } from './foresee.ts'
import { inTurn } from './in-turn.ts'
import { reportOf } from './report.ts'

/** Never rejects. */
export type DryRun = (before: Pick<Outlook, 'state' | 'refusal'>, work: Work) => Promise<RotationReport>

export interface DryRunOptions {
  readonly foresee: Foresee
  readonly clock: Clock
  readonly budgetMs: number
  readonly halt: AbortSignal
  /** Told why a key went no further, for the log. */
  readonly failed: (failure: KeyholeError, rotation: string) => void
}

export function dryRunner({ foresee, clock, budgetMs, halt, failed }: DryRunOptions): DryRun {
  return async function dryRun(before, work) {
    const startedAtMs = clock.now()
    const ending = new AbortController()
    const cancel = clock.after(budgetMs, () => ending.abort(new KeyholeError('ROTATION_INCOMPLETE')))
    const signal = AbortSignal.any([ending.signal, halt])
    const reports: KeyReport[] = []
    for (const key of work.grant.keys) {
      const turns = await inTurn<Foreseen>(
        () => wantedOf(work, key),
        (asked, finished) => foresee(asked, { ...before, finished }, signal),
        clock.now,
      )
      for (const { report, failure } of turns) {
        reports.push(report)
        if (failure !== undefined) failed(failure, work.rotating.id)
      }
    }
    cancel()
    return reportOf(work, { startedAtMs, finishedAtMs: clock.now() }, reports)
  }
}

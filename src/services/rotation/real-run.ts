/** A rotation from its begin to its end in the audit log, within its budget, and the Lease given back whatever became of it. */
import type { Clock } from '../../clock.ts'
import type { KeyReport, RotationReport } from '../../contract.ts'
import { KeyholeError } from '../../errors.ts'
import type { RotationGrant } from '../authorize.ts'
import type { RotateAll, Work } from './all-keys.ts'
import type { Effects } from './effects.ts'
import type { Claim } from './journal.ts'
import type { Keys } from './keys.ts'
import { countsOf, lastOf } from './last.ts'
import { reportOf } from './report.ts'
import type { Survey } from './survey.ts'

/** The Lease, taken for one run. */
export interface Held {
  readonly claim: Claim
  /** What runs under the claim ends with it. */
  readonly ending: AbortController
  /** What was found on the Lease is not believed. */
  readonly garbled: boolean
}

/** @throws KeyholeError AUDIT_UNAVAILABLE: its begin or its end has no record. */
export type RealRun = (held: Held, work: Work) => Promise<RotationReport>

export interface RealRunOptions {
  readonly rotateAll: RotateAll
  readonly keys: Keys
  readonly survey: Pick<Survey, 'outdated'>
  readonly effects: Effects
  readonly clock: Clock
  readonly budgetMs: number
  /** Aborts when there is no time left to give the Lease back. */
  readonly givenUp: AbortSignal
}

export function realRunner({ rotateAll, keys, survey, effects, clock, budgetMs, givenUp }: RealRunOptions): RealRun {
  async function begin({ garbled }: Held, { rotating, grant }: Work): Promise<void> {
    await effects.tell(rotating, { phase: 'begin', transitKeys: namesOf(grant) })
    if (garbled) await effects.tell(rotating, { phase: 'discarded', transitKeys: [], why: 'garbled' })
  }

  async function end({ rotating, grant }: Work, { complete, keys: reports }: RotationReport): Promise<void> {
    const secrets = countsOf(reports)
    await effects.tell(rotating, { phase: 'end', transitKeys: namesOf(grant), complete, secrets })
  }

  async function giveBack({ claim }: Held, { rotating, order }: Work, reports: readonly KeyReport[]): Promise<void> {
    survey.outdated()
    // A change that is still on its way must not outlive the Lease that it was asked for under.
    await keys.settled(NEVER)
    const last = lastOf({ id: rotating.id, order, finishedAtMs: clock.now(), reports })
    // One that could not begin did nothing: the one before it stays the last.
    await claim.release((state) => (reports.length === 0 ? state : { ...state, last }), givenUp)
  }

  return async function realRun(held, work) {
    const startedAtMs = clock.now()
    const cancel = clock.after(budgetMs, () => held.ending.abort(overBudget()))
    let reports: readonly KeyReport[] = []
    try {
      await begin(held, work)
      reports = await rotateAll(held.claim, work)
      const report = reportOf(work, { startedAtMs, finishedAtMs: clock.now() }, reports)
      await end(work, report)
      return report
    } catch (error) {
      throw reports.length === 0 ? error : withoutRecord(error)
    } finally {
      cancel()
      await giveBack(held, work, reports)
    }
  }
}

const NEVER = new AbortController().signal
const OVER_BUDGET = 'The rotation took longer than its budget. Rotate again: it goes on where this one stopped.'

function overBudget(): KeyholeError {
  return new KeyholeError('ROTATION_INCOMPLETE', { why: 'budget-spent', fix: OVER_BUDGET })
}

/** Its report cannot leave without a record; what it did is not undone, so its caller has to know that it may have. */
function withoutRecord(error: unknown): unknown {
  if (!(error instanceof KeyholeError) || error.code !== 'AUDIT_UNAVAILABLE') return error
  return new KeyholeError('AUDIT_UNAVAILABLE', { why: 'audit-record-not-written', detail: STOPPED, cause: error })
}

const STOPPED =
  'The audit record could not be written, so the rotation stopped, and its report is withheld. What was changed until then stays changed: a new version, and each Secret that was moved. Once the audit log works, GET /rotate shows how every Secret stands, and the next rotation goes on where this one stopped.'

function namesOf({ keys }: RotationGrant): readonly string[] {
  return keys.map(({ transitKey }) => transitKey.name)
}

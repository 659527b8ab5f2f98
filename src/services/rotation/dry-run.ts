/** What a rotation would do to each key that is asked for. It changes nothing, so that it needs neither Lease nor record. */
import type { Clock } from '../../clock.ts'
import type { KeyReport, RotationReport } from '../../contract.ts'
import { asKeyholeError, KeyholeError } from '../../errors.ts'
import type { RotatableKey } from '../authorize.ts'
import type { Work } from './all-keys.ts'
import { askedOf, comesTo, wantedOf } from './all-keys.ts'
import { droppedOf } from './dropped.ts'
import type { Foresee } from './foresee.ts'
import { disbelief } from './intend.ts'
import type { JournalState } from './journal-state.ts'
import { intentFor } from './journal-state.ts'
import type { Keys } from './keys.ts'
import { recentForMs } from './plan.ts'
import { reportOf } from './report.ts'
import type { Wanted } from './wanted.ts'

export interface Before {
  /** What the Lease remembers. */
  readonly state: JournalState
  /** The rotation itself would be refused with it, as things stand. */
  readonly refusal: KeyholeError | undefined
}

/** Never rejects. */
export type DryRun = (before: Before, work: Work) => Promise<RotationReport>

export interface DryRunOptions {
  readonly keys: Pick<Keys, 'read'>
  readonly foresee: Foresee
  readonly clock: Clock
  readonly budgetMs: number
  readonly halt: AbortSignal
  /** Told why a key went no further, for the log. */
  readonly failed: (failure: KeyholeError, rotation: string) => void
}

export function dryRunner({ keys, foresee, clock, budgetMs, halt, failed }: DryRunOptions): DryRun {
  /** Told of each key in the order in which a rotation would: what is unfinished first. */
  async function foreseen(
    work: Work,
    key: RotatableKey,
    { state, refusal }: Before,
    signal: AbortSignal,
  ): Promise<readonly KeyReport[]> {
    const { transitKey, secrets } = key
    const dropped = droppedOf(state, transitKey.name, secrets, clock.now())
    const reports: KeyReport[] = []
    const asked = askedOf(work, key)
    let current = asked
    try {
      let info = await keys.read(transitKey, signal)
      const intent = intentFor(state, transitKey.name)
      let broughtTo: number | undefined
      if (intent !== undefined && disbelief(intent, transitKey, info) === undefined) {
        current = wantedOf(work, key, intent)
        info = await foresee(current, { info, intent, dropped }, signal)
        reports.push(current.draft.report())
        if (await comesTo(current, asked, async () => recentForMs(transitKey, info, clock.now()) > 0)) return reports
        broughtTo = intent.target
        current = asked
      }
      await foresee(asked, { info, broughtTo, dropped }, signal)
      if (refusal !== undefined) keepsEverything(asked)
      return [...reports, asked.draft.report(refusal)]
    } catch (error) {
      const failure = asKeyholeError(error)
      failed(failure, work.rotating.id)
      return [...reports, current.draft.report(failure)]
    }
  }

  return async function dryRun(before, work) {
    const startedAtMs = clock.now()
    const ending = new AbortController()
    const cancel = clock.after(budgetMs, () => ending.abort(new KeyholeError('ROTATION_INCOMPLETE')))
    const signal = AbortSignal.any([ending.signal, halt])
    const reports: KeyReport[] = []
    for (const key of work.grant.keys) reports.push(...(await foreseen(work, key, before, signal)))
    cancel()
    return reportOf(work, { startedAtMs, finishedAtMs: clock.now() }, reports)
  }
}

/** What is refused comes to no retirement. How the Secrets stand is worth telling all the same. */
function keepsEverything({ draft: { known } }: Wanted): void {
  delete known.retirement
  delete known.minDecryptionVersion
}

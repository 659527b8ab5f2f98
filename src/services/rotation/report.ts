/** What a run that is over came to, for whoever asked for it. */
import type { KeyReport, RotationReport } from '../../contract.ts'
import type { Work } from './all-keys.ts'

export interface Span {
  readonly startedAtMs: number
  readonly finishedAtMs: number
}

export function reportOf(
  { order, rotating }: Work,
  { startedAtMs, finishedAtMs }: Span,
  keys: readonly KeyReport[],
): RotationReport {
  const { mode, retire, dryRun } = order
  return {
    type: 'report',
    id: rotating.id,
    mode,
    retire,
    dryRun,
    complete: keys.every(({ complete }) => complete),
    startedAt: new Date(startedAtMs).toISOString(),
    finishedAt: new Date(finishedAtMs).toISOString(),
    keys,
  }
}

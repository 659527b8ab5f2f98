/** What a look at every Transit key found that keeps it from being rotated, told when it changes. keyhole check names the Secrets. */
import type { LedgerEntry } from './contract.ts'
import type { Log } from './log.ts'

/** The part of a survey that is told. */
export interface SurveyedKeys {
  readonly entries: ReadonlyMap<string, LedgerEntry>
}

export function surveyLog(log: Log): (surveyed: SurveyedKeys) => void {
  let told: ReadonlyMap<string, string> = new Map()
  return ({ entries }) => {
    const found = new Map<string, string>()
    for (const [transitKey, { failure, blocked }] of entries) {
      const codes = countsOf(blocked.map(({ code }) => code))
      const state = failure?.code ?? codes.join(' ')
      found.set(transitKey, state)
      if (state === (told.get(transitKey) ?? '')) continue
      if (failure !== undefined) {
        log.warn('transit key cannot be rotated', { transitKey, code: failure.code, fix: failure.detail })
      } else if (codes.length > 0) {
        log.warn('Secrets of this transit key cannot be moved', { transitKey, blocked: codes, fix: FIX })
      } else {
        log.info('transit key can be rotated again', { transitKey })
      }
    }
    told = found
  }
}

const FIX = 'keyhole check names them and says what to do about each, and so does GET /rotate'

/** `UNREADABLE: 2`, by code. */
function countsOf(codes: readonly string[]): readonly string[] {
  const counts = new Map<string, number>()
  for (const code of codes.toSorted()) counts.set(code, (counts.get(code) ?? 0) + 1)
  return [...counts].map(([code, count]) => `${code}: ${count}`)
}

/** The survey that GET /rotate answers with: a new one, or the last where a new one takes longer than a request may wait. */
import type { Clock } from '../../clock.ts'
import type { TransitKeyInfo } from './ports.ts'
import type { Survey, Surveyed } from './survey.ts'

/**
 * Never from before a rotation that is over, whichever process it was of. So the ledger of a large estate, or of one whose API server
 * is slow, is old rather than never told.
 */
export type Ledger = (facts: Facts, signal: AbortSignal) => Promise<Surveyed>

/** What each request knows anyway, from the keys themselves and from the Lease. */
export interface Facts {
  readonly keys: readonly KeyFacts[]
  readonly lastRotationEndedMs: number | undefined
}

export interface KeyFacts {
  /** Of the TransitKey. */
  readonly name: string
  /** Undefined where Vault does not tell. */
  readonly info: Pick<TransitKeyInfo, 'latestVersion' | 'minDecryptionVersion'> | undefined
}

export interface LedgerOptions {
  readonly survey: Survey
  readonly clock: Clock
  readonly patienceMs: number
}

export function ledger({ survey, clock, patienceMs }: LedgerOptions): Ledger {
  async function fresh(facts: Facts, signal: AbortSignal): Promise<Surveyed> {
    const found = await survey.recent(signal)
    if (!isBehind(found, facts)) return found
    survey.outdated()
    return await survey.recent(signal)
  }

  function isBehind({ beganMs, entries }: Surveyed, { keys, lastRotationEndedMs }: Facts): boolean {
    // Whoever may edit Leases may have written tomorrow.
    const endedMs = lastRotationEndedMs ?? Number.NEGATIVE_INFINITY
    return (beganMs < endedMs && endedMs <= clock.now()) || keys.some((key) => hasChanged(entries, key))
  }

  return async function ledgerFor(facts, signal) {
    const before = survey.last()
    const surveyed = fresh(facts, signal)
    if (before === undefined || isBehind(before, facts) || !isComplete(before, facts)) return await surveyed
    const late = Promise.withResolvers<Surveyed>()
    const cancel = clock.after(patienceMs, () => late.resolve(before))
    try {
      return await Promise.race([surveyed, late.promise])
    } finally {
      cancel()
    }
  }
}

/** What the survey could not tell of a key, it is not behind with. */
function hasChanged(entries: Surveyed['entries'], { name, info }: KeyFacts): boolean {
  const { latestVersion, minDecryptionVersion } = entries.get(name) ?? {}
  if (info === undefined || latestVersion === undefined) return false
  return info.latestVersion !== latestVersion || info.minDecryptionVersion !== minDecryptionVersion
}

/** Whether it has an entry of each key, and is not about a failure that is over. */
function isComplete({ entries }: Surveyed, { keys }: Facts): boolean {
  return keys.every(({ name, info }) => {
    const entry = entries.get(name)
    return entry !== undefined && (entry.failure === undefined || info === undefined)
  })
}

/** The survey that GET /rotate answers with: a new one, or the last where a new one takes longer than a request may wait. */
import type { Clock } from '../../clock.ts'
import { withinMs } from '../../clock.ts'
import type { TransitKeyInfo } from './ports.ts'
import type { Survey, Surveyed } from './survey.ts'

/**
 * Never from before a rotation that is known to be over, whichever process it was of, nor of another policy. So the ledger of a large
 * estate, or of one whose API server is slow, is old rather than never told.
 */
export type Ledger = (facts: Facts, signal: AbortSignal) => Promise<Surveyed>

/** What each request knows anyway, from the keys themselves, the Lease and the policy. */
export interface Facts {
  readonly keys: readonly KeyFacts[]
  /** Of the last rotation that the Lease remembers. */
  readonly lastRotation: string | undefined
  readonly policyHash: string
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
  let lastRotation: string | undefined
  /** By this clock: that of the process which rotated may be another. */
  let seenMs = Number.NEGATIVE_INFINITY

  function note(rotation: string | undefined): void {
    if (rotation === lastRotation) return
    lastRotation = rotation
    seenMs = clock.now()
  }

  /** Whether something has happened since that the survey does not know of. */
  function isBehind({ beganMs, policyHash, entries }: Surveyed, facts: Facts): boolean {
    const isOlder = beganMs <= seenMs || policyHash !== facts.policyHash
    return isOlder || facts.keys.some((key) => hasGrown(entries, key))
  }

  return async function ledgerFor(facts, signal) {
    note(facts.lastRotation)
    const before = survey.lastUsable()
    let isAnswered = false
    async function fresh(): Promise<Surveyed> {
      const found = await survey.recent(signal)
      return isAnswered || !isBehind(found, facts) ? found : await survey.next(signal)
    }
    const surveyed = fresh()
    if (before === undefined || isBehind(before, facts) || !isComplete(before, facts)) return await surveyed
    return await withinMs(clock, patienceMs, surveyed, () => {
      isAnswered = true
      return before
    })
  }
}

/** Versions and minimum only ever grow. What the survey could not tell of a key, it is not behind with. */
function hasGrown(entries: Surveyed['entries'], { name, info }: KeyFacts): boolean {
  const { latestVersion, minDecryptionVersion } = entries.get(name) ?? {}
  if (info === undefined || latestVersion === undefined || minDecryptionVersion === undefined) return false
  return latestVersion < info.latestVersion || minDecryptionVersion < info.minDecryptionVersion
}

/** Whether it has an entry of each key, and is not about a failure that is over. */
function isComplete({ entries }: Surveyed, { keys }: Facts): boolean {
  return keys.every(({ name, info }) => {
    const entry = entries.get(name)
    return entry !== undefined && (entry.failure === undefined || info === undefined)
  })
}

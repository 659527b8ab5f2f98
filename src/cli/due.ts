/**
 * Which keys are due. A key is by its age; and, whatever its age, where Secrets rest under an older version than its newest,
 * or cannot be moved: a rotation that stopped half-way, or left something to a person, has made the version already, and its
 * rerun must not find that nothing is due.
 */
import type { LedgerEntry } from '../contract.ts'
import { mayPass } from './codes.ts'

export interface Due {
  /** The newest version is older: makes a new one. */
  readonly old: readonly string[]
  /** Young, but Secrets were left behind: moves them. */
  readonly behind: readonly string[]
  readonly young: readonly Aged[]
  /** Vault did not tell the age. */
  readonly unknown: readonly Unknown[]
  /** Asked for, and not among what the caller may rotate. */
  readonly strangers: readonly string[]
}

export interface Aged {
  readonly key: string
  readonly latestCreatedAt: string
  readonly ageMs: number
}

export interface Unknown {
  readonly key: string
  readonly code: string
  readonly detail: string
  /** Asking again may help. */
  readonly isPassing: boolean
}

/** @param asked empty: all of the ledger. */
export function whatIsDue(
  ledger: readonly LedgerEntry[],
  asked: readonly string[],
  olderThanMs: number,
  nowMs: number,
): Due {
  const entries = ledger.filter(({ key }) => asked.length === 0 || asked.includes(key))
  const old: string[] = []
  const behind: string[] = []
  const young: Aged[] = []
  const unknown: Unknown[] = []
  for (const entry of entries) {
    const { key, latestCreatedAt } = entry
    if (latestCreatedAt === undefined) {
      unknown.push(unknownOf(entry))
      continue
    }
    const ageMs = nowMs - Date.parse(latestCreatedAt)
    if (ageMs >= olderThanMs) old.push(key)
    else if (entry.drift.length > 0 || entry.blocked.length > 0) behind.push(key)
    else young.push({ key, latestCreatedAt, ageMs })
  }
  const strangers = asked.filter((name) => !entries.some(({ key }) => key === name))
  return { old, behind, young, unknown, strangers }
}

function unknownOf({ key, failure }: LedgerEntry): Unknown {
  const { code, detail } = failure ?? {
    code: 'AGE_UNKNOWN',
    detail: 'Vault did not tell when its newest version was made.',
  }
  return { key, code, detail, isPassing: failure !== undefined && mayPass(code) }
}

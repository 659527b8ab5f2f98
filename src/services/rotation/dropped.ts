/**
 * Secrets that have just left the policy. Whoever drops a grant by mistake should find that its Secret still opens, so
 * for a while they keep old versions from being retired.
 */
import { createHash } from 'node:crypto'
import type { SecretUnder } from '../../policy/secrets-under.ts'
import type { JournalState, Known } from './journal-state.ts'
import { DIGEST_CHARS, digestsIn } from './journal-state.ts'
import { idOf } from './secret-tally.ts'

/** How long a Secret that left the policy counts. */
const DROPPED_FOR_MS = 7 * 86_400_000
/** Stands for the Secrets that were too many to remember. */
const UNTOLD = '*'.repeat(DIGEST_CHARS)

/** Why it is not known how many left: the Lease had no room for them, or lost what it remembered. */
export type Untold = 'too-many' | 'forgotten'

/** What is to be known of the key from now on. */
export function remembered(
  known: readonly Known[],
  key: string,
  secrets: readonly SecretUnder[],
  nowMs: number,
): Known {
  const before = known.find((one) => one.key === key)
  const digests = secrets.map(digestOf)
  const here = new Set(digests)
  const gone = before?.secrets === null ? [UNTOLD] : digestsIn(before?.secrets ?? '').filter((one) => !here.has(one))
  const stillGone = Object.entries(before?.dropped ?? {}).filter(
    ([digest, sinceMs]) => !here.has(digest) && nowMs - sinceMs < DROPPED_FOR_MS,
  )
  const dropped = Object.fromEntries([...gone.map((digest) => [digest, nowMs] as const), ...stillGone])
  return { key, secrets: digests.join(''), dropped }
}

/** How many Secrets of the key left the policy lately. */
export function droppedOf(
  state: JournalState,
  key: string,
  secrets: readonly SecretUnder[],
  nowMs: number,
): number | Untold {
  const { dropped } = remembered(state.known, key, secrets, nowMs)
  if (Object.hasOwn(dropped, UNTOLD)) return 'too-many'
  const forgot = state.forgotAtMs !== undefined && nowMs - state.forgotAtMs < DROPPED_FOR_MS
  return forgot ? 'forgotten' : Object.keys(dropped).length
}

function digestOf(secret: SecretUnder): string {
  return createHash('sha256').update(idOf(secret)).digest('base64url').slice(0, DIGEST_CHARS)
}

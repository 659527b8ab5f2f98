/** What is in force after each look at the directory, and what is wrong with what was found there. */
import type { Policy } from './in-force.ts'
import { policyOf } from './in-force.ts'
import type { LastGood } from './last-good.ts'
import { nextInForce } from './last-good.ts'
import { problemsOf } from './last-good-problems.ts'
import type { ParsedFile } from './parse.ts'
import type { PolicyProblem } from './problems.ts'

export interface PolicyState extends LastGood {
  readonly policy: Policy
  readonly problems: readonly PolicyProblem[]
  readonly refused: Refused
}

/** How many documents are not in force as they are now written. */
export interface Refused {
  /** Their last good version is in force. */
  readonly kept: number
  /** There is no good version of them. */
  readonly denied: number
}

/** Before anything has been read. */
export const NOTHING_IN_FORCE: PolicyState = {
  policy: policyOf([]),
  documents: new Map(),
  homes: new Map(),
  problems: [],
  refused: { kept: 0, denied: 0 },
}

export function nextState(previous: PolicyState, files: readonly ParsedFile[]): PolicyState {
  const { verdicts, ...next } = nextInForce(previous, files)
  const policy = policyOf(next.documents.values())
  const count = (outcome: keyof Refused) => verdicts.filter((verdict) => verdict.outcome === outcome).length
  return {
    ...next,
    policy,
    problems: problemsOf(files, previous.homes, { ...next, verdicts }, policy),
    refused: { kept: count('kept'), denied: count('denied') },
  }
}

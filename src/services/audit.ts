/**
 * The envelope around every request. It is opened before anybody is identified and its outcome is "refused" until the
 * story proves otherwise; it owns the one deadline; and it writes the record before the reply leaves. Without a record
 * there is no reply, whatever the outcome was: fail closed, and equally, so that a full disk tells a caller nothing.
 */
import type { Decision, Unauthenticated } from '../audit-log/record.ts'
import type { Clock } from '../clock.ts'
import { ruleOf } from '../contract.ts'
import { asKeyholeError, KeyholeError } from '../errors.ts'
import type { Caller } from './authenticate.ts'
import type { Attempt, Draft, Entry, Recorded, Verdict } from './entry.ts'
import { openDraft } from './entry.ts'

export type Story<T> = (entry: Entry, signal: AbortSignal) => Promise<Recorded<T>>

/**
 * Runs `story` under one deadline and one record, and returns its result once the record is written.
 *
 * @throws KeyholeError, and nothing else: what the story refused with; DEADLINE; RATE_LIMITED in place of one refusal
 * too many; AUDIT_UNAVAILABLE when the record could not be written, with nothing disclosed; INTERNAL for a defect.
 * A client that left gets a DEADLINE that nobody reads.
 */
export type Audit = <T>(attempt: Attempt, story: Story<T>) => Promise<T>

/** What the envelope needs of the audit log. */
export interface Ledger {
  /** Resolves once the record is written; rejects within the log's own bound. */
  append(record: Decision): Promise<void>
  /** Counts a request that ended before anybody was identified. */
  refusedUnauthenticated(code: Unauthenticated, peer: string): void
  /** Whether this refusal is beyond its caller's limit. If so it is counted, and must not be appended. */
  overLimit(caller: Caller, code: Unauthenticated): boolean
  healthy(): boolean
}

export interface AuditOptions {
  readonly log: Ledger
  readonly clock: Clock
  readonly deadlineMs: number
  /** Of the policy in force. */
  readonly policyHash: () => string
}

export function auditor({ log, clock, deadlineMs, policyHash }: AuditOptions): Audit {
  return async function audit<T>(attempt: Attempt, story: Story<T>): Promise<T> {
    if (!log.healthy()) {
      // Asks nobody anything: what could not be recorded must not be decrypted either.
      log.refusedUnauthenticated('AUDIT_UNAVAILABLE', attempt.peer)
      throw new KeyholeError('AUDIT_UNAVAILABLE', { why: 'audit-log-failed' })
    }
    const startedAt = clock.now()
    const draft = openDraft(attempt, policyHash)
    const ending = await tell(story, draft, attempt.gone)
    try {
      if ('refused' in ending) throw await leaveRefused(attempt, draft, ending, startedAt)
      await append(draft.decision(ending.verdict, startedAt, clock.now()))
      // Nobody is left to wipe it behind a reply that will never close.
      if (attempt.gone.aborted) throw abandonment().refused
      draft.keep()
      return ending.told.result
    } finally {
      draft.close()
    }
  }

  /** Races the story against its client and the deadline. A story that comes too late finds its draft closed. */
  function tell<T>(story: Story<T>, draft: Draft, gone: AbortSignal): Promise<Ending<T>> {
    if (gone.aborted) return Promise.resolve(abandonment())
    const { promise, resolve } = Promise.withResolvers<Ending<T>>()
    const stop = new AbortController()
    function end(ending: Ending<T>): void {
      // The first to end it names the outcome: also over a story that fails because it is being stopped.
      resolve(ending)
      cancel()
      gone.removeEventListener('abort', leave)
      if ('told' in ending) return
      draft.close()
      stop.abort(ending.refused)
    }
    const leave = () => end(abandonment())
    const cancel = clock.after(deadlineMs, () => end(refusal(new KeyholeError('DEADLINE', { why: 'deadline-passed' }))))
    gone.addEventListener('abort', leave)
    void attend(story, draft, stop.signal).then(end)
    return promise
  }

  /** The refusal to leave with, once it is recorded or counted. */
  async function leaveRefused(attempt: Attempt, draft: Draft, ending: Refused, startedAt: number) {
    const { refused, verdict } = ending
    const code = verdict.code ?? 'ABANDONED'
    const caller = draft.caller()
    if (caller === undefined) {
      log.refusedUnauthenticated(code, attempt.peer)
      return refused
    }
    if (log.overLimit(caller, code)) {
      // A fault of ours keeps its name: "mend the request" would send its reader the wrong way.
      return ruleOf(refused.code).status < 500
        ? new KeyholeError('RATE_LIMITED', { why: 'refused-too-often' })
        : refused
    }
    await append(draft.decision(verdict, startedAt, clock.now()))
    return refused
  }

  async function append(record: Decision): Promise<void> {
    try {
      await log.append(record)
    } catch (cause) {
      throw new KeyholeError('AUDIT_UNAVAILABLE', { why: 'audit-record-not-written', cause })
    }
  }
}

interface Told<T> {
  readonly told: Recorded<T>
  readonly verdict: Verdict
}

interface Refused {
  readonly refused: KeyholeError
  readonly verdict: Verdict
}

type Ending<T> = Told<T> | Refused

function refusal(refused: KeyholeError): Refused {
  return { refused, verdict: { outcome: 'refused', keys: [], code: refused.code, why: refused.why } }
}

function abandonment(): Refused {
  const refused = new KeyholeError('DEADLINE', { why: 'client-gone' })
  return { refused, verdict: { outcome: 'abandoned', keys: [] } }
}

/** Never rejects: a story may end long after anybody listens. */
async function attend<T>(story: Story<T>, draft: Draft, signal: AbortSignal): Promise<Ending<T>> {
  try {
    const told = await story(draft.entry, signal)
    return { told, verdict: draft.verdictOf(told) }
  } catch (thrown) {
    return refusal(asKeyholeError(thrown))
  }
}

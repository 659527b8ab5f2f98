/**
 * The envelope around every request. It is opened before anybody is identified and its outcome is "refused" until the
 * story proves otherwise; it owns the one deadline; and it writes the record before the reply leaves. Without a record
 * there is no reply, whatever the outcome was: fail closed, and equally, so that a full disk tells a caller nothing.
 */
import type { Decision, Unauthenticated, Unfulfilled } from '../audit-log/record.ts'
import type { Clock } from '../clock.ts'
import type { RotationStatus } from '../contract.ts'
import { ruleOf } from '../contract.ts'
import { asKeyholeError, KeyholeError } from '../errors.ts'
import type { Attempt } from './attempt.ts'
import type { Caller } from './authenticate.ts'
import type { Listing } from './authorize.ts'
import type { Disclosed } from './disclose.ts'
import type { Draft, Recorded, Verdict } from './draft.ts'
import { openDraft } from './draft.ts'
import type {
  ListEntry,
  OpenEntry,
  ReadAsked,
  ReadEntry,
  RotateAsked,
  RotateEntry,
  SurveyEntry,
  Unchanged,
} from './entry.ts'
import { openList, openRead, openRotate, openSurvey } from './entry.ts'
import type { Started } from './rotation/run.ts'

export type Story<E, T> = (entry: E, signal: AbortSignal) => Promise<Recorded<T>>

/**
 * Each runs `story` under one deadline and one record, and returns its result once the record is written.
 *
 * @throws KeyholeError, and nothing else: what the story refused with; DEADLINE; RATE_LIMITED in place of one refusal
 * too many; AUDIT_UNAVAILABLE when the record could not be written, with nothing disclosed; INTERNAL for a defect.
 * A client that left gets a DEADLINE that nobody reads.
 */
export interface Audit {
  read<T extends Disclosed | Unchanged>(attempt: Attempt, asked: ReadAsked, story: Story<ReadEntry, T>): Promise<T>
  list(attempt: Attempt, story: Story<ListEntry, Listing>): Promise<Listing>
  rotate(attempt: Attempt, asked: RotateAsked, story: Story<RotateEntry, Started>): Promise<Started>
  survey(attempt: Attempt, story: Story<SurveyEntry, RotationStatus>): Promise<RotationStatus>
}

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
  async function audit<E, T>(attempt: Attempt, open: (draft: Draft) => OpenEntry<E>, story: Story<E, T>): Promise<T> {
    if (!log.healthy()) {
      // No upstream is asked: what could not be recorded must not be decrypted either.
      log.refusedUnauthenticated('AUDIT_UNAVAILABLE', attempt.peer)
      throw new KeyholeError('AUDIT_UNAVAILABLE', { why: 'audit-log-failed' })
    }
    const startedAtMs = clock.now()
    const draft = openDraft(policyHash)
    const { entry, verdictOn } = open(draft)
    const record = (verdict: Verdict) =>
      append(decisionOn(attempt, draft, verdict, { startedAtMs, nowMs: clock.now() }))
    const ending = await run((signal) => story(entry, signal), draft, attempt.gone)
    try {
      if ('refusal' in ending) {
        throw await leaveRefused(attempt, draft, ending, () => record(verdictOn(ending.asRecorded)))
      }
      await record(ending.verdict)
      // The reply of a client that left never closes, so nothing would wipe the plaintext behind it.
      if (attempt.gone.aborted) throw abandoned().refusal
      draft.handOver()
      return ending.result
    } finally {
      draft.close()
    }
  }

  /** Whichever comes first: the story's end, the deadline, or the client leaving. A story that goes on finds its draft closed. */
  function run<T>(story: Telling<T>, draft: Draft, gone: AbortSignal): Promise<Ending<T>> {
    if (gone.aborted) return Promise.resolve(abandoned())
    const { promise, resolve } = Promise.withResolvers<Ending<T>>()
    const stop = new AbortController()
    function end(ending: Ending<T>): void {
      // The first call decides: not a story that then fails because it was stopped.
      resolve(ending)
      cancel()
      gone.removeEventListener('abort', leave)
      if ('result' in ending) return
      draft.close()
      stop.abort(ending.refusal)
    }
    const leave = () => end(abandoned())
    const cancel = clock.after(deadlineMs, () => end(refused(new KeyholeError('DEADLINE', { why: 'deadline-passed' }))))
    gone.addEventListener('abort', leave)
    void endOf(story, draft, stop.signal).then(end)
    return promise
  }

  /** The refusal to leave with, once it is recorded or counted. */
  async function leaveRefused(
    { peer }: Attempt,
    draft: Draft,
    { refusal, asRecorded }: Refused,
    record: () => Promise<void>,
  ): Promise<KeyholeError> {
    const code = asRecorded.outcome === 'refused' ? asRecorded.code : 'ABANDONED'
    const identity = draft.identity()
    if (identity === undefined) {
      log.refusedUnauthenticated(code, peer)
      return refusal
    }
    if (log.overLimit(identity.caller, code)) {
      // A fault of ours keeps its name: RATE_LIMITED would tell its reader to mend the request.
      return ruleOf(refusal.code).status < 500
        ? new KeyholeError('RATE_LIMITED', { why: 'refused-too-often' })
        : refusal
    }
    await record()
    return refusal
  }

  async function append(record: Decision): Promise<void> {
    try {
      await log.append(record)
    } catch (cause) {
      throw new KeyholeError('AUDIT_UNAVAILABLE', { why: 'audit-record-not-written', cause })
    }
  }

  return {
    read: (attempt, asked, story) => audit(attempt, (draft) => openRead(draft, asked), story),
    list: (attempt, story) => audit(attempt, openList, story),
    rotate: (attempt, asked, story) => audit(attempt, (draft) => openRotate(draft, asked), story),
    survey: (attempt, story) => audit(attempt, openSurvey, story),
  }
}

/** A story with its entry in hand. */
type Telling<T> = (signal: AbortSignal) => Promise<Recorded<T>>

interface Answered<T> {
  readonly result: T
  readonly verdict: Verdict
}

interface Refused {
  readonly refusal: KeyholeError
  readonly asRecorded: Unfulfilled
}

type Ending<T> = Answered<T> | Refused

function refused(refusal: KeyholeError): Refused {
  return { refusal, asRecorded: { outcome: 'refused', code: refusal.code, why: refusal.why } }
}

function abandoned(): Refused {
  const refusal = new KeyholeError('DEADLINE', { why: 'client-gone' })
  return { refusal, asRecorded: { outcome: 'abandoned' } }
}

/** Never rejects: a story may end long after anybody listens for it. */
async function endOf<T>(story: Telling<T>, draft: Draft, signal: AbortSignal): Promise<Ending<T>> {
  try {
    const recorded = await story(signal)
    const verdict = draft.verdictOf(recorded)
    return { result: recorded.result, verdict }
  } catch (thrown) {
    return refused(asKeyholeError(thrown))
  }
}

function decisionOn(
  { requestId, peer }: Attempt,
  draft: Draft,
  verdict: Verdict,
  { startedAtMs, nowMs }: { readonly startedAtMs: number; readonly nowMs: number },
): Decision {
  const caller = draft.identity()?.caller
  return { kind: 'decision', timeMs: nowMs, requestId, peer, caller, ...verdict, durationMs: nowMs - startedAtMs }
}

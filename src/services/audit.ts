/**
 * The envelope around every request. It is opened before anybody is identified and its outcome is "refused" until the
 * story proves otherwise; it owns the one deadline; and it writes the record before the reply leaves. Without a record
 * there is no reply, whatever the outcome was: fail closed, and equally, so that a full disk tells a caller nothing.
 */
import type { Action, Decision, Unauthenticated } from '../audit-log/record.ts'
import type { Clock } from '../clock.ts'
import type { RotationStatus } from '../contract.ts'
import { ruleOf } from '../contract.ts'
import { asKeyholeError, KeyholeError } from '../errors.ts'
import type { Caller } from './authenticate.ts'
import type { Grant, Listing, RotationGrant, SecretName } from './authorize.ts'
import type { Sealed } from './ciphertext.ts'
import type { Disclosed } from './disclose.ts'
import type { Started } from './rotation/run.ts'

/** A request as it arrived. */
export interface Attempt {
  readonly action: Action
  readonly requestId: string
  /** The peer's address, for the record. */
  readonly peer: string
  /** Aborts when the client has left before its answer was whole. */
  readonly gone: AbortSignal
  /** The secret asked for, once its name has proved well-formed. */
  readonly name?: SecretName
  /** How many keys were asked for by name: of a Secret, or Transit keys. */
  readonly asked: number
}

declare const recorded: unique symbol

/** A result with its record. Only an {@link Entry} makes one, so a story that forgets to record does not compile. */
export interface Recorded<T> {
  readonly [recorded]: true
  readonly result: T
}

/** The caller has it already. A 304 carries the ETag all the same. */
export interface Unchanged {
  readonly etag: string
}

/** What a story tells as it goes. Each call hands its argument on, so that the story reads as one chain of permits. */
export interface Entry {
  identified(caller: Caller): Caller
  granted<G extends Grant>(grant: G): G
  unchanged(sealed: Sealed): Recorded<Unchanged>
  /** From here the envelope owns the plaintext: it disposes of it, unless it returns it. */
  disclosed(disclosed: Disclosed): Recorded<Disclosed>
  listed<L extends Listing>(listing: L): Recorded<L>
  permitted(grant: RotationGrant): RotationGrant
  /** From here the envelope owns what was started: it disposes of it, unless it returns it to be begun. */
  started(started: Started): Recorded<Started>
  surveyed(status: RotationStatus): Recorded<RotationStatus>
}

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

/** What the record says of how it ended. */
interface Verdict
  extends Pick<Decision, 'outcome' | 'keys' | 'listed' | 'code' | 'why' | 'policyHash' | 'etag' | 'rotation'> {
  readonly versions?: readonly number[]
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

interface Draft {
  readonly entry: Entry
  caller(): Caller | undefined
  /** Throws unless `told` is the one record that this entry made, and the story never broke its rules. */
  verdictOf(told: Recorded<unknown>): Verdict
  decision(verdict: Verdict, startedAtMs: number, nowMs: number): Decision
  /** Hands the plaintext over to whoever gets the result. */
  keep(): void
  /** Disposes of what was handed over and not kept, now and from now on. */
  close(): void
}

function isAboutRotation({ action }: Attempt): boolean {
  return action === 'rotate' || action === 'survey'
}

function openDraft(attempt: Attempt, policyInForce: () => string): Draft {
  let caller: Caller | undefined
  let policyHash: string | undefined
  let grant: Grant | undefined
  let rotation: RotationGrant | undefined
  let made: { readonly record: Recorded<unknown>; readonly verdict: Verdict } | undefined
  let broken: KeyholeError | undefined
  let held: Disposable | undefined
  let closed = false

  /** Remembers the defect: a story that catches it and goes on ends as INTERNAL all the same. */
  function must(kept: boolean, why: string): void {
    if (kept) return
    broken ??= new KeyholeError('INTERNAL', { why })
    throw broken
  }

  function mustBeOpen(): void {
    if (closed) throw new KeyholeError('DEADLINE', { why: 'told-too-late' })
  }

  function record<T>(result: T, verdict: Verdict): Recorded<T> {
    must(made === undefined, 'recorded-twice')
    const recorded = { result } as Recorded<T>
    made = { record: recorded, verdict }
    return recorded
  }

  const entry: Entry = {
    identified(found) {
      mustBeOpen()
      must(caller === undefined, 'identified-twice')
      caller = found
      // Whoever is identified is decided about at once: a refusal, too, is by this policy.
      policyHash = policyInForce()
      return found
    },
    granted(given) {
      mustBeOpen()
      must(attempt.action === 'read' && grant === undefined, 'granted-out-of-turn')
      must(given.caller === caller, 'grant-of-another-caller')
      grant = given
      return given
    },
    unchanged(sealed) {
      mustBeOpen()
      must(sealed.grant === grant, 'sealed-under-another-grant')
      const { etag, parts } = sealed
      const versions = [...new Set(parts.map((part) => part.keyVersion))]
      return record({ etag }, { outcome: 'unchanged', keys: [], etag, versions })
    },
    disclosed(disclosed) {
      try {
        mustBeOpen()
        must(disclosed.grant === grant, 'disclosed-under-another-grant')
        const { keys, etag, keyVersions: versions } = disclosed
        const recorded = record(disclosed, { outcome: 'disclosed', keys, etag, versions })
        held = disclosed
        return recorded
      } catch (error) {
        disclosed[Symbol.dispose]()
        throw error
      }
    },
    permitted(given) {
      mustBeOpen()
      must(isAboutRotation(attempt) && rotation === undefined, 'permitted-out-of-turn')
      must(given.caller === caller, 'grant-of-another-caller')
      rotation = given
      return given
    },
    started(started) {
      try {
        mustBeOpen()
        must(attempt.action === 'rotate', 'started-out-of-turn')
        must(started.grant === rotation, 'started-under-another-grant')
        const { id, joined } = started
        const recorded = record(started, { outcome: joined ? 'joined' : 'started', keys: [], rotation: id })
        held = started
        return recorded
      } catch (error) {
        started[Symbol.dispose]()
        throw error
      }
    },
    surveyed(status) {
      mustBeOpen()
      must(attempt.action === 'survey' && rotation !== undefined, 'surveyed-out-of-turn')
      return record(status, { outcome: 'listed', keys: [], listed: status.ledger.length })
    },
    listed(listing) {
      mustBeOpen()
      must(attempt.action === 'list' && caller !== undefined, 'listed-out-of-turn')
      const { policyHash, secrets } = listing
      return record(listing, { outcome: 'listed', keys: [], listed: secrets.length, policyHash })
    },
  }

  return {
    entry,
    caller: () => caller,
    verdictOf(told) {
      if (broken !== undefined) throw broken
      if (made === undefined || told !== made.record) throw new KeyholeError('INTERNAL', { why: 'recorded-elsewhere' })
      return made.verdict
    },
    decision({ versions = [], ...verdict }, startedAtMs, nowMs) {
      const asked = grant?.selection?.length ?? attempt.asked
      const rotates = rotation?.keys.map(({ transitKey }) => transitKey.name)
      return {
        kind: 'decision',
        timeMs: nowMs,
        requestId: attempt.requestId,
        action: attempt.action,
        peer: attempt.peer,
        caller,
        secret: grant?.secret ?? (attempt.name && { namespace: caller?.namespace, ...attempt.name }),
        otherKeys: Math.max(0, asked - verdict.keys.length - (rotates?.length ?? 0)),
        policyHash: (grant ?? rotation)?.policyHash ?? policyHash,
        rotates,
        transitKey: grant && { mount: grant.transitKey.mount, name: grant.transitKey.name, versions },
        ...verdict,
        durationMs: nowMs - startedAtMs,
      }
    },
    keep() {
      held = undefined
    },
    close() {
      closed = true
      held?.[Symbol.dispose]()
      held = undefined
    },
  }
}

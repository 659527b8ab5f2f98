/**
 * What a story tells as it goes, and the record that is made of it. The rules are kept here: each permit is of the caller and the
 * grant before it, there is one record and no second, and after the end nothing is told any more. What breaks them is a
 * defect, and never becomes an answer.
 */
import type { Action, Decision } from '../audit-log/record.ts'
import type { RotationStatus } from '../contract.ts'
import { KeyholeError } from '../errors.ts'
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

/** Each call hands its argument on, so that the story reads as one chain of permits. */
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

/** What the record says of how it ended. */
export interface Verdict
  extends Pick<Decision, 'outcome' | 'keys' | 'listed' | 'code' | 'why' | 'policyHash' | 'etag' | 'rotation'> {
  readonly versions?: readonly number[]
}

/** A record that is not written yet. */
export interface Draft {
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

export function openDraft(attempt: Attempt, policyInForce: () => string): Draft {
  const told: Told = { caller: undefined, policyHash: undefined, grant: undefined, rotation: undefined }
  const recorder = openRecorder()
  const { verdictOf, keep, close } = recorder
  return {
    entry: {
      ...identification(told, recorder, policyInForce),
      ...ofReading(attempt, told, recorder),
      ...ofRotating(attempt, told, recorder),
    },
    caller: () => told.caller,
    verdictOf,
    decision: (verdict, startedAtMs, nowMs) => decisionOf(attempt, told, verdict, startedAtMs, nowMs),
    keep,
    close,
  }
}

/** So far. */
interface Told {
  caller: Caller | undefined
  policyHash: string | undefined
  grant: Grant | undefined
  rotation: RotationGrant | undefined
}

function identification(told: Told, { must, mustBeOpen }: Recorder, policyInForce: () => string) {
  return {
    identified(found) {
      mustBeOpen()
      must(told.caller === undefined, 'identified-twice')
      told.caller = found
      // Whoever is identified is decided about at once: a refusal, too, is by this policy.
      told.policyHash = policyInForce()
      return found
    },
  } satisfies Partial<Entry>
}

function ofReading({ action }: Attempt, told: Told, { must, mustBeOpen, record, owned }: Recorder) {
  return {
    granted(given) {
      mustBeOpen()
      must(action === 'read' && told.grant === undefined, 'granted-out-of-turn')
      must(given.caller === told.caller, 'grant-of-another-caller')
      told.grant = given
      return given
    },
    unchanged(sealed) {
      mustBeOpen()
      must(sealed.grant === told.grant, 'sealed-under-another-grant')
      const { etag, parts } = sealed
      const versions = [...new Set(parts.map((part) => part.keyVersion))]
      return record({ etag }, { outcome: 'unchanged', keys: [], etag, versions })
    },
    disclosed: (disclosed) =>
      owned(disclosed, () => {
        must(disclosed.grant === told.grant, 'disclosed-under-another-grant')
        const { keys, etag, keyVersions: versions } = disclosed
        return record(disclosed, { outcome: 'disclosed', keys, etag, versions })
      }),
    listed(listing) {
      mustBeOpen()
      must(action === 'list' && told.caller !== undefined, 'listed-out-of-turn')
      const { policyHash, secrets } = listing
      return record(listing, { outcome: 'listed', keys: [], listed: secrets.length, policyHash })
    },
  } satisfies Partial<Entry>
}

function ofRotating({ action }: Attempt, told: Told, { must, mustBeOpen, record, owned }: Recorder) {
  return {
    permitted(given) {
      mustBeOpen()
      const isAboutRotation = action === 'rotate' || action === 'survey'
      must(isAboutRotation && told.rotation === undefined, 'permitted-out-of-turn')
      must(given.caller === told.caller, 'grant-of-another-caller')
      told.rotation = given
      return given
    },
    started: (started) =>
      owned(started, () => {
        must(action === 'rotate', 'started-out-of-turn')
        must(started.grant === told.rotation, 'started-under-another-grant')
        const { id, joined } = started
        return record(started, { outcome: joined ? 'joined' : 'started', keys: [], rotation: id })
      }),
    surveyed(status) {
      mustBeOpen()
      must(action === 'survey' && told.rotation !== undefined, 'surveyed-out-of-turn')
      return record(status, { outcome: 'listed', keys: [], listed: status.ledger.length })
    },
  } satisfies Partial<Entry>
}

interface Recorder extends Pick<Draft, 'verdictOf' | 'keep' | 'close'> {
  /** Remembers the defect: a story that catches it and goes on ends as INTERNAL all the same. */
  must(kept: boolean, why: string): void
  mustBeOpen(): void
  record<T>(result: T, verdict: Verdict): Recorded<T>
  /** Records what is to be disposed of, and does so itself where it is not taken. */
  owned<T extends Disposable>(handed: T, recorded: () => Recorded<T>): Recorded<T>
}

function openRecorder(): Recorder {
  let made: { readonly record: Recorded<unknown>; readonly verdict: Verdict } | undefined
  let broken: KeyholeError | undefined
  let held: Disposable | undefined
  let closed = false

  function must(kept: boolean, why: string): void {
    if (kept) return
    broken ??= new KeyholeError('INTERNAL', { why })
    throw broken
  }

  function mustBeOpen(): void {
    if (closed) throw new KeyholeError('DEADLINE', { why: 'told-too-late' })
  }

  return {
    must,
    mustBeOpen,
    record<T>(result: T, verdict: Verdict) {
      must(made === undefined, 'recorded-twice')
      const recorded = { result } as Recorded<T>
      made = { record: recorded, verdict }
      return recorded
    },
    owned(handed, recorded) {
      try {
        mustBeOpen()
        const taken = recorded()
        held = handed
        return taken
      } catch (error) {
        handed[Symbol.dispose]()
        throw error
      }
    },
    verdictOf(told) {
      if (broken !== undefined) throw broken
      if (made === undefined || told !== made.record) throw new KeyholeError('INTERNAL', { why: 'recorded-elsewhere' })
      return made.verdict
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

function decisionOf(
  attempt: Attempt,
  { caller, policyHash, grant, rotation }: Told,
  { versions = [], ...verdict }: Verdict,
  startedAtMs: number,
  nowMs: number,
): Decision {
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
}

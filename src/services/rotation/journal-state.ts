/**
 * What the Lease remembers between two processes, as one annotation of at most 192 KiB. Whoever may edit the Lease can
 * write anything there, so it is read as hostile: what does not have exactly this shape is no state at all.
 */
import * as z from 'zod'
import { BLOCKED } from '../../contract.ts'

/** Of the Lease, with the state as JSON. */
export const STATE_ANNOTATION = 'keyhole.dev/rotation'

/** What a rotation of one Transit key has set out to do, written before anything changes and gone once it is done. */
export interface Intent {
  readonly id: string
  readonly key: string
  readonly mount: string
  /** The newest version when it began. */
  readonly from: number
  /** The version that every Secret is to have. */
  readonly target: number
  readonly mode: 'rotate' | 'rewrap'
  readonly retire: 'after-grace' | 'now' | 'never'
  /** `namespace/serviceAccount` of who asked for it. */
  readonly by: string
  readonly startedAtMs: number
  /** Written before min_decryption_version is raised, so that whoever finds it knows what to go back to. */
  readonly raising?: { readonly before: number; readonly after: number } | undefined
}

/** The rotation that runs, for whoever has to be told to wait. */
export interface RunMark {
  readonly id: string
  readonly startedAtMs: number
  readonly done: number
  readonly total: number
  readonly idempotency?: Idempotency | undefined
}

/** SHA-256 of Idempotency-Key and caller, and of both with the body: the words themselves are the caller's. */
export interface Idempotency {
  readonly key: string
  readonly request: string
}

/** What the last rotation came to, told key by key: whoever may rotate one need not know of the others. */
export interface Last {
  readonly id: string
  readonly finishedAtMs: number
  readonly keys: readonly LastKey[]
  readonly failures: readonly Failure[]
  readonly idempotency?: Idempotency | undefined
}

export interface LastKey extends Counts {
  readonly key: string
  readonly complete: boolean
  /** It came to its end, whatever was blocked or withheld: a version that it was to make is made. */
  readonly ended?: boolean | undefined
}

/** Secrets by what became of them. */
export interface Counts {
  readonly rewrapped: number
  readonly current: number
  readonly blocked: number
  readonly left: number
}

export interface Failure {
  readonly key: string
  readonly namespace: string
  readonly name: string
  readonly outcome: 'blocked' | 'left'
  readonly code?: keyof typeof BLOCKED | undefined
}

/** The Secrets that the policy had under a key when it was last rotated: digests, end to end; `null`: too many to remember. */
export interface Known {
  readonly key: string
  readonly secrets: string | null
  /** Digests that the policy has no more, and since when, in epoch ms. */
  readonly dropped: Readonly<Record<string, number>>
}

export interface JournalState {
  /** What is unfinished: at most one of each Transit key. */
  readonly intents: readonly Intent[]
  readonly run?: RunMark | undefined
  readonly last?: Last | undefined
  /** Each Transit key once. A list: `__proto__` may be the name of one. */
  readonly known: readonly Known[]
  /** When what was known was lost: Secrets that left the policy before then are not known to have. */
  readonly forgotAtMs?: number | undefined
}

export const EMPTY_STATE: JournalState = { intents: [], known: [] }

export function intentFor(state: JournalState, key: string): Intent | undefined {
  return state.intents.find((intent) => intent.key === key)
}

export function withIntent(state: JournalState, intent: Intent): JournalState {
  return { ...state, intents: [...withoutIntent(state, intent.key).intents, intent] }
}

export function withoutIntent(state: JournalState, key: string): JournalState {
  return { ...state, intents: state.intents.filter((intent) => intent.key !== key) }
}

/** Of the annotation; the API server itself takes 256 KiB of all annotations together, and others may have theirs. */
export const MAX_STATE_BYTES = 192 * 1024
/** Of a Secret that is known by its digest. So many that nobody finds a Secret of their own with the digest of another's. */
export const DIGEST_CHARS = 10
export const MAX_FAILURES = 50

const name = z.string().min(1).max(253)
const id = z.string().regex(/^[0-9a-f-]{1,64}$/)
const version = z.int().min(1)
const count = z.int().min(0)
const time = z.number().min(0).max(8.64e15)
const mount = z.string().min(1).max(256)
const mode = z.enum(['rotate', 'rewrap'])
const retire = z.enum(['after-grace', 'now', 'never'])
const hash = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/)
const idempotency = z.strictObject({ key: hash, request: hash })

const digests = z.string().regex(/^(?:[A-Za-z0-9_*-]{10})*$/)

const State = z.strictObject({
  intents: z.array(
    z.strictObject({
      id,
      key: name,
      mount,
      from: version,
      target: version,
      mode,
      retire,
      by: z.string().min(3).max(400),
      startedAtMs: time,
      raising: z.strictObject({ before: version, after: version }).optional(),
    }),
  ),
  run: z
    .strictObject({ id, startedAtMs: time, done: count, total: count, idempotency: idempotency.optional() })
    .optional(),
  last: z
    .strictObject({
      id,
      finishedAtMs: time,
      failures: z
        .array(
          z.strictObject({
            key: name,
            namespace: name,
            name,
            outcome: z.enum(['blocked', 'left']),
            code: z.enum(Object.keys(BLOCKED) as [keyof typeof BLOCKED]).optional(),
          }),
        )
        .max(MAX_FAILURES),
      keys: z.array(
        z.strictObject({
          key: name,
          complete: z.boolean(),
          ended: z.boolean().optional(),
          rewrapped: count,
          current: count,
          blocked: count,
          left: count,
        }),
      ),
      idempotency: idempotency.optional(),
    })
    .optional(),
  known: z.array(
    z.strictObject({
      key: name,
      secrets: digests.nullable(),
      // By when they left: many leave at once, and then the time is written once.
      dropped: z.array(z.strictObject({ sinceMs: time, secrets: digests })).transform(ungrouped),
    }),
  ),
  forgotAtMs: time.optional(),
})

/** Undefined for what keyhole did not write. An empty text is an empty state. */
export function parseState(text: string): JournalState | undefined {
  if (text === '') return EMPTY_STATE
  if (Buffer.byteLength(text) > MAX_STATE_BYTES) return undefined
  try {
    return State.parse(JSON.parse(text))
  } catch {
    // Its message quotes what it choked on.
    return undefined
  }
}

/** Within the bound, for a state that has room. Intents are never dropped. If `known` had to be, `forgotAtMs` records that. */
export function formatState(state: JournalState, nowMs: number): string {
  for (const smaller of shrinking(state)) {
    const text = written(smaller)
    if (Buffer.byteLength(text) <= MAX_STATE_BYTES) return text
  }
  return written(bare(state, nowMs))
}

/**
 * Whether its intents can be written, also with what each comes to note of a raise. What is larger would be read as no state
 * at all, and with it every intent that there was.
 */
export function hasRoom(state: JournalState): boolean {
  const intents = state.intents.map((intent) => ({ ...intent, raising: { before: HIGHEST, after: HIGHEST } }))
  return Buffer.byteLength(written(bare({ ...state, intents }, HIGHEST))) + RUN_BYTES <= MAX_STATE_BYTES
}

const HIGHEST = Number.MAX_SAFE_INTEGER
/** Whichever run comes to write them. */
const RUN_BYTES = 1_024

function bare({ intents, run }: JournalState, nowMs: number): JournalState {
  return { intents, run, known: [], forgotAtMs: nowMs }
}

function written({ known, ...state }: JournalState): string {
  return JSON.stringify({ ...state, known: known.map((one) => ({ ...one, dropped: grouped(one.dropped) })) })
}

type Dropped = Known['dropped']

interface Group {
  readonly sinceMs: number
  /** Digests, end to end. */
  readonly secrets: string
}

function grouped(dropped: Dropped): readonly Group[] {
  const digestsBy = new Map<number, string[]>()
  for (const [digest, sinceMs] of Object.entries(dropped)) {
    const together = digestsBy.get(sinceMs)
    if (together === undefined) digestsBy.set(sinceMs, [digest])
    else together.push(digest)
  }
  return [...digestsBy].map(([sinceMs, all]) => ({ sinceMs, secrets: all.join('') }))
}

function ungrouped(groups: readonly Group[]): Dropped {
  return Object.fromEntries(
    groups.flatMap(({ sinceMs, secrets }) => digestsIn(secrets).map((digest) => [digest, sinceMs] as const)),
  )
}

/** Of digests that stand end to end. */
export function digestsIn(text: string): readonly string[] {
  return text.match(/.{10}/g) ?? []
}

/**
 * What is dropped first is what costs least: the failures of the last rotation, then all that is told of it, then what is
 * known of keys, the longest first, for which retirement then waits.
 */
function* shrinking({ last, ...state }: JournalState): Generator<JournalState> {
  yield { last, ...state }
  if (last !== undefined) yield { last: { ...last, failures: [] }, ...state }
  yield state
  const longestFirst = state.known.toSorted((a, b) => sizeOf(b) - sizeOf(a))
  for (const [index] of longestFirst.entries()) {
    const forgotten = longestFirst.slice(0, index + 1).map(({ key }) => ({ key, secrets: null, dropped: {} }))
    yield { ...state, known: [...forgotten, ...longestFirst.slice(index + 1)] }
  }
}

function sizeOf({ secrets, dropped }: Known): number {
  return (secrets?.length ?? 0) + Object.keys(dropped).length * DIGEST_CHARS
}

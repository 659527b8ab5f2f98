/**
 * The records of the audit log, and their one way onto a line.
 *
 * A line is built field by field: what is not named here cannot get in, whatever object is handed over. It is ASCII
 * (everything else is escaped), so that no name can end a line, start another, or speak to a terminal, and its length
 * is bounded, so that no Secret with a million keys can fill the disk in one request.
 */
import { createHash } from 'node:crypto'
import type { Code } from '../contract.ts'
import { LABEL } from '../label.ts'
import { ascii } from '../words.ts'

/** Where a record stands: the instance that wrote it, its number there, and the SHA-256 of the line before it. */
export interface Link {
  readonly instance: string
  readonly seq: number
  readonly prev: string
}

/** The newest line of a chain. */
export interface Head {
  readonly instance: string
  readonly seq: number
  /** SHA-256 of the line's bytes without its newline, in hex. */
  readonly sha256: string
}

export interface AuditedCaller {
  readonly namespace: string
  readonly serviceAccount: string
  readonly uid: string
  readonly pod?: { readonly name: string; readonly uid: string }
  readonly credentialId?: string
}

export type Outcome = 'disclosed' | 'unchanged' | 'listed' | 'started' | 'joined' | 'refused' | 'abandoned'

/** `rotate` starts a rotation; `survey` asks how Transit keys and Secrets stand. */
export type Action = 'read' | 'list' | 'rotate' | 'survey'

/** What one request came to. */
export interface Decision {
  readonly kind: 'decision'
  readonly timeMs: number
  readonly requestId: string
  readonly action: Action
  readonly peer: string
  /** Absent only where nobody was identified. */
  readonly caller?: AuditedCaller | undefined
  /** The secret asked for; its namespace is absent until it is known. Written only if well-formed. */
  readonly secret?: { readonly namespace?: string | undefined; readonly name: string } | undefined
  /** Names of the keys disclosed. */
  readonly keys: readonly string[]
  /** How many keys were asked for by name and not disclosed. Never their names: anything may be pasted there. */
  readonly otherKeys: number
  /** How many grants a listing told of. */
  readonly listed?: number | undefined
  readonly outcome: Outcome
  /** The code a refusal leaves with. */
  readonly code?: Code | undefined
  /** The guard that refused, from the closed sets of the stages. */
  readonly why?: string | undefined
  readonly policyHash?: string | undefined
  /** `versions` are those that the ciphertexts name; empty until they are fetched. */
  readonly transitKey?:
    | { readonly mount: string; readonly name: string; readonly versions: readonly number[] }
    | undefined
  readonly etag?: string | undefined
  /** Of the rotation that was started or joined: what its effects are recorded under. */
  readonly rotation?: string | undefined
  /** Names of the Transit keys that it is about. */
  readonly rotates?: readonly string[] | undefined
  readonly durationMs: number
}

/** A request that ended before anybody was identified: refused with a code, or left by its client. */
export type Unauthenticated = Code | 'ABANDONED'

/** Refusals before anybody was identified, counted. */
export interface Refusals {
  readonly kind: 'refusals'
  readonly timeMs: number
  readonly sinceMs: number
  readonly counts: ReadonlyMap<Unauthenticated, number>
  readonly peers: {
    /** Peers told apart, up to a bound; `untold` counts the refusals of peers beyond it. */
    readonly distinct: number
    readonly untold: number
    /** The busiest few. */
    readonly top: readonly { readonly peer: string; readonly count: number }[]
  }
}

/** What changes outside of keyhole while it rotates. */
export type EffectName =
  /** A new version of a Transit key. */
  | 'advance'
  /** New ciphertext in a Secret. */
  | 'move'
  /** min_decryption_version raised. */
  | 'retire'
  /** min_decryption_version put back, at once, since something fell below it. */
  | 'restore'

/** One of two: `begin` is written before the effect, and without it there is none; `end` says what came of it. */
export interface Effect {
  readonly kind: 'effect'
  readonly phase: 'begin' | 'end'
  readonly timeMs: number
  readonly effect: EffectName
  readonly rotation: string
  readonly caller: { readonly namespace: string; readonly serviceAccount: string }
  readonly transitKey: { readonly mount: string; readonly name: string }
  readonly secret?: { readonly namespace: string; readonly name: string } | undefined
  readonly dataKeys?: readonly string[] | undefined
  /** Versions. */
  readonly from: number
  readonly to: number
  /** With `end`. `unknown`: it was asked for, and no answer came. */
  readonly outcome?: 'done' | 'failed' | 'unknown' | undefined
}

/** A rotation begins, ends, or finds on its Lease what it takes up or does not believe. */
export interface Rotation {
  readonly kind: 'rotation'
  readonly phase: 'begin' | 'end' | 'discarded' | 'resumed'
  readonly timeMs: number
  readonly rotation: string
  readonly caller: { readonly namespace: string; readonly serviceAccount: string }
  readonly transitKeys: readonly string[]
  readonly policyHash: string
  /** With `discarded`: why, from a closed set. */
  readonly why?: string | undefined
  /** With `resumed`: what an earlier rotation left unfinished, and who had asked for it, as the Lease says. */
  readonly resumed?: { readonly by: string; readonly target: number; readonly retire: string } | undefined
  /** With `end`. */
  readonly complete?: boolean | undefined
  readonly secrets?:
    | { readonly rewrapped: number; readonly current: number; readonly blocked: number; readonly left: number }
    | undefined
}

/** Refusals of identified callers beyond their limit, counted. */
export interface Throttled {
  readonly kind: 'throttled'
  readonly timeMs: number
  readonly sinceMs: number
  readonly callers: readonly {
    readonly namespace: string
    readonly serviceAccount: string
    readonly counts: ReadonlyMap<Unauthenticated, number>
  }[]
  /** Refusals of callers beyond the bound of `callers`. */
  readonly untold: number
}

/** The first record of every chain. */
export interface Start {
  readonly kind: 'start'
  readonly timeMs: number
  /** The process started; the sink failed and was mended; the file was moved or cut, and a new one begun. */
  readonly cause: 'process' | 'mended' | 'moved'
  readonly sink: 'stdout' | 'file'
  readonly versions: Versions
  readonly policyHash?: string | undefined
  /** The newest record before this chain, where it could be read. */
  readonly previous?: Head | undefined
  readonly torn?: Torn | undefined
  /** Decisions that the log refused since the chain before this one ended; each made its request fail. */
  readonly refusedAppends: number
}

export interface Versions {
  readonly keyhole: string
  readonly node: string
}

/** What lies between the previous record and a start, and is no record. Without a digest: at most so many bytes. */
export interface Torn {
  readonly bytes: number
  readonly sha256?: string | undefined
}

/** The last record of a chain that ended in good order. */
export interface Stop {
  readonly kind: 'stop'
  readonly timeMs: number
}

/** Another policy is in force. */
export interface PolicyChanged {
  readonly kind: 'policy'
  readonly timeMs: number
  readonly from?: string
  readonly to: string
  /** Documents added, changed or dropped, as `SecretGrant payments/db`. */
  readonly documents: readonly string[]
  readonly problems: number
}

export type AuditRecord = Decision | Refusals | Throttled | Start | Stop | PolicyChanged | Effect | Rotation

/** At most so many bytes of names in one list of a record; a name costs at most six times its own bound. */
export const MAX_LIST_BYTES = 16 * 1024
const MAX_STRING_CHARS = 256

/** One line, without its newline. */
export function formatRecord(record: AuditRecord, link: Link): string {
  return ascii(JSON.stringify({ time: time(record.timeMs), ...body(record), chain: formatLink(link) }))
}

type Fields = Readonly<Record<string, unknown>>

function body(record: AuditRecord): Fields {
  switch (record.kind) {
    case 'decision':
      return decision(record)
    case 'refusals':
      return refusals(record)
    case 'throttled':
      return throttled(record)
    case 'start':
      return start(record)
    case 'stop':
      return { kind: 'stop' }
    case 'policy':
      return policyChanged(record)
    case 'effect':
      return effect(record)
    case 'rotation':
      return rotation(record)
  }
}

function decision(record: Decision): Fields {
  return {
    kind: 'decision',
    requestId: text(record.requestId),
    action: text(record.action),
    outcome: text(record.outcome),
    code: text(record.code),
    why: word(record.why),
    caller: caller(record.caller),
    secret: secret(record.secret),
    ...list('keys', record.keys),
    otherKeys: count(record.otherKeys),
    listed: record.listed === undefined ? undefined : count(record.listed),
    policyHash: text(record.policyHash),
    transitKey: transitKey(record.transitKey),
    etag: text(record.etag),
    rotation: text(record.rotation),
    ...(record.rotates !== undefined && list('rotates', record.rotates)),
    durationMs: count(record.durationMs),
    peer: text(record.peer),
  }
}

function refusals(record: Refusals): Fields {
  return {
    kind: 'refusals',
    since: time(record.sinceMs),
    counts: counts(record.counts),
    peers: {
      distinct: count(record.peers.distinct),
      untold: count(record.peers.untold),
      top: record.peers.top.map(({ peer, count: refused }) => ({ peer: text(peer), count: count(refused) })),
    },
  }
}

function throttled(record: Throttled): Fields {
  return {
    kind: 'throttled',
    since: time(record.sinceMs),
    callers: record.callers.map((one) => ({
      namespace: text(one.namespace),
      serviceAccount: text(one.serviceAccount),
      counts: counts(one.counts),
    })),
    untold: count(record.untold),
  }
}

function start(record: Start): Fields {
  return {
    kind: 'start',
    cause: text(record.cause),
    sink: text(record.sink),
    versions: { keyhole: text(record.versions.keyhole), node: text(record.versions.node) },
    policyHash: text(record.policyHash),
    previous: record.previous && formatHead(record.previous),
    torn: record.torn && { bytes: count(record.torn.bytes), sha256: text(record.torn.sha256) },
    refusedAppends: count(record.refusedAppends),
  }
}

function policyChanged(record: PolicyChanged): Fields {
  return {
    kind: 'policy',
    from: text(record.from),
    to: text(record.to),
    ...list('documents', record.documents),
    problems: count(record.problems),
  }
}

function effect(record: Effect): Fields {
  return {
    kind: 'effect',
    phase: text(record.phase),
    effect: text(record.effect),
    rotation: text(record.rotation),
    caller: account(record.caller),
    transitKey: { mount: text(record.transitKey.mount), name: text(record.transitKey.name) },
    secret: record.secret && { namespace: text(record.secret.namespace), name: text(record.secret.name) },
    ...(record.dataKeys !== undefined && list('dataKeys', record.dataKeys)),
    from: count(record.from),
    to: count(record.to),
    outcome: text(record.outcome),
  }
}

function rotation(record: Rotation): Fields {
  const { secrets } = record
  return {
    kind: 'rotation',
    phase: text(record.phase),
    rotation: text(record.rotation),
    caller: account(record.caller),
    ...list('transitKeys', record.transitKeys),
    policyHash: text(record.policyHash),
    why: word(record.why),
    resumed: record.resumed && {
      by: text(record.resumed.by),
      target: count(record.resumed.target),
      retire: word(record.resumed.retire),
    },
    complete: record.complete,
    secrets: secrets && {
      rewrapped: count(secrets.rewrapped),
      current: count(secrets.current),
      blocked: count(secrets.blocked),
      left: count(secrets.left),
    },
  }
}

function account(from: Effect['caller']): Fields {
  return { namespace: text(from.namespace), serviceAccount: text(from.serviceAccount) }
}

function caller(from: AuditedCaller | undefined): Fields | undefined {
  return (
    from && {
      namespace: text(from.namespace),
      serviceAccount: text(from.serviceAccount),
      uid: text(from.uid),
      pod: from.pod && { name: text(from.pod.name), uid: text(from.pod.uid) },
      credentialId: text(from.credentialId),
    }
  )
}

/** Checked here again: a path segment may be a token pasted in the wrong place, and must not become a record. */
function secret(from: Decision['secret']): Fields | undefined {
  if (from === undefined || !LABEL.test(from.name)) return undefined
  if (from.namespace !== undefined && !LABEL.test(from.namespace)) return undefined
  return { namespace: from.namespace, name: from.name }
}

function transitKey(from: Decision['transitKey']): Fields | undefined {
  return from && { mount: text(from.mount), name: text(from.name), versions: from.versions.slice(0, 16).map(count) }
}

function counts(from: ReadonlyMap<Unauthenticated, number>): Fields {
  return Object.fromEntries([...from].map(([code, refused]) => [code, count(refused)]))
}

function formatLink(link: Link): Fields {
  return { instance: text(link.instance), seq: link.seq, prev: text(link.prev) }
}

function formatHead(head: Head): Fields {
  return { instance: text(head.instance), seq: count(head.seq), sha256: text(head.sha256) }
}

/**
 * A list of names within its bound. What does not fit is counted, and a digest of the whole list stands for it, so
 * that a longer list still says exactly which names it held to whoever can name them.
 */
function list(name: string, from: readonly string[]): Fields {
  const fitting: string[] = []
  let bytes = 0
  for (const one of from) {
    // Passed over, not an end: whoever writes a Secret must not choose what the record of it shows.
    if (one.length > MAX_STRING_CHARS) continue
    bytes += ascii(JSON.stringify(one)).length + 1
    if (bytes > MAX_LIST_BYTES) break
    fitting.push(one)
  }
  if (fitting.length === from.length) return { [name]: fitting }
  return {
    [name]: fitting,
    [`${name}Omitted`]: from.length - fitting.length,
    [`${name}Sha256`]: createHash('sha256').update(JSON.stringify(from)).digest('hex'),
  }
}

function text(from: string | undefined): string | undefined {
  return from === undefined || from.length <= MAX_STRING_CHARS ? from : `${from.slice(0, MAX_STRING_CHARS)}...`
}

/** Reasons are words of ours. What is not one came from elsewhere, and stays there. */
function word(from: string | undefined): string | undefined {
  return from === undefined || /^[a-z0-9-]{1,64}$/.test(from) ? from : 'unnamed'
}

function count(from: number): number {
  return Number.isFinite(from) ? Math.max(0, Math.round(from)) : 0
}

function time(ms: number): string {
  return new Date(ms).toISOString()
}

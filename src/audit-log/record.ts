/** The records of the audit log. `format-record.ts` puts them on a line. */
import type { Code } from '../contract.ts'

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

/** What one request came to. */
export type Decision = DecisionCommon & DecisionOfAction
export type DecisionOfAction = ReadDecision | ListDecision | RotateDecision | SurveyDecision

/** `rotate` starts a rotation; `survey` asks how Transit keys and Secrets stand. */
export type Action = Decision['action']
export type Outcome = Decision['outcome']

export interface DecisionCommon {
  readonly kind: 'decision'
  readonly timeMs: number
  readonly requestId: string
  readonly peer: string
  /** Absent only where nobody was identified. */
  readonly caller?: AuditedCaller | undefined
  readonly policyHash?: string | undefined
  /** How many keys were asked for by name and not granted or disclosed. Never their names: anything may be pasted there. */
  readonly otherKeys: number
  readonly durationMs: number
}

/** How a request ends that gets nothing. */
export type Unfulfilled =
  /** `why`: the guard that refused, from the closed sets of the stages. */
  | { readonly outcome: 'refused'; readonly code: Code; readonly why?: string | undefined }
  /** Its client left. */
  | { readonly outcome: 'abandoned' }

export type ReadDecision = {
  readonly action: 'read'
  /** The secret asked for; its namespace is absent until it is known. Written only if well-formed. */
  readonly secret: { readonly namespace?: string | undefined; readonly name: string }
  /** Names of the keys disclosed. */
  readonly keys: readonly string[]
  /** Absent until the caller is granted something. `versions` are those that the ciphertexts name; empty until they are fetched. */
  readonly transitKey?:
    | { readonly mount: string; readonly name: string; readonly versions: readonly number[] }
    | undefined
} & (Unfulfilled | { readonly outcome: 'disclosed' | 'unchanged'; readonly etag: string })

/** `listed`: how many grants the listing told of. */
export type ListDecision = { readonly action: 'list' } & (
  | Unfulfilled
  | { readonly outcome: 'listed'; readonly listed: number }
)

export type RotateDecision = RotationAsked & { readonly action: 'rotate' } & (
    | Unfulfilled
    /** `rotation`: what its effects are recorded under. */
    | { readonly outcome: 'started' | 'joined'; readonly rotation: string }
  )

/** `listed`: how many Transit keys the survey told of. */
export type SurveyDecision = RotationAsked & { readonly action: 'survey' } & (
    | Unfulfilled
    | { readonly outcome: 'listed'; readonly listed: number }
  )

interface RotationAsked {
  /** Names of the Transit keys that it is about; absent until the caller is found to be permitted. */
  readonly rotates?: readonly string[] | undefined
}

/** A request that ended before anybody was identified: refused with a code, or left by its client. */
export type Unauthenticated = Code | 'ABANDONED'

/** Counts of requests that ended before anybody was identified. */
export interface Refusals {
  readonly kind: 'refusals'
  readonly timeMs: number
  readonly sinceMs: number
  readonly counts: ReadonlyMap<Unauthenticated, number>
  readonly peers: {
    /** How many peers, up to a bound; `untold` counts the refusals of peers beyond it. */
    readonly distinct: number
    readonly untold: number
    /** The busiest few. */
    readonly top: readonly { readonly peer: string; readonly count: number }[]
  }
}

/** What a rotation changes outside of keyhole. */
export type EffectName =
  /** A new version of a Transit key. */
  | 'advance'
  /** New ciphertext in a Secret. */
  | 'move'
  /** min_decryption_version raised. */
  | 'retire'
  /** min_decryption_version put back, at once, since something fell below it. */
  | 'restore'

/** One of two records: `begin` is written before the effect, which does not happen without it; `end` says what came of it. */
export type Effect = EffectCommon &
  ({ readonly phase: 'begin' } | { readonly phase: 'end'; readonly outcome: EffectOutcome })

/** `unknown`: it was asked for, and no answer came. */
export type EffectOutcome = 'done' | 'failed' | 'unknown'

export interface EffectCommon {
  readonly kind: 'effect'
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
}

/** A rotation begins, ends, resumes what it found on its Lease, or discards what it does not believe there. */
export type Rotation = RotationCommon & RotationPhase

export interface RotationCommon {
  readonly kind: 'rotation'
  readonly timeMs: number
  readonly rotation: string
  readonly caller: { readonly namespace: string; readonly serviceAccount: string }
  readonly transitKeys: readonly string[]
  readonly policyHash: string
}

export type RotationPhase =
  | { readonly phase: 'begin' }
  | { readonly phase: 'end'; readonly complete: boolean; readonly secrets: SecretCounts }
  /** `why` is from a closed set. */
  | { readonly phase: 'discarded'; readonly why: string }
  | { readonly phase: 'resumed'; readonly resumed: Resumed }

export interface SecretCounts {
  readonly rewrapped: number
  readonly current: number
  readonly blocked: number
  readonly left: number
}

/** What an earlier rotation left unfinished, and who had asked for it, as the Lease says. */
export interface Resumed {
  readonly by: string
  readonly target: number
  readonly retire: string
}

/** Counts of refusals beyond their caller's limit. */
export interface Throttled {
  readonly kind: 'throttled'
  readonly timeMs: number
  readonly sinceMs: number
  readonly callers: readonly {
    readonly namespace: string
    readonly serviceAccount: string
    readonly counts: ReadonlyMap<Unauthenticated, number>
  }[]
  /** Refusals of callers that `callers` has no room for. */
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
  /** Decisions that the log could not take and that no start has reported yet. The request of each failed. */
  readonly refusedAppends: number
}

export interface Versions {
  readonly keyhole: string
  readonly node: string
}

/** What lies between the previous record and a start, and is no record. Without a digest, `bytes` is an upper bound. */
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

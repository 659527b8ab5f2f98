/**
 * What keyhole says on the wire: the codes it refuses with and the shapes it answers with.
 *
 * Imports nothing, so that the server, a client and a command line can share it. openapi.yaml says the same
 * by hand; test/contract holds the two together.
 */

export interface CodeRule {
  /** HTTP status that carries the code. */
  readonly status: number
  /** Seconds after which the same request may succeed; absent when repeating it unchanged cannot help. */
  readonly retryAfterSeconds?: number
  /** The problem document's `title`: what happened, in general. */
  readonly title: string
  /** The default `detail`: what the caller should do next. Never holds anything a caller sent. */
  readonly advice: string
}

/** Every code keyhole answers with. A test shows that each is reached and that openapi.yaml lists it. */
export const CODES = {
  TOKEN_MISSING: {
    status: 401,
    title: 'No token',
    advice: 'Send the ServiceAccount token that your pod has mounted: "Authorization: Bearer <token>", once.',
  },
  TOKEN_REJECTED: {
    status: 401,
    title: 'Token refused',
    advice:
      'Send a current projected ServiceAccount token, read again from its file: it may have expired, live too long, or belong to a ServiceAccount or pod that is gone.',
  },
  TOKEN_AUDIENCE: {
    status: 401,
    title: 'Token for another audience',
    advice: "Mount a projected ServiceAccount token whose only audience is keyhole's.",
  },
  NOT_GRANTED: {
    status: 403,
    title: 'Not granted',
    advice: 'GET /secrets lists what you may read.',
  },
  SECRET_MISSING: {
    status: 404,
    title: 'Secret missing',
    advice: 'The grant is good, but the Secret it names, or its data key, does not exist. Its owner must create it.',
  },
  KEY_MISSING: {
    status: 404,
    title: 'Key missing',
    advice: 'You are granted a key that you asked for, but the Secret does not hold it. Its owner must add it.',
  },
  MALFORMED_REQUEST: {
    status: 400,
    title: 'Malformed request',
    advice: 'See openapi.yaml for what this call takes.',
  },
  ROUTE_UNKNOWN: {
    status: 404,
    title: 'No such route',
    advice:
      'keyhole answers GET /secrets, GET /secrets/{name}, GET /rotate and POST /rotate, as far as they are served here.',
  },
  METHOD_NOT_ALLOWED: {
    status: 405,
    title: 'Method not allowed',
    advice: 'The Allow header lists the methods of this route.',
  },
  NOT_ACCEPTABLE: {
    status: 406,
    title: 'Not acceptable',
    advice:
      'application/octet-stream is for exactly one key (?key=NAME) of a grant with format "files"; otherwise accept application/json.',
  },
  REQUEST_TIMEOUT: {
    status: 408,
    retryAfterSeconds: 1,
    title: 'Request too slow',
    advice: 'The request did not arrive whole in time. Send it again.',
  },
  PAYLOAD_TOO_LARGE: {
    status: 413,
    title: 'Payload too large',
    advice: 'This call takes no body.',
  },
  URL_TOO_LONG: {
    status: 414,
    title: 'URL too long',
    advice: 'Ask for fewer keys, or for all of them by leaving out ?key=.',
  },
  CIPHERTEXT_REJECTED: {
    status: 422,
    title: 'Ciphertext rejected',
    advice:
      'The Secret does not hold ciphertext that was made for this place: it was moved, altered, or made with another key or version. Its owner must encrypt it again.',
  },
  CONTENT_INVALID: {
    status: 422,
    title: 'Content invalid',
    advice:
      'The Secret was decrypted, but it does not hold one JSON object with distinct keys. Its owner must write it again.',
  },
  KEY_UNUSABLE: {
    status: 422,
    title: 'Transit key unusable',
    advice:
      'The Transit key of this grant is missing, not set up, or not open to its namespace. The platform team finds the fix in the log under this request id.',
  },
  SECRET_UNREADABLE: {
    status: 422,
    title: 'Secret unreadable',
    advice: "keyhole has no right to get the Secret of this grant. The platform team must name it in keyhole's RBAC.",
  },
  RATE_LIMITED: {
    status: 429,
    retryAfterSeconds: 1,
    title: 'Too many refused requests',
    advice: 'You were refused too often. Fix the request, then try again later.',
  },
  HEADERS_TOO_LARGE: {
    status: 431,
    title: 'Headers too large',
    advice: 'Send fewer or smaller headers.',
  },
  IDEMPOTENCY_KEY_REUSED: {
    status: 422,
    title: 'Idempotency-Key reused',
    advice: 'This Idempotency-Key stands for another request of yours. Send a new one with a new request.',
  },
  ROTATION_IN_PROGRESS: {
    status: 409,
    retryAfterSeconds: 10,
    title: 'Rotation in progress',
    advice: 'Another rotation runs. Try again once it is over; GET /rotate shows how far it is.',
  },
  ROTATED_RECENTLY: {
    status: 429,
    retryAfterSeconds: 60,
    title: 'Rotated recently',
    advice:
      'Every key asked for got its newest version less than its minInterval ago, and its last rotation is complete. Send "mode": "rewrap" to move Secrets without making a version.',
  },
  ROTATION_INCOMPLETE: {
    status: 500,
    retryAfterSeconds: 30,
    title: 'Rotation incomplete',
    advice: 'The report says what is left and what to do about it. The next rotation goes on where this one stopped.',
  },
  LEASE_UNUSABLE: {
    status: 500,
    title: 'Lease unusable',
    advice: 'keyhole cannot use its Lease, so nothing was changed. The platform team finds the fix in the log.',
  },
  INTERNAL: {
    status: 500,
    title: 'Internal error',
    advice: 'The platform team finds the cause in the log under this request id.',
  },
  KUBERNETES_UNAVAILABLE: {
    status: 503,
    retryAfterSeconds: 2,
    title: 'Kubernetes unavailable',
    advice: 'keyhole got no usable answer from the Kubernetes API server. Try again.',
  },
  VAULT_UNAVAILABLE: {
    status: 503,
    retryAfterSeconds: 2,
    title: 'Vault unavailable',
    advice: 'keyhole got no usable answer from Vault. Try again.',
  },
  VAULT_SEALED: {
    status: 503,
    retryAfterSeconds: 5,
    title: 'Vault sealed',
    advice: 'Vault is sealed or on standby. Try again once it is unsealed.',
  },
  AUDIT_UNAVAILABLE: {
    status: 503,
    retryAfterSeconds: 2,
    title: 'Audit log unavailable',
    advice: 'The audit record could not be written, so nothing was disclosed. Try again.',
  },
  OVERLOADED: {
    status: 503,
    retryAfterSeconds: 1,
    title: 'Overloaded',
    advice: 'Too many requests at once. Try again.',
  },
  DEADLINE: {
    status: 504,
    retryAfterSeconds: 1,
    title: 'Deadline passed',
    advice: 'The answer was not ready within the deadline. Try again.',
  },
} as const satisfies Record<string, CodeRule>

export type Code = keyof typeof CODES

/** The rule of a code, widened so that every field may be asked for. */
export function ruleOf(code: Code): CodeRule {
  return CODES[code]
}

/** A refusal, as RFC 9457 `application/problem+json`. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code: Code
  /** Whether the same request may succeed later; `Retry-After` then says when. */
  readonly retryable: boolean
  /** Names this request in keyhole's log; present for 422 and 5xx, about which the log says more. */
  readonly requestId?: string
  /** With ROTATION_IN_PROGRESS, where it is known. */
  readonly progress?: RotationProgress
  /** With ROTATION_INCOMPLETE. */
  readonly report?: RotationReport
}

/**
 * Answer of `GET /secrets/{name}`. `data` holds the granted keys that the Secret has, each value the JSON
 * bytes as stored; `missing` the granted keys that it has not. With `encoding: "base64"` (grants with
 * `format: files`) every value is a string of base64.
 */
export interface SecretAnswer {
  readonly name: string
  readonly encoding?: 'base64'
  readonly data: Readonly<Record<string, unknown>>
  readonly missing: readonly string[]
}

/** Answer of `GET /secrets`. */
export interface ListAnswer {
  readonly secrets: readonly ListedSecret[]
}

export interface ListedSecret {
  /** As `GET /secrets/{name}` takes it: `db`, or `db.payments` for another namespace's. */
  readonly name: string
  /** Granted key names; empty when `all`. */
  readonly keys: readonly string[]
  /** Every key of the Secret is granted, also ones added later. */
  readonly all: boolean
}

/** Body of `POST /rotate`; every member may be absent. */
export interface RotateRequest {
  /** Names of TransitKeys; absent: all that the caller may rotate. */
  readonly keys?: readonly string[]
  /** `rotate`: to a new version, unless the newest is younger than the key's minInterval. `rewrap`: to the newest there is. */
  readonly mode?: RotationMode
  /** Say what would happen; change nothing. */
  readonly dryRun?: boolean
  /**
   * When old versions lose their use: `after-grace` leaves as many as the key's `grace`; `now`, for a version that is
   * compromised, leaves none and does not wait for minInterval; `never` leaves all.
   */
  readonly retire?: Retire
}

export type RotationMode = 'rotate' | 'rewrap'
export type Retire = 'after-grace' | 'now' | 'never'

/** Answer of `POST /rotate`, member `report` of ROTATION_INCOMPLETE, and the last line of a stream that has one. */
export interface RotationReport {
  readonly type: 'report'
  readonly id: string
  readonly mode: RotationMode
  readonly retire: Retire
  readonly dryRun: boolean
  /**
   * Every Secret of every key is where it should be: nothing is left, nothing is blocked. With `retire: now` also: no older
   * version of any key opens any more. Of a dry run: it would be so.
   */
  readonly complete: boolean
  /** RFC 3339. */
  readonly startedAt: string
  readonly finishedAt: string
  readonly keys: readonly KeyReport[]
}

/** What became of one Transit key. Of a dry run: what would. */
export interface KeyReport {
  readonly key: string
  readonly mount: string
  readonly complete: boolean
  /** It went on with what an earlier rotation had begun. */
  readonly resumed: boolean
  /** Versions; absent where the key could not be read. `to` is the newest that a Secret has, where somebody else made one meanwhile. */
  readonly from?: number
  readonly to?: number
  /** `made`: a new version. `there`: an earlier attempt or somebody else had made it. `recent`: the newest is younger than minInterval. `not-asked`: mode rewrap. Absent until it is known that the version exists. */
  readonly advance?: 'made' | 'there' | 'recent' | 'not-asked'
  readonly minDecryptionVersion?: { readonly before: number; readonly after: number }
  readonly retirement?: { readonly done: boolean; readonly why: RetirementWhy; readonly detail: string }
  readonly secrets: readonly SecretReport[]
  /** Why the key as a whole went no further. Of a dry run also ROTATED_RECENTLY: the rotation would be refused now; `detail` says until when. */
  readonly failure?: { readonly code: string; readonly detail: string }
}

export type RetirementWhy =
  | 'raised'
  | 'nothing-older'
  | 'not-asked'
  | 'not-exclusive'
  | 'secrets-left'
  | 'secrets-blocked'
  | 'policy-changed'
  | 'secrets-dropped'
  | 'secrets-unknown'
  | 'gitops'
  | 'fell-back'
  | 'dry-run'

export interface SecretReport {
  readonly namespace: string
  readonly name: string
  /** `left`: not looked at, or not finished, before the rotation stopped; a rerun goes on with it. */
  readonly outcome: 'rewrapped' | 'current' | 'blocked' | 'left'
  /** Why it is blocked. */
  readonly code?: BlockedCode
  /** What to do about it. */
  readonly detail?: string
  /** The tool that also writes this Secret, and holds the old ciphertext still. */
  readonly gitops?: string
}

/** Why one Secret cannot be moved, and what its people should do. */
export const BLOCKED = {
  SECRET_MISSING: 'The policy names it, but it does not exist. Create it, or take its grant out of the policy.',
  DATA_KEY_MISSING: 'It does not hold the data key that the policy names. Add it, or fix the grant.',
  UNREADABLE: "keyhole has no right to get it. Name it in the rotator's RBAC with the verb get.",
  UNWRITABLE:
    "keyhole may not patch it. Name it in the rotator's RBAC with the verb patch, or have the admission webhook that refuses let it pass.",
  IMMUTABLE: 'It is immutable. Delete it and create it again with the new ciphertext.',
  MALFORMED: 'It does not hold Transit ciphertext. Its owner must encrypt it again.',
  FOREIGN: 'Its ciphertext was made for another place or key, or was altered. Its owner must encrypt it again.',
  TOO_OLD: "Its ciphertext is older than the key's min_decryption_version. Its owner must encrypt it again.",
  TOO_NEW:
    'Its ciphertext names a version that Vault does not have. Vault was restored from a backup, or somebody wrote it by hand.',
  TOO_LARGE: 'It is too large to be read, rewrapped or patched in one request. Its owner must split it.',
  UNANSWERED:
    'The API server gives no usable answer about it, and does about others. Look for an admission webhook or a proxy that stands before it, then rotate again.',
  CONTENDED:
    'Somebody else keeps writing it: each time it was moved, an older ciphertext came back. Find who writes it.',
} as const

export type BlockedCode = keyof typeof BLOCKED

/** A line of the stream (`Accept: application/x-ndjson`) before the report. */
export type RotationEvent =
  | { readonly type: 'started'; readonly id: string; readonly keys: readonly string[]; readonly dryRun: boolean }
  | {
      readonly type: 'step'
      readonly key: string
      readonly stage: RotationStage
      /** Versions, where the stage is about them. */
      readonly from?: number
      readonly to?: number
    }
  | {
      readonly type: 'progress'
      readonly key: string
      readonly stage: 'move' | 'verify'
      readonly done: number
      readonly total: number
    }

export type RotationStage = 'intend' | 'advance' | 'move' | 'verify' | 'retire' | 'close'

/** Answer of `POST /rotate` with `Prefer: respond-async`: 202. */
export interface RotationStarted {
  readonly type: 'started'
  readonly id: string
  readonly keys: readonly string[]
  readonly dryRun: boolean
}

/** The last line of the stream in place of the report, where that may not leave: AUDIT_UNAVAILABLE, INTERNAL. */
export interface RotationFailed {
  readonly type: 'failed'
  readonly id: string
  readonly code: Code
  /** What became of the rotation, and what to do next. */
  readonly detail: string
  readonly retryable: boolean
}

/** How far a rotation is, in counts; member `progress` of ROTATION_IN_PROGRESS. */
export interface RotationProgress {
  readonly startedAt: string
  readonly done: number
  readonly total: number
}

/** Answer of `GET /rotate`, about the keys that this caller may rotate. */
export interface RotationStatus {
  readonly running: (RotationProgress & { readonly id: string }) | null
  readonly last: LastRotation | null
  readonly ledger: readonly LedgerEntry[]
  /** When the Secrets were looked at; RFC 3339. Older than ten seconds where a look takes longer than a request may wait for. */
  readonly surveyedAt: string
}

export interface LastRotation {
  readonly id: string
  readonly complete: boolean
  readonly finishedAt: string
  readonly rewrapped: number
  readonly current: number
  readonly blocked: number
  readonly left: number
  /** The first 50 Secrets that are blocked or left. */
  readonly failures: readonly (SecretReport & { readonly key: string })[]
}

/** One Transit key and the Secrets that rest under it. */
export interface LedgerEntry {
  readonly key: string
  readonly mount: string
  /** Absent where Vault did not tell; `failure` then says why. */
  readonly latestVersion?: number
  readonly minDecryptionVersion?: number
  /** RFC 3339: when the newest version was made. */
  readonly latestCreatedAt?: string
  readonly secrets: number
  /** How many Secrets sit on each version; one of several ciphertexts counts by its oldest. */
  readonly versions: Readonly<Record<string, number>>
  /** RFC 3339: when the oldest version in use was made. */
  readonly oldestCreatedAt?: string
  /** Secrets that are not on the newest version. */
  readonly drift: readonly { readonly namespace: string; readonly name: string; readonly version: number }[]
  /** Secrets that a GitOps tool also writes. */
  readonly gitops: readonly { readonly namespace: string; readonly name: string; readonly tool: string }[]
  readonly blocked: readonly {
    readonly namespace: string
    readonly name: string
    readonly code: BlockedCode
    readonly detail: string
  }[]
  readonly failure?: { readonly code: string; readonly detail: string }
}

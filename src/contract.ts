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
    advice: 'keyhole answers GET /secrets and GET /secrets/{name}.',
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
    advice: 'You were refused too often. Mend the request, then try again later.',
  },
  HEADERS_TOO_LARGE: {
    status: 431,
    title: 'Headers too large',
    advice: 'Send fewer or smaller headers.',
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

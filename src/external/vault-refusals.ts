/**
 * What Vault means by a refusal. It says so in English, so this is the one place that reads it; no text leaves.
 * The body is read as bytes: a batch that failed in part holds the plaintext of the rest.
 */
import type { LoginRefused } from '../check/ports.ts'
import type { Bounds, Span } from '../dictionary.ts'
import { DictionaryError, elements, find, insideQuotes } from '../dictionary.ts'
import type { UpstreamKind } from '../errors.ts'
import { kindOfStatus } from './refused.ts'

/** Of an answer; the Send has bounded it before. */
export const BOUNDS: Bounds = { maxBytes: 64 * 1024 * 1024, maxDepth: 16 }

export function kindOfRefusal(status: number, body: Buffer): UpstreamKind {
  if (status === 400) return kindOfText(reasonIn(body) ?? '')
  if (status >= 500) return FAILURES.find(([text]) => reasonIn(body)?.includes(text))?.[1] ?? 'unavailable'
  if (status === 404 && saysNothing(body)) return 'key-missing'
  return STATUSES[status] ?? kindOfStatus(status) ?? 'garbage'
}

/** Of Transit and of the Kubernetes auth method. The first that fits: some are part of others. */
export function kindOfText(text: string): UpstreamKind {
  return REFUSALS.find(([part]) => text.includes(part))?.[1] ?? 'bad-request'
}

/** Why a login by the Kubernetes auth method was refused; undefined for what is not about the login. */
export function loginRefusal(status: number, body: Buffer): LoginRefused['refused'] | undefined {
  const text = status === 400 || status === 403 ? reasonIn(body) : undefined
  return text === undefined ? undefined : LOGIN_REFUSALS.find(([part]) => text.includes(part))?.[1]
}

const LOGIN_REFUSALS: readonly (readonly [part: string, refusal: LoginRefused['refused']])[] = [
  ['invalid role name', 'role-missing'],
  ['invalid audience (aud) claim', 'audience'],
  ['invalid expiration time (exp) claim', 'untimely'],
  ['invalid not before (nbf) claim', 'untimely'],
  ['invalid issued at (iat) claim', 'untimely'],
  ['service account name not authorized', 'account'],
  ['namespace not authorized', 'namespace'],
  // Also: no such auth method, an API server that Vault cannot ask, a token that this one does not know.
  ['permission denied', 'denied'],
]

type Meaning = readonly [part: string, kind: UpstreamKind]

const REFUSALS: readonly Meaning[] = [
  ["missing 'context' for key derivation", 'context-missing'],
  ['ciphertext or signature version is disallowed by policy (too old)', 'too-old'],
  ['invalid ciphertext: version is too new', 'too-new'],
  ['cipher: message authentication failed', 'not-authentic'],
  ['invalid ciphertext: no prefix', 'no-prefix'],
  ['invalid ciphertext', 'malformed-ciphertext'],
  ['missing ciphertext to decrypt', 'malformed-ciphertext'],
  // Of encrypt, decrypt and rewrap; without "encryption", of rotate; and of config.
  ['key not found', 'key-missing'],
  ['no existing key named', 'key-missing'],
  ['invalid role name', 'role-missing'],
]

const FAILURES: readonly Meaning[] = [
  ['Vault is sealed', 'sealed'],
  ['Vault is in standby mode', 'standby'],
  ['node is not active', 'standby'],
  ['no active Vault instance found', 'standby'],
  ['local node not active', 'standby'],
  // The guard against JSON bombs, about a string or an array that is too long. It says so with a 500.
  ['exceeds allowed', 'too-large'],
]

const STATUSES: Readonly<Record<number, UpstreamKind>> = {
  // No handler for the route; 405: another engine is mounted there.
  404: 'mount-missing',
  405: 'mount-missing',
  // A replica that is behind, or that may not answer this.
  412: 'standby',
  472: 'standby',
  473: 'standby',
}

/** `{"errors":["..."]}`, or the first `error` of the results of a batch. */
function reasonIn(body: Buffer): string | undefined {
  try {
    const errors = find(body, ['errors'], BOUNDS)
    if (errors !== undefined) return textAt(body, elements(body, BOUNDS, errors)[0])
    const results = find(body, ['data', 'batch_results'], BOUNDS)
    if (results === undefined) return undefined
    return elements(body, BOUNDS, results)
      .map((result) => textAt(body, find(body, ['error'], BOUNDS, result)))
      .find((text) => text !== undefined && text !== '')
  } catch (error) {
    if (error instanceof DictionaryError) return undefined
    throw error
  }
}

/** A read of what is not there: `{"errors":[]}`. Where there is no mount, or another engine, there is a text. */
function saysNothing(body: Buffer): boolean {
  try {
    const errors = find(body, ['errors'], BOUNDS)
    return errors !== undefined && elements(body, BOUNDS, errors).length === 0
  } catch (error) {
    if (error instanceof DictionaryError) return false
    throw error
  }
}

const MAX_TEXT = 1024

/** A string value, with its escapes as they stand: no text that is looked for has any. */
export function textAt(body: Buffer, value: Span | undefined): string | undefined {
  const text = value && insideQuotes(body, value)
  return text && body.toString('latin1', text.start, Math.min(text.end, text.start + MAX_TEXT))
}

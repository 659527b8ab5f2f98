/**
 * Vault, as far as reading a Secret needs it: login by the Kubernetes auth method, and Transit decrypt. What rotation
 * needs beside is in vault-rotation.ts, apart, because a rotator must not hold anything that decrypts.
 *
 * Plaintext goes from the answer's bytes to the caller's buffer: never a string, never JSON.parse. Every answer is wiped.
 */
import { Base64Error, decodeBase64 } from '../base64.ts'
import type { Span } from '../dictionary.ts'
import { DictionaryError, elements, find, insideQuotes } from '../dictionary.ts'
import { UpstreamError } from '../errors.ts'
import type { Token } from '../opaque.ts'
import { token, wipe } from '../opaque.ts'
import type { DecryptItem, Transit } from '../services/decrypt.ts'
import type { VaultOptions } from './vault-client.ts'
import { garbage, isMount, isName, MAX_ITEMS, openClient } from './vault-client.ts'
import { BOUNDS, kindOfText, textAt } from './vault-refusals.ts'

export type { VaultOptions } from './vault-client.ts'

export interface Vault extends Transit {
  /** @throws UpstreamError */
  login(request: LoginRequest, signal: AbortSignal): Promise<VaultLogin>
}

export interface LoginRequest {
  /** Of the auth method, without `auth/`: `kubernetes`. */
  readonly mount: string
  readonly role: string
  readonly jwt: Token
}

export interface VaultLogin {
  readonly token: Token
  readonly leaseSeconds: number
}

export function openVault(options: VaultOptions): Vault {
  const { write } = openClient(options)
  return {
    async login({ mount, role, jwt }, signal) {
      if (!isMount(mount) || !isName(role)) throw new UpstreamError('vault', 'bad-request')
      return loginIn(await write(`auth/${mount}/login`, { role, jwt: jwt.reveal() }, { signal }))
    },

    async decrypt({ token, mount, key, items }, signal) {
      if (!isMount(mount) || !isName(key) || items.length > MAX_ITEMS) throw new UpstreamError('vault', 'bad-request')
      const [first, ...others] = items
      if (first === undefined) return []
      const request = others.length === 0 ? itemOf(first) : { batch_input: items.map(numbered) }
      const body = await write(`${mount}/decrypt/${key}`, request, { signal, token })
      return plaintextsIn(body, items.length)
    },
  }
}

/** Vault repeats the reference of each item, which proves the order. */
function numbered(item: DecryptItem, index: number): object {
  return { ...itemOf(item), reference: String(index) }
}

/** These fields and no others: Vault reads every option that it is sent. */
function itemOf({ ciphertext, context }: DecryptItem): object {
  return { ciphertext, ...(context !== undefined && { context }) }
}

const TOKEN = /^[\x21-\x7e]{1,16384}$/

function loginIn(body: Buffer): VaultLogin {
  try {
    const { auth } = JSON.parse(body.toString('utf8'))
    const content: unknown = auth.client_token
    const leaseSeconds: unknown = auth.lease_duration
    if (typeof content !== 'string' || !TOKEN.test(content)) throw garbage()
    // Zero is a token that never ends: nothing that a role of ours may give.
    if (typeof leaseSeconds !== 'number' || !Number.isSafeInteger(leaseSeconds) || leaseSeconds <= 0) throw garbage()
    return { token: token(content), leaseSeconds }
  } catch {
    // A SyntaxError quotes what it could not parse.
    throw garbage()
  } finally {
    wipe(body)
  }
}

function plaintextsIn(body: Buffer, count: number): readonly Buffer[] {
  const opened: Buffer[] = []
  try {
    if (count === 1) opened.push(plaintextAt(body, find(body, ['data', 'plaintext'], BOUNDS)))
    else for (const span of resultsIn(body, count)) opened.push(plaintextAt(body, span))
    return opened
  } catch (error) {
    wipe(...opened)
    throw error instanceof DictionaryError || error instanceof Base64Error ? garbage() : error
  } finally {
    wipe(body)
  }
}

function resultsIn(body: Buffer, count: number): readonly (Span | undefined)[] {
  const list = find(body, ['data', 'batch_results'], BOUNDS)
  const results = list === undefined ? [] : elements(body, BOUNDS, list)
  if (results.length !== count) throw garbage()
  return results.map((result, index) => {
    const error = textAt(body, find(body, ['error'], BOUNDS, result))
    if (error !== undefined && error !== '') throw new UpstreamError('vault', kindOfText(error), 200)
    if (textAt(body, find(body, ['reference'], BOUNDS, result)) !== String(index)) throw garbage()
    return find(body, ['plaintext'], BOUNDS, result)
  })
}

function plaintextAt(body: Buffer, value: Span | undefined): Buffer {
  const text = value && insideQuotes(body, value)
  if (text === undefined) throw garbage()
  return decodeBase64(body, text.start, text.end)
}

/**
 * Vault, as far as keyhole needs it: login by the Kubernetes auth method, and Transit decrypt. The SDK's generic
 * `write` makes the requests; its transport is replaced by our Send, because its own follows redirects with the token,
 * takes proxies from the environment and loses keep-alive.
 *
 * Plaintext goes from the answer's bytes to the caller's buffer: never a string, never JSON.parse. Every answer is wiped.
 */
import nodeVault from 'node-vault'
import { Base64Error, decodeBase64 } from '../base64.ts'
import type { Span } from '../dictionary.ts'
import { DictionaryError, elements, find, insideQuotes } from '../dictionary.ts'
import { UpstreamError } from '../errors.ts'
import type { Token } from '../opaque.ts'
import { token, wipe } from '../opaque.ts'
import { unanswered } from './refused.ts'
import type { Send } from './send.ts'
import { BOUNDS, kindOfRefusal, kindOfText, textAt } from './vault-refusals.ts'

export interface Vault {
  /** @throws UpstreamError */
  login(request: LoginRequest, signal: AbortSignal): Promise<VaultLogin>
  /**
   * The plaintexts, in the order of the items: all of them or none. The receiver wipes them.
   * A key that is derived refuses an item without context with kind `context-missing`; asking so is how to prove it.
   * @throws UpstreamError
   */
  decrypt(request: DecryptRequest, signal: AbortSignal): Promise<readonly Buffer[]>
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

export interface DecryptRequest {
  readonly token: Token
  /** Of the Transit engine: `transit`. */
  readonly mount: string
  readonly key: string
  /** At most 250. */
  readonly items: readonly DecryptItem[]
}

export interface DecryptItem {
  /** `vault:v<version>:<base64>` */
  readonly ciphertext: string
  /** base64; in all items or in none. */
  readonly context?: string
}

export interface VaultOptions {
  readonly send: Send
  readonly namespace?: string
}

/** What one batch may hold; Vault's own bound is 4 MiB or so of request. */
const MAX_ITEMS = 250

export function openVault({ send, namespace }: VaultOptions): Vault {
  const client = nodeVault({
    'request-promise': { defaults: () => transport(send, namespace) },
    endpoint: 'http://vault.invalid',
    // Its default prints requests and answers for DEBUG=*.
    debug: () => {},
  })

  async function write(path: string, data: object, call: Call): Promise<Buffer> {
    const body: unknown = await client.write(path, data, { call })
    if (!Buffer.isBuffer(body)) throw new UpstreamError('vault', 'garbage')
    return body
  }

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

interface Call {
  readonly signal: AbortSignal
  readonly token?: Token
}

/** What the SDK hands its transport; it adds headers of its own, of which none is used. */
interface Handed {
  readonly path: string
  readonly json: object
  readonly call: Call
}

/**
 * Builds the headers itself: the SDK would send VAULT_TOKEN and VAULT_NAMESPACE of the environment, and keeps the first
 * token for later calls. A refusal is reduced to its kind here, before the SDK makes an error that holds the body.
 */
function transport(send: Send, namespace: string | undefined) {
  return async ({ path, json, call: { signal, token } }: Handed) => {
    const headers = {
      'content-type': 'application/json',
      'x-vault-request': 'true',
      ...(token !== undefined && { 'x-vault-token': token.reveal() }),
      ...(namespace !== undefined && { 'x-vault-namespace': namespace }),
    }
    const answer = await send(
      { method: 'POST', path: `/v1${path}`, headers, body: JSON.stringify(json) },
      signal,
    ).catch((error: unknown) => {
      throw unanswered('vault', error)
    })
    if (answer.status !== 200) {
      const kind = kindOfRefusal(answer.status, answer.body)
      wipe(answer.body)
      throw new UpstreamError('vault', kind, answer.status)
    }
    return { statusCode: answer.status, body: answer.body, request: { path } }
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

function garbage(): UpstreamError {
  return new UpstreamError('vault', 'garbage', 200)
}

/** A name that stays one segment of the path. */
function isName(name: string): boolean {
  return name.length <= 253 && /^\w[\w.-]*$/.test(name)
}

/** Mounts may be nested: `team/transit`. */
function isMount(mount: string): boolean {
  return mount.length <= 512 && mount.split('/').every(isName)
}

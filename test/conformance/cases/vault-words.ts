/** Words that the Vault cases share. */
import type { Case, Expected, RawRequest } from '../case.ts'
import type { Environment } from '../environment.ts'
import { send } from '../run.ts'

const JSON_HEADERS = { 'content-type': 'application/json', 'cache-control': 'no-store' }

/** An error answer: nothing but the texts. */
export function errors(status: number, ...texts: readonly string[]): Expected {
  return { status, headers: JSON_HEADERS, json: { errors: texts, data: undefined } }
}

/** A 200 with this data. */
export function data(expected: object): Expected {
  return {
    status: 200,
    headers: JSON_HEADERS,
    json: {
      request_id: /^[0-9a-f-]{36}$/,
      lease_id: '',
      renewable: false,
      lease_duration: 0,
      data: expected,
      wrap_info: null,
      warnings: null,
      auth: null,
      mount_type: 'transit',
    },
  }
}

export const DENIED = errors(403, '1 error occurred:\n\t* permission denied\n\n')
export const INVALID_TOKEN = errors(403, '2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n')
export const MISSING_CONTEXT = errors(
  400,
  "missing 'context' for key derivation; the key was created using a derived key, which means additional, per-request information must be included in order to perform operations with the key",
)
export const NOT_AUTHENTIC = errors(400, 'cipher: message authentication failed')
export const TOO_OLD = errors(400, 'ciphertext or signature version is disallowed by policy (too old)')
export const TOO_NEW = errors(400, 'invalid ciphertext: version is too new')
export const TOO_SHORT = errors(400, 'invalid ciphertext length')
export const NOT_BASE64 = errors(400, 'invalid ciphertext: could not decode base64')

/** base64 of `here`, and of another place. */
export const HERE = Buffer.from('here').toString('base64')
export const ELSEWHERE = Buffer.from('elsewhere').toString('base64')
/** base64 of `hello`. */
export const HELLO = 'aGVsbG8='

export function post(path: string, token: string | undefined, body: unknown): RawRequest {
  return {
    method: 'POST',
    path,
    headers: { 'content-type': 'application/json', ...(token === undefined ? {} : { 'x-vault-token': token }) },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  }
}

/** Encrypts `hello` through the wire, as the administrator. */
export type Encrypt = (key: string, context?: string) => Promise<string>

export interface Keys {
  readonly world: Environment
  /** Name of a derived key. */
  readonly derived: string
  /** Name of a key that is not derived. */
  readonly plain: string
  readonly root: string
  encrypt: Encrypt
}

/** A case with a derived key and a plain one, both at version 1. */
export function withKeys(title: string, expected: Expected, ask: (keys: Keys) => Promise<RawRequest>): Case {
  return {
    title,
    server: 'vault',
    expected,
    async arrange(world, unique) {
      const { vault } = world.operator
      const derived = `${unique}-derived`
      const plain = `${unique}-plain`
      await vault.createTransitKey({ name: derived, derived: true })
      await vault.createTransitKey({ name: plain, derived: false })
      const root = vault.rootToken
      const encrypt: Encrypt = async (key, context) => {
        const answer = await send(world.vault, post(`/v1/transit/encrypt/${key}`, root, { plaintext: HELLO, context }))
        const parsed = JSON.parse(answer.body) as { data?: { ciphertext?: string } }
        if (parsed.data?.ciphertext === undefined) throw new Error(`encrypting in a case's arrangement: ${answer.body}`)
        return parsed.data.ciphertext
      }
      return ask({ world, derived, plain, root, encrypt })
    },
  }
}

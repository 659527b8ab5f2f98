/** Words that the Vault cases share. */
import type { Case, Expected, RawRequest } from '../case.ts'
import type { Environment, PolicyRule } from '../environment.ts'
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

export function get(path: string, token: string): RawRequest {
  return { method: 'GET', path, headers: { 'x-vault-token': token } }
}

/** Of this century: in seconds, not in milliseconds. */
export function inSeconds(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value > 1e9 && value < 1e10
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
  /** The ciphertext under the latest version. */
  rewrapped(key: string, ciphertext: string, context?: string): Promise<string>
}

/** A token whose rights are these: one policy for each set of rules. */
export async function tokenFor(
  { world, plain }: Keys,
  ...policies: readonly (readonly PolicyRule[])[]
): Promise<string> {
  const named = policies.map((rules, index) => ({ name: `${plain}-${index}`, rules }))
  for (const { name, rules } of named) await world.operator.vault.putPolicy(name, rules)
  return world.operator.vault.createToken({ policies: named.map(({ name }) => name), ttlSeconds: 600, type: 'batch' })
}

/** Gives the plain key so many versions more. */
export async function rotated({ world, plain }: Keys, times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) await world.operator.vault.rotateTransitKey(plain)
}

/** Posts to the config of the plain key, as the administrator. */
export async function configure({ world, plain, root }: Keys, config: object): Promise<void> {
  const answer = await send(world.vault, post(`/v1/transit/keys/${plain}/config`, root, config))
  if (answer.status !== 200) throw new Error(`configuring in a case's arrangement: ${answer.body}`)
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
      const ciphertextOf = async (verb: 'encrypt' | 'rewrap', key: string, body: object): Promise<string> => {
        const answer = await send(world.vault, post(`/v1/transit/${verb}/${key}`, root, body))
        const parsed = JSON.parse(answer.body) as { data?: { ciphertext?: string } }
        if (parsed.data?.ciphertext === undefined) throw new Error(`${verb} in a case's arrangement: ${answer.body}`)
        return parsed.data.ciphertext
      }
      return ask({
        world,
        derived,
        plain,
        root,
        encrypt: (key, context) => ciphertextOf('encrypt', key, { plaintext: HELLO, context }),
        rewrapped: (key, ciphertext, context) => ciphertextOf('rewrap', key, { ciphertext, context }),
      })
    },
  }
}

/**
 * One request to Vault, made with the SDK's generic `read` and `write`. Its transport is replaced by our Send, because its
 * own follows redirects with the token, takes proxies from the environment, and does not keep connections alive.
 */
import nodeVault from 'node-vault'
import { UpstreamError } from '../errors.ts'
import { VAULT_NAME, VAULT_PATH } from '../label.ts'
import type { Token } from '../opaque.ts'
import { wipe } from '../opaque.ts'
import { unanswered } from './refused.ts'
import type { Send } from './send.ts'
import { kindOfRefusal } from './vault-refusals.ts'

export interface VaultOptions {
  readonly send: Send
  readonly namespace?: string
}

/** Both return the body of a 200, which the caller must wipe. @throws UpstreamError */
export interface VaultClient {
  read(path: string, call: Call): Promise<Buffer>
  write(path: string, data: object, call: Call): Promise<Buffer>
}

export interface Call {
  readonly signal: AbortSignal
  readonly token?: Token
}

export function openClient({ send, namespace }: VaultOptions): VaultClient {
  const client = nodeVault({
    'request-promise': { defaults: () => transport(send, namespace) },
    endpoint: 'http://vault.invalid',
    // Its default prints requests and answers for DEBUG=*.
    debug: () => {},
  })
  return {
    read: async (path, call) => bytesOf(await client.read(path, { call })),
    write: async (path, data, call) => bytesOf(await client.write(path, data, { call })),
  }
}

/** How many items one batch may hold. Vault itself bounds only the size of the request. */
export const MAX_ITEMS = 250

/** Whether the name stays one segment of the path. */
export function isName(name: string): boolean {
  return VAULT_NAME.test(name)
}

/** Mounts may be nested: `team/transit`. */
export function isMount(mount: string): boolean {
  return VAULT_PATH.test(mount)
}

/** For a 200 that is not what was asked for. */
export function garbage(): UpstreamError {
  return new UpstreamError('vault', 'garbage', 200)
}

function bytesOf(body: unknown): Buffer {
  if (!Buffer.isBuffer(body)) throw new UpstreamError('vault', 'garbage')
  return body
}

/** What the SDK hands its transport; it adds headers of its own, of which none is used. */
interface Handed {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly json?: object
  readonly call: Call
}

/**
 * Builds the headers itself: the SDK would send VAULT_TOKEN and VAULT_NAMESPACE of the environment, and keeps the first
 * token for later calls. A refusal is reduced to its kind here, before the SDK makes an error that holds the body.
 */
function transport(send: Send, namespace: string | undefined) {
  return async ({ method, path, json, call: { signal, token } }: Handed) => {
    const headers = {
      ...(json !== undefined && { 'content-type': 'application/json' }),
      'x-vault-request': 'true',
      ...(token !== undefined && { 'x-vault-token': token.reveal() }),
      ...(namespace !== undefined && { 'x-vault-namespace': namespace }),
    }
    const body = json === undefined ? {} : { body: JSON.stringify(json) }
    const answer = await send({ method, path: `/v1${path}`, headers, ...body }, signal).catch((error: unknown) => {
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

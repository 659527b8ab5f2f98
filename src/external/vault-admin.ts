/** Vault as its administrator reads and writes it: what `keyhole vault` asks, with a person's token. */
import { UpstreamError } from '../errors.ts'
import type { Token } from '../opaque.ts'
import { wipe } from '../opaque.ts'
import type { Fields, VaultAdmin } from '../vault-setup/port.ts'
import { unanswered } from './refused.ts'
import type { Outbound } from './send.ts'
import type { VaultOptions } from './vault-client.ts'
import { garbage } from './vault-client.ts'
import { kindOfRefusal } from './vault-refusals.ts'

export function openVaultAdmin({ send, namespace, token }: VaultOptions & { readonly token: Token }): VaultAdmin {
  async function ask({ method, path, body }: Pick<Outbound, 'method' | 'path' | 'body'>, signal: AbortSignal) {
    const headers = {
      ...(body !== undefined && { 'content-type': 'application/json' }),
      'x-vault-request': 'true',
      'x-vault-token': token.reveal(),
      ...(namespace !== undefined && { 'x-vault-namespace': namespace }),
    }
    const request = { method, path: `/v1/${path}`, headers, ...(body !== undefined && { body }) }
    const answer = await send(request, signal).catch((error: unknown) => {
      throw unanswered('vault', error)
    })
    try {
      if (answer.status === 204) return undefined
      if (answer.status === 200) return dataIn(answer.body)
      throw new UpstreamError('vault', kindOfRefusal(answer.status, answer.body), answer.status)
    } finally {
      wipe(answer.body)
    }
  }

  async function asked(path: string, signal: AbortSignal): Promise<Fields | undefined> {
    try {
      const data = await ask({ method: 'GET', path }, signal)
      if (data === undefined) throw garbage()
      return data
    } catch (error) {
      // What is not there is answered by a 404 without a text, whatever it would be, and by nothing else: where nothing is,
      // something will be made.
      if (error instanceof UpstreamError && error.kind === 'key-missing' && error.status === 404) return undefined
      throw error
    }
  }

  return {
    read: asked,
    async list(path, signal) {
      const { keys } = (await asked(`${path}?list=true`, signal)) ?? { keys: [] }
      if (!Array.isArray(keys) || !keys.every((name) => typeof name === 'string')) throw garbage()
      return keys
    },
    async write(path, data, signal) {
      await ask({ method: 'POST', path, body: JSON.stringify(data) }, signal)
    },
  }
}

/** Of a write that has nothing to say, nothing. */
function dataIn(body: Buffer): Fields | undefined {
  try {
    const answer: unknown = JSON.parse(body.toString('utf8'))
    if (!areFields(answer)) throw garbage()
    const data = answer['data'] ?? undefined
    if (data !== undefined && !areFields(data)) throw garbage()
    return data
  } catch {
    // A SyntaxError quotes what it could not parse.
    throw garbage()
  }
}

function areFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Vault, as far as rotating a Transit key needs it: read it, add a version, raise its minimum, re-wrap what it
 * encrypted. Nothing here can decrypt, and no answer here holds a plaintext.
 *
 * An answer is believed as far as its types hold. `garbage` after `rotateKey` or `setMinDecryptionVersion` does not say
 * that nothing happened: a proxy may have spoilt the answer of a Vault that obeyed.
 */
import { UpstreamError } from '../errors.ts'
import { wipe } from '../opaque.ts'
import type { RewrapItem, Rewrapped, TransitKeyInfo, TransitRotation } from '../services/rotation/ports.ts'
import type { VaultOptions } from './vault-client.ts'
import { garbage, isMount, isName, MAX_ITEMS, openClient } from './vault-client.ts'
import { kindOfText } from './vault-refusals.ts'

export function openVaultRotation(options: VaultOptions): TransitRotation {
  const { read, write } = openClient(options)
  return {
    async readKey({ token, mount, key }, signal) {
      return keyIn(await read(pathOf(mount, 'keys', key), { signal, token }))
    },

    async rotateKey({ token, mount, key }, signal) {
      // Vault answers with the key as it is then. A page of a proxy must not pass for a rotation.
      keyIn(await write(`${pathOf(mount, 'keys', key)}/rotate`, {}, { signal, token }))
    },

    async setMinDecryptionVersion({ token, mount, key, version }, signal) {
      const path = `${pathOf(mount, 'keys', key)}/config`
      // Zero would be taken for 1.
      if (!isCount(version)) throw new UpstreamError('vault', 'bad-request')
      // This field and no other: `exportable` and `allow_plaintext_backup` cannot be taken back.
      const after = keyIn(await write(path, { min_decryption_version: version }, { signal, token }))
      if (after.minDecryptionVersion !== version) throw garbage()
    },

    async rewrap({ token, mount, key, items }, signal) {
      const path = pathOf(mount, 'rewrap', key)
      if (items.length > MAX_ITEMS) throw new UpstreamError('vault', 'bad-request')
      if (items.length === 0) return []
      // Always a batch, for one item too: only there each item has an outcome of its own.
      const body = await write(path, { batch_input: items.map(numbered) }, { signal, token })
      return outcomesIn(body, items.length)
    },
  }
}

function pathOf(mount: string, verb: 'keys' | 'rewrap', key: string): string {
  if (!isMount(mount) || !isName(key)) throw new UpstreamError('vault', 'bad-request')
  return `${mount}/${verb}/${key}`
}

/** These fields and no others: Vault reads every option that it is sent. It repeats the reference, which proves the order. */
function numbered({ ciphertext, context }: RewrapItem, index: number): object {
  return { ciphertext, ...(context !== undefined && { context }), reference: String(index) }
}

function keyIn(body: Buffer): TransitKeyInfo {
  const data = dataIn(body)
  const { derived, latest_version: latestVersion, min_decryption_version: minDecryptionVersion } = data
  if (typeof derived !== 'boolean' || !isCount(latestVersion) || !isCount(minDecryptionVersion)) throw garbage()
  const createdAtMs = new Map(Object.entries(objectOf(data['keys'])).map(createdAt))
  if (minDecryptionVersion > latestVersion || !createdAtMs.has(latestVersion)) throw garbage()
  for (const version of createdAtMs.keys()) if (version > latestVersion) throw garbage()
  return { derived, latestVersion, minDecryptionVersion, createdAtMs }
}

const VERSION = /^[1-9]\d{0,8}$/

/** Symmetric keys have Unix seconds; those with a public part an object that holds an RFC 3339 time. */
function createdAt([version, told]: readonly [string, unknown]): readonly [number, number] {
  const atMs = typeof told === 'number' ? told * 1000 : Date.parse(String(objectOf(told)['creation_time']))
  if (!VERSION.test(version) || !isCount(atMs)) throw garbage()
  return [Number(version), atMs]
}

const CIPHERTEXT = /^vault:v([1-9]\d{0,8}):([A-Za-z0-9+/]+={0,2})$/

function outcomesIn(body: Buffer, count: number): readonly Rewrapped[] {
  const { batch_results: results } = dataIn(body)
  if (!Array.isArray(results) || results.length !== count) throw garbage()
  return results.map((result: unknown, index) => outcomeOf(objectOf(result), index))
}

function outcomeOf(result: Fields, index: number): Rewrapped {
  const { error = '', ciphertext, key_version: keyVersion, reference } = result
  if (typeof error !== 'string' || reference !== String(index)) throw garbage()
  if (error !== '') return { refused: kindOfText(error) }
  if (typeof ciphertext !== 'string') throw garbage()
  const [, version, base64 = ''] = CIPHERTEXT.exec(ciphertext) ?? []
  if (version === undefined || base64.length % 4 !== 0 || keyVersion !== Number(version)) throw garbage()
  return { ciphertext, keyVersion }
}

type Fields = Readonly<Record<string, unknown>>

/** Wipes the body, which is not wanted again. */
function dataIn(body: Buffer): Fields {
  try {
    return objectOf(objectOf(JSON.parse(body.toString('utf8')))['data'])
  } catch {
    // A SyntaxError quotes what it could not parse.
    throw garbage()
  } finally {
    wipe(body)
  }
}

function objectOf(value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw garbage()
  return value as Fields
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0
}

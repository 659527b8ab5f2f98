/**
 * Opened -> Disclosed. Copies the granted members of the dictionary, byte for byte, into the body of the reply; what
 * was not granted is never copied, and no value becomes a string. The caller of this disposes of both.
 */
import { inspect } from 'node:util'
import { base64Length, encodeBase64Into } from '../base64.ts'
import { type Bounds, DictionaryError, pick } from '../dictionary.ts'
import { KeyholeError } from '../errors.ts'
import { wipe } from '../opaque.ts'
import type { Grant } from './authorize.ts'
import { effectiveKeys } from './ciphertext.ts'
import type { Opened } from './open.ts'

/** The body of a reply. Wiped on disposal, which is when the reply has left and not before. Prints as a label. */
export interface Disclosed extends Disposable {
  readonly grant: Grant<'read'>
  /** Key names in the body. */
  readonly keys: readonly string[]
  /** Granted keys that the Secret has not. */
  readonly missing: readonly string[]
  readonly body: Buffer
  readonly contentType: 'application/json; charset=utf-8' | 'application/octet-stream'
  readonly etag: string
  /** Of the ciphertexts that were opened, for the record. */
  readonly keyVersions: readonly number[]
}

/** @throws KeyholeError CONTENT_INVALID, or KEY_MISSING for a key that was asked for by name. */
export type Disclose = (opened: Opened) => Disclosed

export function discloser(bounds: Bounds): Disclose {
  return function disclose(opened) {
    const { grant, etag, parts: sealedParts } = opened.sealed
    const { keys, missing, body } = grant.format === 'json' ? dictionary(opened, bounds) : files(opened)
    const shown = () => '[disclosed]'
    return {
      grant,
      keys,
      missing,
      body,
      contentType: grant.raw ? 'application/octet-stream' : 'application/json; charset=utf-8',
      etag,
      keyVersions: [...new Set(sealedParts.map(({ keyVersion }) => keyVersion))],
      toJSON: shown,
      [inspect.custom]: shown,
      [Symbol.dispose]: () => wipe(body),
    } as Disclosed
  }
}

interface Reply {
  readonly keys: readonly string[]
  readonly missing: readonly string[]
  readonly body: Buffer
}

function dictionary({ sealed: { grant }, parts }: Opened, bounds: Bounds): Reply {
  const bytes = onlyPart(parts)
  const { picked, missing } = picking(() => {
    const wanted = effectiveKeys(grant)
    return pick(bytes, wanted === undefined ? 'all' : new Set(wanted), bounds)
  })
  if (grant.selection !== undefined && missing.length > 0) throw new KeyholeError('KEY_MISSING', { why: 'not-in-dictionary' })
  const members = picked.map(({ keyStart, keyEnd, valueStart, valueEnd }) => [
    bytes.subarray(keyStart, keyEnd),
    bytes.subarray(valueStart, valueEnd),
  ])
  const chunks = members.flatMap(([key, value], index) => [text(index === 0 ? '' : ','), key, text(':'), value])
  const body = exactly([
    text(`{"name":${JSON.stringify(grant.name)},"data":{`),
    ...chunks.filter((chunk) => chunk !== undefined),
    text(`},"missing":${JSON.stringify(missing)}}`),
  ])
  return { keys: picked.map(({ key }) => key), missing, body }
}

function picking<T>(act: () => T): T {
  try {
    return act()
  } catch (error) {
    if (!(error instanceof DictionaryError)) throw error
    throw new KeyholeError('CONTENT_INVALID', { why: `dictionary-${error.flaw}` })
  }
}

function files({ sealed: { grant, missing }, parts }: Opened): Reply {
  const keys = parts.map(({ dataKey }) => dataKey)
  if (grant.raw) return { keys, missing, body: exactly([onlyPart(parts)]) }
  const chunks = parts.map(({ dataKey, bytes }, index) => {
    const before = Buffer.from(`${index === 0 ? '' : ','}${JSON.stringify(dataKey)}:"`)
    const chunk = Buffer.allocUnsafeSlow(before.length + base64Length(bytes.length) + 1)
    before.copy(chunk)
    encodeBase64Into(bytes, chunk, before.length)
    chunk.write('"', chunk.length - 1)
    return chunk
  })
  const body = exactly([
    text(`{"name":${JSON.stringify(grant.name)},"encoding":"base64","data":{`),
    ...chunks,
    text(`},"missing":${JSON.stringify(missing)}}`),
  ])
  wipe(...chunks)
  return { keys, missing, body }
}

function onlyPart(parts: Opened['parts']): Buffer {
  const [part] = parts
  if (part === undefined || parts.length > 1) throw new Error('this reply is made of exactly one plaintext')
  return part.bytes
}

function text(value: string): Buffer {
  return Buffer.from(value, 'utf8')
}

/** One buffer of its own: a pooled one would leave plaintext behind in memory that others are handed. */
function exactly(chunks: readonly Buffer[]): Buffer {
  const body = Buffer.allocUnsafeSlow(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let at = 0
  for (const chunk of chunks) at += chunk.copy(body, at)
  return body
}

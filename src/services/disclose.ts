/**
 * Opened -> Disclosed. Copies the granted members of the dictionary, byte for byte, into the body of the reply; what
 * was not granted is never copied, and no value becomes a string. The caller of this disposes of both.
 */
import { base64Length, encodeBase64Into } from '../base64.ts'
import type { Bounds } from '../dictionary.ts'
import { DictionaryError, pick } from '../dictionary.ts'
import { KeyholeError } from '../errors.ts'
import { wipe, wipeable } from '../opaque.ts'
import type { Grant } from './authorize.ts'
import { effectiveKeys } from './ciphertext.ts'
import { labelled } from './labelled.ts'
import type { Opened } from './open.ts'

/** The body of a reply. Wiped on disposal, which is when the reply has left and not before. Prints as a label. */
export interface Disclosed extends Disposable {
  readonly grant: Grant
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
    const contentType = grant.raw ? 'application/octet-stream' : 'application/json; charset=utf-8'
    const keyVersions = [...new Set(sealedParts.map(({ keyVersion }) => keyVersion))]
    const wiping = { [Symbol.dispose]: () => wipe(body) }
    return labelled(
      'disclosed',
      { grant, keys, missing, contentType, etag, keyVersions, ...wiping },
      { body },
    ) as Disclosed
  }
}

/** Of one reply. Each costs a few steps here, in the last look and in the record, and nobody else is served meanwhile. */
const MAX_MEMBERS = 10_000

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
  if (grant.selection !== undefined && missing.length > 0)
    throw new KeyholeError('KEY_MISSING', { why: 'not-in-dictionary' })
  if (picked.length > MAX_MEMBERS) throw new KeyholeError('CONTENT_INVALID', { why: 'too-many-members' })
  const members = picked.flatMap(({ keyStart, keyEnd, valueStart, valueEnd }, index) => [
    text(index === 0 ? '' : ','),
    copy(bytes.subarray(keyStart, keyEnd)),
    text(':'),
    copy(bytes.subarray(valueStart, valueEnd)),
  ])
  const body = written([
    text(`{"name":${JSON.stringify(grant.name)},"data":{`),
    ...members,
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
  if (grant.raw) return { keys, missing, body: written([copy(onlyPart(parts))]) }
  const members = parts.flatMap(({ dataKey, bytes }, index) => [
    text(`${index === 0 ? '' : ','}${JSON.stringify(dataKey)}:"`),
    base64(bytes),
    text('"'),
  ])
  const body = written([
    text(`{"name":${JSON.stringify(grant.name)},"encoding":"base64","data":{`),
    ...members,
    text(`},"missing":${JSON.stringify(missing)}}`),
  ])
  return { keys, missing, body }
}

function onlyPart(parts: Opened['parts']): Buffer {
  const [part] = parts
  if (part === undefined || parts.length > 1) throw new Error('this reply is made of exactly one plaintext')
  return part.bytes
}

/** Plaintext goes from where it was decrypted straight into the body: a copy on the way would have to be wiped too. */
interface Piece {
  readonly length: number
  writeTo(body: Buffer, at: number): void
}

function copy(bytes: Buffer): Piece {
  return { length: bytes.length, writeTo: (body, at) => void bytes.copy(body, at) }
}

function text(value: string): Piece {
  return copy(Buffer.from(value, 'utf8'))
}

function base64(bytes: Buffer): Piece {
  return { length: base64Length(bytes.length), writeTo: (body, at) => void encodeBase64Into(bytes, body, at) }
}

/** One buffer of its own: a pooled one would leave plaintext behind in memory that others are handed. */
function written(pieces: readonly Piece[]): Buffer {
  const body = wipeable(pieces.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const piece of pieces) {
    piece.writeTo(body, at)
    at += piece.length
  }
  return body
}

/**
 * Grant -> Sealed. GETs the one Secret that the policy names, in a quorum read, and takes the granted ciphertext out
 * of it. The ETag is known here, before anything is decrypted: it names ciphertext and selection, and is no oracle
 * for a short value, since Transit's ciphertext of one plaintext differs each time.
 */
import { createHash } from 'node:crypto'
import { KeyholeError } from '../errors.ts'
import type { Grant } from './authorize.ts'
import { transitCiphertext } from './transit-ciphertext.ts'
import { secretRefusal } from './upstream.ts'

declare const fetched: unique symbol

/** Ciphertext that its caller may read. Nothing else can be opened. */
export interface Sealed {
  readonly [fetched]: true
  readonly grant: Grant
  /** One for `format: json`; one per granted data key that the Secret has for `format: files`. */
  readonly parts: readonly SealedPart[]
  /** Granted data keys that the Secret has not; always empty for `format: json`, whose keys are inside. */
  readonly missing: readonly string[]
  /** A strong entity tag, quotes included. */
  readonly etag: string
}

export interface SealedPart {
  readonly dataKey: string
  /** `vault:v<keyVersion>:<base64>` */
  readonly ciphertext: string
  readonly keyVersion: number
}

/** A Secret as the API server has it; the values of `data` still in base64. */
export interface StoredSecret {
  readonly uid: string
  readonly data: ReadonlyMap<string, string>
}

export interface Secrets {
  /** Undefined when there is no such Secret. */
  getSecret(namespace: string, name: string, signal: AbortSignal): Promise<StoredSecret | undefined>
}

export interface CiphertextReader {
  /** @throws KeyholeError SECRET_MISSING, KEY_MISSING, SECRET_UNREADABLE, CIPHERTEXT_REJECTED, KUBERNETES_UNAVAILABLE. */
  read(grant: Grant, signal: AbortSignal): Promise<Sealed>
}

/** As many ciphertexts as one batch may ask Vault to decrypt. */
const MAX_PARTS = 250

export function ciphertextReader(secrets: Secrets): CiphertextReader {
  return {
    async read(grant, signal) {
      const { namespace, secret } = grant.place
      const stored = await secrets.getSecret(namespace, secret, signal).catch((error: unknown) => {
        throw secretRefusal(error)
      })
      if (stored === undefined) throw new KeyholeError('SECRET_MISSING', { why: 'no-such-secret' })
      const { present, missing } = dataKeysOf(grant, stored)
      const parts = present.map(([dataKey, value]) => sealedPart(dataKey, value))
      return { grant, parts, missing, etag: etagOf(stored.uid, grant, parts) } as Partial<Sealed> as Sealed
    },
  }
}

type Entry = readonly [dataKey: string, value: string]

function dataKeysOf(grant: Grant, { data }: StoredSecret): { present: Entry[]; missing: string[] } {
  if (grant.dataKey !== undefined) {
    const value = data.get(grant.dataKey)
    if (value === undefined) throw new KeyholeError('SECRET_MISSING', { why: 'no-such-data-key' })
    return { present: [[grant.dataKey, value]], missing: [] }
  }
  const wanted = effectiveKeys(grant) ?? [...data.keys()].sort()
  const missing = wanted.filter((dataKey) => !data.has(dataKey))
  if (grant.selection !== undefined && missing.length > 0) {
    throw new KeyholeError('KEY_MISSING', { why: 'no-such-data-key' })
  }
  const present = wanted.flatMap((dataKey): Entry[] => {
    const value = data.get(dataKey)
    return value === undefined ? [] : [[dataKey, value]]
  })
  if (present.length > MAX_PARTS) {
    throw new KeyholeError('CONTENT_INVALID', {
      why: 'too-many-files',
      detail: `The Secret holds more than ${MAX_PARTS} files that you may read. Ask for some of them by ?key=NAME.`,
    })
  }
  return { present, missing }
}

function sealedPart(dataKey: string, stored: string): SealedPart {
  const found = transitCiphertext(stored)
  if (typeof found === 'string') throw new KeyholeError('CIPHERTEXT_REJECTED', { why: found })
  return { dataKey, ...found }
}

/** What the reply may hold, sorted: the keys asked for, or all that are granted; undefined: whatever is there. */
export function effectiveKeys(grant: Grant): readonly string[] | undefined {
  if (grant.selection !== undefined) return grant.selection
  return grant.keys === 'all' ? undefined : [...grant.keys].sort()
}

/** JSON tells any two such lists apart, so that no two replies share a tag. */
function etagOf(uid: string, grant: Grant, parts: readonly SealedPart[]): string {
  const ciphertexts = parts.map(({ dataKey, ciphertext }) => [dataKey, ciphertext])
  const reply = [uid, grant.format, grant.raw, effectiveKeys(grant) ?? 'all', grant.selection ?? 'whole', ciphertexts]
  return `"${createHash('sha256').update(JSON.stringify(reply)).digest('base64url')}"`
}

/**
 * Sealed -> Opened. Proves the key where the ciphertext must be bound to its place, then decrypts. A ciphertext that
 * is "too old" was re-wrapped between our read and our decrypt: it is read again, once.
 */
import { wipe } from '../opaque.ts'
import type { CiphertextReader, Sealed } from './ciphertext.ts'
import type { Decrypt } from './decrypt.ts'
import { TooOld, tooOldForGood } from './decrypt.ts'
import { labelled } from './labelled.ts'
import type { TransitKeys } from './transit-keys.ts'

declare const clear: unique symbol

/** Plaintext, wiped on disposal. Prints as a label. */
export interface Opened extends Disposable {
  readonly [clear]: true
  /** What was opened in the end: after a re-read, the new ciphertext. */
  readonly sealed: Sealed
  readonly parts: readonly OpenedPart[]
}

export interface OpenedPart {
  readonly dataKey: string
  readonly bytes: Buffer
}

export interface OpenOptions {
  readonly decrypt: Decrypt
  readonly ciphertext: CiphertextReader
  readonly keys: TransitKeys
}

/** @throws KeyholeError as `decrypt` and `ciphertext.read` do. */
export type Open = (sealed: Sealed, signal: AbortSignal) => Promise<Opened>

export function opener({ decrypt, ciphertext, keys }: OpenOptions): Open {
  async function openAgain(sealed: Sealed, signal: AbortSignal): Promise<Opened> {
    const rewrapped = await ciphertext.read(sealed.grant, signal)
    if (rewrapped.etag === sealed.etag) throw tooOldForGood()
    try {
      return opened(rewrapped, await decrypt.open(rewrapped, signal))
    } catch (error) {
      throw error instanceof TooOld ? tooOldForGood() : error
    }
  }

  return async function open(sealed, signal) {
    await keys.proven(sealed.grant.transitKey, signal)
    try {
      return opened(sealed, await decrypt.open(sealed, signal))
    } catch (error) {
      if (error instanceof TooOld) return await openAgain(sealed, signal)
      throw error
    }
  }
}

function opened(sealed: Sealed, plaintexts: readonly Buffer[]): Opened {
  if (plaintexts.length !== sealed.parts.length) {
    // Which plaintext is whose can no longer be told.
    wipe(...plaintexts)
    throw new Error('not every ciphertext came back as one plaintext')
  }
  const parts = plaintexts.map((bytes, index) => ({ dataKey: sealed.parts[index]?.dataKey, bytes }))
  const wiping = { [Symbol.dispose]: () => wipe(...plaintexts) }
  return labelled('opened', { sealed, ...wiping }, { parts }) as Partial<Opened> as Opened
}

/**
 * One Transit key: AES-256-GCM under numbered versions, with HKDF-SHA-256 per context when derived. Ciphertexts are the real
 * ones, `vault:vN:base64(nonce + ciphertext + tag)`: a Vault holding the same key bytes would open them.
 *
 * The order of the checks in `decrypt` is the real server's: prefix, version, too new, too old, base64, context, then the
 * bytes. keyhole tells a key's state by which of these texts comes first.
 */
import type { KeyObject } from 'node:crypto'
import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import type { Random } from '../server.ts'
import type { TransitKeyState } from '../vault.ts'
import { decodeLikeGo } from './base64.ts'

/** A refusal whose text is Vault's. */
export class TransitError extends Error {
  override readonly name = 'TransitError'
}

export interface Keyring {
  readonly state: TransitKeyState
  rotate(): number
  /** All of it or, with a TransitError, nothing. Zero for the decryption minimum counts as 1. */
  configure(config: KeyConfig): void
  trim(minAvailableVersion: number): void
  /** @param keyVersion 0: the latest. */
  encrypt(
    plaintext: Buffer,
    context: Buffer | undefined,
    keyVersion: number,
  ): { ciphertext: string; keyVersion: number }
  decrypt(ciphertext: string, context: Buffer | undefined): Buffer
}

export interface KeyConfig {
  readonly minDecryptionVersion?: number | undefined
  readonly minEncryptionVersion?: number | undefined
  readonly deletionAllowed?: boolean | undefined
  /** This and the next cannot be taken back. */
  readonly exportable?: boolean | undefined
  readonly allowPlaintextBackup?: boolean | undefined
  readonly autoRotateSeconds?: number | undefined
}

export interface KeyringOptions {
  readonly derived: boolean
  readonly random: Random
  readonly clock: Clock
  /** Of the versions from 1 on, epoch ms; default one version, made now. */
  readonly createdAtMs?: readonly number[] | undefined
}

const PREFIX = 'vault:v'
const NONCE_BYTES = 12
const TAG_BYTES = 16
const MISSING_CONTEXT =
  "missing 'context' for key derivation; the key was created using a derived key, which means additional, per-request information must be included in order to perform operations with the key"

export function createKeyring({ derived, random, clock, createdAtMs = [clock.now()] }: KeyringOptions): Keyring {
  const versions = new Map<number, { readonly key: Buffer; readonly createdAtMs: number }>()
  const derivedKeys = new Map<string, KeyObject>()
  let latest = 0
  let minDecryption = 1
  let minEncryption = 0
  let minAvailable = 0
  const settings = { deletionAllowed: false, exportable: false, allowPlaintextBackup: false, autoRotateSeconds: 0 }
  for (const atMs of createdAtMs) addVersion(atMs)

  function addVersion(atMs: number): number {
    latest += 1
    versions.set(latest, { key: random(32), createdAtMs: atMs })
    return latest
  }

  function keyOf(version: number, context: Buffer | undefined): Buffer | KeyObject {
    if (derived && (context === undefined || context.length === 0)) throw new TransitError(MISSING_CONTEXT)
    const key = versions.get(version)?.key
    if (key === undefined) throw new TransitError('no such key version')
    return derived ? derivedFrom(key, `${version} ${context?.toString('latin1')}`, context) : key
  }

  /** Remembered: it costs more than all else that is done with it, and tests do that thousands of times. */
  function derivedFrom(key: Buffer, id: string, context: Buffer | undefined): KeyObject {
    const made = derivedKeys.get(id) ?? createSecretKey(Buffer.from(hkdfSync('sha256', key, '', context ?? '', 32)))
    derivedKeys.set(id, made)
    return made
  }

  function minimumFlaw(decryption: number, encryption: number): string | undefined {
    if (decryption < 0) return 'min decryption version cannot be negative'
    if (decryption > latest) {
      return `cannot set min decryption version of ${decryption}, latest key version is ${latest}`
    }
    if (encryption < 0) return 'min encryption version cannot be negative'
    if (encryption > latest) {
      return `cannot set min encryption version of ${encryption}, latest key version is ${latest}`
    }
    if (encryption > 0 && encryption < decryption) {
      return `cannot set min encryption/decryption values; min encryption version of ${encryption} must be greater than or equal to min decryption version of ${decryption}`
    }
    if (encryption < minAvailable) return 'min encryption version should not be less than min available version'
    if (decryption < minAvailable) return 'min decryption version should not be less then min available version'
    return undefined
  }

  return {
    get state() {
      return {
        derived,
        latestVersion: latest,
        minDecryptionVersion: minDecryption,
        minEncryptionVersion: minEncryption,
        minAvailableVersion: minAvailable,
        ...settings,
        createdAtMs: new Map([...versions].map(([version, made]) => [version, made.createdAtMs])),
      }
    },

    rotate: () => addVersion(clock.now()),

    configure(config) {
      const decryption = config.minDecryptionVersion === 0 ? 1 : (config.minDecryptionVersion ?? minDecryption)
      const encryption = config.minEncryptionVersion ?? minEncryption
      const flaw = minimumFlaw(decryption, encryption) ?? autoRotateFlaw(config.autoRotateSeconds)
      if (flaw !== undefined) throw new TransitError(flaw)
      minDecryption = decryption
      minEncryption = encryption
      settings.deletionAllowed = config.deletionAllowed ?? settings.deletionAllowed
      settings.exportable ||= config.exportable ?? false
      settings.allowPlaintextBackup ||= config.allowPlaintextBackup ?? false
      settings.autoRotateSeconds = config.autoRotateSeconds ?? settings.autoRotateSeconds
    },

    trim(minAvailableVersion) {
      if (minAvailableVersion > minDecryption || minAvailableVersion > minEncryption) {
        throw new TransitError('the minimum decryption and encryption versions must reach minAvailableVersion first')
      }
      minAvailable = minAvailableVersion
      for (const version of versions.keys()) if (version < minAvailableVersion) versions.delete(version)
    },

    encrypt(plaintext, context, keyVersion) {
      const version = keyVersion === 0 ? latest : keyVersion
      if (version < 0) throw new TransitError('requested version for encryption is negative')
      if (version > latest) {
        throw new TransitError('requested version for encryption is higher than the latest key version')
      }
      if (version < minEncryption) {
        throw new TransitError('requested version for encryption is less than the minimum encryption key version')
      }
      const nonce = random(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', keyOf(version, context), nonce)
      const sealed = Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
      return { ciphertext: `${PREFIX}${version}:${sealed.toString('base64')}`, keyVersion: version }
    },

    decrypt(ciphertext, context) {
      if (!ciphertext.startsWith(PREFIX)) throw new TransitError('invalid ciphertext: no prefix')
      const rest = ciphertext.slice(PREFIX.length)
      const colon = rest.indexOf(':')
      if (colon < 0) throw new TransitError('invalid ciphertext: wrong number of fields')
      const version = versionOf(rest.slice(0, colon))
      if (version > latest) throw new TransitError('invalid ciphertext: version is too new')
      if (version < minDecryption) {
        throw new TransitError('ciphertext or signature version is disallowed by policy (too old)')
      }
      const decoded = decodeLikeGo(rest.slice(colon + 1))
      if ('error' in decoded) throw new TransitError('invalid ciphertext: could not decode base64')
      return open(decoded.bytes, keyOf(version, context))
    },
  }
}

function autoRotateFlaw(seconds = 0): string | undefined {
  return seconds !== 0 && seconds < 3600 ? 'auto rotate period must be 0 to disable or at least an hour' : undefined
}

/** Version 0 is 1, from the time when versions began at zero. */
function versionOf(text: string): number {
  if (!/^[+-]?\d+$/.test(text)) throw new TransitError('invalid ciphertext: version number could not be decoded')
  const version = Number(text)
  return version === 0 ? 1 : version
}

function open(sealed: Buffer, key: Buffer | KeyObject): Buffer {
  if (sealed.length < NONCE_BYTES) throw new TransitError('invalid ciphertext length')
  const tagStart = sealed.length - TAG_BYTES
  if (tagStart < NONCE_BYTES) throw new TransitError('cipher: message authentication failed')
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES))
  decipher.setAuthTag(sealed.subarray(tagStart))
  const plaintext = decipher.update(sealed.subarray(NONCE_BYTES, tagStart))
  try {
    return Buffer.concat([plaintext, decipher.final()])
  } catch {
    throw new TransitError('cipher: message authentication failed')
  }
}

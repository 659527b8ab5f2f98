/** <mount>/keys: what there is, what a key is like, and the two ways in which an operator changes one. */
import type { StandinReply } from '../server.ts'
import { envelope, errors, unrecognized } from './answers.ts'
import type { Fields } from './body.ts'
import type { Keyring } from './keyring.ts'
import { TransitError } from './keyring.ts'
import { booleanIn, integerIn, secondsIn } from './weak.ts'

export function listKeys(keys: ReadonlyMap<string, Keyring>): StandinReply {
  if (keys.size === 0) return errors(404)
  return envelope(200, { data: { keys: [...keys.keys()].sort() }, mountType: 'transit' })
}

/** Of a key that is not there, nothing is said: no text tells it from a path that holds nothing. */
export function readKey(name: string, key: Keyring | undefined): StandinReply {
  return key === undefined ? errors(404) : told(name, key)
}

const ROTATE_FIELDS = new Set(['name', 'managed_key_name', 'managed_key_id'])

export function rotateKey(name: string, key: Keyring | undefined, fields: Fields): StandinReply {
  if (key === undefined) return errors(400, 'key not found')
  key.rotate()
  return told(name, key, unrecognized(fields, ROTATE_FIELDS))
}

const CONFIG_FIELDS = new Set([
  'name',
  'min_decryption_version',
  'min_encryption_version',
  'deletion_allowed',
  'exportable',
  'allow_plaintext_backup',
  'auto_rotate_period',
])
const NUMBERED_FROM_ONE = 'since Vault 0.3, transit key numbering starts at 1; forcing minimum to 1'

export function configureKey(name: string, key: Keyring | undefined, fields: Fields): StandinReply {
  try {
    const config = {
      minDecryptionVersion: integerIn(fields, 'min_decryption_version'),
      minEncryptionVersion: integerIn(fields, 'min_encryption_version'),
      deletionAllowed: booleanIn(fields, 'deletion_allowed'),
      exportable: booleanIn(fields, 'exportable'),
      allowPlaintextBackup: booleanIn(fields, 'allow_plaintext_backup'),
      autoRotateSeconds: secondsIn(fields, 'auto_rotate_period'),
    }
    if (key === undefined) return errors(400, `no existing key named ${name} could be found`)
    key.configure(config)
    const zero = config.minDecryptionVersion === 0 ? [NUMBERED_FROM_ONE] : []
    return told(name, key, [...zero, ...unrecognized(fields, CONFIG_FIELDS)])
  } catch (thrown) {
    if (thrown instanceof TransitError) return errors(400, thrown.message)
    throw thrown
  }
}

function told(name: string, { state }: Keyring, warnings: readonly string[] = []): StandinReply {
  const { minDecryptionVersion } = state
  // What may not be decrypted is archived, and the archive is not told of.
  const inUse = [...state.createdAtMs].filter(([version]) => version >= minDecryptionVersion)
  const data = {
    name,
    type: 'aes256-gcm96',
    derived: state.derived,
    deletion_allowed: state.deletionAllowed,
    min_available_version: state.minAvailableVersion,
    min_decryption_version: minDecryptionVersion,
    min_encryption_version: state.minEncryptionVersion,
    latest_version: state.latestVersion,
    exportable: state.exportable,
    allow_plaintext_backup: state.allowPlaintextBackup,
    supports_encryption: true,
    supports_decryption: true,
    supports_signing: false,
    supports_derivation: true,
    auto_rotate_period: state.autoRotateSeconds,
    imported_key: false,
    ...(state.derived && { kdf: 'hkdf_sha256', convergent_encryption: false }),
    keys: Object.fromEntries(inUse.map(([version, atMs]) => [version, Math.floor(atMs / 1000)])),
  }
  return envelope(200, { data, warnings, mountType: 'transit' })
}

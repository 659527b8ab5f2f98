/** The code under test, as one thing: so that a broken copy of it can be put in its place. */
import { openKubernetes } from '../../src/external/kubernetes.ts'
import { SendError } from '../../src/external/send.ts'
import { openVault } from '../../src/external/vault.ts'
import { openVaultRotation } from '../../src/external/vault-rotation.ts'
import { ciphertextReader } from '../../src/services/ciphertext.ts'
import { decryptor } from '../../src/services/decrypt.ts'
import { opener } from '../../src/services/open.ts'
import { transitKeys } from '../../src/services/transit-keys.ts'
import { vaultSessions } from '../../src/services/vault-sessions.ts'
import { wireRotation } from '../../src/wire-rotation.ts'

export interface Code {
  readonly openKubernetes: typeof openKubernetes
  readonly openVault: typeof openVault
  readonly openVaultRotation: typeof openVaultRotation
  readonly vaultSessions: typeof vaultSessions
  readonly wireRotation: typeof wireRotation
  readonly SendError: typeof SendError
  readonly ciphertextReader: typeof ciphertextReader
  readonly decryptor: typeof decryptor
  readonly opener: typeof opener
  readonly transitKeys: typeof transitKeys
}

export const CODE: Code = {
  openKubernetes,
  openVault,
  openVaultRotation,
  vaultSessions,
  wireRotation,
  SendError,
  ciphertextReader,
  decryptor,
  opener,
  transitKeys,
}

/** Where each of them is, below src. */
export const SOURCES: readonly string[] = [
  'external/kubernetes.ts',
  'external/send.ts',
  'external/vault.ts',
  'external/vault-rotation.ts',
  'services/ciphertext.ts',
  'services/decrypt.ts',
  'services/open.ts',
  'services/transit-keys.ts',
  'services/vault-sessions.ts',
  'wire-rotation.ts',
]

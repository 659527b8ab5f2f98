/** Sealed -> bytes. One call to Transit for all the ciphertexts of a reply, each in the context of its place. */
import type { UpstreamKind } from '../errors.ts'
import { KeyholeError, UpstreamError } from '../errors.ts'
import type { Token } from '../opaque.ts'
import type { TransitKey } from '../policy/schema.ts'
import type { Sealed } from './ciphertext.ts'
import { transitContext } from './place.ts'
import { vaultRefusal } from './upstream.ts'
import type { VaultSessions } from './vault-sessions.ts'

export interface DecryptItem {
  /** `vault:v<version>:<base64>` */
  readonly ciphertext: string
  /** base64; for derived keys, in all items or in none. */
  readonly context?: string
}

export interface DecryptRequest {
  readonly token: Token
  /** Of the Transit engine: `transit`. */
  readonly mount: string
  readonly key: string
  /** At most 250. */
  readonly items: readonly DecryptItem[]
}

export interface Transit {
  /**
   * The plaintexts, in the order of the items: all of them or none. The receiver wipes them.
   * A key that is derived refuses an item without context with kind `context-missing`; asking so is how to prove it.
   * @throws UpstreamError
   */
  decrypt(request: DecryptRequest, signal: AbortSignal): Promise<readonly Buffer[]>
}

export interface DecryptOptions {
  readonly transit: Transit
  readonly sessions: VaultSessions
  /** The cluster's name, part of every context. */
  readonly realm: string
  /** The Vault role of TransitKeys that name none. */
  readonly role: string
}

export interface Decrypt {
  /** @throws TooOld, or KeyholeError CIPHERTEXT_REJECTED, KEY_UNUSABLE, VAULT_UNAVAILABLE, VAULT_SEALED. */
  open(sealed: Sealed, signal: AbortSignal): Promise<readonly Buffer[]>
  /** How Vault refuses one ciphertext without a context; undefined if it opens. For the probe of the key alone. */
  refusal(key: TransitKey, ciphertext: string, signal: AbortSignal): Promise<UpstreamKind | undefined>
}

/** The ciphertext's version is below min_decryption_version: it was re-wrapped meanwhile, or restored from the past. */
export class TooOld extends Error {
  override readonly name = 'TooOld'
}

export function decryptor({ transit, sessions, realm, role }: DecryptOptions): Decrypt {
  async function ask(key: TransitKey, items: readonly DecryptItem[], signal: AbortSignal): Promise<readonly Buffer[]> {
    return await sessions.use(key.vaultRoles.read ?? role, signal, (token) =>
      transit.decrypt({ token, mount: key.mount, key: key.name, items }, signal),
    )
  }

  return {
    async open({ grant, parts }, signal) {
      if (parts.length === 0) return []
      const { transitKey, place } = grant
      const items = parts.map(({ dataKey, ciphertext }) =>
        transitKey.binding === 'place'
          ? { ciphertext, context: transitContext(realm, place, dataKey) }
          : { ciphertext },
      )
      try {
        return await again('too-new', () => ask(transitKey, items, signal))
      } catch (error) {
        if (isKind(error, 'too-old')) throw new TooOld()
        throw vaultRefusal(error)
      }
    },
    async refusal(key, ciphertext, signal) {
      try {
        for (const bytes of await ask(key, [{ ciphertext }], signal)) bytes.fill(0)
        return undefined
      } catch (error) {
        if (error instanceof UpstreamError) return error.kind
        throw error
      }
    },
  }
}

/** "Too new" comes from a standby that lags, so it is asked once more. */
async function again<T>(kind: UpstreamKind, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    if (isKind(error, kind)) return await act()
    throw error
  }
}

function isKind(error: unknown, kind: UpstreamKind): boolean {
  return error instanceof UpstreamError && error.kind === kind
}

/** What a second "too old" means, after the Secret was read again. */
export function tooOldForGood(): KeyholeError {
  return new KeyholeError('CIPHERTEXT_REJECTED', {
    why: 'vault-too-old',
    fix: "the ciphertext is older than the key's min_decryption_version: encrypt the Secret again",
  })
}

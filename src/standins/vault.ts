/** A Vault server on the wire, as far as keyhole speaks to one: the Kubernetes auth method and Transit. */
import { randomBytes } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { Random, Standin, StandinReply, StandinRequest, Tls } from './server.ts'
import { serve } from './server.ts'
import { DEFAULT_MAX_REQUEST_BYTES } from './vault/body.ts'
import type { VaultState } from './vault/core.ts'
import { handle } from './vault/core.ts'
import type { ReviewToken } from './vault/review.ts'
import { createReview } from './vault/review.ts'
import { seeding } from './vault/seed.ts'
import { createTokens } from './vault/tokens.ts'

export interface VaultOptions {
  readonly clock: Clock
  readonly random?: Random
  /** What is larger is answered with 413; default 32 MiB, as a listener without `max_request_size`. */
  readonly maxRequestBytes?: number
}

export interface VaultStandinOptions extends VaultOptions {
  readonly tls?: Tls
  readonly port?: number
  /**
   * Where the auth method reviews the JWTs of logins: over HTTP, as the real one does. Without `reviewerToken` the JWT itself is
   * the bearer, so its ServiceAccount needs the right to review.
   */
  readonly kubernetes: { readonly url: string; readonly ca?: string | undefined; readonly reviewerToken?: () => string }
}

export interface VaultStandin extends Standin, VaultSeed {}

/** The same Vault without a socket: for tests that put faults between it and its caller by themselves. */
export interface VaultInProcess extends VaultSeed {
  /** What the wire would carry; changes nothing of the request. */
  handle(request: StandinRequest): Promise<StandinReply>
}

/** The operator's side of Vault. */
export interface VaultSeed {
  /** A token with every right that never expires. */
  readonly rootToken: string
  seal(): void
  unseal(): void
  /** Replaces the policy of that name. */
  putPolicy(name: string, rules: readonly PolicyRule[]): void
  deletePolicy(name: string): void
  /** A role of the auth method at `auth/<mount>`, default `kubernetes`; another mount is enabled by its first role. */
  putRole(role: VaultRole): void
  deleteRole(name: string, mount?: string): void
  createToken(order: {
    readonly policies: readonly string[]
    readonly ttlSeconds: number
    readonly type?: 'batch' | 'service'
  }): string
  /** The Transit engine at this mount, default `transit`; another is mounted by asking for it. */
  transit(mount?: string): TransitSeed
}

/** The operator's side of a Transit engine. */
export interface TransitSeed {
  /**
   * aes256-gcm96. Putting what exists changes nothing. `derived` default false; `createdAtMs` epoch ms of each version from 1
   * on, default one version, made now.
   */
  putKey(name: string, options?: { readonly derived?: boolean; readonly createdAtMs?: readonly number[] }): void
  deleteKey(name: string): void
  /** Adds a version and answers with its number. */
  rotateKey(name: string): number
  configureKey(
    name: string,
    config: { readonly minDecryptionVersion?: number; readonly minEncryptionVersion?: number },
  ): void
  /** Drops the versions below `minAvailableVersion`, for good. */
  trimKey(name: string, minAvailableVersion: number): void
  key(name: string): TransitKeyState | undefined
  /** As POST encrypt would: `vault:vN:...`. */
  encrypt(
    name: string,
    plaintext: Buffer | string,
    options?: { readonly context?: Buffer; readonly keyVersion?: number },
  ): string
  decrypt(name: string, ciphertext: string, options?: { readonly context?: Buffer }): Buffer
  /** Decrypts and encrypts again under the latest version. */
  rewrap(name: string, ciphertext: string, options?: { readonly context?: Buffer }): string
}

export interface TransitKeyState {
  readonly derived: boolean
  readonly latestVersion: number
  readonly minDecryptionVersion: number
  readonly minEncryptionVersion: number
  readonly minAvailableVersion: number
  readonly deletionAllowed: boolean
  readonly exportable: boolean
  readonly allowPlaintextBackup: boolean
  /** 0: never. */
  readonly autoRotateSeconds: number
  /** Epoch ms by version, of all that were not trimmed. */
  readonly createdAtMs: ReadonlyMap<number, number>
}

export interface PolicyRule {
  /** As in a policy file: a trailing `*` is a prefix, `+` one segment. */
  readonly path: string
  readonly capabilities: readonly ('create' | 'read' | 'update' | 'delete' | 'list' | 'sudo' | 'deny')[]
  /**
   * `allowed_parameters` and `denied_parameters`: by name, the values, where none means any. Once one is allowed, what is not named
   * is refused; a request without parameters passes all the same.
   */
  readonly allowedParameters?: Readonly<Record<string, readonly unknown[]>>
  readonly deniedParameters?: Readonly<Record<string, readonly unknown[]>>
}

export interface VaultRole {
  readonly name: string
  /** Default `kubernetes`. */
  readonly mount?: string
  /** Absent: a token of any audience logs in. */
  readonly audience?: string
  readonly serviceAccountNames: readonly string[]
  readonly serviceAccountNamespaces: readonly string[]
  readonly policies: readonly string[]
  /** Default 10. */
  readonly tokenTtlSeconds?: number
  /** Default `batch`. */
  readonly tokenType?: 'batch' | 'service'
}

export async function startVaultStandin(options: VaultStandinOptions): Promise<VaultStandin> {
  const { clock, tls, port, kubernetes } = options
  const { review, close } = createReview(kubernetes)
  const { handle: handler, ...seed } = createVaultStandin({ ...options, review })
  const standin = await serve({ clock, tls, port, handler })
  const dispose = standin[Symbol.asyncDispose]
  return Object.assign(standin, seed, {
    async [Symbol.asyncDispose]() {
      close()
      await dispose()
    },
  })
}

/** @param options `review` says whose JWT a login came with. */
export function createVaultStandin(options: VaultOptions & { readonly review: ReviewToken }): VaultInProcess {
  const { clock, random = randomBytes, maxRequestBytes = DEFAULT_MAX_REQUEST_BYTES, review } = options
  const rootToken = `hvs.${random(18).toString('base64url')}`
  const state: VaultState = {
    clock,
    random,
    sealed: false,
    policies: new Map(),
    tokens: createTokens(clock, random, rootToken),
    roles: new Map([['kubernetes', new Map()]]),
    transit: new Map([['transit', new Map()]]),
    review,
    maxRequestBytes,
  }
  return { ...seeding(state), rootToken, handle: (request) => handle(request, state) }
}

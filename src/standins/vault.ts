/** A Vault server on the wire, as far as keyhole speaks to one: the Kubernetes auth method and Transit. */
import { randomBytes } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { Random, Standin, Tls } from './server.ts'
import { serve } from './server.ts'
import type { VaultState } from './vault/core.ts'
import { handle } from './vault/core.ts'
import { createReview } from './vault/review.ts'
import { seeding } from './vault/seed.ts'
import { createTokens } from './vault/tokens.ts'

export interface VaultStandinOptions {
  readonly clock: Clock
  readonly random?: Random
  readonly tls?: Tls
  readonly port?: number
  /**
   * Where the auth method reviews the JWTs of logins: over HTTP, as the real one does. Without `reviewerToken` the JWT itself is
   * the bearer, so its ServiceAccount needs the right to review.
   */
  readonly kubernetes: { readonly url: string; readonly ca?: string | undefined; readonly reviewerToken?: () => string }
}

export interface VaultStandin extends Standin {
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
  /** aes256-gcm96, version 1. Putting what exists changes nothing. `derived` default false. */
  putKey(name: string, options?: { readonly derived?: boolean }): void
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
}

export interface PolicyRule {
  /** As in a policy file: a trailing `*` is a prefix, `+` one segment. */
  readonly path: string
  readonly capabilities: readonly ('create' | 'read' | 'update' | 'delete' | 'list' | 'sudo' | 'deny')[]
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
  const { clock, random = randomBytes } = options
  const rootToken = `hvs.${random(18).toString('base64url')}`
  const { review, close } = createReview(options.kubernetes)
  const state: VaultState = {
    clock,
    random,
    sealed: false,
    policies: new Map(),
    tokens: createTokens(clock, random, rootToken),
    roles: new Map([['kubernetes', new Map()]]),
    transit: new Map([['transit', new Map()]]),
    review,
  }
  const standin = await serve({
    clock,
    tls: options.tls,
    port: options.port,
    handler: (request) => handle(request, state),
  })
  return Object.assign(standin, seeding(state), {
    rootToken,
    async [Symbol.asyncDispose]() {
      close()
      await standin.stop()
    },
  })
}

/** What the checks ask of files, Kubernetes and Vault. Nothing here changes anything, and nothing here returns a plaintext. */
import type { Clock } from '../clock.ts'
import type { Config } from '../config.ts'
import type { UpstreamKind } from '../errors.ts'
import type { Token } from '../opaque.ts'
import type { PolicySource } from '../policy/current.ts'
import type { TransitKey } from '../policy/schema.ts'
import type { Leases, SecretStore, TransitKeyInfo } from '../services/rotation/ports.ts'

export interface CheckParts {
  readonly config: Config
  readonly clock: Clock
  /** Ends it all. */
  readonly signal: AbortSignal
  readonly files: FilesPort
  /** @throws StartError */
  openPolicy(): Promise<PolicySource>
  kubernetes(token: Token, ca: string | undefined): KubernetesPort
  vault(jwt: Token, ca: string | undefined): VaultPort
}

/** Each is read now. @throws StartError, whose text is fit to be printed. */
export interface FilesPort {
  kubernetesToken(): Promise<Token>
  vaultToken(): Promise<Token>
  /** Undefined where none is configured. */
  kubernetesCa(): Promise<string | undefined>
  vaultCa(): Promise<string | undefined>
  /** PEM of the serving certificate, whose key is known to fit. */
  certificate(): Promise<string | undefined>
}

export interface Peer {
  /** How far the peer's clock is before ours, by the last answer's `Date`; undefined where there was none. */
  skewMs(): number | undefined
  /** Why TLS fails with it, in a few words. Connects once more; for when `tls` is known to be the reason. */
  whyUntrusted(signal: AbortSignal): Promise<string>
  close(): Promise<void>
}

/** All throw UpstreamError. */
export interface KubernetesPort extends Peer, Self, Pick<SecretStore, 'holdSecret'>, Pick<Leases, 'readLease'> {}

/** Whoever asks, as the API server knows it. */
export interface Self {
  /** The username. @throws UpstreamError; `unauthorized` where our token is refused. */
  whoAmI(signal: AbortSignal): Promise<string>
  /** @throws UpstreamError */
  mayI(action: Action, signal: AbortSignal): Promise<boolean>
}

export interface Action {
  readonly verb: string
  /** API group; empty for core. */
  readonly group: string
  readonly resource: string
  /** Absent: in all of them, or of none. */
  readonly namespace?: string
  /** Absent: whichever. */
  readonly name?: string
}

/** All throw UpstreamError. */
export interface VaultPort extends Peer, KeyQuestions {
  health(signal: AbortSignal): Promise<Health>
  tryLogin(role: string, signal: AbortSignal): Promise<LoginTold | LoginRefused>
  /** With a token that was never issued and names nobody: what Vault looks at first is what it refuses. */
  tryLoginAsNobody(role: string, signal: AbortSignal): Promise<LoginTold | LoginRefused>
}

/** What Transit says of a key to the role that reads with it, and to the one that rotates it. All throw UpstreamError. */
export interface KeyQuestions {
  /** As a reader opens with it. @throws KeyholeError that says what to do. */
  provenForReading(key: TransitKey, signal: AbortSignal): Promise<void>
  /** How Transit refuses this ciphertext, without context; undefined if it does not. */
  readerRefusal(key: TransitKey, ciphertext: string, signal: AbortSignal): Promise<UpstreamKind | undefined>
  /** @throws KeyholeError that says what to do. */
  readKeyForRotating(key: TransitKey, signal: AbortSignal): Promise<TransitKeyInfo>
  /** How a rewrap of what is no ciphertext is refused: `forbidden` for want of the right. */
  rewrapRefusal(key: TransitKey, signal: AbortSignal): Promise<UpstreamKind | undefined>
  /** The same for decrypting with the role that rotates, which it should not be let do. */
  rotatorDecryptRefusal(key: TransitKey, signal: AbortSignal): Promise<UpstreamKind | undefined>
}

export interface Health {
  readonly initialized: boolean
  readonly sealed: boolean
  readonly standby: boolean
  /** As it says; empty where it does not. */
  readonly version: string
}

export interface LoginTold {
  readonly leaseSeconds: number
  /** `batch` or `service`. */
  readonly type: string
  readonly policies: readonly string[]
}

/** In the order in which Vault looks. */
export interface LoginRefused {
  readonly refused: 'role-missing' | 'audience' | 'untimely' | 'account' | 'namespace' | 'denied'
}

/**
 * What rotation asks of Kubernetes and Vault. Nothing here decrypts: a rotator is wired with these faces and no other,
 * so that no code of it can come by a plaintext.
 */
import type { UpstreamKind } from '../../errors.ts'
import type { Token } from '../../opaque.ts'
import type { Place } from '../place.ts'

/** A Secret as the API server has it, with what tells who else writes it. */
export interface HeldSecret {
  readonly uid: string
  readonly immutable: boolean
  /** Values in base64, as stored. */
  readonly data: ReadonlyMap<string, string>
  readonly labels: ReadonlyMap<string, string>
  readonly annotations: ReadonlyMap<string, string>
  /** Names of the field managers in `metadata.managedFields`, each once. */
  readonly managers: readonly string[]
}

/** One data key of a Secret; both values in base64, as stored. */
export interface DataChange {
  readonly dataKey: string
  readonly from: string
  readonly to: string
}

/**
 * `changed`: some data key does not hold its `from` any more, or the write lost a race. `missing`: no such Secret.
 * `immutable`: it was made immutable. In none of these cases was anything written.
 */
export type Unwritten = 'changed' | 'missing' | 'immutable'

export interface SecretStore {
  /** A quorum read; undefined when there is no such Secret. @throws UpstreamError */
  holdSecret(place: Place, signal: AbortSignal): Promise<HeldSecret | undefined>
  /**
   * One JSON Patch, a test and a replace for each data key: all of them or none.
   * Undefined when it was written. @throws UpstreamError; after `timeout` or `unavailable` it may have been written all the same.
   */
  replaceData(place: Place, changes: readonly DataChange[], signal: AbortSignal): Promise<Unwritten | undefined>
}

/** A Lease, as far as a holder needs it. */
export interface LeaseRecord {
  /** What a compare-and-swap compares; empty for a Lease that is not there yet. */
  readonly resourceVersion: string
  /** Empty: nobody holds it. */
  readonly holder: string
  /** Epoch ms; 0 where it was never held. */
  readonly renewedAtMs: number
  /** Written in whole seconds, rounded up: others then wait longer, not shorter. */
  readonly durationMs: number
  /** How often it changed hands. */
  readonly transitions: number
  readonly labels: ReadonlyMap<string, string>
  readonly annotations: ReadonlyMap<string, string>
}

export interface LeaseName {
  readonly namespace: string
  readonly name: string
}

export interface Leases {
  /** Undefined when there is no such Lease. @throws UpstreamError */
  readLease(name: LeaseName, signal: AbortSignal): Promise<LeaseRecord | undefined>
  /**
   * Writes the whole Lease if it still is what `lease.resourceVersion` names; with an empty one, if there is none yet.
   * `conflict` if not. @throws UpstreamError; after `timeout` or `unavailable` it may have been written all the same.
   */
  writeLease(name: LeaseName, lease: LeaseRecord, signal: AbortSignal): Promise<LeaseRecord | 'conflict'>
}

/** A Transit key, as `GET <mount>/keys/<key>` tells of it. */
export interface TransitKeyInfo {
  readonly derived: boolean
  readonly latestVersion: number
  readonly minDecryptionVersion: number
  /** Epoch ms by version. Vault tells of the versions from minDecryptionVersion on; the latest is always there. */
  readonly createdAtMs: ReadonlyMap<number, number>
}

export interface TransitKeyRequest {
  readonly token: Token
  /** Of the Transit engine: `transit`. */
  readonly mount: string
  readonly key: string
}

export interface RewrapItem {
  /** `vault:v<version>:<base64>` */
  readonly ciphertext: string
  /** base64; for derived keys, in all items or in none. */
  readonly context?: string
}

/** What became of one item. */
export type Rewrapped =
  | { readonly ciphertext: string; readonly keyVersion: number }
  /** How Transit refused it, e.g. `not-authentic`. */
  | { readonly refused: UpstreamKind }

export interface TransitRotation {
  /** @throws UpstreamError; `key-missing` when there is no such key. */
  readKey(request: TransitKeyRequest, signal: AbortSignal): Promise<TransitKeyInfo>
  /** Adds a version: each call does. @throws UpstreamError; after `timeout` or `unavailable` it may have been added all the same. */
  rotateKey(request: TransitKeyRequest, signal: AbortSignal): Promise<void>
  /**
   * Vault takes a lower one, too: that it only ever rises is the caller's to see to.
   * @throws UpstreamError; `bad-request` beyond the latest version.
   */
  setMinDecryptionVersion(request: TransitKeyRequest & { readonly version: number }, signal: AbortSignal): Promise<void>
  /**
   * Under the latest version, at most 250 items: as many outcomes, in the order of the items.
   * @throws UpstreamError for the batch as a whole; `too-large` where a smaller batch may pass.
   */
  rewrap(
    request: TransitKeyRequest & { readonly items: readonly RewrapItem[] },
    signal: AbortSignal,
  ): Promise<readonly Rewrapped[]>
}

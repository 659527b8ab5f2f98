/** Reads Secrets and says of each where its ciphertext stands, or why it cannot be moved. Decides nothing, changes nothing. */
import type { BlockedCode } from '../../contract.ts'
import type { UpstreamKind } from '../../errors.ts'
import { UpstreamError } from '../../errors.ts'
import type { SecretUnder } from '../../policy/secrets-under.ts'
import { transitCiphertext } from '../transit-ciphertext.ts'
import { kubernetesRefusal } from '../upstream.ts'
import { gitopsTool } from './gitops.ts'
import type { Patience } from './patience.ts'
import { isTransient } from './patience.ts'
import type { HeldSecret, SecretStore } from './ports.ts'

/** A Secret whose every ciphertext can be read. */
export interface Located {
  readonly secret: SecretUnder
  readonly parts: readonly LocatedPart[]
  /** The lowest of its parts; undefined where it has none. */
  readonly version: number | undefined
  readonly immutable: boolean
  readonly gitops: string | undefined
}

export interface LocatedPart {
  readonly dataKey: string
  /** In base64, as the Secret has it: what a write compares. */
  readonly stored: string
  readonly ciphertext: string
  readonly keyVersion: number
}

export interface Blocked {
  readonly secret: SecretUnder
  readonly blocked: BlockedCode
  readonly gitops: string | undefined
}

export type Inspected = Located | Blocked

export function isBlocked(one: Inspected): one is Blocked {
  return 'blocked' in one
}

export function isLocated(one: Inspected): one is Located {
  return !isBlocked(one)
}

/** Where a Secret stands against the version that it is to have. Without a ciphertext it is where it should be. */
export function standing({ version, immutable }: Located, target: number): 'current' | 'immutable' | 'behind' {
  if (version === undefined || version >= target) return 'current'
  return immutable ? 'immutable' : 'behind'
}

/**
 * UNANSWERED where the API server gave no usable answer for long: whether about this one Secret or at all, whoever reads
 * several can tell. @throws KeyholeError KUBERNETES_UNAVAILABLE for what is about keyhole's own access.
 */
export type Inspect = (secret: SecretUnder, signal: AbortSignal) => Promise<Inspected>

export function inspector(secrets: Pick<SecretStore, 'holdSecret'>, patiently: Patience): Inspect {
  return async function inspect(secret, signal) {
    try {
      const held = await patiently(signal, () => secrets.holdSecret(secret, signal))
      return held === undefined ? { secret, blocked: 'SECRET_MISSING', gitops: undefined } : located(secret, held)
    } catch (error) {
      const blocked = error instanceof UpstreamError ? BLOCKED_BY[error.kind] : undefined
      if (blocked === undefined && !isTransient(error)) throw kubernetesRefusal(error)
      return { secret, blocked: blocked ?? 'UNANSWERED', gitops: undefined }
    }
  }
}

/** What one Secret's owner or its rights can do. Anything else is about all of them. */
const BLOCKED_BY: Partial<Record<UpstreamKind, BlockedCode>> = {
  forbidden: 'UNREADABLE',
  'too-large': 'TOO_LARGE',
}

function located(secret: SecretUnder, held: HeldSecret): Inspected {
  const gitops = gitopsTool(held)
  const blocked = (code: BlockedCode): Blocked => ({ secret, blocked: code, gitops })
  const parts: LocatedPart[] = []
  for (const dataKey of dataKeysOf(secret, held)) {
    const stored = held.data.get(dataKey)
    if (stored === undefined) return blocked('DATA_KEY_MISSING')
    const found = transitCiphertext(stored)
    if (typeof found === 'string') return blocked('MALFORMED')
    parts.push({ dataKey, stored, ...found })
  }
  return { secret, parts, version: lowest(parts), immutable: held.immutable, gitops }
}

function dataKeysOf({ dataKeys, others }: SecretUnder, held: HeldSecret): readonly string[] {
  if (dataKeys !== 'all') return dataKeys
  return [...held.data.keys()].filter((dataKey) => !others.has(dataKey)).sort()
}

function lowest(parts: readonly LocatedPart[]): number | undefined {
  return parts.length === 0 ? undefined : Math.min(...parts.map(({ keyVersion }) => keyVersion))
}

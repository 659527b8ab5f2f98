/**
 * The only writer of Secrets: one JSON Patch a Secret, between its two records. It tests the very ciphertext that was
 * rewrapped, so that whoever wrote meanwhile wins.
 */
import type { BlockedCode } from '../../contract.ts'
import type { UpstreamKind } from '../../errors.ts'
import { KeyholeError, UpstreamError } from '../../errors.ts'
import { kubernetesRefusal } from '../upstream.ts'
import type { Begun, Effects } from './effects.ts'
import type { Located } from './inspect.ts'
import { isTransient } from './patience.ts'
import type { Gate } from './pool.ts'
import type { DataChange, SecretStore, Unwritten } from './ports.ts'
import type { Made } from './rewrap.ts'
import type { Wanted } from './wanted.ts'

/** Of one Secret. */
export interface Change {
  readonly old: Located
  readonly data: readonly DataChange[]
  readonly from: number
  readonly to: number
}

/** `changed`: somebody else wrote it meanwhile. `unanswered`: it may have been written; whoever reads it again sees. */
export type Written =
  | 'written'
  | 'changed'
  | { readonly blocked: BlockedCode }
  /** What was thrown in place of an answer. */
  | { readonly unanswered: unknown }

/** @throws KeyholeError for what is not about this one Secret. */
export type WriteSecret = (wanted: Wanted, change: Change, signal: AbortSignal) => Promise<Written>

export interface WriteSecretOptions {
  readonly secrets: Pick<SecretStore, 'replaceData'>
  readonly effects: Effects
  /** Calls to the API server at once. */
  readonly gate: Gate
  /** Aborts when the process is about to end: what has begun is finished, nothing else begins. */
  readonly halt: AbortSignal
}

export function secretWriter({ secrets, effects, gate, halt }: WriteSecretOptions): WriteSecret {
  return async function writeSecret({ transitKey, rotating }, change, signal) {
    const { old, data, from, to } = change
    const { namespace, secret: name } = old.secret
    const dataKeys = data.map(({ dataKey }) => dataKey)
    const what = { effect: 'move', transitKey, secret: { namespace, name }, dataKeys, from, to } as const
    const put = (begun: Begun) => gate(() => patch(begun, change, signal))
    try {
      const unwritten = await effects.record(rotating, what, put, (result) => result === undefined)
      if (unwritten === undefined) return 'written'
      return unwritten === 'changed' ? 'changed' : { blocked: UNWRITTEN[unwritten] }
    } catch (error) {
      signal.throwIfAborted()
      if (isTransient(error)) return { unanswered: error }
      const blocked = error instanceof UpstreamError ? REFUSED[error.kind] : undefined
      if (blocked === undefined) throw kubernetesRefusal(error)
      return { blocked }
    }
  }

  async function patch(_begun: Begun, { old, data }: Change, signal: AbortSignal): Promise<Unwritten | undefined> {
    signal.throwIfAborted()
    halt.throwIfAborted()
    return await secrets.replaceData(old.secret, data, signal)
  }
}

const UNWRITTEN: Readonly<Record<Exclude<Unwritten, 'changed'>, BlockedCode>> = {
  missing: 'SECRET_MISSING',
  immutable: 'IMMUTABLE',
}

/** What one Secret's own guard says; anything else is about the API server. `bad-request`: an admission webhook refuses. */
const REFUSED: Partial<Record<UpstreamKind, BlockedCode>> = {
  forbidden: 'UNWRITABLE',
  'bad-request': 'UNWRITABLE',
  'too-large': 'TOO_LARGE',
}

/**
 * @param made of all its parts that are below the target.
 * @throws KeyholeError where Vault does not know the target yet: a standby that lags.
 */
export function changeOf(old: Located, made: readonly Made[], target: number): Change {
  if (made.some(({ keyVersion }) => keyVersion < target)) {
    throw new KeyholeError('VAULT_UNAVAILABLE', { why: 'vault-behind' })
  }
  const data = made.map(({ part: { dataKey, stored }, ciphertext }) => ({
    dataKey,
    from: stored,
    to: Buffer.from(ciphertext).toString('base64'),
  }))
  const from = Math.min(...made.map(({ part }) => part.keyVersion))
  // The newest that there was: somebody else may have made one after the target.
  return { old, data, from, to: Math.min(...made.map(({ keyVersion }) => keyVersion)) }
}

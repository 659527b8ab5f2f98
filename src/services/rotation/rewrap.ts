/** Ciphertext under an old version to ciphertext under the newest, in Vault, in batches, each in the context of its place. */
import type { BlockedCode } from '../../contract.ts'
import type { UpstreamKind } from '../../errors.ts'
import { KeyholeError, UpstreamError } from '../../errors.ts'
import type { TransitKey } from '../../policy/schema.ts'
import type { SecretUnder } from '../../policy/secrets-under.ts'
import { transitContext } from '../place.ts'
import { rotationRefusal } from '../upstream.ts'
import type { VaultSessions } from '../vault-sessions.ts'
import type { LocatedPart } from './inspect.ts'
import type { Patience } from './patience.ts'
import { isKind } from './patience.ts'
import type { RewrapItem, Rewrapped, TransitRotation } from './ports.ts'

/** Ciphertexts of one Secret. */
export interface ToRewrap {
  readonly secret: SecretUnder
  readonly parts: readonly LocatedPart[]
}

/** What Vault made of a Secret's ciphertexts, in their order; or, where it refused one of them, why the Secret cannot be moved. */
export type Remade<T extends ToRewrap> =
  | { readonly one: T; readonly made: readonly Made[] }
  | { readonly one: T; readonly blocked: BlockedCode }

export interface Made {
  readonly part: LocatedPart
  readonly ciphertext: string
  readonly keyVersion: number
}

export interface RewrapOptions {
  readonly transit: Pick<TransitRotation, 'rewrap'>
  readonly sessions: VaultSessions
  readonly patiently: Patience
  readonly realm: string
  /** The Vault role of TransitKeys that name none to rotate with. */
  readonly role: string
}

/** @throws KeyholeError KEY_UNUSABLE, VAULT_UNAVAILABLE, VAULT_SEALED: what is not about one ciphertext. */
export type Rewrap = <T extends ToRewrap>(
  key: TransitKey,
  secrets: readonly T[],
  signal: AbortSignal,
) => Promise<readonly Remade<T>[]>

const REFUSED: Partial<Record<UpstreamKind, BlockedCode>> = {
  'not-authentic': 'FOREIGN',
  'too-old': 'TOO_OLD',
  'too-new': 'TOO_NEW',
  'too-large': 'TOO_LARGE',
}

interface Item {
  readonly secret: SecretUnder
  readonly part: LocatedPart
}

/** As many as Vault was seen to take well, and as many bytes as leave room for the answer in its bound. */
export const MAX_ITEMS = 250
const MAX_BYTES = 3 * 1024 * 1024

export function rewrapper({ transit, sessions, patiently, realm, role }: RewrapOptions): Rewrap {
  return async function rewrap(key, secrets, signal) {
    const items = secrets.flatMap(({ secret, parts }) => parts.map((part) => ({ secret, part })))
    const outcomes: Rewrapped[] = []
    for (const batch of batches(items)) outcomes.push(...(await settle(key, batch, signal)))
    return secrets.map((one) => remade(one, outcomes.splice(0, one.parts.length)))
  }

  /** What Vault refuses as a whole is halved until it is known which item it refuses. */
  async function settle(key: TransitKey, batch: readonly Item[], signal: AbortSignal): Promise<readonly Rewrapped[]> {
    try {
      return await ask(key, batch, signal)
    } catch (error) {
      if (!isKind(error, 'too-large', 'bad-request')) throw rotationRefusal(error)
      if (batch.length === 1) return [{ refused: isKind(error, 'too-large') ? 'too-large' : 'malformed-ciphertext' }]
      const half = Math.ceil(batch.length / 2)
      return [...(await settle(key, batch.slice(0, half), signal)), ...(await settle(key, batch.slice(half), signal))]
    }
  }

  async function ask(key: TransitKey, batch: readonly Item[], signal: AbortSignal): Promise<readonly Rewrapped[]> {
    const items = batch.map((one) => itemOf(key, one, realm))
    let mayLag = true
    const outcomes = await patiently(signal, async () => {
      const answered = await sessions.use(key.vaultRoles.rotate ?? role, signal, (token) =>
        transit.rewrap({ token, mount: key.mount, key: key.name, items }, signal),
      )
      const lags = mayLag && answered.some((outcome) => 'refused' in outcome && outcome.refused === 'too-new')
      mayLag = false
      // A standby that is behind says so of what the active one made a moment ago.
      if (lags) throw new UpstreamError('vault', 'standby')
      return answered
    })
    const ofTheKey = outcomes.find((outcome) => 'refused' in outcome && KEY_FLAWS.has(outcome.refused))
    if (ofTheKey !== undefined) throw keyUnusable(key)
    return outcomes
  }
}

function remade<T extends ToRewrap>(one: T, outcomes: readonly Rewrapped[]): Remade<T> {
  const made: Made[] = []
  for (const [index, outcome] of outcomes.entries()) {
    if ('refused' in outcome) return { one, blocked: REFUSED[outcome.refused] ?? 'MALFORMED' }
    made.push({ ...outcome, part: one.parts[index] as LocatedPart })
  }
  return { one, made }
}

const KEY_FLAWS: ReadonlySet<string> = new Set(['context-missing', 'key-missing'])

function keyUnusable({ binding }: TransitKey): KeyholeError {
  return new KeyholeError('KEY_UNUSABLE', {
    why: 'transit-key-binding',
    fix:
      binding === 'none'
        ? 'the Transit key is derived: take binding: none off its TransitKey'
        : 'the Transit key is missing: create it with derived=true',
  })
}

function itemOf(key: TransitKey, { secret, part }: Item, realm: string): RewrapItem {
  const { ciphertext, dataKey } = part
  if (key.binding === 'none') return { ciphertext }
  return { ciphertext, context: transitContext(realm, secret, dataKey) }
}

function* batches(items: readonly Item[]): Generator<readonly Item[]> {
  let batch: Item[] = []
  let bytes = 0
  for (const item of items) {
    const size = item.part.ciphertext.length
    if (batch.length === MAX_ITEMS || (batch.length > 0 && bytes + size > MAX_BYTES)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(item)
    bytes += size
  }
  if (batch.length > 0) yield batch
}

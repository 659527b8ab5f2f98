/**
 * Is the key that `binding: place` relies on really derived? A Transit key that is not ignores the context without a
 * word, and then a ciphertext opens wherever it is pasted. A reader may not read `keys/<key>`, so keyhole asks Vault
 * to decrypt a ciphertext that cannot be one, without a context: only a derived key answers that the context is missing.
 *
 * Vault looks at the version first, so once old versions are retired the question must name one in use: it is found
 * by doubling and halving.
 */
import type { Clock } from '../clock.ts'
import type { UpstreamKind } from '../errors.ts'
import { asKeyholeError, KeyholeError, UpstreamError } from '../errors.ts'
import type { TransitKey } from '../policy/schema.ts'
import { joined } from './joined.ts'
import { probeCiphertext } from './transit-ciphertext.ts'
import { vaultRefusal } from './upstream.ts'

export interface TransitKeys {
  /**
   * Resolves when ciphertext of this key may be opened.
   * @throws KeyholeError KEY_UNUSABLE, or VAULT_* while the question cannot be asked.
   */
  proven(key: TransitKey, signal: AbortSignal): Promise<void>
  /**
   * Asks again about every key, and forgets the others. What Vault cannot be asked stays as it was known. Called at
   * start, on a policy change, and hourly.
   */
  recheck(keys: Iterable<TransitKey>, signal: AbortSignal): Promise<void>
  /** What is known of each key that was asked about, by the TransitKey's name. */
  conditions(): ReadonlyMap<string, KeyCondition>
}

export type KeyCondition = 'derived' | 'not-derived' | 'missing' | 'role-refused'

export interface TransitKeysOptions {
  /** Asks Vault to decrypt this ciphertext without a context, and answers how it refused; undefined if it did not. */
  readonly ask: (key: TransitKey, ciphertext: string, signal: AbortSignal) => Promise<UpstreamKind | undefined>
  readonly clock: Clock
  /** How long a good answer stands. */
  readonly keepMs: number
  /** How long a bad one does: a key that was mended serves again after this. */
  readonly retryMs: number
  /** Told when a key's condition changes. */
  readonly changed: (key: TransitKey, condition: KeyCondition, fix: string | undefined) => void
  /** Told after a round why keys could not be asked about, and how many: once for each reason that somebody can mend. */
  readonly unasked?: (refusal: KeyholeError, keys: number) => void
}

interface Known {
  readonly key: TransitKey
  readonly condition: KeyCondition
  readonly foundAt: number
  readonly askAgainAt: number
}

/** Beyond what a key can reach: who says that even this is too old is not talking about versions. */
const MAX_VERSION = 2 ** 29

export function transitKeys({ ask, clock, keepMs, retryMs, changed, unasked }: TransitKeysOptions): TransitKeys {
  const known = new Map<string, Known>()
  const questions = joined<string, Known>()

  async function question(key: TransitKey, signal: AbortSignal): Promise<Known> {
    const id = identityOf(key)
    return await questions.join(id, signal, async (shared) => {
      const condition = conditionOf(await probe(key, shared))
      const foundAt = clock.now()
      const answer = { key, condition, foundAt, askAgainAt: foundAt + (condition === 'derived' ? keepMs : retryMs) }
      if (known.get(id)?.condition !== condition) {
        changed(key, condition, condition === 'derived' ? undefined : FIXES[condition])
      }
      known.set(id, answer)
      return answer
    })
  }

  /** A clock that was set back must not stretch what is known. */
  function stands({ foundAt, askAgainAt }: Known): boolean {
    return clock.now() >= foundAt && clock.now() < askAgainAt
  }

  /** Finds a version that Vault does not refuse for its number, and answers how it refused that one. */
  async function probe(key: TransitKey, signal: AbortSignal): Promise<UpstreamKind | undefined> {
    let tooOld = 0
    let tooNew = Number.POSITIVE_INFINITY
    for (let version = 1; tooNew - tooOld > 1 && version <= MAX_VERSION; ) {
      const kind = await ask(key, probeCiphertext(version), signal)
      if (kind === 'too-old') tooOld = version
      else if (kind === 'too-new') tooNew = version
      else return kind
      version = tooNew === Number.POSITIVE_INFINITY ? version * 2 : Math.floor((tooOld + tooNew) / 2)
    }
    return 'garbage'
  }

  return {
    async proven(key, signal) {
      if (key.binding === 'none') return
      const last = known.get(identityOf(key))
      const answer =
        last !== undefined && stands(last)
          ? last
          : await question(key, signal).catch((error: unknown) => {
              throw vaultRefusal(error)
            })
      const { condition } = answer
      if (condition !== 'derived') {
        throw new KeyholeError('KEY_UNUSABLE', { why: `transit-key-${condition}`, fix: FIXES[condition] })
      }
    },
    async recheck(keys, signal) {
      const bound = [...keys].filter((key) => key.binding === 'place')
      const wanted = new Set(bound.map(identityOf))
      for (const id of known.keys()) if (!wanted.has(id)) known.delete(id)
      // One after the other: nobody waits for this, and Vault's quota counts keyhole as one client.
      const refusals: KeyholeError[] = []
      for (const key of bound) {
        await question(key, signal).catch((error: unknown) => refusals.push(asKeyholeError(vaultRefusal(error))))
      }
      if (signal.aborted) return
      for (const [fix, refused] of Map.groupBy(refusals, (refusal) => refusal.fix)) {
        const [first] = refused
        if (fix !== undefined && first !== undefined) unasked?.(first, refused.length)
      }
    },
    conditions: () => new Map([...known.values()].map(({ key, condition }) => [key.name, condition])),
  }
}

function identityOf(key: TransitKey): string {
  return JSON.stringify([key.mount, key.name, key.vaultRoles.read ?? null])
}

/** @throws UpstreamError for an answer that tells nothing of the key. */
function conditionOf(kind: UpstreamKind | undefined): KeyCondition {
  switch (kind) {
    case 'context-missing':
      return 'derived'
    case 'key-missing':
    case 'mount-missing':
      return 'missing'
    case 'forbidden':
    case 'role-missing':
      return 'role-refused'
    // A key that went on to look at the ciphertext needed no context. One that opened it is not a key of ours.
    case 'not-authentic':
    case 'malformed-ciphertext':
    case 'bad-request':
    case undefined:
      return 'not-derived'
    default:
      throw new UpstreamError('vault', kind)
  }
}

const FIXES: Readonly<Record<Exclude<KeyCondition, 'derived'>, string>> = {
  'not-derived':
    'create the Transit key with derived=true and encrypt its Secrets again, or set binding: none on the TransitKey and accept that its ciphertext opens wherever it is pasted',
  missing: 'create the Transit key in Vault with derived=true, or fix mount and name of the TransitKey',
  'role-refused': 'create the Vault role of the TransitKey, with a policy that has "update" on <mount>/decrypt/<key>',
}

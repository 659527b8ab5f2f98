/** A look at several keys within a request: each once, all at the same time. */
import type { Code } from '../../contract.ts'
import { asKeyholeError } from '../../errors.ts'
import type { RotatableKey } from '../authorize.ts'
import type { Keys } from './keys.ts'
import type { TransitKeyInfo } from './ports.ts'

/**
 * In the order of the keys; undefined for one that has something wrong, which is for a report or the ledger to say.
 * @throws KeyholeError VAULT_SEALED, VAULT_UNAVAILABLE where Vault tells of none: a report would keep its caller waiting longer than
 * the deadline of the request lasts.
 */
export async function glances(
  keys: Pick<Keys, 'glance'>,
  of: readonly RotatableKey[],
  signal: AbortSignal,
): Promise<readonly (TransitKeyInfo | undefined)[]> {
  const looks = await Promise.allSettled(of.map(({ transitKey }) => keys.glance(transitKey, signal)))
  const failures = looks.flatMap((look) => (look.status === 'rejected' ? [asKeyholeError(look.reason)] : []))
  const [first] = failures
  if (first !== undefined && failures.length === looks.length && failures.every(({ code }) => OUTAGES.has(code))) {
    throw first
  }
  return looks.map((look) => (look.status === 'fulfilled' ? look.value : undefined))
}

const OUTAGES: ReadonlySet<Code> = new Set(['VAULT_UNAVAILABLE', 'VAULT_SEALED'])

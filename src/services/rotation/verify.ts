/**
 * Moved -> Verified. Reads every Secret again and has Vault rewrap each ciphertext in the context of its place, throwing
 * the result away: a number in front of a ciphertext proves nothing, that Vault opens it here does. What was pasted, forged
 * or put back meanwhile shows.
 */
import type { SecretUnder } from '../../policy/secrets-under.ts'
import { inHand } from './in-hand.ts'
import type { Inspect } from './inspect.ts'
import { isBlocked, isLocated, standing } from './inspect.ts'
import type { Moved } from './move.ts'
import type { Gate } from './pool.ts'
import type { Rewrap } from './rewrap.ts'

declare const verified: unique symbol

export interface Verified {
  readonly [verified]: true
  readonly moved: Moved
  /** Secrets that are below the target although they were moved: somebody wrote an older ciphertext. */
  readonly astray: readonly SecretUnder[]
  /** The lowest version of all that were read; undefined where there is none. */
  readonly lowest: number | undefined
}

export type Verify = (moved: Moved) => Promise<Verified>

export interface VerifyOptions {
  readonly inspect: Inspect
  readonly rewrap: Rewrap
  readonly gate: Gate
  readonly halt: AbortSignal
}

export function verifier({ inspect, rewrap, gate, halt }: VerifyOptions): Verify {
  return async function verify(moved) {
    const { wanted, claim, intent } = moved.advanced.restored.intended
    const { tally, steps, transitKey } = wanted
    steps.stage('verify', { to: intent.target })
    const astray: SecretUnder[] = []
    let lowest = Number.POSITIVE_INFINITY
    let done = 0
    const read = async (secret: SecretUnder) => {
      halt.throwIfAborted()
      return await inspect(secret, claim.signal)
    }
    for await (const found of inHand(wanted.secrets, gate, read)) {
      for (const one of found) if (isBlocked(one)) tally.blocked(one)
      for (const { one, ...outcome } of await rewrap(transitKey, found.filter(isLocated), claim.signal)) {
        if ('blocked' in outcome) {
          tally.blocked({ ...one, blocked: outcome.blocked })
          continue
        }
        if (one.version !== undefined) {
          lowest = Math.min(lowest, one.version)
          tally.found(one.version)
        }
        const stands = standing(one, intent.target)
        if (stands === 'current') tally.current(one.secret, one.gitops)
        else if (stands === 'immutable') tally.blocked({ ...one, blocked: 'IMMUTABLE' })
        // Why it could not be moved is told already: what keyhole has no right to write is not contended.
        else if (!tally.isBlocked(one.secret)) astray.push(one.secret)
      }
      done += found.length
      steps.progress('verify', done)
    }
    return { moved, astray, lowest: Number.isFinite(lowest) ? lowest : undefined } as Partial<Verified> as Verified
  }
}

/** Vault's own tokens: who holds one, with which policies, until when. */
import type { Clock } from '../../clock.ts'
import type { Random } from '../server.ts'

export interface Tokens {
  issue(order: {
    readonly policies: readonly string[]
    readonly ttlSeconds: number
    readonly type: 'batch' | 'service'
  }): string
  /** The policies of a live token; undefined for unknown and expired ones alike. */
  policiesOf(token: string): readonly string[] | undefined
}

export function createTokens(clock: Clock, random: Random, rootToken: string): Tokens {
  const issued = new Map<string, { policies: readonly string[]; expiresAt: number }>()
  issued.set(rootToken, { policies: ['root'], expiresAt: Number.POSITIVE_INFINITY })
  return {
    issue({ policies, ttlSeconds, type }) {
      for (const [token, { expiresAt }] of issued) if (expiresAt <= clock.now()) issued.delete(token)
      // The real ones carry a few constant bytes first; a batch token is long, for it holds its own state.
      const token =
        type === 'batch'
          ? `hvb.AAAAAQ${random(150).toString('base64url')}`
          : `hvs.CAES${random(66).toString('base64url')}`
      issued.set(token, { policies, expiresAt: clock.now() + ttlSeconds * 1000 })
      return token
    },
    policiesOf(token) {
      const entry = issued.get(token)
      return entry !== undefined && clock.now() < entry.expiresAt ? entry.policies : undefined
    },
  }
}

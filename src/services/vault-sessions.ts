/**
 * keyhole's own Vault tokens, one per role. A token lives 10 s at most, so that a role's policy taken away is gone
 * soon; while there is traffic the next one is fetched before the last one ends, so that nobody waits for a login.
 */
import type { Clock } from '../clock.ts'
import { UpstreamError } from '../errors.ts'
import type { Token } from '../opaque.ts'
import { joined } from './joined.ts'

export interface VaultLogins {
  /** Logs in with keyhole's own projected token. */
  login(role: string, signal: AbortSignal): Promise<{ readonly token: Token; readonly leaseSeconds: number }>
}

export interface VaultSessions {
  /**
   * Runs `act` with a token of the role. A 403 may be a token that ended on the way, so it logs in again, once; but not
   * for one 403 after the other: those are a policy's, and one unusable key must not cost all others a login each time.
   * @throws UpstreamError of the login (`unauthorized` where it was refused) or of `act`.
   */
  use<T>(role: string, signal: AbortSignal, act: (token: Token) => Promise<T>): Promise<T>
}

export interface VaultSessionOptions {
  readonly logins: VaultLogins
  readonly clock: Clock
  /** A token is not used in its last so many ms: a call begun with it must end before it does. */
  readonly marginMs: number
  /** Longest use of one token, whatever lease Vault gives. */
  readonly maxUseMs: number
  /** Told once for a role whose tokens live longer: keyhole stops using them, but nothing ends them. */
  readonly overlong: (role: string, leaseSeconds: number) => void
}

/** A role is logged in again for a 403 at most once in so many ms. */
const RELOGIN_EVERY_MS = 1_000

interface Session {
  readonly token: Token
  readonly beganAt: number
  readonly renewAt: number
  readonly endsAt: number
}

export function vaultSessions(options: VaultSessionOptions): VaultSessions {
  const { logins, clock, marginMs, maxUseMs } = options
  const sessions = new Map<string, Session>()
  const reloggedInAt = new Map<string, number>()
  const toldOverlong = new Set<string>()
  const loginsInFlight = joined<string, Session>()
  const never = new AbortController().signal

  async function login(role: string, signal: AbortSignal): Promise<Session> {
    return await loginsInFlight.join(role, signal, async (shared) => {
      const askedAt = clock.now()
      const { token, leaseSeconds } = await logins.login(role, shared).catch((error: unknown) => {
        throw loginRefusal(error)
      })
      if (leaseSeconds * 1000 > maxUseMs && !toldOverlong.has(role)) {
        toldOverlong.add(role)
        options.overlong(role, leaseSeconds)
      }
      const usableMs = Math.min(leaseSeconds * 1000, maxUseMs) - marginMs
      const session = { token, beganAt: askedAt, renewAt: askedAt + usableMs / 2, endsAt: askedAt + usableMs }
      sessions.set(role, session)
      return session
    })
  }

  async function current(role: string, signal: AbortSignal): Promise<Session> {
    const session = sessions.get(role)
    if (session === undefined || !isWithin(session.beganAt, session.endsAt)) return await login(role, signal)
    if (clock.now() >= session.renewAt) {
      // Nobody waits for this one, and its failure is found again by whoever needs the next token.
      login(role, never).catch(() => {})
    }
    return session
  }

  /** A clock that was set back is before both: what was begun in its future is over. */
  function isWithin(fromMs: number, toMs: number): boolean {
    return clock.now() >= fromMs && clock.now() < toMs
  }

  return {
    async use(role, signal, act) {
      const session = await current(role, signal)
      try {
        return await act(session.token)
      } catch (error) {
        if (!(error instanceof UpstreamError && error.kind === 'forbidden')) throw error
        if (sessions.get(role) === session) {
          const last = reloggedInAt.get(role)
          if (last !== undefined && isWithin(last, last + RELOGIN_EVERY_MS)) throw error
          reloggedInAt.set(role, clock.now())
          sessions.delete(role)
        }
        const next = sessions.get(role) ?? (await login(role, signal))
        return await act(next.token)
      }
    },
  }
}

/**
 * A login's 403 says nothing of the role's rights: Vault answers so, too, while it cannot reach the API server. Told
 * apart here, or an outage there would look like a missing policy of every key.
 */
export function loginRefusal(thrown: unknown): unknown {
  if (!(thrown instanceof UpstreamError && thrown.kind === 'forbidden')) return thrown
  return new UpstreamError('vault', 'unauthorized', thrown.status)
}

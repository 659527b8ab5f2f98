/** The Transit key itself: read at any time, changed only behind the fence. */
import type { Clock } from '../../clock.ts'
import { pause } from '../../clock.ts'
import { KeyholeError } from '../../errors.ts'
import type { Token } from '../../opaque.ts'
import type { TransitKey } from '../../policy/schema.ts'
import { rotationRefusal } from '../upstream.ts'
import type { VaultLogins, VaultSessions } from '../vault-sessions.ts'
import { loginRefusal } from '../vault-sessions.ts'
import type { Begun } from './effects.ts'
import type { Claim } from './journal.ts'
import type { Patience } from './patience.ts'
import { isKind, isTransient, ONCE } from './patience.ts'
import type { TransitKeyInfo, TransitRotation } from './ports.ts'

export interface Keys {
  /** @throws KeyholeError KEY_UNUSABLE, VAULT_UNAVAILABLE, VAULT_SEALED. */
  read(key: TransitKey, signal: AbortSignal): Promise<TransitKeyInfo>
  /** As `read`, with one try: whoever asks within a request should hear why it fails before its deadline does. */
  glance(key: TransitKey, signal: AbortSignal): Promise<TransitKeyInfo>
  /** Adds a version, unless there is `target` by now. @throws UpstreamError as it came: whether it was added is for the caller to find out. */
  addVersion(begun: Begun, key: TransitKey, target: number, claim: Claim): Promise<void>
  /** @throws as `addVersion`. */
  setMinDecryptionVersion(begun: Begun, key: TransitKey, version: number, claim: Claim): Promise<void>
  /** Resolves once no change that was asked for without an answer can still take effect: its Vault token has died. */
  settled(signal: AbortSignal): Promise<void>
}

export interface KeysOptions {
  readonly transit: Pick<TransitRotation, 'readKey' | 'rotateKey' | 'setMinDecryptionVersion'>
  readonly sessions: VaultSessions
  readonly logins: VaultLogins
  readonly clock: Clock
  readonly patiently: Patience
  /** The Vault role of TransitKeys that name none to rotate with. */
  readonly role: string
}

interface Mortal {
  readonly token: Token
  readonly diesAtMs: number
  readonly lifeMs: number
}

export function transitKeyring({ transit, sessions, logins, clock, patiently, role }: KeysOptions): Keys {
  const roleOf = (key: TransitKey) => key.vaultRoles.rotate ?? role
  let mayTakeEffect = { untilMs: 0, lifeMs: 0 }

  /**
   * With a Vault token that was born after the Lease was renewed and dies before it does: a process that is stopped in
   * between, for however long, wakes up with a token that Vault refuses, and looks at the Lease before it gets another.
   */
  async function fenced(
    key: TransitKey,
    claim: Claim,
    freshMs: number,
    act: (token: Token) => Promise<void>,
  ): Promise<void> {
    for (const isLast of [false, true]) {
      await claim.renew(isLast ? 0 : freshMs)
      const { token, diesAtMs, lifeMs } = await tokenWithin(key, claim)
      try {
        return await act(token)
      } catch (error) {
        if (isTransient(error) || isKind(error, 'aborted')) mayTakeEffect = { untilMs: diesAtMs, lifeMs }
        if (isLast || !isKind(error, 'forbidden')) throw error
      }
    }
  }

  async function tokenWithin(key: TransitKey, claim: Claim): Promise<Mortal> {
    const { token, leaseSeconds } = await patiently(claim.signal, () => logins.login(roleOf(key), claim.signal)).catch(
      (error: unknown) => {
        throw rotationRefusal(loginRefusal(error))
      },
    )
    const lifeMs = leaseSeconds * 1000
    const diesAtMs = clock.now() + lifeMs
    if (diesAtMs <= claim.heldUntilMs()) return { token, diesAtMs, lifeMs }
    throw new KeyholeError('KEY_UNUSABLE', {
      why: 'vault-token-outlives-lease',
      fix: 'set token_ttl=10s token_type=batch on the Vault role that rotates: its tokens must end before the Lease does',
    })
  }

  async function readWith(patiently: Patience, key: TransitKey, signal: AbortSignal): Promise<TransitKeyInfo> {
    const { mount, name } = key
    const info = await patiently(signal, () =>
      sessions.use(roleOf(key), signal, (token) => transit.readKey({ token, mount, key: name }, signal)),
    ).catch((error: unknown) => {
      throw rotationRefusal(error)
    })
    if (info.derived === (key.binding === 'place')) return info
    throw new KeyholeError('KEY_UNUSABLE', {
      why: info.derived ? 'derived' : 'not-derived',
      fix: BINDING_FIX[key.binding],
    })
  }

  const read: Keys['read'] = (key, signal) => readWith(patiently, key, signal)

  return {
    read,
    glance: (key, signal) => readWith(ONCE, key, signal),
    async addVersion(_begun, key, target, claim) {
      let isFirst = true
      await fenced(key, claim, FRESH_MS, async (token) => {
        // A 403 may have been said by something on the way, of a call that Vault obeyed.
        const isThere = !isFirst && (await read(key, claim.signal)).latestVersion >= target
        isFirst = false
        if (!isThere) await transit.rotateKey({ token, mount: key.mount, key: key.name }, claim.signal)
      })
    },
    setMinDecryptionVersion: (_begun, key, version, claim) =>
      fenced(key, claim, 0, (token) =>
        transit.setMinDecryptionVersion({ token, mount: key.mount, key: key.name, version }, claim.signal),
      ),
    async settled(signal) {
      // No longer than it lives, also where the clock was set back.
      const leftMs = Math.min(mayTakeEffect.untilMs - clock.now(), mayTakeEffect.lifeMs)
      if (leftMs > 0) await pause(clock, leftMs, signal)
    },
  }
}

/**
 * The intent has just been written, which renewed the Lease. Far less than the margin between Lease and token lifetimes. Not for
 * a raise: this trusts the clock of a machine that may have been paused, and a minimum that is too high does more harm than a
 * version too many.
 */
const FRESH_MS = 500

const BINDING_FIX = {
  place:
    'the Transit key is not derived, so its ciphertext opens wherever it is pasted: create it with derived=true and encrypt its Secrets again, or set binding: none on its TransitKey',
  none: 'the Transit key is derived, and its TransitKey says binding: none: take that off',
} as const

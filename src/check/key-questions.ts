/**
 * What Vault is asked about Transit keys, with the very parts that the service uses them with. Where the answer would be a value,
 * it is asked about a ciphertext that has none in it.
 */
import type { Clock } from '../clock.ts'
import type { Config } from '../config.ts'
import type { UpstreamKind } from '../errors.ts'
import { KeyholeError, UpstreamError } from '../errors.ts'
import type { Token } from '../opaque.ts'
import type { TransitKey } from '../policy/schema.ts'
import type { Transit } from '../services/decrypt.ts'
import { decryptor } from '../services/decrypt.ts'
import { transitKeyring } from '../services/rotation/keys.ts'
import { patience } from '../services/rotation/patience.ts'
import type { TransitRotation } from '../services/rotation/ports.ts'
import { probeCiphertext } from '../services/transit-ciphertext.ts'
import { transitKeys } from '../services/transit-keys.ts'
import { vaultRefusal } from '../services/upstream.ts'
import type { VaultLogins, VaultSessions } from '../services/vault-sessions.ts'
import type { KeyQuestions } from './ports.ts'

interface QuestionParts {
  readonly transit: Transit
  readonly rotation: TransitRotation
  readonly sessions: VaultSessions
  readonly logins: VaultLogins
  readonly clock: Clock
}

type Settings = Pick<Config, 'KEYHOLE_REALM' | 'KEYHOLE_VAULT_ROLE' | 'KEYHOLE_VAULT_ROTATE_ROLE'>

export function keyQuestions(settings: Settings, parts: QuestionParts): KeyQuestions {
  const { KEYHOLE_REALM: realm, KEYHOLE_VAULT_ROLE: readRole, KEYHOLE_VAULT_ROTATE_ROLE: rotateRole } = settings
  const { transit, rotation, sessions, logins, clock } = parts
  const { refusal } = decryptor({ transit, sessions, realm, role: readRole })
  const proof = transitKeys({ ask: refusal, clock, keepMs: 0, retryMs: 0, changed() {} })
  const once = patience(clock, [])
  const keyring = transitKeyring({ transit: rotation, sessions, logins, clock, patiently: once, role: rotateRole })

  /** With a token of the role that rotates this key. */
  function refusalToRotator(
    { vaultRoles }: TransitKey,
    signal: AbortSignal,
    act: (token: Token) => Promise<UpstreamKind | undefined>,
  ): Promise<UpstreamKind | undefined> {
    return refusalOf(() => sessions.use(vaultRoles.rotate ?? rotateRole, signal, act))
  }

  return {
    async provenForReading(key, signal) {
      if (key.binding === 'place') return await proof.proven(key, signal)
      return refuseUnbound(await refusal(key, PROBE, signal))
    },
    readerRefusal: refusal,
    readKeyForRotating: keyring.read,
    rewrapRefusal: (key, signal) =>
      refusalToRotator(key, signal, async (token) => {
        const [outcome] = await rotation.rewrap({ token, ...probeOf(key) }, signal)
        return outcome !== undefined && 'refused' in outcome ? outcome.refused : undefined
      }),
    rotatorDecryptRefusal: (key, signal) =>
      refusalToRotator(key, signal, async (token) => {
        await transit.decrypt({ token, ...probeOf(key) }, signal)
        return undefined
      }),
  }
}

const PROBE = probeCiphertext(1)

function probeOf({ mount, name }: TransitKey) {
  return { mount, key: name, items: [{ ciphertext: PROBE }] }
}

/** A key without a binding is well if it gets as far as to look at the probe, and refuses that for what it is. */
function refuseUnbound(kind: UpstreamKind | undefined): void {
  if (kind !== undefined && UNUSABLE.has(kind)) throw vaultRefusal(new UpstreamError('vault', kind))
  if (kind === 'context-missing') throw new KeyholeError('KEY_UNUSABLE', { why: 'derived', fix: DERIVED_FIX })
}

const UNUSABLE: ReadonlySet<UpstreamKind> = new Set(['forbidden', 'role-missing', 'key-missing', 'mount-missing'])
const DERIVED_FIX = 'the Transit key is derived, and its TransitKey says binding: none: take that off'

/** @throws what is no answer of Transit. */
async function refusalOf(act: () => Promise<UpstreamKind | undefined>): Promise<UpstreamKind | undefined> {
  try {
    return await act()
  } catch (error) {
    if (error instanceof UpstreamError && (error.status === 400 || error.kind === 'forbidden')) return error.kind
    throw error
  }
}

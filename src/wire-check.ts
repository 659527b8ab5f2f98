/** `keyhole check`, wired: the service's own clients, with the service's own settings and files, and nothing that serves. */
import type { CheckParts, FilesPort, KubernetesPort, Peer, VaultPort } from './check/ports.ts'
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import type { UpstreamKind } from './errors.ts'
import { KeyholeError, UpstreamError } from './errors.ts'
import { openKubernetes } from './external/kubernetes.ts'
import type { Send } from './external/send.ts'
import { openSend } from './external/send.ts'
import { whyUntrusted } from './external/untrusted.ts'
import { openVault } from './external/vault.ts'
import { vaultHealth } from './external/vault-health.ts'
import { nobodysToken, tryLogin } from './external/vault-login.ts'
import { openVaultRotation } from './external/vault-rotation.ts'
import { readTlsPair, TlsFileError } from './http/tls.ts'
import type { Token } from './opaque.ts'
import { expectedFiles, readNow } from './own-files.ts'
import { openPolicy, PolicyDirectoryError } from './policy/current.ts'
import type { TransitKey } from './policy/schema.ts'
import { decryptor } from './services/decrypt.ts'
import { transitKeyring } from './services/rotation/keys.ts'
import { patience } from './services/rotation/patience.ts'
import { transitKeys } from './services/transit-keys.ts'
import { vaultRefusal } from './services/upstream.ts'
import { vaultSessions } from './services/vault-sessions.ts'
import { starting } from './starting.ts'
import { sessionBounds, vaultOptions } from './wire-upstreams.ts'

export function wireCheck(config: Config, clock: Clock, signal: AbortSignal): CheckParts {
  return {
    config,
    clock,
    signal,
    files: filesOf(config, clock),
    openPolicy: () =>
      starting(
        'KEYHOLE_POLICY_DIR',
        () => openPolicy({ directory: config.KEYHOLE_POLICY_DIR, clock, watch: false, changed() {} }),
        PolicyDirectoryError,
      ),
    kubernetes: (token, ca) => kubernetesPort(config, clock, token, ca),
    vault: (jwt, ca) => vaultPort(config, clock, jwt, ca),
  }
}

function filesOf(config: Config, clock: Clock): FilesPort {
  const { kubernetesToken, kubernetesCa, vaultJwt, vaultCa } = expectedFiles(config, clock)
  const { tls } = config
  return {
    kubernetesToken: () => readNow(kubernetesToken),
    vaultToken: () => readNow(vaultJwt),
    kubernetesCa: async () => kubernetesCa && (await readNow(kubernetesCa)),
    vaultCa: async () => vaultCa && (await readNow(vaultCa)),
    certificate: async () =>
      tls && (await starting('KEYHOLE_TLS_CERT_FILE', () => readTlsPair(tls, clock.now()), TlsFileError)).cert,
  }
}

interface Reached extends Peer {
  readonly send: Send
}

function peerAt(origin: string, ca: string | undefined, config: Config, clock: Clock): Reached {
  let skewMs: number | undefined
  const { send, close } = openSend({
    origin,
    ...(ca !== undefined && { ca: () => ca }),
    connections: 4,
    maxBodyBytes: config.KEYHOLE_UPSTREAM_MAX_BYTES,
    callTimeoutMs: config.KEYHOLE_UPSTREAM_TIMEOUT_MS,
    clock,
  })
  return {
    skewMs: () => skewMs,
    whyUntrusted: (signal) => whyUntrusted(origin, ca, signal),
    close,
    async send(request, signal) {
      const sentAt = clock.now()
      const answer = await send(request, signal)
      const dateMs = Date.parse(answer.headers['date'] ?? '')
      // In whole seconds, rounded down: half of one is the best guess.
      if (!Number.isNaN(dateMs)) skewMs = dateMs + 500 - (sentAt + clock.now()) / 2
      return answer
    },
  }
}

function kubernetesPort(config: Config, clock: Clock, token: Token, ca: string | undefined): KubernetesPort {
  const peer = peerAt(config.kubernetesUrl, ca, config, clock)
  const own = { current: () => token, again: () => token }
  return { ...peer, ...openKubernetes({ send: peer.send, token: own }) }
}

function vaultPort(config: Config, clock: Clock, jwt: Token, ca: string | undefined): VaultPort {
  const {
    KEYHOLE_VAULT_AUTH_MOUNT: mount,
    KEYHOLE_VAULT_ROLE: readRole,
    KEYHOLE_VAULT_ROTATE_ROLE: rotateRole,
  } = config
  const peer = peerAt(config.VAULT_ADDR, ca, config, clock)
  const options = vaultOptions(config, peer.send)
  const client = openVault(options)
  const rotation = openVaultRotation(options)
  const logins = { login: (role: string, signal: AbortSignal) => client.login({ mount, role, jwt }, signal) }
  // What is wrong with a role, the check of its login tells.
  const sessions = vaultSessions({ logins, clock, ...sessionBounds(config), overlong() {} })
  const decrypt = decryptor({ transit: client, sessions, realm: config.KEYHOLE_REALM, role: readRole })
  const proof = transitKeys({ ask: decrypt.refusal, clock, keepMs: 0, retryMs: 0, changed() {} })
  const once = patience(clock, [])
  const keyring = transitKeyring({ transit: rotation, sessions, logins, clock, patiently: once, role: rotateRole })
  const roleOf = (key: TransitKey) => key.vaultRoles.rotate ?? rotateRole
  return {
    ...peer,
    health: (signal) => vaultHealth(peer.send, signal),
    tryLogin: (role, signal) => tryLogin(options, { mount, role, jwt: jwt.reveal() }, signal),
    tryLoginAsNobody: (role, signal) =>
      tryLogin(options, { mount, role, jwt: nobodysToken(clock.now(), issuerOf(jwt)) }, signal),
    async provenForReading(key, signal) {
      if (key.binding === 'place') return await proof.proven(key, signal)
      const kind = await decrypt.refusal(key, NO_CIPHERTEXT, signal)
      if (kind !== undefined && UNUSABLE.has(kind)) throw vaultRefusal(new UpstreamError('vault', kind))
      if (kind === 'context-missing') throw new KeyholeError('KEY_UNUSABLE', { why: 'derived', fix: DERIVED_FIX })
    },
    readerRefusal: decrypt.refusal,
    readKeyForRotating: keyring.read,
    async rewrapRefusal(key, signal) {
      const { mount: transit, name } = key
      return await refusalOf(async () => {
        const items = [{ ciphertext: NO_CIPHERTEXT }]
        const [outcome] = await sessions.use(roleOf(key), signal, (token) =>
          rotation.rewrap({ token, mount: transit, key: name, items }, signal),
        )
        return outcome !== undefined && 'refused' in outcome ? outcome.refused : undefined
      })
    },
    async rotatorDecryptRefusal(key, signal) {
      const { mount: transit, name } = key
      return await refusalOf(async () => {
        const items = [{ ciphertext: NO_CIPHERTEXT }]
        await sessions.use(roleOf(key), signal, (token) =>
          client.decrypt({ token, mount: transit, key: name, items }, signal),
        )
        return undefined
      })
    },
  }
}

/** Opens under no key: there is nothing in it. */
const NO_CIPHERTEXT = 'vault:v1:AAAA'

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

/** As the token says; it is nobody's secret. */
function issuerOf(jwt: Token): string | undefined {
  try {
    const { iss } = JSON.parse(Buffer.from(jwt.reveal().split('.')[1] ?? '', 'base64url').toString('utf8'))
    return typeof iss === 'string' ? iss : undefined
  } catch {
    return undefined
  }
}

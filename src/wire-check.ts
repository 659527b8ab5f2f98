/** `keyhole check`, wired: the service's own clients, with the service's own settings and files, and nothing that serves. */
import { keyQuestions } from './check/key-questions.ts'
import type { CheckParts, FilesPort, KubernetesPort, Peer, VaultPort } from './check/ports.ts'
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import { openKubernetes } from './external/kubernetes.ts'
import type { Send } from './external/send.ts'
import { openSend } from './external/send.ts'
import { skewed } from './external/skew.ts'
import { whyUntrusted } from './external/untrusted.ts'
import { openVault } from './external/vault.ts'
import { vaultHealth } from './external/vault-health.ts'
import { issuerOf, nobodysToken, tryLogin } from './external/vault-login.ts'
import { openVaultRotation } from './external/vault-rotation.ts'
import { readTlsPair, TlsFileError } from './http/tls.ts'
import type { Token } from './opaque.ts'
import { expectedFiles, readNow } from './own-files.ts'
import { openPolicy, PolicyDirectoryError } from './policy/current.ts'
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

function kubernetesPort(config: Config, clock: Clock, token: Token, ca: string | undefined): KubernetesPort {
  const { send, ...peer } = peerAt(config.kubernetesUrl, ca, config, clock)
  const own = { current: () => token, again: () => token }
  return { ...peer, ...openKubernetes({ send, token: own }) }
}

function vaultPort(config: Config, clock: Clock, jwt: Token, ca: string | undefined): VaultPort {
  const { KEYHOLE_VAULT_AUTH_MOUNT: mount } = config
  const { send, ...peer } = peerAt(config.VAULT_ADDR, ca, config, clock)
  const options = vaultOptions(config, send)
  const transit = openVault(options)
  const rotation = openVaultRotation(options)
  const logins = { login: (role: string, signal: AbortSignal) => transit.login({ mount, role, jwt }, signal) }
  // What is wrong with a role, the check of its login tells.
  const sessions = vaultSessions({ logins, clock, ...sessionBounds(config), overlong() {} })
  return {
    ...peer,
    ...keyQuestions(config, { transit, rotation, sessions, logins, clock }),
    health: (signal) => vaultHealth(send, signal),
    tryLogin: (role, signal) => tryLogin(options, { mount, role, jwt: jwt.reveal() }, signal),
    tryLoginAsNobody: (role, signal) =>
      tryLogin(options, { mount, role, jwt: nobodysToken(clock.now(), issuerOf(jwt)) }, signal),
  }
}

interface Reached extends Peer {
  readonly send: Send
}

function peerAt(origin: string, ca: string | undefined, config: Config, clock: Clock): Reached {
  const { send, close } = openSend({
    origin,
    ...(ca !== undefined && { ca: () => ca }),
    connections: 4,
    maxBodyBytes: config.KEYHOLE_UPSTREAM_MAX_BYTES,
    callTimeoutMs: config.KEYHOLE_UPSTREAM_TIMEOUT_MS,
    clock,
  })
  return { ...skewed(send, clock), whyUntrusted: (signal) => whyUntrusted(origin, ca, signal), close }
}

/** Kubernetes and Vault as the service reaches them. The one place where a service's clients are made. */
import type { Config } from './config.ts'
import { UpstreamError } from './errors.ts'
import type { Kubernetes } from './external/kubernetes.ts'
import { openKubernetes } from './external/kubernetes.ts'
import { observed } from './external/observed.ts'
import type { Renewed } from './external/renewed-file.ts'
import type { Send, Sender } from './external/send.ts'
import { openSend } from './external/send.ts'
import type { Vault, VaultOptions } from './external/vault.ts'
import { openVault } from './external/vault.ts'
import { vaultHealth } from './external/vault-health.ts'
import { openVaultRotation } from './external/vault-rotation.ts'
import { lastOutcome } from './health.ts'
import type { Token } from './opaque.ts'
import type { OwnFiles } from './own-files.ts'
import type { Shown } from './own-state.ts'
import type { Transit } from './services/decrypt.ts'
import type { TransitRotation } from './services/rotation/ports.ts'
import { outcomeFix } from './services/upstream.ts'
import type { VaultLogins, VaultSessions } from './services/vault-sessions.ts'
import { vaultSessions } from './services/vault-sessions.ts'
import type { Surroundings } from './surroundings.ts'

export interface Upstreams {
  readonly kubernetes: Kubernetes
  /** Decrypts: for reads, and for no rotator. */
  readonly transit: Transit
  readonly rotation: TransitRotation
  readonly logins: VaultLogins
  readonly sessions: VaultSessions
  /** Asks both for a word. Never rejects. */
  greet(signal: AbortSignal): Promise<void>
  /** Of some upstream, no certificate was ever trusted. */
  isUntrusted(): boolean
  /** Lets calls end. */
  close(): Promise<void>
}

export function wireUpstreams(config: Config, files: OwnFiles, surroundings: Surroundings, shown: Shown): Upstreams {
  const toKubernetes = watchedSender('kubernetes', config, files.kubernetesCa, surroundings, shown)
  const toVault = watchedSender('vault', config, files.vaultCa, surroundings, shown)
  const options = vaultOptions(config, toVault.send)
  const kubernetes = openKubernetes({ send: toKubernetes.send, token: files.kubernetesToken })
  const vault = openVault(options)
  const logins = renewingLogins(vault, config.KEYHOLE_VAULT_AUTH_MOUNT, files.vaultJwt)
  const { clock, log } = surroundings
  return {
    kubernetes,
    transit: { decrypt: vault.decrypt },
    rotation: openVaultRotation(options),
    logins,
    sessions: vaultSessions({
      logins,
      clock,
      ...sessionBounds(config),
      overlong: (role, leaseSeconds) =>
        log.warn('Vault tokens live too long', { role, leaseSeconds, fix: OVERLONG_FIX }),
    }),
    async greet(signal) {
      await Promise.allSettled([kubernetes.whoAmI(signal), vaultHealth(toVault.send, signal)])
    },
    isUntrusted: () => toKubernetes.isUntrusted() || toVault.isUntrusted(),
    async close() {
      await Promise.all([toKubernetes.close(), toVault.close()])
    },
  }
}

const OVERLONG_FIX =
  'set token_ttl=10s token_type=batch on the Vault role: its tokens outlive their use, and nothing ends them'

export function vaultOptions({ VAULT_NAMESPACE: namespace }: Config, send: Send): VaultOptions {
  return { send, ...(namespace !== undefined && { namespace }) }
}

/** A call begun with a token should end before the token does. */
export function sessionBounds(config: Config) {
  const { KEYHOLE_VAULT_TOKEN_MAX_MS: maxUseMs, KEYHOLE_UPSTREAM_TIMEOUT_MS: callMs } = config
  return { maxUseMs, marginMs: Math.min(callMs, maxUseMs / 2) }
}

interface WatchedSender extends Sender {
  /** No certificate of this upstream was ever trusted. */
  isUntrusted(): boolean
}

/** Each upstream has its own pool, its own CA, and its own place in metrics and health. */
function watchedSender(
  upstream: 'kubernetes' | 'vault',
  config: Config,
  ca: Renewed<string> | undefined,
  { clock, log, decorate = (send) => send }: Surroundings,
  { health, metrics }: Shown,
): WatchedSender {
  const last = lastOutcome(upstream, ({ ok, state }, outcome) => {
    if (ok) log.info('upstream answers', { upstream })
    else log.warn('upstream fails', { upstream, state, fix: outcomeFix(upstream, outcome) })
  })
  health.watch(last.component)
  const { send, close } = openSend({
    origin: upstream === 'kubernetes' ? config.kubernetesUrl : config.VAULT_ADDR,
    ...(ca !== undefined && { ca: ca.current }),
    connections: config.KEYHOLE_UPSTREAM_CONNECTIONS,
    maxBodyBytes: config.KEYHOLE_UPSTREAM_MAX_BYTES,
    callTimeoutMs: config.KEYHOLE_UPSTREAM_TIMEOUT_MS,
    clock,
  })
  const observe = ({ outcome, durationMs }: { outcome: number | string; durationMs: number }) => {
    // A caller that left says nothing about the upstream.
    if (outcome !== 'aborted') last.told(String(outcome))
    metrics.asked(upstream, String(outcome), durationMs)
  }
  return {
    send: decorate(observed(send, { upstream, clock, observe })),
    close,
    isUntrusted: () => last.component().required,
  }
}

/** The token in hand may have ended while its file holds the successor: what Vault forbids is asked again with that one. */
function renewingLogins({ login }: Vault, mount: string, jwt: Renewed<Token>): VaultLogins {
  return {
    async login(role, signal) {
      const shown = jwt.current()
      try {
        return await login({ mount, role, jwt: shown }, signal)
      } catch (error) {
        const renewed = isForbidden(error) ? jwt.again() : shown
        if (renewed === shown) throw error
        return await login({ mount, role, jwt: renewed }, signal)
      }
    },
  }
}

function isForbidden(error: unknown): boolean {
  return error instanceof UpstreamError && error.kind === 'forbidden'
}

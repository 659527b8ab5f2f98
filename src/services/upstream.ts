/** How a failed upstream call refuses. The one table from UpstreamKind to code, for each upstream. */
import type { UpstreamKind } from '../errors.ts'
import { KeyholeError, UpstreamError } from '../errors.ts'

/** For calls that are not about one Secret: TokenReview. Whatever is wrong there is keyhole's own trouble. */
export function kubernetesRefusal(thrown: unknown): unknown {
  if (!(thrown instanceof UpstreamError)) return thrown
  return new KeyholeError('KUBERNETES_UNAVAILABLE', {
    why: `kubernetes-${thrown.kind}`,
    cause: thrown,
    ...fixFor(KUBERNETES_FIXES, thrown.kind),
  })
}

/** For GET of one Secret: a missing right is this Secret's fault and must not look like an outage. */
export function secretRefusal(thrown: unknown): unknown {
  if (thrown instanceof UpstreamError && thrown.kind === 'forbidden') {
    return new KeyholeError('SECRET_UNREADABLE', {
      why: 'rbac',
      cause: thrown,
      fix: "grant keyhole's ServiceAccount the verb get on this Secret by resourceNames, in the Secret's namespace",
    })
  }
  return kubernetesRefusal(thrown)
}

const KUBERNETES_FIXES: Partial<Record<UpstreamKind, string>> = {
  unauthorized: "the API server refuses keyhole's own token: check KEYHOLE_KUBERNETES_TOKEN_FILE and its audience",
  forbidden: "grant keyhole's ServiceAccount the verb create on tokenreviews (authentication.k8s.io)",
}

/** For login and decrypt: 503 where waiting can help, 422 where this ciphertext or its key must be mended. */
export function vaultRefusal(thrown: unknown): unknown {
  return vaultRefusalWith(VAULT_FIXES, thrown)
}

/** The same for what a rotation asks of Vault. */
export function rotationRefusal(thrown: unknown): unknown {
  return vaultRefusalWith(ROTATION_FIXES, thrown)
}

function vaultRefusalWith(fixes: Partial<Record<UpstreamKind, string>>, thrown: unknown): unknown {
  if (!(thrown instanceof UpstreamError)) return thrown
  const { kind } = thrown
  return new KeyholeError(VAULT_CODES[kind] ?? 'VAULT_UNAVAILABLE', {
    why: `vault-${kind}`,
    cause: thrown,
    ...fixFor(fixes, kind),
  })
}

const VAULT_CODES: Partial<Record<UpstreamKind, 'VAULT_SEALED' | 'CIPHERTEXT_REJECTED' | 'KEY_UNUSABLE'>> = {
  sealed: 'VAULT_SEALED',
  standby: 'VAULT_SEALED',
  forbidden: 'KEY_UNUSABLE',
  'role-missing': 'KEY_UNUSABLE',
  'mount-missing': 'KEY_UNUSABLE',
  'key-missing': 'KEY_UNUSABLE',
  'context-missing': 'KEY_UNUSABLE',
  // A 400 for a reason not known here says the same again, and must not look like an outage either.
  'bad-request': 'KEY_UNUSABLE',
  'too-old': 'CIPHERTEXT_REJECTED',
  // Not a 503, though a standby may catch up: anybody can write such a number into a Secret of their own, and ask for it.
  'too-new': 'CIPHERTEXT_REJECTED',
  'not-authentic': 'CIPHERTEXT_REJECTED',
  'no-prefix': 'CIPHERTEXT_REJECTED',
  'malformed-ciphertext': 'CIPHERTEXT_REJECTED',
}

const VAULT_FIXES: Partial<Record<UpstreamKind, string>> = {
  unauthorized:
    "Vault refuses keyhole's login: it cannot reach the API server to review keyhole's token, or the Vault role binds another ServiceAccount, namespace or audience",
  forbidden: 'give the Vault role a policy with capability "update" on <mount>/decrypt/<key>',
  'role-missing': 'create the Vault role, or name the right one in vaultRoles.read of the TransitKey',
  'mount-missing': 'enable the transit engine at the mount that the TransitKey names, or fix spec.mount',
  'key-missing': 'create the Transit key in Vault with derived=true, or fix the name of the TransitKey',
  'context-missing': 'the Transit key is derived: set binding: place on the TransitKey',
  'bad-request': "see Vault's audit log: the key's type cannot decrypt, or the auth method is not set up",
  'too-new':
    'the ciphertext names a key version that this Vault does not have: a standby that lags, a Vault restored from a backup, or a forged Secret',
  'too-old': "the ciphertext is older than the key's min_decryption_version: encrypt the Secret again",
}

const ROTATION_FIXES: Partial<Record<UpstreamKind, string>> = {
  ...VAULT_FIXES,
  forbidden:
    'give the Vault role that rotates a policy with "update" on <mount>/rewrap/<key>, "read" on <mount>/keys/<key>, "update" on <mount>/keys/<key>/rotate, and "update" on <mount>/keys/<key>/config with allowed_parameters = {"min_decryption_version" = []}',
  'role-missing': 'create the Vault role, or name the right one in vaultRoles.rotate of the TransitKey',
  'bad-request':
    "see Vault's audit log: the key's type cannot be rewrapped, or its min_encryption_version stands below the minimum to be set (0 follows the newest)",
}

/**
 * What to do about a call that got no answer, or was refused for our own token; undefined where nothing is to be done here.
 * @param outcome an HTTP status, or a word of the transport.
 */
export function outcomeFix(upstream: 'kubernetes' | 'vault', outcome: string): string | undefined {
  const { name, address, ca } = SETTINGS[upstream]
  if (outcome === 'tls') {
    return `${name} shows a certificate that is not trusted: ${ca} must hold the CA that signed it, and the host of ${address} must be one of its names`
  }
  if (outcome === '401' && upstream === 'kubernetes') return KUBERNETES_FIXES.unauthorized
  const isAway = ['refused', 'unreachable', 'timeout'].includes(outcome)
  return isAway
    ? `see that ${name} runs, that ${address} is its origin, and that NetworkPolicies let keyhole reach it`
    : undefined
}

const SETTINGS = {
  kubernetes: { name: 'the API server', address: 'KEYHOLE_KUBERNETES_URL', ca: 'KEYHOLE_KUBERNETES_CACERT' },
  vault: { name: 'Vault', address: 'VAULT_ADDR', ca: 'VAULT_CACERT' },
} as const

function fixFor(fixes: Partial<Record<UpstreamKind, string>>, kind: UpstreamKind): { fix?: string } {
  const fix = fixes[kind]
  return fix === undefined ? {} : { fix }
}

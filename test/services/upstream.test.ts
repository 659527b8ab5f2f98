import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import type { UpstreamKind } from '../../src/errors.ts'
import { KeyholeError, UpstreamError } from '../../src/errors.ts'
import {
  kubernetesRefusal,
  outcomeFix,
  rotationRefusal,
  secretRefusal,
  vaultRefusal,
} from '../../src/services/upstream.ts'

const KINDS = [
  'unavailable',
  'timeout',
  'aborted',
  'throttled',
  'sealed',
  'standby',
  'garbage',
  'redirected',
  'too-large',
  'unauthorized',
  'forbidden',
  'role-missing',
  'mount-missing',
  'context-missing',
  'too-old',
  'too-new',
  'not-authentic',
  'no-prefix',
  'malformed-ciphertext',
  'key-missing',
  'bad-request',
] as const satisfies UpstreamKind[]

function codeOf(refusal: unknown): string {
  if (refusal instanceof KeyholeError) return refusal.code
  throw new Error('not a refusal')
}

describe('kubernetesRefusal and secretRefusal', () => {
  test.each(KINDS)('%s of a TokenReview is an outage of Kubernetes', (kind) => {
    const error = new UpstreamError('kubernetes', kind)
    expect(kubernetesRefusal(error)).toMatchObject({
      code: 'KUBERNETES_UNAVAILABLE',
      why: `kubernetes-${kind}`,
      cause: error,
    })
  })

  test.each(KINDS.filter((kind) => kind !== 'forbidden'))('%s of a Secret is an outage of Kubernetes', (kind) => {
    expect(codeOf(secretRefusal(new UpstreamError('kubernetes', kind)))).toBe('KUBERNETES_UNAVAILABLE')
  })

  test('a Secret that keyhole may not get is the fault of that Secret, with the right that is missing', () => {
    expect(secretRefusal(new UpstreamError('kubernetes', 'forbidden', 403))).toMatchObject({
      code: 'SECRET_UNREADABLE',
      fix: expect.stringContaining('get'),
    })
  })

  test.each(['unauthorized', 'forbidden'] as const)('%s says what to mend', (kind) => {
    expect(kubernetesRefusal(new UpstreamError('kubernetes', kind))).toHaveProperty('fix', expect.any(String))
  })
})

describe('vaultRefusal', () => {
  const CODES: Readonly<Record<(typeof KINDS)[number], string>> = {
    unavailable: 'VAULT_UNAVAILABLE',
    timeout: 'VAULT_UNAVAILABLE',
    aborted: 'VAULT_UNAVAILABLE',
    throttled: 'VAULT_UNAVAILABLE',
    sealed: 'VAULT_SEALED',
    standby: 'VAULT_SEALED',
    garbage: 'VAULT_UNAVAILABLE',
    redirected: 'VAULT_UNAVAILABLE',
    'too-large': 'VAULT_UNAVAILABLE',
    unauthorized: 'VAULT_UNAVAILABLE',
    forbidden: 'KEY_UNUSABLE',
    'role-missing': 'KEY_UNUSABLE',
    'mount-missing': 'KEY_UNUSABLE',
    'context-missing': 'KEY_UNUSABLE',
    'too-old': 'CIPHERTEXT_REJECTED',
    'too-new': 'CIPHERTEXT_REJECTED',
    'not-authentic': 'CIPHERTEXT_REJECTED',
    'no-prefix': 'CIPHERTEXT_REJECTED',
    'malformed-ciphertext': 'CIPHERTEXT_REJECTED',
    'key-missing': 'KEY_UNUSABLE',
    'bad-request': 'KEY_UNUSABLE',
  }

  test.each(KINDS)('%s has its code', (kind) => {
    const error = new UpstreamError('vault', kind)
    const told = { code: CODES[kind], why: `vault-${kind}`, cause: error }
    expect(vaultRefusal(error)).toMatchObject(told)
    expect(rotationRefusal(error)).toMatchObject(told)
  })

  test.each(KINDS.filter((kind) => CODES[kind] === 'KEY_UNUSABLE'))('%s says what to mend', (kind) => {
    const error = new UpstreamError('vault', kind)
    for (const refusal of [vaultRefusal, rotationRefusal])
      expect(refusal(error)).toHaveProperty('fix', expect.any(String))
  })

  test('asks for the rights of whoever was refused: a reader decrypts, a rotator does not', () => {
    const forbidden = new UpstreamError('vault', 'forbidden', 403)
    expect(vaultRefusal(forbidden)).toHaveProperty('fix', expect.stringContaining('/decrypt/'))
    const { fix } = rotationRefusal(forbidden) as KeyholeError
    expect(fix).toMatch(/\/rewrap\/.*\/rotate"?.*\/config"? with allowed_parameters/)
    expect(fix).not.toContain('decrypt/')
    const missing = rotationRefusal(new UpstreamError('vault', 'role-missing'))
    expect(missing).toHaveProperty('fix', expect.stringContaining('vaultRoles.rotate'))
  })
})

test('what is not of an upstream passes through: a deadline, a refusal, a defect', () => {
  for (const thrown of ['gone', undefined, new Error('defect'), new KeyholeError('OVERLOADED')]) {
    for (const refusal of [kubernetesRefusal, secretRefusal, vaultRefusal, rotationRefusal])
      expect(refusal(thrown)).toBe(thrown)
  }
})

test('a refusal holds nothing of the upstream but its kind and status', () => {
  const shown = inspect(vaultRefusal(new UpstreamError('vault', 'forbidden', 403)), { depth: 9, showHidden: true })
  expect(shown).toContain('403')
  expect(shown).not.toMatch(/headers|body|token:/)
})

describe('what to do about the outcome of a call', () => {
  test.each([
    ['kubernetes', 'tls', /^the API server shows .* KEYHOLE_KUBERNETES_CACERT .* KEYHOLE_KUBERNETES_URL /],
    ['vault', 'tls', /^Vault shows .* VAULT_CACERT .* VAULT_ADDR /],
    ['kubernetes', '401', /KEYHOLE_KUBERNETES_TOKEN_FILE/],
    ['kubernetes', 'refused', /^see that the API server runs, .* KEYHOLE_KUBERNETES_URL .* NetworkPolicies/],
    ['vault', 'unreachable', /^see that Vault runs, .* VAULT_ADDR /],
    ['vault', 'timeout', /^see that Vault runs/],
  ] as const)('of %s that ended as %s names the settings to look at', (upstream, outcome, fix) => {
    expect(outcomeFix(upstream, outcome)).toMatch(fix)
  })

  test.each([
    ['vault', '401'],
    ['vault', '503'],
    ['kubernetes', '500'],
    ['kubernetes', 'reset'],
    ['kubernetes', 'too-large'],
  ] as const)('of %s that ended as %s is nothing here', (upstream, outcome) => {
    expect(outcomeFix(upstream, outcome)).toBeUndefined()
  })
})

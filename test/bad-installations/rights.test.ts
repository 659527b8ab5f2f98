/** Rights and roles that are missing, or wider than keyhole needs: who says so, and what is said. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { KEYHOLE, VAULT_RULES } from '../../src/testing/sample.ts'
import { until } from '../process/world.ts'
import type { Installation } from './world.ts'
import { install } from './world.ts'

const OWN = { namespace: KEYHOLE.namespace, name: KEYHOLE.serviceAccount }
const ROLE = {
  name: 'keyhole',
  audience: 'vault',
  serviceAccountNames: [KEYHOLE.serviceAccount],
  serviceAccountNamespaces: [KEYHOLE.namespace],
  policies: ['keyhole-read'],
}
const READ = { KEYHOLE_SERVE: 'read' }

let installation: Installation
beforeEach(async () => {
  installation = await install()
})
afterEach(() => installation[Symbol.asyncDispose]())

/** What is not well, of keyhole check. */
async function told(settings: Readonly<Record<string, string>> = {}): Promise<readonly string[]> {
  const { lines } = await installation.check(settings)
  return lines.filter((line) => /^(?:wait|fix)/.test(line))
}

describe('a Vault role', () => {
  test('that is not there is in the log and in keyhole check, and keyhole serves all that needs no Vault', async () => {
    installation.standins.vault.deleteRole('keyhole')
    await using pod = await installation.start(READ)
    expect(await pod.said('transit key')).toEqual({
      level: 'warn',
      transitKey: 'payments',
      mount: 'transit',
      condition: 'role-refused',
      fix: 'create the Vault role of the TransitKey, with a policy that has "update" on <mount>/decrypt/<key>',
      msg: 'transit key',
    })
    expect((await pod.readyz()).status).toBe(200)
    expect((await pod.get('/secrets', 'api')).status).toBe(200)
    expect(JSON.parse((await pod.get('/secrets/db', 'api')).body)).toMatchObject({ code: 'KEY_UNUSABLE' })
    expect(await told(READ)).toEqual([
      'fix   vault-login: there is no role keyhole. Create auth/kubernetes/role/keyhole: keyhole vault setup does',
    ])
    installation.standins.vault.putRole(ROLE)
    await until(async () => (await pod.get('/secrets/db', 'api')).status === 200)
  })

  test('that rotates and is not there is in the log of whoever rotates', async () => {
    installation.standins.vault.deleteRole('keyhole-rotate')
    await using pod = await installation.start({ KEYHOLE_SERVE: 'rotate' })
    expect(await pod.said('transit key cannot be rotated')).toMatchObject({
      transitKey: 'payments',
      code: 'KEY_UNUSABLE',
      fix: 'create the Vault role, or name the right one in vaultRoles.rotate of the TransitKey',
    })
    expect((await pod.readyz()).status).toBe(200)
  })

  test('that is bound to somebody else is in the log at once, and not taken for an outage', async () => {
    installation.standins.vault.putRole({ ...ROLE, serviceAccountNames: ['somebody-else'] })
    await using pod = await installation.start(READ)
    expect(await pod.said('transit keys not asked about')).toEqual({
      level: 'warn',
      keys: 1,
      why: 'vault-unauthorized',
      fix: "Vault refuses keyhole's login: it cannot reach the API server to review keyhole's token, or the Vault role binds another ServiceAccount, namespace or audience",
      msg: 'transit keys not asked about',
    })
    expect((await pod.readyz()).status).toBe(200)
  })

  test.each([
    [
      'another ServiceAccount',
      { serviceAccountNames: ['other'] },
      'fix   vault-login: role keyhole is not bound to keyhole/keyhole. Add it to bound_service_account_names of auth/kubernetes/role/keyhole',
    ],
    [
      'another namespace',
      { serviceAccountNamespaces: ['other'] },
      'fix   vault-login: role keyhole is not bound to the namespace of keyhole/keyhole. Add it to bound_service_account_namespaces of auth/kubernetes/role/keyhole',
    ],
    [
      'another audience',
      { audience: 'somewhere-else' },
      'fix   vault-login: role keyhole asks for another audience than vault. Let audience= of auth/kubernetes/role/keyhole and the projected token name the same',
    ],
    [
      'tokens that live long, are kept in storage, and have the default policy',
      { tokenTtlSeconds: 3600, tokenType: 'service', policies: ['keyhole-read', 'default'] },
      'fix   vault-login: role keyhole gives the policy default and tokens of type service and tokens of 3600 s. Set on the role: token_no_default_policy=true token_type=batch token_ttl=10s',
    ],
  ] as const)('of %s is one line of keyhole check', async (_what, change, line) => {
    installation.standins.vault.putRole({ ...ROLE, ...change })
    expect(await told(READ)).toEqual([line])
  })

  test('without an audience is found out, and no token of keyhole was shown to find it out', async () => {
    const { vault, kubernetes } = installation.standins
    const { audience: _, ...lacking } = ROLE
    vault.putRole(lacking)
    const { exit, lines } = await installation.check(READ)
    expect(exit).toBe(3)
    expect(lines.filter((line) => line.includes('vault-audience'))).toEqual([
      'fix   vault-audience: role keyhole takes tokens of any audience: whoever a pod shows its token to can log in as that pod. Set audience= on auth/kubernetes/role/keyhole, e.g. audience=vault',
    ])
    const toKubernetes = await installation.tokenFor('kubernetes')
    expect(vault.requests.sightings(toKubernetes)).toEqual([])
    // Vault reviews what it was shown.
    const seen = kubernetes.requests.sightings(await installation.tokenFor('vault')).map(({ path }) => path)
    expect(new Set(seen)).toEqual(new Set(['/apis/authentication.k8s.io/v1/tokenreviews']))
  })

  test('of which Vault cannot tell is not said to be well', async () => {
    const { audience: _, ...lacking } = ROLE
    installation.standins.vault.putRole({ ...lacking, serviceAccountNames: ['*'], serviceAccountNamespaces: ['*'] })
    const { lines } = await installation.check(READ)
    expect(lines.filter((line) => line.includes('vault-audience'))).toEqual([
      'skip  vault-audience: Vault does not tell of role keyhole: see vault read auth/kubernetes/role/keyhole',
    ])
  })

  test('that rotates and may decrypt is wider than it should be', async () => {
    installation.standins.vault.putPolicy('keyhole-rotate', [...VAULT_RULES.rotate, ...VAULT_RULES.read])
    expect(await told()).toEqual([
      'fix   wide-vault-rights: the role that rotates transit/payments may decrypt with it. Take transit/decrypt/payments off the policies of the role that rotates',
    ])
  })

  test('without a right to a key is told by key', async () => {
    installation.standins.vault.putPolicy('keyhole-read', [])
    installation.standins.vault.putPolicy(
      'keyhole-rotate',
      VAULT_RULES.rotate.filter(({ path }) => !path.includes('rewrap')),
    )
    expect(await told()).toEqual([
      'fix   transit-keys: transit/payments: transit-key-role-refused. Create the Vault role of the TransitKey, with a policy that has "update" on <mount>/decrypt/<key>',
      'fix   transit-keys: transit/payments may be read about, and not rewrapped. Give the Vault role that rotates "update" on transit/rewrap/payments',
    ])
  })
})

describe('a Transit key', () => {
  test('that is not derived, or not there, is told by both who read and who rotate', async () => {
    const transit = installation.standins.vault.transit()
    transit.deleteKey('payments')
    expect(await told()).toEqual([
      expect.stringMatching(
        /^fix {3}transit-keys: transit\/payments: transit-key-missing\. Create the Transit key in Vault/,
      ),
      expect.stringMatching(
        /^fix {3}transit-keys: transit\/payments: vault-key-missing\. Create the Transit key in Vault/,
      ),
    ])
    transit.putKey('payments', { derived: false })
    expect(await told()).toEqual([
      expect.stringMatching(
        /^fix {3}transit-keys: transit\/payments: transit-key-not-derived\. Create the Transit key with/,
      ),
      expect.stringMatching(/^fix {3}transit-keys: transit\/payments: not-derived\. The Transit key is not derived/),
    ])
  })
})

describe('RBAC', () => {
  test('that lacks a Secret of the policy is in the log of whoever rotates, in that of a read, and in keyhole check', async () => {
    const { kubernetes } = installation.standins
    const others = rightsOf(['payments-tls'])
    kubernetes.disallow(OWN)
    kubernetes.allow(OWN, ...others)
    await using pod = await installation.start()
    expect(await pod.said('Secrets of this transit key cannot be moved')).toEqual({
      level: 'warn',
      transitKey: 'payments',
      blocked: ['UNREADABLE: 1'],
      fix: 'keyhole check names them and says what to do about each, and so does GET /rotate',
      msg: 'Secrets of this transit key cannot be moved',
    })
    expect((await pod.readyz()).status).toBe(200)
    expect(JSON.parse((await pod.get('/secrets/db', 'api')).body)).toMatchObject({ code: 'SECRET_UNREADABLE' })
    expect(await pod.said('refused: SECRET_UNREADABLE')).toMatchObject({
      fix: "grant keyhole's ServiceAccount the verb get on this Secret by resourceNames, in the Secret's namespace",
    })
    expect(await told()).toEqual([
      'fix   secret-rights: may not get, patch Secret payments/payments-db. Name it in resourceNames of the Role in its namespace: keyhole manifests rbac writes them',
    ])
    kubernetes.allow(OWN, ...rightsOf(['payments-db']))
    expect((await pod.get('/secrets/db', 'api')).status).toBe(200)
    expect(await told()).toEqual([])
  })

  test('that lacks reviews or the Lease is told', async () => {
    installation.standins.kubernetes.disallow(OWN)
    installation.standins.kubernetes.allow(OWN, ...rightsOf(['payments-db', 'payments-tls']).slice(1, 2))
    expect(await told()).toEqual([
      'fix   review-right: may not create tokenreviews. Bind the ClusterRole keyhole-reviews-tokens to its ServiceAccount',
      'fix   lease-rights: may not get, update, create Lease keyhole/keyhole-rotation. Grant get, update and create on this Lease by resourceNames',
      expect.stringMatching(/^fix {3}lease: the API server answers 403\./),
    ])
  })

  test('that grants more than Secrets by name is wider than keyhole needs', async () => {
    installation.standins.kubernetes.allow(
      OWN,
      { verbs: ['get', 'list'], group: '', resource: 'secrets', namespace: 'payments' },
      { verbs: ['create'], group: '', resource: 'secrets' },
    )
    const fix =
      'Take it off the Role or ClusterRole that grants it: keyhole needs get, and patch where it rotates, by resourceNames'
    expect(await told()).toEqual([
      `fix   wide-rights: may create any Secret in the whole cluster: wider than keyhole needs. ${fix}`,
      `fix   wide-rights: may get, list, create any Secret in payments: wider than keyhole needs. ${fix}`,
    ])
  })
})

function rightsOf(names: readonly string[]) {
  const lease = {
    group: 'coordination.k8s.io',
    resource: 'leases',
    namespace: KEYHOLE.namespace,
    names: ['keyhole-rotation'],
  }
  return [
    { verbs: ['create'], group: 'authentication.k8s.io', resource: 'tokenreviews' },
    { verbs: ['get', 'patch'], group: '', resource: 'secrets', namespace: 'payments', names },
    { verbs: ['get', 'update', 'create'], ...lease },
  ]
}

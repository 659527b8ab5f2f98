/**
 * deploy/vault/terraform makes in a real Vault what docs/how-to/set-up-vault.md does by hand: as narrow, again and again, and it
 * takes no key away.
 */
import { mkdtempDisposableSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { vaultCheck } from '../../src/cli/vault-check.ts'
import { systemClock } from '../../src/clock.ts'
import { SETTINGS } from '../../src/config.ts'
import { text, transitKey } from '../policy/documents.ts'
import { ADMINS } from '../vault-setup/installation.ts'
import type { Call, Called, Failed } from './call.ts'
import { caller, expectStatus } from './call.ts'
import { operatorOf } from './operator.ts'
import { VAULT_PLUGIN } from './programs.ts'
import { podToken } from './rotation-world.ts'
import { AUDIENCE, CRON, DERIVED_KEY, KEYHOLE, REVIEWER, ROTATOR } from './set-up.ts'
import type { Inputs, Ran, Terraform } from './terraform.ts'
import { MODULE, startTerraform } from './terraform.ts'

const connection = inject('connection')
const operator = operatorOf(connection)

// All of its own, so that no other suite sees it.
const MOUNT = 'terraform'
const ADOPTED = 'terraform-adopted'
const AUTH = 'terraform/kubernetes'
const READER = 'keyhole-terraform'
const SECOND_READER = 'keyhole-terraform-2'
const ROTATOR_ROLE = 'keyhole-rotate-terraform'

/** One that rotates, and one that nobody may rotate. */
const KEYS = { payments: { mount: MOUNT }, archive: { mount: MOUNT, rotate: false } } as const
const KEY = `${MOUNT}/keys/payments`

let inputs: Inputs
let terraform: Terraform
let applied: Ran
beforeAll(async () => {
  terraform = await startTerraform(connection, inject('programs'))
  const reviewer = { namespace: REVIEWER.namespace, serviceAccount: REVIEWER.name, expirationSeconds: 86_400 }
  inputs = {
    keys: KEYS,
    reader: { role: READER },
    rotator: { role: ROTATOR_ROLE, service_account: ROTATOR.name },
    auth_path: AUTH,
    auth_type: VAULT_PLUGIN,
    kubernetes_host: connection.kubernetes.origin,
    kubernetes_ca_cert: connection.ca,
    token_reviewer_jwt: await operator.kubernetes.issueToken(reviewer),
  }
  terraform.call(inputs)
  applied = await terraform.run('apply', '-json', '-auto-approve')
})
afterAll(async () => {
  const { vault } = operator
  for (const path of [`mounts/${MOUNT}`, `mounts/${ADOPTED}`, `auth/${AUTH}`])
    await expectStatus(vault.call('DELETE', `/v1/sys/${path}`))
  for (const policy of [READER, SECOND_READER, ROTATOR_ROLE]) await vault.deletePolicy(policy)
  terraform[Symbol.dispose]()
})

test('it is written as its formatter writes it', async () => {
  const { status, stdout } = await terraform.run('fmt', '-check', '-diff', MODULE)
  expect([status, stdout]).toEqual([0, ''])
})

describe('applied to a Vault that has nothing of it', () => {
  test('it ends well', () => {
    expect([applied.status, applied.errors]).toEqual([0, []])
  })

  test.each(Object.keys(KEYS))('the key %s is derived, and neither it nor its end can be had', async (name) => {
    expect(await held(`${MOUNT}/keys/${name}`)).toMatchObject({
      type: 'aes256-gcm96',
      derived: true,
      exportable: false,
      allow_plaintext_backup: false,
      deletion_allowed: false,
      latest_version: 1,
      min_decryption_version: 1,
      min_encryption_version: 0,
    })
  })

  test('the roles are bound to one ServiceAccount and one audience, for ten seconds and one policy', async () => {
    for (const [role, account] of [
      [READER, KEYHOLE],
      [ROTATOR_ROLE, ROTATOR],
    ] as const)
      expect(await held(`auth/${AUTH}/role/${role}`)).toMatchObject({
        audience: AUDIENCE.vault,
        bound_service_account_names: [account.name],
        bound_service_account_namespaces: [account.namespace],
        token_policies: [role],
        token_no_default_policy: true,
        token_type: 'batch',
        token_ttl: 10,
        token_max_ttl: 0,
        token_period: 0,
      })
  })

  test('the policies have the rules that are written beside the module, and a key that nobody rotates is only looked at', async () => {
    const look = `path "${MOUNT}/keys/archive" { capabilities = ["read"] }`
    expect(await rulesIn(READER)).toEqual([...written('keyhole', 'archive'), ...written('keyhole', 'payments')].sort())
    expect(await rulesIn(ROTATOR_ROLE)).toEqual([look, ...written('keyhole-rotate', 'payments')].sort())
  })

  test('Vault asks the API server that was named, by its CA and with the token of the reviewer', async () => {
    expect(await held(`auth/${AUTH}/config`)).toMatchObject({
      kubernetes_host: connection.kubernetes.origin,
      kubernetes_ca_cert: connection.ca,
      token_reviewer_jwt_set: true,
      disable_local_ca_jwt: true,
      disable_iss_validation: true,
    })
  })

  test('keyhole vault check has nothing to say of it', async () => {
    expect(await checked()).toMatchObject({ exit: 0, status: 'ok', wrong: [] })
  })

  test('it tells what keyhole is to be configured with', async () => {
    expect(JSON.parse((await terraform.run('output', '-json', 'settings')).stdout)).toEqual({
      KEYHOLE_VAULT_AUTH_MOUNT: AUTH,
      KEYHOLE_VAULT_ROLE: READER,
      KEYHOLE_VAULT_ROTATE_ROLE: ROTATOR_ROLE,
    })
  })
})

describe('planned again', () => {
  test('it has nothing to do', async () => {
    expect(await unchanged()).toEqual(NOTHING)
  })

  test('nor after a rotation that raised the oldest version', async () => {
    await write(`${KEY}/rotate`)
    await write(`${KEY}/config`, { min_decryption_version: 2 })
    expect(await unchanged()).toEqual(NOTHING)
    expect(await held(KEY)).toMatchObject({ latest_version: 2, min_decryption_version: 2 })
  })

  test('it makes good what somebody widened, and leaves the versions of the key alone', async () => {
    await write(`auth/${AUTH}/role/${READER}`, { audience: '', token_ttl: 3600 })
    await write(`sys/policies/acl/${READER}`, { policy: `path "${MOUNT}/*" { capabilities = ["sudo"] }` })
    await write(`${KEY}/config`, { deletion_allowed: true })
    expect(await unchanged()).toEqual({ status: 2, errors: [] })
    expect((await terraform.run('apply', '-json', '-auto-approve')).status).toBe(0)
    expect(await held(`auth/${AUTH}/role/${READER}`)).toMatchObject({ audience: AUDIENCE.vault, token_ttl: 10 })
    expect(await rulesIn(READER)).toEqual([...written('keyhole', 'archive'), ...written('keyhole', 'payments')].sort())
    expect(await held(KEY)).toMatchObject({ deletion_allowed: false, latest_version: 2, min_decryption_version: 2 })
  })
})

const CONTEXT = Buffer.from('keyhole/1/test/payments/db/secrets.json').toString('base64')
const PLAINTEXT = Buffer.from('canary').toString('base64')

type Attempt = [title: string, method: string, path: string, body?: object]

/** What neither may do. */
const NEITHER: readonly Attempt[] = [
  ['encrypt', 'POST', `${MOUNT}/encrypt/payments`, { plaintext: PLAINTEXT, context: CONTEXT }],
  ['make a data key', 'POST', `${MOUNT}/datakey/plaintext/payments`, { context: CONTEXT }],
  ['export the key', 'GET', `${MOUNT}/export/encryption-key/payments`],
  ['back the key up', 'GET', `${MOUNT}/backup/payments`],
  ['make it exportable', 'POST', `${KEY}/config`, { exportable: true }],
  ['allow its deletion', 'POST', `${KEY}/config`, { deletion_allowed: true }],
  ['delete it', 'DELETE', KEY],
  ['make another one', 'POST', `${MOUNT}/keys/new`],
  ['list keys', 'GET', `${MOUNT}/keys?list=true`],
  ['decrypt with a key of another mount', 'POST', `transit/decrypt/${DERIVED_KEY}`],
  ['make itself a token', 'POST', 'auth/token/create'],
  ['look at its own token', 'GET', 'auth/token/lookup-self'],
  ['change its own role', 'POST', `auth/${AUTH}/role/${READER}`, { audience: '' }],
]

describe('the reader', () => {
  let call: Call
  // A batch token lives 10 s: one a test.
  beforeEach(async () => {
    call = await loggedIn(READER, KEYHOLE)
  })

  test('decrypts', async () => {
    const order = { ciphertext: await sealed(), context: CONTEXT }
    const { status, body } = await call<Data>('POST', `/v1/${MOUNT}/decrypt/payments`, order)
    expect([status, body.data['plaintext']]).toEqual([200, PLAINTEXT])
  })

  test.each<Attempt>([
    ...NEITHER,
    ['rewrap', 'POST', `${MOUNT}/rewrap/payments`],
    ['read about the key', 'GET', KEY],
    ['rotate it', 'POST', `${KEY}/rotate`],
    ['retire a version', 'POST', `${KEY}/config`, { min_decryption_version: 1 }],
  ])('may not %s', async (_title, method, path, body = {}) => {
    expect((await call(method, `/v1/${path}`, method === 'POST' ? body : undefined)).status).toBe(403)
  })
})

describe('the rotator', () => {
  let call: Call
  beforeEach(async () => {
    call = await loggedIn(ROTATOR_ROLE, ROTATOR)
  })

  test('makes a version, rewraps, and retires the version before', async () => {
    const { latest_version: before } = await held(KEY)
    const latest = Number(before) + 1
    const order = { ciphertext: await sealed(), context: CONTEXT }
    expect((await call('POST', `/v1/${KEY}/rotate`, {})).status).toBe(200)
    const { body } = await call<Data>('POST', `/v1/${MOUNT}/rewrap/payments`, order)
    expect(body.data['ciphertext']).toMatch(`vault:v${latest}:`)
    expect((await call('POST', `/v1/${KEY}/config`, { min_decryption_version: latest })).status).toBe(200)
    expect((await call<Data>('GET', `/v1/${KEY}`)).body.data).toMatchObject({ min_decryption_version: latest })
  })

  test('may look at a key that nobody rotates', async () => {
    expect((await call('GET', `/v1/${MOUNT}/keys/archive`)).status).toBe(200)
  })

  test.each<Attempt>([
    ...NEITHER,
    ['decrypt', 'POST', `${MOUNT}/decrypt/payments`],
    ['choose what is encrypted with', 'POST', `${KEY}/config`, { min_encryption_version: 1 }],
    ['trim it', 'POST', `${KEY}/trim`, { min_available_version: 1 }],
    ['rotate a key that nobody rotates', 'POST', `${MOUNT}/keys/archive/rotate`],
    ['rewrap with it', 'POST', `${MOUNT}/rewrap/archive`],
  ])('may not %s', async (_title, method, path, body = {}) => {
    expect((await call(method, `/v1/${path}`, method === 'POST' ? body : undefined)).status).toBe(403)
  })
})

test('one identity is not the other, nor anybody else, and its token is of one audience', async () => {
  const statusOf = async (role: string, account: typeof KEYHOLE | typeof ROTATOR | typeof CRON, audience: string) =>
    (await login(role, await podToken(operator, account, audience))).status
  for (const [role, account, audience] of [
    [READER, ROTATOR, AUDIENCE.vault],
    [READER, CRON, AUDIENCE.vault],
    [READER, KEYHOLE, AUDIENCE.keyhole],
    [ROTATOR_ROLE, KEYHOLE, AUDIENCE.vault],
    [ROTATOR_ROLE, CRON, AUDIENCE.vault],
    [ROTATOR_ROLE, ROTATOR, AUDIENCE.keyhole],
  ] as const)
    expect(await statusOf(role, account, audience)).toBe(403)
})

describe('with the keys alone', () => {
  test('it plans the roles and rules of the guide, where keyhole and its manifests look for them', async () => {
    using fresh = await startTerraform(connection, inject('programs'))
    const { resources, outputs } = await fresh.planned({ keys: { payments: {} } })
    const role = { backend: 'kubernetes', audience: 'vault', bound_service_account_namespaces: ['keyhole'] }
    expect(resources).toMatchObject({
      'vault_mount.transit["transit"]': { path: 'transit', type: 'transit' },
      'vault_transit_secret_backend_key.key["payments"]': { backend: 'transit', name: 'payments', derived: true },
      'vault_auth_backend.kubernetes[0]': { path: 'kubernetes', type: 'kubernetes' },
      'vault_kubernetes_auth_backend_config.kubernetes[0]': {
        kubernetes_host: 'https://kubernetes.default.svc',
        disable_local_ca_jwt: false,
      },
      'vault_kubernetes_auth_backend_role.keyhole["keyhole"]': { ...role, bound_service_account_names: ['keyhole'] },
      'vault_kubernetes_auth_backend_role.keyhole["keyhole-rotate"]': {
        ...role,
        bound_service_account_names: ['keyhole-rotate'],
      },
    })
    const settings = ['KEYHOLE_VAULT_AUTH_MOUNT', 'KEYHOLE_VAULT_ROLE', 'KEYHOLE_VAULT_ROTATE_ROLE'] as const
    expect(outputs['settings']).toEqual(
      Object.fromEntries(settings.map((setting) => [setting, SETTINGS[setting].parse(undefined)])),
    )
    const policies = outputs['policies'] as Readonly<Record<string, string>>
    for (const role of ['keyhole', 'keyhole-rotate'])
      expect(rulesOf(policies[role] ?? '')).toEqual(rulesOf(fileOf(role)))
  })

  test('and none of a rotator where nobody rotates', async () => {
    using fresh = await startTerraform(connection, inject('programs'))
    const { resources, outputs } = await fresh.planned({ keys: { payments: {} }, rotator: null })
    expect(Object.keys(resources).filter((address) => address.includes('rotate'))).toEqual([])
    expect(Object.keys(outputs['policies'] ?? {})).toEqual(['keyhole'])
  })
})

describe('what is there already', () => {
  test('is used and not made: a mount, a key and an auth method', async () => {
    using second = await startTerraform(connection, inject('programs'))
    second.call({
      keys: { payments: { mount: MOUNT, create: false }, ledger: { mount: MOUNT } },
      create_mounts: false,
      create_auth: false,
      auth_path: AUTH,
      reader: { role: SECOND_READER },
      rotator: null,
    })
    expect(await second.run('apply', '-json', '-auto-approve')).toMatchObject({ status: 0, errors: [] })
    expect(await held(`${MOUNT}/keys/ledger`)).toMatchObject({ derived: true, deletion_allowed: false })
    expect(await rulesIn(SECOND_READER)).toEqual([...written('keyhole', 'ledger'), ...written('keyhole', 'payments')])
    const call = await loggedIn(SECOND_READER, KEYHOLE)
    const order = { ciphertext: await sealed(), context: CONTEXT }
    expect((await call('POST', `/v1/${MOUNT}/decrypt/payments`, order)).status).toBe(200)
    expect(await unchanged(second)).toEqual(NOTHING)
    // And the first one's is as it was.
    expect(await unchanged()).toEqual(NOTHING)
  })

  test('is taken over as it is: a mount and a key that were made by hand', async () => {
    await write(`sys/mounts/${ADOPTED}`, { type: 'transit' })
    await write(`${ADOPTED}/keys/payments`, { type: 'aes256-gcm96', derived: true })
    using second = await startTerraform(connection, inject('programs'))
    const keys = { payments: { mount: ADOPTED } }
    second.call({ keys, reader: { role: SECOND_READER }, rotator: null, auth_path: 'elsewhere' }, [
      { to: `vault_mount.transit["${ADOPTED}"]`, id: ADOPTED },
      { to: 'vault_transit_secret_backend_key.key["payments"]', id: `${ADOPTED}/keys/payments` },
    ])
    const { stdout } = await second.run('plan', '-json')
    expect(changesIn(stdout)).toMatchObject({ import: 2, change: 0, remove: 0 })
  })
})

describe('it is refused, and says why,', () => {
  const keys = { payments: {} }
  let fresh: Terraform
  beforeAll(async () => {
    fresh = await startTerraform(connection, inject('programs'))
  })
  afterAll(() => fresh[Symbol.dispose]())

  test.each<[string, Inputs, string]>([
    ['no keys', { keys: {} }, 'keys must name at least one Transit key.'],
    ['a key with a slash', { keys: { 'a/b': {} } }, 'The name of a key must be one of a TransitKey'],
    ['a key that is a pattern', { keys: { '*': {} } }, 'The name of a key must be one of a TransitKey'],
    ['a key that climbs', { keys: { 'a..b': {} } }, 'The name of a key must be one of a TransitKey'],
    ['a mount that is a pattern', { keys: { a: { mount: '+' } } }, 'The mount of a key must be a Vault path'],
    ['a mount with a slash at its end', { keys: { a: { mount: 'a/' } } }, 'The mount of a key must be a Vault path'],
    ['a role with a slash', { keys, reader: { role: 'a/b' } }, 'reader.role must be a name of lower-case letters'],
    ['a role in capitals', { keys, rotator: { role: 'Rotate' } }, 'rotator.role must be a name of lower-case letters'],
    ["a role of Vault's own", { keys, reader: { role: 'default' } }, "reader.role must not be one of Vault's own"],
    ['one role for both', { keys, rotator: { role: 'keyhole' } }, 'rotator.role must not be reader.role'],
    ['any namespace', { keys, reader: { namespace: '*' } }, 'reader.namespace must be one Kubernetes namespace'],
    ['any ServiceAccount', { keys, rotator: { service_account: '*' } }, 'rotator.service_account must be one Kubern'],
    ['everybody', { keys, reader: { service_account: 'default' } }, 'and not default, which every pod has'],
    ['an empty audience', { keys, audience: '' }, 'audience must be one audience'],
    ['two audiences', { keys, audience: 'vault,keyhole' }, 'audience must be one audience'],
    ['an auth path with auth/ before it', { keys, auth_path: '/auth' }, 'auth_path must be a Vault path without'],
    ['plain HTTP', { keys, kubernetes_host: 'http://api' }, 'kubernetes_host must be an https address'],
    ['a CA that is none', { keys, kubernetes_ca_cert: 'ca.crt' }, 'kubernetes_ca_cert must be the PEM'],
    ['a token without a CA', { keys, token_reviewer_jwt: 'canary' }, 'token_reviewer_jwt needs kubernetes_ca_cert'],
  ])('with %s', async (_what, wrong, said) => {
    fresh.call(wrong)
    const { status, errors } = await fresh.run('plan', '-json')
    expect([status, errors]).toEqual([1, [expect.stringContaining(said)]])
    expect(errors.join()).not.toContain('canary')
  })
})

describe('no key is taken away', () => {
  test('when everything is destroyed', async () => {
    const { status, errors } = await terraform.run('destroy', '-json', '-auto-approve')
    expect(status).toBe(1)
    expect(errors.join('\n')).toMatch(/[Ii]nstance cannot be destroyed: .*prevent_destroy/)
    expect(await unchanged()).toEqual(NOTHING)
  })

  test('when it is no longer named', async () => {
    terraform.call({ ...inputs, keys: { payments: KEYS.payments } })
    const { status, errors } = await terraform.run('apply', '-json', '-auto-approve')
    expect([status, await held(`${MOUNT}/keys/archive`)]).toMatchObject([1, { derived: true }])
    expect(errors.join('\n')).toMatch(/[Ii]nstance cannot be destroyed: .*prevent_destroy/)
    terraform.call(inputs)
    expect((await terraform.run('apply', '-json', '-auto-approve')).status).toBe(0)
  })

  test('when the state lets go of it, so that it need not be named', async () => {
    const [key, id] = ['vault_transit_secret_backend_key.key["archive"]', `${MOUNT}/keys/archive`]
    expect((await terraform.run('state', 'rm', `module.keyhole.${key}`)).status).toBe(0)
    terraform.call({ ...inputs, keys: { payments: KEYS.payments } })
    expect(await terraform.run('apply', '-json', '-auto-approve')).toMatchObject({ status: 0, errors: [] })
    expect([await held(id), await rulesIn(READER)]).toMatchObject([{ derived: true }, written('keyhole', 'payments')])
    terraform.call(inputs, [{ to: key, id }])
    expect(await terraform.run('apply', '-json', '-auto-approve')).toMatchObject({ status: 0, errors: [] })
    expect(await unchanged()).toEqual(NOTHING)
  })

  test('when the module is no longer called: Vault refuses it then', async () => {
    terraform.call(undefined)
    const { status, errors } = await terraform.run('apply', '-json', '-auto-approve')
    expect(status).toBe(1)
    expect(errors.join('\n')).toContain('deletion is not allowed for this key')
    for (const name of Object.keys(KEYS)) expect(await held(`${MOUNT}/keys/${name}`)).toMatchObject({ derived: true })
  })
})

/** What `keyhole vault check` says of the policy that these keys are for. */
async function checked() {
  using policy = mkdtempDisposableSync(join(tmpdir(), 'keyhole-terraform-policy-'))
  writeFileSync(join(policy.path, 'payments.yaml'), text(transitKey({ mount: MOUNT, ...ADMINS }, 'payments')))
  writeFileSync(join(policy.path, 'archive.yaml'), text(transitKey({ mount: MOUNT }, 'archive')))
  const flags = {
    policy: policy.path,
    rotator: `${ROTATOR.namespace}/${ROTATOR.name}`,
    'read-role': READER,
    'rotate-role': ROTATOR_ROLE,
    'auth-mount': AUTH,
    'auth-type': VAULT_PLUGIN,
    'kubernetes-host': connection.kubernetes.origin,
    'kubernetes-ca': connection.caFile,
    output: 'json',
  }
  const printed: string[] = []
  const output = { write: (more: string) => void printed.push(more) }
  const exit = await vaultCheck(
    Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`),
    {
      environment: {
        VAULT_ADDR: connection.vault.origin,
        VAULT_CACERT: connection.caFile,
        VAULT_TOKEN: connection.vault.rootToken,
      },
      stdout: output,
      stderr: { write: () => undefined },
      clock: systemClock,
      random: Math.random,
      newId: () => 'invocation-1',
      signal: new AbortController().signal,
    },
  )
  const { status, findings } = JSON.parse(printed.join('')) as { status: string; findings: { status: string }[] }
  return { exit, status, wrong: findings.filter((finding) => !/^(?:ok|note)$/.test(finding.status)) }
}

const NOTHING = { status: 0, errors: [] }

/** 0: as it is; 2: there is something to do. */
async function unchanged(of = terraform): Promise<Pick<Ran, 'status' | 'errors'>> {
  const { status, errors } = await of.run('plan', '-json', '-detailed-exitcode')
  return { status, errors }
}

function changesIn(stdout: string): Readonly<Record<string, unknown>> {
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { changes?: Record<string, unknown> })
  return lines.findLast(({ changes }) => changes !== undefined)?.changes ?? {}
}

interface Data {
  readonly data: Readonly<Record<string, unknown>>
}

async function held(path: string): Promise<Data['data']> {
  return (await expectStatus(operator.vault.call<Data>('GET', `/v1/${path}`))).data
}

async function write(path: string, body: object = {}): Promise<void> {
  await expectStatus(operator.vault.call('POST', `/v1/${path}`, body))
}

async function rulesIn(policy: string): Promise<readonly string[]> {
  return rulesOf(String((await held(`sys/policies/acl/${policy}`))['policy']))
}

/** The rules of a file beside the module, for this key. */
function written(role: string, key: string): readonly string[] {
  return rulesOf(fileOf(role).replaceAll('"transit/', `"${MOUNT}/`).replaceAll('/payments', `/${key}`))
}

function fileOf(role: string): string {
  return readFileSync(join(MODULE, '..', `${role}.hcl`), 'utf8')
}

/** Its blocks, each on one line, sorted, without a comment. */
function rulesOf(text: string): readonly string[] {
  const blocks = text.replaceAll(/^#.*\n/gm, '').split(/^}\n/m)
  return blocks.flatMap((block) => (block.trim() === '' ? [] : `${block.trim()} }`.replaceAll(/\s+/g, ' '))).sort()
}

async function sealed(): Promise<string> {
  const order = { plaintext: PLAINTEXT, context: CONTEXT }
  const { data } = await expectStatus(operator.vault.call<Data>('POST', `/v1/${MOUNT}/encrypt/payments`, order))
  return String(data['ciphertext'])
}

interface Login extends Failed {
  readonly auth: { readonly client_token: string }
}

function login(role: string, jwt: string): Promise<Called<Login>> {
  const call = caller({ origin: connection.vault.origin, ca: connection.ca })
  return call<Login>('POST', `/v1/auth/${AUTH}/login`, { role, jwt })
}

async function loggedIn(role: string, account: typeof KEYHOLE | typeof ROTATOR): Promise<Call> {
  const { auth } = await expectStatus(login(role, await podToken(operator, account, AUDIENCE.vault)))
  const headers = { 'x-vault-token': auth.client_token }
  return caller({ origin: connection.vault.origin, ca: connection.ca, headers })
}

/** keyhole vault, on a real Vault: the scenarios of the model, the roles it makes as tokens meet them, and a whole run of the verbs. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { vaultCheck } from '../../src/cli/vault-check.ts'
import { vaultSetup } from '../../src/cli/vault-setup.ts'
import { systemClock } from '../../src/clock.ts'
import type { Administration } from '../../src/wire-vault-setup.ts'
import { openAdministration } from '../../src/wire-vault-setup.ts'
import { text, transitKey } from '../policy/documents.ts'
import { ADMINS } from '../vault-setup/installation.ts'
import { scenarios } from '../vault-setup/scenarios.ts'
import { caller, expectStatus } from './call.ts'
import { operatorOf } from './operator.ts'
import { VAULT_PLUGIN } from './programs.ts'
import { KEYHOLE, REVIEWER, ROTATOR } from './set-up.ts'

const connection = inject('connection')
const operator = operatorOf(connection)
const { vault } = operator

let directory = ''
let administration: Administration
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'keyhole-vault-setup-'))
  const { origin, rootToken } = connection.vault
  administration = await openAdministration({
    origin,
    caFile: connection.caFile,
    namespace: undefined,
    token: { text: rootToken },
    clock: systemClock,
  })
})
afterAll(async () => {
  await administration.close()
  rmSync(directory, { recursive: true })
})

describe('a real Vault', () => {
  scenarios(() => administration.vault, VAULT_PLUGIN)
})

const NAME = 'whole'
const FLAGS = [
  `--reader=${KEYHOLE.namespace}/${KEYHOLE.name}`,
  `--rotator=${ROTATOR.namespace}/${ROTATOR.name}`,
  `--read-role=${NAME}-reads`,
  `--rotate-role=${NAME}-rotates`,
  `--auth-mount=${NAME}`,
  `--auth-type=${VAULT_PLUGIN}`,
]

async function said(verb: typeof vaultSetup, token: string, ...args: readonly string[]) {
  const printed = { stdout: '', stderr: '' }
  const to = (name: 'stdout' | 'stderr') => ({
    write(more: string) {
      printed[name] += more
    },
  })
  const exit = await verb([`--policy=${directory}/policy`, ...FLAGS, ...args], {
    environment: { VAULT_ADDR: connection.vault.origin, VAULT_CACERT: connection.caFile, VAULT_TOKEN: token },
    stdout: to('stdout'),
    stderr: to('stderr'),
    clock: systemClock,
    random: Math.random,
    newId: () => 'invocation-1',
    signal: new AbortController().signal,
  })
  expect(printed.stdout + printed.stderr).not.toMatch(/hvs\.|hvb\.|eyJ|BEGIN CERTIFICATE/)
  return { exit, ...printed }
}

/** Status of each call that a token makes, or of the login. */
async function statuses(account: typeof KEYHOLE | typeof ROTATOR, role: string, ...calls: readonly Call[]) {
  const bound = { namespace: account.namespace, serviceAccount: account.name, audiences: ['vault'] }
  const jwt = await operator.kubernetes.issueToken(bound)
  const act = await loggedIn(role, jwt)
  if (typeof act === 'number') return act
  const statusOf = async ([method, path, body]: Call) => {
    const { status } = await act(method, `/v1/${path}`, body)
    if (status !== 403) return status
    // The token lives 10 s: it may have ended on the way.
    const again = await loggedIn(role, jwt)
    return typeof again === 'number' ? again : (await again(method, `/v1/${path}`, body)).status
  }
  return await Promise.all(calls.map(statusOf))
}

/** Status of the login where it was refused. */
async function loggedIn(role: string, jwt: string) {
  const { origin } = connection.vault
  const { status, body } = await caller({ origin, ca: connection.ca })<Login>('POST', `/v1/auth/${NAME}/login`, {
    role,
    jwt,
  })
  if (body.auth === undefined) return status
  const { client_token: token, lease_duration: seconds, token_type: type } = body.auth
  expect([seconds, type]).toEqual([10, 'batch'])
  return caller({ origin, ca: connection.ca, headers: { 'x-vault-token': token } })
}

interface Login {
  readonly auth?: { readonly client_token: string; readonly lease_duration: number; readonly token_type: string }
}

type Call = readonly [method: string, path: string, body?: object]

describe('a whole set-up', () => {
  const key = `${NAME}-key`
  const setUp = async (token: string, ...more: readonly string[]) =>
    await said(
      vaultSetup,
      token,
      `--kubernetes-host=${connection.kubernetes.origin}`,
      `--kubernetes-ca=${connection.caFile}`,
      `--token-reviewer-jwt-file=${directory}/reviewer.token`,
      ...more,
    )
  let token = ''

  beforeAll(async () => {
    mkdirSync(join(directory, 'policy'))
    writeFileSync(join(directory, 'policy', 'keys.yaml'), text(transitKey({ mount: NAME, ...ADMINS }, key)))
    const reviewer = { namespace: REVIEWER.namespace, serviceAccount: REVIEWER.name, expirationSeconds: 86_400 }
    writeFileSync(join(directory, 'reviewer.token'), await operator.kubernetes.issueToken(reviewer))
    await expectStatus(vault.call('POST', '/v1/sys/policies/acl/set-up', { policy: ADMINISTRATOR }))
    token = await vault.createToken({ policies: ['set-up'], ttlSeconds: 600, type: 'service' })
  })

  test('says what it would write, and writes nothing before it is told to', async () => {
    expect(await said(vaultCheck, token)).toMatchObject({ exit: 3 })
    const { exit, stdout } = await setUp(token)
    expect([exit, stdout.split('\n').at(-2)]).toEqual([
      3,
      'Nothing was written yet. To have it done, give the same command with --yes.',
    ])
    expect(await setUp(token, '--dry-run')).toMatchObject({ exit: 0 })
    expect((await vault.call('GET', `/v1/auth/${NAME}/config`)).status).not.toBe(200)
  })

  test('writes all of it, and then there is nothing to write', async () => {
    expect(await setUp(token, '--yes')).toMatchObject({ exit: 0, stderr: '' })
    const again = await said(vaultSetup, token)
    expect(again).toMatchObject({ exit: 0, stdout: 'Vault is as the policy asks for.\n' })
    const { exit, stdout } = await said(vaultCheck, token, '--output=json')
    expect([exit, JSON.parse(stdout).status]).toEqual([0, 'ok'])
  })

  test('makes a role that reads, and may do nothing else', async () => {
    const ciphertext = await vaultEncrypt()
    expect(
      await statuses(
        KEYHOLE,
        `${NAME}-reads`,
        ['POST', `${NAME}/decrypt/${key}`, { ciphertext, context: CONTEXT }],
        ['POST', `${NAME}/encrypt/${key}`, { plaintext: 'YQ==', context: CONTEXT }],
        ['POST', `${NAME}/rewrap/${key}`, { ciphertext, context: CONTEXT }],
        ['GET', `${NAME}/keys/${key}`],
        ['GET', 'auth/token/lookup-self'],
      ),
    ).toEqual([200, 403, 403, 403, 403])
  })

  test('makes a role that rotates, and may not decrypt', async () => {
    const ciphertext = await vaultEncrypt()
    expect(
      await statuses(
        ROTATOR,
        `${NAME}-rotates`,
        ['POST', `${NAME}/rewrap/${key}`, { ciphertext, context: CONTEXT }],
        ['GET', `${NAME}/keys/${key}`],
        ['POST', `${NAME}/keys/${key}/config`, { min_decryption_version: 1 }],
        ['POST', `${NAME}/decrypt/${key}`, { ciphertext, context: CONTEXT }],
        ['POST', `${NAME}/keys/${key}/config`, { exportable: true }],
        ['POST', `${NAME}/keys/${key}/config`, { deletion_allowed: true }],
        ['DELETE', `${NAME}/keys/${key}`],
      ),
    ).toEqual([200, 200, 200, 403, 403, 403, 403])
  })

  test('lets each into its own role only', async () => {
    expect(await statuses(KEYHOLE, `${NAME}-rotates`)).toBe(403)
    expect(await statuses(ROTATOR, `${NAME}-reads`)).toBe(403)
  })

  test('is told of what was taken from it and what was added, and mends both', async () => {
    const owner = `# Of the keyhole in the namespace ${KEYHOLE.namespace} at auth/${NAME}.\n`
    await expectStatus(vault.call('POST', `/v1/sys/policies/acl/${NAME}-reads`, { policy: owner }))
    await vault.putPolicy('their-own', [{ path: `${NAME}/decrypt/+`, capabilities: ['update'] }])
    await expectStatus(vault.call('POST', `/v1/auth/${NAME}/role/${NAME}-rotates`, { audience: '' }))
    const { exit, stdout } = await said(vaultCheck, token)
    expect(exit).toBe(3)
    expect(stdout).toContain(`lacks  sys/policies/acl/${NAME}-reads: does not give update on ${NAME}/decrypt/${key}\n`)
    expect(stdout).toContain(`wide   auth/${NAME}/role/${NAME}-rotates: takes tokens of any audience\n`)
    expect(stdout).toContain(`note   sys/policies/acl/their-own: whoever has it may decrypt (${NAME}/keys/${key})\n`)
    expect(await said(vaultSetup, token, '--yes')).toMatchObject({ exit: 0 })
    await vault.deletePolicy('their-own')
    expect(await said(vaultCheck, token)).toMatchObject({ exit: 0 })
  })

  test('refuses a token that may do less, and one that Vault does not know', async () => {
    const reads = await vault.createToken({ policies: [`${NAME}-reads`], ttlSeconds: 60, type: 'service' })
    expect(await said(vaultSetup, reads, '--yes')).toMatchObject({
      exit: 4,
      stdout: expect.stringContaining('may not be looked at with this token'),
    })
    expect(await said(vaultCheck, reads)).toMatchObject({ exit: 4 })
    expect(await said(vaultCheck, 'hvs.nobody')).toMatchObject({ exit: 4 })
  })

  test('waits for a Vault that is sealed, with an exit code that says so', async () => {
    await vault.seal()
    try {
      expect(await said(vaultCheck, token)).toMatchObject({
        exit: 2,
        stderr: 'keyhole vault check: Vault is sealed. Unseal it: vault operator unseal.\n',
      })
    } finally {
      await vault.unseal()
    }
  })

  async function vaultEncrypt(): Promise<string> {
    const order = { plaintext: 'YQ==', context: CONTEXT }
    const answer = await expectStatus(
      vault.call<{ data: { ciphertext: string } }>('POST', `/v1/${NAME}/encrypt/${key}`, order),
    )
    return answer.data.ciphertext
  }
})

const CONTEXT = Buffer.from('somewhere').toString('base64')

/** What docs/how-to/set-up-vault.md says that a person needs, for the names of this installation. */
const [, DOCUMENTED = ''] =
  /^The token needs this and no more[^\n]*:\n\n```hcl\n(.*?)^```$/ms.exec(
    readFileSync(join(import.meta.dirname, '../../docs/how-to/set-up-vault.md'), 'utf8'),
  ) ?? []
const ADMINISTRATOR = DOCUMENTED.replaceAll('kubernetes', NAME)
  .replaceAll('transit', NAME)
  .replaceAll('payments', `${NAME}-key`)
  .replaceAll(/(acl|role)\/keyhole-rotate/g, `$1/${NAME}-rotates`)
  .replaceAll(/(acl|role)\/keyhole/g, `$1/${NAME}-reads`)

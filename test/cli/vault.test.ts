/** `keyhole vault setup` and `keyhole vault check`: what is refused, what is told, and with which exit code. */
import { writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { UpstreamError } from '../../src/errors.ts'
import { createAuthority } from '../certificates.ts'
import { startPeer } from '../external/peer.ts'
import { grant, text, transitKey } from '../policy/documents.ts'
import { ADMINS } from '../vault-setup/installation.ts'
import type { VaultWorld } from './vault-world.ts'
import { POLICY, startVaultWorld } from './vault-world.ts'

let world: VaultWorld
beforeEach(async () => {
  world = await startVaultWorld()
})
afterEach(() => world[Symbol.asyncDispose]())

const VERBS = ['setup', 'check'] as const

describe.each(VERBS)('keyhole vault %s refuses, before it asks Vault anything,', (verb) => {
  const refused = async (args: string, environment: Readonly<Record<string, string>> = {}) => {
    const { exit, stdout, stderr } = await world[verb](args, environment)
    expect([exit, stdout, world.model.asked]).toEqual([1, '', []])
    return stderr
  }

  test.each([
    ['--auth-mnt=x', '"--auth-mnt" is no flag of this verb. Did you mean "--auth-mount"?'],
    ['--auth-mount=/x', '--auth-mount must be a path such as transit or teams/transit'],
    ['--auth-mount=a/../b', '--auth-mount must be a path such as transit or teams/transit'],
    ['--read-role=a/b', '--read-role must be 1 to 128 letters'],
    ['--rotate-role=..', '--rotate-role must be 1 to 128 letters'],
    ['--read-role=keyhole?x', '--read-role must be 1 to 128 letters'],
    ['--audience=a,b', '--audience must be one audience'],
    ['--auth-type=a/b', '--auth-type must be 1 to 128 letters'],
    ['--reader=keyhole', '--reader must be NAMESPACE/SERVICEACCOUNT'],
    ['--reads-only --rotator=a/b', '--reads-only and --rotator do not go together.'],
    ['--kubernetes-host=kubernetes', '--kubernetes-host must be https://HOST[:PORT]'],
    ['--kubernetes-host=http://10.0.0.1', '--kubernetes-host must be https:// unless it is on loopback'],
    ['--kubernetes-host=https://k/path', '--kubernetes-host must be https://HOST[:PORT]'],
    ['--kubernetes-ca=ROOT/none', '--kubernetes-ca names a file that cannot be read (ENOENT).'],
    ['--kubernetes-host=https://k --kubernetes-ca=ROOT/policy/keys.yaml', '--kubernetes-ca names a file that holds no'],
    ['--token-reviewer-jwt-file=ROOT/policy/keys.yaml', '--kubernetes-ca and --token-reviewer-jwt-file go with'],
    ['--token-reviewer-jwt-file=ROOT/policy/keys.yaml', '--token-reviewer-jwt-file goes with --kubernetes-ca.'],
    ['--token-reviewer-jwt-file=ROOT/policy/keys.yaml', '--token-reviewer-jwt-file names a file that holds no token.'],
    ['--reader=keyhole/default', '--reader must not be the ServiceAccount default'],
    ['--read-role=same --rotate-role=Same', 'The Vault role same is to read and to rotate'],
    ['--read-role=root', 'A Vault role gives the policy of its own name, and Vault keeps the policy root for itself'],
    [
      '--rotate-role=Default',
      'A Vault role gives the policy of its own name, and Vault keeps the policy default for itself',
    ],
  ])('%s', async (args, complaint) => {
    expect(await refused(args)).toContain(`keyhole vault ${verb}: ${complaint}`)
  })

  test.each([
    [{ VAULT_ADDR: '' }, 'VAULT_ADDR is required'],
    [{ VAULT_ADDR: 'http://vault.example' }, 'VAULT_ADDR must be https:// unless it is on loopback'],
    [{ VAULT_ADDR: 'https://canary@vault' }, 'VAULT_ADDR must be https://HOST[:PORT]'],
    [{ VAULT_SKIP_VERIFY: 'true' }, 'VAULT_SKIP_VERIFY is not read.'],
    [{ VAULT_CACERT: '/nowhere/ca.crt' }, 'VAULT_CACERT names a file that cannot be read (ENOENT).'],
    [{ VAULT_NAMESPACE: '../canary' }, 'VAULT_NAMESPACE must be a path'],
    [{ VAULT_TOKEN: '', HOME: '/nowhere' }, 'There is no token: set VAULT_TOKEN, or log in with: vault login'],
    [{ VAULT_TOKEN: 'a canary\nof two lines' }, 'VAULT_TOKEN: it holds no token.'],
  ])('an environment of %j', async (environment, complaint) => {
    expect(await refused('', environment)).toContain(`keyhole vault ${verb}: ${complaint}`)
  })

  test('a policy with an error, which is told with its place', async () => {
    writeFileSync(world.files.path('policy/more.yaml'), 'kind: SecretGrant\n')
    const stderr = await refused('')
    expect(stderr).toMatch(/\/policy\/more\.yaml:1:1: error: /)
    expect(stderr).toContain(`keyhole vault ${verb}: the policy is refused.\nNothing was asked of Vault.`)
  })

  test('with all that is wrong at once', async () => {
    const stderr = await refused('--audience=a,b --read-role=.', { VAULT_ADDR: '', VAULT_TOKEN: '', HOME: '/nowhere' })
    expect(stderr.match(new RegExp(`^keyhole vault ${verb}: `, 'gm'))).toHaveLength(4)
  })
})

describe.each(VERBS)('keyhole vault %s', (verb) => {
  test('teaches how it is used', async () => {
    const { exit, stdout } = await world[verb]('--help')
    expect(exit).toBe(0)
    expect(stdout).toMatch(new RegExp(`^keyhole vault ${verb} --policy DIR \\[FLAGS\\]\n`))
  })

  test.each([
    [new UpstreamError('vault', 'sealed', 503), 2, 'Vault is sealed. Unseal it: vault operator unseal.'],
    [new UpstreamError('vault', 'unavailable', 502), 2, 'Vault answers 502. See that it runs'],
    [new UpstreamError('vault', 'throttled', 429), 2, 'Vault answers 429.'],
    [new UpstreamError('vault', 'bad-request', 400), 4, 'Vault answers 400. Its log says why.'],
  ])('ends at %s', async (error, wanted, words) => {
    world.model.failures.push({ at: /^read sys\/mounts$/, error })
    const { exit, stdout, stderr } = await world[verb]()
    expect([exit, stdout]).toEqual([wanted, ''])
    expect(stderr).toContain(`keyhole vault ${verb}: ${words}`)
  })

  test('tells of a Vault that is not there', async () => {
    await world.stop()
    const { exit, stderr } = await world[verb]()
    expect([exit, stderr]).toEqual([
      2,
      `keyhole vault ${verb}: no answer from Vault: refused. See that it runs, and that VAULT_ADDR is its origin.\n`,
    ])
  })

  test('tells of a certificate that is not trusted, and why', async () => {
    const authority = createAuthority()
    const other = createAuthority()
    writeFileSync(world.files.path('ca.crt'), other.ca)
    await using peer = await startPeer((reply) => reply.end('{}'), authority.issue())
    const { exit, stderr } = await world[verb]('', { VAULT_ADDR: peer.url, VAULT_CACERT: world.files.path('ca.crt') })
    expect(exit).toBe(2)
    expect(stderr).toContain(
      "Vault's certificate is not trusted. VAULT_CACERT must hold the CA that signed it: another CA",
    )
  })

  test('takes the token of vault login where the environment has none', async () => {
    writeFileSync(world.files.path('.vault-token'), 'hvs.canary-of-an-administrator\n')
    const environment = { VAULT_TOKEN: '', HOME: world.files.directory }
    expect(await world[verb]('', environment)).toMatchObject({ exit: 3, stderr: '' })
  })

  test('tells of a token that Vault refuses', async () => {
    const { exit, stdout } = await world[verb]('', { VAULT_TOKEN: 'hvs.another-canary' })
    expect(exit).toBe(4)
    expect(stdout).toContain('may not be looked at with this token')
  })
})

describe('keyhole vault setup', () => {
  const writes = () => world.model.asked.filter((what) => what.startsWith('write'))

  test('writes nothing before it is told to, and says so with its exit code', async () => {
    const { exit, stdout } = await world.setup()
    expect([exit, writes()]).toEqual([3, []])
    expect(stdout).toBe(`For the 1 Transit key of the policy, in ${world.url}. Nothing is deleted.
  1  transit: no Transit secrets engine is there
       vault secrets enable -path=transit transit
  2  transit/keys/payments: is not there
       vault write transit/keys/payments type=aes256-gcm96 derived=true
  3  sys/policies/acl/keyhole: is not there: update on transit/decrypt/payments
       vault policy write keyhole keyhole.hcl
  4  sys/policies/acl/keyhole-rotate: is not there: update on transit/rewrap/payments; read on transit/keys/payments; update on transit/keys/payments/rotate; update on transit/keys/payments/config for min_decryption_version alone
       vault policy write keyhole-rotate keyhole-rotate.hcl
  5  auth/kubernetes: no auth method is there
       vault auth enable -path=kubernetes kubernetes
  6  auth/kubernetes/config: Vault has not been told which API server to ask about tokens
       vault write auth/kubernetes/config kubernetes_host=https://kubernetes.default.svc
  7  auth/kubernetes/role/keyhole: is not there: for keyhole/keyhole, audience vault
       vault write auth/kubernetes/role/keyhole audience=vault bound_service_account_names=keyhole bound_service_account_namespaces=keyhole token_policies=keyhole token_no_default_policy=true token_type=batch token_ttl=10s
  8  auth/kubernetes/role/keyhole-rotate: is not there: for keyhole/keyhole-rotate, audience vault
       vault write auth/kubernetes/role/keyhole-rotate audience=vault bound_service_account_names=keyhole-rotate bound_service_account_namespaces=keyhole token_policies=keyhole-rotate token_no_default_policy=true token_type=batch token_ttl=10s
Nothing was written yet. To have it done, give the same command with --yes.
`)
    const dry = await world.setup('--dry-run')
    expect([dry.exit, writes(), dry.stdout.includes('--yes')]).toEqual([0, [], false])
  })

  test('is not told to write and not to write', async () => {
    const { exit, stderr } = await world.setup('--yes --dry-run')
    expect([exit, stderr]).toEqual([1, expect.stringContaining('--yes and --dry-run do not go together.')])
  })

  test('writes each with a line of its own, and the second time has nothing to do', async () => {
    const { exit, stdout } = await world.setup('--yes')
    expect([exit, writes().length]).toEqual([0, 8])
    expect(stdout.match(/^writing .*$/gm)).toHaveLength(8)
    expect(stdout).toMatch(
      /\nwriting 8 of 8: auth\/kubernetes\/role\/keyhole-rotate\nVault is as the policy asks for\.\n$/,
    )
    expect(await world.setup('--yes')).toEqual({ exit: 0, stdout: 'Vault is as the policy asks for.\n', stderr: '' })
    expect(writes()).toHaveLength(8)
  })

  test('shows neither the CA nor the token that it gives Vault', async () => {
    writeFileSync(world.files.path('ca.crt'), createAuthority().ca)
    writeFileSync(world.files.path('token'), 'eyJ.canary.x\n')
    const flags = '--kubernetes-host=https://k:6443/ --kubernetes-ca=ROOT/ca.crt --token-reviewer-jwt-file=ROOT/token'
    const { exit, stdout } = await world.setup(`${flags} --yes`)
    expect([exit, stdout.includes('BEGIN')]).toEqual([0, false])
    expect(world.model.state()['auth/kubernetes/config']).toMatchObject({
      kubernetes_host: 'https://k:6443',
      token_reviewer_jwt_set: true,
      disable_local_ca_jwt: true,
    })
    expect(await world.check(flags)).toMatchObject({ exit: 0 })
  })

  test('stops half-way where Vault does, says at what, and goes on from there', async () => {
    world.model.failures.push({ at: /^write sys\/auth/, error: new UpstreamError('vault', 'forbidden', 403) })
    const { exit, stdout, stderr } = await world.setup('--yes')
    expect(exit).toBe(4)
    expect(stdout).toMatch(/\nwriting 5 of 8: auth\/kubernetes\n$/)
    expect(stderr).toContain('Vault refuses this token (403).')
    expect((await world.setup('--yes')).stdout.match(/^writing .*$/gm)).toHaveLength(4)
  })

  test('says what a Vault outside the cluster needs, where it refuses to ask the cluster from within', async () => {
    world.model.failures.push({ at: /^write auth\/.*config$/, error: new UpstreamError('vault', 'bad-request', 400) })
    const { exit, stderr } = await world.setup('--yes')
    expect([exit, stderr]).toEqual([
      4,
      'A Vault that does not run in the cluster needs --kubernetes-host, --kubernetes-ca and --token-reviewer-jwt-file.\n' +
        'keyhole vault setup: Vault answers 400. Its log says why.\n',
    ])
  })

  test("writes nothing at all while one thing may be somebody else's", async () => {
    world.model.put('sys/auth/kubernetes', { type: 'kubernetes' })
    world.model.put('auth/kubernetes/role/keyhole', {
      bound_service_account_names: ['theirs'],
      bound_service_account_namespaces: ['theirs'],
    })
    const { exit, stdout } = await world.setup('--yes')
    expect([exit, writes()]).toEqual([3, []])
    expect(stdout).toMatch(
      /^lacks {2}auth\/kubernetes\/role\/keyhole: does not let keyhole\/keyhole in, or lets in others as well/,
    )
    expect(stdout).toMatch(/\nNothing was written: this has to be settled first\.\n$/)
  })

  test('tells what no write mends, writes the rest, and ends with 3', async () => {
    world.model.put('sys/mounts/transit', { type: 'transit' })
    world.model.put('transit/keys/payments', { derived: true, exportable: true })
    const { exit, stdout } = await world.setup('--yes')
    expect(exit).toBe(3)
    expect(stdout).toMatch(
      /\nwide {3}transit\/keys\/payments: can be exported, which cannot be taken back\. Make another/,
    )
    expect(await world.setup('--yes')).toMatchObject({ exit: 3 })
  })

  test('shows commands that a shell takes as they are meant', async () => {
    const { stdout } = await world.setup("--audience=$(id)'")
    expect(stdout).toContain(String.raw`audience='$(id)'\''' bound_service_account_names=keyhole`)
  })

  test('makes no role and no policy for a rotator that there is not', async () => {
    await world.setup('--reads-only --yes')
    expect(Object.keys(world.model.state()).filter((path) => path.includes('rotate'))).toEqual([])
  })
})

describe('keyhole vault check', () => {
  beforeEach(() => world.setup('--yes'))

  test('has a line for each thing, and a last one that counts', async () => {
    const { exit, stdout } = await world.check()
    expect([exit, stdout]).toEqual([
      0,
      `ok     transit: the Transit secrets engine
ok     transit/keys/payments: aes256-gcm96, derived
ok     sys/policies/acl/keyhole: decrypts, and nothing else
ok     sys/policies/acl/keyhole-rotate: rotates, and nothing else
ok     auth/kubernetes: the Kubernetes auth method
ok     auth/kubernetes/config: asks https://kubernetes.default.svc about tokens
ok     auth/kubernetes/role/keyhole: batch tokens of 10 s at most for keyhole/keyhole, audience vault
ok     auth/kubernetes/role/keyhole-rotate: batch tokens of 10 s at most for keyhole/keyhole-rotate, audience vault
ok     sys/policies/acl: no other policy lets anybody decrypt with these keys, or take leave to
ok     auth/kubernetes/role: no other role gives these policies; other auth methods are not looked at
10 ok, 0 lacking, 0 too wide, 0 to know of, 0 not looked at
`,
    ])
  })

  test('tells what is too wide with the command that mends it, and writes nothing', async () => {
    world.model.put('auth/kubernetes/role/keyhole', { audience: '', token_ttl: 3600 })
    world.model.asked.length = 0
    const { exit, stdout } = await world.check()
    expect(exit).toBe(3)
    expect(stdout).toContain(
      'wide   auth/kubernetes/role/keyhole: takes tokens of any audience; gives tokens of 3600 s\n         vault write auth/kubernetes/role/keyhole audience=vault ',
    )
    expect(world.model.asked.filter((what) => !/^(?:read|list) /.test(what))).toEqual([])
  })

  test('tells who else may decrypt, which is no fault of this installation', async () => {
    world.model.put('sys/policies/acl/python', { policy: 'path "transit/*" { capabilities = ["update"] }' })
    const { exit, stdout } = await world.check()
    expect(exit).toBe(0)
    expect(stdout).toContain(
      'note   sys/policies/acl/python: whoever has it may decrypt, configure it, put another in its place (transit/keys/payments)\n',
    )
  })

  test('says what it could not look at, and that this is not all well', async () => {
    world.model.forbidden.push(/^list sys\/policies\/acl$/)
    const { exit, stdout } = await world.check()
    expect([exit, stdout]).toEqual([4, expect.stringContaining('skip   sys/policies/acl: who else may use the keys')])
  })

  test('is one document as JSON, without what it would write', async () => {
    world.model.put('auth/kubernetes/role/keyhole', { audience: '' })
    const { exit, stdout } = await world.check('--output=json')
    const { type, status, findings } = JSON.parse(stdout)
    expect([exit, type, status]).toEqual([3, 'vault-check', 'fix'])
    expect(findings).toContainEqual({
      status: 'wide',
      about: 'auth/kubernetes/role/keyhole',
      detail: 'takes tokens of any audience',
      command: expect.stringMatching(/^vault write auth\/kubernetes\/role\/keyhole audience=vault /),
    })
  })
})

describe('a policy of many keys', () => {
  test('has every key in the one policy of its role, and roles of their own for those that name them', async () => {
    await using many = await startVaultWorld({
      ...POLICY,
      'policy/more.yaml': text(
        transitKey({}, 'looked-at'),
        transitKey({ mount: 'teams/bi', vaultRoles: { read: 'bi-reads', rotate: 'bi-rotates' }, ...ADMINS }, 'bi'),
        grant(),
      ),
    })
    expect(await many.setup('--yes')).toMatchObject({ exit: 0 })
    const policies = Object.entries(many.model.state())
      .filter(([path]) => path.startsWith('sys/policies/acl/'))
      .map(([path, { policy }]) => [path.slice(17), [...String(policy).matchAll(/^path "(.*)"/gm)].map(([, at]) => at)])
    expect(Object.fromEntries(policies)).toEqual({
      'bi-reads': ['teams/bi/decrypt/bi'],
      'bi-rotates': ['teams/bi/rewrap/bi', 'teams/bi/keys/bi', 'teams/bi/keys/bi/rotate', 'teams/bi/keys/bi/config'],
      keyhole: ['transit/decrypt/looked-at', 'transit/decrypt/payments'],
      'keyhole-rotate': [
        'transit/keys/looked-at',
        'transit/rewrap/payments',
        'transit/keys/payments',
        'transit/keys/payments/rotate',
        'transit/keys/payments/config',
      ],
    })
  })
})

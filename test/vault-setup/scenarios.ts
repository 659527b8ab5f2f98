/** What setting Vault up does, as tests that the model and a real Vault both have to pass. */
import { beforeEach, describe, expect, test } from 'vitest'
import { look } from '../../src/vault-setup/look.ts'
import { othersOf } from '../../src/vault-setup/others.ts'
import { policyText } from '../../src/vault-setup/policy-text.ts'
import type { Fields, VaultAdmin } from '../../src/vault-setup/port.ts'
import { createAuthority } from '../certificates.ts'
import type { Installation } from './installation.ts'
import { about, HOST, installation } from './installation.ts'

const signal = new AbortController().signal
let count = 0

/** @param authType what the Kubernetes auth method is registered as. */
export function scenarios(open: () => VaultAdmin, authType?: string): void {
  let vault: VaultAdmin
  let here: Installation
  beforeEach(() => {
    vault = open()
    count += 1
    here = installation(vault, `setup-${count}`, authType)
  })

  const read = async (path: string): Promise<Fields> => (await vault.read(path, signal)) ?? {}
  const write = (path: string, data: Fields) => vault.write(path, data, signal)
  /** The comment of our policy, which says whose it is. */
  const ownWords = async () =>
    String((await read(here.policy))['policy'])
      .replace(/^[^#].*$/gm, '')
      .replace(/\n+/g, '\n')
  const done = async () => {
    const left = await here.setUp()
    expect([...left.stops, ...left.writes]).toEqual([])
    return left
  }

  describe('a Vault that has nothing', () => {
    test('gets all of it, a role last of all, and the second time there is nothing to write', async () => {
      const { writes, stops } = await here.plan()
      const { name } = here
      expect([writes.map((one) => one.about), stops]).toEqual([
        [
          name,
          `${name}/keys/${name}-key`,
          `sys/policies/acl/${name}-reads`,
          `sys/policies/acl/${name}-rotates`,
          `auth/${name}`,
          `auth/${name}/config`,
          `auth/${name}/role/${name}-reads`,
          `auth/${name}/role/${name}-rotates`,
        ],
        [],
      ])
      const left = await done()
      expect(left.all.map(({ kind }) => kind)).toEqual(Array(8).fill('ok'))
    })

    test('gets a key that is derived and lets nothing out, and a role for one ServiceAccount and one audience', async () => {
      await done()
      expect(await read(here.key)).toMatchObject({
        type: 'aes256-gcm96',
        derived: true,
        exportable: false,
        allow_plaintext_backup: false,
        deletion_allowed: false,
      })
      expect(await read(here.role)).toMatchObject({
        audience: 'vault',
        bound_service_account_names: ['keyhole'],
        bound_service_account_namespaces: ['keyhole'],
        token_policies: [`${here.name}-reads`],
        token_no_default_policy: true,
        token_type: 'batch',
        token_ttl: 10,
      })
      expect((await read(here.policy))['policy']).toContain(`path "${here.name}/decrypt/${here.name}-key"`)
    })

    test('has it made again, each thing alone, where it got lost half-way', async () => {
      const { writes } = await here.plan()
      for (const { write: one } of writes.slice(0, 4)) await write(one.path, one.data)
      const { writes: left } = await here.plan()
      expect(left).toEqual(writes.slice(4))
      await done()
    })
  })

  describe('what is too wide is narrowed', () => {
    beforeEach(() => here.setUp())

    test.each<readonly [title: string, fields: Fields, detail: string]>([
      ['takes tokens of any audience', { audience: '' }, 'takes tokens of any audience'],
      ['lets in every ServiceAccount', { bound_service_account_names: ['*'] }, 'lets in the ServiceAccounts *'],
      ['lets in every namespace', { bound_service_account_namespaces: ['*'] }, 'lets in the namespaces *'],
      [
        'lets in namespaces by their labels',
        { bound_service_account_namespace_selector: '{"matchLabels":{"team":"any"}}' },
        'lets in namespaces by their labels',
      ],
      ['gives the policy default', { token_no_default_policy: false }, 'gives the policy default as well'],
      ['gives tokens of another type', { token_type: 'service' }, 'gives tokens of type service'],
      ['gives tokens of an hour', { token_ttl: 3600 }, 'gives tokens of 3600 s'],
      ['gives tokens without a bound', { token_ttl: 0 }, 'gives tokens that live as long as Vault lets any'],
    ])('a role that %s', async (_title, fields, detail) => {
      const good = await read(here.role)
      await write(here.role, fields)
      const { writes } = await here.plan()
      expect(writes).toEqual([expect.objectContaining({ about: here.role, flaw: 'wide', detail })])
      await done()
      expect(await read(here.role)).toEqual(good)
    })

    test('a role that gives other policies', async () => {
      await write(here.role, { token_policies: [`${here.name}-reads`, 'root-of-all'] })
      expect(about(await here.plan(), here.role)).toMatchObject([
        { flaw: 'wide', detail: 'gives the policies root-of-all as well' },
      ])
      await done()
      expect(await read(here.role)).toMatchObject({ token_policies: [`${here.name}-reads`] })
    })

    test('a policy that gives more', async () => {
      const wide = `${await ownWords()}path "${here.name}/*" { capabilities = ["create", "update"] }`
      await write(here.policy, { policy: wide })
      const decrypt = `${here.name}/decrypt/${here.name}-key`
      expect(about(await here.plan(), here.policy)).toMatchObject([
        {
          flaw: 'wide',
          detail: `does not give update on ${decrypt}; gives create and update on ${here.name}/*, which is not asked for`,
        },
      ])
      await done()
      expect((await read(here.policy))['policy']).not.toContain('*"')
    })

    test('a key that may be deleted', async () => {
      await write(`${here.key}/config`, { deletion_allowed: true })
      expect(about(await here.plan(), here.key)).toMatchObject([{ flaw: 'wide' }])
      await done()
      expect(await read(here.key)).toMatchObject({ deletion_allowed: false })
    })
  })

  describe('what is missing of a thing that is there is given', () => {
    beforeEach(() => here.setUp())

    test('to a role its audience and its policy', async () => {
      await write(here.role, { audience: 'elsewhere' })
      expect(about(await here.plan(), here.role)).toMatchObject([
        { flaw: 'lacks', detail: 'asks for the audience elsewhere, and not vault' },
      ])
      await done()
    })

    test('to a policy the key that was added to the documents', async () => {
      await write(here.policy, { policy: await ownWords() })
      expect(about(await here.plan(), here.policy)).toMatchObject([{ flaw: 'lacks' }])
      await done()
    })

    test('and a policy that says the same in other words is left as it is', async () => {
      const same = `/* by hand */ path "/${here.name}/decrypt/${here.name}-key" { "capabilities" = ["update",], comment = "ours" }`
      await write(here.policy, { policy: same })
      expect((await here.plan()).writes).toEqual([])
    })
  })

  describe("what may be somebody else's is left alone, and so is all the rest", () => {
    const stopped = async (path: string) => {
      const before = await here.plan()
      expect(before.stops.map((one) => one.about)).toEqual([path])
      return before.stops
    }

    test('a role that does not let us in', async () => {
      await here.setUp()
      await write(here.role, { bound_service_account_names: ['somebody'] })
      expect(await stopped(here.role)).toMatchObject([{ flaw: 'lacks' }])
    })

    test('a policy that no role of ours gives', async () => {
      await write(here.policy, { policy: 'path "secret/data/theirs" { capabilities = ["read"] }' })
      expect(await stopped(here.policy)).toMatchObject([{ flaw: 'wide' }])
    })

    test('a policy that no role of ours gives, though it only lacks something', async () => {
      await write(here.policy, { policy: '# theirs, for now\n' })
      expect(await stopped(here.policy)).toMatchObject([{ flaw: 'lacks' }])
    })

    test('a policy of another cluster, which calls its own the same, also where it gives the same', async () => {
      await here.setUp()
      for (const rules of ['', `path "${here.name}/decrypt/${here.name}-key" { capabilities = ["update"] }`]) {
        const words = (await ownWords()).replace(`at auth/${here.name}.`, 'at auth/elsewhere.')
        await write(here.policy, { policy: `${words}${rules}` })
        const [{ detail } = { detail: '' }] = await stopped(here.policy)
        expect(detail).toContain('it says that it is of the keyhole in the namespace keyhole at auth/elsewhere')
        await write(here.policy, { policy: words.replace('elsewhere', here.name) })
      }
    })

    test('a policy of another namespace', async () => {
      await here.setUp()
      await write(here.policy, { policy: (await ownWords()).replace('namespace keyhole', 'namespace other') })
      await stopped(here.policy)
    })

    test('a policy that is not understood', async () => {
      await here.setUp()
      await write(here.policy, { policy: 'path "secret/\\x41" { capabilities = ["read"] }' })
      const [{ detail } = { detail: '' }] = await stopped(here.policy)
      expect(detail).toContain('is written in a way that is not understood here; and it does not say whose it is')
    })

    test('a policy that gives the same, does not say whose it is, and is given by no role of ours', async () => {
      await write(here.policy, {
        policy: `path "${here.name}/decrypt/${here.name}-key" { capabilities = ["update"] }`,
      })
      const [{ detail } = { detail: '' }] = await stopped(here.policy)
      expect(detail).toContain(`no role ${here.name}-reads of auth/${here.name} gives it to keyhole`)
    })

    test('a role that names others beside us, whatever it gives', async () => {
      await here.setUp()
      for (const change of [
        { bound_service_account_names: ['keyhole', 'other'] },
        { bound_service_account_names: ['keyhole'], bound_service_account_namespaces: ['keyhole', 'bi'] },
      ]) {
        await write(here.role, change)
        await stopped(here.role)
      }
    })

    test('a role that lets in everybody, and whose policy is not ours: an application is called so', async () => {
      await write(`sys/auth/${here.name}`, { type: here.wanted.auth.type })
      await write(here.policy, { policy: 'path "secret/data/app" { capabilities = ["read"] }' })
      await write(here.role, {
        bound_service_account_names: ['*'],
        bound_service_account_namespaces: ['*'],
        token_policies: [`${here.name}-reads`],
      })
      const { stops } = await here.plan()
      expect(stops.map((one) => one.about)).toEqual([here.policy, here.role])
    })

    test('the API server of a method that has other roles, or none but those of another cluster that calls them the same', async () => {
      await here.setUp()
      const { stops } = await here.plan(here.wantedWith({ host: 'https://127.0.0.1:7443' }))
      expect(stops).toMatchObject([
        {
          about: here.config,
          fix: expect.stringMatching(/^name another auth method: --auth-mount; or, if it is meant/),
        },
      ])
    })

    test('the CA of a method by which other roles log in', async () => {
      await here.setUp()
      await write(`auth/${here.name}/role/${here.name}-b`, {
        bound_service_account_names: ['b'],
        bound_service_account_namespaces: ['b'],
      })
      const ca = { file: 'other.crt', text: createAuthority().ca }
      const { stops } = await here.plan(here.wantedWith({ host: 'https://127.0.0.1:6443', ca }))
      expect(stops).toMatchObject([
        { about: here.config, detail: 'trusts another CA than other.crt; and other roles log in by it' },
      ])
    })

    test('another secrets engine', async () => {
      await write(`sys/mounts/${here.name}`, { type: 'kv' })
      await stopped(here.name)
    })

    test('another auth method', async () => {
      await write(`sys/auth/${here.name}`, { type: 'approle' })
      await stopped(`auth/${here.name}`)
    })

    test('a key that is not derived', async () => {
      await write(`sys/mounts/${here.name}`, { type: 'transit' })
      await write(here.key, { type: 'aes256-gcm96' })
      expect(await stopped(here.key)).toMatchObject([{ flaw: 'wide' }])
    })

    test('a key without binding that is not there, which would be another one than made the ciphertext', async () => {
      const keys = here.wanted.keys.map((key) => ({ ...key, derived: false }))
      const { stops } = await here.plan({ ...here.wanted, keys })
      expect(stops.map((one) => one.about)).toEqual([here.key])
    })

    test('a derived key that is said to be without binding', async () => {
      await here.setUp()
      const keys = here.wanted.keys.map((key) => ({ ...key, derived: false }))
      const { stops } = await here.plan({ ...here.wanted, keys })
      expect(stops.map((one) => one.about)).toEqual([here.key])
    })
  })

  test('a mount whose values are in the audit log is told', async () => {
    await write(`sys/mounts/${here.name}`, {
      type: 'transit',
      config: { audit_non_hmac_response_keys: ['plaintext'] },
    })
    const left = await done()
    expect(left.remains).toMatchObject([
      { about: here.name, detail: "audit_non_hmac_response_keys put values into Vault's audit log as they are" },
    ])
  })

  test('a key that can be exported and deleted is made to stay, and the rest is told', async () => {
    await write(`sys/mounts/${here.name}`, { type: 'transit' })
    await write(here.key, { type: 'aes256-gcm96', derived: true, exportable: true })
    await write(`${here.key}/config`, { deletion_allowed: true })
    const left = await done()
    expect(await read(here.key)).toMatchObject({ deletion_allowed: false })
    expect(left.remains).toMatchObject([{ about: here.key, detail: 'can be exported, which cannot be taken back' }])
  })

  test('a key that can be exported is told, and stops nothing: no write takes that back', async () => {
    await write(`sys/mounts/${here.name}`, { type: 'transit' })
    await write(here.key, { type: 'aes256-gcm96', derived: true, exportable: true, allow_plaintext_backup: true })
    const left = await done()
    expect(left.remains).toMatchObject([
      {
        about: here.key,
        flaw: 'wide',
        detail: 'can be exported and can be backed up in plaintext, which cannot be taken back',
      },
    ])
  })

  test('a key that was there before is told of, since somebody else may use it', async () => {
    await write(`sys/mounts/${here.name}`, { type: 'transit' })
    await write(here.key, { type: 'aes256-gcm96', derived: true })
    expect((await here.plan()).notes).toMatchObject([{ about: here.key, kind: 'note', detail: 'is there already' }])
    expect((await done()).notes).toEqual([])
  })

  test('an auth method that writes tokens into the audit log is told', async () => {
    const config = { audit_non_hmac_request_keys: ['jwt'] }
    await write(`sys/auth/${here.name}`, { type: here.wanted.auth.type, config })
    expect((await done()).remains).toMatchObject([{ about: `auth/${here.name}`, flaw: 'wide' }])
  })

  describe('the API server that Vault asks', () => {
    test('is the same however it is spelled', async () => {
      await here.setUp()
      expect((await here.plan(here.wantedWith({ host: 'HTTPS://127.0.0.1:6443/' }))).stops).toEqual([])
    })

    test('stays what it is where nobody names another', async () => {
      await write(`sys/auth/${here.name}`, { type: here.wanted.auth.type })
      await write(here.config, { ...HOST, issuer: 'https://issuer' })
      const left = await here.setUp(here.wantedWith())
      expect([...left.stops, ...left.writes]).toEqual([])
      expect(await read(here.config)).toMatchObject({ ...HOST, issuer: 'https://issuer' })
    })

    test('becomes another, and what was not named stays', async () => {
      const { ca } = createAuthority()
      await write(`sys/auth/${here.name}`, { type: here.wanted.auth.type })
      await write(here.config, { ...HOST, kubernetes_ca_cert: ca, issuer: 'https://issuer' })
      const wanted = here.wantedWith({ host: 'https://127.0.0.1:7443' })
      expect(about(await here.plan(wanted), here.config)).toMatchObject([
        {
          write: {
            command: `vault write ${here.config} kubernetes_host=https://127.0.0.1:7443 disable_local_ca_jwt=true kubernetes_ca_cert=<as it is> issuer=<as it is>`,
          },
        },
      ])
      const left = await here.setUp(wanted)
      expect([...left.stops, ...left.writes]).toEqual([])
      expect(await read(here.config)).toMatchObject({
        kubernetes_host: 'https://127.0.0.1:7443',
        kubernetes_ca_cert: ca,
        issuer: 'https://issuer',
        disable_local_ca_jwt: true,
      })
    })

    test('is not changed where that would lose the token it is asked with', async () => {
      await write(`sys/auth/${here.name}`, { type: here.wanted.auth.type })
      await write(here.config, { ...HOST, token_reviewer_jwt: 'canary' })
      const { stops } = await here.plan(here.wantedWith({ host: 'https://127.0.0.1:7443' }))
      expect(stops.map((one) => one.about)).toEqual([here.config])
    })

    test('gets a CA and a token, which no finding shows', async () => {
      const { ca } = createAuthority()
      const wanted = here.wantedWith({
        host: 'https://127.0.0.1:7443',
        ca: { file: 'kubernetes-ca.crt', text: ca },
        reviewerTokenFile: 'my reviewer.token',
      })
      expect(JSON.stringify(await here.plan(wanted))).not.toContain('canary')
      expect(about(await here.plan(wanted), here.config)).toMatchObject([
        {
          write: {
            command: `vault write ${here.config} kubernetes_host=https://127.0.0.1:7443 kubernetes_ca_cert=@kubernetes-ca.crt token_reviewer_jwt=@'my reviewer.token' disable_local_ca_jwt=true`,
          },
        },
      ])
      const left = await here.setUp(wanted)
      expect([...left.stops, ...left.writes]).toEqual([])
      expect(await read(here.config)).toMatchObject({ token_reviewer_jwt_set: true, disable_local_ca_jwt: true })
      // Whether it is the same one, nobody can tell.
      expect(about(await here.plan(wanted), here.config)).toMatchObject([{ flaw: 'lacks' }])
    })
  })

  test('who else may decrypt is told, and a role that gives our policies', async () => {
    await here.setUp()
    const decrypt = `${here.name}/decrypt/${here.name}-key`
    const other = `${here.name}-other`
    await write(`sys/policies/acl/${other}`, { policy: `path "${decrypt}" { capabilities = ["update"] }` })
    await write(`auth/${here.name}/role/${other}`, {
      audience: 'vault',
      bound_service_account_names: ['other'],
      bound_service_account_namespaces: ['bi'],
      token_policies: [`${here.name}-reads`],
    })
    const found = await look(here.wanted, { vault, signal, progress() {} })
    const ours = othersOf(here.wanted, found).filter((finding) => finding.about.endsWith(other))
    expect(ours).toMatchObject([
      { kind: 'note', about: `sys/policies/acl/${other}`, detail: `whoever has it may decrypt (${here.key})` },
      {
        kind: 'note',
        about: `auth/${here.name}/role/${other}`,
        detail: `gives the policy ${here.name}-reads as well`,
      },
    ])
    expect(here.wanted.roles.map((role) => policyText(role, here.name)).join('')).toContain(decrypt)
  })
}

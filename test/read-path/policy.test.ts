/** What can be wrong with a policy, at the start and while it serves: who loses what, and what stays. */
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { DECRYPT, hold, REVIEWS } from './faults.ts'
import type { Refusal, World } from './world.ts'
import { POLICY, startWorld, until } from './world.ts'

const NOT_GRANTED: Refusal = { status: 403, code: 'NOT_GRANTED' }
const UNUSABLE: Refusal = { status: 422, code: 'KEY_UNUSABLE' }

function grant(name: string, spec: string): string {
  return `apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: ${name}, namespace: payments }
spec: ${spec}
`
}

const GOOD =
  '{ secretRef: { name: payments-db, key: secrets.json }, transitKey: payments, readers: [{ serviceAccount: api, keys: [PGHOST] }] }'

/** The policy with another file in it. */
const withFile = (text: string): Record<string, string> => ({ ...POLICY, 'extra.yaml': text })

const problems = ({ keyhole }: World): string[] => keyhole.logLines.filter((line) => line.includes('policy problem'))

describe('at the start', () => {
  test('an empty policy directory grants nothing to anybody, and keyhole serves that', async () => {
    await using world = await startWorld({ policy: {} })
    world.refused(await world.ask('/secrets/db'), { ...NOT_GRANTED, why: 'no-such-grant' })
    expect((await world.ask('/secrets')).text).toBe('{"secrets":[]}')
    await world.keyhole.writePolicy(POLICY)
    world.served(await world.ask('/secrets/db'))
  })

  test.each<readonly [string, string, says: RegExp]>([
    ['is no YAML', grant('extra', '{ readers: ['), /extra\.yaml:\d+:\d+/],
    ['is a list', '- 1\n- 2\n', /extra\.yaml:\d+:\d+/],
    [
      'is of a kind that is none',
      grant('extra', GOOD).replace('SecretGrant', 'SecretGrants'),
      /extra\.yaml:2:.*SecretGrant/,
    ],
    ['is of an API that is none', grant('extra', GOOD).replace('v1alpha1', 'v9'), /extra\.yaml:1:.*v1alpha1/],
    ['has a field that is none', grant('extra', GOOD.replace('readers', 'reader')), /extra\.yaml:4:.*readers/],
    ['has a number for a name', grant('7', GOOD), /extra\.yaml:3:/],
    [
      'has readers that are no list',
      grant('extra', GOOD.replace('[{ serviceAccount: api, keys: [PGHOST] }]', 'api')),
      /extra\.yaml:4:/,
    ],
    ['grants all keys by a word', grant('extra', GOOD.replace('[PGHOST]', "'*'")), /extra\.yaml:4:/],
    ['grants to a pattern', grant('extra', GOOD.replace('api', "'*'")), /extra\.yaml:4:/],
    [
      'grants until a day that is none',
      grant('extra', GOOD.replace('keys: [PGHOST]', 'keys: [PGHOST], until: tomorrow')),
      /extra\.yaml:4:/,
    ],
    [
      "names another namespace's Secret",
      grant('extra', GOOD.replace('{ name: payments-db', '{ namespace: bi, name: bi-books')),
      /extra\.yaml:4:.*namespace/,
    ],
    [
      "names another namespace's Secret in its name",
      grant('extra', GOOD.replace('payments-db', 'bi/bi-books')),
      /extra\.yaml:4:/,
    ],
    [
      'climbs out of its namespace',
      grant('extra', GOOD.replace('payments-db', '"../../bi/secrets/bi-books"')),
      /extra\.yaml:4:/,
    ],
    ['names a data key that is none', grant('extra', GOOD.replace('secrets.json', '"a/b"')), /extra\.yaml:4:/],
    [
      'holds a key twice',
      grant('extra', GOOD.replace('transitKey: payments', 'transitKey: payments, transitKey: spare')),
      /extra\.yaml:4:/,
    ],
    [
      'is a million aliases',
      `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefghi'
        .split('')
        .map((name, at) => `${name}: &${name} [${Array(9).fill(`*${'abcdefgh'[at]}`).join()}]`)
        .join('\n')}\n`,
      /extra\.yaml:/,
    ],
  ])('a document that %s is told with its place, and takes nothing from the others', async (_title, text, says) => {
    await using world = await startWorld({ policy: withFile(text) })
    expect(problems(world).join('\n')).toMatch(says)
    world.refused(await world.ask('/secrets/extra'), { ...NOT_GRANTED, why: 'no-such-grant' })
    world.served(await world.ask('/secrets/db'))
    await world.bystander()
  })

  test('two grants of one name grant neither: which of them was meant cannot be told', async () => {
    await using world = await startWorld({ policy: withFile(grant('db', GOOD)) })
    expect(problems(world).join('\n')).toMatch(/SecretGrant payments\/db/)
    world.refused(await world.ask('/secrets/db'), { ...NOT_GRANTED, why: 'no-such-grant' })
    await world.bystander()
  })

  test('the same grant twice, word for word, is told and grants nothing', async () => {
    const twice = grant('extra', GOOD)
    await using world = await startWorld({ policy: { ...withFile(twice), 'again.yaml': twice } })
    expect(problems(world).join('\n')).toMatch(/SecretGrant payments\/extra/)
    world.refused(await world.ask('/secrets/extra'), { ...NOT_GRANTED, why: 'no-such-grant' })
  })
})

describe('a grant whose Transit key does not admit it', () => {
  const keyFor = (namespaces: string) => `apiVersion: keyhole.dev/v1alpha1
kind: TransitKey
metadata: { name: other }
spec: { namespaces: [${namespaces}] }
`
  const others = GOOD.replace('transitKey: payments', 'transitKey: other')

  test.each<readonly [string, string, why: string]>([
    ['is not open to its namespace', keyFor('bi'), 'namespace-not-allowed'],
    ['is open to a namespace of nearly that name', keyFor('payments-2'), 'namespace-not-allowed'],
    ['is not defined', '', 'transit-key-undefined'],
  ])('because it %s is KEY_UNUSABLE to its readers and nothing to strangers', async (_title, key, why) => {
    await using world = await startWorld({ policy: withFile(`${key}---\n${grant('extra', others)}`) })
    world.calls.length = 0
    world.refused(await world.ask('/secrets/extra'), { ...UNUSABLE, why })
    const stranger = await world.ask('/secrets/extra.payments', { as: 'stranger' })
    const nothing = await world.ask('/secrets/nothing.payments', { as: 'stranger' })
    world.refused(stranger, { ...NOT_GRANTED, by: 'stranger' })
    expect(stranger.text).toBe(nothing.text)
    expect(new Set(world.calls), 'nothing but reviews').toEqual(new Set([`POST ${REVIEWS}`]))
    world.refused(await world.ask('/secrets/extra?key=PGPORT'), { ...NOT_GRANTED, why: 'key-not-granted' })
    await world.bystander()
  })

  test('serves once the key does', async () => {
    await using world = await startWorld({ policy: withFile(grant('extra', others)) })
    world.refused(await world.ask('/secrets/extra'), UNUSABLE)
    world.vault.transit().putKey('other', { derived: true })
    world.vault.putPolicy('keyhole-read', [{ path: 'transit/decrypt/*', capabilities: ['update'] }])
    await world.keyhole.writePolicy(withFile(`${keyFor('payments')}---\n${grant('extra', others)}`))
    world.upstream.put('payments-db', 'secrets.json', '{"PGHOST":"canary-pghost-5d0c2a"}', { transitKey: 'other' })
    expect((await world.ask('/secrets/extra')).status).toBe(200)
  })
})

describe('a key that binds to no place', () => {
  const loose = (more = '') => `apiVersion: keyhole.dev/v1alpha1
kind: TransitKey
metadata: { name: loose }
spec: { namespaces: [payments], binding: none${more} }
`
  const first = grant('first', GOOD.replace('transitKey: payments', 'transitKey: loose'))
  const second = first.replace('name: first', 'name: second').replace('payments-db', 'payments-tls')
  const PLAIN = '{"PGHOST":"canary-pghost-5d0c2a"}'

  async function startLoose(derived: boolean, ...documents: readonly string[]): Promise<World> {
    const world = await startWorld({ policy: withFile(documents.join('---\n')), unproven: true })
    world.vault.transit().putKey('loose', { derived })
    world.vault.putPolicy('keyhole-read', [{ path: 'transit/decrypt/*', capabilities: ['update'] }])
    world.upstream.put('payments-db', 'secrets.json', PLAIN, { transitKey: 'loose' })
    return world
  }

  test('serves ciphertext of the Python library, of one Secret', async () => {
    await using world = await startLoose(false, loose(), first)
    expect((await world.ask('/secrets/first')).text).toContain('"PGHOST":')
  })

  test('serves nothing as soon as two Secrets name it: what is pasted from one would open in the other', async () => {
    await using world = await startLoose(false, loose(), first, second)
    for (const name of ['first', 'second']) {
      world.refused(await world.ask(`/secrets/${name}`), { ...UNUSABLE, why: 'transplant' })
    }
    await world.keyhole.writePolicy(withFile(`${loose()}---\n${first}`))
    expect((await world.ask('/secrets/first')).status).toBe(200)
  })

  test('serves two Secrets where the platform says that it may', async () => {
    await using world = await startLoose(false, loose(', allowTransplant: true'), first, second)
    expect((await world.ask('/secrets/first')).status).toBe(200)
  })

  test('is KEY_UNUSABLE where Vault says that it is derived after all', async () => {
    await using world = await startLoose(true, loose(), first)
    const reply = await world.ask('/secrets/first')
    world.refused(reply, { ...UNUSABLE, why: 'vault-context-missing' })
    expect(world.keyhole.logLines.find((line) => line.includes(reply.requestId))).toContain('binding: place')
  })
})

describe('while it serves', () => {
  const BROKEN = (POLICY['payments.yaml'] ?? '').replace('kind: SecretGrant', 'kind: SecretGrunt')

  test('a document that breaks keeps its last good version, and mended grants what it says then', async () => {
    await using world = await startWorld()
    await world.keyhole.writePolicy({ ...POLICY, 'payments.yaml': BROKEN })
    expect(problems(world).join('\n')).toMatch(/SecretGrant/)
    world.served(await world.ask('/secrets/db'))
    await world.bystander()
    const mended = (POLICY['payments.yaml'] ?? '').replace(
      'keys: [PGHOST, PGPORT, PGUSER, PGPASSWORD, LEDGER_ID]',
      'keys: [PGHOST]',
    )
    await world.keyhole.writePolicy({ ...POLICY, 'payments.yaml': mended })
    world.refused(await world.ask('/secrets/db?key=PGPASSWORD'), { ...NOT_GRANTED, why: 'key-not-granted' })
    expect((await world.ask('/secrets/db')).text).toBe(
      '{"name":"db","data":{"PGHOST":"canary-pghost-5d0c2a"},"missing":[]}',
    )
  })

  test('a grant that is removed is gone with the next look, also for whom was served a moment ago', async () => {
    await using world = await startWorld()
    const token = world.tokenOf('api')
    const first = await world.ask('/secrets/db', { token })
    world.served(first)
    await world.keyhole.writePolicy({ ...POLICY, 'payments.yaml': '' })
    world.calls.length = 0
    world.refused(await world.ask('/secrets/db', { token }), { ...NOT_GRANTED, why: 'no-such-grant' })
    const headers = { 'if-none-match': first.headers['etag'] ?? '' }
    world.refused(await world.ask('/secrets/db', { token, headers }), NOT_GRANTED)
    // Only the Transit keys are asked about anew.
    const forCallers = world.calls.filter((call) => /tokenreviews|secrets/.test(call))
    expect(forCallers, 'the review is remembered, the right is not').toEqual([])
    await world.bystander()
  })

  test('a grant that is removed while the token is reviewed is not given any more', async () => {
    await using world = await startWorld()
    const held = hold(world.kubernetes, { path: REVIEWS })
    const reply = world.ask('/secrets/db')
    await held.arrived
    await world.keyhole.writePolicy({ 'bystander.yaml': POLICY['bystander.yaml'] ?? '' })
    held.release()
    world.refused(await reply, { ...NOT_GRANTED, why: 'no-such-grant' })
  })

  test('one answer is under one policy: a decision that is made stands until its answer has left', async () => {
    await using world = await startWorld()
    const hash = world.keyhole.serving.wired.policy.current().hash
    const held = hold(world.vault, { path: DECRYPT })
    const asking = world.ask('/secrets/db')
    await held.arrived
    await world.keyhole.writePolicy({ 'bystander.yaml': POLICY['bystander.yaml'] ?? '' })
    held.release()
    const reply = await asking
    expect(reply.status).toBe(200)
    expect(world.records().find((record) => record['requestId'] === reply.requestId)?.['policyHash']).toBe(hash)
    world.refused(await world.ask('/secrets/db'), NOT_GRANTED)
  })

  test('the kubelet swaps the directory: the new policy is found without being told of it', async () => {
    await using world = await startWorld()
    const policy = join(world.keyhole.directory, 'policy')
    await mkdir(join(policy, '..new'))
    for (const [name, text] of Object.entries({ ...POLICY, 'payments.yaml': '' })) {
      await writeFile(join(policy, '..new', name), text)
    }
    await symlink('..new', join(policy, '..data_tmp'))
    await rename(join(policy, '..data_tmp'), join(policy, '..data'))
    const before = world.keyhole.serving.wired.policy.current().hash
    await world.clock.advance(10_000)
    // The disk takes its own time; more of ours would only end keyhole's tokens.
    await until(() => world.keyhole.serving.wired.policy.current().hash !== before)
    world.refused(await world.ask('/secrets/db'), NOT_GRANTED)
    await world.bystander()
  })

  test.each<readonly [string, (policy: string) => Promise<void>]>([
    [
      'a directory swapped half-way, its link leading nowhere',
      async (policy) => {
        await symlink('..gone', join(policy, '..data_tmp'))
        await rename(join(policy, '..data_tmp'), join(policy, '..data'))
      },
    ],
    ['a directory that is gone', (policy) => rm(policy, { recursive: true })],
    [
      'a directory that is a file now',
      async (policy) => {
        await rm(policy, { recursive: true })
        await writeFile(policy, '')
      },
    ],
    [
      'a link that leads to itself',
      async (policy) => {
        await rm(policy, { recursive: true })
        await symlink('policy', policy)
      },
    ],
  ])('%s takes nothing from anybody, and is said', async (_title, ruin) => {
    await using world = await startWorld()
    const hash = world.keyhole.serving.wired.policy.current().hash
    await ruin(join(world.keyhole.directory, 'policy'))
    await world.keyhole.serving.wired.policy.recheck()
    expect(world.keyhole.serving.wired.policy.current().hash).toBe(hash)
    expect(problems(world)).not.toEqual([])
    world.served(await world.ask('/secrets/db'))
    await world.bystander()
    await rm(join(world.keyhole.directory, 'policy'), { recursive: true, force: true })
    await world.keyhole.writePolicy(POLICY)
    expect(world.keyhole.serving.wired.policy.problems()).toEqual([])
  })

  test('every change is a record, with both hashes and what changed', async () => {
    await using world = await startWorld()
    const from = world.keyhole.serving.wired.policy.current().hash
    await world.keyhole.writePolicy({ ...POLICY, 'extra.yaml': grant('extra', GOOD) })
    await until(() => world.records().at(-1)?.['kind'] === 'policy')
    expect(world.records().at(-1)).toMatchObject({
      from,
      to: world.keyhole.serving.wired.policy.current().hash,
      documents: ['SecretGrant payments/extra'],
      problems: 0,
    })
  })
})

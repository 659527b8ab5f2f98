/** The rights that a policy asks for: what is refused, and what a file, a check and a diff then are. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { SAMPLE_POLICY } from '../../src/testing/sample.ts'
import { grant, text, transitKey } from '../policy/documents.ts'
import type { Generated } from './manifests-world.ts'
import { filesOf, generate, objectsIn } from './manifests-world.ts'

const ADMINS = { rotation: { admins: [{ namespace: 'keyhole', serviceAccount: 'keyhole-cron' }] } }
const GOOD = { 'policy/p.yaml': text(transitKey(ADMINS), grant()) }

async function from(files: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Generated> {
  using made = filesOf(files)
  return await generate('--policy', made.path('policy'), ...args)
}

describe('the command line is refused', () => {
  test.each([
    ['', '--policy is required: the directory of the policy documents.'],
    ['--polcy=x', '"--polcy" is no flag of this verb. Did you mean "--policy"?'],
    ['policy', '"policy" is not expected: this verb takes flags only.'],
    ['--policy', '--policy needs a value: --policy DIR.'],
    ['--policy=p --reader=keyhole', '--reader must be NAMESPACE/SERVICEACCOUNT, e.g. keyhole/keyhole.'],
    ['--policy=p --reader=a/b/c', '--reader must be NAMESPACE/SERVICEACCOUNT, e.g. keyhole/keyhole.'],
    ['--policy=p --reader=a/b..c', '--reader must be NAMESPACE/SERVICEACCOUNT, e.g. keyhole/keyhole.'],
    ['--policy=p --reader=a.b/c', '--reader must be NAMESPACE/SERVICEACCOUNT, e.g. keyhole/keyhole.'],
    ['--policy=p --rotator=A/b', '--rotator must be NAMESPACE/SERVICEACCOUNT, e.g. keyhole/keyhole.'],
    ['--policy=p --rotator=*/*', '--rotator must be NAMESPACE/SERVICEACCOUNT, e.g. keyhole/keyhole.'],
    ['--policy=p --reads-only --rotator=a/b', '--reads-only and --rotator do not go together.'],
    ['--policy=p --write=f --check=f', '--write and --check do not go together.'],
    ['--policy=p --policy=q', '--policy is given twice.'],
  ])('%s', async (args, complaint) => {
    const { exit, stdout, stderr } = await generate(...args.split(' ').filter((arg) => arg !== ''))
    expect([exit, stdout]).toEqual([1, ''])
    expect(stderr).toContain(`keyhole manifests rbac: ${complaint}\n`)
    expect(stderr).toContain('Nothing was written.')
  })

  test('with every complaint at once', async () => {
    const { stderr } = await generate('--reader=x', '--rotator=y', '--write')
    expect(stderr.match(/^keyhole manifests rbac: /gm)).toHaveLength(4)
  })
})

describe('a policy is refused', () => {
  const broken =
    'apiVersion: keyhole.dev/v1alpha1\nkind: SecretGrant\nmetadata: { name: db, namespace: payments }\nspec: {}\n'

  test.each([
    ['with an error, told with file, line and column', { 'policy/p.yaml': broken }, /\/policy\/p\.yaml:4:7: error: /],
    ['that is not YAML', { 'policy/p.yaml': 'a: [' }, /p\.yaml:\d+:\d+: error: /],
    ['with a document twice', { 'policy/p.yaml': text(grant(), grant(), transitKey()) }, /p\.yaml:1:1: error: /],
    [
      'with a document in a directory that is not its own',
      { 'policy/b/p.yaml': text(grant()) },
      /b\/p\.yaml:1:1: error: /,
    ],
    ['with a directory that is no namespace', { 'policy/B/p.yaml': text(grant()) }, /\/policy\/B:1:1: error: /],
    [
      'with a pattern in place of a name',
      { 'policy/p.yaml': text(grant({ secretRef: { name: '*', key: 'k' } })) },
      /Patterns are not taken/,
    ],
    ['that is empty: a wrong directory would take all rights away', {}, /No document is in force/],
    ['of files that nobody reads', { 'policy/p.txt': text(grant()) }, /must end in \.yaml/],
  ] as const)('%s', async (_title, files, complaint) => {
    const { exit, stdout, stderr } = await from({ ...files })
    expect([exit, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(complaint)
    expect(stderr).toMatch(
      /keyhole manifests rbac: the policy is refused\.\nNothing was written\. keyhole manifests rbac --help tells more\.\n$/,
    )
  })

  test('whole, where one of its documents is good', async () => {
    const { exit, stdout } = await from({ ...GOOD, 'policy/q.yaml': broken })
    expect([exit, stdout]).toEqual([1, ''])
  })

  test('that is not there, together with what is wrong with the flags', async () => {
    const { exit, stderr } = await generate('--policy=/nowhere', '--writ=x')
    expect(exit).toBe(1)
    expect(stderr.split('\n')).toEqual([
      'keyhole manifests rbac: "--writ" is no flag of this verb. Did you mean "--write"?',
      expect.stringMatching(/^keyhole manifests rbac: The policy directory \/nowhere does not exist\./),
      'Nothing was written. keyhole manifests rbac --help tells more.',
      '',
    ])
  })

  test('with --write, which leaves the file as it was', async () => {
    using files = filesOf({ 'policy/p.yaml': broken, 'rbac.yaml': 'as it was\n' })
    expect((await generate('--policy', files.path('policy'), '--write', files.path('rbac.yaml'))).exit).toBe(1)
    expect(readFileSync(files.path('rbac.yaml'), 'utf8')).toBe('as it was\n')
  })
})

describe('a policy with a warning', () => {
  test('is told of it, and gets no rights for what it is about', async () => {
    const unserved = grant({ transitKey: 'paymetns', secretRef: { name: 'unserved', key: 'k' } }, 'other')
    const { exit, stdout, stderr } = await from({ 'policy/p.yaml': text(transitKey(ADMINS), grant(), unserved) })
    expect(exit).toBe(0)
    expect(stderr).toMatch(/p\.yaml:5:\d+: warning: SecretGrant payments\/other: There is no TransitKey "paymetns"/)
    expect(stdout).toContain('payments-db')
    expect(stdout).not.toContain('unserved')
  })
})

describe('what is written', () => {
  test('is this for the sample, and the same each time', async () => {
    using files = filesOf(Object.fromEntries(Object.entries(SAMPLE_POLICY).map(([name, of]) => [`policy/${name}`, of])))
    const { exit, stdout, stderr } = await generate('--policy', files.path('policy'))
    expect([exit, stderr]).toEqual([0, ''])
    expect(stdout.replace(files.directory, '.')).toBe(SAMPLE_RBAC)
    expect((await generate('--policy', files.path('policy'))).stdout).toBe(stdout)
  })

  test('binds whom it is told to', async () => {
    const { stdout } = await from(GOOD, '--reader=a/b', '--rotator=c/d.e')
    const bound = objectsIn(stdout).flatMap((object) => (object.kind === 'RoleBinding' ? object.subjects : []))
    expect(bound).toEqual([
      { kind: 'ServiceAccount', namespace: 'a', name: 'b' },
      { kind: 'ServiceAccount', namespace: 'c', name: 'd.e' },
    ])
    expect(stdout).toContain('--reader=a/b --rotator=c/d.e\n')
  })

  test('has nothing for a rotator where there is none', async () => {
    const { stdout } = await from(GOOD, '--reads-only')
    expect(objectsIn(stdout).map(({ metadata }) => metadata.name)).toEqual(['keyhole', 'keyhole'])
    expect(stdout).toContain('--reads-only\n')
  })

  test('is no object at all where a policy has no grant yet', async () => {
    const { exit, stdout } = await from({ 'policy/p.yaml': text(transitKey(ADMINS)) })
    expect([exit, objectsIn(stdout)]).toEqual([0, []])
  })

  test('lets a rotator get, and not patch, what nobody may rotate', async () => {
    const free = grant({ transitKey: 'free', secretRef: { name: 'free', key: 'k' } }, 'free')
    const { stdout } = await from({ 'policy/p.yaml': text(transitKey(ADMINS), transitKey({}, 'free'), grant(), free) })
    const role = objectsIn(stdout).find(({ kind, metadata }) => kind === 'Role' && metadata.name === 'keyhole-rotate')
    expect(role).toMatchObject({
      rules: [
        { resourceNames: ['payments-db'], verbs: ['get', 'patch'] },
        { resourceNames: ['free'], verbs: ['get'] },
      ],
    })
  })

  test('takes the grants of subdirectories as keyhole does', async () => {
    const { stdout } = await from({
      'policy/p.yaml': text(transitKey(ADMINS)),
      'policy/payments/g.yaml': text(grant()),
    })
    expect(stdout).toContain('      - payments-db\n')
  })

  test.each(['1', '1e3', '0x1f', '2026-01-01', '0o7', 'y', 'no', 'on', 'true', 'null', 'a', '1.5'])(
    'keeps a Secret that is called %s a name',
    async (name) => {
      const { stdout } = await from({ 'policy/p.yaml': text(transitKey(), grant({ secretRef: { name, key: 'k' } })) })
      for (const version of ['1.1', '1.2'] as const) {
        expect(objectsIn(stdout, version)[0]).toMatchObject({ rules: [{ resourceNames: [name] }] })
      }
    },
  )

  test('is one line more for one grant more', async () => {
    const more = grant({ secretRef: { name: 'payments-mail', key: 'k' } }, 'mail')
    const before = (await from(GOOD, '--reads-only')).stdout.split('\n').slice(2)
    const after = (await from({ 'policy/p.yaml': text(transitKey(ADMINS), grant(), more) }, '--reads-only')).stdout
    const added = after
      .split('\n')
      .slice(2)
      .filter((line) => !before.includes(line))
    expect(added).toEqual(['      - payments-mail'])
  })
})

describe('--write', () => {
  test('makes the file, and leaves nothing beside it', async () => {
    using files = filesOf(GOOD)
    const { exit, stdout, stderr } = await generate(
      '--policy',
      files.path('policy'),
      '--write',
      files.path('rbac.yaml'),
    )
    expect([exit, stdout, stderr]).toEqual([0, '', ''])
    expect(objectsIn(readFileSync(files.path('rbac.yaml'), 'utf8'))).toHaveLength(4)
    expect(readdirSync(files.directory).toSorted()).toEqual(['policy', 'rbac.yaml'])
  })

  test('says why it cannot', async () => {
    using files = filesOf(GOOD)
    const wanted = files.path('nowhere/rbac.yaml')
    const { exit, stderr } = await generate('--policy', files.path('policy'), '--write', wanted)
    expect([exit, stderr]).toEqual([1, `keyhole manifests rbac: ${wanted} cannot be written (ENOENT).\n`])
    const { exit: onto } = await generate('--policy', files.path('policy'), '--write', files.path('policy'))
    expect(onto).toBe(1)
    expect(existsSync(`${files.path('policy')}.new`)).toBe(false)
  })

  test('tells by which command, and no name of a directory ends that line', async () => {
    using files = filesOf({ "po li'cy\n# x/p.yaml": text(transitKey(), grant()) })
    const { exit, stdout } = await generate('--policy', files.path("po li'cy\n# x"))
    expect(exit).toBe(0)
    expect(stdout.split('\n')[1]).toMatch(/--policy='.*po li'\\''cy\\u000a# x'$/)
    expect(stdout.split('\n')[2]).toBe('---')
  })
})

describe('--check', () => {
  async function checked(change: (good: string) => string, files = GOOD): Promise<Generated> {
    using made = filesOf(files)
    const good = (await generate('--policy', made.path('policy'))).stdout
    writeFileSync(made.path('rbac.yaml'), change(good))
    const result = await generate('--policy', made.path('policy'), '--check', made.path('rbac.yaml'))
    expect(result.stdout).toBe('')
    expect(readFileSync(made.path('rbac.yaml'), 'utf8')).toBe(change(good))
    return { ...result, stderr: result.stderr.replaceAll(made.directory, '.') }
  }

  test.each([
    [
      'a Secret that is not named',
      (good: string) => good.replace('payments-db', 'payments-dc'),
      [
        'Role payments/keyhole does not name payments-db for get.',
        'Role payments/keyhole names "payments-dc" for get, which is not asked for.',
      ],
    ],
    [
      'a Secret too many',
      (good: string) => good.replace('      - payments-db', '      - payments-db\n      - root'),
      ['Role payments/keyhole names "root" for get, which is not asked for.'],
    ],
    [
      'a verb too many',
      (good: string) => good.replace('[get]', '[get, list]'),
      ['Role payments/keyhole does not name payments-db for get.'],
    ],
    [
      'a rule too many',
      (good: string) => good.replace('rules:', 'rules:\n  - { apiGroups: [""], resources: [secrets], verbs: [list] }'),
      ['Role payments/keyhole is not as it is asked for.'],
    ],
    [
      'rules that are none',
      (good: string) => good.replace('rules:', 'rules: 1\nx:'),
      ['Role payments/keyhole does not name payments-db for get.'],
    ],
    [
      'another subject',
      (good: string) => good.replace('    name: keyhole\n---', '    name: mallory\n---'),
      ['RoleBinding payments/keyhole does not bind what is asked for.'],
    ],
    [
      'a label that is gone',
      (good: string) => good.replace('    app.kubernetes.io/managed-by: keyhole-manifests\n', ''),
      ['Role payments/keyhole is not as it is asked for.'],
    ],
    [
      'an object that is missing',
      (good: string) => good.slice(0, good.lastIndexOf('---')),
      ['RoleBinding payments/keyhole-rotate is missing.'],
    ],
    [
      'an object twice',
      (good: string) => good + good.slice(good.lastIndexOf('---')),
      ['RoleBinding payments/keyhole-rotate is there 2 times.'],
    ],
    [
      'an object of a namespace that has no grant',
      (good: string) => good + good.slice(good.lastIndexOf('---')).replaceAll('payments', 'bi'),
      ['RoleBinding bi/keyhole-rotate is not asked for.'],
    ],
    [
      'something else',
      () => 'kind: Secret\n---\nmetadata: [x]\n',
      ['Secret ?/? is not asked for.', '? ?/? is not asked for.'],
    ],
    ['no YAML', () => 'a: [', ['It is not YAML (line 1).']],
    ['nothing', () => '', ['Role payments/keyhole is missing.']],
  ])('finds %s', async (_title, change, lines) => {
    const { exit, stderr } = await checked(change)
    expect(exit).toBe(1)
    for (const line of lines) expect(stderr).toContain(`./rbac.yaml: ${line}\n`)
    expect(stderr).toContain(
      'It is not what the policy asks for. Write it again: keyhole manifests rbac --policy=./policy --write=./rbac.yaml\n',
    )
  })

  test('finds what is asked for now and was not, before anything is applied', async () => {
    using files = filesOf(GOOD)
    const args = ['--policy', files.path('policy')]
    await generate(...args, '--write', files.path('rbac.yaml'))
    const more = grant({ secretRef: { name: 'payments-mail', key: 'k' } }, 'mail')
    writeFileSync(files.path('policy/p.yaml'), text(transitKey(ADMINS), grant(), more))
    const { exit, stderr } = await generate(...args, '--check', files.path('rbac.yaml'))
    expect(exit).toBe(1)
    expect(stderr).toContain('Role payments/keyhole-rotate does not name payments-mail for get, patch.\n')
  })

  test('has nothing against other comments, another order, or another style', async () => {
    const parts = (good: string) => good.split('---\n').slice(1)
    expect(await checked((good) => `# mine\n${parts(good).toReversed().join('---\n')}`)).toMatchObject({
      exit: 0,
      stderr: '',
    })
    const flow = (good: string) =>
      objectsIn(good)
        .map((object) => JSON.stringify(object))
        .join('\n---\n')
    expect(await checked(flow)).toMatchObject({ exit: 0, stderr: '' })
  })

  test('says why a file cannot be read, and believes none of an alias that grows', async () => {
    using files = filesOf(GOOD)
    const wanted = files.path('rbac.yaml')
    const { exit, stderr } = await generate('--policy', files.path('policy'), '--check', wanted)
    expect([exit, stderr]).toEqual([1, `keyhole manifests rbac: ${wanted} cannot be read (ENOENT).\n`])
    const bomb = `a: &a [x]\n${'bcdefgh'
      .split('')
      .map((name, at) => `${name}: &${name} [${`*${'abcdefg'[at]},`.repeat(9)}]`)
      .join('\n')}\n`
    expect((await checked(() => bomb)).stderr).toContain('It has aliases, which are not followed without end.')
  })
})

test('--help tells every flag', async () => {
  const { exit, stdout } = await generate('--help', '--nonsense')
  expect(exit).toBe(0)
  for (const flag of ['policy', 'reader', 'rotator', 'reads-only', 'write', 'check', 'help']) {
    expect(stdout).toMatch(new RegExp(`^  --${flag} `, 'm'))
  }
  for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(128)
})

const LABELS = `  labels:
    app.kubernetes.io/name: keyhole
    app.kubernetes.io/managed-by: keyhole-manifests
`
const role = (name: string, verbs: string) => `---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: ${name}
  namespace: payments
${LABELS}rules:
  - apiGroups: [""]
    resources: [secrets]
    resourceNames:
      - payments-db
      - payments-tls
    verbs: [${verbs}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: ${name}
  namespace: payments
${LABELS}roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: ${name}
subjects:
  - kind: ServiceAccount
    namespace: keyhole
    name: ${name}
`
const SAMPLE_RBAC = `# The rights on Secrets that the policy asks for. Not to be edited: edit the policy, and write this again with
#   keyhole manifests rbac --policy=./policy
${role('keyhole', 'get')}${role('keyhole-rotate', 'get, patch')}`

/** `keyhole manifests vault`: the Vault policies of a policy, as files, and how files are held to it. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { text, transitKey } from '../policy/documents.ts'
import { ADMINS } from '../vault-setup/installation.ts'
import { filesOf, generateVault } from './manifests-world.ts'

const GOOD = { 'policy/p.yaml': text(transitKey(ADMINS)) }

describe('the command line is refused', () => {
  test.each([
    ['', '--policy is required: the directory of the policy documents.'],
    ['--policy=p --write=d --check=d', '--write and --check do not go together.'],
    ['--policy=p --read-role=a/b', '--read-role must be 1 to 128 letters'],
    ['--policy=p --audience=vault', '"--audience" is no flag of this verb.'],
    ['--policy=/nowhere', 'The policy directory /nowhere does not exist.'],
    ['--policy=/nowhere --read-role=a/b', 'The policy directory /nowhere does not exist.'],
  ])('%s', async (args, complaint) => {
    const { exit, stdout, stderr } = await generateVault(...args.split(' ').filter((arg) => arg !== ''))
    expect([exit, stdout]).toEqual([1, ''])
    expect(stderr).toContain(`keyhole manifests vault: ${complaint}`)
    expect(stderr).toContain('Nothing was written. keyhole manifests vault --help tells more.\n')
  })

  test.each([
    [
      [],
      'there are several policies: name one (--role), of keyhole, keyhole-rotate, or a directory for all (--write).',
    ],
    [['--role=other'], '--role must be one of keyhole, keyhole-rotate.'],
  ])('where one text would be one role that decrypts and rotates: %j', async (flags, complaint) => {
    using made = filesOf(GOOD)
    const { exit, stdout, stderr } = await generateVault(`--policy=${made.path('policy')}`, ...flags)
    expect([exit, stdout, stderr]).toEqual([1, '', expect.stringContaining(complaint)])
  })

  test('for roles that would read and rotate in one', async () => {
    using made = filesOf(GOOD)
    const { exit, stderr } = await generateVault(`--policy=${made.path('policy')}`, '--rotate-role=keyhole')
    expect([exit, stderr]).toEqual([1, expect.stringContaining('The Vault role keyhole is to read and to rotate')])
  })
})

describe('what is written', () => {
  test('is one role on stdout, or a file for each', async () => {
    using made = filesOf(GOOD)
    const each = await Promise.all(
      ['keyhole', 'keyhole-rotate'].map((role) => generateVault(`--policy=${made.path('policy')}`, `--role=${role}`)),
    )
    await generateVault(`--policy=${made.path('policy')}`, `--write=${made.directory}`)
    const names = readdirSync(made.directory).filter((name) => name !== 'policy')
    expect(names.toSorted()).toEqual(['keyhole-rotate.hcl', 'keyhole.hcl'])
    const texts = ['keyhole.hcl', 'keyhole-rotate.hcl'].map((name) => readFileSync(made.path(name), 'utf8'))
    expect(each.map(({ stdout }) => stdout)).toEqual(texts)
  })

  test('is nothing for a rotator that there is not', async () => {
    using made = filesOf(GOOD)
    const { stdout } = await generateVault(`--policy=${made.path('policy')}`, '--reads-only')
    expect(stdout.match(/^path /gm)).toEqual(['path '])
  })

  test('cannot be written where there is no directory', async () => {
    using made = filesOf(GOOD)
    const { exit, stderr } = await generateVault(`--policy=${made.path('policy')}`, `--write=${made.path('none')}`)
    expect([exit, stderr]).toEqual([1, expect.stringMatching(/keyhole\.hcl cannot be written \(ENOENT\)\.\n$/)])
  })
})

describe('a check', () => {
  test('says which files are not what the policy asks for, and how they are written again', async () => {
    using made = filesOf(GOOD)
    const flags = [`--policy=${made.path('policy')}`, '--read-role=reads']
    await generateVault(...flags, `--write=${made.directory}`)
    expect(await generateVault(...flags, `--check=${made.directory}`)).toEqual({ exit: 0, stdout: '', stderr: '' })
    writeFileSync(made.path('reads.hcl'), 'path "*" { capabilities = ["sudo"] }\n')
    const { exit, stderr } = await generateVault(...flags, `--check=${made.directory}`)
    expect([exit, stderr]).toEqual([
      1,
      `keyhole manifests vault: ${made.path('reads.hcl')} is not what the policy asks for.\n` +
        `Write it again: keyhole manifests vault --policy=${made.path('policy')} --read-role=reads --write=${made.directory}\n`,
    ])
  })

  test('says which files cannot be read', async () => {
    using made = filesOf(GOOD)
    const { exit, stderr } = await generateVault(`--policy=${made.path('policy')}`, `--check=${made.directory}`)
    expect([exit, stderr.match(/cannot be read \(ENOENT\)/g)]).toEqual([1, Array(2).fill('cannot be read (ENOENT)')])
  })
})

/** What `keyhole rotate` does not take: every complaint at once, exit 1, and nothing asked of anyone. */
import { describe, expect, test } from 'vitest'
import { ROTATE_HELP } from '../../src/cli/rotate-help.ts'
import { report, streams } from '../client/samples.ts'
import { run } from './world.ts'

const DONE = streams(report())

/** The complaints, without the line before them. */
async function complaints(args: string, environment: Readonly<Record<string, string | undefined>> = {}) {
  const ran = await run(args, [DONE], { environment })
  expect(ran).toMatchObject({ exit: 1, stdout: '', seen: [] })
  const [first, ...rest] = ran.stderr.trimEnd().split('\n')
  expect(first).toBe('keyhole rotate: usage: Nothing was asked of keyhole. keyhole rotate --help tells more.')
  return rest.map((line) => line.trim())
}

describe('flags', () => {
  test.each([
    ['--rewarp', '"--rewarp" is no flag of this verb. Did you mean "--rewrap"?'],
    ['--constructor', '"--constructor" is no flag of this verb.'],
    ['-k', '"-k" is no flag of this verb.'],
    ['payments', '"payments" is not expected: this verb takes flags only.'],
    ['-- payments', '"payments" is not expected: this verb takes flags only.'],
    ['--key', '--key needs a value: --key NAME.'],
    ['--key=', '--key needs a value: --key NAME.'],
    ['--key --rewrap', '--key needs a value: --key NAME.'],
    [`--key ${'x'.repeat(129)}`, '--key must be the name of a TransitKey.'],
    ['--rewrap=yes', '--rewrap takes no value.'],
    ['--dry-run --dry-run', '--dry-run is given twice.'],
    ['--retire', '--retire needs a value: --retire after-grace|now|never.'],
    ['--retire nwo', '--retire must be after-grace, now or never. Did you mean "now"?'],
    ['--retire now --retire never', '--retire is given twice.'],
    ['--if-older-than 20', '--if-older-than must be a whole number and a unit, s, m, h or d, e.g. 20d.'],
    ['--if-older-than 1.5d', '--if-older-than must be a whole number and a unit, s, m, h or d, e.g. 20d.'],
    ['--if-older-than 0d', '--if-older-than must be a whole number and a unit, s, m, h or d, e.g. 20d.'],
    ['--if-older-than -1d', '--if-older-than needs a value: --if-older-than 20d.'],
    ['--if-older-than 2w', '--if-older-than must be a whole number and a unit, s, m, h or d, e.g. 20d.'],
    ['--budget never', '--budget must be a whole number and a unit, s, m, h or d, e.g. 20d.'],
    ['--budget 2d', '--budget must be at most 1d.'],
    ['--output yaml', '--output must be text or json.'],
    [
      '--retire now --if-older-than 20d',
      '--retire=now and --if-older-than do not go together: a compromised version is retired at any age.',
    ],
    [
      '--rewrap --if-older-than 20d',
      '--rewrap and --if-older-than do not go together: a rewrap makes no version, whatever the age.',
    ],
  ])('%s', async (args, complaint) => {
    expect(await complaints(args)).toEqual([complaint])
  })
})

describe('the environment', () => {
  test.each([
    [{ KEYHOLE_ADDR: undefined }, /^KEYHOLE_ADDR is required/],
    [{ KEYHOLE_ADDR: '' }, /^KEYHOLE_ADDR is required/],
    [{ KEYHOLE_ADDR: 'keyhole:8443' }, /^KEYHOLE_ADDR must be https:/],
    [{ KEYHOLE_ADDR: 'http://keyhole.keyhole:8443' }, /^KEYHOLE_ADDR must be https:\/\/ unless it is on loopback/],
    [{ KEYHOLE_ADDR: 'http://127.0.0.1.evil.example' }, /^KEYHOLE_ADDR must be https:/],
    [{ KEYHOLE_ADDR: 'https://keyhole:8443/rotate' }, /^KEYHOLE_ADDR must be https:/],
    [{ KEYHOLE_ADDR: 'https://user:canary-of-a-token@keyhole' }, /^KEYHOLE_ADDR must be https:/],
    [{ KEYHOLE_ADDR: 'https://keyhole?x' }, /^KEYHOLE_ADDR must be https:/],
    [{ KEYHOLE_ADDR: 'file:///etc/passwd' }, /^KEYHOLE_ADDR must be https:/],
    [{ KEYHOLE_ADDR: 'https://keyhole:99999' }, /^KEYHOLE_ADDR must be https:/],
    [{ KEYHOLE_CACERT: '/canary-of-a-token' }, /^KEYHOLE_CACERT names a file that cannot be read \(ENOENT\)\.$/],
    [
      { KEYHOLE_TOKEN_FILE: '/canary-of-a-token' },
      /^KEYHOLE_TOKEN_FILE names a file that cannot be read \(ENOENT\)\.$/,
    ],
    [{ KEYHOLE_TOKEN_FILE: '' }, /^KEYHOLE_TOKEN_FILE is not given, and \/var\/run\/secrets\/keyhole\/token cannot/],
    [{ KEYHOLE_CA_CERT: '/x' }, /^KEYHOLE_CA_CERT is not read\. Did you mean KEYHOLE_CACERT\?$/],
    [{ KEYHOLE_TOKEN: 'canary-of-a-token' }, /^KEYHOLE_TOKEN is not read\. Put the token into a file/],
  ])('%j', async (environment, complaint) => {
    expect(await complaints('', environment)).toEqual([expect.stringMatching(complaint)])
  })

  test('may hold what a Service and the service itself are given', async () => {
    const environment = {
      KEYHOLE_PORT: 'tcp://10.0.0.1:8443',
      KEYHOLE_SERVICE_HOST: '10.0.0.1',
      KEYHOLE_REALM: 'test',
      KEYHOLE_VAULT_TOKEN_FILE: '/x',
      KEYHOLE_CACERT: '',
    }
    expect(await run('', [DONE], { environment })).toMatchObject({ exit: 0 })
  })

  test('is complained of together with the flags', async () => {
    const found = await complaints('--frob --retire x', { KEYHOLE_ADDR: 'x', KEYHOLE_TOKEN_FILE: '/none' })
    expect(found).toHaveLength(4)
    const ran = await run('--frob --output json', [DONE], { environment: { KEYHOLE_ADDR: undefined } })
    expect(JSON.parse(ran.stdout)).toMatchObject({
      type: 'error',
      exit: 1,
      code: 'usage',
      details: [expect.stringContaining('--frob'), expect.stringContaining('KEYHOLE_ADDR')],
    })
  })
})

describe('a token file', () => {
  test.each([
    ['that is not there', null],
    ['that is empty', ''],
    ['that holds two lines', 'canary-of-a-token\ncanary-of-a-token'],
  ])('%s is exit 1', async (_, token) => {
    const ran = await run('', [DONE], { token })
    expect(ran).toMatchObject({ exit: 1, stdout: '', seen: [] })
  })

  test('may end in a newline', async () => {
    const ran = await run('', [DONE], { token: 'canary-of-a-token\n' })
    expect(ran).toMatchObject({ exit: 0 })
    expect(ran.seen[0]?.headers.authorization).toBe('Bearer canary-of-a-token')
  })
})

describe('--help', () => {
  test('is printed whatever else is wrong, and exit 0', async () => {
    for (const args of ['--help', '-h', '--frob --help']) {
      expect(await run(args, [DONE], { environment: { KEYHOLE_ADDR: '' } })).toMatchObject({
        exit: 0,
        stdout: ROTATE_HELP,
        stderr: '',
        seen: [],
      })
    }
  })

  test('tells of every flag that is read, and of none that is not', async () => {
    const told = [...ROTATE_HELP.matchAll(/^ {2}(--[a-z-]+)/gm)].map(([, flag]) => String(flag))
    expect(told).toHaveLength(8)
    const unknown = await Promise.all(
      told.map(async (flag) => (await run(`${flag}=x`, [DONE])).stderr.includes('is no flag')),
    )
    expect(unknown).not.toContain(true)
  })
})

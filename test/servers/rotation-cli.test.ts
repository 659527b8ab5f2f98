/** `keyhole rotate` as the CronJob runs it: a process of its own, over TLS, with the token that its pod has mounted. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import type { Keyhole } from '../../src/testing/start-keyhole.ts'
import { expectStatus } from './call.ts'
import type { Authority } from './certificates.ts'
import { certificateAuthority } from './certificates.ts'
import type { FleetPlace } from './fleet.ts'
import { DATA_KEY } from './fleet.ts'
import { pathOf } from './kubernetes-operator.ts'
import { expectOnly } from './only.ts'
import { estateOf } from './rotation-set-up.ts'
import type { RotationOptions, RotationWorld } from './rotation-world.ts'
import { podToken, startRotationWorld } from './rotation-world.ts'
import { AUDIENCE, CRON, KEYHOLE } from './set-up.ts'

const connection = inject('connection')
const MAIN = join(import.meta.dirname, '../../src/cli/main.ts')

let directory: string
let authority: Authority
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'keyhole-cli-'))
  authority = certificateAuthority(directory)
})
afterAll(() => rm(directory, { recursive: true, force: true }))

interface Ran {
  readonly exit: number | null
  readonly stdout: string
  readonly stderr: string
}

interface CronWorld extends AsyncDisposable {
  readonly world: RotationWorld
  readonly rotator: Keyhole
  /** Runs it with these flags. */
  keyhole(...args: readonly string[]): Promise<Ran>
  mount(token: string): Promise<void>
}

/** @param prepare is done before the rotator takes its first look, which it keeps for some seconds. */
async function open(
  name: string,
  options: RotationOptions = {},
  prepare: (world: RotationWorld) => Promise<void> = async () => {},
): Promise<CronWorld> {
  const world = await startRotationWorld(connection, estateOf(name, 1, 3), options)
  await prepare(world)
  const { certFile, keyFile } = authority.issue(name)
  const rotator = await world.startRotator({
    settings: { KEYHOLE_TLS_CERT_FILE: certFile, KEYHOLE_TLS_KEY_FILE: keyFile },
  })
  const tokenFile = join(directory, `${name}.token`)
  const environment = {
    KEYHOLE_ADDR: rotator.url,
    KEYHOLE_CACERT: authority.caFile,
    KEYHOLE_TOKEN_FILE: tokenFile,
  }
  const mount = (token: string) => writeFile(tokenFile, token, { mode: 0o600 })
  await mount(world.cronToken)
  return {
    world,
    rotator,
    mount,
    keyhole: (...args) => run(['rotate', ...args], environment),
    async [Symbol.asyncDispose]() {
      await rotator.stop()
      await world[Symbol.asyncDispose]()
    },
  }
}

function run(args: readonly string[], environment: Readonly<Record<string, string>>): Promise<Ran> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { PATH: process.env['PATH'], ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr]: [string[], string[]] = [[], []]
  child.stdout.setEncoding('utf8').on('data', (text: string) => stdout.push(text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => stderr.push(text))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (exit) => resolve({ exit, stdout: stdout.join(''), stderr: stderr.join('') }))
  })
}

test('ends with 0 once every Secret is moved, and tells so as one document', async () => {
  await using cron = await open('cli-done')
  const before = await cron.world.fleet.look()
  const { exit, stdout } = await cron.keyhole('--output', 'json')
  expect([exit, JSON.parse(stdout)]).toMatchObject([0, { type: 'report', complete: true }])
  await expectOnly(cron.world.fleet, before, { version: 2 })
})

test('ends with 0 and makes no version where no key is old enough, and for a dry run', async () => {
  await using cron = await open('cli-young')
  const before = await cron.world.fleet.look()
  const young = await cron.keyhole('--if-older-than', '20d', '--output', 'json')
  expect([young.exit, JSON.parse(young.stdout)]).toMatchObject([0, { type: 'nothing-due' }])
  expect((await cron.keyhole('--dry-run')).exit).toBe(0)
  expect(await cron.world.fleet.key()).toEqual({ latest: 1, min: 1 })
  expect(await cron.world.fleet.look()).toEqual(before)
})

test('ends with 0 and moves what somebody left behind, without a new version', async () => {
  await using cron = await open('cli-behind', {}, ({ operator, fleet }) =>
    operator.vault.rotateTransitKey(fleet.estate.key),
  )
  const before = await cron.world.fleet.look()
  expect((await cron.keyhole('--if-older-than', '20d')).exit).toBe(0)
  await expectOnly(cron.world.fleet, before, { version: 2 })
  expect((await cron.world.fleet.key()).latest).toBe(2)
})

test('ends with 3 where a Secret is blocked, and says which one and what its people should do', async () => {
  await using cron = await open('cli-blocked')
  const [place] = cron.world.fleet.places as [FleetPlace]
  const data = { [DATA_KEY]: Buffer.from('{"PASSWORD": "in the clear"}').toString('base64') }
  const patched = cron.world.operator.kubernetes.call(
    'PATCH',
    pathOf('secrets', place),
    { data },
    'application/merge-patch+json',
  )
  await expectStatus(patched)
  const { exit, stdout, stderr } = await cron.keyhole()
  expect(exit).toBe(3)
  expect(stdout).toContain(place.name)
  expect(stdout).toContain('Its owner must encrypt it again.')
  expect(stdout + stderr).not.toContain('in the clear')
})

test('ends with 4 for a caller that may not rotate, for a token of no use here, and for a key that was just rotated', async () => {
  await using cron = await open('cli-refused', { minInterval: '1h' })
  const { operator } = cron.world
  await cron.mount(await podToken(operator, KEYHOLE, AUDIENCE.keyhole))
  expect(await cron.keyhole()).toMatchObject({ exit: 4, stderr: expect.stringContaining('NOT_GRANTED') })
  await cron.mount(await podToken(operator, CRON, AUDIENCE.vault))
  expect(await cron.keyhole()).toMatchObject({ exit: 4, stderr: expect.stringContaining('TOKEN_AUDIENCE') })
  await cron.mount(cron.world.cronToken)
  expect((await cron.keyhole()).exit).toBe(0)
  expect(await cron.keyhole()).toMatchObject({ exit: 4, stderr: expect.stringContaining('ROTATED_RECENTLY') })
  expect((await cron.world.fleet.key()).latest).toBe(1)
})

test('ends with 2 where keyhole is not there within the budget', async () => {
  await using cron = await open('cli-away')
  await cron.rotator.stop()
  expect((await cron.keyhole('--budget', '3s')).exit).toBe(2)
})

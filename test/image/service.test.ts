/** The service in its image, as a pod has it: nobody's user, nothing to write to, and no more than its environment and its mounts. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { publish } from '../../src/testing/mounted-volume.ts'
import { SAMPLE_POLICY, SAMPLE_REALM } from '../../src/testing/sample.ts'
import type { Standins } from '../../src/testing/start-keyhole.ts'
import { startStandins } from '../../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../../src/testing/unbounded.ts'
import { get, parsed, until } from '../process/world.ts'
import { installMissing } from '../servers/machine.ts'
import { buildah } from './bases.ts'
import { buildImage } from './build.ts'
import type { Container } from './container.ts'
import { NEEDED, startContainer } from './container.ts'

const TOKEN_OF_CRON = '/var/run/secrets/keyhole'

let standins: Standins
let reference = ''
let directory = ''
let cmd: readonly string[] = []

const say = (line: string) => void process.stdout.write(`image: ${line}\n`)

beforeAll(async () => {
  await installMissing('running the image', NEEDED, say)
  reference = (await buildImage(say)).reference
  const { OCIv1 } = JSON.parse(buildah('inspect', '--type', 'image', reference)) as {
    readonly OCIv1: { readonly config: { readonly Cmd: readonly string[] } }
  }
  cmd = OCIv1.config.Cmd
  standins = await startStandins()
  directory = mkdtempSync(join(tmpdir(), 'keyhole-image-'))
  await publish(join(directory, 'policy'), SAMPLE_POLICY)
  await publish(join(directory, 'cron'), { token: standins.tokenOf('rotator') })
})
afterAll(async () => {
  await standins[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true, force: true })
})

/** What a pod's template would say. */
function service(settings: Readonly<Record<string, string>> = {}): Container {
  const { kubernetes, vault } = standins.upstreams
  return startContainer({
    reference,
    args: cmd,
    env: {
      ...UNBOUNDED,
      KEYHOLE_REALM: SAMPLE_REALM,
      KEYHOLE_SERVE: 'read,rotate',
      KEYHOLE_LISTEN: '127.0.0.1:0',
      KEYHOLE_MANAGEMENT_LISTEN: '127.0.0.1:0',
      KEYHOLE_KUBERNETES_URL: kubernetes.url,
      KEYHOLE_KUBERNETES_TOKEN_FILE: '/var/run/secrets/own/kubernetes',
      VAULT_ADDR: vault.url,
      KEYHOLE_VAULT_TOKEN_FILE: '/var/run/secrets/own/vault',
      ...settings,
    },
    mounts: { '/etc/keyhole/policy': join(directory, 'policy'), '/var/run/secrets/own': standins.credentials },
  })
}

/** Where it serves. @throws Error with its log when it exits instead. */
async function serving(container: Container): Promise<{ readonly url: string; readonly managementUrl: string }> {
  const line = await until(() => {
    if (container.process.exitCode !== null) throw new Error(container.stderr.join('\n'))
    return parsed(container.stderr).find(({ msg }) => msg === 'serving')
  })
  return { url: String(line['url']), managementUrl: String(line['managementUrl']) }
}

describe('the service in its image', () => {
  test('starts where it can write nothing, reads, rotates and drains', async () => {
    await using container = service()
    const { url, managementUrl } = await serving(container)
    expect(await get(`${managementUrl}/readyz`)).toMatchObject({ status: 200 })

    const read = async () => await get(`${url}/secrets/db`, { token: standins.tokenOf('api') })
    const before = await read()
    expect(before.status).toBe(200)
    expect(JSON.parse(before.body)).toMatchObject({ data: { PGPASSWORD: 'correct horse battery staple' } })

    await using cron = startContainer({
      reference,
      args: ['keyhole', 'rotate', '--output=json'],
      env: { KEYHOLE_ADDR: url },
      mounts: { [TOKEN_OF_CRON]: join(directory, 'cron') },
    })
    expect([await cron.exited, cron.stderr.filter((line) => line.includes('rror'))]).toEqual([0, []])
    expect(JSON.parse(cron.stdout.join('\n'))).toMatchObject({ complete: true })
    const after = await read()
    expect(after.body).toBe(before.body)
    expect(after.headers['etag']).not.toBe(before.headers['etag'])

    container.signal('TERM')
    expect(await container.exited).toBe(0)
    expect(parsed(container.stderr).at(-1)).toMatchObject({ msg: 'stopped' })
    const records = parsed(container.stdout).map(({ kind, outcome }) => outcome ?? kind)
    expect([records[0], records.at(-1)]).toEqual(['start', 'stop'])
    expect(records.filter((outcome) => outcome === 'disclosed')).toHaveLength(2)
  })

  test('opens no inspector, whoever sends it the signal for one', async () => {
    await using container = service()
    const { managementUrl } = await serving(container)
    const status = readFileSync(`/proc/${container.pid()}/status`, 'utf8')
    container.signal('USR1')
    container.signal('USR1')
    const alive = async () => (await get(`${managementUrl}/livez`)).status
    expect(await alive()).toBe(200)
    expect(await Promise.all(Array.from({ length: 20 }, alive))).toEqual(Array.from({ length: 20 }, () => 200))
    expect(container.stderr.filter((line) => /debugger|inspector/i.test(line))).toEqual([])
    expect(/^Uid:\s+(\d+)/m.exec(status)?.[1]).toBe('65532')
    expect(/^CapEff:\s+(\w+)/m.exec(status)?.[1]).toMatch(/^0+$/)
    expect(/^NoNewPrivs:\s+(\d)/m.exec(status)?.[1]).toBe('1')
  })

  test('that cannot start says why in one line, without a stack, and exits with 1', async () => {
    await using container = service({ KEYHOLE_AUDIT: 'file:/var/log/audit.log' })
    expect(await container.exited).toBe(1)
    expect(container.stdout).toEqual([])
    const told = container.stderr.filter((line) => !line.startsWith('{'))
    expect(told).toEqual([expect.stringMatching(/^keyhole cannot start: KEYHOLE_AUDIT: /)])
  })
})

/** How the process ends: exit codes, signals, and what it says last. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { verify } from '../../src/audit-log/verify.ts'
import type { KeyholeProcess } from '../../src/testing/keyhole-process.ts'
import { environmentFor, startKeyholeProcess } from '../../src/testing/keyhole-process.ts'
import { publish } from '../../src/testing/mounted-volume.ts'
import { SAMPLE_POLICY } from '../../src/testing/sample.ts'
import type { Standins } from '../../src/testing/start-keyhole.ts'
import { startStandins } from '../../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../../src/testing/unbounded.ts'
import { hold } from '../routes/world.ts'
import { get, keptPorts, parsed, until } from './world.ts'

const MAIN = join(import.meta.dirname, '../../src/main.ts')
const CANARY = 'canary-of-a-defect'

let standins: Standins
beforeAll(async () => {
  standins = await startStandins()
})
afterAll(() => standins[Symbol.asyncDispose]())

/** Runs to its end. */
async function run(environment: Readonly<Record<string, string>>) {
  const child = spawn(process.execPath, [MAIN], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  const [code, stdout, stderr] = await Promise.all([exited, text(child.stdout), text(child.stderr)])
  return { code, stdout, stderr }
}

const messages = ({ logLines }: KeyholeProcess) => parsed(logLines).map(({ msg }) => msg)

describe('a start that cannot succeed exits with 1', () => {
  test('and every complaint about the environment at once', async () => {
    expect(await run({ KEYHOLE_LISTEN: '127.0.0.1:0', KEYHOLE_REALMS: 'x' })).toEqual({
      code: 1,
      stdout: '',
      stderr: [
        'keyhole cannot start with this environment:',
        '  KEYHOLE_KUBERNETES_URL is required outside a pod, where no KUBERNETES_SERVICE_HOST is set',
        '  KEYHOLE_REALM is required: the name of this cluster, part of every Transit context',
        '  KEYHOLE_REALMS is not a setting. Did you mean "KEYHOLE_REALM"?',
        '  VAULT_ADDR is required: the origin of Vault, e.g. https://vault.vault:8200',
        '',
      ].join('\n'),
    })
  })

  test('and one line about anything else that no waiting can mend', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'keyhole-exit-'))
    await publish(join(directory, 'policy'), SAMPLE_POLICY)
    const environment = environmentFor(standins.upstreams, directory)
    const { code, stdout, stderr } = await run({ ...environment, KEYHOLE_AUDIT: 'file:/nowhere/audit.log' })
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^keyhole cannot start: KEYHOLE_AUDIT: audit sink: ENOENT \([^\n]+\)\n$/)
    rmSync(directory, { recursive: true })
  })
})

describe('a signal', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('%s lets what is in flight end, then exits with 0', async (signal) => {
    const settings = { ...UNBOUNDED, ...(await keptPorts()) }
    await using keyhole = await startKeyholeProcess(standins.upstreams, { settings })
    await until(() => messages(keyhole).includes('transit key'))
    const held = hold(standins.vault, /decrypt\/payments/)
    const inFlight = get(`${keyhole.url}/secrets/db`, { token: standins.tokenOf('api') })
    await held.arrived
    keyhole.process.kill(signal)
    await until(() => messages(keyhole).includes('draining'))
    expect((await get(`${keyhole.managementUrl}/readyz`)).status).toBe(503)
    await expect(get(`${keyhole.url}/secrets`)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    held.release()
    expect((await inFlight).status).toBe(200)
    expect(await keyhole.exited).toEqual({ code: 0, signal: null })
    expect(messages(keyhole).at(-1)).toBe('stopped')
    const audit = (await readFile(join(keyhole.directory, 'audit.log'), 'utf8')).trimEnd().split('\n')
    expect(parsed(audit).map(({ kind, outcome }) => outcome ?? kind)).toEqual(['start', 'disclosed', 'stop'])
    expect(verify(audit)).toMatchObject({ broken: undefined, chains: [{ stopped: true }] })
  })

  test('that comes twice ends it at once, with 1', async () => {
    await using keyhole = await startKeyholeProcess(standins.upstreams, { settings: UNBOUNDED })
    await until(() => messages(keyhole).includes('transit key'))
    const held = hold(standins.vault, /decrypt\/payments/)
    const inFlight = get(`${keyhole.url}/secrets/db`, { token: standins.tokenOf('api') })
    const cut = inFlight.catch((error: unknown) => error)
    await held.arrived
    keyhole.process.kill('SIGTERM')
    await until(() => messages(keyhole).includes('draining'))
    keyhole.process.kill('SIGINT')
    expect(await keyhole.exited).toEqual({ code: 1, signal: null })
    expect(await cut).toMatchObject({ code: 'ECONNRESET' })
    held.release()
  })

  test('that comes while the start waits for a file ends it at once, with 0, and nothing was recorded', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'keyhole-exit-'))
    await publish(join(directory, 'policy'), SAMPLE_POLICY)
    const at = (name: string) => join(directory, name)
    const tls = { KEYHOLE_TLS_CERT_FILE: at('tls.crt'), KEYHOLE_TLS_KEY_FILE: at('tls.key') }
    const child = spawn(process.execPath, [MAIN], {
      env: { ...environmentFor(standins.upstreams, directory), ...tls },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const exited = new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })))
    const lines: string[] = []
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (lines.push(line) === 1) child.kill('SIGTERM')
    })
    expect(await exited).toEqual({ code: 0, signal: null })
    expect(parsed(lines).map(({ msg }) => msg)).toEqual(['waiting to start', 'stopped while it waited'])
    expect(existsSync(at('audit.log'))).toBe(false)
    rmSync(directory, { recursive: true })
  })
})

describe('a defect ends the process with 1 and prints nothing of it but where it was', () => {
  const throwing = (what: string) => {
    // In pieces, since a frame names this source.
    const source = `process.on("SIGUSR2", () => {
      const canary = ["canary", "defect"].join("-of-a-")
      const error = Object.assign(new TypeError(canary + "\\n    at " + canary), { body: canary })
      ${what}
    })`
    return ['--import', `data:text/javascript,${encodeURIComponent(source)}`]
  }

  test.each<readonly [what: string, code: string, origin: string, cause: string]>([
    ['an error that nobody catches', 'throw error', 'uncaughtException', 'TypeError'],
    ['a rejection that nobody handles', 'Promise.reject(error)', 'unhandledRejection', 'TypeError'],
    ['a rejection with a string', 'Promise.reject(canary)', 'unhandledRejection', 'UnhandledPromiseRejection'],
    ['a thrown string', 'throw canary', 'uncaughtException', 'string'],
  ])('by %s', async (_what, code, origin, cause) => {
    await using keyhole = await startKeyholeProcess(standins.upstreams, {
      settings: UNBOUNDED,
      nodeFlags: throwing(code),
    })
    keyhole.process.kill('SIGUSR2')
    expect(await keyhole.exited).toEqual({ code: 1, signal: null })
    const last = { level: 'error', msg: 'a defect ends the process', origin, cause }
    expect(parsed(keyhole.logLines).at(-1)).toMatchObject(last)
    expect([...keyhole.logLines, ...keyhole.outputLines].join('\n')).not.toContain(CANARY)
  })
})

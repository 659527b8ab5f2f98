/** `keyhole serve` is the service that `npm start` runs: how it starts, how it ends, and what it tells. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SERVE_HELP } from '../../src/cli/serve.ts'
import { startKeyholeProcess } from '../../src/testing/keyhole-process.ts'
import type { Standins } from '../../src/testing/start-keyhole.ts'
import { startStandins } from '../../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../../src/testing/unbounded.ts'
import { hold } from '../routes/world.ts'
import { get, parsed, until } from './world.ts'

const VERB = [join(import.meta.dirname, '../../src/cli/main.ts'), 'serve']
const MAIN = [join(import.meta.dirname, '../../src/main.ts')]

let standins: Standins
beforeAll(async () => {
  standins = await startStandins()
})
afterAll(() => standins[Symbol.asyncDispose]())

/** Runs to its end, in an environment of nothing else. */
async function run(program: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, program, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  const [code, stdout, stderr] = await Promise.all([exited, text(child.stdout), text(child.stderr)])
  return { code, stdout, stderr }
}

describe('keyhole serve', () => {
  test('refuses the environment that npm start refuses, in the same words', async () => {
    const refused = await run(VERB, { KEYHOLE_REALMS: 'x' })
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toContain('Did you mean "KEYHOLE_REALM"?')
    expect(refused).toEqual(await run(MAIN, { KEYHOLE_REALMS: 'x' }))
  })

  test('has no flags: settings are in the environment, where no list of processes shows them', async () => {
    const { code, stdout, stderr } = await run([...VERB, '--realm=x'])
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(
      /^keyhole serve: it takes no arguments[^\n]*\nNothing was started\. keyhole serve --help tells more\.\n$/,
    )
    expect(stderr).not.toContain('realm')
  })

  test.each(['--help', '-h'])('%s tells about it, and serves nothing', async (flag) => {
    expect(await run([...VERB, flag])).toEqual({ code: 0, stdout: SERVE_HELP, stderr: '' })
  })

  test.each(['SIGTERM', 'SIGINT'] as const)('%s lets what is in flight end, then exits with 0', async (signal) => {
    await using keyhole = await startKeyholeProcess(standins.upstreams, { entry: VERB, settings: UNBOUNDED })
    await until(() => parsed(keyhole.logLines).some(({ msg }) => msg === 'transit key'))
    const held = hold(standins.vault, /decrypt\/payments/)
    const inFlight = get(`${keyhole.url}/secrets/db`, { token: standins.tokenOf('api') })
    await held.arrived
    keyhole.process.kill(signal)
    await until(() => parsed(keyhole.logLines).some(({ msg }) => msg === 'draining'))
    held.release()
    expect((await inFlight).status).toBe(200)
    expect(await keyhole.exited).toEqual({ code: 0, signal: null })
  })

  test('that is told twice ends at once with 1, as npm start does, and not with the code of a verb', async () => {
    await using keyhole = await startKeyholeProcess(standins.upstreams, { entry: VERB, settings: UNBOUNDED })
    await until(() => parsed(keyhole.logLines).some(({ msg }) => msg === 'transit key'))
    const held = hold(standins.vault, /decrypt\/payments/)
    const cut = get(`${keyhole.url}/secrets/db`, { token: standins.tokenOf('api') }).catch((error: unknown) => error)
    await held.arrived
    keyhole.process.kill('SIGTERM')
    await until(() => parsed(keyhole.logLines).some(({ msg }) => msg === 'draining'))
    keyhole.process.kill('SIGTERM')
    expect(await keyhole.exited).toEqual({ code: 1, signal: null })
    expect(await cut).toMatchObject({ code: 'ECONNRESET' })
    held.release()
  })
})

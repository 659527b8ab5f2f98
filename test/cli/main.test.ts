/** The command as it is run: a process, its signals, its exit code. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { VERSION } from '../../src/version.ts'
import { createAuthority } from '../certificates.ts'
import { EVENTS, report, streams } from '../client/samples.ts'
import { startPeer } from '../external/peer.ts'

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts')
let directory = ''

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyhole-main-'))
  writeFileSync(join(directory, 'token'), 'canary-of-a-token\n')
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

function keyhole(args: string, environment: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, [MAIN, ...args.split(' ').filter((arg) => arg !== '')], {
    env: { KEYHOLE_TOKEN_FILE: join(directory, 'token'), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  const ended = Promise.all([exited, text(child.stdout), text(child.stderr)]).then(([exit, stdout, stderr]) => {
    expect(stdout + stderr).not.toContain('canary')
    return { exit, stdout, stderr }
  })
  return { child, exited, ended }
}

describe('keyhole', () => {
  test('--help, -h and help tell the verbs', async () => {
    for (const args of ['--help', '-h', 'help']) {
      const { exit, stdout, stderr } = await keyhole(args).ended
      expect([exit, stderr]).toEqual([0, ''])
      expect(stdout).toMatch(/^keyhole VERB \[FLAGS\]\n\n {2}check /)
    }
  })

  test('--version tells the version', async () => {
    expect(await keyhole('--version').ended).toEqual({ exit: 0, stdout: `keyhole ${VERSION}\n`, stderr: '' })
  })

  test('without a verb, or with one that there is not, is exit 1 and says what there is', async () => {
    const { exit, stdout, stderr } = await keyhole('rotat').ended
    expect([exit, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^There is no such verb\. Did you mean "rotate"\?\n\nkeyhole VERB/)
    expect(await keyhole('constructor').ended).toMatchObject({ exit: 1 })
    expect(await keyhole('').ended).toMatchObject({ exit: 1, stdout: '' })
  })
})

describe('keyhole rotate', () => {
  test('rotates over TLS with a private CA, and its report can be piped', async () => {
    const authority = createAuthority()
    const caFile = join(directory, 'ca.crt')
    writeFileSync(caFile, authority.ca)
    await using peer = await startPeer((reply) => streams(...EVENTS, report())(reply), authority.issue())
    const environment = { KEYHOLE_ADDR: peer.url, KEYHOLE_CACERT: caFile }
    const { exit, stdout, stderr } = await keyhole('rotate --output json', environment).ended
    expect(exit).toBe(0)
    expect(JSON.parse(stdout)).toEqual(report())
    expect(stderr).toContain('payments: advance')
    expect(peer.seen[0]?.headers['idempotency-key']).toMatch(/^[0-9a-f-]{36}$/)
  })

  test('waits between its tries, although nothing else keeps the process alive', async () => {
    await using peer = await startPeer((reply) => (peer.seen.length === 1 ? reply.destroy() : streams(report())(reply)))
    expect(await keyhole('rotate', { KEYHOLE_ADDR: peer.url }).ended).toMatchObject({ exit: 0 })
    expect(peer.seen).toHaveLength(2)
  })

  test.each(['SIGINT', 'SIGTERM'] as const)('%s is exit 2, and says that the rotation goes on', async (signal) => {
    await using peer = await startPeer((reply) => {
      reply.writeHead(200, { 'content-type': 'application/x-ndjson' })
      reply.write(`${JSON.stringify(EVENTS[0])}\n`)
    })
    const { child, ended } = keyhole('rotate', { KEYHOLE_ADDR: peer.url })
    await peer.request(0)
    child.kill(signal)
    const { exit, stderr } = await ended
    expect(exit).toBe(2)
    expect(stderr).toContain('A rotation that has begun goes on in the service')
  })

  test('with nothing set is exit 1', async () => {
    const { exit, stderr } = await keyhole('rotate').ended
    expect(exit).toBe(1)
    expect(stderr).toContain('KEYHOLE_ADDR is required')
  })

  test('that nobody reads to the end is no defect', async () => {
    await using peer = await startPeer((reply) => streams(...EVENTS, report())(reply))
    const { child, exited, ended } = keyhole('rotate', { KEYHOLE_ADDR: peer.url })
    // Of what is read here nothing is left to read.
    ended.catch(() => {})
    child.stdout.destroy()
    expect(await exited).toBe(0)
  })
})

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
import { textOf, writtenBy } from './audit-verify-world.ts'

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts')
let directory = ''

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyhole-main-'))
  writeFileSync(join(directory, 'token'), 'canary-of-a-token\n')
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const OWN_LOG = '{"level":"info","time":"2026-11-22T12:30:15.007Z","msg":"audit head"}'

/** @param stdin what it holds; null: the test writes it. */
function keyhole(args: string, environment: Readonly<Record<string, string>> = {}, stdin: string | null = '') {
  const child = spawn(process.execPath, [MAIN, ...args.split(' ').filter((arg) => arg !== '')], {
    env: { KEYHOLE_TOKEN_FILE: join(directory, 'token'), ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  // A verb that reads none of it may be gone before it is written.
  child.stdin.on('error', () => {})
  if (stdin !== null) child.stdin.end(stdin)
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  const ended = Promise.all([exited, text(child.stdout), text(child.stderr)]).then(([exit, stdout, stderr]) => {
    expect(stdout + stderr).not.toContain('canary')
    return { exit, stdout, stderr }
  })
  return { child, exited, ended }
}

describe('keyhole', () => {
  test.each(['--help', '-h', 'help', 'help help', 'help --help'])('%s lists the verbs', async (args) => {
    const { exit, stdout, stderr } = await keyhole(args).ended
    expect([exit, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^keyhole VERB \[FLAGS\]\n\n {2}audit verify {5}check .*\n {2}check /)
  })

  test.each([
    ['vault --help', 'vault', ['vault check', 'vault setup']],
    ['vault -h', 'vault', ['vault check', 'vault setup']],
    ['vault help', 'vault', ['vault check', 'vault setup']],
    ['help vault', 'vault', ['vault check', 'vault setup']],
    ['manifests --help', 'manifests', ['manifests rbac', 'manifests vault']],
    ['audit --help', 'audit', ['audit verify']],
  ])('%s lists the verbs of the group', async (args, group, verbs) => {
    const { exit, stdout, stderr } = await keyhole(args).ended
    expect([exit, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(new RegExp(`^keyhole ${group} VERB \\[FLAGS\\]\n\n`))
    expect([...stdout.matchAll(/^ {2}(\w+ \w+) {2,}\S/gm)].map(([, verb]) => verb)).toEqual(verbs)
  })

  test.each([
    ['help rotate', /^keyhole rotate \[FLAGS\]\n/],
    ['--help rotate', /^keyhole rotate \[FLAGS\]\n/],
    ['help rotate --key payments', /^keyhole rotate \[FLAGS\]\n/],
    ['help serve', /^keyhole serve\n/],
    ['help audit verify', /^keyhole audit verify \[FLAGS\] \[FILE\.\.\.\]\n/],
    ['help vault check', /^keyhole vault check --policy DIR \[FLAGS\]\n/],
  ])('%s is the help of that verb', async (args, wanted) => {
    expect(await keyhole(args).ended).toEqual({ exit: 0, stdout: expect.stringMatching(wanted), stderr: '' })
  })

  test.each([
    ['vault', 'keyhole vault needs one of its verbs.', 'vault'],
    ['vault chek', 'There is no such verb. Did you mean "vault check"?', 'vault'],
    ['vault --wrong', 'There is no such verb.', 'vault'],
    ['help manifests rabc', 'There is no such verb. Did you mean "manifests rbac"?', 'manifests'],
  ])('%s is exit 1, and lists the verbs of the group', async (args, complaint, group) => {
    const { exit, stdout, stderr } = await keyhole(args).ended
    expect([exit, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(new RegExp(`^${complaint.replaceAll('?', '\\?')}\n\nkeyhole ${group} VERB \\[FLAGS\\]\n`))
  })

  test('--version tells the version', async () => {
    expect(await keyhole('--version').ended).toEqual({ exit: 0, stdout: `keyhole ${VERSION}\n`, stderr: '' })
  })

  test('without a verb, or with one that there is not, is exit 1 and says what there is', async () => {
    const { exit, stdout, stderr } = await keyhole('rotat').ended
    expect([exit, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^There is no such verb\. Did you mean "rotate"\?\n\nkeyhole VERB/)
    expect(await keyhole('constructor').ended).toMatchObject({ exit: 1 })
    expect(await keyhole('help rotat').ended).toMatchObject({ exit: 1, stdout: '' })
    expect(await keyhole('').ended).toMatchObject({ exit: 1, stdout: '' })
  })
})

describe('keyhole audit verify', () => {
  test('reads a file, and its output can be piped', async () => {
    const file = join(directory, 'audit.log')
    writeFileSync(file, textOf(writtenBy('i-1', 2, { stop: true }).lines))
    const { exit, stdout } = await keyhole(`audit verify --output json ${file}`).ended
    expect([exit, JSON.parse(stdout)]).toMatchObject([0, { status: 'whole', records: 4 }])
  })

  test('reads standard input to its end', async () => {
    const { ended } = keyhole('audit verify', {}, textOf(writtenBy('i-1', 2).lines.toSpliced(1, 1)))
    expect(await ended).toMatchObject({ exit: 3, stderr: '' })
  })

  test.each(['SIGINT', 'SIGTERM'] as const)('%s is exit 2, also while it waits for standard input', async (signal) => {
    const { child, ended } = keyhole('audit verify', {}, null)
    const { promise: isReading, resolve } = Promise.withResolvers<void>()
    // More than a pipe holds: when all of it has been taken, somebody reads.
    child.stdin.write(`${OWN_LOG}\n`.repeat(10_000), () => resolve())
    await isReading
    child.kill(signal)
    expect(await ended).toEqual({ exit: 2, stdout: '', stderr: 'keyhole audit verify: stopped before the end.\n' })
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

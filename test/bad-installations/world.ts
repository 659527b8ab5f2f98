/**
 * An installation on stand-ins that a test spoils, seen from both sides: by the process, with its log and its probes, and by
 * `keyhole check` with the same environment. Whatever either says is searched for what it must not say.
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { expect } from 'vitest'
import { check } from '../../src/cli/check.ts'
import type { World } from '../../src/cli/world.ts'
import { systemClock } from '../../src/clock.ts'
import { environmentFor } from '../../src/testing/keyhole-process.ts'
import { publish } from '../../src/testing/mounted-volume.ts'
import type { Workload } from '../../src/testing/sample.ts'
import { SAMPLE_DICTIONARY, SAMPLE_POLICY } from '../../src/testing/sample.ts'
import type { Standins } from '../../src/testing/start-keyhole.ts'
import { startStandins } from '../../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../../src/testing/unbounded.ts'
import { createAuthority } from '../certificates.ts'
import type { Reply } from '../process/world.ts'
import { get, parsed, until } from '../process/world.ts'
import { canaries } from '../read-path/leaks.ts'

export type Settings = Readonly<Record<string, string>>

export interface Installation extends AsyncDisposable {
  readonly standins: Standins
  /** Holds `policy`, `ca` with `ca.crt`, and `tls` with `tls.crt` and `tls.key`, each mounted as the kubelet does. */
  readonly directory: string
  readonly environment: Settings
  /** Makes these the files of one of them. */
  mount(volume: 'policy' | 'ca' | 'tls', files: Settings): Promise<void>
  /** What lies in keyhole's own token file for this server. */
  tokenFor(server: 'kubernetes' | 'vault'): Promise<string>
  /** The service as a process of its own, with these settings beside the environment. */
  start(settings?: Settings): Promise<Pod>
  /** keyhole check, with these settings beside the environment. */
  check(settings?: Settings, args?: readonly string[], world?: Partial<World>): Promise<Checked>
  /** @throws if something is said there that must not be. */
  expectHarmless(text: string): void
}

export interface Pod extends AsyncDisposable {
  /** Lines of its log, without time and without the installation's directory. */
  log(): readonly Readonly<Record<string, unknown>>[]
  /** Waits for a line with this message, and hands it on. */
  said(message: string): Promise<Readonly<Record<string, unknown>>>
  /** Status and components of /readyz?verbose. */
  readyz(): Promise<{ readonly status: number; readonly body: string }>
  livez(): Promise<number>
  /** A GET of the service, as a workload sends it; once it serves. */
  get(path: string, workload: Workload): Promise<Reply>
  /** The same, without a body. */
  post(path: string, workload: Workload): Promise<Reply>
  readonly process: ChildProcess
  readonly exited: Promise<number | null>
}

export interface Checked {
  readonly exit: number
  /** Without the summary, which is the last. */
  readonly lines: readonly string[]
  readonly summary: string
  readonly stdout: string
  readonly stderr: string
}

export const authority = createAuthority()
export const stranger = createAuthority('a stranger')
export const certificate = authority.issue()

/** Serves both, over TLS on all sides. */
export async function install(): Promise<Installation> {
  const { cert, key } = authority.issue()
  const standins = await startStandins(systemClock, { cert, key, ca: authority.ca })
  const directory = await mkdtemp(join(tmpdir(), 'keyhole-installation-'))
  const mount: Installation['mount'] = (volume, files) => publish(join(directory, volume), files)
  await mount('policy', SAMPLE_POLICY)
  await mount('ca', { 'ca.crt': authority.ca })
  await mount('tls', { 'tls.crt': certificate.cert, 'tls.key': certificate.key })
  const caFile = join(directory, 'ca', 'ca.crt')
  const { kubernetes, vault } = standins.upstreams
  const upstreams = { kubernetes: { ...kubernetes, caFile }, vault: { ...vault, caFile } }
  const environment = {
    ...environmentFor(upstreams, directory),
    ...UNBOUNDED,
    KEYHOLE_SERVE: 'read,rotate',
    KEYHOLE_TLS_CERT_FILE: join(directory, 'tls', 'tls.crt'),
    KEYHOLE_TLS_KEY_FILE: join(directory, 'tls', 'tls.key'),
  }
  const forbidden = canaries()
  const { PGPASSWORD, MIGRATOR_PASSWORD } = JSON.parse(SAMPLE_DICTIONARY)
  for (const [name, value] of Object.entries({ PGPASSWORD, MIGRATOR_PASSWORD })) forbidden.add(name, String(value))
  for (const file of [kubernetes.tokenFile, vault.tokenFile])
    forbidden.add('a token of keyhole', (await readFile(file, 'utf8')).trim())
  const sealed = standins.kubernetes.secret({ namespace: 'payments', name: 'payments-db' })
  for (const bytes of Object.values(sealed?.data ?? {})) forbidden.add('a ciphertext', bytes.toString())
  forbidden.add('a private key', certificate.key.split('\n')[1] ?? '')

  function expectHarmless(text: string): void {
    expect(forbidden.foundIn(text)).toEqual([])
  }

  return {
    standins,
    directory,
    environment,
    mount,
    expectHarmless,
    tokenFor: async (server) => (await readFile(standins.upstreams[server].tokenFile, 'utf8')).trim(),
    start: (settings = {}) => startPod(standins, { ...environment, ...settings }, directory, expectHarmless),
    async check(settings = {}, args = [], world = {}) {
      const printed = { stdout: '', stderr: '' }
      const output = (name: 'stdout' | 'stderr') => ({
        write(text: string) {
          printed[name] += text
        },
      })
      const exit = await check(args, {
        environment: { ...environment, ...settings },
        stdout: output('stdout'),
        stderr: output('stderr'),
        clock: systemClock,
        random: Math.random,
        newId: () => 'invocation-1',
        signal: new AbortController().signal,
        ...world,
      })
      expectHarmless(printed.stdout + printed.stderr)
      expect(printed.stdout + printed.stderr).toMatch(/^[\x20-\x7e\n]*$/)
      const lines = printed.stdout.replaceAll(directory, '').trimEnd().split('\n')
      return { exit, lines: lines.slice(0, -1), summary: lines.at(-1) ?? '', ...printed }
    },
    async [Symbol.asyncDispose]() {
      await standins[Symbol.asyncDispose]()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

const MAIN = join(import.meta.dirname, '../../src/main.ts')

async function startPod(
  standins: Standins,
  environment: Settings,
  directory: string,
  expectHarmless: (text: string) => void,
): Promise<Pod> {
  const env = { PATH: process.env['PATH'], ...environment, KEYHOLE_LOG_LEVEL: 'debug' }
  const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  const raw: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => raw.push(line))
  createInterface({ input: child.stderr }).on('line', (line) => raw.push(line.replaceAll(directory, '')))
  const log = () => parsed(raw).map(({ time: _, ...line }) => line)
  const said = async (message: string) => await until(() => log().find(({ msg }) => msg === message))
  const { managementUrl } = await said('probes are answered')
  return {
    log,
    said,
    exited,
    process: child,
    readyz: () => get(`${managementUrl}/readyz?verbose`),
    livez: async () => (await get(`${managementUrl}/livez`)).status,
    async get(path, workload) {
      const { url } = await said('serving')
      return await get(`${url}${path}`, { token: standins.tokenOf(workload), ca: authority.ca })
    },
    async post(path, workload) {
      const { url } = await said('serving')
      return await post(`${url}${path}`, standins.tokenOf(workload))
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
      expectHarmless(raw.join('\n'))
    },
  }
}

function post(url: string, token: string): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>()
  const headers = { authorization: `Bearer ${token}` }
  request(url, { method: 'POST', headers, ca: authority.ca }, (incoming) => {
    text(incoming).then(
      (body) => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body }),
      reject,
    )
  })
    .on('error', reject)
    .end()
  return promise
}

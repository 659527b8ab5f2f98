/**
 * keyhole as a process of its own, as a pod runs it: the real entry point, a real environment, real signals. For what
 * only a process shows: exit codes, drains, memory, sockets.
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { publish } from './mounted-volume.ts'
import { SAMPLE_POLICY, SAMPLE_REALM } from './sample.ts'
import type { Upstreams } from './start-keyhole.ts'
import { UNBOUNDED } from './unbounded.ts'

export interface KeyholeProcess extends AsyncDisposable {
  readonly pid: number
  readonly url: string
  readonly managementUrl: string
  /** Holds `policy` and `audit.log`. */
  readonly directory: string
  readonly process: ChildProcess
  /** Lines of stderr so far. */
  readonly logLines: readonly string[]
  /** Lines of stdout so far. */
  readonly outputLines: readonly string[]
  readonly exited: Promise<Exit>
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ProcessOptions {
  readonly policy?: Readonly<Record<string, string>>
  readonly settings?: Readonly<Record<string, string>>
  /** Flags of node. */
  readonly nodeFlags?: readonly string[]
  /** Instead of src/main.ts: another program, and its arguments. */
  readonly entry?: readonly string[]
}

/** The environment that {@link startKeyholeProcess} gives, without what the options change. */
export function environmentFor(upstreams: Upstreams, directory: string): Record<string, string> {
  return {
    KEYHOLE_REALM: SAMPLE_REALM,
    KEYHOLE_LISTEN: '127.0.0.1:0',
    KEYHOLE_MANAGEMENT_LISTEN: '127.0.0.1:0',
    KEYHOLE_POLICY_DIR: join(directory, 'policy'),
    KEYHOLE_AUDIT: `file:${join(directory, 'audit.log')}`,
    // A start fails without its first record, and the disk of a busy machine is slow.
    KEYHOLE_AUDIT_TIMEOUT_MS: UNBOUNDED.KEYHOLE_AUDIT_TIMEOUT_MS,
    KEYHOLE_KUBERNETES_URL: upstreams.kubernetes.url,
    KEYHOLE_KUBERNETES_CACERT: upstreams.kubernetes.caFile ?? '',
    KEYHOLE_KUBERNETES_TOKEN_FILE: upstreams.kubernetes.tokenFile,
    VAULT_ADDR: upstreams.vault.url,
    VAULT_CACERT: upstreams.vault.caFile ?? '',
    KEYHOLE_VAULT_TOKEN_FILE: upstreams.vault.tokenFile,
  }
}

/** Resolves once it serves. @throws Error with its log when it exits instead. */
export async function startKeyholeProcess(upstreams: Upstreams, options: ProcessOptions = {}): Promise<KeyholeProcess> {
  const directory = await mkdtemp(join(tmpdir(), 'keyhole-process-'))
  await publish(join(directory, 'policy'), options.policy ?? SAMPLE_POLICY)
  const entry = options.entry ?? [join(import.meta.dirname, '../main.ts')]
  const child = spawn(process.execPath, [...(options.nodeFlags ?? []), ...entry], {
    // As the image has it.
    env: {
      PATH: process.env['PATH'],
      MALLOC_ARENA_MAX: '1',
      ...environmentFor(upstreams, directory),
      ...options.settings,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  // 'close' rather than 'exit': by then every line has been read.
  const exited = new Promise<Exit>((resolve) => child.once('close', (code, signal) => resolve({ code, signal })))
  const logLines: string[] = []
  const outputLines: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => outputLines.push(line))
  const serving = await new Promise<{ url: string; managementUrl: string }>((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      logLines.push(line)
      const said = parsed(line)
      if (said['msg'] === 'serving') resolve({ url: String(said['url']), managementUrl: String(said['managementUrl']) })
    })
    void exited.then(({ code }) => reject(new Error(`keyhole exited with ${code}:\n${logLines.join('\n')}`)))
  }).catch(async (error: unknown) => {
    await rm(directory, { recursive: true, force: true })
    throw error
  })
  return {
    ...serving,
    pid: child.pid ?? 0,
    directory,
    process: child,
    logLines,
    outputLines,
    exited,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
      await rm(directory, { recursive: true, force: true })
    },
  }
}

function parsed(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line) as Record<string, unknown>
  } catch {
    return {}
  }
}

/** One child process that can be killed and started again on the same port, with its output in a file. */

import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export interface ServerProcess {
  readonly name: string
  /** Resolves once `ready` said so; rejects with the end of its log if it exits first or takes too long. */
  start(): Promise<void>
  /** SIGKILL to it and to whatever it started; resolves once it is gone. Nothing to do if it is not running. */
  kill(): Promise<void>
  tail(): string
}

export interface ServerProcessOptions {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly logFile: string
  /** Polled; what it throws counts as "not yet". */
  readonly ready: () => Promise<boolean>
  readonly readyWithinMs: number
}

const POLL_MS = 50
const TAIL_LINES = 40

export function serverProcess(options: ServerProcessOptions): ServerProcess {
  const { name, logFile, ready, readyWithinMs } = options
  let child: ChildProcess | undefined
  process.once('exit', () => killGroup(child))

  async function start(): Promise<void> {
    if (running(child)) throw new Error(`${name} runs already`)
    const started = launch(options)
    child = started
    const deadline = performance.now() + readyWithinMs
    while (!(await ready().catch(() => false))) {
      if (!running(started)) throw new Error(`${name} ended before it was ready. ${tail()}`)
      if (performance.now() > deadline) throw new Error(`${name} was not ready in ${readyWithinMs} ms. ${tail()}`)
      await sleep(POLL_MS)
    }
  }

  async function kill(): Promise<void> {
    const dying = child
    if (dying === undefined || !running(dying)) return
    const gone = new Promise((resolve) => dying.once('exit', resolve))
    killGroup(dying)
    await gone
  }

  function tail(): string {
    if (!existsSync(logFile)) return `${logFile} is empty`
    const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n')
    return `The end of ${logFile}:\n${lines.slice(-TAIL_LINES).join('\n')}`
  }

  return { name, start, kill, tail }
}

/**
 * A group of its own, so that a kill reaches Vault's plugin too and Ctrl-C reaches only us. In the group sits a guard that reads
 * from us: when we are gone, even by SIGKILL, its pipe ends and it kills the group. A server left behind would hold its port.
 */
function launch({ command, args, cwd, logFile }: ServerProcessOptions): ChildProcess {
  const log = openSync(logFile, 'a', 0o600)
  try {
    const guarded = ['-c', GUARD, 'sh', command, ...args]
    const child = spawn('sh', guarded, { cwd, detached: true, stdio: ['pipe', log, log], env: environment() })
    child.once('exit', () => killGroup(child))
    return child
  } finally {
    closeSync(log)
  }
}

const GUARD = 'exec 3<&0; (read -r _ <&3; kill -KILL 0) & exec "$@" 3<&- </dev/null'

/** Nothing of ours: a VAULT_TOKEN or a proxy of the person who runs the tests must not decide how they end. */
function environment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], HOME: '/nonexistent', TMPDIR: process.env['TMPDIR'] }
}

function running(child: ChildProcess | undefined): child is ChildProcess {
  return child?.pid !== undefined && child.exitCode === null && child.signalCode === null
}

function killGroup(child: ChildProcess | undefined): void {
  if (child?.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // Nobody is left in the group.
  }
}

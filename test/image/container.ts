/**
 * A container of the image as a kubelet would have it started, by runc alone: the image's user, no capability, no way to gain one,
 * a root file system that cannot be written, and what is mounted. It shares the machine's network, so that it reaches loopback.
 */
import type { ChildProcess } from 'node:child_process'
import { execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Needed } from '../servers/machine.ts'
import { buildah } from './bases.ts'

/** Beside what builds the image. */
export const NEEDED: readonly Needed[] = [{ command: 'runc', args: ['--version'], debian: 'runc' }]

export interface Container extends AsyncDisposable {
  readonly process: ChildProcess
  /** Lines so far. */
  readonly stdout: readonly string[]
  readonly stderr: readonly string[]
  /** Exit code. */
  readonly exited: Promise<number | null>
  /** Of its first process, as this machine counts. */
  pid(): number
  signal(name: 'TERM' | 'USR1'): void
}

export interface ContainerOptions {
  readonly reference: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Directories of this machine, by where they are mounted. Copies, that the image's user can read and not write. */
  readonly mounts?: Readonly<Record<string, string>>
}

const USER = 65_532

export function startContainer({ reference, args, env, mounts = {} }: ContainerOptions): Container {
  const directory = mkdtempSync(join(tmpdir(), 'keyhole-container-'))
  const [id, made] = [`keyhole-${randomUUID()}`, buildah('from', '--pull-never', reference)]
  const copies = Object.entries(mounts).map(([destination, from], index) => {
    const source = join(directory, `mount-${index}`)
    cpSync(from, source, { recursive: true, verbatimSymlinks: true })
    execFileSync('chmod', ['-R', 'a+rX,a-w', source])
    return { destination, type: 'bind', source, options: ['rbind', 'ro', 'nosuid', 'nodev'] }
  })
  const root = { path: buildah('mount', made), readonly: true }
  const spec = {
    ociVersion: '1.0.2',
    process: {
      user: { uid: USER, gid: USER },
      args,
      env: ['PATH=/usr/local/bin:/usr/bin:/bin', ...Object.entries(env).map(([name, value]) => `${name}=${value}`)],
      cwd: '/',
      capabilities: {},
      noNewPrivileges: true,
    },
    root,
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }, ...copies],
    linux: { namespaces: ['pid', 'ipc', 'uts', 'mount'].map((type) => ({ type })) },
  }
  mkdirSync(join(directory, 'bundle'))
  writeFileSync(join(directory, 'bundle/config.json'), JSON.stringify(spec))
  const runc = (...words: readonly string[]) =>
    execFileSync('runc', [...words], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  const child = spawn('runc', ['run', '--bundle', join(directory, 'bundle'), id], { stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  const lines = { stdout: [] as string[], stderr: [] as string[] }
  for (const name of ['stdout', 'stderr'] as const)
    createInterface({ input: child[name] }).on('line', (line) => lines[name].push(line))
  return {
    process: child,
    ...lines,
    exited,
    pid: () => Number((JSON.parse(runc('state', id)) as { readonly pid: number }).pid),
    signal: (name) => void runc('kill', id, name),
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null) runc('kill', id, 'KILL')
      await exited
      buildah('rm', made)
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

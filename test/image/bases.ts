/**
 * Bases of the image under the names that the Dockerfile gives them, for a machine that reaches no registry of images: what those
 * bases hold, as far as the Dockerfile uses it, from Debian's packages and the pinned Node. They are kept in a store of their own:
 * in the machine's, somebody's own build would take them for what their names say.
 */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import type { Say } from '../servers/machine.ts'
import { run } from '../servers/machine.ts'
import { inCache } from '../servers/programs.ts'

export interface Bases {
  readonly node: string
  readonly run: string
}

const ROOT = join(import.meta.dirname, '..', '..')
const SUITE = 'bookworm'
/** Of which the base to run on is made: what Node is linked to, and the CAs. */
const RUN_PACKAGES = ['libc6', 'libgcc-s1', 'libstdc++6', 'netbase'] as const
const NONROOT = 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n'

/** As the Dockerfile names them. */
export function basesOf(dockerfile: string): Bases {
  const [node, runs] = ['NODE_BASE', 'RUN_BASE'].map(
    (name) => new RegExp(`^ARG ${name}=(\\S+)$`, 'm').exec(dockerfile)?.[1] ?? '',
  )
  return { node: node ?? '', run: runs ?? '' }
}

/** Makes those that this machine has not. */
export async function makeBases(bases: Bases, say: Say): Promise<void> {
  const missing = Object.values(bases).filter((name) => !hasImage(name))
  if (missing.length === 0) return
  const scratch = mkdtempSync(join(tmpdir(), 'keyhole-bases-'))
  try {
    const debian = join(scratch, 'debian')
    const args = ['--variant=minbase', '--include=ca-certificates,netbase', SUITE, debian]
    await run('debootstrap', args, { label: `debootstrap ${SUITE}, for the bases of the image`, say })
    const runs = join(scratch, 'run')
    layOutRun(debian, runs)
    layOutNode(debian)
    commit(bases.node, debian, ['--workingdir', '/', '--cmd', '["node"]'])
    commit(bases.run, runs, ['--user', '65532', '--entrypoint', '["/nodejs/bin/node"]'])
    say(`made ${Object.values(bases).join(' and ')}`)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function hasImage(name: string): boolean {
  try {
    buildah('inspect', '--type', 'image', '--format', '{{.FromImageID}}', name)
    return true
  } catch {
    return false
  }
}

/** The official image of Node has it, and npm, under /usr/local. */
function layOutNode(root: string): void {
  cpSync(pinnedNode(), join(root, 'usr/local/bin/node'))
  // npm is a link to its bin/npm-cli.js.
  const cli = execFileSync('sh', ['-c', 'readlink -f "$(command -v npm)"'], { encoding: 'utf8' }).trim()
  cpSync(dirname(dirname(cli)), join(root, 'usr/local/lib/node_modules/npm'), { recursive: true })
  for (const [name, file] of [
    ['npm', 'npm-cli.js'],
    ['npx', 'npx-cli.js'],
  ] as const)
    symlinkSync(`../lib/node_modules/npm/bin/${file}`, join(root, 'usr/local/bin', name))
}

/** The distroless one has it under /nodejs, and no shell. */
function layOutRun(debian: string, root: string): void {
  const lists = join(debian, 'var/lib/dpkg/info')
  for (const name of RUN_PACKAGES) {
    const list = readdirSync(lists).find((file) => new RegExp(`^${RegExp.escape(name)}(?::\\w+)?\\.list$`).test(file))
    if (list === undefined) throw new Error(`${SUITE} has no package ${name}`)
    const files = readFileSync(join(lists, list), 'utf8').trim().split('\n')
    for (const file of files) copyFile(debian, root, file)
  }
  copyFile(debian, root, '/etc/ssl/certs/ca-certificates.crt')
  for (const directory of ['etc', 'tmp', 'home/nonroot', 'usr/local/bin'])
    mkdirSync(join(root, directory), { recursive: true })
  for (const link of ['lib', 'lib64', 'bin', 'sbin'])
    if (!existsSync(join(root, link))) symlinkSync(`usr/${link}`, join(root, link))
  mkdirSync(join(root, 'nodejs/bin'), { recursive: true })
  cpSync(pinnedNode(), join(root, 'nodejs/bin/node'))
  chmodSync(join(root, 'tmp'), 0o1777)
  writeFileSync(join(root, 'etc/passwd'), NONROOT)
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nnonroot:x:65532:\n')
  writeFileSync(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n')
}

/** Of a merged /usr: what a package calls /lib/x is in /usr/lib. */
function copyFile(from: string, to: string, file: string): void {
  const merged = file.replace(/^\/(lib|lib64|bin|sbin)\//, '/usr/$1/')
  if (!/^\/(?:usr|etc)\//.test(merged) || /^\/usr\/share\/|\/s?bin\//.test(merged)) return
  const [source, target] = [join(from, merged), join(to, merged)]
  const stat = lstatSync(source, { throwIfNoEntry: false })
  if (stat === undefined || stat.isDirectory()) return
  mkdirSync(dirname(target), { recursive: true })
  if (stat.isSymbolicLink()) symlinkSync(readlinkSync(source), target)
  else cpSync(source, target)
}

function pinnedNode(): string {
  return join(ROOT, 'node_modules/node/bin/node')
}

function commit(name: string, root: string, config: readonly string[]): void {
  const container = buildah('from', 'scratch')
  buildah('copy', '--quiet', container, root, '/')
  buildah('config', '--env', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...config, container)
  buildah('commit', '--quiet', '--rm', container, name)
}

export function buildah(...args: readonly string[]): string {
  const all = [...inStore(), ...args]
  return execFileSync('buildah', all, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
}

/** Flags of buildah. Whatever decides what the bases are decides where they are. */
export function inStore(): readonly string[] {
  const decide = [join(import.meta.dirname, 'bases.ts'), join(ROOT, 'node_modules/node/package.json')]
  const directory = inCache('containers', [...decide, join(ROOT, 'Dockerfile')].map(textOf))
  return ['--root', directory, '--runroot', join('/run/keyhole', basename(directory))]
}

function textOf(file: string): string {
  const text = readFileSync(file, 'utf8')
  return file.endsWith('Dockerfile') ? Object.values(basesOf(text)).join(' ') : text
}

/**
 * Makes the programs of the real servers: `npx node test/servers/build.ts`. A fresh machine of two cores needs about
 * eleven minutes, one that has them none. Says what it is doing every few seconds.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Needed, Say } from './machine.ts'
import { installMissing, run } from './machine.ts'
import type { GoSet, Programs } from './programs.ts'
import { GO_SETS, goSetDirectory, programs, pythonDirectory, REQUIREMENTS } from './programs.ts'

const OLDEST_GO = [1, 26] as const

const NEEDED = [
  { command: 'etcd', args: ['--version'], debian: 'etcd-server' },
  { command: 'openssl', args: ['version'], debian: 'openssl' },
  { command: 'python3', args: ['-c', 'import venv, ensurepip'], debian: 'python3-venv' },
] as const satisfies readonly Needed[]

/** Builds and installs what is missing. Throws an Error whose message says what to install. */
export async function build(say: Say): Promise<Programs> {
  await installMissing('the real servers', NEEDED, say)
  await buildGoSet('kube-apiserver', GO_SETS.kubernetes, say)
  await buildGoSet('Vault', GO_SETS.vault, say)
  await buildGoSet('OpenTofu', GO_SETS.tofu, say)
  await buildGoSet("stand-in of Vault's provider", GO_SETS.vaultProvider, say)
  await buildPython(say)
  return programs()
}

/** Nothing to do where it is kept from before. */
export async function buildGoSet(name: string, set: GoSet, say: Say): Promise<void> {
  const directory = goSetDirectory(set)
  if (existsSync(directory)) return say(`${name}: kept from before, ${directory}`)
  requireGo(goVersion(set.module))
  const partial = `${directory}.partial-${process.pid}`
  await mkdir(partial, { recursive: true })
  try {
    for (const [file, source] of Object.entries(set.programs)) {
      const args = ['build', '-v', ...set.flags, '-o', join(partial, file), source]
      await run('go', args, { label: `${name}: building ${file}`, say, cwd: set.module, env: { GOTOOLCHAIN: 'local' } })
    }
    await renameUnlessThere(partial, directory)
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
  say(`${name}: built, ${directory}`)
}

/** GOTOOLCHAIN=local: an old Go must be an error that a person reads, not a silent download of another. */
function goVersion(cwd: string): string {
  const asked = spawnSync('go', ['version'], { cwd, env: { ...process.env, GOTOOLCHAIN: 'local' }, encoding: 'utf8' })
  return asked.stdout ?? ''
}

/** Throws unless `go version`'s output names a Go that can build the servers. */
export function requireGo(output: string): void {
  const wanted = `Go ${OLDEST_GO.join('.')} or newer builds the real servers`
  const found = /\bgo(\d+)\.(\d+)/.exec(output)
  if (found === null) throw new Error(`${wanted}; no Go was found. Install it from https://go.dev/dl/.`)
  const [major, minor] = [Number(found[1]), Number(found[2])]
  if (major < OLDEST_GO[0] || (major === OLDEST_GO[0] && minor < OLDEST_GO[1]))
    throw new Error(`${wanted}; this is Go ${major}.${minor}. Install a newer one from https://go.dev/dl/.`)
}

/** Two builds may race: the first whole one wins, and nobody ever sees half of one. */
async function renameUnlessThere(partial: string, directory: string): Promise<void> {
  await mkdir(dirname(directory), { recursive: true })
  await rename(partial, directory).catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code !== 'ENOTEMPTY' && thrown.code !== 'EEXIST') throw thrown
  })
}

/**
 * The Python environment alone, for who needs schemathesis and no servers. It holds its own path, so it cannot be renamed into
 * place: a marker tells a whole one.
 */
export async function buildPython(say: Say): Promise<void> {
  const directory = pythonDirectory()
  const marker = join(directory, 'complete')
  if (existsSync(marker)) return say(`Python library: kept from before, ${directory}`)
  await rm(directory, { recursive: true, force: true })
  await mkdir(dirname(directory), { recursive: true })
  await run('python3', ['-m', 'venv', directory], { label: 'Python environment', say })
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', REQUIREMENTS]
  await run(join(directory, 'bin', 'python'), pip, { label: 'Python library: installing', say })
  await writeFile(marker, '')
  say(`Python library: installed, ${directory}`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await build((line) => process.stdout.write(`${line}\n`)).catch((thrown: Error) => {
    process.stderr.write(`${thrown.message}\n`)
    process.exitCode = 1
  })
}

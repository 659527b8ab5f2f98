/** How a machine gets what it lacks: Debian packages and commands that take a while. */
import { spawn, spawnSync } from 'node:child_process'

export type Say = (line: string) => void

/** What a machine must bring, how it is seen to be there, and the Debian package that brings it. */
export interface Needed {
  readonly command: string
  readonly args: readonly string[]
  readonly debian: string
}

const PROGRESS_MS = 5_000

/** Throws an Error whose message says what to install, where it may not do so itself. */
export async function installMissing(what: string, wanted: readonly Needed[], say: Say): Promise<void> {
  const missing = missingOf(wanted)
  if (missing.length === 0) return
  const packages = [...new Set(missing.map(({ debian }) => debian))]
  const needed = `install ${missing.map(({ command }) => command).join(', ')} (Debian: apt-get install ${packages.join(' ')})`
  const mayInstall = process.getuid?.() === 0 && succeeds('apt-get', ['--version'])
  if (!mayInstall) throw new Error(`${what} needs more than there is: ${needed}`)
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  const args = ['install', '-y', '-qq', '--no-install-recommends', ...packages]
  await run('apt-get', ['update', '-qq'], { label: 'apt-get update', say, env })
  await run('apt-get', args, { label: `apt-get install ${packages.join(' ')}`, say, env })
  if (missingOf(wanted).length > 0)
    throw new Error(`apt-get installed what was asked for, but it does not run: ${needed}`)
}

function missingOf(wanted: readonly Needed[]): readonly Needed[] {
  return wanted.filter(({ command, args }) => !succeeds(command, args))
}

function succeeds(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

export interface Run {
  readonly label: string
  readonly say: Say
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
}

/** Runs a command to its end. Lines of output are the only measure of progress that all of these commands share. */
export async function run(command: string, args: readonly string[], { label, say, cwd, env }: Run): Promise<void> {
  const startedMs = performance.now()
  const output: string[] = []
  const seconds = (): number => Math.round((performance.now() - startedMs) / 1_000)
  say(label)
  const progress = setInterval(() => say(`${label}, ${seconds()} s, ${output.length} lines of output`), PROGRESS_MS)
  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => output.push(...text.trimEnd().split('\n')))
      child.on('error', reject).on('close', resolve)
    })
    if (status !== 0) throw new Error(`${label} failed with status ${status}:\n${output.slice(-30).join('\n')}`)
  } finally {
    clearInterval(progress)
  }
}

/** The command line: arguments and environment in, exit code out. A verb is loaded when it is asked for. */
import { randomUUID } from 'node:crypto'
import { didYouMean } from '../policy/words.ts'
import { untilTold } from '../told.ts'
import { VERSION } from '../version.ts'
import type { ExitCode, Verb, World } from './world.ts'
import { EXIT } from './world.ts'

const VERBS: Readonly<Record<string, () => Promise<Verb>>> = {
  check: async () => (await import('./check.ts')).check,
  'manifests rbac': async () => (await import('./manifests-rbac.ts')).manifestsRbac,
  'manifests vault': async () => (await import('./manifests-vault.ts')).manifestsVault,
  rotate: async () => (await import('./rotate.ts')).rotate,
  serve: async () => (await import('./serve.ts')).serve,
  'vault check': async () => (await import('./vault-check.ts')).vaultCheck,
  'vault setup': async () => (await import('./vault-setup.ts')).vaultSetup,
}

const HELP = `keyhole VERB [FLAGS]

  check            say what an installation lacks, and what to do about it
  manifests rbac   write the rights on Secrets that a policy asks for
  manifests vault  write the Vault policies that a policy asks for
  rotate           move Secrets to a new version of their Transit keys
  serve            the service itself
  vault check      say what Vault lacks for a policy, gives beyond it, and who else may use its keys
  vault setup      make Vault what a policy asks for
  --help           this text; keyhole VERB --help tells about a verb
  --version        the version
`

async function main(world: World): Promise<ExitCode> {
  const args = process.argv.slice(2)
  const [first] = args
  if (first === '--help' || first === '-h' || first === 'help') {
    world.stdout.write(HELP)
    return EXIT.done
  }
  if (first === '--version') {
    world.stdout.write(`keyhole ${VERSION}\n`)
    return EXIT.done
  }
  const asked = verbIn(args)
  if (asked === undefined) {
    const meant = first === undefined ? '' : `There is no such verb.${hint(args, first)}\n\n`
    world.stderr.write(`${meant}${HELP}`)
    return EXIT.usage
  }
  return await (await asked.load())(asked.rest, world)
}

/** A verb is one word or two. */
function verbIn(args: readonly string[]) {
  for (const words of [2, 1]) {
    const name = args.slice(0, words).join(' ')
    const load = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined
    if (load !== undefined) return { load, rest: args.slice(words) }
  }
  return undefined
}

function hint(args: readonly string[], first: string): string {
  const isFirstOfTwo = Object.keys(VERBS).some((name) => name.startsWith(`${first} `))
  const typed = isFirstOfTwo ? args.slice(0, 2).join(' ') : first
  return didYouMean(typed, [...Object.keys(VERBS), '--help', '--version'])
}

/** A verb that waits is not over, so these timers keep the process alive. */
function after(ms: number, act: () => void): () => void {
  const timer = setTimeout(act, ms)
  return () => clearTimeout(timer)
}

/** Not the message, which may quote what it choked on. */
function isDefect(error: unknown): void {
  const frames = error instanceof Error ? (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line)) : []
  process.stderr.write(`keyhole: a defect ends the command.\n${frames.join('\n')}\n`)
  process.exitCode = EXIT.usage
}

// Whoever reads no further, as head does, has what they wanted.
process.stdout.on('error', () => {})
process.stderr.on('error', () => {})

main({
  environment: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  clock: { now: () => Date.now(), after },
  random: Math.random,
  newId: randomUUID,
  // Told twice: somebody does not want to hear how it stands, or to wait for the drain.
  signal: untilTold(process.argv[2] === 'serve' ? EXIT.usage : EXIT.unavailable),
}).then((code) => {
  process.exitCode = code
}, isDefect)

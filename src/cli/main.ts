/** The command line: arguments and environment in, exit code out. A verb is loaded when it is asked for. */
import { randomUUID } from 'node:crypto'
import { untilTold } from '../told.ts'
import { VERSION } from '../version.ts'
import { didYouMean } from '../words.ts'
import type { ExitCode, Verb, World } from './world.ts'
import { EXIT } from './world.ts'

interface Listed {
  /** What it does, in a line. */
  readonly does: string
  readonly load: () => Promise<Verb>
}

/** A verb is one word or two; those that begin with the same word are a group. */
const VERBS: Readonly<Record<string, Listed>> = {
  'audit verify': {
    does: 'check that an audit log is whole: nothing altered, removed, moved or repeated',
    load: async () => (await import('./audit-verify.ts')).auditVerify,
  },
  check: {
    does: 'say what an installation lacks, and what to do about it',
    load: async () => (await import('./check.ts')).check,
  },
  'manifests rbac': {
    does: 'write the rights on Secrets that a policy asks for',
    load: async () => (await import('./manifests-rbac.ts')).manifestsRbac,
  },
  'manifests vault': {
    does: 'write the Vault policies that a policy asks for',
    load: async () => (await import('./manifests-vault.ts')).manifestsVault,
  },
  rotate: {
    does: 'move Secrets to a new version of their Transit keys',
    load: async () => (await import('./rotate.ts')).rotate,
  },
  serve: { does: 'run the service itself', load: async () => (await import('./serve.ts')).serve },
  'vault check': {
    does: 'say what Vault lacks for a policy, what it gives beyond it, and who else may use its keys',
    load: async () => (await import('./vault-check.ts')).vaultCheck,
  },
  'vault setup': {
    does: 'make Vault what a policy asks for',
    load: async () => (await import('./vault-setup.ts')).vaultSetup,
  },
}

const HELP = `keyhole VERB [FLAGS]

${list([
  ...Object.entries(VERBS).map(([name, { does }]) => [name, does] as const),
  ['--help', 'this text; keyhole VERB --help tells about a verb'],
  ['--version', 'the version'],
])}
`

function list(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length)) + 2
  return rows.map(([name, does]) => `  ${name.padEnd(width)}${does}`).join('\n')
}

const isHelp = (word: string | undefined) => word === '--help' || word === '-h' || word === 'help'

async function main(args: readonly string[], world: World): Promise<ExitCode> {
  const [first, second, ...more] = args
  if (isHelp(first)) {
    // Whoever asks for help with a verb means that verb's.
    if (second !== undefined) return main(isHelp(second) ? [second, ...more] : [second, ...more, '--help'], world)
    world.stdout.write(HELP)
    return EXIT.done
  }
  if (first === '--version') {
    world.stdout.write(`keyhole ${VERSION}\n`)
    return EXIT.done
  }
  const asked = verbIn(args)
  if (asked !== undefined) return await (await asked.load())(asked.rest, world)
  const group = first === undefined ? undefined : groupHelp(first)
  if (group !== undefined && isHelp(second)) {
    world.stdout.write(group)
    return EXIT.done
  }
  world.stderr.write(`${complaint(args, group !== undefined)}${group ?? HELP}`)
  return EXIT.usage
}

function verbIn(args: readonly string[]) {
  for (const words of [2, 1]) {
    const name = args.slice(0, words).join(' ')
    const verb = Object.hasOwn(VERBS, name) ? VERBS[name] : undefined
    if (verb !== undefined) return { load: verb.load, rest: args.slice(words) }
  }
  return undefined
}

/** The verbs that begin with a word; undefined where none does. */
function groupHelp(word: string): string | undefined {
  const verbs = Object.entries(VERBS).filter(([name]) => name.startsWith(`${word} `))
  if (verbs.length === 0) return undefined
  const rows = verbs.map(([name, { does }]) => [name, does] as const)
  return `keyhole ${word} VERB [FLAGS]\n\n${list(rows)}\n\nkeyhole ${word} VERB --help tells about a verb.\n`
}

function complaint(args: readonly string[], isInGroup: boolean): string {
  const [first] = args
  if (first === undefined) return ''
  if (isInGroup && args.length === 1) return `keyhole ${first} needs one of its verbs.\n\n`
  const typed = isInGroup ? args.slice(0, 2).join(' ') : first
  return `There is no such verb.${didYouMean(typed, [...Object.keys(VERBS), '--help', '--version'])}\n\n`
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

main(process.argv.slice(2), {
  environment: process.env,
  // Opened by whoever reads it: the others leave it alone.
  get stdin() {
    return process.stdin
  },
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

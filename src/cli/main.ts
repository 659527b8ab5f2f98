/** The command line: arguments and environment in, exit code out. A verb is loaded when it is asked for. */
import { randomUUID } from 'node:crypto'
import { didYouMean } from '../policy/words.ts'
import { VERSION } from '../version.ts'
import type { ExitCode, Verb, World } from './world.ts'
import { EXIT } from './world.ts'

const VERBS: Readonly<Record<string, () => Promise<Verb>>> = {
  rotate: async () => (await import('./rotate.ts')).rotate,
}

const HELP = `keyhole VERB [FLAGS]

  rotate      move Secrets to a new version of their Transit keys
  --help      this text; keyhole VERB --help tells about a verb
  --version   the version
`

async function main(world: World): Promise<ExitCode> {
  const [verb, ...rest] = process.argv.slice(2)
  if (verb === '--help' || verb === '-h' || verb === 'help') {
    world.stdout.write(HELP)
    return EXIT.done
  }
  if (verb === '--version') {
    world.stdout.write(`keyhole ${VERSION}\n`)
    return EXIT.done
  }
  const load = verb !== undefined && Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined
  if (load === undefined) {
    const meant =
      verb === undefined
        ? ''
        : `There is no such verb.${didYouMean(verb, [...Object.keys(VERBS), '--help', '--version'])}\n\n`
    world.stderr.write(`${meant}${HELP}`)
    return EXIT.usage
  }
  return await (await load())(rest, world)
}

/** A verb that waits is not over, so these timers keep the process alive. */
function after(ms: number, act: () => void): () => void {
  const timer = setTimeout(act, ms)
  return () => clearTimeout(timer)
}

function untilTold(): AbortSignal {
  const stopping = new AbortController()
  const stop = () => {
    // Told twice: somebody does not want to hear how it stands.
    if (stopping.signal.aborted) process.exit(EXIT.unavailable)
    stopping.abort()
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  return stopping.signal
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
  signal: untilTold(),
}).then((code) => {
  process.exitCode = code
}, isDefect)

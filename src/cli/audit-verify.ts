/** `keyhole audit verify`: whether an audit log is whole, from its lines alone. */
import { createReadStream, statSync } from 'node:fs'
import { addAbortSignal } from 'node:stream'
import type { Verification, Verifier } from '../audit-log/verify.ts'
import { openVerifier } from '../audit-log/verify.ts'
import { AUDIT_VERIFY_HELP } from './audit-verify-help.ts'
import { printVerification, sentenceOf } from './audit-verify-text.ts'
import { complain } from './complain.ts'
import { unreadable } from './environment.ts'
import type { Flag } from './flags.ts'
import { oneOf, readFlags } from './flags.ts'
import { eachLine } from './lines.ts'
import type { Reading } from './reading-progress.ts'
import { openReading } from './reading-progress.ts'
import { jsonLine, openScreen } from './screen.ts'
import type { ExitCode, World } from './world.ts'
import { EXIT } from './world.ts'

const FLAGS = {
  head: {
    value: 'HASH',
    many: true,
    check: (value) =>
      /^[0-9a-f]{64}$/i.test(value) ? undefined : 'must be a SHA-256 in hex: the sha256 of an "audit head" line.',
  },
  output: { value: 'text|json', check: oneOf(['text', 'json']) },
  help: {},
} as const satisfies Readonly<Record<string, Flag>>

const STDIN = '-'

export async function auditVerify(args: readonly string[], world: World): Promise<ExitCode> {
  const complaints: string[] = []
  const named: string[] = []
  const flags = readFlags(args, FLAGS, complaints, named)
  if (flags.has('help')) {
    world.stdout.write(AUDIT_VERIFY_HELP)
    return EXIT.done
  }
  const files = named.length === 0 ? [STDIN] : named
  complaints.push(...complaintsAbout(files, named.length === 0 && world.stdin?.isTTY === true))
  const screen = openScreen(world.stderr, world.environment)
  if (complaints.length > 0) return complain(screen, 'audit verify', complaints, 'Nothing was verified.')
  const heads = flags.values('head').map((head) => head.toLowerCase())
  const verifier = openVerifier({ heads })
  const reading = openReading(screen, world.clock, sizeOf(files))
  const failure = await readAll(files, verifier, reading, world)
  reading.end()
  if (failure !== undefined) {
    screen.line(`keyhole audit verify: ${failure.words}`, 'bad')
    return failure.exit
  }
  const verification = verifier.end()
  if (flags.value('output') === 'json') world.stdout.write(jsonLine(documentOf(verification)))
  else printVerification(openScreen(world.stdout, world.environment), verification)
  return statusOf(verification) === 'whole' ? EXIT.done : EXIT.incomplete
}

function complaintsAbout(files: readonly string[], isTyped: boolean): readonly string[] {
  if (isTyped) return ['name a FILE, or give the log on standard input.']
  const twice = files.filter((file, index) => files.indexOf(file) < index)
  return [
    ...[...new Set(twice)].map((file) => `${file} is given twice.`),
    ...[...new Set(files)].flatMap((file) => {
      const why = file === STDIN ? undefined : (unreadable(file) ?? (isDirectory(file) ? 'EISDIR' : undefined))
      return why === undefined ? [] : [`${file} cannot be read (${why}).`]
    }),
  ]
}

function isDirectory(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isDirectory() === true
}

/** Undefined where it cannot be known. */
function sizeOf(files: readonly string[]): number | undefined {
  const stats = files.map((file) => (file === STDIN ? undefined : statSync(file, { throwIfNoEntry: false })))
  return stats.every((stat) => stat?.isFile()) ? stats.reduce((sum, stat) => sum + (stat?.size ?? 0), 0) : undefined
}

interface Failure {
  readonly words: string
  readonly exit: ExitCode
}

async function readAll(
  files: readonly string[],
  verifier: Verifier,
  reading: Reading,
  world: World,
): Promise<Failure | undefined> {
  for (const file of files) {
    const name = file === STDIN ? 'stdin' : file
    verifier.file(name)
    try {
      const read = (bytes: number) => reading.read(bytes, verifier.records())
      await eachLine(streamOf(file, world), (line) => verifier.line(line), read)
    } catch (error) {
      if (world.signal.aborted) return { words: 'stopped before the end.', exit: EXIT.unavailable }
      const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
      if (code === undefined) throw error
      return { words: `${name} cannot be read to its end (${code}).`, exit: EXIT.usage }
    }
  }
  return undefined
}

const CHUNK_BYTES = 256 * 1024

function streamOf(file: string, { stdin, signal }: World): AsyncIterable<Buffer> {
  if (file !== STDIN) return createReadStream(file, { highWaterMark: CHUNK_BYTES, signal })
  if (stdin === undefined) throw new Error('this world has no standard input')
  return addAbortSignal(signal, stdin)
}

type Status = 'whole' | 'broken' | 'empty'

function statusOf({ findings, records }: Verification): Status {
  if (records === 0) return 'empty'
  return findings.length === 0 ? 'whole' : 'broken'
}

function documentOf(verification: Verification): object {
  const { findings, chains, heads, lines, records, foreign, torn, omitted } = verification
  return {
    type: 'audit-verify',
    status: statusOf(verification),
    lines,
    records,
    foreign,
    torn,
    chains,
    heads,
    findings: findings.map((finding) => ({ ...finding, detail: sentenceOf(finding) })),
    ...(omitted > 0 && { findingsOmitted: omitted }),
  }
}

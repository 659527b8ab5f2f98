/**
 * `npm run dev`: the sample world, kept running. Node restarts it when the sources change; tokens are written to files
 * whose names stay as long as the port does, so that the printed lines go on working.
 */
import { lstatSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Flag } from './cli/flags.ts'
import { readFlags } from './cli/flags.ts'
import { every, systemClock } from './clock.ts'
import { StartError } from './starting.ts'
import type { Workload } from './testing/sample.ts'
import { WORKLOADS } from './testing/sample.ts'
import type { KeyholeOnStandins } from './testing/start-keyhole.ts'
import { startKeyhole } from './testing/start-keyhole.ts'
import { UNBOUNDED } from './testing/unbounded.ts'

const HELP = `npm run dev [-- OPTIONS]

The sample world on loopback, kept running, with curl lines to try it. Not for production.

  --port N   where the service listens (7070), and operations one above; 0 for any
  --help     this text
`
const FLAGS = {
  port: {
    value: 'N',
    check: (text) =>
      /^\d{1,5}$/.test(text) && Number(text) < 65_535
        ? undefined
        : 'must be a whole number up to 65534: operations listen one above.',
  },
  help: {},
} as const satisfies Record<string, Flag>
/** Of the hour that tokens live. */
const RENEW_MS = 30 * 60_000

/** Until it is told to end; then nothing of it is left. */
async function dev(port: number): Promise<void> {
  const ending = told()
  say('NOT FOR PRODUCTION: plain HTTP, stand-ins for Kubernetes and Vault, tokens in files.\n')
  await using keyhole = await startKeyhole({
    settings: {
      ...UNBOUNDED,
      // Ctrl-C is waited for by somebody.
      KEYHOLE_DRAIN_MS: '5000',
      KEYHOLE_LISTEN: `127.0.0.1:${port}`,
      KEYHOLE_MANAGEMENT_LISTEN: `127.0.0.1:${port === 0 ? 0 : port + 1}`,
      KEYHOLE_LOG_LEVEL: 'info',
      KEYHOLE_POLICY_RECHECK_MS: '1000',
    },
    audited: (line) => say(`audit ${line}`),
    logged: (line) => say(`log   ${line}`),
  })
  using files = tokenFiles(keyhole)
  every(systemClock, RENEW_MS, () => {
    files.write()
    void keyhole.renewCredentials()
  })
  say(linesToTry(keyhole, files))
  await ending
}

/** Ctrl-C comes twice: from the terminal, and from `node --watch`, which hands it on. */
function told(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => resolve())
  // As in `npm run dev | head`: nobody reads on.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    resolve()
  })
  return promise
}

interface TokenFiles extends Disposable {
  /** Writes a fresh token for each workload. */
  write(): void
  fileOf(workload: Workload): string
  /** How curl shows a workload's token, without it being in any shell's history. */
  bearer(workload: Workload): string
}

/** Of this port, which nobody else has: whoever else runs a sample world has files of their own. */
function tokenFiles({ url, tokenOf }: KeyholeOnStandins): TokenFiles {
  const directory = emptyDirectory(`keyhole-dev-${UID}-${new URL(url).port}`)
  const fileOf = (workload: string) => join(directory, workload)
  function write(): void {
    for (const workload of Object.keys(WORKLOADS) as Workload[]) {
      writeFileSync(fileOf(workload), tokenOf(workload), { mode: 0o600 })
    }
  }
  write()
  return {
    write,
    fileOf,
    bearer: (workload) => `-H "Authorization: Bearer $(cat ${fileOf(workload)})"`,
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  }
}

const UID = process.getuid?.() ?? 0

/**
 * Where anybody may make files, one that bears this name may be somebody's trap: a link to where tokens are read, or to what
 * they would overwrite. What a killed one of ours left is removed, so that no link in it is followed either.
 *
 * @throws StartError for what is not ours.
 */
function emptyDirectory(name: string): string {
  const directory = join(tmpdir(), name)
  const left = lstatSync(directory, { throwIfNoEntry: false })
  if (left !== undefined) {
    if (!left.isDirectory() || left.uid !== UID) {
      throw new StartError('TMPDIR', `${directory} is no directory of yours: no token is written there`)
    }
    rmSync(directory, { recursive: true })
  }
  // Fails where somebody was faster, too.
  mkdirSync(directory, { mode: 0o700 })
  return directory
}

function linesToTry({ url, managementUrl, directory }: KeyholeOnStandins, { bearer, fileOf }: TokenFiles): string {
  const who = (workload: Workload) => `${WORKLOADS[workload].namespace}/${WORKLOADS[workload].serviceAccount}`
  return `
As ${who('api')}:
  curl -s ${bearer('api')} ${url}/secrets
  curl -s ${bearer('api')} ${url}/secrets/db
  curl -s ${bearer('api')} '${url}/secrets/db?key=PGHOST'
  curl -s ${bearer('api')} -H 'Accept: application/octet-stream' '${url}/secrets/tls?key=tls.crt'
As ${who('reports')}:
  curl -s ${bearer('reports')} ${url}/secrets/db.payments
As ${who('stranger')}, who was granted nothing:
  curl -si ${bearer('stranger')} ${url}/secrets/db.payments
As ${who('rotator')}, who rotates and reads nothing:
  curl -s ${bearer('rotator')} -H 'Content-Type: application/json' -d '{"dryRun":true}' ${url}/rotate
  curl -s ${bearer('rotator')} -X POST ${url}/rotate
  curl -s ${bearer('rotator')} ${url}/rotate
  KEYHOLE_ADDR=${url} KEYHOLE_TOKEN_FILE=${fileOf('rotator')} npm run --silent keyhole -- rotate --rewrap
Operations:
  curl -s '${managementUrl}/readyz?verbose'

The policy is in ${join(directory, 'policy')}: edit a file there and it is in force within seconds.
Ctrl-C stops everything. NOT FOR PRODUCTION.
`
}

/** What is wrong with the arguments is said, and ends the process. */
function portAsked(args: readonly string[]): number {
  const complaints: string[] = []
  const flags = readFlags(args, FLAGS, complaints)
  if (flags.has('help')) {
    say(HELP)
    process.exit(0)
  }
  if (complaints.length > 0) fail(`${complaints.join('\n')}\nnpm run dev -- --help tells what there is.`)
  return Number(flags.value('port') ?? 7070)
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

await dev(portAsked(process.argv.slice(2))).catch((error: unknown) => {
  if (!(error instanceof StartError)) throw error
  const isTaken = /\bEADDRINUSE\b/.test(error.problem)
  const advice = 'Stop what is there, or choose another: npm run dev -- --port 7080'
  fail(isTaken ? `${error.message}\n${advice}` : error.message)
})

/**
 * `npm run dev`: the sample world, kept running. Node restarts it when the sources change; tokens are written to files
 * whose names stay, so that the printed lines go on working.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { every, systemClock } from './clock.ts'
import { StartError } from './starting.ts'
import type { Workload } from './testing/sample.ts'
import { WORKLOADS } from './testing/sample.ts'
import type { KeyholeOnStandins } from './testing/start-keyhole.ts'
import { startKeyhole } from './testing/start-keyhole.ts'

const HELP = `npm run dev [-- OPTIONS]

The sample world on loopback, kept running, with curl lines to try it. Not for production.

  --port N   where the service listens (7070), and operations one above; 0 for any
  --help     this text
`
/** Of the hour that tokens live. */
const RENEW_MS = 30 * 60_000

async function dev(): Promise<void> {
  const { port, help } = parseArgs({
    options: { port: { type: 'string', default: '7070' }, help: { type: 'boolean', default: false } },
  }).values
  if (help || !/^\d{1,5}$/.test(port)) {
    say(HELP)
    process.exit(help ? 0 : 1)
  }
  say('NOT FOR PRODUCTION: plain HTTP, stand-ins for Kubernetes and Vault, tokens in files.\n')
  const keyhole = await startKeyhole({
    settings: {
      KEYHOLE_LISTEN: `127.0.0.1:${port}`,
      KEYHOLE_MANAGEMENT_LISTEN: `127.0.0.1:${port === '0' ? 0 : Number(port) + 1}`,
      KEYHOLE_LOG_LEVEL: 'info',
      KEYHOLE_POLICY_RECHECK_MS: '1000',
    },
    audited: (line) => say(`audit ${line}`),
    logged: (line) => say(`log   ${line}`),
  })
  const files = tokenFiles(keyhole)
  every(systemClock, RENEW_MS, () => {
    files.write()
    void keyhole.renewCredentials()
  })
  say(linesToTry(keyhole, files))
  const stop = () => void keyhole.stop().finally(() => process.exit(0))
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
}

interface TokenFiles {
  /** Writes a fresh token for each workload. */
  write(): void
  fileOf(workload: Workload): string
  /** How curl shows a workload's token, without it being in any shell's history. */
  bearer(workload: Workload): string
}

function tokenFiles({ tokenOf }: KeyholeOnStandins): TokenFiles {
  const directory = join(tmpdir(), `keyhole-dev-${process.getuid?.() ?? 'user'}`)
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  // Throws for a directory that somebody else made there first.
  chmodSync(directory, 0o700)
  const fileOf = (workload: string) => join(directory, workload)
  function write(): void {
    for (const workload of Object.keys(WORKLOADS) as Workload[]) {
      writeFileSync(fileOf(workload), tokenOf(workload), { mode: 0o600 })
    }
  }
  write()
  return { write, fileOf, bearer: (workload) => `-H "Authorization: Bearer $(cat ${fileOf(workload)})"` }
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

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

await dev().catch((error: unknown) => {
  if (!(error instanceof StartError)) throw error
  process.stderr.write(`${error.message}\nStop what is there, or choose another: npm run dev -- --port 7080\n`)
  process.exit(1)
})

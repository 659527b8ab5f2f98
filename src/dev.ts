/**
 * `npm run dev`: the sample world, kept running. Node restarts it when the sources change; tokens are written to files
 * whose names stay, so that the printed lines go on working.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Workload } from './testing/sample.ts'
import { WORKLOADS } from './testing/sample.ts'
import { startKeyhole } from './testing/start-keyhole.ts'

const LISTEN = '127.0.0.1:7070'
const MANAGEMENT_LISTEN = '127.0.0.1:7071'

async function dev(): Promise<void> {
  say('NOT FOR PRODUCTION: plain HTTP, stand-ins for Kubernetes and Vault, tokens in files.\n')
  const keyhole = await startKeyhole({
    settings: { KEYHOLE_LISTEN: LISTEN, KEYHOLE_MANAGEMENT_LISTEN: MANAGEMENT_LISTEN, KEYHOLE_LOG_LEVEL: 'info' },
    audited: (line) => say(`audit ${line}`),
    logged: (line) => say(`log   ${line}`),
  })
  const tokens = join(tmpdir(), `keyhole-dev-${process.getuid?.() ?? 'user'}`)
  mkdirSync(tokens, { recursive: true, mode: 0o700 })
  chmodSync(tokens, 0o700)
  const bearer = (workload: Workload) => {
    const file = join(tokens, workload)
    writeFileSync(file, keyhole.tokenOf(workload), { mode: 0o600 })
    const { namespace, serviceAccount } = WORKLOADS[workload]
    return { who: `${namespace}/${serviceAccount}`, header: `-H "Authorization: Bearer $(cat ${file})"` }
  }
  const api = bearer('api')
  const reports = bearer('reports')
  const stranger = bearer('stranger')
  say(`
As ${api.who}:
  curl -s ${api.header} ${keyhole.url}/secrets
  curl -s ${api.header} ${keyhole.url}/secrets/db
  curl -s ${api.header} '${keyhole.url}/secrets/db?key=PGHOST'
  curl -s ${api.header} -H 'Accept: application/octet-stream' '${keyhole.url}/secrets/tls?key=tls.crt'
As ${reports.who}:
  curl -s ${reports.header} ${keyhole.url}/secrets/db.payments
As ${stranger.who}, who was granted nothing:
  curl -si ${stranger.header} ${keyhole.url}/secrets/db.payments
Operations:
  curl -s '${keyhole.managementUrl}/readyz?verbose'

The policy is in ${join(keyhole.directory, 'policy')}: edit a file there and it is in force within seconds.
Ctrl-C stops everything. NOT FOR PRODUCTION.
`)
  const stop = () => void keyhole.stop().finally(() => process.exit(0))
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

await dev().catch((error: unknown) => {
  const taken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
  const message = error instanceof Error ? error.message : 'keyhole cannot start'
  process.stderr.write(
    taken ? `${LISTEN} or ${MANAGEMENT_LISTEN} is in use: stop what listens there\n` : `${message}\n`,
  )
  process.exit(1)
})

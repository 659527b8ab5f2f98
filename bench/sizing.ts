/**
 * What keyhole needs: processor and memory by clients, by the size of the policy, and by the Secrets of a rotation. These are
 * times of this machine, on which the servers and the clients run as well: for a table, not for a ratio.
 */
import { execFileSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startKeyholeProcess } from '../src/testing/keyhole-process.ts'
import { residentBytes } from '../src/testing/process-state.ts'
import { SAMPLE_POLICY } from '../src/testing/sample.ts'
import type { Connection } from '../test/servers/start.ts'
import type { Service } from './contenders.ts'
import { getter, keyhole } from './contenders.ts'
import type { Row } from './figures.ts'
import { median, ms, quantile, row, throughput, timed } from './figures.ts'
import { NODE_FLAGS, openBench } from './rotation.ts'
import type { BenchWorld } from './world.ts'

export interface Sizing {
  readonly quick: boolean
  readonly say: (line: string) => void
}

export async function sizingRows(world: BenchWorld, { quick, say }: Sizing): Promise<Row[]> {
  const clients = quick ? [1, 8] : [1, 8, 32, 128]
  const grants = quick ? [10, 1_000] : [10, 1_000, 10_000]
  const secrets = quick ? [20, 100] : [100, 1_000, 5_000]
  const rows = await readers(world, clients, quick ? 1_000 : 10_000, say)
  for (const count of grants) rows.push(await policySize(world, count, quick ? 1 : 5, say))
  if (world.connection === undefined) say('rotations are sized on real servers only')
  else for (const count of secrets) rows.push(await rotationSize(world.connection, count, quick ? 1 : 3, say))
  return rows
}

const PAGE = join(import.meta.dirname, '../docs/reference/sizing.md')

/** Puts the table into its place in docs/reference/sizing.md. */
export async function keepSizing(world: BenchWorld, table: string, quick: boolean): Promise<void> {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  const day = new Date().toISOString().slice(0, 10)
  const where = `Measured at commit ${commit}, on ${day}, with Node ${process.version} and ${availableParallelism()} cores, on
${world.servers}.${quick ? ' A short run (`--quick`), beside other work.' : ''}`
  const page = await readFile(PAGE, 'utf8')
  // A function, or `$&` in a text would be taken for what was found.
  await writeFile(
    PAGE,
    page.replace(
      /(<!-- measured -->\n).*(<!-- end -->)/s,
      (_, begin, end) => `${begin}\n${where}\n\n${table}\n\n${end}`,
    ),
  )
}

/** Each asks again once it is answered, with a token of its own that has been seen. */
async function readers(
  world: BenchWorld,
  counts: readonly number[],
  forMs: number,
  say: Sizing['say'],
): Promise<Row[]> {
  // All of them have one address here, and one address has a share of the reviews only.
  await using service = await keyhole(world, NODE_FLAGS, { KEYHOLE_REVIEWS_IN_FLIGHT: '1024' })
  const tokens = await world.freshTokens(Math.max(...counts))
  const load = async (clients: number, durationMs: number) => {
    const times: number[] = []
    const perSecond = await throughput(clients, durationMs, async (client) => {
      times.push(await timed(() => service.get(tokens[client] ?? '')))
    })
    return { perSecond, times }
  }
  const rows: Row[] = []
  for (const clients of counts) {
    say(`${clients} clients for ${forMs} ms`)
    await load(clients, forMs / 4)
    const before = await cpuSeconds(service.pid)
    const peak = peakOf(service)
    const { perSecond, times } = await load(clients, forMs)
    const memory = await peak.end()
    const per1000 = (((await cpuSeconds(service.pid)) - before) / times.length) * 1_000
    const figures = [
      `${Math.round(perSecond)}/s`,
      `p50 ${ms(median(times))}`,
      `p99 ${ms(quantile(times, 0.99))}`,
      `${per1000.toFixed(2)} s of CPU for 1000`,
      `${megabytes(memory)} at most`,
    ]
    rows.push(row(`GETs of ${clients} ${clients === 1 ? 'client' : 'clients'} at once`, figures.join(', '), ''))
  }
  return rows
}

/** From the start of the process to its first answer, and its memory then: of the middle one of several. */
async function policySize(world: BenchWorld, grants: number, rounds: number, say: Sizing['say']): Promise<Row> {
  say(`a policy of ${grants} grants`)
  const policy = policyOf(grants)
  const [token = ''] = await world.freshTokens(1)
  const starts: number[] = []
  const sizes: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    const began = performance.now()
    await using process = await startKeyholeProcess(world.upstreams, {
      policy,
      nodeFlags: NODE_FLAGS,
      settings: {
        KEYHOLE_TLS_CERT_FILE: world.serving.certFile,
        KEYHOLE_TLS_KEY_FILE: world.serving.keyFile,
        KEYHOLE_AUDIT: 'stdout',
      },
    })
    await using client = getter(world, `${process.url}/secrets/db`)
    await client.get(token)
    starts.push(performance.now() - began)
    sizes.push(await residentBytes(process.pid))
  }
  const bytes = Object.values(policy).reduce((sum, text) => sum + text.length, 0)
  return row(
    `a policy of ${grants} grants, ${(bytes / 1e6).toFixed(1)} MB`,
    `first answer after ${ms(median(starts))}, ${megabytes(median(sizes))}`,
    '',
  )
}

/** As many as a file may well hold. */
const GRANTS_OF_A_FILE = 100

/** The sample's, and grants of other teams beside it, a hundred each. */
function policyOf(grants: number): Readonly<Record<string, string>> {
  const teams = Math.ceil(grants / GRANTS_OF_A_FILE)
  const others = Array.from({ length: teams }, (_, team) => {
    const count = Math.min(GRANTS_OF_A_FILE, grants - team * GRANTS_OF_A_FILE)
    const documents = Array.from({ length: count }, (__, index) => grantOf(`team-${team}`, `db-${index}`))
    return [`team-${team}.yaml`, documents.join('---\n')] as const
  })
  const namespaces = ['payments', ...others.map((_, team) => `team-${team}`)].join(', ')
  const platform = SAMPLE_POLICY['platform.yaml'].replace('namespaces: [payments]', `namespaces: [${namespaces}]`)
  return { ...SAMPLE_POLICY, 'platform.yaml': platform, ...Object.fromEntries(others) }
}

function grantOf(namespace: string, name: string): string {
  return `apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  secretRef: { name: ${name}, key: secrets.json }
  transitKey: payments
  readers:
    - { serviceAccount: api, keys: [PGHOST, PGUSER, PGPASSWORD] }
    - { serviceAccount: migrator, allKeys: true }
`
}

/** A rotation to a new version; the first one warms up, and is not counted. */
async function rotationSize(connection: Connection, secrets: number, rounds: number, say: Sizing['say']): Promise<Row> {
  say(`rotation of ${secrets} Secrets`)
  // So many namespaces that the grants of one are no file too large.
  const namespaces = Math.max(1, secrets / GRANTS_OF_A_FILE)
  await using bench = await openBench(connection, `size-${secrets}`, secrets, {}, namespaces)
  await bench.rotate()
  const idle = await residentBytes(bench.rotator.pid)
  const peak = peakOf({ pid: bench.rotator.pid })
  const before = await cpuSeconds(bench.rotator.pid)
  const times: number[] = []
  for (let round = 0; round < rounds; round += 1) times.push(await timed(async () => void (await bench.rotate())))
  const cpu = ((await cpuSeconds(bench.rotator.pid)) - before) / rounds
  const memory = await peak.end()
  return row(
    `a rotation of ${secrets} Secrets`,
    `${(median(times) / 1_000).toFixed(1)} s, ${cpu.toFixed(1)} s of CPU, ${megabytes(memory)} at most (${megabytes(idle)} before)`,
    '',
  )
}

/** Samples the resident memory of a process until it is told to end. */
function peakOf({ pid }: Pick<Service, 'pid'>): { end(): Promise<number> } {
  let peak = 0
  let going = true
  const sampling = (async () => {
    for (; going; await sleep(50)) peak = Math.max(peak, await residentBytes(pid))
  })()
  return {
    async end() {
      going = false
      await sampling
      return Math.max(peak, await residentBytes(pid))
    },
  }
}

/** User and system time of a process. */
async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // Behind the name, which may hold blanks: the 14th and 15th field of all.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Of every Linux that Node runs on. */
const TICKS_PER_SECOND = 100

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`
}

/**
 * `npm run bench`: ratios, not absolute times. Contenders take turns within one run, so that a noisy machine is noisy for
 * all of them. `--help` says what it takes.
 */
import { execFileSync, spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { connectionsTo, foundInMemory, residentBytes } from '../src/testing/process-state.ts'
import type { Service } from './contenders.ts'
import { floor, getter, keyhole, upstreamCalls } from './contenders.ts'
import type { Row } from './figures.ts'
import { median, ms, quantile, ratio, row, table, throughput, timed } from './figures.ts'
import { imageRows } from './image.ts'
import { rotationRows } from './rotation.ts'
import { keepSizing, sizingRows } from './sizing.ts'
import type { StockSettings } from './stock-service.ts'
import type { BenchWorld } from './world.ts'
import { openWorld } from './world.ts'

const HELP = `npm run bench [-- OPTIONS]

Measures keyhole against the bare upstream calls, a service on the stock SDK transports, and the Python library,
in interleaved rounds on real servers, which are built and started as for npm run test:real (cached).

  --standins   on stand-ins instead; says so in the result
  --only PART  read, rotation, image or sizing; without it the first three
  --quick      fewer rounds; for trying the bench itself
  --write      keeps the table in bench/RESULTS.md, that of sizing in docs/reference/sizing.md
  --help       this text
`

const { values: options } = parseArgs({
  options: {
    standins: { type: 'boolean', default: false },
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const ROUNDS = options.quick ? 60 : 600
const WARM_UP = options.quick ? 30 : 300
const LOAD_MS = options.quick ? 1_500 : 4_000
const LOAD_TURNS = options.quick ? 2 : 5
/** Rounds between two turns of the Python library, and its reads in each turn. */
const BLOCK = options.quick ? 30 : 100
const PYTHON_ROUNDS = options.quick ? 3 : 8
const SOCKET_GETS = options.quick ? 1_000 : 10_000
const MEMORY_GETS = options.quick ? 5_000 : 50_000
const CANARIES = 300
const CLIENTS = 32

async function bench(): Promise<void> {
  if (options.only === 'image') return say(`\n${table(await imageRows({ quick: options.quick, say }))}\n`)
  await using world = await openWorld(options.standins, say)
  say(`servers: ${world.servers}`)
  const rows: Row[] = []
  if (options.only === 'sizing') return await sizing(world)
  if (options.only !== 'rotation') rows.push(...(await readRows(world)))
  if (options.only !== 'read') rows.push(...(await rotationRows(world, { quick: options.quick, say })))
  if (options.only === undefined) rows.push(...(await imageRows({ quick: options.quick, say })))
  const result = table(rows)
  say(`\n${result}\n`)
  if (options.write) await keep(world, result)
}

async function sizing(world: BenchWorld): Promise<void> {
  const result = table(await sizingRows(world, { quick: options.quick, say }))
  say(`\n${result}\n`)
  if (options.write) await keepSizing(world, result, options.quick)
}

async function readRows(world: BenchWorld): Promise<Row[]> {
  const rows: Row[] = []
  {
    await using service = await keyhole(world)
    rows.push(...(await latencies(world, service)))
    rows.push(...(await upstreamUse(world, service)))
    rows.push(...(await loads(world, service)))
  }
  rows.push(await memoryGrowth(world))
  rows.push(...(await canaries(world)))
  return rows
}

async function latencies(world: BenchWorld, service: Service): Promise<Row[]> {
  say(`one client: ${ROUNDS} rounds of each contender in turn, after ${WARM_UP}; the Python library between them`)
  await using bare = floor(world)
  const tokens = await world.freshTokens((ROUNDS + WARM_UP) * 2 + 1)
  const [seenToken = '', ...fresh] = tokens
  const samples = new Map<string, number[]>()
  const note = (name: string, times: readonly number[]) => samples.set(name, [...(samples.get(name) ?? []), ...times])
  const contenders = [
    ['floor unseen', () => bare.unseen(fresh.pop() ?? '')],
    ['keyhole unseen', () => service.get(fresh.pop() ?? '')],
    ['floor seen', bare.seen],
    ['keyhole seen', () => service.get(seenToken)],
  ] as const
  for (let round = 0; round < ROUNDS + WARM_UP; round += 1) {
    // Another one begins each time, so that none always follows the same neighbour.
    for (let turn = 0; turn < contenders.length; turn += 1) {
      const [name, act] = contenders[(round + turn) % contenders.length] ?? contenders[0]
      const took = await timed(act)
      if (round >= WARM_UP) note(name, [took])
    }
    if (round % BLOCK !== BLOCK - 1) continue
    if (round >= WARM_UP && world.python !== undefined) {
      note('library', await world.python.timeInOneProcess(PYTHON_ROUNDS))
      note('library as a process', [await world.python.timeAsProcess()])
    }
    say(`  ${round + 1} of ${ROUNDS + WARM_UP}`)
  }
  return latencyRows((name) => samples.get(name) ?? [])
}

function latencyRows(samples: (name: string) => readonly number[]): Row[] {
  const p50 = (name: string) => median(samples(name))
  const shown = (name: string) => `${ms(p50(name))} (p99 ${ms(quantile(samples(name), 0.99))})`
  const unseen = p50('keyhole unseen') / p50('floor unseen')
  const seen = p50('keyhole seen') / p50('floor seen')
  const rows = [
    row(
      'p50 of a GET, token never seen, against TokenReview + GET Secret + decrypt',
      `${ratio(unseen)}: ${shown('keyhole unseen')} against ${shown('floor unseen')}`,
      '<= 1.4x',
      unseen <= 1.4,
    ),
    row(
      'p50 of a GET, token seen, against GET Secret + decrypt',
      `${ratio(seen)}: ${shown('keyhole seen')} against ${shown('floor seen')}`,
      '<= 1.6x',
      seen <= 1.6,
    ),
  ]
  if (samples('library').length === 0) return rows
  const faster = (what: string, than: string) => p50(what) / p50(than)
  return [
    ...rows,
    row(
      "against the Python library's init + read + logout in one process, p50; token seen, as in its later rounds",
      `${ratio(faster('library', 'keyhole seen'))} faster: ${shown('library')}`,
      '>= 25x faster',
      faster('library', 'keyhole seen') >= 25,
    ),
    row(
      'the same of the bare upstream calls, token seen and never seen: what no service can pass',
      `${ratio(faster('library', 'floor seen'))} and ${ratio(faster('library', 'floor unseen'))} faster`,
      '',
    ),
    row('the same of keyhole, token never seen', `${ratio(faster('library', 'keyhole unseen'))} faster`, ''),
    row(
      'against the Python library as a process, p50; token never seen',
      `${ratio(faster('library as a process', 'keyhole unseen'))} faster: ${shown('library as a process')}`,
      '',
    ),
  ]
}

async function upstreamUse(world: BenchWorld, service: Awaited<ReturnType<typeof keyhole>>): Promise<Row[]> {
  say(`upstream calls and sockets: ${SOCKET_GETS} GETs of ${CLIENTS} clients`)
  const [token = ''] = await world.freshTokens(1)
  await service.get(token)
  // Within the keeping of the review and between two logins: the fewest of several counts is what one GET costs.
  const counts: number[] = []
  for (let round = 0; round < 20; round += 1) {
    const before = await upstreamCalls(service.process.managementUrl)
    await service.get(token)
    counts.push((await upstreamCalls(service.process.managementUrl)) - before)
  }
  const calls = median(counts)
  let left = SOCKET_GETS
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      while (left-- > 0) await service.get(token)
    }),
  )
  const ports = [world.upstreams.kubernetes.url, world.upstreams.vault.url].map((url) => Number(new URL(url).port))
  const sockets = await Promise.all(ports.map((port) => connectionsTo(service.pid, port)))
  return [
    row('upstream calls for one GET with a seen token', String(calls), '2', calls === 2),
    row(
      `sockets to each upstream after ${SOCKET_GETS} GETs`,
      sockets.join(' and '),
      '<= 64',
      sockets.every((count) => count <= 64),
    ),
  ]
}

async function loads(world: BenchWorld, service: Service): Promise<Row[]> {
  say(`${CLIENTS} clients: ${LOAD_TURNS} turns of ${LOAD_MS} ms each`)
  await using stock = await startStock(world)
  await using bare = floor(world)
  const tokens = await world.freshTokens(CLIENTS)
  const perSecond = { keyhole: [] as number[], stock: [] as number[], floor: [] as number[] }
  for (let turn = 0; turn < LOAD_TURNS; turn += 1) {
    perSecond.keyhole.push(await throughput(CLIENTS, LOAD_MS, (client) => service.get(tokens[client] ?? '')))
    perSecond.stock.push(await throughput(CLIENTS, LOAD_MS, (client) => stock.get(tokens[client] ?? '')))
    perSecond.floor.push(await throughput(CLIENTS, LOAD_MS, bare.seen))
  }
  const [ours, theirs] = [median(perSecond.keyhole), median(perSecond.stock)]
  const limit = median(perSecond.floor)
  return [
    row(
      `against the service on stock SDK transports, ${CLIENTS} clients, throughput`,
      `${ratio(ours / theirs)}: ${Math.round(ours)}/s against ${Math.round(theirs)}/s`,
      '>= 8x',
      ours / theirs >= 8,
    ),
    row(
      'the same of the bare upstream calls, token seen: what no service can pass',
      `${ratio(limit / theirs)}: ${Math.round(limit)}/s`,
      '',
    ),
  ]
}

async function startStock(world: BenchWorld): Promise<Service> {
  const { upstreams, credentials, serving, place } = world
  const settings: StockSettings = {
    kubernetes: { url: upstreams.kubernetes.url, caFile: upstreams.kubernetes.caFile, token: credentials.kubernetes },
    vault: { url: upstreams.vault.url, ca: world.upstreamCa, token: credentials.vault },
    serving,
    place,
    keys: ['PGHOST', 'PGPORT', 'PGUSER', 'PGPASSWORD', 'LEDGER_ID'],
  }
  const child = spawn(process.execPath, [join(import.meta.dirname, 'stock-service.ts'), JSON.stringify(settings)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve)
    child.once('exit', () => reject(new Error('the stock service did not start')))
  })
  const client = getter(world, `${url}/secrets/db`)
  return {
    ...client,
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]()
      child.kill('SIGKILL')
    },
  }
}

async function memoryGrowth(world: BenchWorld): Promise<Row> {
  say(`memory: ${MEMORY_GETS} GETs after a warm-up`)
  // With the heap bounded as npm start has it: V8 otherwise lets garbage lie as long as the machine has room for it.
  await using service = await keyhole(world, ['--max-semi-space-size=4', '--max-old-space-size=96'])
  const gets = async (count: number): Promise<void> => {
    const tokens = await world.freshTokens(8)
    let left = count
    await Promise.all(
      tokens.map(async (token) => {
        while (left-- > 0) await service.get(token)
      }),
    )
  }
  // Several samples a phase, and the least of them: what is left when the collector has just been there.
  const least = async (): Promise<number> => {
    const samples: number[] = []
    for (let sample = 0; sample < 5; sample += 1) {
      await gets(MEMORY_GETS / 50)
      samples.push(await residentBytes(service.pid))
    }
    return Math.min(...samples)
  }
  await gets(MEMORY_GETS / 2)
  const before = await least()
  await gets(MEMORY_GETS)
  const growth = ((await least()) - before) / 1e6
  return row(`resident memory growth over ${MEMORY_GETS} GETs`, `${growth.toFixed(1)} MB`, '< 10 MB', growth < 10)
}

/** Distinct secrets pass through; then the parent, which made them, looks for them in the child. */
async function canaries(world: BenchWorld): Promise<Row[]> {
  say(`memory after ${CANARIES} GETs of distinct secrets`)
  await using service = await keyhole(world)
  const [token = ''] = await world.freshTokens(1)
  const granted: Buffer[] = []
  const ungranted: Buffer[] = []
  for (let index = 0; index < CANARIES; index += 1) {
    const [yes, no] = [canary(), canary()]
    granted.push(Buffer.from(yes))
    ungranted.push(Buffer.from(no))
    await world.seal(JSON.stringify({ PGHOST: 'db', PGPASSWORD: yes, MIGRATOR_PASSWORD: no }))
    await service.get(token)
  }
  // Whatever comes after them, so that the last one is not found merely for being the last.
  await world.seal(JSON.stringify({ PGHOST: 'db', PGPASSWORD: 'x'.repeat(40), MIGRATOR_PASSWORD: 'y'.repeat(40) }))
  for (let index = 0; index < 20; index += 1) await service.get(token)
  const found = await foundInMemory(service.pid, granted)
  const never = await foundInMemory(service.pid, ungranted)
  return [
    row(`granted values found in memory, of ${CANARIES}`, String(found), '<= 2', found <= 2),
    row(`never granted values found in memory, of ${CANARIES}`, String(never), '0', never === 0),
  ]
}

function canary(): string {
  return `canary-${crypto.randomUUID()}-${crypto.randomUUID()}`
}

async function keep(world: BenchWorld, result: string): Promise<void> {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  const text = `# Figures

\`npm run bench -- --write\` wrote this at commit ${commit}, on ${new Date().toISOString().slice(0, 10)}, with Node ${process.version} on
${world.servers}. Contenders took turns within one run; quote the ratios, not the times.${options.quick ? ' A short run (--quick).' : ''}

${result}
`
  await writeFile(join(import.meta.dirname, 'RESULTS.md'), text)
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

if (options.help) say(HELP)
else await bench()

/**
 * What a rotation costs: against as many bare writes, in calls to the servers, in memory, to those who read meanwhile, and
 * against what the Python library does for one Secret. On real servers only: a stand-in's key is not worth rotating.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { SETTINGS } from '../src/config.ts'
import type { RotateRequest, RotationReport } from '../src/contract.ts'
import type { KeyholeProcess } from '../src/testing/keyhole-process.ts'
import { startKeyholeProcess } from '../src/testing/keyhole-process.ts'
import { residentBytes } from '../src/testing/process-state.ts'
import type { FleetPlace, Looked } from '../test/servers/fleet.ts'
import { DATA_KEY, inParallel } from '../test/servers/fleet.ts'
import { pathOf } from '../test/servers/kubernetes-operator.ts'
import { estateOf } from '../test/servers/rotation-set-up.ts'
import type { RotationOptions, RotationWorld, Starting } from '../test/servers/rotation-world.ts'
import { policyOf, startRotationWorld } from '../test/servers/rotation-world.ts'
import type { Connection } from '../test/servers/start.ts'
import { upstreamCalls } from './contenders.ts'
import type { Row } from './figures.ts'
import { median, ms, quantile, ratio, row, timed } from './figures.ts'
import type { BenchWorld } from './world.ts'

export interface RotationBench {
  readonly quick: boolean
  readonly say: (line: string) => void
}

const NAMESPACES = 10
/** Calls to the API server at once. */
const PARALLEL = SETTINGS.KEYHOLE_ROTATION_PARALLEL.parse(undefined)
const READS_PER_SECOND = 50
const READER_ROUNDS = 3
/** As `npm start` has them. */
export const NODE_FLAGS = ['--max-semi-space-size=4', '--max-old-space-size=96']
const LARGE_BYTES = 16 * 1024

export async function rotationRows(world: BenchWorld, { quick, say }: RotationBench): Promise<Row[]> {
  const { connection, python } = world
  if (connection === undefined || python === undefined) {
    say('rotation is measured on real servers only')
    return []
  }
  const secrets = quick ? 200 : 1_000
  const rows: Row[] = []
  say(`rotation: ${secrets} Secrets in ${NAMESPACES} namespaces`)
  {
    await using bench = await openBench(connection, 'bench', secrets)
    rows.push(...(await writes(connection, bench, quick ? 3 : 7, say)))
    rows.push(await secondRun(bench))
    rows.push(...(await readers(connection, bench, world, quick ? 3_000 : 10_000, say)))
    rows.push(await raising(bench))
  }
  {
    await using bench = await openBench(connection, 'bench-one', 1)
    rows.push(await oneSecret(bench, python, quick ? 3 : 10, say))
  }
  rows.push(await memory(connection, secrets, say))
  return rows
}

/** A fleet, and a rotator of it as a process, as it is deployed. */
export interface Bench extends AsyncDisposable {
  readonly world: RotationWorld
  readonly rotator: KeyholeProcess
  /** A whole rotation, as who asks for it sees it. */
  rotate(body?: RotateRequest): Promise<RotationReport>
}

export async function openBench(
  connection: Connection,
  name: string,
  secrets: number,
  options: RotationOptions = {},
  namespaces = NAMESPACES,
): Promise<Bench> {
  const estate = secrets === 1 ? estateOf(name, 1, 1) : estateOf(name, namespaces, secrets / namespaces)
  // With so much grace that no rotation of the bench raises the minimum, which reads every Secret once more.
  const world = await startRotationWorld(connection, estate, { grace: 100, ...options })
  const rotator = await startProcess(world.rotator, world.policy)
  const dispatcher = new Agent()
  return {
    world,
    rotator,
    rotate: (body = {}) => rotate(dispatcher, rotator, world, body),
    async [Symbol.asyncDispose]() {
      await dispatcher.close()
      await rotator[Symbol.asyncDispose]()
      await world[Symbol.asyncDispose]()
    },
  }
}

/** Resolves once it has looked at its Secrets for the first time: that is over when its calls stand still. */
async function startProcess(
  { upstreams, settings }: Starting,
  policy: RotationWorld['policy'],
): Promise<KeyholeProcess> {
  const started = await startKeyholeProcess(upstreams, {
    policy,
    nodeFlags: NODE_FLAGS,
    settings: { ...settings, KEYHOLE_AUDIT: 'stdout' },
  })
  for (let before = -1, now = 0; before !== now; ) {
    before = now
    await sleep(300)
    now = await upstreamCalls(started.managementUrl)
  }
  return started
}

async function rotate(
  dispatcher: Agent,
  { url }: KeyholeProcess,
  { cronToken }: RotationWorld,
  order: RotateRequest,
): Promise<RotationReport> {
  const { statusCode, body } = await request(`${url}/rotate`, {
    dispatcher,
    method: 'POST',
    headers: { authorization: `Bearer ${cronToken}`, 'content-type': 'application/json' },
    body: JSON.stringify(order),
  })
  const text = await body.text()
  if (statusCode !== 200) throw new Error(`the rotator answered ${statusCode}: ${text.slice(0, 500)}`)
  return JSON.parse(text) as RotationReport
}

/** A rotation, and as many bare writes, in turn; the writes put back what the rotation moved, so that each has its full work. */
async function writes(
  connection: Connection,
  { world, rotator, rotate: rotation }: Bench,
  rounds: number,
  say: RotationBench['say'],
): Promise<Row[]> {
  const count = world.fleet.places.length
  const samples = { rotation: [] as number[], writes: [] as number[], calls: [] as number[] }
  await using bare = writer(connection, world)
  for (let round = 0; round <= rounds; round += 1) {
    const before = await world.fleet.look()
    const calls = await upstreamCalls(rotator.managementUrl)
    const rotated = await timed(async () => void (await rotation()))
    const called = (await upstreamCalls(rotator.managementUrl)) - calls
    const after = await world.fleet.look()
    const written = await timed(() => bare.putBack(after, before))
    // The first round warms both up.
    if (round === 0) continue
    samples.rotation.push(rotated)
    samples.writes.push(written)
    samples.calls.push(called)
    say(`  round ${round} of ${rounds}: ${ms(rotated)} against ${ms(written)}, ${called} calls`)
  }
  const [rotated, written] = [median(samples.rotation), median(samples.writes)]
  const calls = Math.max(...samples.calls)
  const most = Math.floor(3 * count + (2 * count) / 250 + 15)
  return [
    row(
      `a whole rotation of ${count} Secrets in ${NAMESPACES} namespaces against as many bare JSON Patches, ${PARALLEL} at once, medians`,
      `${ratio(rotated / written)}: ${ms(rotated)} against ${ms(written)}`,
      '<= 2.5x',
      rotated / written <= 2.5,
    ),
    row(`calls to Kubernetes and Vault for it, 3N + 2N/250 + 15 = ${most}`, String(calls), `<= ${most}`, calls <= most),
  ]
}

interface Writer extends AsyncDisposable {
  /** Every Secret, from one ciphertext to the other. */
  putBack(from: ReadonlyMap<string, Looked>, to: ReadonlyMap<string, Looked>): Promise<void>
}

/** The floor: the same write as the rotator's, with the administrator's token, on kept-alive connections. */
function writer({ kubernetes, ca }: Connection, { fleet }: RotationWorld): Writer {
  const dispatcher = new Agent({ connect: { ca }, connections: PARALLEL })
  const headers = {
    authorization: `Bearer ${kubernetes.adminToken}`,
    'content-type': 'application/json-patch+json',
  }
  const base64 = (which: ReadonlyMap<string, Looked>, { namespace, name }: FleetPlace) =>
    Buffer.from(which.get(`${namespace}/${name}`)?.ciphertext ?? '').toString('base64')
  return {
    putBack: (from, to) =>
      inParallel(PARALLEL, fleet.places, async (place) => {
        const path = `/data/${DATA_KEY}`
        const { statusCode, body } = await request(`${kubernetes.origin}${pathOf('secrets', place)}`, {
          dispatcher,
          method: 'PATCH',
          headers,
          body: JSON.stringify([
            { op: 'test', path, value: base64(from, place) },
            { op: 'replace', path, value: base64(to, place) },
          ]),
        })
        await body.dump()
        if (statusCode !== 200) throw new Error(`a bare write was refused with ${statusCode}`)
      }),
    [Symbol.asyncDispose]: () => dispatcher.close(),
  }
}

/** At once after one that moved everything. */
async function secondRun({ world: { fleet }, rotate: rotation }: Bench): Promise<Row> {
  await rotation()
  const [secrets, key] = [await fleet.look(), await fleet.key()]
  await rotation({ mode: 'rewrap' })
  const after = await fleet.look()
  const touched = [...after].filter(([id, { resourceVersion }]) => resourceVersion !== secrets.get(id)?.resourceVersion)
  const changes = touched.length + Number(JSON.stringify(await fleet.key()) !== JSON.stringify(key))
  return row('writes to Secrets and keys of a second run at once, mode rewrap', String(changes), '0', changes === 0)
}

/**
 * Reads at a steady rate: while nothing else happens, while one rotation follows the other, and while bare JSON Patches do, as
 * many at once as the rotation makes: how much of what readers notice is the API server's.
 */
async function readers(
  connection: Connection,
  { world, rotate: rotation }: Bench,
  { serving }: BenchWorld,
  forMs: number,
  say: RotationBench['say'],
): Promise<Row[]> {
  say(`readers: ${READS_PER_SECOND} GETs a second for ${forMs} ms, idle and during rotations, in turn`)
  await using reader = await startKeyholeProcess(world.reader.upstreams, {
    policy: world.policy,
    settings: {
      ...world.reader.settings,
      KEYHOLE_TLS_CERT_FILE: serving.certFile,
      KEYHOLE_TLS_KEY_FILE: serving.keyFile,
      KEYHOLE_AUDIT: 'stdout',
    },
  })
  await using dispatcher = disposable(new Agent({ connect: { ca: serving.ca } }))
  const headers = { authorization: `Bearer ${world.readerToken}` }
  let turn = 0
  async function get(): Promise<boolean> {
    const { namespace, name } = world.fleet.places[turn++ % world.fleet.places.length] as FleetPlace
    const url = `${reader.url}/secrets/${name}.${namespace}`
    const { statusCode, body } = await request(url, { dispatcher: dispatcher.agent, headers })
    const { data } = (await body.json()) as { data?: unknown }
    return statusCode === 200 && JSON.stringify(data) === world.fleet.plaintextOf({ namespace, name })
  }
  await using bare = writer(connection, world)
  const idle: number[] = []
  const during: number[] = []
  const besidePatches: number[] = []
  let failures = 0
  let rotations = 0
  await steadily(forMs / 2, get)
  for (let round = 0; round < READER_ROUNDS; round += 1) {
    const before = await world.fleet.look()
    const quiet = await steadily(forMs, get)
    const busy = await beside(
      () => steadily(forMs, get),
      async () => {
        await rotation()
        rotations += 1
      },
    )
    // There and back again: the API server writes nothing where nothing changes.
    let [from, to] = [await world.fleet.look(), before]
    const patched = await beside(
      () => steadily(forMs, get),
      async () => {
        await bare.putBack(from, to)
        ;[from, to] = [to, from]
      },
    )
    idle.push(...quiet.times)
    during.push(...busy.times)
    besidePatches.push(...patched.times)
    failures += quiet.failures + busy.failures
  }
  const [p99, idleP99, patchP99] = [during, idle, besidePatches].map((times) => quantile(times, 0.99)) as [
    number,
    number,
    number,
  ]
  return [
    row(
      `of ${during.length} GETs at ${READS_PER_SECOND}/s during ${rotations} rotations, failed`,
      String(failures),
      '0',
      failures === 0,
    ),
    row(
      'their p99 against the same GETs while nothing rotates',
      `${ratio(p99 / idleP99)}: ${ms(p99)} against ${ms(idleP99)} (p50 ${ms(median(during))} against ${ms(median(idle))})`,
      '<= 2x',
      p99 / idleP99 <= 2,
    ),
    row(
      `the same while bare JSON Patches follow each other, ${PARALLEL} at once, and nothing rotates`,
      `${ratio(patchP99 / idleP99)}: ${ms(patchP99)} (p50 ${ms(median(besidePatches))})`,
      '',
    ),
  ]
}

/** What `act` gives, with `other` done again and again meanwhile. */
async function beside<T>(act: () => Promise<T>, other: () => Promise<void>): Promise<T> {
  let going = true
  const doing = (async () => {
    while (going) await other()
  })()
  const result = await act()
  going = false
  await doing
  return result
}

/** At fixed times, whether or not the one before was answered: a slow answer must not lower the rate. */
async function steadily(forMs: number, get: () => Promise<boolean>) {
  const times: number[] = []
  let failures = 0
  const asked: Promise<void>[] = []
  const beganMs = performance.now()
  for (let dueMs = 0; dueMs < forMs; dueMs += 1_000 / READS_PER_SECOND) {
    await sleep(Math.max(0, beganMs + dueMs - performance.now()))
    asked.push(
      (async () => {
        let isRight = false
        times.push(
          await timed(async () => {
            isRight = await get().catch(() => false)
          }),
        )
        if (!isRight) failures += 1
      })(),
    )
  }
  await Promise.all(asked)
  return { times, failures }
}

function disposable(agent: Agent): { readonly agent: Agent } & AsyncDisposable {
  return { agent, [Symbol.asyncDispose]: () => agent.close() }
}

async function raising({ world }: Bench): Promise<Row> {
  const terms = { exclusive: true, grace: 0, minInterval: '0s' }
  await using rotator = await startProcess(world.rotator, policyOf(world.fleet.estate, terms))
  await using dispatcher = disposable(new Agent())
  const calls = await upstreamCalls(rotator.managementUrl)
  const { keys } = await rotate(dispatcher.agent, rotator, world, {})
  if (keys[0]?.retirement?.done !== true) throw new Error('the minimum was not raised')
  const called = (await upstreamCalls(rotator.managementUrl)) - calls
  return row(
    'calls of a rotation that also raises min_decryption_version, and reads every Secret once more',
    String(called),
    '',
  )
}

async function oneSecret(
  { rotate: rotation }: Bench,
  python: NonNullable<BenchWorld['python']>,
  rounds: number,
  say: RotationBench['say'],
): Promise<Row> {
  say(`one Secret: ${rounds} rounds, in turn with the Python library`)
  const ours: number[] = []
  const theirs: number[] = []
  await python.write('{"PASSWORD": "canary"}')
  for (let round = 0; round <= rounds; round += 1) {
    const took = await timed(async () => void (await rotation()))
    // The first of several in one process loads what the later ones have.
    const [, ...library] = await python.timeRotations(3)
    if (round === 0) continue
    ours.push(took)
    theirs.push(...library)
  }
  const faster = median(theirs) / median(ours)
  return row(
    "one Secret's whole rotation against the Python library's init + decrypt + rotate + encrypt + replace + logout in one process, p50",
    `${ratio(faster)} faster: ${ms(median(ours))} against ${ms(median(theirs))}`,
    'faster',
    faster > 1,
  )
}

/** Against a rotator of one small Secret that has done nothing. */
async function memory(connection: Connection, secrets: number, say: RotationBench['say']): Promise<Row> {
  say(`memory: ${secrets} Secrets of ${LARGE_BYTES} bytes`)
  await using small = await openBench(connection, 'bench-idle', 1)
  const idle = await residentBytes(small.rotator.pid)
  await using large = await openBench(connection, 'bench-large', secrets, { bytes: LARGE_BYTES })
  let peak = 0
  let going = true
  const sampling = (async () => {
    for (; going; await sleep(20)) peak = Math.max(peak, await residentBytes(large.rotator.pid))
  })()
  for (let round = 0; round < 3; round += 1) await large.rotate()
  going = false
  await sampling
  const above = (peak - idle) / 1e6
  return row(
    `resident memory at its peak over three rotations of ${secrets} Secrets of ${LARGE_BYTES / 1024} KiB, above an idle rotator`,
    `${above.toFixed(1)} MB (idle ${(idle / 1e6).toFixed(0)} MB)`,
    '< 64 MB',
    above < 64,
  )
}

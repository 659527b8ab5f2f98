/**
 * Rotators that are killed at any moment, or stopped and woken up long after another one took over. Whoever comes next finishes:
 * every Secret opens to what it held, one version is made per intent, and the minimum only rises.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, inject, test } from 'vitest'
import type { Random } from '../read-path/random.ts'
import { seeded } from '../read-path/random.ts'
import { expectStatus } from './call.ts'
import type { Fleet } from './fleet.ts'
import { expectOnly } from './only.ts'
import { estateOf, leasePath, TOKEN_TTL_SECONDS } from './rotation-set-up.ts'
import type { RotationWorld } from './rotation-world.ts'
import { rotate, startRotationWorld } from './rotation-world.ts'
import type { Moment } from './rotator-process.ts'
import { rotateOnceFree, startRotatorProcess } from './rotator-process.ts'
import { until } from './until.ts'

const connection = inject('connection')
/** As in test/seed.ts: the same moments in every run, unless somebody asks for others. */
const chosen = process.env['KEYHOLE_SEED'] ?? '20261122'
const SEED = chosen === 'random' ? Date.now() % 1_000_000 : Number(chosen)

/** Side by side, each with a key and a Lease of its own: after a kill its Lease is waited out. */
const LANES = 5
const KILLS_PER_LANE = 4
const NAMESPACES = 2
const SECRETS = 100

const moments = momentsOf(SEED)

describe.concurrent(`killed at random moments (KEYHOLE_SEED=${SEED})`, { timeout: 1_800_000 }, () => {
  test.each(Array.from({ length: LANES }, (_, lane) => lane))('lane %i', async (lane) => {
    await using world = await startRotationWorld(connection, estateOf(`killed-${lane}`, NAMESPACES, SECRETS), {
      // So that every rotation also raises the minimum.
      grace: 0,
    })
    const before = await world.fleet.look()
    let rotator = await startRotatorProcess(world)
    try {
      for (let kill = 0; kill < KILLS_PER_LANE; kill += 1) {
        const moment = moments[lane * KILLS_PER_LANE + kill] as Moment
        const killed = rotator.killAt(moment)
        // It has no answer, unless it was done.
        const asked = rotate(rotator, world).catch(() => undefined)
        await Promise.all([killed, rotator.gone, asked])
        await expectAllOpen(world.fleet)
        const left = await leftBehind(world)
        process.stdout.write(`killed: lane ${lane}, ${said(moment)}; left ${JSON.stringify(left)}\n`)
        rotator = await startRotatorProcess(world)
        // Every other lane only has things finished; the others ask for a rotation again, as a CronJob does.
        const mode = lane % 2 === 0 ? 'rewrap' : 'rotate'
        const { answer, report } = await rotateOnceFree(rotator, world, { mode })
        expect(answer).toBe('200')
        expect(report?.keys[0]?.resumed).toBe(left.target !== undefined)
        const wanted = (left.target ?? left.latest) + (mode === 'rotate' && !isStillToMake(left) ? 1 : 0)
        expect(await world.fleet.key()).toEqual({ latest: wanted, min: wanted })
        await expectOnly(world.fleet, before, { version: wanted })
      }
    } finally {
      await rotator[Symbol.asyncDispose]()
    }
  })
})

describe.concurrent('stopped, and woken up after another one took over', () => {
  const stops: readonly Moment[] = [
    { record: 'rotation begin', count: 1, delayMs: 0 },
    { record: 'advance begin', count: 1, delayMs: 0 },
    { record: 'advance begin', count: 1, delayMs: 4 },
    { record: 'move begin', count: 1, delayMs: 0 },
    { record: 'retire begin', count: 1, delayMs: 0 },
    { record: 'retire begin', count: 1, delayMs: 4 },
  ]
  test.each(stops.map((moment, lane) => [said(moment), moment, lane] as const))('%s', async (_title, moment, lane) => {
    await using world = await startRotationWorld(connection, estateOf(`stopped-${lane}`, 1, 40), { grace: 0 })
    const before = await world.fleet.look()
    await using sleeper = await startRotatorProcess(world, moment)
    await using other = await startRotatorProcess(world)
    const asked = rotate(sleeper, world)
    await sleeper.hasStopped()
    expect((await rotateOnceFree(other, world)).answer).toBe('200')
    // Once more, so that what the sleeper was about to do is wrong by now.
    expect((await rotateOnceFree(other, world)).answer).toBe('200')
    const key = await world.fleet.key()
    const secrets = await world.fleet.look()
    sleeper.wake()
    const { answer, report } = await asked
    process.stdout.write(`woken: ${said(moment)}; ${answer}, ${JSON.stringify(report?.keys[0]?.failure)}\n`)
    expect(answer).toBe('500 ROTATION_INCOMPLETE')
    // With none of the tokens that it had can anything arrive after this, however late.
    await sleep(TOKEN_TTL_SECONDS * 1_000)
    expect(await world.fleet.key()).toEqual(key)
    expect(await world.fleet.look()).toEqual(secrets)
    // It is as good as any other from now on.
    expect((await rotateOnceFree(sleeper, world)).answer).toBe('200')
    expect(await world.fleet.key()).toEqual({ latest: key.latest + 1, min: key.latest + 1 })
    await expectOnly(world.fleet, before, { version: key.latest + 1 })
  })
})

/** Every stage has its turn in every lane, and is hit anywhere. */
function momentsOf(seed: number): readonly Moment[] {
  const random = seeded(seed)
  // The first numbers of small seeds are small.
  for (let skipped = 0; skipped < 20; skipped += 1) random.whole(2)
  return Array.from({ length: LANES * KILLS_PER_LANE }, (_, index) => momentOf(random, index))
}

function momentOf(random: Random, index: number): Moment {
  const secrets = NAMESPACES * SECRETS
  const stages = [
    () => ({ record: random.pick(['rotation begin', 'advance begin', 'advance end']), count: 1 }),
    () => ({ record: random.pick(['move begin', 'move end']), count: 1 + random.whole(secrets) }),
    () => ({ record: 'move end', count: secrets }),
    () => ({ record: random.pick(['retire begin', 'retire begin', 'retire end', 'rotation end']), count: 1 }),
  ] as const
  const { record, count } = (stages[index % stages.length] ?? stages[0])()
  return { record, count, delayMs: random.whole(30) }
}

function said({ record, count, delayMs }: Moment): string {
  return `${delayMs} ms after ${record} ${count}`
}

interface Standing {
  readonly latest: number
  readonly min: number
  /** Of the intent that is left on the Lease. */
  readonly target: number | undefined
}

/** The rotation that finishes it makes its version, and that is then what was asked for. */
function isStillToMake({ latest, target = 0 }: Standing): boolean {
  return latest < target
}

/** What a killed rotation left behind, once its Lease has run out: until then, what it had sent may still take effect. */
async function leftBehind(world: RotationWorld): Promise<Standing> {
  const hasRunOut = async () => {
    const { holderIdentity = '', renewTime = '', leaseDurationSeconds = 0 } = (await leaseOf(world)).spec
    return holderIdentity === '' || Date.parse(renewTime) + leaseDurationSeconds * 1_000 < Date.now()
  }
  await until('the Lease of the killed one has run out', hasRunOut, { everyMs: 500 })
  return standing(world)
}

async function standing(world: RotationWorld): Promise<Standing> {
  const { metadata } = await leaseOf(world)
  const text = metadata.annotations?.['keyhole.dev/rotation'] ?? '{"intents":[]}'
  const { intents } = JSON.parse(text) as { intents: readonly { readonly target: number }[] }
  return { ...(await world.fleet.key()), target: intents[0]?.target }
}

interface FoundLease {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> }
  readonly spec: {
    readonly holderIdentity?: string
    readonly renewTime?: string
    readonly leaseDurationSeconds?: number
  }
}

function leaseOf({ operator, fleet }: RotationWorld): Promise<FoundLease> {
  return expectStatus(operator.kubernetes.call<FoundLease>('GET', leasePath(fleet.estate.lease)))
}

async function expectAllOpen(fleet: Fleet): Promise<void> {
  const found = await fleet.look()
  const wanted = fleet.places.map((place) => [`${place.namespace}/${place.name}`, fleet.plaintextOf(place)] as const)
  expect(new Map([...found].map(([id, { value }]) => [id, value]))).toEqual(new Map(wanted))
}

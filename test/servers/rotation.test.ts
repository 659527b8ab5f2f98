/** Rotations end to end: real tokens and reviews, a real Lease, real versions of a real key. Each test has its own key. */
import { describe, expect, inject, test } from 'vitest'
import type { KeyReport, RotationReport } from '../../src/contract.ts'
import type { SendDecorator } from '../../src/external/send.ts'
import type { Keyhole } from '../../src/testing/start-keyhole.ts'
import { expectStatus } from './call.ts'
import type { FleetPlace } from './fleet.ts'
import { contextOf, DATA_KEY } from './fleet.ts'
import { pathOf } from './kubernetes-operator.ts'
import { expectOnly } from './only.ts'
import { applyLease, estateOf, giveRights, leasePath } from './rotation-set-up.ts'
import type { RotationOptions, RotationWorld } from './rotation-world.ts'
import { rotate, startRotationWorld } from './rotation-world.ts'
import { until } from './until.ts'

const connection = inject('connection')

function open(name: string, secrets: number, options: RotationOptions = {}): Promise<RotationWorld> {
  return startRotationWorld(connection, estateOf(name, 2, secrets), options)
}

// Independent of each other, and some wait: they share their time.
describe.concurrent('a rotation', () => {
  test('moves every Secret, while its readers read on and notice nothing', async () => {
    await using world = await open('moving', 100)
    await using rotator = await world.startRotator()
    await using reader = await world.startReader()
    const before = await world.fleet.look()
    const readings = keepReading(reader, world)
    await readings.isGoing
    const { answer, report } = await rotate(rotator, world)
    const read = await readings.stop()
    expect(answer).toBe('200')
    expect(keyOf(report)).toMatchObject({ complete: true, resumed: false, from: 1, to: 2, advance: 'made' })
    expect(outcomesOf(report)).toEqual({ rewrapped: 200 })
    await expectOnly(world.fleet, before, { version: 2 })
    expect(new Set(read.map(({ answer }) => answer))).toEqual(new Set(['200 as it was']))
    expect(read.filter(({ during }) => during).length).toBeGreaterThan(10)
  })

  test('retires, with a grace of 1, at the second rotation; then an old ciphertext opens no more and is no more moved', async () => {
    await using world = await open('grace-one', 3)
    await using rotator = await world.startRotator()
    const before = await world.fleet.look()
    const first = await rotate(rotator, world)
    expect(keyOf(first.report)?.retirement).toMatchObject({ done: false, why: 'nothing-older' })
    expect(await world.fleet.key()).toEqual({ latest: 2, min: 1 })
    const second = await rotate(rotator, world)
    expect(keyOf(second.report)?.retirement).toMatchObject({ done: true, why: 'raised' })
    expect(await world.fleet.key()).toEqual({ latest: 3, min: 2 })
    await expectOnly(world.fleet, before, { version: 3 })
    // Started after the raise, so that it has to find out that the key is derived by a version that still decrypts.
    await using reader = await world.startReader()
    const [restored, other] = world.fleet.places as [FleetPlace, FleetPlace]
    await putBack(world, restored, before.get(idOf(restored))?.ciphertext ?? '')
    expect(await read(reader, world, restored)).toBe('422 CIPHERTEXT_REJECTED')
    expect(await read(reader, world, other)).toBe('200 as it was')
    const third = await rotate(rotator, world)
    expect(third.answer).toBe('500 ROTATION_INCOMPLETE')
    expect(blockedOf(third.report)).toEqual({ [idOf(restored)]: 'TOO_OLD' })
    expect(keyOf(third.report)?.retirement).toMatchObject({ done: false, why: 'secrets-blocked' })
    expect(await world.fleet.key()).toEqual({ latest: 4, min: 2 })
  })

  test('retires, with a grace of 0, at the first', async () => {
    await using world = await open('grace-none', 3, { grace: 0 })
    await using rotator = await world.startRotator()
    const before = await world.fleet.look()
    expect((await rotate(rotator, world)).answer).toBe('200')
    expect(await world.fleet.key()).toEqual({ latest: 2, min: 2 })
    await expectOnly(world.fleet, before, { version: 2 })
  })

  test('never retires where others may encrypt', async () => {
    await using world = await open('shared', 1, { grace: 0, exclusive: false })
    await using rotator = await world.startRotator()
    const { report } = await rotate(rotator, world)
    expect(keyOf(report)?.retirement).toMatchObject({ done: false, why: 'not-exclusive' })
    expect(await world.fleet.key()).toEqual({ latest: 2, min: 1 })
  })

  test('changes nothing when it is a dry run, and says what it would', async () => {
    await using world = await open('dry', 3, { grace: 0 })
    await using rotator = await world.startRotator()
    const before = await world.fleet.look()
    const { answer, report } = await rotate(rotator, world, { dryRun: true })
    expect(answer).toBe('200')
    expect(keyOf(report)).toMatchObject({ to: 2, minDecryptionVersion: { before: 1, after: 2 } })
    expect(outcomesOf(report)).toEqual({ rewrapped: 6 })
    expect(await world.fleet.look()).toEqual(before)
    expect(await world.fleet.key()).toEqual({ latest: 1, min: 1 })
    const lease = await world.operator.kubernetes.call('GET', leasePath(world.fleet.estate.lease))
    expect(lease.status).toBe(404)
  })

  test('makes no version when it only rewraps to one that Vault made by itself', async () => {
    await using world = await open('rewrapped', 3)
    await using rotator = await world.startRotator()
    const before = await world.fleet.look()
    await world.operator.vault.rotateTransitKey(world.fleet.estate.key)
    const { answer, report } = await rotate(rotator, world, { mode: 'rewrap' })
    expect(answer).toBe('200')
    expect(keyOf(report)).toMatchObject({ from: 2, to: 2, advance: 'not-asked' })
    await expectOnly(world.fleet, before, { version: 2 })
    const moved = await world.fleet.look()
    expect(outcomesOf((await rotate(rotator, world, { mode: 'rewrap' })).report)).toEqual({ current: 6 })
    expect(await world.fleet.look()).toEqual(moved)
    expect((await world.fleet.key()).latest).toBe(2)
  })

  test('makes no version within the interval, and is refused once there is nothing to do', async () => {
    await using world = await open('recent', 1, { minInterval: '1h' })
    await using rotator = await world.startRotator()
    const first = await rotate(rotator, world)
    expect([first.answer, keyOf(first.report)?.advance]).toEqual(['200', 'recent'])
    const second = await rotate(rotator, world)
    expect(second.answer).toBe('429 ROTATED_RECENTLY')
    expect(Number(second.retryAfter)).toBeGreaterThan(3_000)
    expect((await world.fleet.key()).latest).toBe(1)
  })

  test('retires a compromised version at once, within the interval and whatever the grace, after looking for a minute', async () => {
    await using world = await open('compromised', 3, { grace: 5, minInterval: '1h' })
    await using rotator = await world.startRotator()
    const before = await world.fleet.look()
    const startedMs = performance.now()
    const { answer, report } = await rotate(rotator, world, { retire: 'now' })
    expect(answer).toBe('200')
    expect(performance.now() - startedMs).toBeGreaterThan(60_000)
    expect(keyOf(report)).toMatchObject({ advance: 'made', retirement: { done: true, why: 'raised' } })
    expect(await world.fleet.key()).toEqual({ latest: 2, min: 2 })
    await expectOnly(world.fleet, before, { version: 2 })
  })

  test('reports what became of Secrets that somebody changed under its hands, and moves the others', async () => {
    await using world = await open('meddled', 3, { grace: 0 })
    const { kubernetes } = world.operator
    const [gone, frozen, garbage, pasted, rewritten, untouched] = world.fleet.places as Six<FleetPlace>
    const before = await world.fleet.look()
    const ciphertextOf = (place: FleetPlace) => before.get(idOf(place))?.ciphertext ?? ''
    let meddled = false
    await using rotator = await world.startRotator({
      surroundings: {
        // Between the reads and the writes: once the first rewrap has been answered, and before anybody hears of it.
        decorate: (send) => async (request, signal) => {
          const answer = await send(request, signal)
          if (!meddled && request.path.includes('/transit/rewrap/')) {
            meddled = true
            await kubernetes.deleteSecret(gone)
            await patch(world, frozen, { immutable: true })
            await putBack(world, garbage, 'not what Vault makes')
            await putBack(world, pasted, ciphertextOf(untouched))
            await putBack(world, rewritten, await encrypted(world, rewritten, '{"PASSWORD": "new"}'))
          }
          return answer
        },
      },
    })
    const { answer, report } = await rotate(rotator, world)
    expect(answer).toBe('500 ROTATION_INCOMPLETE')
    expect(blockedOf(report)).toEqual({
      [idOf(gone)]: 'SECRET_MISSING',
      [idOf(frozen)]: 'IMMUTABLE',
      [idOf(garbage)]: 'MALFORMED',
      [idOf(pasted)]: 'FOREIGN',
    })
    expect(keyOf(report)?.retirement).toMatchObject({ done: false, why: 'secrets-blocked' })
    const after = await world.fleet.look()
    expect(after.get(idOf(frozen))?.ciphertext).toBe(ciphertextOf(frozen))
    expect(after.get(idOf(rewritten))).toMatchObject({ version: 2, value: '{"PASSWORD": "new"}' })
    expect(after.get(idOf(untouched))).toMatchObject({ version: 2, value: world.fleet.plaintextOf(untouched) })
    expect(await world.fleet.key()).toEqual({ latest: 2, min: 1 })
  })

  test('happens once when three rotators are asked at once', async () => {
    await using world = await open('thrice', 20)
    const before = await world.fleet.look()
    const othersAnswered = Promise.withResolvers<void>()
    let isOneHeld = false
    // Once the one is done, the Lease is free again for whoever was too slow to find it taken.
    const decorate: SendDecorator = (send) => async (request, signal) => {
      if (!isOneHeld && request.path.includes('/transit/rewrap/')) {
        isOneHeld = true
        await othersAnswered.promise
      }
      return send(request, signal)
    }
    const start = () => world.startRotator({ surroundings: { decorate } })
    const rotators = await Promise.all([start(), start(), start()])
    try {
      let count = 0
      const asked = rotators.map(async (rotator) => {
        const answer = await rotate(rotator, world)
        count += 1
        if (count === 2) othersAnswered.resolve()
        return answer
      })
      const answered = await Promise.all(asked)
      const answers = answered.map(({ answer }) => answer).toSorted()
      expect(answers).toEqual(['200', '409 ROTATION_IN_PROGRESS', '409 ROTATION_IN_PROGRESS'])
      for (const { answer, retryAfter } of answered) if (answer !== '200') expect(Number(retryAfter)).toBeGreaterThan(0)
    } finally {
      for (const rotator of rotators) await rotator.stop()
    }
    await expectOnly(world.fleet, before, { version: 2 })
    expect((await world.fleet.key()).latest).toBe(2)
  })
})

describe.concurrent('the Lease', () => {
  test('is made by the first rotation, and nobody holds it afterwards', async () => {
    await using world = await open('lease-made', 1)
    await using rotator = await world.startRotator()
    expect((await rotate(rotator, world)).answer).toBe('200')
    const lease = await leaseOf(world)
    expect(lease.spec.holderIdentity ?? '').toBe('')
    expect(lease.metadata.annotations?.['keyhole.dev/rotation']).toContain('"complete":true')
  })

  test('is taken as the manifests bring it, without the right to make one, and keeps its labels', async () => {
    await using world = await open('lease-given', 1)
    await applyLease(world.operator, world.fleet.estate)
    await giveRights(world.operator, world.fleet.estate, ['createLease'])
    await using rotator = await world.startRotator()
    expect((await rotate(rotator, world)).answer).toBe('200')
    expect((await leaseOf(world)).metadata.labels).toEqual({ 'app.kubernetes.io/name': 'keyhole' })
  })

  test('keeps a second rotator out while the first one works, and tells it how far that is', async () => {
    await using world = await open('lease-held', 1, { grace: 5 })
    await using first = await world.startRotator()
    await using second = await world.startRotator()
    // A retirement at once looks again after a minute: so long it holds the Lease, which it has to renew.
    const running = rotate(first, world, { retire: 'now' })
    // Whoever asks too early is the first one.
    const works = async () => {
      const lease = await leaseOf(world).catch(() => undefined)
      return (lease?.spec.holderIdentity ?? '') !== ''
    }
    await until('the first one works', works)
    const isKeptOut = async () => (await rotate(second, world)).answer === '409 ROTATION_IN_PROGRESS'
    await until('the second rotator is kept out', isKeptOut)
    const refused = await rotate(second, world)
    expect(refused.json['progress']).toMatchObject({ total: 2 })
    expect((await running).answer).toBe('200')
    expect((await rotate(second, world, { mode: 'rewrap' })).answer).toBe('200')
  })
})

type Six<T> = readonly [T, T, T, T, T, T]

function idOf({ namespace, name }: FleetPlace): string {
  return `${namespace}/${name}`
}

function keyOf(report: RotationReport | undefined): KeyReport | undefined {
  expect(report?.keys).toHaveLength(1)
  return report?.keys[0]
}

function outcomesOf(report: RotationReport | undefined): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { outcome } of keyOf(report)?.secrets ?? []) counts[outcome] = (counts[outcome] ?? 0) + 1
  return counts
}

function blockedOf(report: RotationReport | undefined): Readonly<Record<string, string | undefined>> {
  const blocked = keyOf(report)?.secrets.filter(({ outcome }) => outcome === 'blocked') ?? []
  return Object.fromEntries(blocked.map(({ namespace, name, code }) => [`${namespace}/${name}`, code]))
}

async function read(reader: Keyhole, { readerToken, fleet }: RotationWorld, place: FleetPlace): Promise<string> {
  const headers = { authorization: `Bearer ${readerToken}` }
  const reply = await fetch(`${reader.url}/secrets/${place.name}.${place.namespace}`, { headers })
  const json = (await reply.json()) as Record<string, unknown>
  if (!reply.ok) return `${reply.status} ${String(json['code'])}`
  return `200 ${JSON.stringify(json['data']) === fleet.plaintextOf(place) ? 'as it was' : 'CHANGED'}`
}

interface Reading {
  readonly answer: string
  /** The rotation had made its version by then. */
  readonly during: boolean
}

/** Four clients, each reading one Secret after the other. */
function keepReading(reader: Keyhole, world: RotationWorld) {
  const readings: Reading[] = []
  let going = true
  const begun = Promise.withResolvers<void>()
  const clients = [0, 1, 2, 3].map(async (client) => {
    for (let turn = client; going; turn += 1) {
      const place = world.fleet.places[turn % world.fleet.places.length] as FleetPlace
      const answer = await read(reader, world, place)
      readings.push({ answer, during: going })
      begun.resolve()
    }
  })
  return {
    isGoing: begun.promise,
    async stop(): Promise<readonly Reading[]> {
      going = false
      await Promise.all(clients)
      return readings
    },
  }
}

/** Writes this ciphertext, as whoever restores a backup does. */
function putBack(world: RotationWorld, place: FleetPlace, ciphertext: string): Promise<unknown> {
  return patch(world, place, { data: { [DATA_KEY]: Buffer.from(ciphertext).toString('base64') } })
}

function patch({ operator }: RotationWorld, place: FleetPlace, change: object): Promise<unknown> {
  const path = pathOf('secrets', place)
  return expectStatus(operator.kubernetes.call('PATCH', path, change, 'application/merge-patch+json'))
}

function encrypted({ operator, fleet }: RotationWorld, place: FleetPlace, value: string): Promise<string> {
  return operator.vault.encrypt(fleet.estate.key, value, contextOf(place))
}

interface FoundLease {
  readonly metadata: {
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly spec: { readonly holderIdentity?: string }
}

function leaseOf({ operator, fleet }: RotationWorld): Promise<FoundLease> {
  return expectStatus(operator.kubernetes.call<FoundLease>('GET', leasePath(fleet.estate.lease)))
}

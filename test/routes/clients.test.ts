/** Clients that leave, linger or come in crowds: their places, their plaintext, and everybody else's answers. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Services } from '../../src/app.ts'
import type { Face } from '../http/face.ts'
import { face } from '../http/face.ts'
import type { Line } from '../http/line.ts'
import { dial, get } from '../http/line.ts'
import { ask, problem } from './ask.ts'
import { until } from './rotation-world.ts'
import type { World } from './world.ts'
import { hold, startWorld } from './world.ts'

/** More than every buffer between keyhole and a reader that does not read. */
const LARGE = Buffer.alloc(8 * 1024 * 1024, 'x')
const PATH = '/secrets/tls?key=tls.crt'

let world: World
let watched: Face
const bodies: Buffer[] = []

beforeAll(async () => {
  world = await startWorld()
  watched = await face(world, {}, (services) => enlarged(services, bodies))
})
afterAll(async () => {
  await watched.stop()
  await world.stop()
})
afterEach(() => void bodies.splice(0))

/** Discloses far more than there is, and remembers it, to look at it when it should be gone. */
function enlarged(services: Services, kept: Buffer[]): Services {
  const { reading } = services
  if (reading === undefined) return services
  return {
    ...services,
    reading: {
      ...reading,
      disclose(opened) {
        const body = Buffer.from(LARGE)
        kept.push(body)
        return { ...reading.disclose(opened), body, [Symbol.dispose]: () => void body.fill(0) }
      },
    },
  }
}

const turnstile = () => world.serving.wired.services.turnstile

async function nobodyInside(): Promise<void> {
  while (turnstile().inside() + turnstile().waiting() > 0) await new Promise(setImmediate)
}

function wiped(): boolean {
  return bodies.every((body) => body.equals(Buffer.alloc(body.length)))
}

const asApi = () => ({ Authorization: `Bearer ${world.tokenOf('api')}`, Accept: 'application/octet-stream' })

/** A reader that takes the first of its answer and no more. */
async function stalled(): Promise<Line> {
  const line = await dial(watched.url)
  const first = new Promise((resolve) => line.socket.once('data', resolve))
  line.send(get(PATH, asApi()))
  await first
  line.socket.pause()
  return line
}

describe('a client that reads slowly', () => {
  it('gets its answer whole and unwiped, and then the buffer is wiped', async () => {
    const line = await stalled()
    expect(turnstile().inside()).toBe(1)
    expect(wiped()).toBe(false)
    line.socket.resume()
    const { status, body } = await line.answer()
    expect([status, body.equals(LARGE)]).toEqual([200, true])
    await nobodyInside()
    expect([bodies.length, wiped()]).toEqual([1, true])
    await line[Symbol.asyncDispose]()
  })

  it('keeps its place until it leaves in the middle; then the place is free and the buffer wiped', async () => {
    const line = await stalled()
    line.socket.resetAndDestroy()
    await nobodyInside()
    expect([bodies.length, wiped()]).toEqual([1, true])
  })

  it('is cut off when its time is over', async () => {
    const line = await stalled()
    await world.clock.advance(15_000)
    await nobodyInside()
    expect(wiped()).toBe(true)
    await line[Symbol.asyncDispose]()
  })

  it('costs no other client its answer', async () => {
    const line = await stalled()
    expect((await ask(watched.url, '/secrets', { token: world.tokenOf('api') })).status).toBe(200)
    line.socket.destroy()
    await nobodyInside()
  })
})

describe('a client that leaves', () => {
  it('during the review ends it, gives its place back, and is recorded as nobody', async () => {
    const review = hold(world.kubernetes, /tokenreviews/)
    const line = await dial(watched.url)
    line.send(get(PATH, asApi()))
    await review.arrived
    line.socket.destroy()
    await nobodyInside()
    review.release()
    expect(bodies).toEqual([])
    await world.clock.advance(1_000)
    await until(async () => (await world.auditRecords()).at(-1)?.['kind'] === 'refusals')
    expect((await world.auditRecords()).at(-1)).toMatchObject({ counts: { ABANDONED: 1 } })
  })

  it('during the decryption is recorded as such, and what was decrypted is wiped', async () => {
    const decryption = hold(world.vault, /decrypt/)
    const line = await dial(watched.url)
    line.send(get(PATH, asApi()))
    await decryption.arrived
    line.socket.destroy()
    await nobodyInside()
    decryption.release()
    await until(async () => (await world.auditRecords()).at(-1)?.['outcome'] === 'abandoned')
    expect((await world.auditRecords()).at(-1)).toMatchObject({ kind: 'decision', keys: [] })
    expect(wiped()).toBe(true)
  })

  it('with requests in its pipeline gives every place back', async () => {
    const known = asApi()
    await ask(watched.url, '/secrets', { token: known.Authorization.slice('Bearer '.length) })
    const review = hold(world.kubernetes, /tokenreviews/)
    const line = await dial(watched.url)
    line.send(get(PATH, asApi()) + get(PATH, known) + get(PATH, known))
    await review.arrived
    while (bodies.length < 2) await new Promise(setImmediate)
    expect(turnstile().inside()).toBe(3)
    line.socket.destroy()
    await nobodyInside()
    review.release()
    // Those whose record was being written when the client left are wiped once it is.
    while (!wiped()) await new Promise(setImmediate)
  })

  it('is no error of keyhole, and no success', async () => {
    const earlier = await repliesBy(world)
    const review = hold(world.kubernetes, /tokenreviews/)
    const line = await dial(watched.url)
    line.send(get(PATH, asApi()))
    await review.arrived
    line.socket.destroy()
    await nobodyInside()
    review.release()
    const later = await repliesBy(world)
    expect(later('499') - earlier('499')).toBe(1)
    expect(later('200') - earlier('200')).toBe(0)
    expect(
      world.logLines.filter((text) => /"level":"(error|warn)"/.test(text) && /client-gone|refused/.test(text)),
    ).toEqual([])
  })

  it('while it waits for its turn is no error either, and is counted', async () => {
    await using small = await startWorld({
      settings: { KEYHOLE_REQUESTS_IN_FLIGHT: '1', KEYHOLE_REQUESTS_WAITING: '2' },
    })
    const { turnstile: places } = small.serving.wired.services
    const review = hold(small.kubernetes, /tokenreviews/)
    const headers = { Authorization: `Bearer ${small.tokenOf('api')}` }
    await using first = await dial(small.url)
    first.send(get('/secrets', headers))
    await review.arrived
    const second = await dial(small.url)
    second.send(get('/secrets', headers))
    while (places.waiting() === 0) await new Promise(setImmediate)
    second.socket.destroy()
    while (places.waiting() > 0) await new Promise(setImmediate)
    review.release()
    expect((await first.answer()).status).toBe(200)
    await small.clock.advance(1_000)
    await until(async () => (await small.auditRecords()).some(({ kind }) => kind === 'refusals'))
    expect(await small.auditRecords()).toContainEqual(
      expect.objectContaining({ kind: 'refusals', counts: { ABANDONED: 1 } }),
    )
    expect(small.logLines.filter((text) => /"level":"error"/.test(text))).toEqual([])
    const metrics = await (await fetch(`${small.managementUrl}/metrics`)).text()
    expect(metrics).not.toMatch(/^keyhole_refusals_total\{.*\} [1-9]/m)
  })
})

/** Replies by status, as /metrics counts them. */
async function repliesBy({ managementUrl }: World): Promise<(status: string) => number> {
  const text = await (await fetch(`${managementUrl}/metrics`)).text()
  return (status) =>
    [...text.matchAll(/^keyhole_replies_total\{route="[^"]*",status="(\d+)"\} (\d+)$/gm)]
      .filter(([, code]) => code === status)
      .reduce((sum, [, , count]) => sum + Number(count), 0)
}

describe('a crowd', () => {
  it('from one address has half of the places, waits for half of the queue, and beyond that is refused', async () => {
    await using small = await startWorld({
      settings: { KEYHOLE_REQUESTS_IN_FLIGHT: '4', KEYHOLE_REQUESTS_WAITING: '4' },
    })
    const { turnstile: places } = small.serving.wired.services
    const review = hold(small.kubernetes, /tokenreviews/)
    const headers = { Authorization: `Bearer ${small.tokenOf('api')}` }
    const lines = await Promise.all(Array.from({ length: 4 }, () => dial(small.url)))
    for (const line of lines) line.send(get('/secrets', headers))
    while (places.waiting() < 2) await new Promise(setImmediate)
    const refused = await ask(small.url, '/secrets', { headers })
    expect([problem(refused).code, refused.headers['retry-after'], places.inside(), places.waiting()]).toEqual([
      'OVERLOADED',
      '1',
      2,
      2,
    ])
    review.release()
    for (const line of lines) expect((await line.answer()).status).toBe(200)
    for (const line of lines) line.socket.destroy()
  })

  it('is told to come again when its turn does not come, rather than cut off', async () => {
    await using small = await startWorld({
      settings: { KEYHOLE_REQUESTS_IN_FLIGHT: '1', KEYHOLE_REQUESTS_WAITING: '2' },
      // A disk takes its own time, and this clock would not wait for it.
      audited: () => {},
    })
    const { turnstile: places } = small.serving.wired.services
    await using first = await dial(small.url)
    await using second = await dial(small.url)
    const leave = await places.enter('127.0.0.1', new AbortController().signal)
    first.send(get('/secrets', { Authorization: `Bearer ${small.tokenOf('api')}` }))
    while (places.waiting() === 0) await new Promise(setImmediate)
    await small.clock.advance(5_000)
    const refused = await first.answer()
    expect([refused.status, problem(refused).code, places.waiting()]).toEqual([503, 'OVERLOADED', 0])
    second.send(get('/secrets', { Authorization: `Bearer ${small.tokenOf('api')}` }))
    while (places.waiting() === 0) await new Promise(setImmediate)
    await small.clock.advance(4_999)
    leave()
    expect((await second.answer()).status).toBe(200)
  })

  it('with one token costs one review', async () => {
    await using fresh = await startWorld()
    const token = fresh.tokenOf('api')
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(fresh.url, '/secrets', { token })))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(fresh.kubernetes.requests.count('POST', /tokenreviews/)).toBe(1)
  })

  it('of two callers gets two answers, each its own', async () => {
    const tokens = [world.tokenOf('api'), world.tokenOf('stranger')]
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => ask(world.url, '/secrets', { token: tokens[index % 2] ?? '' })),
    )
    answers.forEach(({ body }, index) => {
      const { secrets } = JSON.parse(body.toString()) as { secrets: unknown[] }
      expect(secrets.length).toBe(index % 2 === 0 ? 11 : 0)
    })
  })
})

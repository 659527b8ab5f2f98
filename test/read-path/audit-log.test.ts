/** No record, no reply: an audit log that is full, closed, blocked or torn; and nobody fills it on purpose. */
import { mkdir, rename, rm } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { startKeyholeOn, startStandins } from '../../src/testing/start-keyhole.ts'
import { virtualClock } from '../virtual-clock.ts'
import type { Reply } from './call.ts'
import { DECRYPT, hold, REVIEWS, SECRET } from './faults.ts'
import type { FragileSink } from './sink.ts'
import { fragileSink } from './sink.ts'
import type { Line, Refusal, World } from './world.ts'
import { POLICY, startWorld, until } from './world.ts'

const UNAVAILABLE: Refusal = { status: 503, code: 'AUDIT_UNAVAILABLE', retryAfter: 2, by: 'nobody' }
const NOT_GRANTED: Refusal = { status: 403, code: 'NOT_GRANTED' }

async function startFragile(): Promise<{ world: World; sink: FragileSink }> {
  const sink = fragileSink()
  const world = await startWorld({ sink, unaccounted: true, settings: { KEYHOLE_AUDIT_TIMEOUT_MS: '1000' } })
  return { world, sink }
}

const ready = async ({ keyhole }: World): Promise<number> => (await fetch(`${keyhole.managementUrl}/readyz`)).status

const kinds = (records: readonly Line[]): unknown[] => records.map((record) => record['kind'])

describe.each<readonly [string, (sink: FragileSink) => void]>([
  ['full', (sink) => sink.fail('ENOSPC')],
  ['full in the middle of a line', (sink) => sink.fail('ENOSPC', true)],
  ['closed', (sink) => sink.fail('EPIPE')],
  ['failing for no reason that it gives', (sink) => sink.fail('')],
])('an audit log that is %s', (_title, breaks) => {
  test.each<readonly [string, (world: World) => Promise<Reply>]>([
    ['a read that is granted', (world) => world.ask('/secrets/db')],
    ['a list', (world) => world.ask('/secrets')],
    ['a refusal', (world) => world.ask('/secrets/db.payments', { as: 'stranger' })],
    ["a refusal for the Secret's sake", (world) => world.ask('/secrets/tls?key=ca.crt', { as: 'api' })],
  ])('lets %s go unanswered, and what follows cost nobody a call; mended, it serves again', async (_what, first) => {
    const { world, sink } = await startFragile()
    await using _world = world
    breaks(sink)
    world.refused(await first(world), UNAVAILABLE)
    world.calls.length = 0
    world.refused(await world.ask('/secrets/db'), UNAVAILABLE)
    world.refused(await world.ask('/secrets/db.payments', { as: 'stranger' }), UNAVAILABLE)
    expect(world.calls, 'what could not be recorded must not be decrypted').toEqual([])
    expect(await ready(world)).toBe(503)

    sink.mend()
    // The counts of what was refused meanwhile have to be written first, or keyhole is not healthy.
    await world.clock.advance(2_000)
    world.served(await world.ask('/secrets/db'))
    expect(await ready(world)).toBe(200)
    const mended = world.records().find((record) => record['kind'] === 'start' && record['cause'] === 'mended')
    expect(mended).toMatchObject({ refusedAppends: 1 })
  })

  test('answers a 304 no more than it answers a 200', async () => {
    const { world, sink } = await startFragile()
    await using _world = world
    const { headers } = await world.ask('/secrets/db')
    breaks(sink)
    const reply = await world.ask('/secrets/db', { headers: { 'if-none-match': headers['etag'] ?? '' } })
    world.refused(reply, UNAVAILABLE)
    sink.mend()
    await world.clock.advance(3_000)
    world.served(await world.ask('/secrets/db'))
  })

  test('still refuses who shows no token, and counts it once mended', async () => {
    const { world, sink } = await startFragile()
    await using _world = world
    breaks(sink)
    world.refused(await world.ask('/secrets/db', { token: 'no-token-at-all' }), {
      status: 401,
      code: 'TOKEN_REJECTED',
      by: 'nobody',
    })
    await world.clock.advance(1_000)
    world.refused(await world.ask('/secrets/db'), UNAVAILABLE)
    sink.mend()
    await world.clock.advance(3_000)
    world.served(await world.ask('/secrets/db'))
    const counted = world.records().filter((record) => record['kind'] === 'refusals')
    expect(counted.map((record) => record['counts']['TOKEN_REJECTED'])).toContain(1)
  })
})

describe('an audit log that is blocked', () => {
  test('costs the first its second, the others nothing, and serves again once it moves', async () => {
    const { world, sink } = await startFragile()
    await using _world = world
    sink.block()
    const waiting = world.ask('/secrets/db')
    await until(() => sink.waiting() > 0)
    await world.clock.advance(1_000)
    world.refused(await waiting, UNAVAILABLE)
    world.calls.length = 0
    world.refused(await world.ask('/secrets/db'), UNAVAILABLE)
    expect(world.calls).toEqual([])
    expect(await ready(world)).toBe(503)
    sink.mend()
    await world.clock.advance(2_000)
    world.served(await world.ask('/secrets/db'))
  })

  test('may say afterwards that it disclosed what nobody got, and never the other way round', async () => {
    const { world, sink } = await startFragile()
    await using _world = world
    sink.block()
    const waiting = world.ask('/secrets/db')
    await until(() => sink.waiting() > 0)
    await world.clock.advance(1_000)
    const reply = await waiting
    expect(reply.status).toBe(503)
    sink.mend()
    await until(() => world.records().some((record) => record['requestId'] === reply.requestId))
    expect(world.records().at(-1)).toMatchObject({ requestId: reply.requestId, outcome: 'disclosed' })
  })

  test('while a refusal leaves holds that back, too', async () => {
    const { world, sink } = await startFragile()
    await using _world = world
    sink.block()
    let answered = false
    const waiting = world.ask('/secrets/nothing').finally(() => {
      answered = true
    })
    await until(() => sink.waiting() > 0)
    await world.clock.advance(999)
    expect(answered).toBe(false)
    sink.mend()
    world.refused(await waiting, { ...NOT_GRANTED, why: 'no-such-grant' })
  })
})

test('an audit file whose place was taken by a directory fails closed, and goes on once it is back', async () => {
  await using world = await startWorld({ audit: 'file' })
  const file = `${world.keyhole.directory}/audit.log`
  expect((await world.ask('/secrets/db')).status).toBe(200)
  await rename(file, `${file}.1`)
  await mkdir(file)
  expect((await world.ask('/secrets/db')).problem().code).toBe('AUDIT_UNAVAILABLE')
  world.calls.length = 0
  expect((await world.ask('/secrets/db')).problem().code).toBe('AUDIT_UNAVAILABLE')
  expect(world.calls).toEqual([])
  await rm(file, { recursive: true })
  await rename(`${file}.1`, file)
  await world.clock.advance(250)
  await until(() => world.keyhole.serving.wired.health.ready())
  expect((await world.ask('/secrets/db')).status).toBe(200)
  expect(kinds(await world.keyhole.auditRecords()).slice(0, 2)).toEqual(['start', 'decision'])
})

test.each([
  ['a device that is always full', 'file:/dev/full'],
  ['a directory', 'file:/tmp'],
  ['a path that leads nowhere', 'file:/nowhere/audit.log'],
])('an audit log that is %s stops the start', async (_title, setting) => {
  const clock = virtualClock()
  await using standins = await startStandins(clock)
  const starting = startKeyholeOn(standins.upstreams, { clock, policy: POLICY, settings: { KEYHOLE_AUDIT: setting } })
  await expect(starting).rejects.toThrow(/audit sink: (?:not-a-file|EISDIR|ENOENT)\b/)
  expect(standins.kubernetes.requests.entries()).toEqual([])
})

describe('nobody fills it', () => {
  /** So many at a time. */
  async function flood(times: number, ask: () => Promise<Reply>): Promise<Reply[]> {
    const replies: Reply[] = []
    while (replies.length < times) replies.push(...(await Promise.all(Array.from({ length: 20 }, ask))))
    return replies
  }

  test('by a thousand bad tokens: they are one line, and cost no call', async () => {
    await using world = await startWorld()
    world.calls.length = 0
    const before = world.records().length
    const replies = await flood(1_000, () => world.ask('/secrets/db', { token: 'not.a.token' }))
    expect(new Set(replies.map(({ status, text }) => `${status} ${text}`)).size).toBe(1)
    await world.clock.advance(1_000)
    expect(world.calls).toEqual([])
    expect(world.records().slice(before)).toEqual([
      expect.objectContaining({
        kind: 'refusals',
        counts: { TOKEN_REJECTED: 1_000 },
        peers: { distinct: 1, untold: 0, top: [{ peer: '127.0.0.1', count: 1_000 }] },
      }),
    ])
    await world.bystander()
  })

  test('by tokens that only the API server can refuse: one line a second', async () => {
    await using world = await startWorld()
    const forged = () => {
      const token = world.tokenOf('api').split('.')
      return world.ask('/secrets/db', { token: [...token.slice(0, 2), 'c2lnbmF0dXJl'].join('.') })
    }
    const before = world.records().length
    for (const reply of await flood(60, forged)) {
      world.refused(reply, { status: 401, code: 'TOKEN_REJECTED', by: 'nobody' })
    }
    await world.clock.advance(1_000)
    expect(world.records().slice(before)).toEqual([expect.objectContaining({ counts: { TOKEN_REJECTED: 60 } })])
  })

  test('by being refused as somebody: beyond twenty it is 429 and one line, and what is granted is served', async () => {
    await using world = await startWorld()
    const token = world.tokenOf('reports')
    const refused = () => world.ask('/secrets/nothing', { token })
    for (let times = 0; times < 20; times += 1) world.refused(await refused(), { ...NOT_GRANTED, by: 'reports' })
    const before = world.records().length
    const limited = await flood(40, refused)
    for (const reply of limited) {
      world.refused(reply, { status: 429, code: 'RATE_LIMITED', retryAfter: 1, by: 'nobody' })
    }
    expect(new Set(limited.map(({ text }) => text)).size, 'not a byte of difference').toBe(1)
    world.refused(await world.ask('/secrets/nothing', { as: 'stranger' }), { ...NOT_GRANTED, by: 'stranger' })
    await world.bystander()
    await world.clock.advance(1_000)
    const throttled = world
      .records()
      .slice(before)
      .filter((record) => record['kind'] === 'throttled')
    expect(throttled.map((record) => record['callers'])).toEqual([
      [{ namespace: 'bi', serviceAccount: 'reports', counts: { NOT_GRANTED: 40 } }],
    ])
    world.refused(await refused(), { ...NOT_GRANTED, by: 'reports' })
  })

  test('and an outage is not called the mistake of whoever met it', async () => {
    await using world = await startWorld()
    world.vault.seal()
    const replies = await flood(40, () => world.ask('/secrets/db'))
    expect(new Set(replies.map((reply) => reply.problem().code))).toEqual(new Set(['VAULT_SEALED']))
    const told = world.records().filter((record) => record['code'] === 'VAULT_SEALED')
    expect(told).toHaveLength(20)
  })
})

describe('records', () => {
  test('name the policy that refused, and the one that does later', async () => {
    await using world = await startWorld()
    const before = await world.ask('/secrets/books', { as: 'stranger' })
    world.refused(before, { ...NOT_GRANTED, by: 'stranger' })
    const hash = world.records().at(-1)?.['policyHash']
    await world.keyhole.writePolicy({ 'bystander.yaml': POLICY['bystander.yaml'] ?? '' })
    world.refused(await world.ask('/secrets/db'), { ...NOT_GRANTED, why: 'no-such-grant' })
    expect(world.records().at(-1)?.['policyHash']).not.toBe(hash)
  })

  test('name no key that was not granted, and no name that is none', async () => {
    await using world = await startWorld()
    world.secret('what somebody pasted', 'pasted-where-it-does-not-belong')
    const pasted = await world.ask('/secrets/db?key=PGHOST&key=pasted-where-it-does-not-belong')
    world.refused(pasted, { ...NOT_GRANTED, why: 'key-not-granted' })
    expect(world.records().at(-1)).toMatchObject({ keys: [], otherKeys: 2 })
  })

  test('tell of a client that left while Vault was asked: abandoned, and its call is aborted', async () => {
    await using world = await startWorld()
    const held = hold(world.vault, { path: DECRYPT })
    const leaving = new AbortController()
    const gone = world.ask('/secrets/db', { signal: leaving.signal })
    await held.arrived
    leaving.abort()
    await expect(gone).rejects.toThrow('aborted')
    await held.left
    await until(() => world.records().some((record) => record['outcome'] === 'abandoned'))
    expect(world.records().at(-1)).toMatchObject({
      caller: { serviceAccount: 'api' },
      secret: { namespace: 'payments', name: 'db' },
      keys: [],
    })
    held.release()
    world.served(await world.ask('/secrets/db'))
  })

  test('tell of a deadline that passed over three slow answers, each in its own time', async () => {
    await using world = await startWorld()
    const slow = [hold(world.kubernetes, { path: REVIEWS }), hold(world.kubernetes, { path: SECRET })] as const
    const last = hold(world.vault, { path: DECRYPT })
    const reply = world.ask('/secrets/db')
    for (const held of slow) {
      await held.arrived
      await world.clock.advance(1_900)
      held.release()
    }
    await last.arrived
    await world.clock.advance(1_199)
    await world.bystander()
    await world.clock.advance(1)
    world.refused(await reply, { status: 504, code: 'DEADLINE', retryAfter: 1, why: 'deadline-passed' })
    expect(world.records().find((record) => record['code'] === 'DEADLINE')).toMatchObject({ durationMs: 5_000 })
    last.release()
    world.served(await world.ask('/secrets/db'))
  })
})

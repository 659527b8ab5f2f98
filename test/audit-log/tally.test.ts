import { describe, expect, it } from 'vitest'
import type { AuditRecord, Refusals, Throttled } from '../../src/audit-log/record.ts'
import { refusalLimit } from '../../src/audit-log/refusal-limit.ts'
import { refusalTally, throttleTally } from '../../src/audit-log/tally.ts'
import { settled, virtualClock } from '../virtual-clock.ts'

function bench() {
  const clock = virtualClock()
  const records: AuditRecord[] = []
  const log = { failing: false }
  async function append(record: AuditRecord): Promise<void> {
    if (log.failing) throw new Error('full')
    records.push(record)
  }
  return { clock, records, log, append, t0: clock.now() }
}

function only<T extends AuditRecord>(records: readonly AuditRecord[]): T {
  const [record] = records
  if (record === undefined || records.length !== 1) throw new Error(`${records.length} records`)
  return record as T
}

const API = { namespace: 'payments', serviceAccount: 'api' }

describe('refusals of nobody in particular', () => {
  it('are one record a second, however many, from the first on', async () => {
    const { clock, records, append, t0 } = bench()
    const tally = refusalTally({ clock, append })
    for (let index = 0; index < 10_000; index += 1) tally.count('TOKEN_MISSING', `10.0.0.${index % 3}`)
    tally.count('TOKEN_REJECTED', '10.0.0.9')
    await clock.advance(999)
    expect(records).toEqual([])
    await clock.advance(1)
    expect(only<Refusals>(records)).toEqual({
      kind: 'refusals',
      timeMs: t0 + 1000,
      sinceMs: t0,
      counts: new Map([
        ['TOKEN_MISSING', 10_000],
        ['TOKEN_REJECTED', 1],
      ]),
      peers: {
        distinct: 4,
        untold: 0,
        top: [
          { peer: '10.0.0.0', count: 3334 },
          { peer: '10.0.0.1', count: 3333 },
          { peer: '10.0.0.2', count: 3333 },
          { peer: '10.0.0.9', count: 1 },
        ],
      },
    })
    await clock.advance(10_000)
    expect(records).toHaveLength(1)
    expect(clock.timers()).toBe(0)
  })

  it('begin a new second with the next', async () => {
    const { clock, records, append, t0 } = bench()
    const tally = refusalTally({ clock, append })
    tally.count('TOKEN_MISSING', 'a')
    await clock.advance(5000)
    tally.count('TOKEN_MISSING', 'b')
    await clock.advance(1000)
    expect(records).toMatchObject([
      { sinceMs: t0, counts: new Map([['TOKEN_MISSING', 1]]) },
      { sinceMs: t0 + 5000, counts: new Map([['TOKEN_MISSING', 1]]), peers: { top: [{ peer: 'b' }] } },
    ])
  })

  it('tell so many peers apart and no more, and name the five busiest', async () => {
    const { clock, records, append } = bench()
    const tally = refusalTally({ clock, append })
    for (let peer = 0; peer < 300; peer += 1) tally.count('TOKEN_MISSING', `peer-${peer}`)
    for (let peer = 0; peer < 8; peer += 1) {
      for (let times = 0; times <= peer; times += 1) tally.count('TOKEN_MISSING', `peer-${peer}`)
    }
    await clock.advance(1000)
    const { peers, counts } = only<Refusals>(records)
    expect(peers).toMatchObject({ distinct: 256, untold: 44 })
    expect(peers.top.map(({ peer }) => peer)).toEqual(['peer-7', 'peer-6', 'peer-5', 'peer-4', 'peer-3'])
    expect(counts.get('TOKEN_MISSING')).toBe(336)
  })

  it('are not lost by a log that fails: it is unhealthy until they are written', async () => {
    const { clock, records, log, append, t0 } = bench()
    const tally = refusalTally({ clock, append })
    log.failing = true
    for (let peer = 0; peer < 257; peer += 1) tally.count('TOKEN_MISSING', `peer-${peer}`)
    expect(tally.healthy()).toBe(true)
    await clock.advance(1500)
    expect(tally.healthy()).toBe(false)
    tally.count('OVERLOADED', 'peer-0')
    tally.count('TOKEN_MISSING', 'peer-0')
    await clock.advance(10_000)
    log.failing = false
    await clock.advance(1000)
    expect(tally.healthy()).toBe(true)
    const record = only<Refusals>(records)
    expect(record.sinceMs).toBe(t0)
    expect([...record.counts].sort(([a], [b]) => a.localeCompare(b))).toEqual([
      ['OVERLOADED', 1],
      ['TOKEN_MISSING', 258],
    ])
    expect(record.peers).toMatchObject({
      distinct: 256,
      untold: 1,
      top: [{ peer: 'peer-0', count: 3 }, {}, {}, {}, {}],
    })
  })

  it('counted while a write fails are kept with those that were being written', async () => {
    const { clock, records, t0 } = bench()
    const fate = Promise.withResolvers<void>()
    const fates = [fate.promise]
    const tally = refusalTally({
      clock,
      append: async (record) => {
        await fates.shift()
        records.push(record)
      },
    })
    tally.count('TOKEN_MISSING', 'a')
    await clock.advance(1000)
    tally.count('TOKEN_MISSING', 'b')
    fate.reject(new Error('full'))
    await settled()
    expect(clock.timers()).toBe(1)
    await clock.advance(1000)
    expect(only<Refusals>(records)).toMatchObject({
      sinceMs: t0,
      counts: new Map([['TOKEN_MISSING', 2]]),
      peers: { distinct: 2 },
    })
    expect(clock.timers()).toBe(0)
  })

  it('are written at once by a close, which counts no more', async () => {
    const { clock, records, log, append } = bench()
    const tally = refusalTally({ clock, append })
    await tally.close()
    expect(records).toEqual([])
    const other = refusalTally({ clock, append })
    other.count('TOKEN_MISSING', 'a')
    log.failing = true
    await other.close()
    expect(other.healthy()).toBe(false)
    other.count('TOKEN_MISSING', 'a')
    expect(clock.timers()).toBe(0)
  })
})

describe('refusals beyond a limit', () => {
  it('are one record a second that names callers and codes', async () => {
    const { clock, records, append, t0 } = bench()
    const tally = throttleTally({ clock, append })
    tally.count(API, 'NOT_GRANTED')
    tally.count(API, 'NOT_GRANTED')
    tally.count(API, 'KEY_MISSING')
    tally.count({ ...API, serviceAccount: 'web' }, 'NOT_GRANTED')
    await clock.advance(1000)
    expect(only<Throttled>(records)).toEqual({
      kind: 'throttled',
      timeMs: t0 + 1000,
      sinceMs: t0,
      callers: [
        {
          ...API,
          counts: new Map([
            ['NOT_GRANTED', 2],
            ['KEY_MISSING', 1],
          ]),
        },
        { ...API, serviceAccount: 'web', counts: new Map([['NOT_GRANTED', 1]]) },
      ],
      untold: 0,
    })
  })

  it('name so many callers and no more, and survive a log that fails', async () => {
    const { clock, records, log, append } = bench()
    const tally = throttleTally({ clock, append })
    log.failing = true
    for (let index = 0; index < 40; index += 1) tally.count({ ...API, serviceAccount: `sa-${index}` }, 'NOT_GRANTED')
    await clock.advance(1000)
    expect(tally.healthy()).toBe(false)
    for (let index = 0; index < 33; index += 1) tally.count({ ...API, serviceAccount: `new-${index}` }, 'NOT_GRANTED')
    log.failing = false
    await clock.advance(1000)
    const { callers, untold } = only<Throttled>(records)
    expect(callers).toHaveLength(32)
    expect(untold + callers.reduce((sum, { counts }) => sum + (counts.get('NOT_GRANTED') ?? 0), 0)).toBe(73)
  })
})

describe('the limit', () => {
  function limit(maxCallers = 100) {
    const clock = virtualClock()
    return { clock, within: refusalLimit({ clock, perSecond: 10, burst: 20, maxCallers }) }
  }

  it('lets a burst through and then so many a second', async () => {
    const { clock, within } = limit()
    expect(Array.from({ length: 25 }, () => within(API)).filter(Boolean)).toHaveLength(20)
    await clock.advance(99)
    expect(within(API)).toBe(false)
    await clock.advance(1)
    expect([within(API), within(API)]).toEqual([true, false])
    await clock.advance(1000)
    expect(Array.from({ length: 25 }, () => within(API)).filter(Boolean)).toHaveLength(10)
    await clock.advance(3_600_000)
    expect(Array.from({ length: 25 }, () => within(API)).filter(Boolean)).toHaveLength(20)
  })

  it('is each caller’s own', () => {
    const { within } = limit()
    for (let times = 0; times < 30; times += 1) within(API)
    expect(within({ ...API, namespace: 'billing' })).toBe(true)
    expect(within({ ...API, serviceAccount: 'web' })).toBe(true)
    expect(within(API)).toBe(false)
  })

  it('is not refilled by a clock that is set back', () => {
    let nowMs = 1_000_000
    const clock = { now: () => nowMs, after: () => () => undefined }
    const within = refusalLimit({ clock, perSecond: 10, burst: 1, maxCallers: 1 })
    expect(within(API)).toBe(true)
    nowMs = 0
    expect(within(API)).toBe(false)
    nowMs = 100
    expect(within(API)).toBe(true)
  })

  it('remembers so many callers, and forgets first whoever was refused longest ago', () => {
    const { within } = limit(2)
    const [a, b, c] = ['a', 'b', 'c'].map((serviceAccount) => ({ ...API, serviceAccount }))
    if (a === undefined || b === undefined || c === undefined) throw new Error('three callers')
    for (let times = 0; times < 20; times += 1) {
      within(a)
      within(b)
    }
    within(a)
    within(c)
    expect(within(a)).toBe(false)
    expect(within(b)).toBe(true)
  })
})

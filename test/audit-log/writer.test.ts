import { describe, expect, it } from 'vitest'
import { SinkError } from '../../src/audit-log/sink.ts'
import { verify } from '../../src/audit-log/verify.ts'
import type { WriterOptions } from '../../src/audit-log/writer.ts'
import { openWriter } from '../../src/audit-log/writer.ts'
import { KeyholeError } from '../../src/errors.ts'
import { settled, virtualClock } from '../virtual-clock.ts'
import { memorySink } from './memory-sink.ts'
import { decision } from './records.ts'

const TIMEOUT_MS = 1000

async function bench(over: Partial<WriterOptions> = {}) {
  const sink = memorySink()
  const clock = virtualClock()
  let instances = 0
  const writer = await openWriter({
    sink,
    clock,
    random(bytes) {
      instances += 1
      return Buffer.alloc(bytes, instances)
    },
    versions: { keyhole: '0.1.0', node: 'v24' },
    policyHash: () => 'hash-1',
    timeoutMs: TIMEOUT_MS,
    maxQueued: 8,
    ...over,
  })
  return { sink, clock, writer }
}

/** The reason an append was refused with. */
async function whyRefused(append: Promise<void>): Promise<string | undefined> {
  const thrown: unknown = await append.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(thrown instanceof KeyholeError)) throw new Error('not refused')
  expect(thrown.code).toBe('AUDIT_UNAVAILABLE')
  return thrown.why
}

function last<T>(list: readonly T[]): T {
  const found = list.at(-1)
  if (found === undefined) throw new Error('nothing there')
  return found
}

describe('a chain in good order', () => {
  it('starts, holds every record in order, and stops', async () => {
    const { sink, writer } = await bench()
    await writer.append(decision({ requestId: 'r-1' }))
    await writer.append(decision({ requestId: 'r-2' }))
    await writer.close()
    const records = sink.lines().map((line) => JSON.parse(line))
    const head = writer.head()
    const kept = head === undefined ? [] : [head]
    expect(records.map(({ kind, requestId }) => requestId ?? kind)).toEqual(['start', 'r-1', 'r-2', 'stop'])
    expect(records[0]).toMatchObject({ cause: 'process', sink: 'file', policyHash: 'hash-1', refusedAppends: 0 })
    expect(records[0].chain.instance).toBe('01'.repeat(16))
    expect(verify(sink.lines(), kept).chains).toMatchObject([{ stopped: true }])
    expect(sink.ended).toBe(1)
  })

  it('quotes the newest record that the sink holds from before', async () => {
    const first = await bench()
    await first.writer.append(decision())
    const head = first.writer.head()
    const second = await bench({ sink: first.sink, random: (bytes) => Buffer.alloc(bytes, 9) })
    expect(JSON.parse(last(first.sink.lines())).previous).toEqual(head)
    await second.writer.close()
    expect(verify(first.sink.lines()).broken).toBeUndefined()
  })

  it('writes the appends of one turn in one write, and those that come meanwhile in the next', async () => {
    const { sink, writer } = await bench()
    const held = Promise.withResolvers<void>()
    const first = [1, 2, 3].map(() => writer.append(decision()))
    sink.holding = held.promise
    await settled()
    const second = [4, 5].map(() => writer.append(decision()))
    await settled()
    held.resolve()
    await Promise.all([...first, ...second])
    expect(sink.writes.map((write) => write.split('\n').length - 1)).toEqual([1, 3, 2])
    expect(verify(sink.lines()).broken).toBeUndefined()
  })

  it('resolves nothing before the write has ended', async () => {
    const { sink, writer } = await bench()
    const held = Promise.withResolvers<void>()
    sink.holding = held.promise
    let done = false
    const append = writer.append(decision()).then(() => {
      done = true
    })
    await settled()
    expect(done).toBe(false)
    held.resolve()
    await append
    expect(done).toBe(true)
  })

  it('bounds the bytes of one write', async () => {
    const { sink, writer } = await bench({ maxQueued: 1000 })
    const keys = Array.from({ length: 60 }, (_, index) => `${index}`.padEnd(250, 'k'))
    await Promise.all(Array.from({ length: 150 }, () => writer.append(decision({ keys }))))
    expect(Math.max(...sink.writes.map((write) => write.length))).toBeLessThan(1024 * 1024 + 64 * 1024)
    expect(sink.writes.length).toBeGreaterThan(2)
    expect(verify(sink.lines())).toMatchObject({ broken: undefined, lines: 151 })
  })

  it('refuses a record that fits on no line, and costs its neighbours nothing', async () => {
    const { sink, writer } = await bench()
    const [good, bad, alsoGood] = [
      writer.append(decision()),
      writer.append(decision({ timeMs: Number.NaN })),
      writer.append(decision()),
    ]
    expect(await whyRefused(bad)).toBe('audit-record-malformed')
    await Promise.all([good, alsoGood])
    expect(await whyRefused(writer.append(decision({ timeMs: Number.NaN })))).toBe('audit-record-malformed')
    expect(writer.healthy()).toBe(true)
    expect(verify(sink.lines())).toMatchObject({ broken: undefined, lines: 3 })
  })

  it('leaves no timer behind', async () => {
    const { clock, writer } = await bench()
    await Promise.all([writer.append(decision()), writer.append(decision())])
    expect(clock.timers()).toBe(0)
    await writer.close()
    expect(clock.timers()).toBe(0)
  })
})

describe('a start that cannot be written', () => {
  it('stops the process with the code of the sink', async () => {
    const sink = memorySink()
    sink.failing = 'EACCES'
    await expect(bench({ sink })).rejects.toThrow(new SinkError('EACCES'))
    expect(sink.ended).toBe(1)
  })

  it('is given up when the sink blocks', async () => {
    const sink = memorySink()
    sink.holding = new Promise(() => undefined)
    const clock = virtualClock()
    const opening = bench({ sink, clock })
    const outcome = opening.catch((error: unknown) => error)
    await clock.advance(TIMEOUT_MS)
    expect(await outcome).toEqual(new SinkError('blocked'))
  })
})

describe('a sink that fails', () => {
  it('refuses the group, what waits, and what comes, at once', async () => {
    const { sink, writer } = await bench()
    const held = Promise.withResolvers<void>()
    sink.holding = held.promise
    const group = writer.append(decision())
    await settled()
    const waits = writer.append(decision())
    sink.failing = 'ENOSPC'
    held.resolve()
    expect(await whyRefused(group)).toBe('audit-sink-failed')
    expect(await whyRefused(waits)).toBe('audit-sink-failed')
    expect(writer.healthy()).toBe(false)
    sink.holding = new Promise(() => undefined)
    expect(await whyRefused(writer.append(decision()))).toBe('audit-sink-failed')
    expect(sink.ended).toBe(1)
  })

  it('writes nothing of what was refused once it is mended', async () => {
    const { sink, clock, writer } = await bench()
    const held = Promise.withResolvers<void>()
    sink.holding = held.promise
    const appends = [whyRefused(writer.append(decision()))]
    await settled()
    appends.push(whyRefused(writer.append(decision())))
    sink.failing = 'ENOSPC'
    held.resolve()
    await Promise.all(appends)
    sink.failing = undefined
    await clock.advance(250)
    await writer.append(decision({ requestId: 'r-after' }))
    expect(sink.lines().map((line) => JSON.parse(line).requestId)).toEqual([undefined, undefined, 'r-after'])
  })

  it('is not written to again by that chain, even when it is mended at once', async () => {
    const { sink, writer } = await bench()
    sink.failing = 'EIO'
    await whyRefused(writer.append(decision()))
    sink.failing = undefined
    expect(await whyRefused(writer.append(decision()))).toBe('audit-sink-failed')
    expect(sink.lines()).toHaveLength(1)
  })

  it('is begun again once mended, with a fresh chain that quotes the old and tells what was refused', async () => {
    const { sink, clock, writer } = await bench()
    await writer.append(decision())
    const before = writer.head()
    sink.failing = 'ENOSPC'
    await whyRefused(writer.append(decision()))
    await whyRefused(writer.append(decision()))
    await whyRefused(writer.append({ kind: 'stop', timeMs: 0 }))
    sink.failing = undefined
    await clock.advance(250)
    expect(writer.healthy()).toBe(true)
    await writer.append(decision())
    const started = JSON.parse(sink.lines()[2] ?? '')
    expect(started).toMatchObject({ kind: 'start', cause: 'mended', refusedAppends: 2, previous: before })
    expect(started.chain.instance).not.toBe(before?.instance)
    expect(verify(sink.lines())).toMatchObject({ broken: undefined, lines: 4 })
  })

  it('quotes the last line known to be written where the sink cannot tell', async () => {
    const { sink, clock, writer } = await bench()
    const before = writer.head()
    sink.beginning = async () => ({ torn: { bytes: 99 } })
    sink.failing = 'EPIPE'
    await whyRefused(writer.append(decision()))
    sink.failing = undefined
    await clock.advance(250)
    expect(JSON.parse(last(sink.lines()))).toMatchObject({ previous: before, torn: { bytes: 99 } })
  })

  it('is tried with growing patience, to a bound, and for as long as it takes', async () => {
    const { sink, clock, writer } = await bench()
    const tries: number[] = []
    const { beginning } = sink
    const failedAt = clock.now()
    sink.beginning = () => {
      tries.push(clock.now() - failedAt)
      return beginning()
    }
    sink.failing = 'ENOSPC'
    await whyRefused(writer.append(decision()))
    await clock.advance(20_000)
    expect(tries).toEqual([250, 750, 1750, 3750, 7750, 12_750, 17_750])
    await clock.advance(3_600_000)
    sink.failing = undefined
    await clock.advance(5000)
    expect(writer.healthy()).toBe(true)
  })

  it('keeps its patience until a record is written, not only a start', async () => {
    const { sink, clock, writer } = await bench()
    sink.failing = 'ENOSPC'
    await whyRefused(writer.append(decision()))
    await clock.advance(250)
    sink.failing = undefined
    await clock.advance(500)
    expect(writer.healthy()).toBe(true)
    sink.failing = 'ENOSPC'
    await whyRefused(writer.append(decision()))
    sink.failing = undefined
    await clock.advance(999)
    expect(writer.healthy()).toBe(false)
    await clock.advance(1)
    expect(writer.healthy()).toBe(true)
    await writer.append(decision())
    sink.failing = 'ENOSPC'
    await whyRefused(writer.append(decision()))
    sink.failing = undefined
    await clock.advance(250)
    expect(writer.healthy()).toBe(true)
  })

  it('counts what is refused while it is begun for the start after that', async () => {
    const { sink, clock, writer } = await bench()
    sink.failing = 'ENOSPC'
    await whyRefused(writer.append(decision()))
    sink.failing = undefined
    const held = Promise.withResolvers<void>()
    sink.holding = held.promise
    await clock.advance(250)
    await whyRefused(writer.append(decision()))
    held.resolve()
    await settled()
    sink.moved = true
    await writer.append(decision())
    const starts = sink.lines().map((line) => JSON.parse(line).refusedAppends)
    expect(starts).toEqual([0, 1, 1, undefined])
  })

  it('keeps count of what was refused until a start has told it', async () => {
    const { sink, clock, writer } = await bench()
    sink.failing = 'ENOSPC'
    await whyRefused(writer.append(decision()))
    await clock.advance(250)
    await whyRefused(writer.append(decision()))
    sink.failing = undefined
    await clock.advance(500)
    expect(JSON.parse(last(sink.lines())).refusedAppends).toBe(2)
    sink.moved = true
    await writer.append(decision())
    expect(JSON.parse(sink.lines().at(-2) ?? '').refusedAppends).toBe(0)
  })
})

describe('a sink that blocks', () => {
  it('refuses each append within its bound, and those that follow at once', async () => {
    const { sink, clock, writer } = await bench()
    sink.holding = new Promise(() => undefined)
    const first = whyRefused(writer.append(decision()))
    await clock.advance(600)
    const second = whyRefused(writer.append(decision()))
    await clock.advance(399)
    expect(writer.healthy()).toBe(true)
    await clock.advance(1)
    expect(await first).toBe('audit-sink-blocked')
    expect(writer.healthy()).toBe(false)
    expect(await whyRefused(writer.append(decision()))).toBe('audit-sink-blocked')
    await clock.advance(600)
    expect(await second).toBe('audit-sink-blocked')
  })

  it('serves again once it moves; what it was writing may stand in the log though it was refused', async () => {
    const { sink, clock, writer } = await bench()
    const held = Promise.withResolvers<void>()
    sink.holding = held.promise
    const writing = whyRefused(writer.append(decision({ requestId: 'r-writing' })))
    await settled()
    const waiting = whyRefused(writer.append(decision({ requestId: 'r-waiting' })))
    await clock.advance(TIMEOUT_MS)
    await Promise.all([writing, waiting])
    held.resolve()
    await settled()
    expect(writer.healthy()).toBe(true)
    await writer.append(decision({ requestId: 'r-after' }))
    expect(sink.lines().map((line) => JSON.parse(line).requestId)).toEqual([undefined, 'r-writing', 'r-after'])
    expect(verify(sink.lines()).broken).toBeUndefined()
  })

  it('counts an append once, when it is overdue and then fails', async () => {
    const { sink, clock, writer } = await bench()
    const held = Promise.withResolvers<void>()
    sink.holding = held.promise
    const append = whyRefused(writer.append(decision()))
    await clock.advance(TIMEOUT_MS)
    await append
    sink.failing = 'EIO'
    held.resolve()
    await settled()
    sink.failing = undefined
    await clock.advance(250)
    expect(JSON.parse(last(sink.lines())).refusedAppends).toBe(1)
  })

  it('bounds what waits for it', async () => {
    const { sink, writer } = await bench({ maxQueued: 2 })
    sink.holding = new Promise(() => undefined)
    void writer.append(decision()).catch(() => undefined)
    await settled()
    void writer.append(decision()).catch(() => undefined)
    void writer.append(decision()).catch(() => undefined)
    expect(await whyRefused(writer.append(decision()))).toBe('audit-queue-full')
  })
})

describe('a sink that was moved away', () => {
  it('is begun anew, quoting what was written last', async () => {
    const { sink, writer } = await bench()
    await writer.append(decision())
    const before = writer.head()
    sink.moved = true
    sink.writes.length = 0
    await writer.append(decision())
    expect(JSON.parse(sink.lines()[0] ?? '')).toMatchObject({ kind: 'start', cause: 'moved', previous: before })
    expect(verify(sink.lines())).toMatchObject({ broken: undefined, lines: 2 })
  })

  it('fails closed when it cannot be begun', async () => {
    const { sink, writer } = await bench()
    sink.moved = true
    sink.beginning = () => Promise.reject(new SinkError('EACCES'))
    expect(await whyRefused(writer.append(decision()))).toBe('audit-sink-failed')
    expect(writer.healthy()).toBe(false)
  })
})

describe('closing', () => {
  it('writes what waits before the stop, and refuses what comes', async () => {
    const { sink, writer } = await bench()
    const waits = writer.append(decision({ requestId: 'r-1' }))
    const closed = writer.close()
    expect(await whyRefused(writer.append(decision()))).toBe('audit-log-closed')
    expect(writer.healthy()).toBe(false)
    await Promise.all([waits, closed, writer.close()])
    expect(sink.lines().map((line) => JSON.parse(line).kind)).toEqual(['start', 'decision', 'stop'])
    expect(sink.ended).toBe(1)
  })

  it('gives up on a sink that blocks', async () => {
    const { sink, clock, writer } = await bench()
    sink.holding = new Promise(() => undefined)
    sink.end = () => new Promise(() => undefined)
    let closed = false
    void writer.close().then(() => {
      closed = true
    })
    await clock.advance(2 * TIMEOUT_MS - 1)
    expect(closed).toBe(false)
    await clock.advance(1)
    await settled()
    expect(closed).toBe(true)
  })

  it('tries no failed sink again', async () => {
    const { sink, clock, writer } = await bench()
    sink.failing = 'ENOSPC'
    await whyRefused(writer.append(decision()))
    await writer.close()
    sink.failing = undefined
    await clock.advance(60_000)
    expect(sink.lines()).toHaveLength(1)
    expect(clock.timers()).toBe(0)
  })

  it('ends a sink that was just being mended', async () => {
    const { sink, clock, writer } = await bench()
    sink.failing = 'ENOSPC'
    await whyRefused(writer.append(decision()))
    sink.failing = undefined
    const held = Promise.withResolvers<void>()
    sink.holding = held.promise
    await clock.advance(250)
    await writer.close()
    const ended = sink.ended
    held.resolve()
    await settled()
    expect(sink.ended).toBe(ended + 1)
    expect(writer.healthy()).toBe(false)
  })

  it('tries no more when mending fails after it', async () => {
    const { sink, clock, writer } = await bench()
    sink.failing = 'ENOSPC'
    await whyRefused(writer.append(decision()))
    const held = Promise.withResolvers<void>()
    sink.holding = held.promise
    await clock.advance(250)
    await writer.close()
    held.resolve()
    await settled()
    expect(clock.timers()).toBe(0)
  })
})

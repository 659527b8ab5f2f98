import type { RequestListener, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../src/clock.ts'
import { drainable } from '../../src/http/drain.ts'
import { UNBOUNDED } from '../../src/testing/unbounded.ts'
import { keptPorts } from '../process/world.ts'
import { hold, startWorld } from '../routes/world.ts'
import { virtualClock } from '../virtual-clock.ts'
import type { Line } from './line.ts'
import { dial, get } from './line.ts'

/** A keyhole with one request that waits for its review. */
async function withOneInFlight() {
  // A disk takes its own time, and the clock of these tests would not wait for it.
  const world = await startWorld({
    audited: () => {},
    settings: { ...UNBOUNDED, ...(await keptPorts()), KEYHOLE_DRAIN_MS: '7000' },
  })
  const review = hold(world.kubernetes, /tokenreviews/)
  const line = await dial(world.url)
  const request = get('/secrets', { Authorization: `Bearer ${world.tokenOf('api')}` })
  line.send(request)
  await review.arrived
  return { world, review, line, request }
}

describe('a drain', () => {
  it('gives a request in flight its answer, and ends with it', async () => {
    const { world, review, line } = await withOneInFlight()
    const stopped = world.stop()
    review.release()
    const { status, headers } = await line.answer()
    expect([status, headers['connection']]).toEqual([200, 'close'])
    expect(await line.closed()).toBe('')
    await stopped
  })

  it('takes no new connection, and closes those that are idle', async () => {
    const { world, review, line } = await withOneInFlight()
    await using idle = await dial(world.url)
    idle.send(get('/elsewhere'))
    await idle.answer()
    const stopped = world.stop()
    expect(await idle.closed()).toBe('')
    await expect(dial(world.url)).rejects.toThrow('ECONNREFUSED')
    review.release()
    expect((await line.answer()).status).toBe(200)
    await stopped
  })

  it('closes a connection whose request had Expect with its answer, too', async () => {
    const { world, review, line } = await withOneInFlight()
    const other = hold(world.kubernetes, /tokenreviews/)
    await using expecting = await dial(world.url)
    expecting.send(get('/secrets', { Authorization: `Bearer ${world.tokenOf('migrator')}`, Expect: 'anything' }))
    await other.arrived
    const stopped = world.stop()
    review.release()
    other.release()
    expect((await expecting.answer()).headers['connection']).toBe('close')
    expect((await line.answer()).status).toBe(200)
    await stopped
  })

  it('waits for a request no longer than it may', async () => {
    const { world, review, line } = await withOneInFlight()
    const stopped = world.stop()
    await world.clock.advance(7_000)
    expect(await line.closed()).toBe('')
    review.release()
    await stopped
  })
})

const DRAIN_MS = 10_000
const LINGER_MS = 2_000

/** A keyhole that a signal will end, as it ends a process, and a way to open connections to it that are kept alive. */
async function withClients() {
  const stopping = new AbortController()
  const world = await startWorld({
    audited: () => {},
    settings: { ...(await keptPorts()), KEYHOLE_DRAIN_MS: String(DRAIN_MS) },
    surroundings: { stopping: stopping.signal },
  })
  return {
    world,
    request: get('/secrets', { Authorization: `Bearer ${world.tokenOf('api')}` }),
    async client() {
      const line = await dial(world.url)
      line.send(get('/elsewhere'))
      expect((await line.answer()).headers['connection']).toBe('keep-alive')
      return line
    },
    drain() {
      stopping.abort()
      return world.stop()
    },
  }
}

async function lastOf(line: Line): Promise<readonly [status: number, connection: string | undefined, rest: string]> {
  const { status, headers } = await line.answer()
  return [status, headers['connection'], await line.closed()]
}

describe('a drain that a signal begins', () => {
  it('answers a request that comes on a kept-alive connection, and ends with the last of them', async () => {
    const { world, request, client, drain } = await withClients()
    const lines = [await client(), await client()]
    const stopped = drain()
    for (const line of lines) {
      line.send(request)
      expect(await lastOf(line)).toEqual([200, 'close', ''])
    }
    // No time has passed on this clock.
    await stopped
    expect(world.clock.timers()).toBe(0)
  })

  it('closes a connection that brings none in a fifth of its bound, and not before', async () => {
    const { world, request, client, drain } = await withClients()
    await using silent = await client()
    await using late = await client()
    const stopped = drain()
    await world.clock.advance(LINGER_MS - 1)
    late.send(request)
    expect(await lastOf(late)).toEqual([200, 'close', ''])
    await world.clock.advance(1)
    expect(await silent.closed()).toBe('')
    await stopped
  })

  it('takes no new connection meanwhile', async () => {
    const { world, client, drain } = await withClients()
    await using idle = await client()
    const stopped = drain()
    await expect(dial(world.url)).rejects.toThrow('ECONNREFUSED')
    await world.clock.advance(LINGER_MS)
    expect(await idle.closed()).toBe('')
    await stopped
  })

  it('lets a request that has begun to arrive come to its end', async () => {
    const { world, request, client, drain } = await withClients()
    await using slow = await client()
    await using other = await client()
    const stopped = drain()
    slow.send(request.slice(0, 9))
    // Answered behind it on the same loop: by then the other has arrived.
    other.send(request)
    await other.answer()
    await world.clock.advance(LINGER_MS)
    slow.send(request.slice(9))
    expect(await lastOf(slow)).toEqual([200, 'close', ''])
    await stopped
  })
})

/** A bare server to drain, and a connection to it that is kept alive. */
async function bare(listener: RequestListener) {
  // Node would end a connection that nobody uses after five seconds of its own.
  const server = createServer({ keepAliveTimeout: 0 }, listener)
  const drain = drainable(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { drain, line: await dial(`http://127.0.0.1:${(server.address() as AddressInfo).port}`) }
}

describe('a server that is drained', () => {
  it('answers what had arrived in the moment in which the time for it was over', async () => {
    const { drain, line } = await bare((_request, response) => response.end('answer'))
    line.send(get('/'))
    await line.answer()
    let over = () => {}
    const clock: Clock = {
      now: () => 0,
      after(_ms, act) {
        over = act
        return () => {}
      },
    }
    const ended = drain.begin(clock, LINGER_MS)
    // Where timers fire: the request is with the kernel by then, and nobody has looked.
    setTimeout(() => {
      line.send(get('/'))
      over()
    }, 0)
    expect(await lastOf(line)).toEqual([200, 'close', ''])
    await ended
  })

  it('has closed what is idle when the time is over', async () => {
    const { drain, line } = await bare((_request, response) => response.end('answer'))
    line.send(get('/'))
    await line.answer()
    const clock = virtualClock()
    const ended = drain.begin(clock, LINGER_MS)
    await clock.advance(LINGER_MS)
    await ended
    expect(await line.closed()).toBe('')
  })

  it('keeps a connection whose reply had begun to leave, for another request', async () => {
    const begun = Promise.withResolvers<ServerResponse>()
    const { drain, line } = await bare((request, response) => {
      if (request.url === '/other') return void response.end('answer')
      response.setHeader('Content-Length', 6).flushHeaders()
      begun.resolve(response)
    })
    line.send(get('/'))
    const response = await begun.promise
    const ended = drain.begin(virtualClock(), LINGER_MS)
    response.end('answer')
    expect((await line.answer()).headers['connection']).toBe('keep-alive')
    line.send(get('/other'))
    expect(await lastOf(line)).toEqual([200, 'close', ''])
    await ended
  })

  it('ends a connection with the reply that had begun to leave, if that takes until the time is over', async () => {
    const begun = Promise.withResolvers<ServerResponse>()
    const { drain, line } = await bare((_request, response) => {
      response.setHeader('Content-Length', 6).flushHeaders()
      begun.resolve(response)
    })
    const clock = virtualClock()
    line.send(get('/'))
    const response = await begun.promise
    const ended = drain.begin(clock, LINGER_MS)
    await clock.advance(LINGER_MS)
    await ended
    response.end('answer')
    expect(await lastOf(line)).toEqual([200, 'keep-alive', ''])
  })
})

import { EventEmitter } from 'node:events'
import type { Server } from 'node:http'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { boundConnections } from '../../src/http/connections.ts'
import type { World } from '../routes/world.ts'
import { startWorld } from '../routes/world.ts'
import { face } from './face.ts'
import { dial, exchange, get } from './line.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const settled = () => new Promise(setImmediate)

describe('the connections of one peer', () => {
  it('are at most half of all: one more is closed at once, and the others are served', async () => {
    const small = await face(world, { maxConnections: 6 })
    const lines = [await dial(small.url), await dial(small.url), await dial(small.url)]
    await using oneMore = await dial(small.url)
    expect(await oneMore.closed()).toBe('')
    for (const line of lines) {
      line.send(get('/elsewhere'))
      expect((await line.answer()).status).toBe(404)
    }
    for (const line of lines) line.socket.destroy()
    while ((await small.connections()) > 0) await settled()
    // Whoever left counts no more: as many as before get in again.
    for (let count = 0; count < 3; count += 1) {
      const again = await dial(small.url)
      again.send(get('/elsewhere'))
      expect((await again.answer()).status).toBe(404)
    }
    await small.stop()
  })

  it('leave the other half to others', async () => {
    const small = await face(world, { maxConnections: 2 })
    await using first = await dial(small.url)
    first.send(get('/elsewhere'))
    await first.answer()
    const { port } = new URL(small.url)
    const other = connect({ host: '127.0.0.1', port: Number(port), localAddress: '127.0.0.2' })
    other.write(get('/elsewhere'))
    const [chunk] = (await new Promise((resolve) => other.once('data', (data) => resolve([data])))) as [Buffer]
    expect(chunk.toString()).toMatch(/^HTTP\/1.1 404 /)
    other.destroy()
    await small.stop()
  })

  it('are bounded on the management port, too', async () => {
    const lines = await Promise.all(Array.from({ length: 128 }, () => dial(world.managementUrl)))
    await using oneMore = await dial(world.managementUrl)
    expect(await oneMore.closed()).toBe('')
    for (const line of lines) line.socket.destroy()
  })
})

describe('a connection whose address is not known any more', () => {
  it('counts with its like, as one peer', () => {
    const server = new EventEmitter()
    boundConnections(server as Server, 2)
    const sockets = [1, 2].map(() => Object.assign(new EventEmitter(), { isCut: false }))
    for (const socket of sockets)
      server.emit(
        'connection',
        Object.assign(socket, {
          destroy: () => {
            socket.isCut = true
          },
        }),
      )
    expect(sockets.map(({ isCut }) => isCut)).toEqual([false, true])
  })
})

describe('HTTP/1.0', () => {
  it('needs no Host, and takes no two', async () => {
    expect((await exchange(world.url, 'GET /elsewhere HTTP/1.0\r\n\r\n')).status).toBe(404)
    expect((await exchange(world.url, 'GET /elsewhere HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n')).status).toBe(400)
  })
})

describe('a client that reads nothing', () => {
  it('is cut off with its refusals as with an answer', async () => {
    // What is left of its requests is not read either: the bounds on that are not to end it first.
    const unread = { headersTimeoutMs: 600_000, requestTimeoutMs: 600_000 }
    const short = await face(world, { replyTimeoutMs: 1_000, ...unread })
    await using line = await dial(short.url)
    const answered = new Promise((resolve) => line.socket.once('data', resolve))
    // Far more refusals than every buffer on the way holds: the rest waits in keyhole for a reader.
    line.send(get('/elsewhere').repeat(8_000))
    await answered
    line.socket.pause()
    while ((await short.connections()) > 0) await world.clock.advance(1_000)
    await short.stop()
  })

  it('leaves no timer behind once it has read', async () => {
    const before = world.clock.timers()
    await using line = await dial(world.url)
    line.send(get('/elsewhere').repeat(3))
    for (let answers = 0; answers < 3; answers += 1) await line.answer()
    while (world.clock.timers() > before + 1) await settled()
    // What is left is the count of refusals, to be written within a second.
    expect(world.clock.timers()).toBeLessThanOrEqual(before + 1)
  })
})

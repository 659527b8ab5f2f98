import { randomBytes } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { open, readFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parserMemory } from '../../src/external/parser-memory.ts'
import { openSend } from '../../src/external/send.ts'
import { virtualClock } from '../virtual-clock.ts'
import { startPeer } from './peer.ts'

describe('the memory of the parser', () => {
  const DONE = 'undici:request:trailers'
  let wiped = 0
  let wake = () => {}
  const count = (message: unknown) => {
    const { request } = message as { request: { origin: string } }
    if (request.origin !== 'http://zeros.invalid') return
    wiped += 1
    wake()
  }
  const times = async (expected: number) => {
    while (wiped < expected) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    return wiped
  }

  beforeEach(() => {
    wiped = 0
    subscribe(DONE, count)
  })
  afterEach(() => void unsubscribe(DONE, count))

  it('is made as long as it will be at once, then wiped once for all that asked meanwhile', async () => {
    const clock = virtualClock()
    const memory = parserMemory(clock)
    expect(await times(1)).toBe(1)
    for (let answer = 0; answer < 100; answer += 1) memory.wipeSoon()
    await clock.advance(9)
    expect(wiped).toBe(1)
    await clock.advance(1)
    expect(await times(2)).toBe(2)
    expect(clock.timers()).toBe(0)
    memory.wipeSoon()
    await clock.advance(10)
    expect(await times(3)).toBe(3)
    await memory.close()
  })

  it('holds the last answer, and soon after does not', async () => {
    const clock = virtualClock()
    const marker = randomBytes(16).toString('hex')
    // The end of a long answer, which the beginnings of short ones would leave as it is.
    await using peer = await startPeer((reply) => reply.end(`${'x'.repeat(10_000)}${marker}`))
    const { send, close } = openSend({
      origin: peer.url,
      connections: 1,
      maxBodyBytes: 65_536,
      callTimeoutMs: 60_000,
      clock,
    })
    expect(await times(1)).toBe(1)
    const { body } = await send({ method: 'GET', path: '/a', headers: {} }, new AbortController().signal)
    expect(body.toString()).toContain(marker)
    expect(await wasmHolds(marker)).toBe(true)
    await clock.advance(10)
    expect(await times(2)).toBe(2)
    expect(await wasmHolds(marker)).toBe(false)
    await close()
  })

  it('is left alone once it is closed', async () => {
    const clock = virtualClock()
    const memory = parserMemory(clock)
    memory.wipeSoon()
    await memory.close()
    expect(clock.timers()).toBe(0)
  })
})

/** Whether a WebAssembly memory of this process holds it. V8 lays gigabytes behind each where nothing may be read. */
async function wasmHolds(marker: string): Promise<boolean> {
  const regions = (await readFile('/proc/self/maps', 'utf8')).split('\n').map((line) => {
    const [, start = '0', end = '0', rights] = /^([0-9a-f]+)-([0-9a-f]+) (....)/.exec(line) ?? []
    return { start: Number.parseInt(start, 16), end: Number.parseInt(end, 16), rights }
  })
  await using memory = await open('/proc/self/mem', 'r')
  for (const [index, { start, end, rights }] of regions.entries()) {
    const behind = regions[index + 1]
    if (rights !== 'rw-p' || behind?.rights !== '---p' || behind.start !== end || behind.end - end < 2 ** 30) continue
    const { buffer } = await memory.read(Buffer.alloc(end - start), 0, end - start, start)
    const found = buffer.includes(marker)
    buffer.fill(0)
    if (found) return true
  }
  return false
}

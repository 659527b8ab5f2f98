import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parserMemory } from '../../src/external/parser-memory.ts'
import { virtualClock } from '../virtual-clock.ts'

// What it is for shows only from outside the process: test/process/memory.test.ts.
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

  it('is left alone once it is closed', async () => {
    const clock = virtualClock()
    const memory = parserMemory(clock)
    memory.wipeSoon()
    await memory.close()
    expect(clock.timers()).toBe(0)
  })
})

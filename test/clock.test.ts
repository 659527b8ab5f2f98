import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { every, pause, systemClock, withinMs } from '../src/clock.ts'
import { virtualClock } from './virtual-clock.ts'

describe('what is done every so often', () => {
  test('is not done before its time, then at each turn', async () => {
    const clock = virtualClock()
    const at: number[] = []
    const startMs = clock.now()
    every(clock, 100, () => at.push(clock.now() - startMs))
    await clock.advance(99)
    expect(at).toEqual([])
    await clock.advance(251)
    expect(at).toEqual([100, 200, 300])
  })

  test('is done no more once it is cancelled, and leaves no timer', async () => {
    const clock = virtualClock()
    let turns = 0
    const cancel = every(clock, 100, () => {
      turns += 1
    })
    await clock.advance(100)
    cancel()
    await clock.advance(1_000)
    expect([turns, clock.timers()]).toEqual([1, 0])
  })

  test('may cancel itself', async () => {
    const clock = virtualClock()
    let turns = 0
    const cancel = every(clock, 100, () => {
      turns += 1
      cancel()
    })
    await clock.advance(1_000)
    expect([turns, clock.timers()]).toEqual([1, 0])
  })

  test('goes on after a turn that throws', () => {
    const acts: (() => void)[] = []
    const clock = {
      now: () => 0,
      after(_ms: number, act: () => void) {
        acts.push(act)
        return () => {}
      },
    }
    every(clock, 100, () => {
      throw new Error('this turn')
    })
    expect(() => acts[0]?.()).toThrow('this turn')
    expect(acts).toHaveLength(2)
  })
})

describe('work that may take so long', () => {
  const late = () => 'late'

  test('has its own outcome in time, and leaves no timer', async () => {
    const clock = virtualClock()
    expect(await withinMs(clock, 100, Promise.resolve('done'), late)).toBe('done')
    await expect(withinMs(clock, 100, Promise.reject(new Error('failed')), late)).rejects.toThrow('failed')
    expect(clock.timers()).toBe(0)
  })

  test('has the other one from then on, and not before', async () => {
    const clock = virtualClock()
    const outcomes: string[] = []
    void withinMs(clock, 100, new Promise<string>(() => {}), late).then((outcome) => outcomes.push(outcome))
    await clock.advance(99)
    expect(outcomes).toEqual([])
    await clock.advance(1)
    expect(outcomes).toEqual(['late'])
  })

  test('may be refused then; that it fails after that goes unheard', async () => {
    const clock = virtualClock()
    const work = Promise.withResolvers<string>()
    const outcome = withinMs(clock, 100, work.promise, () => {
      throw new Error('too late')
    })
    const refused = outcome.catch((error: unknown) => error)
    await clock.advance(100)
    expect(await refused).toEqual(new Error('too late'))
    work.reject(new Error('and it failed, too'))
    expect(clock.timers()).toBe(0)
  })
})

describe('a pause', () => {
  test('ends at once when the signal aborts, and leaves no timer', async () => {
    const clock = virtualClock()
    const ending = new AbortController()
    const paused = pause(clock, 60_000, ending.signal).catch((error: unknown) => error)
    expect(clock.timers()).toBe(1)
    ending.abort(new Error('over'))
    expect(await paused).toMatchObject({ message: 'over' })
    expect(clock.timers()).toBe(0)
  })

  test('does not begin under a signal that has aborted', async () => {
    const clock = virtualClock()
    await expect(pause(clock, 1, AbortSignal.abort(new Error('over')))).rejects.toThrow('over')
    expect(clock.timers()).toBe(0)
  })
})

describe('the clock of the system', () => {
  test('tells the time of day', () => {
    const before = Date.now()
    expect(systemClock.now()).toBeGreaterThanOrEqual(before)
    expect(systemClock.now()).toBeLessThanOrEqual(Date.now())
  })

  test('runs what is due once, unless it was cancelled', async () => {
    const ran: string[] = []
    const cancel = systemClock.after(0, () => ran.push('cancelled'))
    cancel()
    await new Promise<void>((resolve) =>
      systemClock.after(1, () => {
        ran.push('due')
        resolve()
      }),
    )
    expect(ran).toEqual(['due'])
  })

  test('keeps no process alive', () => {
    const clock = join(import.meta.dirname, '../src/clock.ts')
    const source = `import { systemClock } from ${JSON.stringify(clock)}; systemClock.after(3_600_000, () => {})`
    const { status, signal } = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', source], {
      timeout: 120_000,
    })
    expect({ status, signal }).toEqual({ status: 0, signal: null })
  })
})

/** Waiting for files, by a clock of the test's own. */
import { describe, expect, test } from 'vitest'
import { openLog } from '../src/log.ts'
import type { AwaitedFile } from '../src/waiting.ts'
import { Stopped, waitingRoom } from '../src/waiting.ts'
import { virtualClock } from './virtual-clock.ts'

class Unusable extends Error {}

const FILE: AwaitedFile = { setting: 'VAULT_CACERT', fix: 'put it there', problem: Unusable }

function room() {
  const clock = virtualClock()
  const lines: Record<string, unknown>[] = []
  const stopping = new AbortController()
  const log = openLog('debug', { write: (line) => lines.push(JSON.parse(line)) }, clock)
  const told = () =>
    lines.map(({ msg, level, setting, problem, fix, seconds }) => ({ msg, level, setting, problem, fix, seconds }))
  return { clock, lines, told, stopping, waiting: waitingRoom({ clock, log, signal: stopping.signal }) }
}

/** Fails with each of these in turn, then succeeds. */
function failing(...problems: string[]): () => string {
  return () => {
    const problem = problems.shift()
    if (problem !== undefined) throw new Unusable(problem)
    return 'found'
  }
}

describe('a file that is awaited', () => {
  test('and is there is handed on, and nothing is said', async () => {
    const { waiting, lines, clock } = room()
    expect(await waiting.until(FILE, failing())).toBe('found')
    expect([lines, waiting.pending(), clock.timers()]).toEqual([[], [], 0])
  })

  test('is looked for each second, told of when it is missed and when it is there', async () => {
    const { waiting, told, clock } = room()
    const found = waiting.until(FILE, failing('none', 'none', 'none'))
    await clock.advance(2_999)
    expect(waiting.pending()).toEqual(['VAULT_CACERT'])
    await clock.advance(1)
    expect(await found).toBe('found')
    expect(waiting.pending()).toEqual([])
    expect(told()).toEqual([
      { msg: 'waiting to start', level: 'error', setting: 'VAULT_CACERT', problem: 'none', fix: 'put it there' },
      { msg: 'no longer waiting', level: 'info', setting: 'VAULT_CACERT', seconds: 3 },
    ])
  })

  test('is told of once a minute while it stays so, and at once when something else is wrong with it', async () => {
    const { waiting, lines, clock, stopping } = room()
    let problem = 'none'
    const given = waiting.until(FILE, () => failing(problem)())
    await clock.advance(59_000)
    expect(lines.map((line) => line['problem'])).toEqual(['none'])
    problem = 'half'
    await clock.advance(1_000)
    expect(lines.map((line) => line['problem'])).toEqual(['none', 'half'])
    // From one to the other and back every second is two lines a minute, not sixty.
    for (let seconds = 0; seconds < 58; seconds++) {
      problem = seconds % 2 === 0 ? 'none' : 'half'
      await clock.advance(1_000)
    }
    expect(lines.map((line) => line['problem'])).toEqual(['none', 'half', 'none'])
    stopping.abort()
    await expect(given).rejects.toBeInstanceOf(Stopped)
  })

  test('is told of although the clock was set back, at once and then once a minute', async () => {
    const { waiting, lines, clock, stopping } = room()
    let looks = 0
    const given = waiting.until(FILE, () => {
      looks += 1
      if (looks === 2) clock.set(clock.now() - 3_600_000)
      return failing('none')()
    })
    // The second after which it was set back ends an hour later.
    await clock.advance(1_000)
    expect(lines.length).toBe(1 + 1 + 60)
    stopping.abort()
    await expect(given).rejects.toBeInstanceOf(Stopped)
  })

  test('is named beside others that are missed as well', async () => {
    const { waiting, clock, stopping, lines } = room()
    const both = Promise.allSettled([
      waiting.until(FILE, failing('none', 'none')),
      waiting.until({ setting: 'KEYHOLE_POLICY_DIR', problem: Unusable }, failing(...Array(9).fill('none'))),
    ])
    await clock.advance(0)
    expect([waiting.pending(), lines.length]).toEqual([['VAULT_CACERT', 'KEYHOLE_POLICY_DIR'], 2])
    await clock.advance(2_000)
    expect(waiting.pending()).toEqual(['KEYHOLE_POLICY_DIR'])
    stopping.abort()
    expect((await both).map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    expect(clock.timers()).toBe(0)
  })

  test('is given up at once, between two looks and in one that hangs, and is not begun when it is too late', async () => {
    for (const read of [failing('none'), () => new Promise<string>(() => {})]) {
      const { waiting, clock, stopping } = room()
      const given = waiting.until(FILE, read)
      await clock.advance(10)
      stopping.abort()
      await expect(given).rejects.toBeInstanceOf(Stopped)
      await expect(waiting.until(FILE, failing())).rejects.toBeInstanceOf(Stopped)
      expect(clock.timers()).toBe(0)
    }
  })

  test('is not waited for when reading it is a defect, of which nothing is told', async () => {
    const { waiting, lines, clock } = room()
    const defect = new SyntaxError('canary')
    await expect(waiting.until(FILE, () => Promise.reject(defect))).rejects.toBe(defect)
    expect([lines, clock.timers()]).toEqual([[], 0])
  })
})

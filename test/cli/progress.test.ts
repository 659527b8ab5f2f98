/** How a rotation looks while it runs: on a terminal, and in a log. */
import { describe, expect, test } from 'vitest'
import { openProgress } from '../../src/cli/progress.ts'
import { openScreen } from '../../src/cli/screen.ts'
import type { RotationEvent } from '../../src/contract.ts'
import type { VirtualClock } from '../virtual-clock.ts'
import { virtualClock } from '../virtual-clock.ts'

function watch(
  output: { readonly isTTY?: boolean; readonly columns?: number },
  environment: Record<string, string> = {},
) {
  const written: string[] = []
  const clock = virtualClock()
  const progress = openProgress(openScreen({ ...output, write: (text) => written.push(text) }, environment), clock)
  return { written, clock, progress, text: () => written.join('') }
}

const moved = (done: number, total = 1_000, key = 'payments'): RotationEvent => ({
  type: 'progress',
  key,
  stage: 'move',
  done,
  total,
})
const step: RotationEvent = { type: 'step', key: 'payments', stage: 'verify' }

async function thousandIn(tenSeconds: VirtualClock, told: (event: RotationEvent) => void): Promise<void> {
  for (let done = 1; done <= 1_000; done++) {
    told(moved(done))
    await tenSeconds.advance(10)
  }
}

describe('on a terminal', () => {
  const TERMINAL = { isTTY: true, columns: 60 }

  test('one line is redrawn, at most ten times a second, and left as it ended', async () => {
    const { written, clock, progress, text } = watch(TERMINAL)
    await thousandIn(clock, progress.told)
    expect(written.length).toBeGreaterThan(90)
    expect(written.length).toBeLessThanOrEqual(101)
    progress.told(step)
    const lines = text().split('\n')
    expect(lines).toHaveLength(3)
    expect(lines[0]?.split('\r').at(-1)).toBe(`payments: move [${'#'.repeat(29)}] 1000 of 1000\x1b[K`)
    expect(lines[1]).toBe('payments: verify')
  })

  test('what came last is shown in the end, also when nothing follows', async () => {
    const { clock, progress, text } = watch(TERMINAL)
    for (const done of [1, 2, 3]) progress.told(moved(done))
    expect(text()).not.toContain('3 of 1000')
    await clock.advance(100)
    expect(text()).toContain(' 3 of 1000')
    expect(clock.timers()).toBe(0)
  })

  test('each key and stage has its line', () => {
    const { progress, text } = watch(TERMINAL)
    progress.told(moved(1, 2))
    progress.told(moved(1, 2, 'billing'))
    progress.end()
    expect(
      text()
        .trimEnd()
        .split('\n')
        .map((line) => line.split('\r').at(-1)?.split(' ')[0]),
    ).toEqual(['payments:', 'billing:'])
  })

  test('nothing is wider than the terminal, however narrow, and numbers stay', () => {
    for (const columns of [20, 21, 30, 79, 500]) {
      const { written, progress } = watch({ isTTY: true, columns })
      progress.told(moved(123_456, 1_000_000, 'a-key-with-a-name-that-is-rather-long'))
      progress.end()
      const shown = written.join('').replaceAll('\r', '').replaceAll('\x1b[K', '').trimEnd()
      expect(shown.length).toBeLessThan(Math.max(columns, 21))
      if (columns > 40) expect(shown).toContain('123456 of 1000000')
    }
  })

  test('one that says that it has no columns, as under script, has eighty', () => {
    expect(openScreen({ isTTY: true, columns: 0, write: () => {} }, {}).width).toBe(79)
  })

  test('NO_COLOR leaves no colour; neither does a dumb terminal, which redraws nothing', () => {
    const screens = [
      [{}, '\x1b[1mx\x1b[0m\n'],
      [{ NO_COLOR: '' }, '\x1b[1mx\x1b[0m\n'],
      [{ NO_COLOR: '1' }, 'x\n'],
      [{ TERM: 'dumb' }, 'x\n'],
    ] as const
    for (const [environment, expected] of screens) {
      const written: string[] = []
      openScreen({ isTTY: true, write: (text) => written.push(text) }, environment).line('x', 'bold')
      expect(written.join('')).toBe(expected)
    }
    const { progress, text } = watch(TERMINAL, { TERM: 'dumb' })
    progress.told(moved(1))
    progress.end()
    expect(text()).toBe('')
  })
})

describe('in a log', () => {
  test('there is a line per step, and one at most every two seconds between', async () => {
    const { clock, progress, text } = watch({})
    progress.told({ type: 'started', id: 'one', keys: ['payments', 'billing'], dryRun: true })
    progress.told({ type: 'step', key: 'payments', stage: 'advance', from: 4, to: 5 })
    await thousandIn(clock, progress.told)
    progress.told(step)
    expect(text().split('\n')).toEqual([
      'Dry run one of 2 keys',
      'payments: advance, version 4 -> 5',
      'payments: move 200 of 1000',
      'payments: move 400 of 1000',
      'payments: move 600 of 1000',
      'payments: move 800 of 1000',
      'payments: move 1000 of 1000',
      'payments: verify',
      '',
    ])
    expect(clock.timers()).toBe(0)
  })

  test('a stage that is soon over has no line of its own', () => {
    const { progress, clock, text } = watch({})
    progress.told(moved(1, 2))
    progress.told(moved(2, 2))
    progress.told(step)
    progress.end()
    expect(text()).toBe('payments: verify\n')
    expect(clock.timers()).toBe(0)
  })
})

/** How long is waited between two tries: longer after each failure, and never longer for having queued. */
import { expect, test } from 'vitest'
import type { Tried } from '../../src/cli/persist.ts'
import { persist } from '../../src/cli/persist.ts'
import { settled, virtualClock } from '../virtual-clock.ts'

type Try = Tried<string>

const failing = (retryAfterMs?: number): Try => ({
  again: { why: 'It broke.', waitsFor: 'mending', retryAfterMs, otherwise: { done: 'failed' } },
})
const queueing = (retryAfterMs?: number): Try => ({
  again: { why: 'Another one runs.', waitsFor: 'turn', retryAfterMs, otherwise: { done: 'queued' } },
})
const FAILS = failing()
const QUEUES = queueing()

/** The waits in ms between these tries, and what they came to. */
async function waitsOf(tries: readonly Try[], { random = 1, budgetMs = 900_000 } = {}) {
  const clock = virtualClock()
  const atMs: number[] = []
  let isOver = false
  const came = persist(
    async () => {
      atMs.push(clock.now())
      return tries[atMs.length - 1] ?? { done: 'done' }
    },
    {
      clock,
      random: () => random,
      signal: new AbortController().signal,
      untilMs: clock.now() + budgetMs,
      say: () => {},
    },
  ).finally(() => {
    isOver = true
  })
  await settled()
  while (!isOver) await clock.advance(100)
  return { to: await came, waits: atMs.slice(1).map((ms, index) => ms - (atMs[index] ?? 0)) }
}

test('the wait is twice as long after each failure, up to half a minute', async () => {
  const { to, waits } = await waitsOf(Array.from({ length: 7 }, () => FAILS))
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
  expect(to).toEqual({ done: 'done' })
})

test('the wait in a queue is the same each time, without the spread', async () => {
  const { waits } = await waitsOf([QUEUES, QUEUES, QUEUES, QUEUES, QUEUES], { random: 0 })
  expect(waits).toEqual([1_000, 1_000, 1_000, 1_000, 1_000])
})

test('to have queued is no failure: the first one after it waits as the first', async () => {
  const { waits } = await waitsOf([...Array.from({ length: 6 }, () => queueing(10_000)), FAILS, FAILS])
  expect(waits).toEqual([10_000, 10_000, 10_000, 10_000, 10_000, 10_000, 1_000, 2_000])
})

test('failures before a queue and after it are counted on', async () => {
  const { waits } = await waitsOf([FAILS, FAILS, queueing(5_000), queueing(5_000), FAILS])
  expect(waits).toEqual([1_000, 2_000, 5_000, 5_000, 4_000])
})

test('the wait is as long as keyhole asks for, where that is longer', async () => {
  const { waits } = await waitsOf([failing(9_000), failing(500), queueing(9_000)])
  expect(waits).toEqual([9_000, 2_000, 9_000])
})

test('no wait goes beyond the budget: the last try stands', async () => {
  const { to, waits } = await waitsOf([FAILS, FAILS, QUEUES, queueing(8_000)], { budgetMs: 12_000 })
  expect([to, waits]).toEqual([{ done: 'queued' }, [1_000, 2_000, 4_000]])
})

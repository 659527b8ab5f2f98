import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { joined, raced } from '../../src/services/joined.ts'
import { settled } from '../virtual-clock.ts'

/** A call whose outcome the test decides. */
function calls<T>() {
  const made: { signal: AbortSignal; answer: PromiseWithResolvers<T> }[] = []
  return {
    made,
    start(signal: AbortSignal): Promise<T> {
      const answer = Promise.withResolvers<T>()
      made.push({ signal, answer })
      return answer.promise
    },
  }
}

const patient = new AbortController().signal

/** Counts abort listeners, which only a real signal lets pile up unseen. */
function watchedSignal() {
  const controller = new AbortController()
  let listeners = 0
  const { signal } = controller
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = (...args: unknown[]) => {
    listeners += 1
    Reflect.apply(add, signal, args)
  }
  signal.removeEventListener = (...args: unknown[]) => {
    listeners -= 1
    Reflect.apply(remove, signal, args)
  }
  return { controller, signal, listeners: () => listeners }
}

const unheard: unknown[] = []
const hear = (reason: unknown) => void unheard.push(reason)
beforeEach(() => void process.on('unhandledRejection', hear))
afterEach(async () => {
  await settled()
  process.off('unhandledRejection', hear)
  expect(unheard.splice(0)).toEqual([])
})

describe('raced', () => {
  test('throws the reason of a signal that had aborted before', async () => {
    await expect(raced(new Promise(() => {}), AbortSignal.abort('too late'))).rejects.toBe('too late')
  })

  test('leaves no rejection unheard when the signal had aborted before', async () => {
    await expect(raced(Promise.reject(new Error('of nobody')), AbortSignal.abort('too late'))).rejects.toBe('too late')
  })

  test('throws the reason of a signal that aborts, and leaves no later rejection unheard', async () => {
    const { promise, reject } = Promise.withResolvers<void>()
    const { controller, signal, listeners } = watchedSignal()
    const race = raced(promise, signal)
    controller.abort('gave up')
    await expect(race).rejects.toBe('gave up')
    reject(new Error('of nobody'))
    expect(listeners()).toBe(0)
  })

  test('throws what the promise throws, and leaves no listener', async () => {
    const { signal, listeners } = watchedSignal()
    await expect(raced(Promise.reject(new Error('no')), signal)).rejects.toThrow('no')
    expect(listeners()).toBe(0)
  })

  test('hands on the answer, and leaves no listener', async () => {
    const { signal, listeners } = watchedSignal()
    await expect(raced(Promise.resolve(1), signal)).resolves.toBe(1)
    expect(listeners()).toBe(0)
  })
})

describe('joined', () => {
  test('starts nothing for a waiter that has given up', async () => {
    const { made, start } = calls<number>()
    await expect(joined<string, number>().join('a', AbortSignal.abort('gone'), start)).rejects.toBe('gone')
    expect(made).toHaveLength(0)
  })

  test('hands a failure to every waiter', async () => {
    const { made, start } = calls<number>()
    const { join } = joined<string, number>()
    const answers = [join('a', patient, start), join('a', patient, start)]
    made[0]?.answer.reject(new Error('no'))
    for (const answer of answers) await expect(answer).rejects.toThrow('no')
  })

  test('does not keep a failure', async () => {
    const { made, start } = calls<number>()
    const { join } = joined<string, number>()
    const first = join('a', patient, start)
    made[0]?.answer.reject(new Error('no'))
    await expect(first).rejects.toThrow('no')
    const second = join('a', patient, start)
    made[1]?.answer.resolve(2)
    await expect(second).resolves.toBe(2)
  })

  test('does not keep an answer', async () => {
    const { made, start } = calls<number>()
    const { join } = joined<string, number>()
    const first = join('a', patient, start)
    made[0]?.answer.resolve(1)
    await expect(first).resolves.toBe(1)
    const second = join('a', patient, start)
    expect(made).toHaveLength(2)
    made[1]?.answer.resolve(2)
    await expect(second).resolves.toBe(2)
  })

  test('does not join calls of different keys', async () => {
    const { made, start } = calls<number>()
    const { join } = joined<string, number>()
    const [a, b] = [join('a', patient, start), join('b', patient, start)]
    made[0]?.answer.resolve(1)
    made[1]?.answer.resolve(2)
    await expect(Promise.all([a, b])).resolves.toEqual([1, 2])
  })

  test('a waiter that gives up takes nothing from another', async () => {
    const { made, start } = calls<number>()
    const { join } = joined<string, number>()
    const hasty = new AbortController()
    const [first, second] = [join('a', hasty.signal, start), join('a', patient, start)]
    hasty.abort('gave up')
    await expect(first).rejects.toBe('gave up')
    expect(made[0]?.signal.aborted).toBe(false)
    made[0]?.answer.resolve(1)
    await expect(second).resolves.toBe(1)
    expect(made).toHaveLength(1)
  })

  test('aborts a call that nobody waits for any more', async () => {
    const { made, start } = calls<number>()
    const { join } = joined<string, number>()
    const hasty = new AbortController()
    const waiters = [join('a', hasty.signal, start), join('a', hasty.signal, start)]
    hasty.abort('gave up')
    for (const waiter of waiters) await expect(waiter).rejects.toBe('gave up')
    expect(made[0]?.signal.aborted).toBe(true)
  })

  test('who comes after an aborted call gets a call of its own, which the old one cannot end', async () => {
    const { made, start } = calls<number>()
    const { join } = joined<string, number>()
    const hasty = new AbortController()
    const first = join('a', hasty.signal, start)
    hasty.abort('gave up')
    await expect(first).rejects.toBe('gave up')
    const second = join('a', patient, start)
    made[0]?.answer.resolve(1)
    await settled()
    const third = join('a', patient, start)
    expect(made).toHaveLength(2)
    made[1]?.answer.resolve(2)
    await expect(Promise.all([second, third])).resolves.toEqual([2, 2])
  })

  test('never aborts a call that somebody waits for, and always one that nobody does', async () => {
    const step = fc.record({ act: fc.constantFrom('join', 'giveUp', 'answer', 'fail'), at: fc.nat(5) })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const { made, start } = calls<number>()
        const { join } = joined<string, number>()
        const waiting = new Map<AbortController, { call: number; over: () => boolean }>()
        for (const { act, at } of steps) {
          if (act === 'join') {
            const controller = new AbortController()
            let over = false
            const before = made.length
            const end = () => {
              over = true
            }
            join('k', controller.signal, start).then(end, end)
            const call = made.length > before ? made.length - 1 : Math.max(...[...waiting.values()].map((w) => w.call))
            waiting.set(controller, { call, over: () => over })
          } else if (act === 'giveUp') {
            const controller = [...waiting.keys()][at]
            controller?.abort('gave up')
          } else if (act === 'answer') made[made.length - 1]?.answer.resolve(1)
          else made[made.length - 1]?.answer.reject(new Error('no'))
          await settled()
          for (const [controller, { over }] of waiting) if (over()) waiting.delete(controller)
          for (const [call, { signal }] of made.entries()) {
            const waited = [...waiting.values()].some((waiter) => waiter.call === call)
            expect(signal.aborted).toBe(!waited)
          }
        }
      }),
      { seed: 3, numRuns: 200 },
    )
  })
})

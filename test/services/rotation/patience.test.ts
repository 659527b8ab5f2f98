import { describe, expect, test } from 'vitest'
import type { UpstreamKind } from '../../../src/errors.ts'
import { UpstreamError } from '../../../src/errors.ts'
import { isKind, isTransient, ONCE, patience } from '../../../src/services/rotation/patience.ts'
import { virtualClock } from '../../virtual-clock.ts'
import { NEVER } from './world.ts'

/** Fails as often, then answers. */
function failing(times: number, kind: UpstreamKind = 'unavailable') {
  const tries: number[] = []
  return {
    tries,
    act: async () => {
      tries.push(tries.length)
      if (tries.length <= times) throw new UpstreamError('vault', kind)
      return 'answer'
    },
  }
}

describe('patience', () => {
  test.each<UpstreamKind>([
    'forbidden',
    'unauthorized',
    'key-missing',
    'not-authentic',
    'aborted',
    'redirected',
    'too-large',
    'bad-request',
  ])('does not repeat what failed with %s: it would fail so again', async (kind) => {
    const { tries, act } = failing(9, kind)
    await expect(patience(virtualClock())(NEVER, act)).rejects.toMatchObject({ kind })
    expect(tries).toHaveLength(1)
  })

  test('does not repeat a defect', async () => {
    const defect = new TypeError('undefined is not a function')
    await expect(patience(virtualClock())(NEVER, () => Promise.reject(defect))).rejects.toBe(defect)
  })

  test.each<UpstreamKind>(['unavailable', 'timeout', 'throttled', 'sealed', 'standby', 'garbage'])(
    'outlasts a while of %s',
    async (kind) => {
      const clock = virtualClock()
      const { tries, act } = failing(6, kind)
      const answer = patience(clock)(NEVER, act)
      await clock.advance(15_700)
      await expect(answer).resolves.toBe('answer')
      expect(tries).toHaveLength(7)
    },
  )

  test('lets the last failure stand once its pauses are used up', async () => {
    const clock = virtualClock()
    const { tries, act } = failing(99)
    const failure = patience(clock, [10, 20])(NEVER, act).catch((error: unknown) => error)
    await clock.advance(29)
    expect(tries).toHaveLength(2)
    await clock.advance(1)
    expect(await failure).toMatchObject({ kind: 'unavailable' })
    expect(tries).toHaveLength(3)
  })

  test('asks nobody once its signal has aborted', async () => {
    const { tries, act } = failing(0)
    await expect(patience(virtualClock())(AbortSignal.abort(new Error('over')), act)).rejects.toThrow('over')
    await expect(patience(virtualClock(), [])(AbortSignal.abort(new Error('over')), act)).rejects.toThrow('over')
    expect(tries).toHaveLength(0)
  })

  test('is none where there is no time for any', async () => {
    const { tries, act } = failing(1, 'sealed')
    await expect(ONCE(NEVER, act)).rejects.toMatchObject({ kind: 'sealed' })
    expect(tries).toHaveLength(1)
    await expect(ONCE(AbortSignal.abort(new Error('over')), act)).rejects.toThrow('over')
    expect(tries).toHaveLength(1)
  })

  test("takes a failure of what it ended itself for its own end, not for the peer's", async () => {
    const ending = new AbortController()
    const act = async () => {
      ending.abort(new Error('over'))
      throw new UpstreamError('vault', 'timeout')
    }
    await expect(patience(virtualClock())(ending.signal, act)).rejects.toThrow('over')
  })
})

test('only what an upstream said has a kind', () => {
  expect(isTransient(new Error('timeout'))).toBe(false)
  expect(isKind(new Error('timeout'), 'timeout')).toBe(false)
  expect(isKind(new UpstreamError('vault', 'sealed'), 'timeout', 'sealed')).toBe(true)
})

/** One real rotation and one dry run at a time in a process, and who is told again of the last. */
import { describe, expect, test } from 'vitest'
import { openPlaces } from '../../../src/services/rotation/places.ts'
import type { Order, Run } from '../../../src/services/rotation/run.ts'

const ORDER: Order = { mode: 'rotate', retire: 'after-grace', dryRun: false, idempotency: { key: 'k', request: 'r' } }

function runOf(...keys: readonly string[]): Run {
  return { id: '1', keys, dryRun: false, report: new Promise(() => {}), listen: () => () => {} }
}

describe('a place', () => {
  test('that was left is left once: it takes no other away', () => {
    const places = openPlaces()
    const first = places.take(ORDER)
    first.leave()
    places.take(ORDER)
    first.leave()
    expect(() => places.take(ORDER)).toThrow(expect.objectContaining({ code: 'ROTATION_IN_PROGRESS' }))
  })

  test('tells of its run to whoever asks for the same again, about the same keys', () => {
    const places = openPlaces()
    const place = places.take(ORDER)
    expect(places.runOf(ORDER, ['a', 'b'])).toBeUndefined()
    place.run = runOf('a', 'b')
    place.finish()
    expect(places.runOf(ORDER, ['b', 'a'])).toBe(place.run)
    expect(places.runs()).toEqual([])
  })

  test.each([
    ['may rotate more by now', ['a', 'b', 'c']],
    ['may rotate less by now', ['a']],
    ['may rotate others by now', ['a', 'c']],
  ])('does not tell of its run to a caller who %s', (_, keys) => {
    const places = openPlaces()
    const place = places.take(ORDER)
    place.run = runOf('a', 'b')
    place.finish()
    expect(places.runOf(ORDER, keys)).toBeUndefined()
  })
})

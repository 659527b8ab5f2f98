import { describe, expect, test } from 'vitest'
import type { SecretUnder } from '../../../src/policy/secrets-under.ts'
import { droppedOf, remembered } from '../../../src/services/rotation/dropped.ts'
import type { JournalState, Known } from '../../../src/services/rotation/journal-state.ts'

const DAY = 86_400_000
const NOW = 1_000 * DAY
const [a, b, c] = ['a', 'b', 'c'].map((secret): SecretUnder => {
  return { namespace: 'payments', secret, dataKeys: 'all', others: new Set() }
}) as [SecretUnder, SecretUnder, SecretUnder]

function next(known: readonly Known[], secrets: readonly SecretUnder[], nowMs = NOW): Known {
  return remembered(known, 'payments', secrets, nowMs)
}

/** How many have left, of what is known of a key and what there is now. */
function left(known: readonly Known[], secrets: readonly SecretUnder[], nowMs = NOW, key = 'payments') {
  return droppedOf({ intents: [], known }, key, secrets, nowMs)
}

describe('what is known of a key', () => {
  test('holds a digest of each Secret, and no name', () => {
    expect(next([], [a, b])).toEqual({ key: 'payments', secrets: expect.stringMatching(/^[\w-]{20}$/), dropped: {} })
  })

  test('that was never rotated misses nothing', () => {
    expect(left([], [a, b])).toBe(0)
    expect(left([next([], [a, b])], [a, b, c])).toBe(0)
  })

  test('is its own, also where its name is one of the prototype', () => {
    const other = remembered([], '__proto__', [a, b], NOW)
    expect(left([other], [a])).toBe(0)
    expect(left([other], [a], NOW, '__proto__')).toBe(1)
    expect(left([], [a], NOW, 'constructor')).toBe(0)
  })

  test('counts a Secret that left the policy for seven days from when that was seen', () => {
    const seen = next([next([], [a, b])], [a])
    expect(left([seen], [a], NOW + 7 * DAY - 1)).toBe(1)
    expect(left([seen], [a], NOW + 7 * DAY)).toBe(0)
  })

  test('does not make the days begin anew when it is rotated again', () => {
    const first = next([next([], [a, b])], [a])
    const second = next([first], [a], NOW + 6 * DAY)
    expect(left([second], [a], NOW + 7 * DAY)).toBe(0)
  })

  test('does not count a Secret that came back', () => {
    expect(left([next([next([], [a, b])], [a])], [a, b])).toBe(0)
  })

  test('may have lost any where they were too many to remember, for as long', () => {
    const since = next([{ key: 'payments', secrets: null, dropped: {} }], [a, b])
    expect(since.secrets).toHaveLength(20)
    expect(left([since], [a, b], NOW + 7 * DAY - 1)).toBe('too-many')
    expect(left([since], [a, b], NOW + 7 * DAY)).toBe(0)
  })

  test('may have lost any where all that was known was lost, for as long', () => {
    const state: JournalState = { intents: [], known: [], forgotAtMs: NOW }
    expect(droppedOf(state, 'payments', [a], NOW)).toBe('forgotten')
    expect(droppedOf(state, 'payments', [a], NOW + 7 * DAY - 1)).toBe('forgotten')
    expect(droppedOf(state, 'payments', [a], NOW + 7 * DAY)).toBe(0)
  })
})

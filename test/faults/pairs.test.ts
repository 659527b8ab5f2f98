/** Scenario 3: two things go wrong, in a rotation and its rerun. */
import { expect, test } from 'vitest'
import { PATIENCE, seeds } from './effort.ts'
import { pairOf, shrunk } from './pairs.ts'

test('any two mishaps leave all in order, and two more reruns at most finish', PATIENCE, async () => {
  for (const seed of seeds(70)) {
    const objection = await shrunk(pairOf(seed))
    expect(objection, objection?.message).toBeUndefined()
  }
})

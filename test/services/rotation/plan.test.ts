import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { TransitKey } from '../../../src/policy/schema.ts'
import type { Standing } from '../../../src/services/rotation/plan.ts'
import { recentForMs, retirementOf, targetOf } from '../../../src/services/rotation/plan.ts'
import type { Wanted } from '../../../src/services/rotation/wanted.ts'
import { transitKeyOf } from '../permits.ts'
import { wantedOf } from './stages.ts'

const HOUR = 3_600_000
const NOW = 1_000 * HOUR

function wanted(over: Partial<Wanted> = {}, key: Partial<TransitKey> = {}): Wanted {
  const transitKey = transitKeyOf({ exclusive: true, rotation: { grace: 1, minIntervalMs: HOUR, admins: [] }, ...key })
  return wantedOf({ transitKey, secrets: [] }, over)
}

function infoOf(latestVersion: number, madeAtMs: number | undefined) {
  const createdAtMs = new Map(madeAtMs === undefined ? [] : [[latestVersion, madeAtMs]])
  return { derived: true, latestVersion, minDecryptionVersion: 1, createdAtMs }
}

describe('targetOf', () => {
  test.each([
    ['rewrap', 'after-grace', NOW - 9 * HOUR, 4, 'not-asked'],
    ['rewrap', 'now', NOW, 4, 'not-asked'],
    ['rotate', 'after-grace', NOW, 4, 'recent'],
    ['rotate', 'never', NOW - HOUR + 1, 4, 'recent'],
    ['rotate', 'after-grace', NOW - HOUR, 5, 'made'],
    ['rotate', 'after-grace', undefined, 5, 'made'],
    // A clock that is behind Vault's: the newest version is from the future, and so more than recent.
    ['rotate', 'after-grace', NOW + 9 * HOUR, 4, 'recent'],
    ['rotate', 'now', NOW, 5, 'made'],
  ] as const)('%s, retire %s, newest version made at %s: version %s, %s', (mode, retire, madeAtMs, target, advance) => {
    expect(targetOf(wanted({ mode, retire }), infoOf(4, madeAtMs), NOW)).toEqual({ from: 4, target, advance })
  })

  test('is the newest version or the next, whatever is asked', () => {
    const modes = fc.constantFrom('rotate' as const, 'rewrap' as const)
    const retires = fc.constantFrom('after-grace' as const, 'now' as const, 'never' as const)
    fc.assert(
      fc.property(modes, retires, fc.integer({ min: 1 }), fc.nat(), fc.nat(), (mode, retire, latest, atMs, nowMs) => {
        const { from, target } = targetOf(wanted({ mode, retire }), infoOf(latest, atMs), nowMs)
        expect(from).toBe(latest)
        expect([latest, latest + 1]).toContain(target)
      }),
    )
  })
})

test.each([
  [undefined, 0],
  [NOW - 9 * HOUR, 0],
  [NOW - HOUR, 0],
  [NOW - HOUR + 1, 1],
  [NOW, HOUR],
])('a version made at %s is recent for %s ms more', (madeAtMs, forMs) => {
  expect(recentForMs(transitKeyOf(), infoOf(2, madeAtMs), NOW)).toBe(forMs)
})

/** Where nothing stands in the way: from 3 on, versions open; 5 is the newest, and one older may stay. */
function standing(over: Partial<Standing> = {}): Standing {
  return {
    wanted: wanted(),
    target: 5,
    minDecryptionVersion: 3,
    lowest: 5,
    blocked: 0,
    left: 0,
    gitops: 0,
    policyChanged: false,
    dropped: 0,
    ...over,
  }
}

describe('retirementOf', () => {
  test.each<[string, Partial<Standing>, string, RegExp]>([
    ['it was not asked for', { wanted: wanted({ retire: 'never' }) }, 'not-asked', /not asked/],
    ['others may encrypt', { wanted: wanted({}, { exclusive: false }) }, 'not-exclusive', /exclusive: true/],
    ['the grace keeps all there are', { minDecryptionVersion: 4 }, 'nothing-older', /from 4 on .* grace of 1/],
    ['the minimum is above', { minDecryptionVersion: 9 }, 'nothing-older', /from 9 on/],
    [
      'the grace reaches beyond the first',
      { target: 1, minDecryptionVersion: 1, lowest: 1 },
      'nothing-older',
      /from 1/,
    ],
    ['a Secret is not moved yet', { left: 2 }, 'secrets-left', /^2 Secrets/],
    ['a Secret cannot be moved', { blocked: 3 }, 'secrets-blocked', /^3 Secrets/],
    ['git brings one back', { gitops: 1 }, 'gitops', /^1 Secret is also/],
    ['the policy changed', { policyChanged: true }, 'policy-changed', /changed/],
    ['Secrets left the policy', { dropped: 2 }, 'secrets-dropped', /^2 Secrets were/],
    [
      'there are more than are remembered',
      { dropped: 'too-many' },
      'secrets-unknown',
      /^The policy has more .*another rotator/,
    ],
    ['what was remembered is lost', { dropped: 'forgotten' }, 'secrets-unknown', /was lost, .* after seven days/],
    ['some Secret holds the oldest version', { lowest: 3 }, 'nothing-older', /holds version 3/],
  ])('withholds it where %s', (_, over, why, detail) => {
    expect(retirementOf(standing(over))).toEqual({ why, detail: expect.stringMatching(detail) })
  })

  test.each<[string, Partial<Standing>, number]>([
    ['but the grace', {}, 4],
    ['with retire: now not even the grace', { wanted: wanted({ retire: 'now' }) }, 5],
    ['what is still in use', { wanted: wanted({ retire: 'now' }), lowest: 4 }, 4],
    ['where no Secret holds any version', { lowest: undefined }, 4],
  ])('keeps nothing older, %s', (_, over, raiseTo) => {
    expect(retirementOf(standing(over))).toEqual({ raiseTo })
  })

  test('only ever raises, never above what is in use or kept, and never where anything is in doubt', () => {
    const few = fc.integer({ min: 0, max: 2 })
    const arbitrary = fc.record({
      retire: fc.constantFrom('after-grace' as const, 'now' as const, 'never' as const),
      exclusive: fc.boolean(),
      grace: fc.nat({ max: 5 }),
      target: fc.integer({ min: 1, max: 9 }),
      minDecryptionVersion: fc.integer({ min: 1, max: 9 }),
      lowest: fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined }),
      blocked: few,
      left: few,
      gitops: few,
      policyChanged: fc.boolean(),
      dropped: fc.constantFrom(0, 0, 1, 'too-many' as const, 'forgotten' as const),
    })
    fc.assert(
      fc.property(arbitrary, ({ retire, exclusive, grace, ...over }) => {
        const key = { exclusive, rotation: { grace, minIntervalMs: HOUR, admins: [] } }
        const plan = retirementOf(standing({ ...over, wanted: wanted({ retire }, key) }))
        if (!('raiseTo' in plan)) return
        const { target, minDecryptionVersion, lowest = target, blocked, left, gitops, policyChanged, dropped } = over
        expect(plan.raiseTo).toBeGreaterThan(minDecryptionVersion)
        expect(plan.raiseTo).toBeLessThanOrEqual(lowest)
        expect(plan.raiseTo).toBeLessThanOrEqual(retire === 'now' ? target : target - grace)
        expect({ retire, exclusive, blocked, left, gitops, policyChanged, dropped }).toEqual({
          retire: retire === 'now' ? 'now' : 'after-grace',
          exclusive: true,
          blocked: 0,
          left: 0,
          gitops: 0,
          policyChanged: false,
          dropped: 0,
        })
      }),
      { numRuns: 2_000 },
    )
  })
})

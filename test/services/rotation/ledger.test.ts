import { describe, expect, test } from 'vitest'
import { UpstreamError } from '../../../src/errors.ts'
import type { Facts, KeyFacts } from '../../../src/services/rotation/ledger.ts'
import { ledger as ledgerOf } from '../../../src/services/rotation/ledger.ts'
import { surveyor } from '../../../src/services/rotation/survey.ts'
import { settled } from '../../virtual-clock.ts'
import { estateOf } from './stages.ts'
import type { World } from './world.ts'
import { NEVER } from './world.ts'

/** Of two Secrets under the key payments. */
function surveyed() {
  const { there, key, stages } = estateOf({ 'payments/a': 1, 'payments/b': 2 }, { latest: 2 })
  const { clock } = there
  const survey = surveyor({ ...stages, clock, inForce: () => [key], keepMs: 10_000, ending: NEVER })
  return { there, survey, ledger: ledgerOf({ survey, clock, patienceMs: 2_500 }) }
}

function of(keys: readonly KeyFacts[], lastRotationEndedMs?: number): Facts {
  return { keys, lastRotationEndedMs }
}

describe('the ledger', () => {
  /** Another process made a version. */
  function rotatedElsewhere(there: World): void {
    const key = there.keys.get('payments')
    if (key !== undefined) key.latestVersion = 3
  }

  const NOW = { name: 'payments', info: { latestVersion: 2, minDecryptionVersion: 1 } }

  /** What the first survey saw is two Secrets; what a second one sees is held up. */
  async function surveyedOnce() {
    const { there, survey, ledger } = surveyed()
    const before = await there.elapsed(survey.recent(NEVER))
    survey.outdated()
    await there.clock.advance(1)
    const held = Promise.withResolvers<void>()
    there.fail(/^hold/, () => held.promise)
    return { there, survey, ledger, before, held }
  }

  test('is a new look where that is in time', async () => {
    const { there, ledger, before, held } = await surveyedOnce()
    const soon = ledger(of([NOW]), NEVER)
    await there.clock.advance(2_499)
    held.resolve()
    const { atMs } = await soon
    expect(atMs).toBeGreaterThan(before.atMs)
    expect(there.clock.timers()).toBe(0)
  })

  test.each([
    ['the key is as it was', NOW],
    ['Vault does not tell of the key', { ...NOW, info: undefined }],
  ])(
    'is the last one where a new look takes longer and %s, and the look goes on for the next to find',
    async (_, key) => {
      const { there, survey, ledger, before, held } = await surveyedOnce()
      const soon = ledger(of([key]), NEVER)
      await there.clock.advance(2_500)
      expect(await soon).toBe(before)
      held.resolve()
      await settled()
      expect(survey.last()?.atMs).toBeGreaterThan(before.atMs)
      expect(await ledger(of([key]), NEVER)).toBe(survey.last())
      expect(there.count(/^hold/)).toBe(4)
    },
  )

  test.each([
    ['does not know of a key', { ...NOW, name: 'billing' }],
    ['is from before another process made a version', { ...NOW, info: { ...NOW.info, latestVersion: 3 } }],
    ['is from before another process retired one', { ...NOW, info: { ...NOW.info, minDecryptionVersion: 2 } }],
  ])('waits for the new look where the last one %s', async (_, key) => {
    const { there, ledger, before, held } = await surveyedOnce()
    const soon = ledger(of([NOW, key]), NEVER)
    await there.clock.advance(60_000)
    held.resolve()
    expect((await soon).atMs).toBeGreaterThan(before.atMs)
  })

  test('looks again, however new the last look is, where another process rotated the key since', async () => {
    const { there, survey, ledger } = surveyed()
    await there.elapsed(survey.recent(NEVER))
    rotatedElsewhere(there)
    const now = { ...NOW, info: { ...NOW.info, latestVersion: 3 } }
    const found = await there.elapsed(ledger(of([now]), NEVER))
    expect(found.entries.get('payments')).toMatchObject({ latestVersion: 3 })
    expect(there.count(/^hold/)).toBe(4)
  })

  test('looks once more where the look that it joined had begun before the key was rotated', async () => {
    const { there, survey, ledger, held } = await surveyedOnce()
    const joined = survey.recent(NEVER)
    await settled()
    rotatedElsewhere(there)
    const now = { ...NOW, info: { ...NOW.info, latestVersion: 3 } }
    const soon = ledger(of([now]), NEVER)
    held.resolve()
    expect((await joined).entries.get('payments')).toMatchObject({ latestVersion: 2 })
    expect((await soon).entries.get('payments')).toMatchObject({ latestVersion: 3 })
  })

  test('is from after the last rotation, although one that it was under way with has ended meanwhile', async () => {
    const { there, survey, ledger, before, held } = await surveyedOnce()
    const joined = survey.recent(NEVER)
    await there.clock.advance(1_000)
    const lastRotationEndedMs = there.clock.now()
    held.resolve()
    await joined
    const soon = await there.elapsed(ledger(of([NOW], lastRotationEndedMs), NEVER))
    expect(soon.beganMs).toBeGreaterThanOrEqual(lastRotationEndedMs)
    expect(before.beganMs).toBeLessThan(lastRotationEndedMs)
    expect(there.count(/^hold/)).toBe(6)
    expect(await ledger(of([NOW], lastRotationEndedMs), NEVER)).toBe(soon)
  })

  test('takes no word for a rotation that ends tomorrow', async () => {
    const { there, survey, ledger } = surveyed()
    await there.elapsed(survey.recent(NEVER))
    const lastRotationEndedMs = there.clock.now() + 86_400_000
    expect(await ledger(of([NOW], lastRotationEndedMs), NEVER)).toBe(survey.last())
    expect(there.count(/^hold/)).toBe(2)
  })

  test('of a key whose survey failed is not looked at for each who asks', async () => {
    const { there, survey, ledger } = surveyed()
    there.fail(/^hold/, new UpstreamError('kubernetes', 'unauthorized'))
    await there.elapsed(survey.recent(NEVER))
    const failed = survey.last()
    expect(await there.elapsed(ledger(of([NOW]), NEVER))).toBe(failed)
    // When that is too old, a failure that may be over is no answer.
    await there.clock.advance(10_000)
    const held = Promise.withResolvers<void>()
    there.fail(/^hold/, () => held.promise)
    const soon = ledger(of([NOW]), NEVER)
    await there.clock.advance(60_000)
    held.resolve()
    expect((await soon).entries.get('payments')).not.toHaveProperty('failure')
  })

  test('waits where there was none before, until its caller gives up', async () => {
    const { there, ledger } = surveyed()
    there.fail(/^hold/, () => new Promise(() => {}))
    const impatient = new AbortController()
    const soon = ledger(of([NOW]), impatient.signal)
    await there.clock.advance(4_999)
    impatient.abort(new Error('deadline'))
    await expect(soon).rejects.toThrow('deadline')
  })
})

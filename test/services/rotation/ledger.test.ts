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
  let policyHash = 'sha256:0'
  const survey = surveyor({
    ...stages,
    clock,
    inForce: () => [key],
    policyHash: () => policyHash,
    keepMs: 10_000,
    ending: NEVER,
  })
  const tell = ledgerOf({ survey, clock, patienceMs: 2_500 })
  return {
    there,
    survey,
    ledger: (keys: readonly KeyFacts[], facts: Partial<Facts> = {}, signal = NEVER) =>
      tell({ keys, lastRotation: undefined, policyHash, ...facts }, signal),
    changePolicy() {
      policyHash = 'sha256:1'
    },
  }
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
    const once = surveyed()
    const { there, survey } = once
    const before = await there.elapsed(survey.recent(NEVER))
    await there.clock.advance(10_000)
    const held = Promise.withResolvers<void>()
    there.fail(/^hold/, () => held.promise)
    return { ...once, before, held }
  }

  test('is a new look where that is in time', async () => {
    const { there, ledger, before, held } = await surveyedOnce()
    const soon = ledger([NOW])
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
      const soon = ledger([key])
      await there.clock.advance(2_500)
      expect(await soon).toBe(before)
      held.resolve()
      await settled()
      expect(survey.last()?.atMs).toBeGreaterThan(before.atMs)
      expect(await ledger([key])).toBe(survey.last())
      expect(there.count(/^hold/)).toBe(4)
    },
  )

  test.each([
    ['does not know of a key', { ...NOW, name: 'billing' }],
    ['is from before another process made a version', { ...NOW, info: { ...NOW.info, latestVersion: 3 } }],
    ['is from before another process retired one', { ...NOW, info: { ...NOW.info, minDecryptionVersion: 2 } }],
  ])('waits for the new look where the last one %s', async (_, key) => {
    const { there, ledger, before, held } = await surveyedOnce()
    const soon = ledger([NOW, key])
    await there.clock.advance(60_000)
    held.resolve()
    expect((await soon).atMs).toBeGreaterThan(before.atMs)
  })

  test('looks again, however new the last look is, where another process rotated the key since', async () => {
    const { there, survey, ledger } = surveyed()
    await there.elapsed(survey.recent(NEVER))
    rotatedElsewhere(there)
    const now = { ...NOW, info: { ...NOW.info, latestVersion: 3 } }
    await there.clock.advance(1)
    const found = await there.elapsed(ledger([now]))
    expect(found.entries.get('payments')).toMatchObject({ latestVersion: 3 })
    expect(there.count(/^hold/)).toBe(4)
  })

  test('looks once more where the look that it joined had begun before the key was rotated', async () => {
    const { there, survey, ledger, held } = await surveyedOnce()
    const joined = survey.recent(NEVER)
    await settled()
    rotatedElsewhere(there)
    const now = { ...NOW, info: { ...NOW.info, latestVersion: 3 } }
    const soon = ledger([now])
    held.resolve()
    expect((await joined).entries.get('payments')).toMatchObject({ latestVersion: 2 })
    expect((await soon).entries.get('payments')).toMatchObject({ latestVersion: 3 })
  })

  test('is from after the last rotation on the Lease, although a look that had begun before has ended meanwhile', async () => {
    const { there, survey, ledger, held } = await surveyedOnce()
    const joined = survey.recent(NEVER)
    await there.clock.advance(1_000)
    held.resolve()
    const during = await joined
    const after = await there.elapsed(ledger([NOW], { lastRotation: 'b1' }))
    expect(after).not.toBe(during)
    await there.clock.advance(1)
    // By the Lease it is not known when this was: to whoever saw it before, it is not new.
    const later = await there.elapsed(ledger([NOW], { lastRotation: 'b1' }))
    expect(await ledger([NOW], { lastRotation: 'b1' })).toBe(later)
    expect(there.count(/^hold/)).toBe(8)
  })

  test('is not from before a rotation here whose end the Lease does not know of', async () => {
    const { there, survey, ledger, before, held } = await surveyedOnce()
    survey.outdated()
    const soon = ledger([NOW])
    await there.clock.advance(60_000)
    held.resolve()
    expect(await soon).not.toBe(before)
  })

  test('is not of another policy', async () => {
    const { there, survey, ledger, changePolicy } = surveyed()
    await there.elapsed(survey.recent(NEVER))
    await there.clock.advance(1)
    changePolicy()
    const held = Promise.withResolvers<void>()
    there.fail(/^hold/, () => held.promise)
    const soon = ledger([NOW])
    await there.clock.advance(60_000)
    held.resolve()
    expect(await soon).toMatchObject({ policyHash: 'sha256:1' })
  })

  test('is one look where that saw more than its request did', async () => {
    const { there, ledger } = surveyed()
    rotatedElsewhere(there)
    const found = await there.elapsed(ledger([NOW]))
    expect(found.entries.get('payments')).toMatchObject({ latestVersion: 3 })
    expect(there.count(/^hold/)).toBe(2)
  })

  test('looks no further for a request that has its answer', async () => {
    const { there, survey, ledger, before, held, changePolicy } = await surveyedOnce()
    changePolicy()
    void survey.recent(NEVER)
    await there.clock.advance(1)
    const soon = ledger([NOW], { policyHash: 'sha256:0' })
    await there.clock.advance(2_500)
    expect(await soon).toBe(before)
    // What it joined is not of its policy.
    held.resolve()
    await settled()
    expect(there.count(/^hold/)).toBe(4)
  })

  test('of a key whose survey failed is not looked at for each who asks', async () => {
    const { there, survey, ledger } = surveyed()
    there.fail(/^hold/, new UpstreamError('kubernetes', 'unauthorized'))
    await there.elapsed(survey.recent(NEVER))
    const failed = survey.last()
    expect(await there.elapsed(ledger([NOW]))).toBe(failed)
    // When that is too old, a failure that may be over is no answer.
    await there.clock.advance(10_000)
    const held = Promise.withResolvers<void>()
    there.fail(/^hold/, () => held.promise)
    const soon = ledger([NOW])
    await there.clock.advance(60_000)
    held.resolve()
    expect((await soon).entries.get('payments')).not.toHaveProperty('failure')
  })

  test('waits where there was none before, until its caller gives up', async () => {
    const { there, ledger } = surveyed()
    there.fail(/^hold/, () => new Promise(() => {}))
    const impatient = new AbortController()
    const soon = ledger([NOW], {}, impatient.signal)
    await there.clock.advance(4_999)
    impatient.abort(new Error('deadline'))
    await expect(soon).rejects.toThrow('deadline')
  })
})

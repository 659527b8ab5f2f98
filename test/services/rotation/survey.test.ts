import { describe, expect, test } from 'vitest'
import { UpstreamError } from '../../../src/errors.ts'
import type { RotatableKey } from '../../../src/services/authorize.ts'
import { surveyor } from '../../../src/services/rotation/survey.ts'
import { settled } from '../../virtual-clock.ts'
import { estateOf } from './stages.ts'
import type { World } from './world.ts'
import { NEVER, sealed } from './world.ts'

function surveyed(secrets: Readonly<Record<string, number>> = { 'payments/a': 1, 'payments/b': 2 }, ending = NEVER) {
  const { there, key, stages } = estateOf(secrets, { latest: 2 })
  const inForce: RotatableKey[] = [key]
  const survey = surveyor({
    ...stages,
    clock: there.clock,
    inForce: () => inForce,
    keepMs: 10_000,
    patienceMs: 2_500,
    ending,
  })
  return {
    there,
    key,
    inForce,
    survey,
    entry: async (signal = NEVER) => (await there.elapsed(survey.now(signal))).entries.get('payments'),
  }
}

describe('survey: an entry', () => {
  test('says on which versions the Secrets are, and which are behind', async () => {
    const { there, entry } = surveyed({ 'payments/a': 1, 'payments/b': 2, 'payments/c': 2 })
    const [oldest, newest] = [...(there.keys.get('payments')?.createdAtMs.values() ?? [])]
    expect(await entry()).toEqual({
      key: 'payments',
      mount: 'transit',
      latestVersion: 2,
      minDecryptionVersion: 1,
      latestCreatedAt: new Date(newest ?? 0).toISOString(),
      oldestCreatedAt: new Date(oldest ?? 0).toISOString(),
      secrets: 3,
      versions: { 1: 1, 2: 2 },
      drift: [{ namespace: 'payments', name: 'a', version: 1 }],
      gitops: [],
      blocked: [],
    })
    expect(there.count(/^(?:rewrap|rotate|min|replace|write-lease)/)).toBe(0)
  })

  test('names what is blocked, and what git also writes', async () => {
    const { there, entry } = surveyed()
    there.secrets.delete('payments/a')
    there.putSecret('payments/b', { 'secrets.json': sealed(1, 'payments/b') }, { managers: ['argocd-controller'] })
    expect(await entry()).toMatchObject({
      secrets: 2,
      versions: { 1: 1 },
      gitops: [{ name: 'b', tool: 'Argo CD' }],
      blocked: [{ name: 'a', code: 'SECRET_MISSING', detail: expect.stringContaining('does not exist') }],
    })
  })

  test('of no ciphertext has no oldest version', async () => {
    const { there, key, inForce, entry } = surveyed({ 'payments/a': 1 })
    there.putSecret('payments/a', {})
    inForce.splice(0, 1, { ...key, secrets: key.secrets.map((one) => ({ ...one, dataKeys: 'all' })) })
    const found = await entry()
    expect(found).toMatchObject({ secrets: 1, versions: {}, drift: [], blocked: [] })
    expect(found).not.toHaveProperty('oldestCreatedAt')
  })

  test('of a key that Vault does not tell about says why, and what to do', async () => {
    const { there, entry } = surveyed()
    there.fail(/^read payments/, new UpstreamError('vault', 'key-missing'))
    expect(await entry()).toEqual({
      key: 'payments',
      mount: 'transit',
      secrets: 2,
      versions: {},
      drift: [],
      gitops: [],
      blocked: [],
      failure: { code: 'KEY_UNUSABLE', detail: expect.stringContaining('create the Transit key') },
    })
  })

  test('says what is wrong with the access of keyhole itself', async () => {
    const { there, entry } = surveyed()
    there.fail(/^hold/, new UpstreamError('kubernetes', 'unauthorized'))
    expect((await entry())?.failure).toMatchObject({ code: 'KUBERNETES_UNAVAILABLE', detail: expect.any(String) })
  })
})

describe('survey.now', () => {
  test('looks again after a while, and not before', async () => {
    const { there, survey, entry } = surveyed()
    expect(survey.last()).toBeUndefined()
    await entry()
    const { atMs } = survey.last() ?? {}
    expect(atMs).toBe(there.clock.now())
    await there.clock.advance(9_999)
    await entry()
    expect(there.count(/^hold/)).toBe(2)
    await there.clock.advance(1)
    await entry()
    expect(there.count(/^hold/)).toBe(4)
    // A clock that was set back must not keep it for an hour.
    there.clock.set(there.clock.now() - 3_600_000)
    await entry()
    expect(there.count(/^hold/)).toBe(6)
  })

  test('looks again at once where a rotation has changed what was seen', async () => {
    const { there, survey, entry } = surveyed()
    await entry()
    survey.outdated()
    expect(survey.last()).toBeDefined()
    await entry()
    await entry()
    expect(there.count(/^hold/)).toBe(4)
  })

  test('does not keep what was changed while it looked', async () => {
    const { there, survey, entry } = surveyed()
    there.fail(/^hold/, () => survey.outdated())
    await entry()
    await entry()
    expect(there.count(/^hold/)).toBe(4)
  })

  test('is one look for all who ask at the same time', async () => {
    const { there, survey } = surveyed()
    const all = await there.elapsed(Promise.all([survey.now(NEVER), survey.now(NEVER), survey.now(NEVER)]))
    expect(new Set(all).size).toBe(1)
    expect(there.count(/^hold/)).toBe(2)
  })

  test('goes on when its caller gives up, for the next one to find', async () => {
    const { there, survey, entry } = surveyed()
    const held = Promise.withResolvers<void>()
    there.fail(/^hold/, () => held.promise)
    const impatient = new AbortController()
    const given = survey.now(impatient.signal)
    await settled()
    impatient.abort(new Error('deadline'))
    await expect(given).rejects.toThrow('deadline')
    held.resolve()
    await settled()
    expect(await entry()).toMatchObject({ versions: { 1: 1, 2: 1 } })
    expect(there.count(/^hold/)).toBe(2)
  })

  test('ends with the process, and tells so of each key', async () => {
    const ending = new AbortController()
    const { there, entry } = surveyed({ 'payments/a': 1 }, ending.signal)
    ending.abort(new Error('stopping'))
    expect(await entry()).toMatchObject({ failure: { code: 'INTERNAL' } })
    expect(there.calls).toEqual([])
  })
})

describe('survey.soon', () => {
  /** Another process made a version. */
  function rotatedElsewhere(there: World): void {
    const key = there.keys.get('payments')
    if (key !== undefined) key.latestVersion = 3
  }

  const NOW = { name: 'payments', info: { latestVersion: 2, minDecryptionVersion: 1 } }

  /** What the first survey saw is two Secrets; what a second one sees is held up. */
  async function surveyedOnce() {
    const { there, survey, entry } = surveyed()
    await entry()
    survey.outdated()
    const before = survey.last()
    await there.clock.advance(1)
    const held = Promise.withResolvers<void>()
    there.fail(/^hold/, () => held.promise)
    return { there, survey, before, held }
  }

  test('is a new look where that is in time', async () => {
    const { there, survey, before, held } = await surveyedOnce()
    const soon = survey.soon({ keys: [NOW] }, NEVER)
    await there.clock.advance(2_499)
    held.resolve()
    const { atMs } = await soon
    expect(atMs).toBeGreaterThan(before?.atMs ?? 0)
    expect(there.clock.timers()).toBe(0)
  })

  test.each([
    ['the key is as it was', NOW],
    ['Vault does not tell of the key', { ...NOW, info: undefined }],
  ])(
    'is the last one where a new look takes longer and %s, and the look goes on for the next to find',
    async (_, key) => {
      const { there, survey, before, held } = await surveyedOnce()
      const soon = survey.soon({ keys: [key] }, NEVER)
      await there.clock.advance(2_500)
      expect(await soon).toBe(before)
      held.resolve()
      await settled()
      expect(survey.last()?.atMs).toBeGreaterThan(before?.atMs ?? 0)
      expect(await survey.soon({ keys: [key] }, NEVER)).toBe(survey.last())
      expect(there.count(/^hold/)).toBe(4)
    },
  )

  test.each([
    ['does not know of a key', { ...NOW, name: 'billing' }],
    ['is from before another process made a version', { ...NOW, info: { ...NOW.info, latestVersion: 3 } }],
    ['is from before another process retired one', { ...NOW, info: { ...NOW.info, minDecryptionVersion: 2 } }],
  ])('waits for the new look where the last one %s', async (_, key) => {
    const { there, survey, before, held } = await surveyedOnce()
    const soon = survey.soon({ keys: [NOW, key] }, NEVER)
    await there.clock.advance(60_000)
    held.resolve()
    expect((await soon).atMs).toBeGreaterThan(before?.atMs ?? 0)
  })

  test('looks again, however new the last look is, where another process rotated the key since', async () => {
    const { there, survey, entry } = surveyed()
    await entry()
    rotatedElsewhere(there)
    const now = { ...NOW, info: { ...NOW.info, latestVersion: 3 } }
    const found = await there.elapsed(survey.soon({ keys: [now] }, NEVER))
    expect(found.entries.get('payments')).toMatchObject({ latestVersion: 3 })
    expect(there.count(/^hold/)).toBe(4)
  })

  test('looks once more where the look that it joined had begun before the key was rotated', async () => {
    const { there, survey, held } = await surveyedOnce()
    const joined = survey.now(NEVER)
    await settled()
    rotatedElsewhere(there)
    const now = { ...NOW, info: { ...NOW.info, latestVersion: 3 } }
    const soon = survey.soon({ keys: [now] }, NEVER)
    held.resolve()
    expect((await joined).entries.get('payments')).toMatchObject({ latestVersion: 2 })
    expect((await soon).entries.get('payments')).toMatchObject({ latestVersion: 3 })
  })

  test('is from after the last rotation, although one that it was under way with has ended meanwhile', async () => {
    const { there, survey, before, held } = await surveyedOnce()
    const joined = survey.now(NEVER)
    await there.clock.advance(1_000)
    const rotatedMs = there.clock.now()
    held.resolve()
    await joined
    const soon = await there.elapsed(survey.soon({ keys: [NOW], rotatedMs }, NEVER))
    expect(soon.beganMs).toBeGreaterThanOrEqual(rotatedMs)
    expect(before?.beganMs).toBeLessThan(rotatedMs)
    expect(there.count(/^hold/)).toBe(6)
    expect(await survey.soon({ keys: [NOW], rotatedMs }, NEVER)).toBe(soon)
  })

  test('takes no word for a rotation that ends tomorrow', async () => {
    const { there, survey, entry } = surveyed()
    await entry()
    const rotatedMs = there.clock.now() + 86_400_000
    expect(await survey.soon({ keys: [NOW], rotatedMs }, NEVER)).toBe(survey.last())
    expect(there.count(/^hold/)).toBe(2)
  })

  test('of a key whose survey failed is not looked at for each who asks', async () => {
    const { there, survey, entry } = surveyed()
    there.fail(/^hold/, new UpstreamError('kubernetes', 'unauthorized'))
    await entry()
    const failed = survey.last()
    expect(await there.elapsed(survey.soon({ keys: [NOW] }, NEVER))).toBe(failed)
    // When that is too old, a failure that may be over is no answer.
    await there.clock.advance(10_000)
    const held = Promise.withResolvers<void>()
    there.fail(/^hold/, () => held.promise)
    const soon = survey.soon({ keys: [NOW] }, NEVER)
    await there.clock.advance(60_000)
    held.resolve()
    expect((await soon).entries.get('payments')).not.toHaveProperty('failure')
  })

  test('waits where there was none before, until its caller gives up', async () => {
    const { there, survey } = surveyed()
    there.fail(/^hold/, () => new Promise(() => {}))
    const impatient = new AbortController()
    const soon = survey.soon({ keys: [NOW] }, impatient.signal)
    await there.clock.advance(4_999)
    impatient.abort(new Error('deadline'))
    await expect(soon).rejects.toThrow('deadline')
  })
})

import { describe, expect, test } from 'vitest'
import { UpstreamError } from '../../../src/errors.ts'
import type { RotatableKey } from '../../../src/services/authorize.ts'
import { surveyor } from '../../../src/services/rotation/survey.ts'
import { settled } from '../../virtual-clock.ts'
import { estateOf } from './stages.ts'
import { NEVER, sealed } from './world.ts'

function surveyed(secrets: Readonly<Record<string, number>> = { 'payments/a': 1, 'payments/b': 2 }, ending = NEVER) {
  const { there, key, stages } = estateOf(secrets, { latest: 2 })
  const inForce: RotatableKey[] = [key]
  const survey = surveyor({
    ...stages,
    clock: there.clock,
    inForce: () => inForce,
    policyHash: () => 'sha256:0',
    keepMs: 10_000,
    ending,
  })
  return {
    there,
    key,
    inForce,
    survey,
    entry: async (signal = NEVER) => (await there.elapsed(survey.recent(signal))).entries.get('payments'),
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

describe('survey.recent', () => {
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

  test('is not one that had begun before what was seen was outdated', async () => {
    const { there, survey } = surveyed()
    const held = Promise.withResolvers<void>()
    there.fail(/^hold/, () => held.promise)
    const before = survey.recent(NEVER)
    await settled()
    survey.outdated()
    const after = survey.recent(NEVER)
    held.resolve()
    expect(await there.elapsed(after)).not.toBe(await before)
    expect(there.count(/^hold/)).toBe(4)
  })

  test('is one look for all who ask at the same time', async () => {
    const { there, survey } = surveyed()
    const all = await there.elapsed(Promise.all([survey.recent(NEVER), survey.recent(NEVER), survey.recent(NEVER)]))
    expect(new Set(all).size).toBe(1)
    expect(there.count(/^hold/)).toBe(2)
  })

  test('goes on when its caller gives up, for the next one to find', async () => {
    const { there, survey, entry } = surveyed()
    const held = Promise.withResolvers<void>()
    there.fail(/^hold/, () => held.promise)
    const impatient = new AbortController()
    const given = survey.recent(impatient.signal)
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

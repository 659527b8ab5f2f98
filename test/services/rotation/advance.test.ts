import { describe, expect, test } from 'vitest'
import type { UpstreamKind } from '../../../src/errors.ts'
import { UpstreamError } from '../../../src/errors.ts'
import { claimOf, estateOf, wantedOf } from './stages.ts'

async function ready(mode: 'rotate' | 'rewrap' = 'rotate') {
  const { there, key, stages } = estateOf({ 'payments/db': 1 })
  const wanted = wantedOf(key, { mode })
  const claim = await claimOf(there)
  const restored = await stages.restore(await stages.intend(claim, wanted))
  return { there, stages, claim, restored, version: () => there.keys.get('payments')?.latestVersion }
}

describe('advance', () => {
  test('makes the version that is not there, once, between its records', async () => {
    const { there, stages, restored, version } = await ready()
    const advanced = await stages.advance(restored)
    expect(version()).toBe(2)
    expect(there.records).toMatchObject([
      { kind: 'effect', phase: 'begin', effect: 'advance', from: 1, to: 2 },
      { kind: 'effect', phase: 'end', effect: 'advance', from: 1, to: 2, outcome: 'done' },
    ])
    expect(advanced.version).toBe('made')
  })

  test('makes none where it is there already', async () => {
    const { there, stages, restored, version } = await ready('rewrap')
    expect((await stages.advance(restored)).version).toBe('not-asked')
    expect(version()).toBe(1)
    expect(there.records).toEqual([])
  })

  test('makes none without a record of its begin', async () => {
    const { there, stages, restored, version } = await ready()
    there.fail(/audit begin/, new Error('no space left on device'))
    await expect(stages.advance(restored)).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' })
    expect(version()).toBe(1)
  })

  test('makes none of what Vault refuses', async () => {
    const { there, stages, restored, version } = await ready()
    there.fail(/^rotate/, new UpstreamError('vault', 'forbidden'), 2)
    await expect(stages.advance(restored)).rejects.toMatchObject({
      code: 'KEY_UNUSABLE',
      fix: expect.stringContaining('<mount>/keys/<key>/rotate'),
    })
    expect(version()).toBe(1)
    expect(there.records.at(-1)).toMatchObject({ phase: 'end', outcome: 'failed' })
  })

  test('that was done although its answer was lost is found done, and not repeated', async () => {
    const { there, stages, restored, version } = await ready()
    there.fail(/^rotate/, 'lost')
    const advanced = await there.elapsed(stages.advance(restored))
    expect(version()).toBe(2)
    expect(there.count(/^rotate/)).toBe(1)
    expect(there.records.at(-1)).toMatchObject({ phase: 'end', outcome: 'unknown' })
    expect(advanced.version).toBe('made')
  })

  test('looks only once nothing of it can take effect any more', async () => {
    const { there, stages, restored, version } = await ready()
    there.fail(/^rotate/, () => {
      // Vault gets to it just before the token dies that it was asked with.
      there.clock.after(9_900, () => {
        const key = there.keys.get('payments')
        if (key !== undefined) key.latestVersion = 2
      })
      throw new UpstreamError('vault', 'timeout')
    })
    await there.elapsed(stages.advance(restored))
    expect(version()).toBe(2)
    expect(there.count(/^rotate/)).toBe(1)
  })

  test.each<UpstreamKind>(['timeout', 'unavailable', 'garbage', 'sealed'])(
    'that was not done after %s is left to the next rotation, which looks first',
    async (kind) => {
      const { there, stages, restored, version, claim } = await ready()
      there.fail(/^rotate/, new UpstreamError('vault', kind))
      await expect(there.elapsed(stages.advance(restored))).rejects.toMatchObject({ why: `vault-${kind}` })
      expect(version()).toBe(1)
      expect(there.count(/^rotate/)).toBe(1)
      expect(claim.state().intents).toHaveLength(1)
    },
  )

  test('whose Lease is lost meanwhile says that, whatever Vault said', async () => {
    const { there, stages, restored, claim } = await ready()
    there.fail(/^rotate/, async () => {
      there.setLease(undefined)
      await claim.renew().catch(() => {})
      throw new UpstreamError('vault', 'aborted')
    })
    await expect(stages.advance(restored)).rejects.toMatchObject({ code: 'ROTATION_IN_PROGRESS', why: 'lease-taken' })
  })
})

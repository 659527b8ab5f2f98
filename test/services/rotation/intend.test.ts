import { describe, expect, test } from 'vitest'
import type { RotationEvent } from '../../../src/contract.ts'
import { UpstreamError } from '../../../src/errors.ts'
import type { Intent } from '../../../src/services/rotation/journal-state.ts'
import { hasRoom, withIntent } from '../../../src/services/rotation/journal-state.ts'
import { claimOf, estateOf, RUN, wantedOf } from './stages.ts'

/** What an earlier rotation has left on the Lease. */
function leftOver(over: Partial<Intent> = {}): Intent {
  return {
    id: '0b',
    key: 'payments',
    mount: 'transit',
    from: 2,
    target: 3,
    mode: 'rewrap',
    retire: 'never',
    by: 'keyhole/cron',
    startedAtMs: 5,
    ...over,
  }
}

async function intended(left: Intent | undefined, latest = 2, mode: 'rotate' | 'rewrap' = 'rotate') {
  const { there, key, stages } = estateOf({ 'payments/db': 1 }, { latest })
  const events: RotationEvent[] = []
  const wanted = wantedOf(key, { mode, onEvent: (event) => events.push(event) })
  const claim = await claimOf(there)
  if (left !== undefined) await claim.write((state) => withIntent(state, left))
  const permit = await stages.intend(claim, wanted)
  return { there, claim, events, permit, wanted }
}

describe('intend', () => {
  test('writes what is to happen before anything does', async () => {
    const { there, claim, permit, events } = await intended(undefined)
    expect(claim.state().intents).toEqual([
      {
        id: RUN.id,
        key: 'payments',
        mount: 'transit',
        from: 2,
        target: 3,
        mode: 'rotate',
        retire: 'after-grace',
        by: 'keyhole/cron',
        startedAtMs: there.clock.now(),
      },
    ])
    expect([permit.intent]).toEqual(claim.state().intents)
    expect(permit).toMatchObject({ isResumed: false, plan: { from: 2, target: 3, advance: 'made' } })
    expect(permit.minimum).toEqual({ before: 1, after: 1 })
    expect(events).toEqual([{ type: 'step', key: 'payments', stage: 'intend', from: 2, to: 3 }])
    expect(there.count(/^(?:rotate|min|replace)/)).toBe(0)
  })

  test('takes up what an earlier rotation has begun, with its own options and without writing it again', async () => {
    const left = leftOver({ raising: { before: 1, after: 2 } })
    const { there, permit, wanted } = await intended(left)
    expect(permit.intent).toEqual(left)
    expect(permit).toMatchObject({ isResumed: true, plan: { from: 2, target: 3, advance: 'there' } })
    expect(permit.wanted).toEqual({ ...wanted, mode: 'rewrap', retire: 'never', by: 'keyhole/cron' })
    expect(permit.minimum).toEqual({ before: 1, after: 1 })
    // The claim's, and that of this test.
    expect(there.count(/write-lease/)).toBe(2)
    expect(there.count(/^read payments/)).toBe(1)
    const resumed = { by: 'keyhole/cron', target: 3, retire: 'never' }
    expect(there.records).toMatchObject([{ phase: 'resumed', transitKeys: ['payments'], resumed }])
  })

  test('whose version was made meanwhile goes on with it', async () => {
    const { permit } = await intended(leftOver(), 3)
    expect(permit.intent).toEqual(leftOver())
    expect(permit.plan).toEqual({ from: 2, target: 3, advance: 'there' })
  })

  test.each<[string, Partial<Intent>, string]>([
    ['a version that is long gone', { target: 1 }, 'target-elsewhere'],
    ['a version after the next', { target: 4 }, 'target-elsewhere'],
    ['a version far beyond', { target: 1_000_000 }, 'target-elsewhere'],
    ['another mount', { mount: 'other' }, 'other-mount'],
    ['somebody who may not rotate it', { by: 'payments/api' }, 'not-an-admin'],
    ['somebody whose name only looks like it', { by: 'keyhole/cron2' }, 'not-an-admin'],
  ])('does not believe one of %s: it says so, and begins anew', async (_, over, why) => {
    const { there, claim, permit } = await intended(leftOver(over))
    expect(there.records).toMatchObject([{ phase: 'discarded', transitKeys: ['payments'], why }])
    expect(claim.state().intents).toMatchObject([{ id: RUN.id, mount: 'transit', target: 3, by: 'keyhole/cron' }])
    expect(permit).toMatchObject({ isResumed: false, plan: { advance: 'made' } })
  })

  test('remembers a raise that nobody has looked after, whatever else it does not believe, but for another mount', async () => {
    const raising = { before: 1, after: 2 }
    const { claim } = await intended(leftOver({ target: 9, raising }))
    expect(claim.state().intents).toMatchObject([{ id: RUN.id, raising }])
    const elsewhere = await intended(leftOver({ mount: 'other', raising }))
    expect(elsewhere.claim.state().intents[0]?.raising).toBeUndefined()
  })

  test('leaves alone what is unfinished of another key', async () => {
    const { there, claim } = await intended(leftOver({ key: 'billing' }))
    expect(claim.state().intents).toMatchObject([
      { key: 'billing', id: '0b' },
      { key: 'payments', id: RUN.id },
    ])
    expect(there.records).toEqual([])
  })

  test('of a rewrap is the version there is', async () => {
    const { claim, permit } = await intended(undefined, 2, 'rewrap')
    expect(claim.state().intents).toMatchObject([{ from: 2, target: 2, mode: 'rewrap' }])
    expect(permit.plan).toEqual({ from: 2, target: 2, advance: 'not-asked' })
  })

  test('writes nothing where the key cannot be read', async () => {
    const { there, key, stages } = estateOf({ 'payments/db': 1 })
    there.fail(/^read payments/, new UpstreamError('vault', 'key-missing'))
    const claim = await claimOf(there)
    await expect(stages.intend(claim, wantedOf(key))).rejects.toMatchObject({ code: 'KEY_UNUSABLE' })
    expect(claim.state().intents).toEqual([])
  })

  test('refuses where the Lease has no room for another: nothing is discarded, nothing begun', async () => {
    const { there, key, stages } = estateOf({ 'payments/db': 1 })
    const claim = await claimOf(there)
    const intents = Array.from({ length: 900 }, (_, index) => leftOver({ key: `${index}`.padStart(200, 'k') }))
    const few = intents.slice(0, 400)
    await claim.write((state) => ({ ...state, intents: few }))
    await expect(stages.intend(claim, wantedOf(key))).resolves.toMatchObject({ intent: { key: 'payments' } })
    for (const left of intents.slice(400)) {
      if (hasRoom(withIntent(claim.state(), left))) await claim.write((state) => withIntent(state, left))
    }
    const before = there.lease()
    const other = wantedOf({ ...key, transitKey: { ...key.transitKey, name: 'n'.repeat(253) } })
    there.putKey('n'.repeat(253))
    await expect(stages.intend(claim, other)).rejects.toMatchObject({
      code: 'LEASE_UNUSABLE',
      why: 'lease-full',
      fix: expect.stringContaining('Fix what keeps the other keys'),
    })
    expect([there.lease(), there.records]).toEqual([before, []])
    // One whose intent stands there can go on.
    await expect(stages.intend(claim, wantedOf(key))).resolves.toMatchObject({ intent: { key: 'payments' } })
  })

  test('is no permit where the Lease cannot be written', async () => {
    const { there, key, stages } = estateOf({ 'payments/db': 1 })
    const claim = await claimOf(there)
    there.setLease(undefined)
    await expect(stages.intend(claim, wantedOf(key))).rejects.toMatchObject({ code: 'ROTATION_IN_PROGRESS' })
  })
})

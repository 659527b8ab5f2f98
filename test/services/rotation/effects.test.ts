import { describe, expect, test } from 'vitest'
import { UpstreamError } from '../../../src/errors.ts'
import type { What } from '../../../src/services/rotation/effects.ts'
import { effects } from '../../../src/services/rotation/effects.ts'
import { transitKeyOf } from '../permits.ts'
import { world } from './world.ts'

const ROTATING = { id: '0a', caller: { namespace: 'keyhole', serviceAccount: 'cron' }, policyHash: 'sha256:0' } as const
const WHAT: What = {
  effect: 'move',
  transitKey: transitKeyOf(),
  secret: { namespace: 'payments', name: 'db' },
  dataKeys: ['secrets.json'],
  from: 1,
  to: 2,
}
const full = new Error('no space left on device')

function opened() {
  const there = world()
  return { there, effects: effects(there.log, there.clock) }
}

describe('effects.record', () => {
  test('does nothing without a record of its begin', async () => {
    const { there, effects } = opened()
    there.fail(/audit begin/, full)
    const act = () => Promise.reject(new Error('it acted'))
    await expect(effects.record(ROTATING, WHAT, act)).rejects.toMatchObject({
      code: 'AUDIT_UNAVAILABLE',
      why: 'audit-record-not-written',
      cause: full,
    })
  })

  test('has its begin written before it acts, and its end before it is over', async () => {
    const { there, effects } = opened()
    const phases: (string | undefined)[] = []
    const result = await effects.record(ROTATING, WHAT, async () => {
      phases.push(...there.records.map(({ phase }) => phase))
      await there.clock.advance(5)
      return 'acted'
    })
    expect(result).toBe('acted')
    expect(phases).toEqual(['begin'])
    const { transitKey: _, ...what } = WHAT
    const record = {
      kind: 'effect',
      rotation: '0a',
      caller: ROTATING.caller,
      transitKey: { mount: 'transit', name: 'payments' },
      ...what,
    }
    const now = there.clock.now()
    expect(there.records).toEqual([
      { ...record, phase: 'begin', timeMs: now - 5 },
      { ...record, phase: 'end', timeMs: now, outcome: 'done' },
    ])
  })

  test.each([
    ['failed', 'was refused', new UpstreamError('vault', 'forbidden')],
    ['failed', 'broke', new TypeError('defect')],
    ['unknown', 'got no answer', new UpstreamError('kubernetes', 'timeout')],
    ['unknown', 'got an answer that cannot be read', new UpstreamError('vault', 'garbage')],
  ])('ends as %s where it %s', async (outcome, _, error) => {
    const { there, effects } = opened()
    await expect(effects.record(ROTATING, WHAT, () => Promise.reject(error))).rejects.toBe(error)
    expect(there.records.at(-1)).toMatchObject({ phase: 'end', outcome })
  })

  test('ends as failed where its result says that nothing took place', async () => {
    const { there, effects } = opened()
    const result = await effects.record(
      ROTATING,
      WHAT,
      async () => 'changed',
      (told) => told !== 'changed',
    )
    expect(result).toBe('changed')
    expect(there.records.at(-1)).toMatchObject({ outcome: 'failed' })
  })

  test('fails the rotation where its end cannot be written', async () => {
    const { there, effects } = opened()
    there.fail(/audit end/, full)
    await expect(effects.record(ROTATING, WHAT, async () => {})).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' })
  })

  test('tells why it failed rather than that its end cannot be written', async () => {
    const { there, effects } = opened()
    const error = new UpstreamError('vault', 'forbidden')
    there.fail(/audit end/, full)
    await expect(effects.record(ROTATING, WHAT, () => Promise.reject(error))).rejects.toBe(error)
  })
})

describe('effects.tell', () => {
  test('writes what a rotation is about', async () => {
    const { there, effects } = opened()
    await effects.tell(ROTATING, { phase: 'discarded', transitKeys: ['payments'], why: 'unknown-key' })
    const { id: rotation, ...rotating } = ROTATING
    expect(there.records).toEqual([
      {
        kind: 'rotation',
        rotation,
        ...rotating,
        timeMs: there.clock.now(),
        phase: 'discarded',
        transitKeys: ['payments'],
        why: 'unknown-key',
      },
    ])
  })

  test('refuses where it cannot', async () => {
    const { there, effects } = opened()
    there.fail(/audit/, full)
    await expect(effects.tell(ROTATING, { phase: 'begin', transitKeys: [] })).rejects.toMatchObject({
      code: 'AUDIT_UNAVAILABLE',
    })
  })
})

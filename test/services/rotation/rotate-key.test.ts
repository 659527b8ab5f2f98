import { describe, expect, test } from 'vitest'
import type { RotationEvent } from '../../../src/contract.ts'
import { KeyholeError, UpstreamError } from '../../../src/errors.ts'
import { claimOf, estateOf, journalOf, RUN, stagesOf, wantedOf } from './stages.ts'
import type { World } from './world.ts'
import { NEVER, plaintextOf, sealed } from './world.ts'

const TWO = { 'payments/a': 1, 'payments/b': 1 }

/** Puts an old ciphertext back just before keyhole looks, the next so many times. */
function putBack(there: World, name: string, times: number): void {
  there.fail(new RegExp(`^hold ${name}`), () => there.putSecret(name, { 'secrets.json': sealed(1, name) }), times)
}

describe('rotateKey', () => {
  test('brings one key to a new version and every Secret under it, and leaves no intent', async () => {
    const { there, key, stages } = estateOf(TWO)
    const events: RotationEvent[] = []
    const wanted = wantedOf(key, { onEvent: (event) => events.push(event) })
    const claim = await claimOf(there)
    const { report } = await there.elapsed(stages.rotateKey(claim, wanted))
    expect(there.keys.get('payments')).toMatchObject({ latestVersion: 2, minDecryptionVersion: 2 })
    expect([...there.secrets.values()].map(({ data }) => plaintextOf(data.get('secrets.json') ?? ''))).toEqual([
      's3cret',
      's3cret',
    ])
    expect(report).toMatchObject({
      complete: true,
      from: 1,
      to: 2,
      advance: 'made',
      retirement: { done: true },
    })
    expect(events.flatMap((event) => (event.type === 'step' ? [event.stage] : []))).toEqual([
      'intend',
      'advance',
      'move',
      'verify',
      'retire',
      'close',
    ])
    const { intents, known } = claim.state()
    expect(intents).toEqual([])
    expect(known).toEqual([{ key: 'payments', secrets: expect.stringMatching(/^[\w-]{20}$/), dropped: {} }])
  })

  test('a second time changes nothing', async () => {
    const { there, key, stages } = estateOf(TWO)
    const claim = await claimOf(there)
    await there.elapsed(stages.rotateKey(claim, wantedOf(key)))
    there.calls.length = 0
    const { report } = await there.elapsed(stages.rotateKey(claim, wantedOf(key)))
    expect(there.count(/^(?:rotate|min|replace)/)).toBe(0)
    expect(report).toMatchObject({ complete: true, advance: 'recent', from: 2, to: 2 })
  })

  test.each([
    ['a version is made', 'intend', { latestVersion: 1, minDecryptionVersion: 1 }],
    ['the minimum is raised', 'verify', { latestVersion: 2, minDecryptionVersion: 1 }],
  ] as const)('told to stop before %s, leaves that to the next rotation', async (_, stage, left) => {
    const { there, key } = estateOf(TWO)
    const halting = new AbortController()
    const { rotateKey } = stagesOf(there, { halt: halting.signal })
    const onEvent = (event: RotationEvent) => {
      const isStep = event.type === 'step' && event.stage === 'intend'
      const isEnd = event.type === 'progress' && event.stage === 'verify' && event.done === event.total
      if (stage === 'intend' ? isStep : isEnd) halting.abort(new KeyholeError('ROTATION_INCOMPLETE'))
    }
    const claim = await claimOf(there)
    const { report } = await there.elapsed(rotateKey(claim, wantedOf(key, { onEvent })))
    expect(report).toMatchObject({ complete: false, failure: { code: 'ROTATION_INCOMPLETE' } })
    expect(there.keys.get('payments')).toMatchObject(left)
    expect(claim.state().intents).toHaveLength(1)
  })

  test('moves again what fell behind before it was looked at', async () => {
    const { there, key, stages } = estateOf(TWO)
    // Moved, and looked at.
    putBack(there, 'payments/b', 2)
    const { report } = await there.elapsed(stages.rotateKey(await claimOf(there), wantedOf(key)))
    expect(there.versionsOf('payments/b')).toEqual([2])
    expect(report).toMatchObject({ complete: true })
  })

  test('counts each Secret once, however often it is moved or looked at', async () => {
    const { there, key, stages } = estateOf({ ...TWO, 'payments/c': 1 })
    const events: RotationEvent[] = []
    const wanted = wantedOf(key, { onEvent: (event) => events.push(event) })
    const claim = await claimOf(there)
    putBack(there, 'payments/b', 2)
    await there.elapsed(stages.rotateKey(claim, wanted))
    expect(there.count(/^replace payments\/b/)).toBe(2)
    const told = (stage: string) =>
      events.flatMap((event) => (event.type === 'progress' && event.stage === stage ? [event.done] : []))
    expect([told('move'), told('verify')]).toEqual([[1, 2, 3], [3]])
    expect(claim.state().run?.done).toBe(3)
  })

  test('whose old minimum could not be put back reports that, and why, and leaves its intent', async () => {
    const { there, key, stages } = estateOf(TWO)
    const claim = await claimOf(there)
    there.fail(/^min payments 2/, () => there.putSecret('payments/b', { 'secrets.json': sealed(1, 'payments/b') }))
    there.fail(/^min payments 1/, new UpstreamError('vault', 'forbidden'), 99)
    const { report, failure } = await there.elapsed(stages.rotateKey(claim, wantedOf(key)))
    expect(failure).toMatchObject({ code: 'KEY_UNUSABLE' })
    expect(report).toMatchObject({
      complete: false,
      advance: 'made',
      minDecryptionVersion: { before: 1, after: 2 },
      retirement: { done: false, why: 'fell-back' },
      secrets: [{ outcome: 'rewrapped' }, { outcome: 'blocked', code: 'CONTENDED' }],
      failure: { code: 'KEY_UNUSABLE' },
    })
    expect(claim.state().intents).toMatchObject([{ raising: { before: 1, after: 2 } }])
  })

  test('gives up on what falls behind again and again, and retires nothing', async () => {
    const { there, key, stages } = estateOf(TWO)
    putBack(there, 'payments/b', 99)
    const { report } = await there.elapsed(stages.rotateKey(await claimOf(there), wantedOf(key)))
    expect(there.count(/replace payments\/b/)).toBe(3)
    expect(there.keys.get('payments')?.minDecryptionVersion).toBe(1)
    expect(report).toMatchObject({
      complete: false,
      retirement: { done: false, why: 'secrets-blocked' },
      secrets: [{ outcome: 'rewrapped' }, { outcome: 'blocked', code: 'CONTENDED' }],
    })
  })

  test('that was killed before or after any of its calls is finished by whoever comes next, with one version in all', async () => {
    const whole = estateOf(TWO)
    const claim = await claimOf(whole.there)
    const before = whole.there.calls.length
    await whole.there.elapsed(whole.stages.rotateKey(claim, wantedOf(whole.key)))
    const calls = whole.there.calls.slice(before)
    expect(calls).toEqual(expect.arrayContaining(['rotate payments', 'replace payments/b', 'min payments 2']))
    for (const [nth, call] of calls.entries()) {
      for (const when of ['before', 'after']) {
        const there = await killed(nth, when === 'before')
        const told = `killed ${when} call ${nth}, ${call}`
        expect(there.keys.get('payments'), told).toMatchObject({ latestVersion: 2, minDecryptionVersion: 2 })
        expect([there.versionsOf('payments/a'), there.versionsOf('payments/b')], told).toEqual([[2], [2]])
        expect(there.lease()?.annotations.get('keyhole.dev/rotation'), told).toContain('"intents":[]')
      }
    }
  })
})

/** A world in which one process was killed at its nth call, and another one came once the Lease had run out. */
async function killed(nth: number, isBefore: boolean): Promise<World> {
  const { there, key, stages } = estateOf(TWO)
  const killing = new AbortController()
  const kill = () => killing.abort(new Error('killed'))
  const first = await claimOf(there, killing.signal)
  there.fail(/./, () => {}, nth)
  const dies = () => {
    kill()
    throw new Error('killed')
  }
  there.fail(/./, isBefore ? dies : { afterwards: kill })
  await there.elapsed(stages.rotateKey(first, wantedOf(key)))
  await there.clock.advance(41_000)
  const next = await (await journalOf(there, { holder: 'them' }).look(NEVER)).claim(RUN, NEVER)
  await there.elapsed(stages.rotateKey(next, wantedOf(key)))
  return there
}

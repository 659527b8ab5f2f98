import { describe, expect, test } from 'vitest'
import { UpstreamError } from '../../../src/errors.ts'
import type { Intent } from '../../../src/services/rotation/journal-state.ts'
import { withIntent } from '../../../src/services/rotation/journal-state.ts'
import type { Asked, Estate } from './stages.ts'
import { advancedOf, claimOf, estateOf, outcomesIn, RUN, wantedOf } from './stages.ts'
import type { World } from './world.ts'
import { sealed } from './world.ts'

/** Everything moved and verified from version 1 to 2, no grace; what is retired now is the test's. */
async function verified({
  asked = {},
  secrets = { 'payments/a': 1, 'payments/b': 1 },
  arrange = () => {},
  ...over
}: Estate & {
  readonly arrange?: (there: World) => void
  readonly asked?: Asked
  readonly secrets?: Readonly<Record<string, number>>
} = {}) {
  const { there, key, stages } = estateOf(secrets, over)
  arrange(there)
  const wanted = wantedOf(key, asked)
  const claim = await claimOf(there)
  const permit = await stages.verify(await stages.move(await advancedOf(stages, claim, wanted), wanted.secrets))
  there.records.length = 0
  there.calls.length = 0
  return {
    there,
    claim,
    stages,
    wanted,
    retire: () => there.elapsed(stages.retire(permit)),
    minimum: () => there.keys.get('payments')?.minDecryptionVersion,
    putBack: (name: string) => there.putSecret(name, { 'secrets.json': sealed(1, name) }),
  }
}

describe('retire: withheld', () => {
  test('where anything is blocked', async () => {
    const { retire, minimum, wanted } = await verified()
    wanted.tally.contended(wanted.secrets[0] as (typeof wanted.secrets)[number])
    expect((await retire()).retirement).toMatchObject({ done: false, why: 'secrets-blocked' })
    expect(minimum()).toBe(1)
  })

  test('where the policy changed since the rotation was granted', async () => {
    const { there, retire, minimum } = await verified({ policyHash: () => 'sha256:another' })
    expect((await retire()).retirement).toMatchObject({ done: false, why: 'policy-changed' })
    expect(minimum()).toBe(1)
    expect(there.records).toEqual([])
  })

  test.each<[string, string, Parameters<typeof verified>[0], (there: World) => void]>([
    ['the policy changed meanwhile', 'policy-changed', { policyHash: () => 'sha256:another' }, () => {}],
    ['others may encrypt with the key', 'not-exclusive', { spec: { exclusive: false } }, () => {}],
    [
      'git holds the old ciphertext',
      'gitops',
      {
        arrange: (there) =>
          there.putSecret(
            'payments/a',
            { 'secrets.json': sealed(1, 'payments/a') },
            { managers: ['argocd-controller'] },
          ),
      },
      () => {},
    ],
    ['it fell back', 'secrets-blocked', {}, (there) => there.putSecret('payments/a', {})],
  ])('leaves a version that was to be retired now, and says so: %s', async (_, why, over, meanwhile) => {
    const { there, retire, minimum } = await verified({ ...over, asked: { retire: 'now' } })
    meanwhile(there)
    const retired = await retire()
    expect(retired.retirement).toMatchObject({ done: false, why })
    expect([retired.minimum.after, minimum()]).toEqual([1, 1])
  })

  test('where a Secret has just left the policy', async () => {
    const { claim, retire } = await verified()
    const secrets = 'aaaaaaaaaa'
    await claim.write((state) => ({ ...state, known: [{ key: 'payments', secrets, dropped: {} }] }))
    expect((await retire()).retirement).toMatchObject({ done: false, why: 'secrets-dropped' })
  })

  test('where it was not asked for', async () => {
    const { retire, minimum } = await verified({ asked: { retire: 'never' } })
    expect((await retire()).retirement).toMatchObject({ why: 'not-asked' })
    expect(minimum()).toBe(1)
  })

  test('where somebody else raised it meanwhile: it is never lowered', async () => {
    const { there, retire, minimum } = await verified()
    Object.assign(there.keys.get('payments') ?? {}, { minDecryptionVersion: 2 })
    const retired = await retire()
    const detail = 'Versions from 2 on are usable.'
    expect(retired.retirement).toEqual({ done: false, why: 'nothing-older', detail })
    expect(retired.minimum).toEqual({ before: 1, after: 2 })
    expect(minimum()).toBe(2)
    expect(there.count(/^min/)).toBe(0)
  })

  test('without a record of its begin', async () => {
    const { there, retire, minimum } = await verified()
    there.fail(/audit begin/, new Error('no space left on device'))
    await expect(retire()).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' })
    expect(minimum()).toBe(1)
  })

  test('where the Lease cannot say first what to go back to', async () => {
    const { there, retire, minimum } = await verified()
    there.setLease(undefined)
    await expect(retire()).rejects.toMatchObject({ code: 'ROTATION_IN_PROGRESS' })
    expect(minimum()).toBe(1)
  })
})

describe('retire', () => {
  test('raises the minimum, having written first what it was', async () => {
    const { there, claim, retire, minimum } = await verified()
    there.fail(/^min/, () => {
      expect(claim.state().intents[0]?.raising).toEqual({ before: 1, after: 2 })
    })
    const retired = await retire()
    expect(minimum()).toBe(2)
    expect(retired.retirement).toMatchObject({ done: true, why: 'raised' })
    expect(retired.minimum).toEqual({ before: 1, after: 2 })
    expect(there.records).toMatchObject([
      { effect: 'retire', phase: 'begin', from: 1, to: 2 },
      { effect: 'retire', phase: 'end', from: 1, to: 2, outcome: 'done' },
    ])
  })

  test('looks once more after it did, and puts the old minimum back at once where something fell below', async () => {
    const { there, retire, minimum, wanted, putBack } = await verified()
    there.fail(/^min payments 2/, () => putBack('payments/b'))
    const retired = await retire()
    expect(minimum()).toBe(1)
    expect(retired.retirement).toEqual({
      done: false,
      why: 'fell-back',
      detail:
        'Some Secret was written with version 1 just then, below the new minimum of 2. So 1 was put back at once. Find who writes it, then rotate again.',
    })
    expect(retired.minimum).toEqual({ before: 1, after: 1 })
    expect(there.records.map((record) => 'effect' in record && `${record.effect} ${record.phase}`)).toEqual([
      'retire begin',
      'retire end',
      'restore begin',
      'restore end',
    ])
    expect(outcomesIn(wanted)).toEqual({ a: 'rewrapped', b: 'CONTENDED' })
  })

  test('leaves it raised where a Secret is gone or without ciphertext: nothing of it needs the old version', async () => {
    const { there, retire, minimum } = await verified()
    there.fail(/^min payments 2/, () => {
      there.secrets.delete('payments/a')
      there.putSecret('payments/b', { 'secrets.json': 'plain' })
    })
    await retire()
    expect(minimum()).toBe(2)
  })

  test('does not send again what got no answer: it looks, once nothing of it can take effect any more', async () => {
    const { there, retire, minimum } = await verified()
    const began = there.clock.now()
    there.fail(/^min/, () => {
      there.clock.after(9_900, () => Object.assign(there.keys.get('payments') ?? {}, { minDecryptionVersion: 2 }))
      throw new UpstreamError('vault', 'timeout')
    })
    expect((await retire()).retirement.done).toBe(true)
    expect(minimum()).toBe(2)
    expect(there.count(/^min/)).toBe(1)
    expect(there.clock.now() - began).toBeGreaterThanOrEqual(10_000)
    expect(there.records.at(-1)).toMatchObject({ outcome: 'unknown' })
  })

  test('does send again what puts the old minimum back: to put back twice is to put back once', async () => {
    const { there, retire, minimum, putBack } = await verified()
    there.fail(/^min payments 2/, () => putBack('payments/b'))
    there.fail(/^min payments 1/, new UpstreamError('vault', 'unavailable'), 3)
    await retire()
    expect(minimum()).toBe(1)
    expect(there.count(/^min payments 1/)).toBe(4)
  })

  test('says how to open what fell below the old minimum, too', async () => {
    const { there, retire, minimum, putBack } = await verified({
      latest: 2,
      secrets: { 'payments/a': 2 },
      arrange: (world) => void Object.assign(world.keys.get('payments') ?? {}, { minDecryptionVersion: 2 }),
    })
    there.fail(/^min payments 3/, () => putBack('payments/a'))
    const { retirement } = await retire()
    expect(minimum()).toBe(2)
    expect(retirement).toMatchObject({
      why: 'fell-back',
      detail: expect.stringContaining('vault write transit/keys/payments/config min_decryption_version=1'),
    })
  })

  test('does not say that all is well where what fell below could not be put back', async () => {
    const { there, retire, wanted, putBack } = await verified()
    there.fail(/^min payments 2/, () => putBack('payments/b'))
    there.fail(/^min payments 1/, new UpstreamError('vault', 'forbidden'), 99)
    await expect(retire()).rejects.toMatchObject({
      reached: {
        minimum: { before: 1, after: 2 },
        retirement: { done: false, why: 'fell-back', detail: expect.stringContaining('min_decryption_version=1') },
      },
      cause: { code: 'KEY_UNUSABLE' },
    })
    expect(outcomesIn(wanted)).toEqual({ a: 'rewrapped', b: 'CONTENDED' })
  })

  test('that was raised says so where it could not look any more', async () => {
    const { there, retire } = await verified()
    there.fail(/^hold/, new UpstreamError('kubernetes', 'unauthorized'), 99)
    await expect(retire()).rejects.toMatchObject({
      reached: { minimum: { before: 1, after: 2 }, retirement: { done: true, why: 'raised' } },
      cause: { code: 'KUBERNETES_UNAVAILABLE' },
    })
  })

  test('says so where it was not done at all', async () => {
    const { there, retire, minimum } = await verified()
    there.fail(/^min/, new UpstreamError('vault', 'timeout'), 99)
    await expect(retire()).rejects.toMatchObject({ code: 'VAULT_UNAVAILABLE', why: 'vault-timeout' })
    expect(minimum()).toBe(1)
  })

  test('says which right is missing', async () => {
    const { there, retire } = await verified()
    there.fail(/^min/, new UpstreamError('vault', 'forbidden'), 99)
    await expect(retire()).rejects.toMatchObject({
      code: 'KEY_UNUSABLE',
      fix: expect.stringContaining('allowed_parameters'),
    })
  })
})

describe('retire: now', () => {
  const now = { asked: { retire: 'now' } } as const

  test('verifies once more, 60 s later, before it raises', async () => {
    const { there, retire, minimum } = await verified(now)
    const began = there.clock.now()
    there.fail(/^min/, () => {
      expect(there.clock.now() - began).toBeGreaterThanOrEqual(60_000)
    })
    await retire()
    expect(minimum()).toBe(2)
    expect(there.clock.now() - began).toBeLessThan(61_000)
    // Verified again, and looked at after it was raised.
    expect(there.count(/^hold/)).toBe(4)
    expect(there.count(/^rewrap/)).toBe(1)
  })

  test('does not raise what somebody writes to in these 60 s, and says who', async () => {
    const { there, retire, minimum, wanted, putBack } = await verified(now)
    there.clock.after(30_000, () => putBack('payments/b'))
    expect((await retire()).retirement).toMatchObject({ done: false, why: 'secrets-blocked' })
    expect(minimum()).toBe(1)
    expect(outcomesIn(wanted)).toEqual({ a: 'rewrapped', b: 'CONTENDED' })
  })

  test('does not wait where it is withheld anyway', async () => {
    const { there, retire } = await verified({ ...now, spec: { exclusive: false } })
    const began = there.clock.now()
    expect((await retire()).retirement).toMatchObject({ why: 'not-exclusive' })
    expect(there.clock.now()).toBe(began)
  })

  test('does not hold up a process that was told to stop', async () => {
    const halting = new AbortController()
    const { there, retire, minimum } = await verified({ ...now, halt: halting.signal })
    const toldAtMs = there.clock.now() + 10_000
    there.clock.after(10_000, () => halting.abort(new Error('stopping')))
    await expect(retire()).rejects.toThrow('stopping')
    // Not once the minute is over.
    expect(there.clock.now() - toldAtMs).toBeLessThan(1_000)
    expect(there.count(/^(?:hold|rewrap)/)).toBe(0)
    expect(minimum()).toBe(1)
  })
})

describe('restore: an earlier attempt that was stopped', () => {
  /** Before it could look after what it had raised from 1 to 2, the newest version; unless the test says otherwise. */
  async function stopped(
    secrets: Readonly<Record<string, number>>,
    minDecryptionVersion = 2,
    { latest = 2, spec = {}, ...over }: Partial<Intent> & Pick<Estate, 'latest' | 'spec'> = {},
  ) {
    const { there, key, stages } = estateOf(secrets, { latest, spec })
    Object.assign(there.keys.get('payments') ?? {}, { minDecryptionVersion })
    const wanted = wantedOf(key)
    const claim = await claimOf(there)
    const intent: Intent = {
      ...{ id: '0b', key: 'payments', mount: 'transit', from: 1, target: 2, mode: 'rotate', retire: 'after-grace' },
      ...{ by: 'keyhole/cron', startedAtMs: 1, raising: { before: 1, after: 2 } },
      ...over,
    } as Intent
    await claim.write((state) => withIntent(state, intent))
    const intended = await stages.intend(claim, wanted)
    there.calls.length = 0
    const retire = async () => {
      const advanced = await stages.advance(await stages.restore(intended))
      return await stages.retire(await stages.verify(await stages.move(advanced, wanted.secrets)))
    }
    return { there, stages, wanted, intended, retire, minimum: () => there.keys.get('payments')?.minDecryptionVersion }
  }

  test('puts the old minimum back where something had fallen below, moves it, and raises nothing this time', async () => {
    const { there, wanted, minimum, retire } = await stopped({ 'payments/a': 2, 'payments/b': 1 })
    const retired = await retire()
    expect(minimum()).toBe(1)
    expect(there.versionsOf('payments/b')).toEqual([2])
    expect(retired).toMatchObject({
      minimum: { before: 1, after: 1 },
      retirement: { done: false, why: 'fell-back' },
    })
    expect(there.count(/^min/)).toBe(1)
    expect(outcomesIn(wanted)).toEqual({ a: 'current', b: 'rewrapped' })
  })

  test.each([
    ['after-grace', 1, 3],
    ['after-grace', 0, 4],
    ['now', 1, 4],
  ] as const)(
    'with retire %s and a grace of %s goes back to %s at most, whatever the Lease says of before: anybody may have put it there',
    async (retire, grace, to) => {
      const spec = { rotation: { grace, admins: [{ namespace: 'keyhole', serviceAccount: 'cron' }] } }
      const raising = { before: 1, after: 5 }
      const over = { latest: 5, spec, retire, target: 5, from: 4, raising }
      const { stages, intended, minimum } = await stopped({ 'payments/a': 4 }, 5, over)
      await stages.restore(intended)
      expect(minimum()).toBe(to)
    },
  )

  test('changes nothing where there is nothing to go back to, and says what to do', async () => {
    const raising = { before: 2, after: 2 }
    const { there, stages, intended } = await stopped({ 'payments/a': 1 }, 2, { raising })
    const { fellBack } = await stages.restore(intended)
    expect(there.count(/^min/)).toBe(0)
    expect(fellBack?.retirement).toMatchObject({
      why: 'fell-back',
      detail: expect.stringContaining('min_decryption_version=1'),
    })
  })

  test('looks after a raise of its own that takes effect only now', async () => {
    const { there, stages, wanted, intended, minimum } = await stopped({ 'payments/a': 1 }, 1)
    const advanced = await stages.advance(await stages.restore(intended))
    const permit = await stages.verify(await stages.move(advanced, wanted.secrets))
    Object.assign(there.keys.get('payments') ?? {}, { minDecryptionVersion: 2 })
    there.putSecret('payments/a', { 'secrets.json': sealed(1, 'payments/a') })
    expect((await stages.retire(permit)).retirement).toMatchObject({ why: 'fell-back' })
    expect(minimum()).toBe(1)
  })

  test('reports it as raised where nothing had', async () => {
    const { there, minimum, retire } = await stopped({ 'payments/a': 2 })
    expect(await retire()).toMatchObject({
      minimum: { before: 1, after: 2 },
      retirement: { done: true, why: 'raised' },
    })
    expect(minimum()).toBe(2)
    expect(there.count(/^min/)).toBe(0)
  })

  test('has nothing to do where it was stopped before it raised', async () => {
    const { there, stages, intended } = await stopped({ 'payments/a': 1 }, 1)
    await stages.restore(intended)
    expect(there.calls).toEqual([])
  })

  test('has nothing to do for a rotation that begins', async () => {
    const { there, key, stages } = estateOf({ 'payments/a': 1 })
    const intended = await stages.intend(await claimOf(there), wantedOf(key))
    expect(intended.intent.id).toBe(RUN.id)
    there.calls.length = 0
    await stages.restore(intended)
    expect(there.calls).toEqual([])
  })
})

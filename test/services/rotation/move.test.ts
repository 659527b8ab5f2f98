import { describe, expect, test } from 'vitest'
import type { RotationEvent } from '../../../src/contract.ts'
import { UpstreamError } from '../../../src/errors.ts'
import type { Claim } from '../../../src/services/rotation/journal.ts'
import { settled } from '../../virtual-clock.ts'
import type { Estate } from './stages.ts'
import { advancedOf, claimOf, estateOf, outcomesIn, wantedOf } from './stages.ts'
import type { World } from './world.ts'
import { plaintextOf, sealed } from './world.ts'

/** Under way from version 1 to 2, with the Transit key advanced. */
async function ready(secrets: Readonly<Record<string, number>>, over: Estate = {}) {
  const { there, key, stages } = estateOf(secrets, over)
  const events: RotationEvent[] = []
  const wanted = wantedOf(key, { onEvent: (event) => events.push(event) })
  const claim = await claimOf(there)
  const advanced = await advancedOf(stages, claim, wanted)
  there.records.length = 0
  there.calls.length = 0
  return {
    there,
    wanted,
    claim,
    events,
    move: () => there.elapsed(stages.move(advanced, wanted.secrets)),
  }
}

describe('move: what it does not touch', () => {
  test('a Secret that is there already', async () => {
    const { there, wanted, move } = await ready({ 'payments/db': 1, 'payments/new': 2 })
    await move()
    expect(outcomesIn(wanted)).toEqual({ db: 'rewrapped', new: 'current' })
    expect(there.calls.filter((call) => call.startsWith('replace'))).toEqual(['replace payments/db'])
  })

  test('what is blocked, of which each is told its own reason', async () => {
    const { there, wanted, move } = await ready({
      'payments/gone': 1,
      'payments/plain': 1,
      'payments/frozen': 1,
      'payments/pasted': 1,
      'payments/unreadable': 1,
      'payments/db': 1,
    })
    there.secrets.delete('payments/gone')
    there.putSecret('payments/plain', { 'secrets.json': '{}' })
    there.putSecret('payments/frozen', { 'secrets.json': sealed(1, 'payments/frozen') }, { immutable: true })
    there.putSecret('payments/pasted', { 'secrets.json': sealed(1, 'payments/db') })
    there.fail(/hold .*unreadable/, new UpstreamError('kubernetes', 'forbidden'))
    await move()
    expect(outcomesIn(wanted)).toEqual({
      gone: 'SECRET_MISSING',
      plain: 'MALFORMED',
      frozen: 'IMMUTABLE',
      pasted: 'FOREIGN',
      unreadable: 'UNREADABLE',
      db: 'rewrapped',
    })
    expect(there.count(/^replace/)).toBe(1)
    expect(there.records.map(({ phase }) => phase)).toEqual(['begin', 'end'])
  })

  test('data keys that stand on the new version, or are none of the policy', async () => {
    const { there, move } = await ready({ 'payments/db': 1 })
    there.putSecret('payments/db', { note: 'plain', 'secrets.json': sealed(1), 'other.json': sealed(1) })
    await move()
    expect(there.versionsOf('payments/db')).toEqual([Number.NaN, 2, 1])
  })

  test('anything without a record of its begin', async () => {
    const { there, move } = await ready({ 'payments/db': 1 })
    there.fail(/audit begin/, new Error('no space left on device'))
    await expect(move()).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' })
    expect(there.versionsOf('payments/db')).toEqual([1])
  })

  test('anything once the process was told to stop', async () => {
    const halting = new AbortController()
    const { there, move } = await ready({ 'payments/a': 1, 'payments/b': 1 }, { halt: halting.signal })
    there.fail(/^rewrap/, () => halting.abort(new Error('stopping')))
    await expect(move()).rejects.toThrow('stopping')
    expect(there.count(/^replace/)).toBe(0)
    expect(there.records.filter(({ phase }) => phase === 'end')).toMatchObject([
      { outcome: 'failed' },
      { outcome: 'failed' },
    ])
    await expect(move()).rejects.toThrow('stopping')
    expect(there.count(/^hold/)).toBe(2)
  })

  test('anything where Vault still rewraps under the old version', async () => {
    const { there, move } = await ready({ 'payments/db': 1 })
    there.fail(/^rewrap/, () => [{ ciphertext: sealed(1), keyVersion: 1 }])
    await expect(move()).rejects.toMatchObject({ code: 'VAULT_UNAVAILABLE', why: 'vault-behind' })
    expect(there.count(/^replace/)).toBe(0)
  })
})

describe('move: somebody else writes', () => {
  /** They put a new value there just before keyhole does. */
  function meddle(there: World, version: number, times = 1): void {
    there.fail(
      /^replace/,
      () =>
        there.putSecret('payments/db', {
          'secrets.json': sealed(version, 'payments/db', 'secrets.json', { plaintext: 'theirs' }),
        }),
      times,
    )
  }

  test.each([1, 2])('their value, on version %s, is never overwritten, and is moved in its turn', async (version) => {
    const { there, wanted, move } = await ready({ 'payments/db': 1 })
    meddle(there, version)
    await move()
    expect(there.versionsOf('payments/db')).toEqual([2])
    expect(plaintextOf(there.secrets.get('payments/db')?.data.get('secrets.json') ?? '')).toBe('theirs')
    expect(outcomesIn(wanted)).toEqual({ db: version === 1 ? 'rewrapped' : 'current' })
    expect(there.records[1]).toMatchObject({ phase: 'end', outcome: 'failed' })
  })

  test('again and again, it is given up after a few rounds, and the tool that was seen is named', async () => {
    const { there, wanted, move } = await ready({ 'payments/db': 1 })
    let round = 0
    there.fail(
      /^replace/,
      () => {
        round += 1
        const theirs = sealed(1, 'payments/db', 'secrets.json', { plaintext: `theirs ${round}` })
        there.putSecret('payments/db', { 'secrets.json': theirs }, { managers: ['argocd-controller'] })
      },
      99,
    )
    await move()
    expect(outcomesIn(wanted)).toEqual({ db: 'CONTENDED' })
    expect(there.count(/^replace/)).toBe(5)
    expect(there.versionsOf('payments/db')).toEqual([1])
  })

  test.each([
    ['deletes it', (there: World) => void there.secrets.delete('payments/db'), 'SECRET_MISSING'],
    [
      'makes it immutable',
      (there: World) => Object.assign(there.secrets.get('payments/db') ?? {}, { immutable: true }),
      'IMMUTABLE',
    ],
  ])('who %s is told', async (_, act, code) => {
    const { there, wanted, move } = await ready({ 'payments/db': 1 })
    there.fail(/^replace/, () => void act(there))
    await move()
    expect(outcomesIn(wanted)).toEqual({ db: code })
    expect(there.records.at(-1)).toMatchObject({ outcome: 'failed' })
  })
})

describe('move: the write', () => {
  test('whose answer was lost is looked for in the next round, and found done', async () => {
    const { there, wanted, move } = await ready({ 'payments/db': 1 })
    there.fail(/^replace/, 'lost')
    await move()
    expect(there.count(/^replace/)).toBe(1)
    expect(there.records.at(-1)).toMatchObject({ outcome: 'unknown' })
    expect(outcomesIn(wanted)).toEqual({ db: 'current' })
  })

  test('that gets no answer again and again stops the rotation where no other gets one: nobody else writes', async () => {
    const { there, wanted, move } = await ready({ 'payments/db': 1 })
    there.fail(/^replace/, new UpstreamError('kubernetes', 'timeout'), 99)
    await expect(move()).rejects.toMatchObject({ code: 'KUBERNETES_UNAVAILABLE', why: 'kubernetes-timeout' })
    expect(there.count(/^replace/)).toBe(5)
    expect(outcomesIn(wanted)).toEqual({ db: 'left' })
  })

  test('that gets no answer again and again blocks that Secret alone where others get theirs', async () => {
    const { there, wanted, move } = await ready({ 'payments/a': 1, 'payments/b': 1 })
    there.fail(/^replace payments\/a/, new UpstreamError('kubernetes', 'timeout'), 99)
    await move()
    expect(outcomesIn(wanted)).toEqual({ a: 'UNANSWERED', b: 'rewrapped' })
  })

  test('that gets no answer blocks it, too, where earlier ones got theirs', async () => {
    const names = Array.from({ length: 251 }, (_, index) => `payments/s${String(index).padStart(3, '0')}`)
    const { there, wanted, move } = await ready(Object.fromEntries(names.map((name) => [name, 1])))
    there.fail(/^replace payments\/s250/, new UpstreamError('kubernetes', 'timeout'), 99)
    await move()
    expect(outcomesIn(wanted)).toMatchObject({ s000: 'rewrapped', s250: 'UNANSWERED' })
  })

  test.each([
    ['forbidden', 'UNWRITABLE'],
    ['bad-request', 'UNWRITABLE'],
    ['too-large', 'TOO_LARGE'],
  ] as const)('that is refused with %s blocks that Secret alone', async (kind, code) => {
    const { there, wanted, move } = await ready({ 'payments/a': 1, 'payments/b': 1 })
    there.fail(/replace payments\/a/, new UpstreamError('kubernetes', kind))
    await move()
    expect(outcomesIn(wanted)).toEqual({ a: code, b: 'rewrapped' })
  })

  test('that fails for a reason that is not about one Secret stops the rotation, and what was moved stays moved', async () => {
    const { there, wanted, move } = await ready({ 'payments/a': 1, 'payments/b': 1 })
    there.fail(/replace payments\/a/, new UpstreamError('kubernetes', 'unauthorized'))
    await expect(move()).rejects.toMatchObject({ code: 'KUBERNETES_UNAVAILABLE', why: 'kubernetes-unauthorized' })
    expect(outcomesIn(wanted)).toEqual({ a: 'left', b: 'rewrapped' })
  })

  test('that is under way when the Lease is lost says so', async () => {
    const { there, claim, move } = await ready({ 'payments/db': 1 })
    there.fail(/^replace/, async () => {
      there.setLease(undefined)
      await claim.renew().catch(() => {})
    })
    await expect(move()).rejects.toMatchObject({ code: 'ROTATION_IN_PROGRESS', why: 'lease-taken' })
    expect(there.versionsOf('payments/db')).toEqual([1])
  })
})

describe('move', () => {
  test('moves all data keys of a Secret at once, in their own context, and records it', async () => {
    const { there, move } = await ready({ 'payments/db': 1 })
    await move()
    expect(there.secrets.get('payments/db')?.data).toEqual(
      new Map([['secrets.json', Buffer.from(sealed(2)).toString('base64')]]),
    )
    const what = {
      kind: 'effect',
      effect: 'move',
      secret: { namespace: 'payments', name: 'db' },
      dataKeys: ['secrets.json'],
      from: 1,
      to: 2,
    }
    expect(there.records).toMatchObject([
      { ...what, phase: 'begin' },
      { ...what, phase: 'end', outcome: 'done' },
    ])
  })

  test('counts each Secret as it is done, once', async () => {
    const { there, move, events, claim } = await ready({
      'payments/a': 1,
      'payments/b': 2,
      'payments/c': 1,
      'payments/d': 1,
    })
    const counted = progressOf(claim)
    const held = Promise.withResolvers<void>()
    // Somebody else writes it meanwhile; it is done in the next round.
    there.fail(/^replace payments\/c/, () => 'changed')
    there.fail(/^replace payments\/d/, () => held.promise)
    const moving = move()
    await settled()
    const done = () => events.flatMap((event) => (event.type === 'progress' ? [event.done] : []))
    expect(done()).toEqual([1, 2])
    held.resolve()
    await moving
    expect(done()).toEqual([1, 2, 3, 4])
    expect(counted).toEqual([1, 2, 3, 4])
  })

  test('counts one that somebody else keeps writing once it is given up', async () => {
    const { there, move, wanted, claim } = await ready({ 'payments/a': 1 })
    const counted = progressOf(claim)
    there.fail(/^replace payments\/a/, () => 'changed', 5)
    await move()
    expect(outcomesIn(wanted)).toEqual({ a: 'CONTENDED' })
    expect(counted).toEqual([1])
  })

  test('says to which version it came, where somebody else made one meanwhile', async () => {
    const { there, move, wanted } = await ready({ 'payments/a': 1, 'payments/b': 1 })
    there.fail(/^rewrap/, () => void Object.assign(there.keys.get('payments') ?? {}, { latestVersion: 3 }))
    await move()
    expect(wanted.tally.newest()).toBe(3)
    expect(there.records).toContainEqual(expect.objectContaining({ effect: 'move', phase: 'begin', from: 1, to: 3 }))
  })

  test('takes 250 at a time, and tells how far it is', async () => {
    const names = Array.from({ length: 260 }, (_, index) => `payments/s${index}`)
    const { there, claim, events, move } = await ready(Object.fromEntries(names.map((name) => [name, 1])))
    const counted = progressOf(claim)
    await move()
    expect(names.every((name) => there.versionsOf(name)[0] === 2)).toBe(true)
    expect(there.calls.filter((call) => call.startsWith('rewrap'))).toEqual([
      'rewrap payments 250',
      'rewrap payments 10',
    ])
    expect(events.filter(({ type }) => type === 'progress')).toEqual(
      names.map((_, index) => ({ type: 'progress', key: 'payments', stage: 'move', done: index + 1, total: 260 })),
    )
    expect(counted).toEqual(names.map((_, index) => index + 1))
  })
})

/** What is put on the Lease with its next renewal. */
function progressOf(claim: Claim): readonly number[] {
  const told: number[] = []
  const { progress } = claim
  claim.progress = (key, done) => {
    if (done !== (told.at(-1) ?? 0)) told.push(done)
    progress(key, done)
  }
  return told
}

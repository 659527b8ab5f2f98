/** What a rotation is refused for before anything begins, and what is told again instead of beginning anew. */
import { describe, expect, test } from 'vitest'
import type { RotationReport } from '../../../src/contract.ts'
import { UpstreamError } from '../../../src/errors.ts'
import { EMPTY_STATE, formatState, parseState, withIntent } from '../../../src/services/rotation/journal-state.ts'
import type { LeaseRecord } from '../../../src/services/rotation/ports.ts'
import type { Order } from '../../../src/services/rotation/run.ts'
import { settled } from '../../virtual-clock.ts'
import { estate, listening, ORDER, rotator } from './rotator.ts'
import type { World } from './world.ts'
import { NEVER, sealed } from './world.ts'

const STATE = 'keyhole.dev/rotation'
/** Keeps what has begun from going on, until the test says so. */
function held(there: World): () => void {
  const { promise, resolve } = Promise.withResolvers<void>()
  there.fail(/^read payments/, () => promise)
  return resolve
}

const ONE = { key: 'k1', request: 'r1' }

describe('start refuses', () => {
  test('while a rotation runs in this process, and says how far it is', async () => {
    const { there, mine } = estate()
    const { start } = rotator(there)
    const goOn = held(there)
    const { run } = listening(await start(mine))
    await expect(start(mine)).rejects.toMatchObject({
      code: 'ROTATION_IN_PROGRESS',
      why: 'runs-here',
      progress: { done: 0, total: 2 },
    })
    goOn()
    await there.elapsed(run.report)
  })

  test('while one is being prepared in this process: the Lease tells only processes apart', async () => {
    const { there, mine } = estate()
    const { rotations } = rotator(there)
    const held = Promise.withResolvers<void>()
    there.fail(/^read-lease/, () => held.promise)
    const first = rotations.start(mine, ORDER, NEVER)
    await expect(rotations.start(mine, ORDER, NEVER)).rejects.toMatchObject({ why: 'runs-here', progress: undefined })
    held.resolve()
    const prepared = await first
    prepared[Symbol.dispose]()
  })

  test('nothing where a dry run was prepared, and nobody began it', async () => {
    const { there, mine } = estate()
    const { rotations } = rotator(there)
    const prepared = await rotations.start(mine, { ...ORDER, dryRun: true }, NEVER)
    prepared[Symbol.dispose]()
    const again = await rotations.start(mine, { ...ORDER, dryRun: true }, NEVER)
    again[Symbol.dispose]()
  })

  test('while one runs in another process', async () => {
    const { there, mine } = estate()
    const goOn = held(there)
    const { run } = listening(await rotator(there, 'them').start(mine))
    await expect(rotator(there).start(mine)).rejects.toMatchObject({
      code: 'ROTATION_IN_PROGRESS',
      why: 'lease-held',
      progress: { total: 2 },
    })
    goOn()
    await there.elapsed(run.report)
  })

  test('where the Lease cannot be read, and may be asked again', async () => {
    const { there, mine } = estate()
    const { start } = rotator(there)
    there.fail(/^read-lease/, new UpstreamError('kubernetes', 'forbidden'))
    await expect(start(mine)).rejects.toMatchObject({ code: 'LEASE_UNUSABLE' })
    await expect(start(mine)).resolves.toBeDefined()
  })

  test('once the process was told to stop', async () => {
    const { there, mine } = estate()
    const { rotations, start } = rotator(there)
    rotations.halt()
    rotations.halt()
    await expect(start(mine)).rejects.toMatchObject({ code: 'OVERLOADED', why: 'stopping' })
    expect(there.calls).toEqual([])
  })

  test('for a caller that gave up meanwhile, and gives the Lease back', async () => {
    const { there, mine } = estate()
    const { start } = rotator(there)
    const impatient = new AbortController()
    there.fail(/^write-lease/, { afterwards: () => impatient.abort(new Error('deadline')) })
    await expect(start(mine, {}, impatient.signal)).rejects.toThrow('deadline')
    await settled()
    expect(there.lease()?.holder).toBe('')
    await expect(start(mine)).resolves.toMatchObject({ joined: false })
  })
})

test('a caller that gave up makes room for the next one once the Lease is given back', async () => {
  const { there, mine } = estate()
  const { rotations, start } = rotator(there)
  const impatient = new AbortController()
  there.fail(/^write-lease/, { afterwards: () => impatient.abort(new Error('deadline')) })
  there.fail(/^write-lease/, new UpstreamError('kubernetes', 'unavailable'))
  const gaveUp = Promise.allSettled([rotations.start(mine, ORDER, impatient.signal)])
  await settled()
  await expect(rotations.start(mine, ORDER, NEVER)).rejects.toMatchObject({ why: 'runs-here' })
  await there.clock.advance(1_000)
  expect(await gaveUp).toMatchObject([{ status: 'rejected', reason: { message: 'deadline' } }])
  expect(there.lease()?.holder).toBe('')
  await expect(start(mine)).resolves.toMatchObject({ joined: false })
})

describe('start refuses what was rotated recently', () => {
  test('until the interval is over', async () => {
    const { there, both } = estate()
    const { rotate, start } = rotator(there)
    await rotate(both)
    const [ready] = [...(there.keys.get('payments')?.createdAtMs.values() ?? [])].slice(-1).map((ms) => ms + 3_600_000)
    await there.clock.advance(600_000)
    await expect(start(both)).rejects.toMatchObject({
      code: 'ROTATED_RECENTLY',
      why: 'within-min-interval',
      detail: expect.stringContaining(`before minInterval is over, at ${new Date(ready ?? 0).toISOString()}`),
      retryAfterSeconds: Math.ceil(((ready ?? 0) - there.clock.now()) / 1000),
    })
    expect(there.lease()?.holder).toBe('')
    await there.clock.advance(3_000_000)
    expect((await rotate(both)).keys.map(({ to }) => to)).toEqual([3, 3])
  })

  test.each([{ mode: 'rewrap' as const }, { retire: 'now' as const }, { dryRun: true }])('but for %o', async (over) => {
    const { there, mine } = estate()
    const { rotate, start } = rotator(there)
    await rotate(mine)
    await expect(start(mine, over)).resolves.toMatchObject({ joined: false })
  })

  test.each([
    ['sealed', 'VAULT_SEALED'],
    ['unavailable', 'VAULT_UNAVAILABLE'],
  ] as const)('and says at once that Vault is %s: a request has no time to wait for it', async (kind, code) => {
    const { there, both } = estate()
    const { rotate, rotations } = rotator(there)
    await rotate(both)
    there.fail(/^read (?:payments|other)/, new UpstreamError('vault', kind), 2)
    await expect(rotations.start(both, ORDER, NEVER)).rejects.toMatchObject({ code, why: `vault-${kind}` })
    expect(there.lease()?.holder).toBe('')
    // About one key of several the report says more.
    await there.clock.advance(3_600_000)
    there.fail(/^read payments/, new UpstreamError('vault', kind))
    expect(await rotate(both)).toMatchObject({ complete: true })
  })

  test('but where it was not complete: there is something left to do', async () => {
    const { there, mine } = estate()
    const { rotate } = rotator(there)
    there.fail(/^replace payments\/a/, new UpstreamError('kubernetes', 'forbidden'))
    expect(await rotate(mine)).toMatchObject({ complete: false, keys: [{ secrets: [{ code: 'UNWRITABLE' }, {}] }] })
    expect(await rotate(mine)).toMatchObject({ complete: true, keys: [{ advance: 'recent', from: 2, to: 2 }] })
  })

  test('but where something of one of the keys is left unfinished', async () => {
    const { there, mine } = estate()
    const { rotate } = rotator(there)
    await rotate(mine)
    const lease = there.lease() as LeaseRecord
    const state = parseState(lease.annotations.get(STATE) ?? '') ?? EMPTY_STATE
    const intent = { id: 'b1', key: 'payments', mount: 'transit', from: 1, target: 2, startedAtMs: 1 }
    const left = { ...intent, mode: 'rotate', retire: 'after-grace', by: 'keyhole/cron' } as const
    there.setLease({ ...lease, annotations: new Map([[STATE, formatState(withIntent(state, left), 0)]]) })
    expect(await rotate(mine)).toMatchObject({ complete: true, keys: [{ resumed: true, to: 2 }] })
    expect(there.keys.get('payments')?.latestVersion).toBe(2)
  })

  test('but where one of the keys was not: the others are brought to the version there is', async () => {
    const { there, mine, both } = estate()
    const { rotate } = rotator(there)
    await rotate(mine)
    expect((await rotate(both)).keys.map(({ advance, to }) => [advance, to])).toEqual([
      ['recent', 2],
      ['made', 2],
    ])
  })

  test('but where one of the keys is not recent any more', async () => {
    const { there, both } = estate()
    const { rotate, start } = rotator(there)
    await rotate(both)
    there.keys.get('other')?.createdAtMs.set(2, 0)
    await expect(start(both)).resolves.toBeDefined()
  })

  test('but where a key cannot be read: that is for the report to say', async () => {
    const { there, mine } = estate()
    const { rotate } = rotator(there)
    await rotate(mine)
    there.fail(/^read payments/, new UpstreamError('vault', 'key-missing'), 2)
    expect(await rotate(mine)).toMatchObject({ complete: false, keys: [{ failure: { code: 'KEY_UNUSABLE' } }] })
  })
})

describe('retire: now', () => {
  const NOW = { retire: 'now' } as const

  test('that is withheld is not complete, and is when it is asked again once nothing withholds it', async () => {
    const { there, mine, shared } = estate()
    const { rotate, status } = rotator(there)
    const withheld = { retirement: { why: 'not-exclusive' }, secrets: [{ outcome: 'rewrapped' }, {}] }
    expect(await rotate(shared, NOW)).toMatchObject({
      complete: false,
      keys: [{ complete: false, to: 2, ...withheld }],
    })
    expect((await status(shared)).last).toMatchObject({ complete: false, blocked: 0, left: 0 })
    // Nothing stays on the Lease: whether the newest version is compromised, too, only who asks can know.
    expect(await rotate(mine, { ...NOW, mode: 'rewrap' })).toMatchObject({
      complete: true,
      keys: [{ to: 2, advance: 'not-asked', minDecryptionVersion: { before: 1, after: 2 }, resumed: false }],
    })
    expect(await rotate(mine, NOW)).toMatchObject({
      complete: true,
      keys: [{ to: 3, advance: 'made', minDecryptionVersion: { before: 2, after: 3 } }],
    })
  })

  test('is complete where nothing older opened before', async () => {
    const { there, mine } = estate()
    const { rotate } = rotator(there)
    await rotate(mine, NOW)
    const again = await rotate(mine, { ...NOW, mode: 'rewrap' })
    expect(again).toMatchObject({ complete: true, keys: [{ retirement: { why: 'nothing-older' } }] })
  })

  test('a dry run says beforehand that it would not be done', async () => {
    const { there, mine, shared } = estate()
    const { rotate } = rotator(there)
    const dry = { ...NOW, dryRun: true }
    expect(await rotate(shared, dry)).toMatchObject({
      complete: false,
      keys: [{ complete: false, retirement: { why: 'not-exclusive' } }],
    })
    expect(await rotate(mine, dry)).toMatchObject({ complete: true, keys: [{ retirement: { why: 'dry-run' } }] })
  })

  test.each(['after-grace', 'never'] as const)('%s is complete all the same', async (retire) => {
    const { there, shared } = estate()
    const { rotate } = rotator(there)
    expect(await rotate(shared, { retire, dryRun: true })).toMatchObject({ complete: true })
    expect(await rotate(shared, { retire })).toMatchObject({ complete: true })
  })

  test('asked again in another process with the same word makes another version: nobody has only the word of the Lease', async () => {
    const { there, shared } = estate()
    await rotator(there).rotate(shared, { ...NOW, idempotency: ONE })
    const report = await rotator(there, 'them').rotate(shared, { ...NOW, idempotency: ONE })
    expect(report).toMatchObject({ complete: false, keys: [{ to: 3, advance: 'made' }] })
  })

  test('is not what an earlier one left unfinished, though Vault made that version lately: it may be the compromised one', async () => {
    const { there, mine } = estate()
    there.fail(/^rewrap/, new Error('a defect'))
    expect(await rotator(there).rotate(mine, NOW)).toMatchObject({ complete: false, keys: [{ to: 2 }] })
    await there.clock.advance(20 * 60_000)
    expect(await rotator(there, 'them').rotate(mine, NOW)).toMatchObject({
      complete: true,
      keys: [
        { to: 2, resumed: true },
        { to: 3, advance: 'made', minDecryptionVersion: { after: 3 } },
      ],
    })
  })

  test('is not what somebody wrote on the Lease: neither as unfinished, nor as ended under the same word', async () => {
    const { there, mine } = estate()
    await rotator(there).rotate(mine, { ...NOW, idempotency: ONE })
    const lease = there.lease() as LeaseRecord
    const state = parseState(lease.annotations.get(STATE) ?? '')
    const left = { id: 'b1', key: 'payments', mount: 'transit', from: 1, target: 2, startedAtMs: 1 }
    const forged = withIntent(state ?? EMPTY_STATE, { ...left, mode: 'rotate', retire: 'now', by: 'keyhole/cron' })
    there.setLease({ ...lease, annotations: new Map([[STATE, formatState(forged, there.clock.now())]]) })
    const report = await rotator(there, 'them').rotate(mine, { ...NOW, idempotency: ONE })
    expect(report.keys.at(-1)).toMatchObject({ complete: true, advance: 'made', to: 3 })
  })
})

describe('a dry run', () => {
  function leave(there: World, over: object = {}): void {
    const left = { id: 'b1', key: 'payments', mount: 'transit', from: 1, target: 2, startedAtMs: 1 }
    const intent = { ...left, mode: 'rotate', retire: 'now', by: 'keyhole/cron', ...over } as const
    const text = formatState(withIntent(EMPTY_STATE, intent), 0)
    const lease = { resourceVersion: '', holder: '', renewedAtMs: 0, durationMs: 30_000, transitions: 1 }
    there.setLease({ ...lease, labels: new Map(), annotations: new Map([[STATE, text]]) })
  }

  /** What both say, but for what only a rotation can know. */
  const told = ({ keys, complete }: RotationReport) => ({
    complete,
    keys: keys.map(({ retirement, ...report }) => ({
      ...report,
      mayRetire: /raised|dry-run/.test(retirement?.why ?? ''),
    })),
  })

  type Left = [name: string, left: object, order: Partial<Order>, latest: number]
  test.each<Left>([
    ['a version that is not made yet', {}, { retire: 'never' }, 1],
    ['a version that is made', {}, { retire: 'never' }, 2],
    ['another retirement, and a rewrap', {}, { mode: 'rewrap', retire: 'after-grace' }, 2],
    ['the same', { retire: 'after-grace' }, {}, 1],
    ['the same, of a version that is old', { retire: 'after-grace' }, {}, 2],
    ['somebody that may not rotate', { by: 'bi/reports' }, {}, 1],
    ['a raise that was made', { raising: { before: 1, after: 2 } }, { retire: 'now' }, 2],
  ])('goes on first with what is unfinished, as the rotation does: %s', async (_, left, order, latest) => {
    const { there, mine } = estate()
    there.putKey('payments', { latestVersion: latest, minDecryptionVersion: 'raising' in left ? 2 : 1 })
    for (const name of ['payments/a', 'payments/b'])
      there.putSecret(name, { 'secrets.json': sealed('raising' in left ? 2 : 1, name) })
    leave(there, left)
    const { rotate } = rotator(there)
    const foretold = await rotate(mine, { ...order, dryRun: true })
    expect(there.count(/^(?:rotate|min|replace|write-lease|audit)/)).toBe(0)
    expect(told(foretold)).toEqual(told(await rotate(mine, order)))
  })

  test('says when it would be refused as too early, and until when', async () => {
    const { there, both } = estate()
    const { rotate, start } = rotator(there)
    await rotate(both)
    const detail = expect.stringMatching(/before minInterval is over, at \d{4}-.*Z\. /)
    const foretold = await rotate(both, { dryRun: true })
    const key = { complete: false, advance: 'recent', failure: { code: 'ROTATED_RECENTLY', detail } }
    expect(foretold).toMatchObject({ complete: false, keys: [key, key] })
    expect(foretold.keys[0]).toMatchObject({ secrets: [{ outcome: 'current' }, { outcome: 'current' }] })
    expect(foretold.keys[0]?.retirement).toBeUndefined()
    await expect(start(both)).rejects.toMatchObject({ code: 'ROTATED_RECENTLY' })
  })
})

describe('an Idempotency-Key', () => {
  test('joins the rotation that it started, and gets its report', async () => {
    const { there, mine } = estate()
    const { start } = rotator(there)
    const goOn = held(there)
    const { run } = listening(await start(mine, { idempotency: ONE }))
    const again = await start(mine, { idempotency: ONE })
    expect(again).toMatchObject({ joined: true, id: run.id })
    again[Symbol.dispose]()
    expect(again.begin()).toBe(run)
    goOn()
    await there.elapsed(run.report)
    expect(there.count(/^rotate payments/)).toBe(1)
  })

  test('is told again what it came to, by the process that knows, and starts nothing', async () => {
    const { there, mine } = estate()
    const { rotate, start } = rotator(there)
    const report = await rotate(mine, { idempotency: ONE })
    there.calls.length = 0
    const again = await start(mine, { idempotency: ONE })
    expect(again).toMatchObject({ joined: true, id: report.id })
    expect(await again.begin().report).toBe(report)
    expect(there.calls).toEqual([])
    // It took no place.
    await expect(start(mine, { mode: 'rewrap' })).resolves.toMatchObject({ joined: false })
  })

  test('is looked at again by another process, which makes no second version for it', async () => {
    const { there, mine } = estate()
    await rotator(there).rotate(mine, { idempotency: ONE })
    await there.clock.advance(1_800_000)
    const report = await rotator(there, 'them').rotate(mine, { idempotency: ONE })
    expect(report).toMatchObject({ id: 'b1', mode: 'rewrap', complete: true, keys: [{ advance: 'not-asked', to: 2 }] })
    expect(there.count(/^rotate payments/)).toBe(1)
  })

  test("holds no longer than the interval, since what the Lease says of it is anybody's word", async () => {
    const { there, mine } = estate()
    await rotator(there).rotate(mine, { idempotency: ONE })
    await there.clock.advance(2 * 3_600_000)
    const report = await rotator(there, 'them').rotate(mine, { idempotency: ONE })
    expect(report).toMatchObject({ mode: 'rotate', complete: true, keys: [{ advance: 'made', to: 3 }] })
  })

  test('does not pass for a rotation where it was killed before it made a version', async () => {
    const { there, mine } = estate()
    await rotator(there).start(mine, { idempotency: ONE })
    const lease = there.lease() as LeaseRecord
    there.setLease({ ...lease, renewedAtMs: there.clock.now() - 60_000 })
    const report = await rotator(there, 'them').rotate(mine, { idempotency: ONE })
    expect(report).toMatchObject({ mode: 'rotate', complete: true, keys: [{ advance: 'made', from: 1, to: 2 }] })
    expect(there.count(/^rotate payments/)).toBe(1)
  })

  test('does not pass for a rotation where it ended before it made a version', async () => {
    const { there, mine } = estate()
    there.fail(/^read payments$/, new UpstreamError('vault', 'key-missing'))
    const first = await rotator(there).rotate(mine, { idempotency: ONE })
    const second = await rotator(there, 'them').rotate(mine, { idempotency: ONE })
    expect([first.complete, second.complete]).toEqual([false, true])
    expect(second).toMatchObject({ mode: 'rotate', keys: [{ advance: 'made', to: 2 }] })
  })

  test('is known to other processes although the API server was away for a moment when it ended', async () => {
    const { there, mine } = estate()
    there.fail(/^audit end$/, () => there.fail(/^write-lease/, new UpstreamError('kubernetes', 'unavailable')))
    await rotator(there).rotate(mine, { idempotency: ONE })
    const report = await rotator(there, 'them').rotate(mine, { idempotency: ONE })
    expect(report).toMatchObject({ id: 'b1', mode: 'rewrap', complete: true, keys: [{ advance: 'not-asked', to: 2 }] })
  })

  test('goes on where it was not complete', async () => {
    const { there, mine } = estate()
    const { rotate } = rotator(there)
    there.fail(/^replace payments\/a/, new UpstreamError('kubernetes', 'forbidden'))
    const first = await rotate(mine, { idempotency: ONE })
    const second = await rotate(mine, { idempotency: ONE })
    expect([first.complete, second.complete, second.id === first.id]).toEqual([false, true, false])
  })

  test('is not told of a dry run that is over', async () => {
    const { there, mine } = estate()
    const { rotate } = rotator(there)
    const dry = { idempotency: ONE, dryRun: true }
    expect((await rotate(mine, dry)).id).not.toBe((await rotate(mine, dry)).id)
  })

  test('with another body is refused, while it runs and when it is over', async () => {
    const { there, mine } = estate()
    const { start } = rotator(there)
    const other = { idempotency: { key: 'k1', request: 'r2' } }
    const goOn = held(there)
    const { run } = listening(await start(mine, { idempotency: ONE }))
    const refusal = { code: 'IDEMPOTENCY_KEY_REUSED', why: 'another-body' }
    await expect(start(mine, other)).rejects.toMatchObject(refusal)
    goOn()
    await there.elapsed(run.report)
    await settled()
    await expect(start(mine, other)).rejects.toMatchObject(refusal)
    await expect(rotator(there, 'them').start(mine, other)).rejects.toMatchObject(refusal)
  })

  test('with another body is refused, also where the rotation that it started may have been killed', async () => {
    const { there, mine } = estate()
    await rotator(there).start(mine, { idempotency: ONE })
    const other = rotator(there, 'them').start(mine, { idempotency: { key: 'k1', request: 'r2' } })
    await expect(other).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED', why: 'another-body' })
  })

  test('of somebody else, or none, has nothing to do with it', async () => {
    const { there, mine } = estate()
    const { start } = rotator(there)
    const goOn = held(there)
    const { run } = listening(await start(mine, { idempotency: ONE }))
    for (const idempotency of [{ key: 'k2', request: 'r1' }, undefined]) {
      await expect(start(mine, { idempotency })).rejects.toMatchObject({ code: 'ROTATION_IN_PROGRESS' })
    }
    goOn()
    await there.elapsed(run.report)
  })
})

/** What a rotation is refused for before anything begins, and what is told again instead of beginning anew. */
import { describe, expect, test } from 'vitest'
import { UpstreamError } from '../../../src/errors.ts'
import { EMPTY_STATE, formatState, parseState, withIntent } from '../../../src/services/rotation/journal-state.ts'
import type { LeaseRecord } from '../../../src/services/rotation/ports.ts'
import { settled } from '../../virtual-clock.ts'
import { estate, listening, ORDER, rotator } from './rotator.ts'
import type { World } from './world.ts'
import { NEVER } from './world.ts'

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
    await there.clock.advance(2 * 3_600_000)
    const report = await rotator(there, 'them').rotate(mine, { idempotency: ONE })
    expect(report).toMatchObject({ id: 'b1', mode: 'rewrap', complete: true, keys: [{ advance: 'not-asked', to: 2 }] })
    expect(there.count(/^rotate payments/)).toBe(1)
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

import { describe, expect, test } from 'vitest'
import { UpstreamError } from '../../../src/errors.ts'
import type { LeaseRecord } from '../../../src/services/rotation/ports.ts'
import { settled } from '../../virtual-clock.ts'
import { BUDGET_MS, DRAIN_MS, estate, listening, rotator } from './rotator.ts'
import type { World } from './world.ts'
import { NEVER } from './world.ts'

const STATE = 'keyhole.dev/rotation'
const full = new Error('no space left on device')

function stateOf(there: World): unknown {
  return JSON.parse(there.lease()?.annotations.get(STATE) ?? 'null')
}

describe('a run', () => {
  test('reports, records its begin and its end, and gives the Lease back with what it came to', async () => {
    const { there, both } = estate()
    const began = there.clock.now()
    expect(await rotator(there).rotate(both)).toMatchObject({
      type: 'report',
      id: 'a1',
      mode: 'rotate',
      retire: 'after-grace',
      dryRun: false,
      complete: true,
      startedAt: new Date(began).toISOString(),
      keys: [
        { key: 'payments', to: 2 },
        { key: 'other', to: 2 },
      ],
    })
    const rotation = { kind: 'rotation', rotation: 'a1', transitKeys: ['payments', 'other'], policyHash: 'sha256:0' }
    expect(there.records.at(0)).toMatchObject({ ...rotation, phase: 'begin' })
    expect(there.records.at(-1)).toMatchObject({
      ...rotation,
      phase: 'end',
      complete: true,
      secrets: { rewrapped: 3, current: 0, blocked: 0, left: 0 },
    })
    expect(there.lease()?.holder).toBe('')
    expect(stateOf(there)).toMatchObject({
      last: {
        id: 'a1',
        keys: [
          { key: 'payments', complete: true, rewrapped: 2 },
          { key: 'other', rewrapped: 1 },
        ],
      },
    })
    expect(stateOf(there)).not.toHaveProperty('run')
    expect(there.clock.timers()).toBe(0)
  })

  test('tells its steps to whoever listens, until they do not', async () => {
    const { there, mine } = estate()
    const { run, events } = listening(await rotator(there).start(mine))
    run.listen(() => expect.unreachable())()
    await there.elapsed(run.report)
    expect([run.id, run.keys, run.dryRun]).toEqual(['a1', ['payments'], false])
    expect(events.at(0)).toEqual({ type: 'step', key: 'payments', stage: 'intend', from: 1, to: 2 })
    expect(events.at(-1)).toEqual({ type: 'step', key: 'payments', stage: 'close' })
  })

  test('that was begun is not undone by who leaves', async () => {
    const { there, mine } = estate()
    const started = await rotator(there).start(mine)
    const { run } = listening(started)
    started[Symbol.dispose]()
    expect(await there.elapsed(run.report)).toMatchObject({ complete: true })
  })

  test('that was never begun gives the Lease and its place back', async () => {
    const { there, mine } = estate()
    const { start } = rotator(there)
    const started = await start(mine)
    expect(there.lease()?.holder).toBe('us')
    started[Symbol.dispose]()
    await settled()
    expect(there.lease()?.holder).toBe('')
    expect(there.records).toEqual([])
    await expect(start(mine)).resolves.toBeDefined()
  })

  test('that was never begun keeps its place until the Lease is given back: the next one would lose it again', async () => {
    const { there, mine } = estate()
    const { start } = rotator(there)
    const started = await start(mine)
    there.fail(/^write-lease/, new UpstreamError('kubernetes', 'unavailable'))
    started[Symbol.dispose]()
    await expect(start(mine)).rejects.toMatchObject({ code: 'ROTATION_IN_PROGRESS', why: 'runs-here' })
    await there.clock.advance(1_000)
    expect(there.lease()?.holder).toBe('')
    const { run } = listening(await start(mine))
    expect(await there.elapsed(run.report)).toMatchObject({ complete: true })
  })

  test('changes nothing where its begin has no record', async () => {
    const { there, mine } = estate()
    there.fail(/^audit begin/, full)
    await expect(rotator(there).rotate(mine)).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' })
    expect(there.count(/^(?:rotate|replace|min)/)).toBe(0)
    expect(there.lease()?.holder).toBe('')
    expect(stateOf(there)).toEqual({ intents: [], known: [] })
  })

  test('that could not begin leaves the one before it the last', async () => {
    const { there, mine } = estate()
    const { rotate, status } = rotator(there)
    const { id } = await rotate(mine)
    there.fail(/^audit begin/, full)
    await expect(rotate(mine, { mode: 'rewrap' })).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' })
    expect(await status(mine)).toMatchObject({ running: null, last: { id, complete: true } })
  })

  test('has no report where its end has no record', async () => {
    const { there, mine } = estate()
    there.fail(/^audit end$/, full)
    await expect(rotator(there).rotate(mine)).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' })
    expect(there.lease()?.holder).toBe('')
  })

  test('tells that what it found on the Lease is not believed', async () => {
    const { there, mine } = estate()
    const { rotate } = rotator(there)
    await rotate(mine)
    there.setLease({ ...(there.lease() as LeaseRecord), annotations: new Map([[STATE, 'garbled']]) })
    there.records.length = 0
    await rotate(mine)
    expect(there.records[1]).toMatchObject({ phase: 'discarded', transitKeys: [], why: 'garbled' })
  })

  test('leaves what is unfinished of another key to who may rotate that', async () => {
    const { there, mine, theirs, both } = estate()
    there.fail(/^rotate other/, new UpstreamError('vault', 'unavailable'))
    const first = await rotator(there).rotate(both)
    expect(first.keys).toMatchObject([{ complete: true }, { failure: { code: 'VAULT_UNAVAILABLE' } }])
    const { rotate } = rotator(there, 'them')
    await rotate(mine, { mode: 'rewrap' })
    expect(there.keys.get('other')?.latestVersion).toBe(1)
    expect(await rotate(theirs)).toMatchObject({ complete: true, keys: [{ key: 'other', resumed: true, to: 2 }] })
  })

  test('gives the Lease back only once nothing that it asked for can take effect any more', async () => {
    const { there, mine } = estate()
    const { start } = rotator(there)
    const run = (await start(mine)).begin()
    const asked = { atMs: 0 }
    there.fail(/^rotate payments/, () => {
      asked.atMs = there.clock.now()
      throw new UpstreamError('vault', 'aborted')
    })
    await there.elapsed(run.report)
    expect(there.clock.now() - asked.atMs).toBeGreaterThanOrEqual(10_000)
    expect(there.lease()?.holder).toBe('')
  })

  test('ends when its budget is spent, gives the Lease back, and the next one goes on', async () => {
    const { there, mine } = estate()
    const { start, rotate, failures } = rotator(there)
    const run = (await start(mine)).begin()
    there.fail(/^replace payments\/b/, () => there.clock.advance(BUDGET_MS))
    expect(await there.elapsed(run.report)).toMatchObject({
      complete: false,
      keys: [{ failure: { code: 'ROTATION_INCOMPLETE', detail: expect.stringContaining('longer than its budget') } }],
    })
    await settled()
    expect(there.lease()?.holder).toBe('')
    expect(failures).toEqual([['ROTATION_INCOMPLETE', 'a1']])
    expect(await rotate(mine)).toMatchObject({ complete: true, keys: [{ resumed: true }] })
    expect(there.keys.get('payments')?.latestVersion).toBe(2)
  })

  test('ends in good order when the process is told to stop, and close waits for it', async () => {
    const { there, mine } = estate()
    const { start, rotations } = rotator(there)
    const run = (await start(mine)).begin()
    let closing: Promise<void> | undefined
    there.fail(/^replace payments\/a/, () => {
      closing = rotations.close().then(() => expect(there.lease()?.holder).toBe(''))
    })
    expect(await there.elapsed(run.report)).toMatchObject({
      complete: false,
      keys: [{ failure: { code: 'ROTATION_INCOMPLETE', detail: expect.stringContaining('told to stop') } }],
    })
    expect(closing).toBeDefined()
    await closing
    // What had begun was finished, and has its record.
    expect(there.versionsOf('payments/a')).toEqual([2])
    expect(await rotator(there, 'them').rotate(mine)).toMatchObject({ complete: true, keys: [{ resumed: true }] })
  })

  test('that the process has no time left for does not keep it from closing', async () => {
    const { there, mine } = estate()
    const { start, rotations } = rotator(there)
    const run = (await start(mine)).begin()
    there.fail(/^audit end$/, () => there.fail(/-lease$/, new UpstreamError('kubernetes', 'unavailable'), 999))
    let isOver = false
    void run.report.then(() => {
      isOver = true
    })
    await there.clock.advance(10_000)
    expect([isOver, there.records.at(-1)?.phase]).toEqual([false, 'end'])
    const closing = rotations.close()
    await there.clock.advance(DRAIN_MS - 1)
    expect(isOver).toBe(false)
    await there.clock.advance(1)
    await closing
    expect([isOver, there.lease()?.holder, there.clock.timers()]).toEqual([true, 'us', 0])
  })

  test('that ends once the time to stop has passed gives the Lease back all the same', async () => {
    const { there, mine } = estate()
    const { start, rotations } = rotator(there)
    const run = (await start(mine)).begin()
    there.fail(/^rotate payments/, () => {
      rotations.halt()
      // Its token may live for another 10 s, longer than there is time.
      throw new UpstreamError('vault', 'timeout')
    })
    await there.elapsed(Promise.all([run.report, rotations.close()]))
    expect([there.lease()?.holder, there.clock.timers()]).toEqual(['', 0])
  })

  test('that was prepared only is not tried to be undone once the process has closed', async () => {
    const { there, mine } = estate()
    const { start, rotations } = rotator(there)
    const started = await start(mine)
    there.fail(/^write-lease/, new UpstreamError('kubernetes', 'unavailable'), 999)
    started[Symbol.dispose]()
    await settled()
    await rotations.close()
    await settled()
    expect(there.clock.timers()).toBe(0)
  })

  test('that was prepared only does not keep the process from closing', async () => {
    const { there, mine } = estate()
    const { start, rotations } = rotator(there)
    const started = await start(mine)
    await rotations.close()
    started[Symbol.dispose]()
    await settled()
    expect(there.lease()?.holder).toBe('')
  })
})

describe('a dry run', () => {
  test('changes nothing, takes no Lease, needs no record, and says what would be', async () => {
    const { there, both } = estate()
    expect(await rotator(there).rotate(both, { dryRun: true })).toMatchObject({
      dryRun: true,
      complete: true,
      keys: [{ retirement: { why: 'dry-run' } }, { retirement: { why: 'dry-run' } }],
    })
    expect(there.count(/^(?:write-lease|audit|rotate|replace|min)/)).toBe(0)
    expect(there.clock.timers()).toBe(0)
  })

  test('runs beside a real one, and not beside another', async () => {
    const { there, mine } = estate()
    const { start } = rotator(there)
    const real = (await start(mine)).begin()
    const dry = (await start(mine, { dryRun: true })).begin()
    expect(dry.dryRun).toBe(true)
    await expect(start(mine, { dryRun: true })).rejects.toMatchObject({ why: 'runs-here', progress: undefined })
    await there.elapsed(Promise.all([real.report, dry.report]))
  })

  test('knows of Secrets that left the policy since the last rotation', async () => {
    const { there, mine, fewer } = estate()
    const { rotate } = rotator(there)
    await rotate(mine)
    await there.clock.advance(3_600_000)
    expect(await rotate(fewer, { dryRun: true })).toMatchObject({
      keys: [{ retirement: { why: 'secrets-dropped', detail: expect.stringContaining('1 Secret was') } }],
    })
  })

  test('of one key that fails tells of the next', async () => {
    const { there, both } = estate()
    const { rotate, failures } = rotator(there)
    there.fail(/^read payments/, new UpstreamError('vault', 'key-missing'))
    expect(await rotate(both, { dryRun: true })).toMatchObject({
      complete: false,
      keys: [{ failure: { code: 'KEY_UNUSABLE' } }, { complete: true }],
    })
    expect(failures).toEqual([['KEY_UNUSABLE', 'a1']])
  })

  test('has the same budget', async () => {
    const { there, mine } = estate()
    const run = (await rotator(there).start(mine, { dryRun: true })).begin()
    there.fail(/^hold payments\/a/, () => there.clock.advance(BUDGET_MS))
    expect(await there.elapsed(run.report)).toMatchObject({ keys: [{ failure: { code: 'ROTATION_INCOMPLETE' } }] })
  })
})

describe('status', () => {
  test('before anything was rotated is a ledger, of the keys of the caller', async () => {
    const { there, mine } = estate()
    expect(await rotator(there).status(mine)).toMatchObject({
      running: null,
      last: null,
      ledger: [{ key: 'payments', versions: { 1: 2 } }],
      surveyedAt: new Date(there.clock.now()).toISOString(),
    })
  })

  test('shows what runs, in any process', async () => {
    const { there, mine } = estate()
    const { start, rotations, status } = rotator(there)
    const run = (await start(mine)).begin()
    for (const one of [rotations, rotator(there, 'them').rotations]) {
      expect(await one.status(mine, NEVER)).toMatchObject({ running: { id: run.id, done: 0, total: 2 } })
    }
    await there.elapsed(run.report)
    expect(await status(mine)).toMatchObject({ running: null, last: { id: run.id, complete: true } })
  })

  test('looks again at once after a rotation', async () => {
    const { there, mine } = estate()
    const { rotate, status } = rotator(there)
    await status(mine)
    await rotate(mine)
    expect(await status(mine)).toMatchObject({ ledger: [{ versions: { 2: 2 } }] })
  })

  test('looks again at once after a rotation by another process, whose end it is not told of', async () => {
    const { there, mine } = estate()
    const { status } = rotator(there)
    await status(mine)
    await rotator(there, 'them').rotate(mine)
    expect(await status(mine)).toMatchObject({ ledger: [{ latestVersion: 2, versions: { 2: 2 } }] })
  })

  test('tells of the last one what is about keys of the caller', async () => {
    const { there, mine, theirs, both } = estate()
    const { rotate, status } = rotator(there)
    there.secrets.delete('payments/a')
    there.fail(/^rotate other/, new UpstreamError('vault', 'unavailable'))
    await rotate(both)
    const { last } = await status(mine)
    // Counts of its own keys only.
    expect(last).toMatchObject({ complete: false, rewrapped: 1, current: 0, blocked: 1, left: 0 })
    expect(last?.failures).toEqual([
      {
        ...{ key: 'payments', namespace: 'payments', name: 'a', outcome: 'blocked', code: 'SECRET_MISSING' },
        detail: expect.stringContaining('does not exist'),
      },
    ])
    expect((await status(theirs)).last?.failures).toEqual([
      { key: 'other', namespace: 'payments', name: 'c', outcome: 'left' },
    ])
  })

  test('tells nothing of one that was about other keys only', async () => {
    const { there, mine, theirs } = estate()
    const { rotate, status } = rotator(there)
    await rotate(mine)
    expect((await status(theirs)).last).toBeNull()
  })

  test('tells nothing of one that could not begin', async () => {
    const { there, mine } = estate()
    const { rotate, status } = rotator(there)
    there.fail(/^audit begin/, full)
    const refused = await rotate(mine).catch((error: unknown) => error)
    // What its caller is told, too, is not that something stays changed.
    expect(refused).toMatchObject({
      code: 'AUDIT_UNAVAILABLE',
      detail: expect.stringContaining('nothing was disclosed'),
    })
    expect(await status(mine)).toMatchObject({ running: null, last: null })
  })

  test.each([
    ['sealed', 'VAULT_SEALED'],
    ['timeout', 'VAULT_UNAVAILABLE'],
  ] as const)('says at once that Vault is away (%s), and looks as soon as it is there', async (kind, code) => {
    const { there, mine, both } = estate()
    const { rotations } = rotator(there)
    there.fail(/^read (?:payments|other)/, new UpstreamError('vault', kind), 2)
    await expect(rotations.status(both, NEVER)).rejects.toMatchObject({ code, why: `vault-${kind}` })
    expect(there.count(/^hold/)).toBe(0)
    expect(await there.elapsed(rotations.status(mine, NEVER))).toMatchObject({ ledger: [{ versions: { 1: 2 } }] })
    // Of one of several keys the ledger says it.
    there.fail(/^read payments/, new UpstreamError('vault', kind))
    expect((await there.elapsed(rotations.status(both, NEVER))).ledger).toHaveLength(2)
  })
})

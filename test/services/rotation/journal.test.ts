import { describe, expect, test } from 'vitest'
import type { UpstreamKind } from '../../../src/errors.ts'
import { UpstreamError } from '../../../src/errors.ts'
import type { Claim } from '../../../src/services/rotation/journal.ts'
import type { Intent } from '../../../src/services/rotation/journal-state.ts'
import { formatState, MAX_STATE_BYTES, withIntent } from '../../../src/services/rotation/journal-state.ts'
import type { LeaseRecord } from '../../../src/services/rotation/ports.ts'
import { settled } from '../../virtual-clock.ts'
import { journalOf, RUN } from './stages.ts'
import type { World } from './world.ts'
import { NEVER, world } from './world.ts'

const STATE = 'keyhole.dev/rotation'
const INTENT: Intent = {
  id: RUN.id,
  key: 'payments',
  mount: 'transit',
  from: 1,
  target: 2,
  mode: 'rotate',
  retire: 'never',
  by: 'keyhole/cron',
  startedAtMs: 1,
}

function leaseOf(world: World, over: Partial<LeaseRecord> = {}): LeaseRecord {
  return {
    resourceVersion: '1',
    holder: 'them',
    renewedAtMs: world.clock.now(),
    durationMs: 30_000,
    transitions: 4,
    labels: new Map(),
    annotations: new Map(),
    ...over,
  }
}

async function claimed(in_: World, signal = NEVER): Promise<Claim> {
  return await (await journalOf(in_).look(signal)).claim(RUN, signal)
}

function stateOf(world: World): unknown {
  return JSON.parse(world.lease()?.annotations.get(STATE) ?? 'null')
}

describe('claim', () => {
  test('refuses while another process holds the Lease, and says for how long and how far that one is', async () => {
    const there = world()
    const annotations = new Map([[STATE, formatState({ intents: [], run: { ...RUN, done: 3 }, known: [] }, 0)]])
    there.setLease(leaseOf(there, { annotations }))
    const found = await journalOf(there).look(NEVER)
    expect(found.held).toBe(true)
    await expect(found.claim(RUN, NEVER)).rejects.toMatchObject({
      code: 'ROTATION_IN_PROGRESS',
      why: 'lease-held',
      // Its 30 s, and 10 s for clocks that differ.
      retryAfterSeconds: 40,
      progress: { startedAt: '1970-01-01T00:00:01.000Z', done: 3, total: 4 },
    })
    expect(there.count(/write-lease/)).toBe(0)
  })

  test('refuses without progress where the holder tells none', async () => {
    const there = world()
    there.setLease(leaseOf(there))
    await expect(claimed(there)).rejects.toMatchObject({ code: 'ROTATION_IN_PROGRESS', progress: undefined })
  })

  test('respects a Lease for as long as the clocks of two processes may differ, and not a moment longer', async () => {
    const there = world()
    there.setLease(leaseOf(there))
    await there.clock.advance(39_999)
    await expect(claimed(there)).rejects.toMatchObject({ code: 'ROTATION_IN_PROGRESS', retryAfterSeconds: 1 })
    await there.clock.advance(1)
    await expect(claimed(there)).resolves.toBeDefined()
    expect(there.lease()).toMatchObject({ holder: 'us', transitions: 5, durationMs: 30_000 })
  })

  test('does not respect a Lease that was renewed in the future: nobody could ever take it', async () => {
    const there = world()
    there.setLease(leaseOf(there, { renewedAtMs: there.clock.now() + 10_001 }))
    await expect(claimed(there)).resolves.toBeDefined()
    there.setLease(leaseOf(there, { renewedAtMs: there.clock.now() + 10_000 }))
    await expect(claimed(there)).rejects.toMatchObject({ code: 'ROTATION_IN_PROGRESS' })
  })

  test('does not respect a Lease for a year because it says so', async () => {
    const there = world()
    there.setLease(leaseOf(there, { durationMs: 365 * 86_400_000 }))
    await there.clock.advance(130_000)
    await expect(claimed(there)).resolves.toBeDefined()
  })

  test('loses to whoever was faster', async () => {
    const there = world()
    const found = await journalOf(there).look(NEVER)
    await (await journalOf(there, { holder: 'them' }).look(NEVER)).claim(RUN, NEVER)
    await expect(found.claim(RUN, NEVER)).rejects.toMatchObject({ code: 'ROTATION_IN_PROGRESS', why: 'lease-held' })
    expect(there.lease()?.holder).toBe('them')
  })

  test('whose answer was lost is refused, and the Lease that was written all the same is ours to take again', async () => {
    const there = world()
    there.fail(/write-lease/, 'lost')
    await expect(claimed(there)).rejects.toMatchObject({ code: 'KUBERNETES_UNAVAILABLE', why: 'kubernetes-timeout' })
    expect(there.lease()?.holder).toBe('us')
    await expect(claimed(there)).resolves.toBeDefined()
  })

  test.each([
    ['read-lease', 'forbidden', 'LEASE_UNUSABLE'],
    ['write-lease', 'forbidden', 'LEASE_UNUSABLE'],
    ['write-lease', 'bad-request', 'LEASE_UNUSABLE'],
    ['read-lease', 'unauthorized', 'KUBERNETES_UNAVAILABLE'],
    ['write-lease', 'unavailable', 'KUBERNETES_UNAVAILABLE'],
  ] as const)('a %s that fails with %s refuses with %s', async (call, kind, code) => {
    const there = world()
    there.fail(new RegExp(call), new UpstreamError('kubernetes', kind))
    await expect(claimed(there)).rejects.toMatchObject({ code })
    expect(there.clock.timers()).toBe(0)
  })

  test('ends with the request that looks', async () => {
    await expect(journalOf(world()).look(AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone')
  })

  test('tells the operator which right is missing', async () => {
    const there = world()
    there.fail(/read-lease/, new UpstreamError('kubernetes', 'forbidden'))
    await expect(claimed(there)).rejects.toMatchObject({
      why: 'lease-rbac',
      fix: expect.stringContaining('get, update and create'),
    })
  })

  test('tells a rotation that runs, also in this very process, from one that is over', async () => {
    const there = world()
    const { look } = journalOf(there)
    expect(await look(NEVER)).toMatchObject({ running: false, held: false })
    const claim = await claimed(there)
    expect(await look(NEVER)).toMatchObject({ running: true, held: false })
    expect(await journalOf(there, { holder: 'them' }).look(NEVER)).toMatchObject({ running: true, held: true })
    await claim.release((state) => state)
    expect(await look(NEVER)).toMatchObject({ running: false, held: false })
  })

  test('makes the Lease where there is none, with the run on it', async () => {
    const there = world()
    const claim = await claimed(there)
    expect(there.lease()).toMatchObject({ holder: 'us', transitions: 1, renewedAtMs: there.clock.now() })
    expect(stateOf(there)).toEqual({ intents: [], run: RUN, known: [] })
    expect(claim.state()).toEqual({ intents: [], run: RUN, known: [] })
    expect(claim.heldUntilMs()).toBe(there.clock.now() + 30_000)
  })

  test("keeps what others put on the Lease, and the earlier rotation's intent", async () => {
    const there = world()
    const annotations = new Map([
      ['team', 'platform'],
      [STATE, formatState({ intents: [INTENT], known: [] }, 0)],
    ])
    there.setLease(leaseOf(there, { holder: '', labels: new Map([['app', 'keyhole']]), annotations }))
    const claim = await claimed(there)
    expect(claim.state().intents).toEqual([INTENT])
    expect(there.lease()?.labels).toEqual(new Map([['app', 'keyhole']]))
    expect(there.lease()?.annotations.get('team')).toBe('platform')
  })

  test.each([
    ['no state', 'nobody knows'],
    ['too much', 'x'.repeat(MAX_STATE_BYTES + 1)],
    ['nothing, though it was held before', ''],
  ])('takes an annotation that holds %s for nothing, and says so', async (_, text) => {
    const there = world()
    there.setLease(leaseOf(there, { holder: '', annotations: new Map([[STATE, text]]) }))
    await expect(journalOf(there).look(NEVER)).resolves.toMatchObject({ garbled: true, state: { known: [] } })
    const claim = await claimed(there)
    // What was known is lost, and that it is is known.
    expect(claim.state()).toEqual({ intents: [], run: RUN, known: [], forgotAtMs: there.clock.now() })
    expect((await journalOf(there).look(NEVER)).garbled).toBe(false)
  })
})

const LOSSES: [string, (there: World) => void][] = [
  ['was taken by another process', (there) => there.setLease(leaseOf(there))],
  ['was given to nobody', (there) => there.setLease(leaseOf(there, { holder: '' }))],
  ['was deleted', (there) => there.setLease(undefined)],
]

describe('a claim', () => {
  test('is renewed each third of its duration, with how far the run is', async () => {
    const there = world()
    const claim = await claimed(there)
    claim.progress('payments', 2)
    expect(stateOf(there)).toMatchObject({ run: { done: 0 } })
    await there.clock.advance(10_000)
    expect(stateOf(there)).toMatchObject({ run: { done: 2 } })
    // Each Secret once, also where a key is gone through again.
    claim.progress('payments', 1)
    claim.progress('billing', 1)
    await there.clock.advance(10_000)
    expect(stateOf(there)).toMatchObject({ run: { done: 3 } })
    claim.progress('billing', 9)
    await there.clock.advance(110_000)
    // Never more than there is.
    expect(stateOf(there)).toMatchObject({ run: { done: 4 } })
    expect(there.count(/write-lease/)).toBe(14)
    expect(claim.signal.aborted).toBe(false)
    expect(claim.heldUntilMs()).toBe(there.clock.now() + 30_000)
  })

  test('writes one after the other, each on top of the one before', async () => {
    const there = world()
    const claim = await claimed(there)
    const writes = [2, 3, 4].map((target) => claim.write((state) => withIntent(state, { ...INTENT, target })))
    await Promise.all([...writes, claim.renew()])
    expect(stateOf(there)).toMatchObject({ intents: [{ target: 4 }] })
    expect(there.count(/write-lease/)).toBe(5)
    expect(there.count(/read-lease/)).toBe(1)
  })

  test('writes again what somebody else wrote over, as long as the Lease names us', async () => {
    const there = world()
    const claim = await claimed(there)
    await claim.write((state) => withIntent(state, INTENT))
    there.setLease({ ...(there.lease() as LeaseRecord), annotations: new Map([[STATE, 'tampered']]) })
    await claim.renew()
    expect(stateOf(there)).toMatchObject({ intents: [INTENT] })
    expect(claim.signal.aborted).toBe(false)
  })

  test('does not count as held for longer because somebody writes so on the Lease', async () => {
    const there = world()
    const claim = await claimed(there)
    const until = claim.heldUntilMs()
    const writing = Promise.withResolvers<void>()
    there.fail(/write-lease/, () => {
      there.setLease({ ...(there.lease() as LeaseRecord), renewedAtMs: there.clock.now() + 3_600_000 })
      there.fail(/write-lease/, () => writing.promise)
    })
    const renewed = claim.renew()
    await settled()
    expect([there.count(/read-lease/), claim.heldUntilMs()]).toEqual([2, until])
    writing.resolve()
    await renewed
    expect(there.lease()?.renewedAtMs).toBe(there.clock.now())
  })

  test('whose answer was lost is looked for and written again', async () => {
    const there = world()
    const claim = await claimed(there)
    there.fail(/write-lease/, 'lost')
    there.fail(/read-lease/, new UpstreamError('kubernetes', 'unavailable'))
    await there.elapsed(claim.write((state) => withIntent(state, INTENT)))
    expect(stateOf(there)).toMatchObject({ intents: [INTENT] })
    expect(claim.state().intents).toEqual([INTENT])
  })

  test.each(LOSSES)('that %s is lost, with all that runs under it', async (_, befall) => {
    const there = world()
    const claim = await claimed(there)
    befall(there)
    const lease = there.lease()
    await expect(claim.renew()).rejects.toMatchObject({ code: 'ROTATION_IN_PROGRESS', why: 'lease-taken' })
    expect(claim.signal.reason).toMatchObject({ why: 'lease-taken' })
    await expect(claim.write((state) => state)).rejects.toMatchObject({ why: 'lease-taken' })
    await claim.release((state) => state)
    expect(there.lease()).toEqual(lease)
    expect(there.clock.timers()).toBe(0)
  })

  test('that cannot be renewed in time is lost, and what waits for it is told', async () => {
    const there = world()
    const claim = await claimed(there)
    there.fail(/write-lease/, new UpstreamError('kubernetes', 'unavailable'), 999)
    await there.clock.advance(29_999)
    expect(claim.signal.aborted).toBe(false)
    const renewed = claim.renew().catch((error: unknown) => error)
    await there.clock.advance(1)
    expect(await renewed).toMatchObject({ why: 'lease-expired' })
    expect(claim.signal.reason).toMatchObject({ code: 'ROTATION_IN_PROGRESS', why: 'lease-expired' })
    expect(there.clock.timers()).toBe(0)
  })

  test('that is lost while it looks for a lost answer ends there', async () => {
    const there = world()
    const claim = await claimed(there)
    there.fail(/write-lease/, 'lost')
    there.fail(/read-lease/, new UpstreamError('kubernetes', 'unavailable'), 999)
    const renewed = claim.renew().catch((error: unknown) => error)
    await there.clock.advance(30_000)
    expect(await renewed).toMatchObject({ why: 'lease-expired' })
  })

  test('whose last answer comes too late stays lost', async () => {
    const there = world()
    const answer = Promise.withResolvers<void>()
    const { writeLease } = there.leases
    const leases = {
      ...there.leases,
      async writeLease(...[name, lease]: Parameters<typeof writeLease>) {
        const written = await writeLease(name, lease, NEVER)
        if (there.count(/write-lease/) > 1) await answer.promise
        return written
      },
    }
    const claim = await (await journalOf(there, { leases }).look(NEVER)).claim(RUN, NEVER)
    const renewed = claim.renew()
    await there.clock.advance(30_000)
    expect(claim.signal.reason).toMatchObject({ why: 'lease-expired' })
    answer.resolve()
    await renewed
    expect(there.clock.timers()).toBe(0)
    await expect(claim.renew()).rejects.toMatchObject({ why: 'lease-expired' })
  })

  test.each(['write-lease', 'read-lease'])('tells whoever writes that the right to %s was taken away', async (call) => {
    const there = world()
    const claim = await claimed(there)
    if (call === 'read-lease') there.fail(/write-lease/, 'lost')
    there.fail(new RegExp(call), new UpstreamError('kubernetes', 'forbidden'))
    await expect(there.elapsed(claim.renew())).rejects.toMatchObject({ code: 'LEASE_UNUSABLE', why: 'lease-rbac' })
  })

  test.each(['write-lease', 'read-lease'])('ends with its run, also in the middle of a %s', async (call) => {
    const there = world()
    const run = new AbortController()
    const claim = await claimed(there, run.signal)
    if (call === 'read-lease') there.fail(/write-lease/, 'lost')
    there.fail(new RegExp(call), () => run.abort(new Error('budget spent')))
    await expect(there.elapsed(claim.renew())).rejects.toThrow('budget spent')
    await expect(claim.renew()).rejects.toThrow('budget spent')
  })
})

describe('release', () => {
  test('gives the Lease back, without the run and with what is to be remembered', async () => {
    const there = world()
    const claim = await claimed(there)
    await claim.release((state) => withIntent(state, INTENT))
    expect(there.lease()).toMatchObject({ holder: '', transitions: 1 })
    expect(stateOf(there)).toEqual({ intents: [INTENT], known: [] })
    expect(there.clock.timers()).toBe(0)
    await expect((await journalOf(there, { holder: 'them' }).look(NEVER)).claim(RUN, NEVER)).resolves.toBeDefined()
  })

  test('waits for what is being written', async () => {
    const there = world()
    const claim = await claimed(there)
    const writing = Promise.withResolvers<void>()
    there.fail(/write-lease/, () => writing.promise)
    const written = claim.write((state) => withIntent(state, INTENT))
    const released = claim.release((state) => state)
    await settled()
    expect(there.count(/write-lease/)).toBe(2)
    writing.resolve()
    await Promise.all([written, released])
    expect(there.lease()?.holder).toBe('')
    expect(stateOf(there)).toMatchObject({ intents: [INTENT] })
  })

  test('comes about as well once the budget of the run is spent', async () => {
    const there = world()
    const run = new AbortController()
    const claim = await claimed(there, run.signal)
    run.abort(new Error('budget spent'))
    await claim.release((state) => withIntent(state, INTENT))
    expect(there.lease()?.holder).toBe('')
    expect(stateOf(there)).toEqual({ intents: [INTENT], known: [] })
  })

  test.each<UpstreamKind>(['unavailable', 'timeout', 'throttled', 'garbage'])(
    'is tried again where the API server answers with %s, and may look again for as long',
    async (kind) => {
      const there = world()
      const claim = await claimed(there)
      there.fail(/write-lease/, new UpstreamError('kubernetes', kind), 3)
      there.fail(/read-lease/, new UpstreamError('kubernetes', kind), 2)
      await there.elapsed(claim.release((state) => withIntent(state, INTENT)))
      expect(there.lease()?.holder).toBe('')
      expect(stateOf(there)).toEqual({ intents: [INTENT], known: [] })
      expect(there.clock.timers()).toBe(0)
    },
  )

  test('keeps what somebody else puts on the Lease in the same moment', async () => {
    const there = world()
    const claim = await claimed(there)
    there.fail(/write-lease/, () => annotate(there, 'team', 'platform'))
    await claim.release((state) => withIntent(state, INTENT))
    expect(there.lease()?.holder).toBe('')
    expect(there.lease()?.annotations.get('team')).toBe('platform')
    expect(stateOf(there)).toEqual({ intents: [INTENT], known: [] })
  })

  test('whose answer was lost is looked for, and not written twice', async () => {
    const there = world()
    const claim = await claimed(there)
    there.fail(/write-lease/, 'lost')
    await there.elapsed(claim.release((state) => withIntent(state, INTENT)))
    expect(there.lease()?.holder).toBe('')
    expect(stateOf(there)).toEqual({ intents: [INTENT], known: [] })
    expect(there.count(/write-lease/)).toBe(2)
  })

  test.each(LOSSES)('leaves alone what meanwhile %s', async (_, befall) => {
    const there = world()
    const claim = await claimed(there)
    let left: LeaseRecord | undefined
    there.fail(/write-lease/, () => {
      befall(there)
      left = there.lease()
    })
    await claim.release((state) => withIntent(state, INTENT))
    expect(there.lease()).toEqual(left)
    expect(there.calls.slice(-2)).toEqual(['write-lease', 'read-lease'])
    expect(there.clock.timers()).toBe(0)
  })

  test('leaves alone what another took once the answer was lost', async () => {
    const there = world()
    const claim = await claimed(there)
    there.fail(/write-lease/, 'lost')
    there.fail(/read-lease/, () => there.setLease(leaseOf(there)))
    await there.elapsed(claim.release((state) => state))
    expect(there.lease()).toMatchObject({ holder: 'them', annotations: new Map() })
    expect(there.count(/write-lease/)).toBe(2)
  })

  test.each(['write-lease', 'read-lease'])(
    'never fails: where no %s is answered, the Lease runs out, and nothing is tried after that',
    async (call) => {
      const there = world()
      const claim = await claimed(there)
      const tookAt = there.clock.now()
      await there.clock.advance(5_000)
      if (call === 'read-lease') there.fail(/write-lease/, 'lost')
      there.fail(new RegExp(call), new UpstreamError('kubernetes', 'unavailable'), 999)
      await there.elapsed(claim.release((state) => state))
      expect(there.clock.now() - tookAt).toBe(30_000)
      const tries = there.calls.length
      await there.clock.advance(60_000)
      expect([there.calls.length, there.clock.timers()]).toEqual([tries, 0])
    },
  )

  test('is not tried again where the right was taken away', async () => {
    const there = world()
    const claim = await claimed(there)
    there.fail(/write-lease/, new UpstreamError('kubernetes', 'forbidden'))
    await claim.release((state) => state)
    expect(there.lease()?.holder).toBe('us')
    expect([there.count(/write-lease/), there.clock.timers()]).toEqual([2, 0])
  })

  test('is given up when there is no time left, between two tries', async () => {
    const there = world()
    const claim = await claimed(there)
    const givenUp = new AbortController()
    there.fail(/write-lease/, new UpstreamError('kubernetes', 'unavailable'), 999)
    const released = claim.release((state) => state, givenUp.signal)
    await there.clock.advance(3_250)
    givenUp.abort()
    await released
    expect([there.lease()?.holder, there.clock.timers()]).toEqual(['us', 0])
  })

  test.each([1, 2])(
    'is tried once all the same where there was no time left before, and fails %d times',
    async (times) => {
      const there = world()
      const claim = await claimed(there)
      there.fail(/write-lease/, new UpstreamError('kubernetes', 'unavailable'), times - 1)
      await claim.release((state) => state, AbortSignal.abort())
      expect(there.lease()?.holder).toBe(times === 1 ? '' : 'us')
      expect([there.count(/write-lease/), there.clock.timers()]).toEqual([2, 0])
    },
  )

  test('does not wait for a renewal that gets no answer when there is no time left', async () => {
    const there = world()
    const claim = await claimed(there)
    const givenUp = new AbortController()
    there.fail(/write-lease/, new UpstreamError('kubernetes', 'unavailable'), 999)
    await there.clock.advance(11_000)
    const released = claim.release((state) => state, givenUp.signal)
    await there.clock.advance(1_000)
    givenUp.abort()
    await released
    const tries = there.calls.length
    await there.clock.advance(60_000)
    expect([there.calls.length, there.clock.timers()]).toEqual([tries, 0])
  })

  test('is the last word: whoever still writes under the claim, or releases it again, changes nothing', async () => {
    const there = world()
    const claim = await claimed(there)
    there.fail(/write-lease/, new UpstreamError('kubernetes', 'unavailable'))
    void claim.release((state) => state)
    await there.elapsed(claim.release((state) => withIntent(state, INTENT)))
    expect(there.lease()?.holder).toBe('')
    await expect(claim.write((state) => withIntent(state, INTENT))).rejects.toMatchObject({ why: 'lease-given-back' })
    await expect(claim.renew()).rejects.toMatchObject({ why: 'lease-given-back' })
    expect(claim.signal.aborted).toBe(true)
    expect(there.lease()?.holder).toBe('')
    expect(stateOf(there)).toEqual({ intents: [], known: [] })
  })
})

function annotate(there: World, name: string, value: string): void {
  const lease = there.lease() as LeaseRecord
  there.setLease({ ...lease, annotations: new Map([...lease.annotations, [name, value]]) })
}

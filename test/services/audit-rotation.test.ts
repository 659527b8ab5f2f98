import { describe, expect, it } from 'vitest'
import { KeyholeError } from '../../src/errors.ts'
import { auditor } from '../../src/services/audit.ts'
import type { RotationGrant } from '../../src/services/authorize.ts'
import type { Attempt, Entry, Recorded } from '../../src/services/entry.ts'
import { settled, virtualClock } from '../virtual-clock.ts'
import type { Disposed } from './audit-bench.ts'
import { attempt, caller, full, grant, ledger, listing, rotationGrant, rotationStatus, started } from './audit-bench.ts'

const DEADLINE_MS = 5_000

function bench() {
  const log = ledger()
  const clock = virtualClock()
  return { log, clock, audit: auditor({ log, clock, deadlineMs: DEADLINE_MS, policyHash: () => 'hash-in-force' }) }
}

function about(action: Attempt['action'], over: Partial<Attempt> = {}): Attempt {
  const { name: _, ...nameless } = attempt({ action, ...over })
  return nameless
}

async function refused(answer: Promise<unknown>): Promise<KeyholeError> {
  const thrown: unknown = await answer.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (!(thrown instanceof KeyholeError)) throw new Error('not refused by a KeyholeError', { cause: thrown })
  return thrown
}

/** Identified and permitted, then whatever the test wants. */
function rotating<T>(
  { audit }: ReturnType<typeof bench>,
  tell: (entry: Entry, of: RotationGrant) => Promise<Recorded<T>>,
  over: Attempt = about('rotate'),
) {
  return audit<T>(over, async (entry) => tell(entry, entry.permitted(rotationGrant(entry.identified(caller())))))
}

describe('what breaks the rules ends as INTERNAL, and what was started is given back', () => {
  const stories: [string, Attempt, (entry: Entry, own: RotationGrant) => Recorded<unknown>, string][] = [
    [
      'permitted twice',
      about('rotate'),
      (entry, own) => entry.started(started(entry.permitted(own))),
      'permitted-out-of-turn',
    ],
    [
      'started under no permit',
      about('rotate'),
      (entry) => entry.started(started(rotationGrant(caller()))),
      'started-under-another-grant',
    ],
    ['started by who surveys', about('survey'), (entry, own) => entry.started(started(own)), 'started-out-of-turn'],
    ['surveyed by who rotates', about('rotate'), (entry) => entry.surveyed(rotationStatus(1)), 'surveyed-out-of-turn'],
    [
      'granted to who rotates',
      about('rotate'),
      (entry, own) => entry.started(started(entry.granted(grant(own.caller)) as never)),
      'granted-out-of-turn',
    ],
    ['listed by who surveys', about('survey'), (entry) => entry.listed(listing([])), 'listed-out-of-turn'],
    [
      'recorded twice',
      about('survey'),
      (entry) => [entry.surveyed(rotationStatus(1)), entry.surveyed(rotationStatus(1))][1] as Recorded<unknown>,
      'recorded-twice',
    ],
  ]

  it.each(stories)('%s', async (_, over, tell, why) => {
    const at = bench()
    expect(await refused(rotating(at, async (entry, own) => tell(entry, own), over))).toMatchObject({
      code: 'INTERNAL',
      why,
    })
    expect(at.log.records).toMatchObject([{ outcome: 'refused', code: 'INTERNAL' }])
  })

  it.each(['read', 'list'] as const)('permitted to who only wants to %s', async (action) => {
    const at = bench()
    const answer = at.audit(about(action), async (entry) => {
      entry.permitted(rotationGrant(entry.identified(caller())))
      return entry.listed(listing([]))
    })
    expect(await refused(answer)).toMatchObject({ code: 'INTERNAL', why: 'permitted-out-of-turn' })
  })

  it('permitted with the grant of another caller', async () => {
    const at = bench()
    const answer = at.audit(about('survey'), async (entry) => {
      entry.identified(caller())
      entry.permitted(rotationGrant(caller({ serviceAccount: 'other' })))
      return entry.surveyed(rotationStatus(0))
    })
    expect(await refused(answer)).toMatchObject({ code: 'INTERNAL', why: 'grant-of-another-caller' })
  })

  it('surveyed before it was permitted', async () => {
    const at = bench()
    const answer = at.audit(about('survey'), async (entry) => {
      entry.identified(caller())
      return entry.surveyed(rotationStatus(0))
    })
    expect(await refused(answer)).toMatchObject({ code: 'INTERNAL', why: 'surveyed-out-of-turn' })
  })

  it('disposes of a start of another grant, and of a second one', async () => {
    const at = bench()
    const made: Disposed[] = []
    const start = (under: RotationGrant) => {
      const one = started(under)
      made.push(one)
      return one
    }
    await refused(rotating(at, async (entry) => entry.started(start(rotationGrant(caller())))))
    await refused(
      rotating(at, async (entry, own) => {
        entry.started(start(own))
        return entry.started(start(own))
      }),
    )
    expect(made.map(({ disposed }) => disposed)).toEqual([1, 1, 1])
  })
})

describe('what was started and is not returned is disposed of', () => {
  it('where its record cannot be written: nothing begins without one', async () => {
    const at = bench()
    at.log.appending = full
    let made: Disposed | undefined
    const answer = rotating(at, async (entry, own) => {
      const one = started(own)
      made = one
      return entry.started(one)
    })
    expect((await refused(answer)).code).toBe('AUDIT_UNAVAILABLE')
    expect(made?.disposed).toBe(1)
  })

  it('where its client has left', async () => {
    const at = bench()
    const gone = new AbortController()
    let made: Disposed | undefined
    const answer = rotating(
      at,
      async (entry, own) => {
        const one = started(own)
        made = one
        const told = entry.started(one)
        gone.abort()
        return told
      },
      about('rotate', { gone: gone.signal }),
    )
    expect((await refused(answer)).code).toBe('DEADLINE')
    expect(made?.disposed).toBe(1)
  })

  it('where it comes after the deadline', async () => {
    const at = bench()
    const late = Promise.withResolvers<void>()
    let made: Disposed | undefined
    const answer = refused(
      rotating(at, async (entry, own) => {
        await late.promise
        const one = started(own)
        made = one
        return entry.started(one)
      }),
    )
    await at.clock.advance(DEADLINE_MS)
    expect((await answer).code).toBe('DEADLINE')
    late.resolve()
    await settled()
    expect(made?.disposed).toBe(1)
  })
})

describe('the record', () => {
  it('names the rotation that was started, its keys and its policy, and no Secret', async () => {
    const at = bench()
    const made: Disposed[] = []
    const tell = async (entry: Entry, own: RotationGrant) => {
      const one = started(own)
      made.push(one)
      return entry.started(one)
    }
    expect(await rotating(at, tell, about('rotate', { asked: 1 }))).toBe(made[0])
    expect(made[0]?.disposed).toBe(0)
    expect(at.log.records).toEqual([
      {
        kind: 'decision',
        timeMs: at.clock.now(),
        requestId: 'r-1',
        action: 'rotate',
        peer: '10.1.2.3',
        caller: caller(),
        secret: undefined,
        otherKeys: 0,
        policyHash: 'hash-1',
        rotates: ['payments'],
        transitKey: undefined,
        outcome: 'started',
        keys: [],
        rotation: 'rotation-1',
        durationMs: 0,
      },
    ])
  })

  it('tells a start from one that was joined', async () => {
    const at = bench()
    await rotating(at, async (entry, own) => entry.started(started(own, true)))
    expect(at.log.records).toMatchObject([{ outcome: 'joined', rotation: 'rotation-1' }])
  })

  it('counts what a survey told of', async () => {
    const at = bench()
    const status = rotationStatus(3)
    expect(await rotating(at, async (entry) => entry.surveyed(status), about('survey'))).toBe(status)
    expect(at.log.records).toMatchObject([{ action: 'survey', outcome: 'listed', listed: 3, rotates: ['payments'] }])
    expect(at.log.records[0]).not.toHaveProperty('rotation')
  })

  it('counts the keys asked for that were not granted, without their names', async () => {
    const at = bench()
    const answer = at.audit(about('rotate', { asked: 3 }), async (entry) => {
      entry.identified(caller())
      throw new KeyholeError('NOT_GRANTED', { why: 'key-not-granted' })
    })
    await refused(answer)
    expect(at.log.records).toMatchObject([
      { outcome: 'refused', code: 'NOT_GRANTED', otherKeys: 3, rotates: undefined, policyHash: 'hash-in-force' },
    ])
  })

  it('of a rotation that could not be started names what it would have been about', async () => {
    const at = bench()
    await refused(
      rotating(at, async () => {
        throw new KeyholeError('ROTATION_IN_PROGRESS', { why: 'runs-here' })
      }),
    )
    expect(at.log.records).toMatchObject([
      {
        outcome: 'refused',
        code: 'ROTATION_IN_PROGRESS',
        why: 'runs-here',
        rotates: ['payments'],
        policyHash: 'hash-1',
      },
    ])
  })
})

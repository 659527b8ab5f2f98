import { describe, expect, it } from 'vitest'
import type { RotationStatus } from '../../src/contract.ts'
import { KeyholeError } from '../../src/errors.ts'
import type { Attempt } from '../../src/services/attempt.ts'
import { auditor } from '../../src/services/audit.ts'
import type { RotationGrant } from '../../src/services/authorize.ts'
import type { Recorded } from '../../src/services/draft.ts'
import type { RotateEntry, SurveyEntry } from '../../src/services/entry.ts'
import type { Started } from '../../src/services/rotation/run.ts'
import { settled, virtualClock } from '../virtual-clock.ts'
import type { Disposed } from './audit-bench.ts'
import { attempt, caller, full, ledger, rotationGrant, rotationStatus, started } from './audit-bench.ts'

const DEADLINE_MS = 5_000

function bench() {
  const log = ledger()
  const clock = virtualClock()
  return { log, clock, audit: auditor({ log, clock, deadlineMs: DEADLINE_MS, policyHash: () => 'hash-in-force' }) }
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
function rotating(
  { audit }: ReturnType<typeof bench>,
  tell: (entry: RotateEntry, of: RotationGrant) => Promise<Recorded<Started>>,
  { keys, ...over }: Partial<Attempt> & { readonly keys?: readonly string[] } = {},
) {
  return audit.rotate(attempt(over), { keys }, async (entry) =>
    tell(entry, entry.permitted(rotationGrant(entry.identified(caller())))),
  )
}

function surveying(
  { audit }: ReturnType<typeof bench>,
  tell: (entry: SurveyEntry, of: RotationGrant) => Recorded<RotationStatus>,
) {
  return audit.survey(attempt(), async (entry) =>
    tell(entry, entry.permitted(rotationGrant(entry.identified(caller())))),
  )
}

describe('what breaks the rules ends as INTERNAL', () => {
  const survey = rotationStatus(1)
  const stories: [string, string, (at: ReturnType<typeof bench>) => Promise<unknown>][] = [
    [
      'permitted twice',
      'permitted-out-of-turn',
      (at) => rotating(at, async (entry, own) => entry.started(started(entry.permitted(own)))),
    ],
    [
      'permitted twice to survey',
      'permitted-out-of-turn',
      (at) =>
        surveying(at, (entry, own) => {
          entry.permitted(own)
          return entry.surveyed(survey)
        }),
    ],
    [
      'started under no permit',
      'started-under-another-grant',
      ({ audit }) =>
        audit.rotate(attempt(), {}, async (entry) => entry.started(started(rotationGrant(entry.identified(caller()))))),
    ],
    [
      'started under another permit',
      'started-under-another-grant',
      (at) => rotating(at, async (entry) => entry.started(started(rotationGrant(caller())))),
    ],
    [
      'started twice',
      'recorded-twice',
      (at) =>
        rotating(at, async (entry, own) => {
          entry.started(started(own))
          return entry.started(started(own))
        }),
    ],
    [
      'surveyed twice',
      'recorded-twice',
      (at) =>
        surveying(at, (entry) => {
          entry.surveyed(survey)
          return entry.surveyed(survey)
        }),
    ],
    [
      'permitted with the grant of another caller',
      'grant-of-another-caller',
      ({ audit }) =>
        audit.survey(attempt(), async (entry) => {
          entry.identified(caller())
          entry.permitted(rotationGrant(caller({ serviceAccount: 'other' })))
          return entry.surveyed(survey)
        }),
    ],
    [
      'surveyed before it was permitted',
      'surveyed-out-of-turn',
      ({ audit }) =>
        audit.survey(attempt(), async (entry) => {
          entry.identified(caller())
          return entry.surveyed(survey)
        }),
    ],
  ]

  it.each(stories)('%s', async (_, why, tell) => {
    const at = bench()
    expect(await refused(tell(at))).toMatchObject({ code: 'INTERNAL', why })
    expect(at.log.records).toMatchObject([{ outcome: 'refused', code: 'INTERNAL', why }])
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
      { gone: gone.signal },
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
    const tell = async (entry: RotateEntry, own: RotationGrant) => {
      const one = started(own)
      made.push(one)
      return entry.started(one)
    }
    expect(await rotating(at, tell, { keys: ['payments'] })).toBe(made[0])
    expect(made[0]?.disposed).toBe(0)
    expect(at.log.records).toEqual([
      {
        kind: 'decision',
        timeMs: at.clock.now(),
        requestId: 'r-1',
        action: 'rotate',
        peer: '10.1.2.3',
        caller: caller(),
        otherKeys: 0,
        policyHash: 'hash-1',
        rotates: ['payments'],
        outcome: 'started',
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
    expect(await surveying(at, (entry) => entry.surveyed(status))).toBe(status)
    expect(at.log.records).toMatchObject([{ action: 'survey', outcome: 'listed', listed: 3, rotates: ['payments'] }])
    expect(at.log.records[0]).not.toHaveProperty('rotation')
  })

  it('counts the keys asked for that were not granted, without their names', async () => {
    const at = bench()
    const answer = at.audit.rotate(attempt(), { keys: ['a', 'b', 'c'] }, async (entry) => {
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

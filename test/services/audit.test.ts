import { describe, expect, it } from 'vitest'
import type { Decision } from '../../src/audit-log/record.ts'
import { KeyholeError } from '../../src/errors.ts'
import type { Audit, Story } from '../../src/services/audit.ts'
import { auditor } from '../../src/services/audit.ts'
import type { Disclosed } from '../../src/services/disclose.ts'
import type { Recorded } from '../../src/services/draft.ts'
import type { ReadEntry, Unchanged } from '../../src/services/entry.ts'
import { settled, virtualClock } from '../virtual-clock.ts'
import {
  attempt,
  CANARY,
  caller,
  DB,
  disclosed,
  full,
  grant,
  ledger,
  listing,
  rotationGrant,
  rotationStatus,
  sealed,
} from './audit-bench.ts'

const DEADLINE_MS = 5000

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

function only(records: readonly Decision[]): Decision {
  const [record] = records
  if (record === undefined || records.length !== 1) throw new Error(`${records.length} records`)
  return record
}

/** Identified and granted, then whatever the test wants. */
function reading<T extends Disclosed | Unchanged>(
  audit: Audit,
  tell: (entry: ReadEntry, of: ReturnType<typeof grant>) => Promise<Recorded<T>>,
) {
  return audit.read<T>(attempt(), DB, async (entry) => tell(entry, entry.granted(grant(entry.identified(caller())))))
}

/** Makes a story of one call. */
type Telling = <E>(tell: (entry: E) => unknown) => Story<E, never>

describe('what is recorded and returned', () => {
  it('returns what was disclosed, unwiped, once its record is written', async () => {
    const { audit, log, clock } = bench()
    const written = Promise.withResolvers<void>()
    log.appending = () => written.promise
    let body: Disclosed | undefined
    const answer = reading(audit, async (entry, of) => entry.disclosed(disclosed(of, ['PGHOST', 'PGUSER']))).then(
      (result) => {
        body = result
        return result
      },
    )
    await settled()
    expect(body).toBeUndefined()
    await clock.advance(7)
    written.resolve()
    expect((await answer).body.toString()).toBe(CANARY)
    expect(only(log.records)).toEqual({
      kind: 'decision',
      timeMs: Date.UTC(2026, 0, 15),
      requestId: 'r-1',
      action: 'read',
      peer: '10.1.2.3',
      caller: caller(),
      secret: { namespace: 'payments', name: 'db' },
      otherKeys: 0,
      policyHash: 'hash-1',
      transitKey: { mount: 'transit', name: 'payments', versions: [3] },
      outcome: 'disclosed',
      keys: ['PGHOST', 'PGUSER'],
      etag: '"tag"',
      durationMs: 0,
    })
    expect(clock.timers()).toBe(0)
  })

  it('records a 304 as unchanged, with no key and each version once', async () => {
    const { audit, log } = bench()
    const answer = await reading(audit, async (entry, of) => entry.unchanged(sealed(of, [3, 4, 3])))
    expect(answer).toEqual({ etag: '"tag"' })
    expect(only(log.records)).toMatchObject({ outcome: 'unchanged', keys: [], transitKey: { versions: [3, 4] } })
  })

  it('records a listing with the number of grants it told of', async () => {
    const { audit, log } = bench()
    const list = listing(['db', 'api.other'])
    const answer = await audit.list(attempt(), async (entry) => {
      entry.identified(caller())
      return entry.listed(list)
    })
    expect(answer).toBe(list)
    expect(only(log.records)).toMatchObject({ action: 'list', outcome: 'listed', listed: 2, policyHash: 'hash-1' })
  })

  it('measures the duration up to the record', async () => {
    const { audit, log, clock } = bench()
    const work = Promise.withResolvers<void>()
    const answer = reading(audit, async (entry, of) => {
      await work.promise
      return entry.unchanged(sealed(of))
    })
    await clock.advance(42)
    work.resolve()
    await answer
    expect(only(log.records).durationMs).toBe(42)
  })

  it('counts the keys asked for that did not leave', async () => {
    const { audit, log } = bench()
    const answer = audit.read(attempt(), { ...DB, keys: ['A', 'B', 'C', 'D', 'E'] }, async (entry) => {
      const of = entry.granted(grant(entry.identified(caller()), { selection: ['PGHOST', 'PGUSER', 'PGPORT'] }))
      return entry.disclosed(disclosed(of, ['PGHOST']))
    })
    await answer
    expect(only(log.records).otherKeys).toBe(2)
  })
})

describe('refusals', () => {
  it('records a refusal before it leaves, under the name asked for in the namespace of the caller', async () => {
    const { audit, log } = bench()
    const written = Promise.withResolvers<void>()
    log.appending = () => written.promise
    let left = false
    const answer = refused(
      audit.read(attempt(), { ...DB, keys: ['A', 'B'] }, async (entry) => {
        entry.identified(caller())
        throw new KeyholeError('NOT_GRANTED', { why: 'not-a-reader' })
      }),
    ).finally(() => {
      left = true
    })
    await settled()
    expect(left).toBe(false)
    written.resolve()
    expect((await answer).code).toBe('NOT_GRANTED')
    expect(only(log.records)).toMatchObject({
      outcome: 'refused',
      code: 'NOT_GRANTED',
      why: 'not-a-reader',
      keys: [],
      otherKeys: 2,
      secret: { namespace: 'payments', name: 'db' },
      policyHash: 'hash-in-force',
      transitKey: undefined,
    })
  })

  it("records another namespace's name as it was asked for", async () => {
    const { audit, log } = bench()
    const secret = { namespace: 'billing', name: 'db' }
    await refused(
      audit.read(attempt(), { secret }, async (entry) => {
        entry.identified(caller())
        throw new KeyholeError('NOT_GRANTED')
      }),
    )
    expect(only(log.records)).toHaveProperty('secret', secret)
  })

  it('records a refusal that asked for no secret without one', async () => {
    const { audit, log } = bench()
    await refused(
      audit.list(attempt(), async (entry) => {
        entry.identified(caller())
        throw new KeyholeError('MALFORMED_REQUEST')
      }),
    )
    expect(only(log.records)).not.toHaveProperty('secret')
  })

  it('records a refusal after the grant with the policy and the Transit key that were to be used', async () => {
    const { audit, log } = bench()
    await refused(
      reading(audit, async () => {
        throw new KeyholeError('VAULT_SEALED', { why: 'sealed' })
      }),
    )
    expect(only(log.records)).toMatchObject({
      code: 'VAULT_SEALED',
      policyHash: 'hash-1',
      transitKey: { name: 'payments', versions: [] },
    })
  })

  it('counts a refusal of nobody in particular, and waits for no record', async () => {
    const { audit, log } = bench()
    log.appending = () => new Promise(() => undefined)
    const error = await refused(
      audit.read(attempt(), DB, async () => {
        throw new KeyholeError('TOKEN_REJECTED', { why: 'expired' })
      }),
    )
    expect(error.code).toBe('TOKEN_REJECTED')
    expect(log.records).toEqual([])
    expect(log.unauthenticated).toEqual([{ code: 'TOKEN_REJECTED', peer: '10.1.2.3' }])
  })

  it('turns what is no refusal into INTERNAL, and keeps its text out of the record', async () => {
    const { audit, log } = bench()
    const defect = new TypeError(CANARY)
    const error = await refused(
      reading(audit, async () => {
        throw defect
      }),
    )
    expect(error).toMatchObject({ code: 'INTERNAL', cause: defect })
    expect(only(log.records)).toMatchObject({ outcome: 'refused', code: 'INTERNAL', why: 'defect' })
    expect(JSON.stringify(log.records)).not.toContain(CANARY)
  })

  it('answers RATE_LIMITED in place of one refusal too many, counted and not recorded', async () => {
    const { audit, log } = bench()
    log.limited = true
    const error = await refused(
      reading(audit, async () => {
        throw new KeyholeError('NOT_GRANTED')
      }),
    )
    expect(error).toMatchObject({ code: 'RATE_LIMITED', retryAfterSeconds: 1 })
    expect(log.records).toEqual([])
    expect(log.throttled).toEqual([{ caller: caller(), code: 'NOT_GRANTED' }])
  })

  it('keeps the name of a fault of ours when its record is one too many', async () => {
    const { audit, log } = bench()
    log.limited = true
    const error = await refused(
      reading(audit, async () => {
        throw new KeyholeError('VAULT_UNAVAILABLE')
      }),
    )
    expect(error.code).toBe('VAULT_UNAVAILABLE')
    expect(log.throttled).toHaveLength(1)
  })

  it('never limits what is granted', async () => {
    const { audit, log } = bench()
    log.limited = true
    await reading(audit, async (entry, of) => entry.disclosed(disclosed(of)))
    expect(log.throttled).toEqual([])
    expect(only(log.records).outcome).toBe('disclosed')
  })
})

describe('a record that cannot be written', () => {
  it('wipes what was about to leave and discloses nothing', async () => {
    const { audit, log } = bench()
    log.appending = full
    let plaintext: ReturnType<typeof disclosed> | undefined
    const error = await refused(
      reading(audit, async (entry, of) => {
        plaintext = disclosed(of)
        return entry.disclosed(plaintext)
      }),
    )
    expect(error).toMatchObject({ code: 'AUDIT_UNAVAILABLE', why: 'audit-record-not-written' })
    expect(plaintext?.body.every((byte) => byte === 0)).toBe(true)
  })

  it.each(['NOT_GRANTED', 'SECRET_MISSING', 'VAULT_UNAVAILABLE', 'INTERNAL'] as const)(
    'hides a refusal with %s behind AUDIT_UNAVAILABLE, like everything else',
    async (code) => {
      const { audit, log } = bench()
      log.appending = full
      const error = await refused(
        reading(audit, async () => {
          throw new KeyholeError(code)
        }),
      )
      expect(error.code).toBe('AUDIT_UNAVAILABLE')
    },
  )

  it('hides a 304 and a listing, too', async () => {
    const { audit, log } = bench()
    log.appending = full
    expect((await refused(reading(audit, async (entry, of) => entry.unchanged(sealed(of))))).code).toBe(
      'AUDIT_UNAVAILABLE',
    )
    const list = audit.list(attempt(), async (entry) => {
      entry.identified(caller())
      return entry.listed(listing([]))
    })
    expect((await refused(list)).code).toBe('AUDIT_UNAVAILABLE')
  })

  it('fails closed when the log throws at once', async () => {
    const { audit, log } = bench()
    log.appending = () => {
      throw new TypeError('defect in the log')
    }
    expect((await refused(reading(audit, async (entry, of) => entry.disclosed(disclosed(of))))).code).toBe(
      'AUDIT_UNAVAILABLE',
    )
  })

  it('asks nobody anything while the log is known to fail, and counts the attempt', async () => {
    const { audit, log } = bench()
    log.unhealthy = true
    let told = false
    const error = await refused(
      reading(audit, async (entry, of) => {
        told = true
        return entry.unchanged(sealed(of))
      }),
    )
    expect(error.code).toBe('AUDIT_UNAVAILABLE')
    expect(told).toBe(false)
    expect(log.unauthenticated).toEqual([{ code: 'AUDIT_UNAVAILABLE', peer: '10.1.2.3' }])
  })
})

describe('the deadline', () => {
  it('ends a story that hangs, and records the refusal although time is up', async () => {
    const { audit, log, clock } = bench()
    let signal: AbortSignal | undefined
    const answer = refused(
      audit.read(attempt(), DB, (entry, given) => {
        entry.identified(caller())
        signal = given
        return new Promise<never>(() => undefined)
      }),
    )
    await clock.advance(DEADLINE_MS - 1)
    expect(signal?.aborted).toBe(false)
    await clock.advance(1)
    expect(await answer).toMatchObject({ code: 'DEADLINE', why: 'deadline-passed' })
    expect(signal?.aborted).toBe(true)
    expect(only(log.records)).toMatchObject({ outcome: 'refused', code: 'DEADLINE', durationMs: DEADLINE_MS })
  })

  it('names itself even when the story fails because it is being stopped', async () => {
    const { audit, log, clock } = bench()
    const answer = refused(
      audit.read(attempt(), DB, async (entry, signal) => {
        entry.identified(caller())
        await new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(new KeyholeError('VAULT_UNAVAILABLE')))
        })
        throw new Error('not reached')
      }),
    )
    await clock.advance(DEADLINE_MS)
    expect((await answer).code).toBe('DEADLINE')
    expect(only(log.records)).toHaveProperty('code', 'DEADLINE')
  })

  it('counts a deadline that passed before anybody was identified', async () => {
    const { audit, log, clock } = bench()
    const answer = refused(audit.read(attempt(), DB, () => new Promise<never>(() => undefined)))
    await clock.advance(DEADLINE_MS)
    expect((await answer).code).toBe('DEADLINE')
    expect(log.unauthenticated).toEqual([{ code: 'DEADLINE', peer: '10.1.2.3' }])
  })

  it('wipes what a story discloses too late, and stops it there', async () => {
    const { audit, log, clock } = bench()
    const work = Promise.withResolvers<void>()
    let late: ReturnType<typeof disclosed> | undefined
    let after: unknown
    const answer = refused(
      reading(audit, async (entry, of) => {
        await work.promise
        late = disclosed(of)
        try {
          return entry.disclosed(late)
        } catch (error) {
          after = error
          throw error
        }
      }),
    )
    await clock.advance(DEADLINE_MS)
    await answer
    work.resolve()
    await settled()
    expect(late?.wiped).toBe(1)
    expect(after).toMatchObject({ code: 'DEADLINE', why: 'told-too-late' })
    expect(only(log.records).outcome).toBe('refused')
  })

  it('wipes it at once, even while the record of the refusal is still being written', async () => {
    const { audit, log, clock } = bench()
    log.appending = () => new Promise(() => undefined)
    const work = Promise.withResolvers<void>()
    let late: ReturnType<typeof disclosed> | undefined
    void reading(audit, async (entry, of) => {
      await work.promise
      late = disclosed(of)
      return entry.disclosed(late)
    })
    await clock.advance(DEADLINE_MS)
    work.resolve()
    await settled()
    expect(late?.wiped).toBe(1)
  })

  it('wipes what a story disclosed in time but then sat upon', async () => {
    const { audit, clock } = bench()
    let plaintext: ReturnType<typeof disclosed> | undefined
    const answer = refused(
      reading(audit, (entry, of) => {
        plaintext = disclosed(of)
        entry.disclosed(plaintext)
        return new Promise<never>(() => undefined)
      }),
    )
    await clock.advance(DEADLINE_MS)
    await answer
    expect(plaintext?.wiped).toBe(1)
  })

  it.each<[string, (audit: Audit, telling: Telling) => Promise<unknown>]>([
    [
      'identified',
      (audit, late) =>
        audit.read(
          attempt(),
          DB,
          late((entry) => entry.identified(caller())),
        ),
    ],
    [
      'granted',
      (audit, late) =>
        audit.read(
          attempt(),
          DB,
          late((entry) => entry.granted(grant(caller()))),
        ),
    ],
    [
      'unchanged',
      (audit, late) =>
        audit.read(
          attempt(),
          DB,
          late((entry) => entry.unchanged(sealed(grant(caller())))),
        ),
    ],
    [
      'listed',
      (audit, late) =>
        audit.list(
          attempt(),
          late((entry) => entry.listed(listing([]))),
        ),
    ],
    [
      'permitted',
      (audit, late) =>
        audit.rotate(
          attempt(),
          {},
          late((entry) => entry.permitted(rotationGrant(caller()))),
        ),
    ],
    [
      'surveyed',
      (audit, late) =>
        audit.survey(
          attempt(),
          late((entry) => entry.surveyed(rotationStatus(0))),
        ),
    ],
  ])('stops a late story at %s', async (_, ask) => {
    const { audit, clock } = bench()
    const work = Promise.withResolvers<void>()
    let after: unknown
    const late: Telling = (tell) => async (entry) => {
      await work.promise
      try {
        tell(entry)
      } catch (error) {
        after = error
      }
      throw new Error('late, and nobody listens')
    }
    const answer = refused(ask(audit, late))
    await clock.advance(DEADLINE_MS)
    await answer
    work.resolve()
    await settled()
    expect(after).toMatchObject({ why: 'told-too-late' })
  })

  it('leaves no timer and no listener behind, however it ends', async () => {
    const { audit, clock } = bench()
    const gone = new AbortController()
    const added: string[] = []
    const { addEventListener, removeEventListener } = gone.signal
    gone.signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      added.push(args[0])
      return addEventListener.apply(gone.signal, args)
    }
    gone.signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      added.pop()
      return removeEventListener.apply(gone.signal, args)
    }
    await refused(
      audit.read(attempt({ gone: gone.signal }), DB, async () => {
        throw new KeyholeError('TOKEN_MISSING')
      }),
    )
    expect(added).toEqual([])
    expect(clock.timers()).toBe(0)
  })
})

describe('a client that leaves', () => {
  it('stops the story and is recorded as abandoned, without a code', async () => {
    const { audit, log } = bench()
    const gone = new AbortController()
    let signal: AbortSignal | undefined
    const answer = refused(
      audit.read(attempt({ gone: gone.signal }), DB, (entry, given) => {
        entry.identified(caller())
        signal = given
        return new Promise<never>(() => undefined)
      }),
    )
    await settled()
    gone.abort()
    expect(await answer).toMatchObject({ code: 'DEADLINE', why: 'client-gone' })
    expect(signal?.aborted).toBe(true)
    const record = only(log.records)
    expect(record).toMatchObject({ outcome: 'abandoned', keys: [] })
    expect(record).not.toHaveProperty('code')
  })

  it('is counted when it was not identified, and asks nobody anything when it left before', async () => {
    const { audit, log } = bench()
    let told = false
    await refused(
      audit.read(attempt({ gone: AbortSignal.abort() }), DB, async () => {
        told = true
        throw new Error('not reached')
      }),
    )
    expect(told).toBe(false)
    expect(log.unauthenticated).toEqual([{ code: 'ABANDONED', peer: '10.1.2.3' }])
  })

  it('gets nothing when it leaves while its record is being written, and the plaintext is wiped', async () => {
    const { audit, log } = bench()
    const gone = new AbortController()
    log.appending = async () => gone.abort()
    let plaintext: ReturnType<typeof disclosed> | undefined
    const answer = audit.read(attempt({ gone: gone.signal }), DB, async (entry) => {
      plaintext = disclosed(entry.granted(grant(entry.identified(caller()))))
      return entry.disclosed(plaintext)
    })
    expect(await refused(answer)).toMatchObject({ why: 'client-gone' })
    expect(plaintext?.wiped).toBe(1)
    // It may over-report: the record was on its way already.
    expect(only(log.records).outcome).toBe('disclosed')
  })
})

describe('stories that break the rules', () => {
  const INTERNAL = { code: 'INTERNAL' }

  it('refuses to record twice, and wipes both', async () => {
    const { audit, log } = bench()
    const bodies: ReturnType<typeof disclosed>[] = []
    const answer = reading(audit, async (entry, of) => {
      bodies.push(disclosed(of), disclosed(of))
      const [first] = bodies.map((body) => entry.disclosed(body))
      return first as Recorded<Disclosed>
    })
    expect(await refused(answer)).toMatchObject({ ...INTERNAL, why: 'recorded-twice' })
    expect(bodies.map(({ wiped }) => wiped)).toEqual([1, 1])
    expect(only(log.records)).toMatchObject({ outcome: 'refused', code: 'INTERNAL', keys: [] })
  })

  it('remembers a broken rule that the story has caught', async () => {
    const { audit } = bench()
    const answer = reading(audit, async (entry, of) => {
      const first = entry.unchanged(sealed(of))
      expect(() => entry.unchanged(sealed(of))).toThrow('recorded-twice')
      return first
    })
    expect(await refused(answer)).toMatchObject({ ...INTERNAL, why: 'recorded-twice' })
  })

  it('refuses the record of another entry, whose plaintext it leaves alone', async () => {
    const { audit } = bench()
    const other = Promise.withResolvers<Recorded<Disclosed>>()
    const body = reading(audit, async (entry, of) => {
      const told = entry.disclosed(disclosed(of))
      other.resolve(told)
      return told
    })
    const thief = reading(audit, async (entry, of) => {
      entry.unchanged(sealed(of))
      return await other.promise
    })
    expect(await refused(thief)).toMatchObject({ ...INTERNAL, why: 'recorded-elsewhere' })
    expect((await body).body.toString()).toBe(CANARY)
  })

  it('refuses a result that nobody recorded', async () => {
    const { audit } = bench()
    for (const result of [{ result: CANARY }, undefined]) {
      const answer = reading(audit, async () => result as unknown as Recorded<Disclosed>)
      expect(await refused(answer)).toMatchObject({ ...INTERNAL, why: 'recorded-elsewhere' })
    }
  })

  it('refuses a second caller', async () => {
    const { audit } = bench()
    const answer = audit.read(attempt(), DB, async (entry) => {
      entry.identified(caller())
      entry.identified(caller({ namespace: 'other' }))
      throw new Error('not reached')
    })
    expect(await refused(answer)).toMatchObject({ ...INTERNAL, why: 'identified-twice' })
  })

  it('refuses a second grant', async () => {
    const { audit } = bench()
    const answer = reading(audit, async (entry, of) => {
      entry.granted(of)
      throw new Error('not reached')
    })
    expect(await refused(answer)).toMatchObject({ ...INTERNAL, why: 'granted-out-of-turn' })
  })

  it("refuses another caller's grant", async () => {
    const { audit, log } = bench()
    const answer = audit.read(attempt(), DB, async (entry) => {
      entry.identified(caller())
      entry.granted(grant(caller()))
      throw new Error('not reached')
    })
    expect(await refused(answer)).toMatchObject({ ...INTERNAL, why: 'grant-of-another-caller' })
    expect(only(log.records).caller).toEqual(caller())
  })

  it('refuses a grant of nobody', async () => {
    const { audit, log } = bench()
    const answer = audit.read(attempt(), DB, async (entry) => {
      entry.granted(grant(caller()))
      throw new Error('not reached')
    })
    expect(await refused(answer)).toMatchObject({ ...INTERNAL, why: 'grant-of-another-caller' })
    expect(log.unauthenticated).toEqual([{ code: 'INTERNAL', peer: '10.1.2.3' }])
  })

  it('refuses to disclose under another grant, or under none, and wipes', async () => {
    const { audit } = bench()
    const stray = disclosed(grant(caller()))
    const mixed = reading(audit, async (entry) => entry.disclosed(stray))
    expect(await refused(mixed)).toMatchObject({ ...INTERNAL, why: 'disclosed-under-another-grant' })
    const ungranted = audit.read(attempt(), DB, async (entry) => entry.disclosed(stray))
    expect((await refused(ungranted)).code).toBe('INTERNAL')
    expect(stray.wiped).toBe(2)
  })

  it('refuses a 304 under another grant, or under none', async () => {
    const { audit } = bench()
    const stray = sealed(grant(caller()))
    const why = 'sealed-under-another-grant'
    expect(await refused(reading(audit, async (entry) => entry.unchanged(stray)))).toMatchObject({ why })
    expect(await refused(audit.read(attempt(), DB, async (entry) => entry.unchanged(stray)))).toMatchObject({ why })
  })

  it('refuses to list for nobody', async () => {
    const { audit } = bench()
    const answer = audit.list(attempt(), async (entry) => entry.listed(listing([])))
    expect(await refused(answer)).toMatchObject({ ...INTERNAL, why: 'listed-out-of-turn' })
  })

  it('gives the story of each action no method of another', async () => {
    const { audit } = bench()
    const methods: string[][] = []
    const look = async (entry: object): Promise<never> => {
      methods.push(Object.keys(entry))
      throw new KeyholeError('NOT_GRANTED')
    }
    await refused(audit.read(attempt(), DB, look))
    await refused(audit.list(attempt(), look))
    await refused(audit.rotate(attempt(), {}, look))
    await refused(audit.survey(attempt(), look))
    expect(methods).toEqual([
      ['identified', 'granted', 'unchanged', 'disclosed'],
      ['identified', 'listed'],
      ['identified', 'permitted', 'started'],
      ['identified', 'permitted', 'surveyed'],
    ])
  })

  it('wipes what was disclosed when the story then fails', async () => {
    const { audit, log } = bench()
    let plaintext: ReturnType<typeof disclosed> | undefined
    const answer = reading(audit, async (entry, of) => {
      plaintext = disclosed(of)
      entry.disclosed(plaintext)
      throw new KeyholeError('CONTENT_INVALID')
    })
    expect((await refused(answer)).code).toBe('CONTENT_INVALID')
    expect(plaintext?.wiped).toBe(1)
    expect(only(log.records)).not.toMatchObject({ etag: expect.anything() })
  })

  it('refuses a story that throws before it is a promise', async () => {
    const { audit, log } = bench()
    const answer = audit.read(attempt(), DB, () => {
      throw new TypeError('at once')
    })
    expect((await refused(answer)).code).toBe('INTERNAL')
    expect(log.unauthenticated).toEqual([{ code: 'INTERNAL', peer: '10.1.2.3' }])
  })
})

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { UpstreamError } from '../../src/errors.ts'
import type { Token } from '../../src/opaque.ts'
import { token } from '../../src/opaque.ts'
import { vaultSessions } from '../../src/services/vault-sessions.ts'
import { settled, virtualClock } from '../virtual-clock.ts'

const patient = new AbortController().signal

interface Login {
  readonly role: string
  readonly signal: AbortSignal
  readonly answer: PromiseWithResolvers<{ token: Token; leaseSeconds: number }>
}

/** A Vault that logs in with tokens t1, t2, ... for a lease of 10 s, unless the test holds the answer back. */
function vault({ hold = false, leaseSeconds = 10, maxUseMs = 10_000, marginMs = 2_000 } = {}) {
  const clock = virtualClock()
  const logins: Login[] = []
  const overlong: string[] = []
  const answering = { hold, failure: undefined as Error | undefined }
  function admit(login: Login): void {
    login.answer.resolve({ token: token(`t${logins.indexOf(login) + 1}`), leaseSeconds })
  }
  const sessions = vaultSessions({
    logins: {
      login(role, signal) {
        const login = { role, signal, answer: Promise.withResolvers<{ token: Token; leaseSeconds: number }>() }
        logins.push(login)
        if (answering.failure !== undefined) login.answer.reject(answering.failure)
        else if (!answering.hold) admit(login)
        return login.answer.promise
      },
    },
    clock,
    marginMs,
    maxUseMs,
    overlong: (role, seconds) => overlong.push(`${role}: ${seconds}`),
  })
  return {
    clock,
    logins,
    overlong,
    admit,
    answering,
    sessions,
    tokenNow: (role = 'r', signal = patient) => sessions.use(role, signal, async (used) => used.reveal()),
  }
}

const unheard: unknown[] = []
const hear = (reason: unknown) => void unheard.push(reason)
beforeEach(() => void process.on('unhandledRejection', hear))
afterEach(async () => {
  await settled()
  process.off('unhandledRejection', hear)
  expect(unheard.splice(0)).toEqual([])
})

describe('vaultSessions: a 403', () => {
  const forbidden = new UpstreamError('vault', 'forbidden', 403)

  test('of a policy, again and again, costs one login a second and not one each', async () => {
    const { clock, logins, sessions, tokenNow } = vault()
    const refused = async (): Promise<never> => Promise.reject(forbidden)
    for (let attempt = 0; attempt < 10; attempt += 1) {
      await expect(sessions.use('r', patient, refused)).rejects.toBe(forbidden)
    }
    expect(logins).toHaveLength(2)
    // Whoever asks with another key of the role goes on with the token that is there.
    expect(await tokenNow()).toBe('t2')
    expect(logins).toHaveLength(2)
    await clock.advance(1_000)
    await expect(sessions.use('r', patient, refused)).rejects.toBe(forbidden)
    expect(logins).toHaveLength(3)
    // A clock set back does not stretch that second to an hour.
    clock.set(clock.now() - 3_600_000)
    expect(await tokenNow()).toBe('t4')
    await expect(sessions.use('r', patient, refused)).rejects.toBe(forbidden)
    expect(logins).toHaveLength(5)
  })

  test('twice is refused, after one more login and no third try', async () => {
    const { sessions, logins } = vault()
    const used: string[] = []
    const act = async (each: Token) => {
      used.push(each.reveal())
      throw forbidden
    }
    await expect(sessions.use('r', patient, act)).rejects.toBe(forbidden)
    expect(used).toEqual(['t1', 't2'])
    expect(logins).toHaveLength(2)
  })

  test('once is a token that ended on the way: it logs in again', async () => {
    const { sessions, tokenNow } = vault()
    const act = async (each: Token) => {
      if (each.reveal() === 't1') throw forbidden
      return each.reveal()
    }
    await expect(sessions.use('r', patient, act)).resolves.toBe('t2')
    await expect(tokenNow()).resolves.toBe('t2')
  })

  test('of many at once costs one more login', async () => {
    const { sessions, logins } = vault()
    const act = async (each: Token) => {
      await settled()
      if (each.reveal() === 't1') throw forbidden
      return each.reveal()
    }
    const uses = Array.from({ length: 10 }, () => sessions.use('r', patient, act))
    await expect(Promise.all(uses)).resolves.toEqual(Array(10).fill('t2'))
    expect(logins).toHaveLength(2)
  })

  test('with an old token takes the new one that somebody else has fetched by then', async () => {
    const { sessions, logins, clock, tokenNow } = vault()
    const { promise, reject } = Promise.withResolvers<string>()
    const slow = sessions.use('r', patient, (each) =>
      each.reveal() === 't1' ? promise : Promise.resolve(each.reveal()),
    )
    await clock.advance(8_000)
    await expect(tokenNow()).resolves.toBe('t2')
    reject(forbidden)
    await expect(slow).resolves.toBe('t2')
    expect(logins).toHaveLength(2)
  })

  test('followed by a login that fails is that failure', async () => {
    const { sessions, answering } = vault()
    const act = async () => {
      answering.failure = new UpstreamError('vault', 'sealed', 503)
      throw forbidden
    }
    await expect(sessions.use('r', patient, act)).rejects.toMatchObject({ kind: 'sealed' })
  })

  test.each([
    ['another refusal of Vault', new UpstreamError('vault', 'not-authentic', 400)],
    ['a defect', new Error('defect')],
  ])('is not %s: that is thrown at once', async (_, thrown) => {
    const { sessions, logins } = vault()
    await expect(sessions.use('r', patient, () => Promise.reject(thrown))).rejects.toBe(thrown)
    expect(logins).toHaveLength(1)
  })
})

describe('vaultSessions: a login', () => {
  test('that fails is not kept', async () => {
    const { tokenNow, answering } = vault()
    answering.failure = new UpstreamError('vault', 'role-missing', 400)
    await expect(tokenNow()).rejects.toMatchObject({ kind: 'role-missing' })
    answering.failure = undefined
    await expect(tokenNow()).resolves.toBe('t2')
  })

  test('that is refused with 403 tells of no missing policy: Vault says so while the API server is away, too', async () => {
    const { sessions, tokenNow, answering } = vault()
    const refused = new UpstreamError('vault', 'forbidden', 403)
    answering.failure = refused
    await expect(tokenNow()).rejects.toMatchObject({ upstream: 'vault', kind: 'unauthorized', status: 403 })
    answering.failure = undefined
    const act = async () => {
      answering.failure = refused
      throw refused
    }
    await expect(sessions.use('r', patient, act)).rejects.toMatchObject({ kind: 'unauthorized' })
  })

  test('is one for all who wait for it, each with its own deadline', async () => {
    const { tokenNow, logins, admit } = vault({ hold: true })
    const hasty = new AbortController()
    const [first, second] = [tokenNow('r', hasty.signal), tokenNow()]
    hasty.abort('gave up')
    await expect(first).rejects.toBe('gave up')
    expect(logins.map(({ signal }) => signal.aborted)).toEqual([false])
    for (const login of logins) admit(login)
    await expect(second).resolves.toBe('t1')
  })

  test('that nobody waits for is aborted', async () => {
    const { tokenNow, logins } = vault({ hold: true })
    const hasty = new AbortController()
    const use = tokenNow('r', hasty.signal)
    hasty.abort('gave up')
    await expect(use).rejects.toBe('gave up')
    expect(logins[0]?.signal.aborted).toBe(true)
  })

  test('of one role gives nothing to another', async () => {
    const { tokenNow, logins } = vault()
    await expect(tokenNow('a')).resolves.toBe('t1')
    await expect(tokenNow('b')).resolves.toBe('t2')
    await expect(tokenNow('a')).resolves.toBe('t1')
    expect(logins.map(({ role }) => role)).toEqual(['a', 'b'])
  })
})

describe('vaultSessions: the life of a token', () => {
  test('it is used until its margin and not in it', async () => {
    const { tokenNow, answering, clock } = vault()
    await tokenNow()
    answering.failure = new UpstreamError('vault', 'unavailable')
    await clock.advance(7_999)
    await expect(tokenNow()).resolves.toBe('t1')
    await clock.advance(1)
    await expect(tokenNow()).rejects.toMatchObject({ kind: 'unavailable' })
  })

  test('it is counted from the question, not from the answer', async () => {
    const { tokenNow, clock, logins, admit, answering } = vault({ hold: true })
    const first = tokenNow()
    await clock.advance(7_000)
    for (const login of logins) admit(login)
    await expect(first).resolves.toBe('t1')
    answering.hold = false
    await clock.advance(1_000)
    await expect(tokenNow()).resolves.toBe('t2')
  })

  test('is not longer than the bound, whatever lease Vault gives', async () => {
    const { tokenNow, clock, overlong } = vault({ leaseSeconds: 3_600 })
    await tokenNow()
    await clock.advance(8_000)
    await expect(tokenNow()).resolves.toBe('t2')
    // Keyhole stops using it, but only its role can end it: told once, not at every login.
    expect(overlong).toEqual(['r: 3600'])
  })

  test('is over when the clock is set back before it began', async () => {
    const { tokenNow, clock } = vault()
    await tokenNow()
    clock.set(clock.now() - 3_600_000)
    await expect(tokenNow()).resolves.toBe('t2')
  })

  test('is not longer than its lease', async () => {
    const { tokenNow, clock } = vault({ leaseSeconds: 5 })
    await tokenNow()
    await clock.advance(3_000)
    await expect(tokenNow()).resolves.toBe('t2')
  })

  test('a lease shorter than the margin serves one use', async () => {
    const { tokenNow } = vault({ leaseSeconds: 1 })
    await expect(tokenNow()).resolves.toBe('t1')
    await expect(tokenNow()).resolves.toBe('t2')
  })
})

describe('vaultSessions: renewal ahead of need', () => {
  test.each([
    ['a lease of ten seconds', 10, 4_000],
    ['a lease barely longer than the margin', 3, 500],
  ])('with %s, from half of its use on, nobody waits for it', async (_, leaseSeconds, halfMs) => {
    const { tokenNow, clock, logins, answering, admit } = vault({ leaseSeconds })
    await tokenNow()
    answering.hold = true
    await clock.advance(halfMs - 1)
    await tokenNow()
    expect(logins).toHaveLength(1)
    await clock.advance(1)
    await expect(tokenNow()).resolves.toBe('t1')
    await expect(tokenNow()).resolves.toBe('t1')
    expect(logins).toHaveLength(2)
    for (const login of logins) admit(login)
    await settled()
    await expect(tokenNow()).resolves.toBe('t2')
  })

  test('that fails is silent, is tried again while there is traffic, and costs nobody an answer', async () => {
    const { tokenNow, clock, answering, logins } = vault()
    await tokenNow()
    await clock.advance(4_000)
    answering.failure = new UpstreamError('vault', 'timeout')
    await expect(tokenNow()).resolves.toBe('t1')
    await settled()
    await expect(tokenNow()).resolves.toBe('t1')
    await settled()
    expect(logins).toHaveLength(3)
    answering.failure = undefined
    await expect(tokenNow()).resolves.toBe('t1')
    await settled()
    await expect(tokenNow()).resolves.toBe('t4')
  })

  test('that failed is found again by who needs the next token, who recovers', async () => {
    const { tokenNow, clock, answering } = vault()
    await tokenNow()
    await clock.advance(4_000)
    answering.failure = new UpstreamError('vault', 'timeout')
    await tokenNow()
    await clock.advance(4_000)
    await expect(tokenNow()).rejects.toMatchObject({ kind: 'timeout' })
    answering.failure = undefined
    await expect(tokenNow()).resolves.toBe('t4')
  })

  test('is joined by who comes when the old token has ended, and survives its giving up', async () => {
    const { tokenNow, clock, logins, answering, admit } = vault()
    await tokenNow()
    await clock.advance(4_000)
    answering.hold = true
    await tokenNow()
    await clock.advance(4_000)
    const hasty = new AbortController()
    const [first, second] = [tokenNow('r', hasty.signal), tokenNow()]
    hasty.abort('gave up')
    await expect(first).rejects.toBe('gave up')
    expect(logins).toHaveLength(2)
    expect(logins[1]?.signal.aborted).toBe(false)
    for (const login of logins) admit(login)
    await expect(second).resolves.toBe('t2')
  })

  test('is not given up with the request that set it off', async () => {
    const { tokenNow, clock, logins, answering, admit } = vault()
    await tokenNow()
    await clock.advance(4_000)
    answering.hold = true
    const hasty = new AbortController()
    await tokenNow('r', hasty.signal)
    hasty.abort('over')
    await settled()
    expect(logins[1]?.signal.aborted).toBe(false)
    for (const login of logins) admit(login)
    await settled()
    await expect(tokenNow()).resolves.toBe('t2')
  })

  test('without traffic does not happen', async () => {
    const { tokenNow, clock, logins } = vault()
    await tokenNow()
    await clock.advance(3_600_000)
    expect(logins).toHaveLength(1)
    expect(clock.timers()).toBe(0)
  })
})

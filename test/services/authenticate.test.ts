import { describe, expect, test } from 'vitest'
import { UpstreamError } from '../../src/errors.ts'
import type { Token } from '../../src/opaque.ts'
import { token } from '../../src/opaque.ts'
import type { AuthenticateOptions, Review } from '../../src/services/authenticate.ts'
import { authenticator } from '../../src/services/authenticate.ts'
import type { TurnstileBounds } from '../../src/services/turnstile.ts'
import { turnstile } from '../../src/services/turnstile.ts'
import { settled, virtualClock } from '../virtual-clock.ts'
import { AUDIENCE, claimsAt, HOUR_SECONDS, jwt } from './jwt.ts'

const POD_NAME = 'authentication.kubernetes.io/pod-name'
const POD_UID = 'authentication.kubernetes.io/pod-uid'
const CREDENTIAL_ID = 'authentication.kubernetes.io/credential-id'

const YES: Review = {
  authenticated: true,
  audiences: [AUDIENCE],
  username: 'system:serviceaccount:payments:api',
  uid: 'u-1',
  extra: new Map([
    [POD_NAME, ['api-0']],
    [POD_UID, ['p-1']],
    [CREDENTIAL_ID, ['JTI=1']],
  ]),
}

interface Question {
  readonly token: Token
  readonly audience: string
  readonly signal: AbortSignal
  readonly answer: PromiseWithResolvers<Review>
}

/** An API server that answers what the test says, at once or when the test says so. */
function door(options: Partial<AuthenticateOptions> & { answer?: Review | Error; bounds?: TurnstileBounds } = {}) {
  const { answer, bounds = { inside: 8, waiting: 8, sharePerPeer: 0.25 }, ...others } = options
  const clock = virtualClock()
  const asked: Question[] = []
  const gate = turnstile(bounds)
  const authenticate = authenticator({
    reviews: {
      reviewToken(token, audience, signal) {
        const question = { token, audience, signal, answer: Promise.withResolvers<Review>() }
        asked.push(question)
        if (answer instanceof Error) question.answer.reject(answer)
        else if (answer !== undefined) question.answer.resolve(answer)
        return question.answer.promise
      },
    },
    claims: { audience: AUDIENCE, maxTokenBytes: 8192, maxLifetimeMs: 86_400_000, maxSkewMs: 60_000 },
    turnstile: gate,
    clock,
    keepMs: 10_000,
    maxKept: 100,
    ...others,
  })
  return {
    clock,
    asked,
    gate,
    own: jwt(claimsAt(clock.now())),
    enter: (token: Token, peer = '10.0.0.1', signal = patient) => authenticate({ token, peer }, signal),
    enterFresh: (token: Token, signal = patient) => authenticate({ token, peer: '10.0.0.1', fresh: true }, signal),
  }
}

const patient = new AbortController().signal

describe('authenticate: what never reaches the API server', () => {
  test.each([
    ['is no JWT', () => token('x')],
    ['names another audience', (now: number) => jwt(claimsAt(now, { aud: ['vault'] }))],
    ['names a second audience', (now: number) => jwt(claimsAt(now, { aud: [AUDIENCE, 'vault'] }))],
    ['has expired', (now: number) => jwt(claimsAt(now, { exp: now / 1000 - 1 }))],
    ['lives a year', (now: number) => jwt(claimsAt(now, { exp: now / 1000 + 31_536_000 }))],
    ['is not valid yet', (now: number) => jwt(claimsAt(now, { nbf: now / 1000 + 3600 }))],
    ['is longer than the bound', (now: number) => jwt(claimsAt(now), 'x'.repeat(9000))],
  ])('a token that %s', async (_, make) => {
    const { enter, asked, clock } = door({ answer: YES })
    await expect(enter(make(clock.now()))).rejects.toMatchObject({
      code: expect.stringMatching(/^TOKEN_(REJECTED|AUDIENCE)$/),
    })
    expect(asked).toHaveLength(0)
  })

  test('a token whose caller has left', async () => {
    const { enter, asked, own } = door({ answer: YES })
    await expect(enter(own, 'a', AbortSignal.abort('gone'))).rejects.toBe('gone')
    expect(asked).toHaveLength(0)
  })
})

describe('authenticate: what the API server says', () => {
  const username = (name: string) => ({ ...YES, username: name })

  test.each([
    ['that does not vouch', { ...YES, authenticated: false }, 'not-authenticated'],
    ['about another audience', { ...YES, audiences: ['https://kubernetes'] }, 'audience-not-confirmed'],
    [
      'about no audience, of a reviewer that knows nothing of them',
      { ...YES, audiences: [] },
      'audience-not-confirmed',
    ],
    ['about an audience that contains ours', { ...YES, audiences: ['keyhole2'] }, 'audience-not-confirmed'],
    ['of a user', username('jane'), 'not-a-service-account'],
    ['of a node', username('system:node:worker-1'), 'not-a-service-account'],
    ['of a bootstrap token', username('system:bootstrap:abcdef'), 'not-a-service-account'],
    ['of nobody', { authenticated: true, audiences: [AUDIENCE], uid: 'u', extra: new Map() }, 'not-a-service-account'],
    ['with another prefix', username('oidc:system:serviceaccount:payments:api'), 'not-a-service-account'],
    ['with a group for a name', username('system:serviceaccounts:payments:api'), 'not-a-service-account'],
    ['with a colon too many', username('system:serviceaccount:payments:api:x'), 'not-a-service-account'],
    ['with a colon too few', username('system:serviceaccount:payments'), 'not-a-service-account'],
    ['with an empty namespace', username('system:serviceaccount::api'), 'not-a-service-account'],
    ['with an empty name', username('system:serviceaccount:payments:'), 'not-a-service-account'],
    ['with a slash', username('system:serviceaccount:a/b:api'), 'not-a-service-account'],
    ['with a dot in the namespace', username('system:serviceaccount:a.b:api'), 'not-a-service-account'],
    ['with capitals', username('system:serviceaccount:Payments:api'), 'not-a-service-account'],
    ['with an empty part of the name', username('system:serviceaccount:payments:a..b'), 'not-a-service-account'],
    ['with a part that ends in a hyphen', username('system:serviceaccount:payments:a-.b'), 'not-a-service-account'],
    ['with a line break', username('system:serviceaccount:payments:api\n'), 'not-a-service-account'],
    ['with a namespace of 64', username(`system:serviceaccount:${'a'.repeat(64)}:api`), 'not-a-service-account'],
    ['with a name of 254', username(`system:serviceaccount:payments:${'a'.repeat(254)}`), 'not-a-service-account'],
    ['with an empty uid', { ...YES, uid: '' }, 'no-uid'],
    [
      'without a uid',
      { authenticated: true, audiences: [AUDIENCE], username: YES.username, extra: new Map() },
      'no-uid',
    ],
  ] as [string, Review, string][])('refuses an answer %s', async (_, answer, why) => {
    const { enter, own } = door({ answer })
    await expect(enter(own)).rejects.toMatchObject({ code: 'TOKEN_REJECTED', why })
  })

  test('refuses when it cannot be asked, without a word of what it said', async () => {
    const { enter, own } = door({ answer: new UpstreamError('kubernetes', 'throttled', 429) })
    await expect(enter(own)).rejects.toMatchObject({ code: 'KUBERNETES_UNAVAILABLE', why: 'kubernetes-throttled' })
  })

  test('tells the operator what right keyhole lacks to ask', async () => {
    const { enter, own } = door({ answer: new UpstreamError('kubernetes', 'forbidden', 403) })
    await expect(enter(own)).rejects.toMatchObject({
      code: 'KUBERNETES_UNAVAILABLE',
      fix: expect.stringContaining('tokenreviews'),
    })
  })

  test('asks for its own audience', async () => {
    const { enter, own, asked } = door({ answer: YES })
    await enter(own)
    expect(asked).toEqual([expect.objectContaining({ token: own, audience: AUDIENCE })])
  })

  test('takes the ServiceAccount, its pod and the id of its credential', async () => {
    const { enter, own } = door({ answer: YES })
    await expect(enter(own)).resolves.toEqual({
      namespace: 'payments',
      serviceAccount: 'api',
      uid: 'u-1',
      pod: { name: 'api-0', uid: 'p-1' },
      credentialId: 'JTI=1',
    })
  })

  test('takes names of one character, and of as many as there may be', async () => {
    for (const [namespace, name] of [
      ['a', 'b'],
      ['a'.repeat(63), 'b.c-'.repeat(63).slice(0, 252).concat('d')],
    ]) {
      const { enter, own } = door({ answer: username(`system:serviceaccount:${namespace}:${name}`) })
      await expect(enter(own)).resolves.toMatchObject({ namespace, serviceAccount: name })
    }
  })

  test.each([
    ['no pod', new Map()],
    ['a pod without a uid', new Map([[POD_NAME, ['api-0']]])],
    ['a pod without a name', new Map([[POD_UID, ['p-1']]])],
    [
      'two pod names',
      new Map([
        [POD_NAME, ['api-0', 'api-1']],
        [POD_UID, ['p-1']],
      ]),
    ],
    [
      'no value for the name of its pod',
      new Map([
        [POD_NAME, []],
        [POD_UID, ['p-1']],
      ]),
    ],
  ] as [string, Review['extra']][])('takes a token with %s for bound to none', async (_, extra) => {
    const { enter, own } = door({ answer: { ...YES, extra } })
    const caller = await enter(own)
    expect(caller).not.toHaveProperty('pod')
    expect(caller).not.toHaveProperty('credentialId')
  })

  test('nobody changes a caller that others will be given', async () => {
    const { enter, own } = door({ answer: YES })
    const caller = await enter(own)
    expect(Object.isFrozen(caller) && Object.isFrozen(caller.pod)).toBe(true)
  })
})

describe('authenticate: what is kept', () => {
  test('no refusal', async () => {
    const { enter, own, asked } = door({ answer: { ...YES, authenticated: false } })
    for (let count = 1; count <= 3; count += 1) {
      await expect(enter(own)).rejects.toMatchObject({ code: 'TOKEN_REJECTED' })
      expect(asked).toHaveLength(count)
    }
  })

  test('no failure', async () => {
    const { enter, own, asked } = door({ answer: new UpstreamError('kubernetes', 'timeout') })
    for (let count = 1; count <= 3; count += 1) {
      await expect(enter(own)).rejects.toMatchObject({ code: 'KUBERNETES_UNAVAILABLE' })
      expect(asked).toHaveLength(count)
    }
  })

  test('nothing for a token that differs in its last character', async () => {
    const { enter, asked, clock } = door()
    const [a, b] = [jwt(claimsAt(clock.now()), 'aaaa'), jwt(claimsAt(clock.now()), 'aaab')]
    const first = enter(a)
    await settled()
    asked[0]?.answer.resolve(YES)
    await first
    const second = enter(b)
    await settled()
    expect(asked).toHaveLength(2)
    asked[1]?.answer.resolve({ ...YES, username: 'system:serviceaccount:bi:reports' })
    await expect(second).resolves.toMatchObject({ namespace: 'bi' })
    await expect(enter(a)).resolves.toMatchObject({ namespace: 'payments' })
  })

  test('a positive review, for its time and not a millisecond longer', async () => {
    const { enter, own, asked, clock } = door({ answer: YES })
    await enter(own)
    await clock.advance(9_999)
    await enter(own)
    expect(asked).toHaveLength(1)
    await clock.advance(1)
    await enter(own)
    expect(asked).toHaveLength(2)
  })

  test('counted from the question, not from the answer', async () => {
    const { enter, own, asked, clock } = door()
    const first = enter(own)
    await clock.advance(6_000)
    asked[0]?.answer.resolve(YES)
    await first
    await clock.advance(4_000)
    const second = enter(own)
    await settled()
    expect(asked).toHaveLength(2)
    asked[1]?.answer.resolve(YES)
    await second
  })

  test('never past the end of the token', async () => {
    const { enter, asked, clock } = door({ answer: YES })
    const short = jwt(claimsAt(clock.now(), { exp: clock.now() / 1000 + 5 }))
    await enter(short)
    await clock.advance(4_999)
    await enter(short)
    await clock.advance(1)
    await expect(enter(short)).rejects.toMatchObject({ why: 'expired' })
    expect(asked).toHaveLength(1)
  })

  test('not longer because the clock was set back', async () => {
    const { enter, own, asked, clock } = door({ answer: YES })
    await enter(own)
    clock.set(clock.now() - 1_000)
    await enter(own)
    expect(asked).toHaveLength(2)
  })

  test('nothing at all when keeping is off', async () => {
    const { enter, own, asked } = door({ answer: YES, keepMs: 0 })
    await enter(own)
    await enter(own)
    expect(asked).toHaveLength(2)
  })

  test('no more than the bound', async () => {
    const { enter, asked, clock } = door({ answer: YES, maxKept: 2 })
    const tokens = ['a', 'b', 'c'].map((signature) => jwt(claimsAt(clock.now()), signature))
    for (const each of tokens) await enter(each)
    for (const each of tokens) await enter(each)
    expect(asked.length).toBeGreaterThan(3)
  })
})

describe('authenticate: reviews in flight', () => {
  test('identical ones are one, and one that gives up takes nothing from the other', async () => {
    const { enter, own, asked } = door()
    const hasty = new AbortController()
    const [first, second] = [enter(own, 'a', hasty.signal), enter(own, 'a')]
    await settled()
    expect(asked).toHaveLength(1)
    hasty.abort('gave up')
    await expect(first).rejects.toBe('gave up')
    expect(asked[0]?.signal.aborted).toBe(false)
    asked[0]?.answer.resolve(YES)
    await expect(second).resolves.toMatchObject({ serviceAccount: 'api' })
  })

  test('different tokens are never joined', async () => {
    const { enter, asked, clock } = door()
    const callers = ['api', 'worker'].map((name) => enter(jwt(claimsAt(clock.now(), { sub: name }))))
    await settled()
    expect(asked).toHaveLength(2)
    asked[1]?.answer.resolve({ ...YES, username: 'system:serviceaccount:payments:worker' })
    asked[0]?.answer.resolve(YES)
    await expect(Promise.all(callers)).resolves.toMatchObject([{ serviceAccount: 'api' }, { serviceAccount: 'worker' }])
  })

  test('one that nobody waits for is aborted, gives its place back, and is not kept', async () => {
    const { enter, own, asked, gate } = door()
    const hasty = new AbortController()
    const first = enter(own, 'a', hasty.signal)
    await settled()
    expect(gate.inside()).toBe(1)
    hasty.abort('gave up')
    await expect(first).rejects.toBe('gave up')
    await settled()
    expect(asked[0]?.signal.aborted).toBe(true)
    expect(gate.inside()).toBe(0)
    asked[0]?.answer.resolve(YES)
    await settled()
    const second = enter(own)
    await settled()
    expect(asked).toHaveLength(2)
    asked[1]?.answer.resolve(YES)
    await second
  })

  test('a failure gives its place back', async () => {
    const { enter, own, gate } = door({ answer: new UpstreamError('kubernetes', 'unavailable') })
    await expect(enter(own)).rejects.toMatchObject({ code: 'KUBERNETES_UNAVAILABLE' })
    expect(gate.inside()).toBe(0)
  })

  test('a peer that floods is refused, and another is reviewed at once', async () => {
    const { enter, own, asked, clock } = door({ bounds: { inside: 4, waiting: 4, sharePerPeer: 0.25 } })
    const flood = Array.from({ length: 10 }, (_, count) => {
      return enter(jwt(claimsAt(clock.now()), `flood${count}`), 'flood').catch((error: unknown) => error)
    })
    await settled()
    expect(asked).toHaveLength(1)
    const other = enter(own, '10.0.0.2')
    await settled()
    expect(asked[1]?.token).toBe(own)
    asked[1]?.answer.resolve(YES)
    await expect(other).resolves.toMatchObject({ serviceAccount: 'api' })
    for (const count of [0, 2]) {
      asked[count]?.answer.resolve({ ...YES, authenticated: false })
      await settled()
    }
    const refusals = await Promise.all(flood)
    expect(refusals.filter((refusal) => (refusal as { code?: string }).code === 'OVERLOADED')).toHaveLength(8)
  })

  test('who waits for a place and gives up asks nothing', async () => {
    const { enter, own, asked, clock, gate } = door({ bounds: { inside: 1, waiting: 4, sharePerPeer: 1 } })
    const first = enter(own)
    const hasty = new AbortController()
    const second = enter(jwt(claimsAt(clock.now()), 'other'), 'b', hasty.signal)
    await settled()
    hasty.abort('gave up')
    await expect(second).rejects.toBe('gave up')
    asked[0]?.answer.resolve(YES)
    await first
    await settled()
    expect(asked).toHaveLength(1)
    expect(gate.inside() + gate.waiting()).toBe(0)
  })

  test('a token lives its hour through many reviews', async () => {
    const { enter, own, clock, asked } = door({ answer: YES })
    for (let seconds = 0; seconds < HOUR_SECONDS; seconds += 600) {
      await expect(enter(own)).resolves.toMatchObject({ uid: 'u-1' })
      await clock.advance(600_000)
    }
    expect(asked).toHaveLength(6)
    await expect(enter(own)).rejects.toMatchObject({ why: 'expired' })
  })
})

describe('authenticate: fresh, for what must not outlive a revocation', () => {
  test('is never answered from what is kept', async () => {
    const { enter, enterFresh, own, asked } = door({ answer: YES })
    await enter(own)
    await enterFresh(own)
    await enterFresh(own)
    expect(asked).toHaveLength(3)
  })

  test('refuses a token that was revoked since its review was kept', async () => {
    const { enter, enterFresh, own, asked } = door()
    const first = enter(own)
    await settled()
    asked[0]?.answer.resolve(YES)
    await first
    const second = enterFresh(own)
    await settled()
    asked[1]?.answer.resolve({ ...YES, authenticated: false })
    await expect(second).rejects.toMatchObject({ code: 'TOKEN_REJECTED', why: 'not-authenticated' })
  })

  test('never joins a review that was begun earlier, nor is joined itself', async () => {
    const { enter, enterFresh, own, asked } = door({ bounds: { inside: 8, waiting: 8, sharePerPeer: 1 } })
    const all = [enter(own), enterFresh(own), enterFresh(own), enter(own)]
    await settled()
    expect(asked).toHaveLength(3)
    for (const { answer } of asked) answer.resolve(YES)
    await Promise.all(all)
  })

  test('is kept for nobody', async () => {
    const { enter, enterFresh, own, asked } = door({ answer: YES })
    await enterFresh(own)
    await enter(own)
    expect(asked).toHaveLength(2)
  })

  test('reads the claims first, and takes its place at the turnstile, like every other', async () => {
    const { enterFresh, own, asked, gate, clock } = door()
    await expect(enterFresh(jwt(claimsAt(clock.now(), { aud: ['vault'] })))).rejects.toMatchObject({
      code: 'TOKEN_AUDIENCE',
    })
    expect(asked).toHaveLength(0)
    const answer = enterFresh(own)
    await settled()
    expect(gate.inside()).toBe(1)
    asked[0]?.answer.reject(new UpstreamError('kubernetes', 'timeout'))
    await expect(answer).rejects.toMatchObject({ code: 'KUBERNETES_UNAVAILABLE' })
    expect(gate.inside()).toBe(0)
  })
})

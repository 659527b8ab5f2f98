import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TokenOrder } from '../../src/standins/kubernetes.ts'
import { checked } from '../contract/checked.ts'
import { exchange, get } from '../http/line.ts'
import { ask, problem } from './ask.ts'
import type { World } from './world.ts'
import { forgetCalls, startWorld, upstreamCalls } from './world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const API: TokenOrder = {
  namespace: 'payments',
  serviceAccount: 'api',
  audiences: ['keyhole'],
  pod: { name: 'api-7d4b9' },
}

function issue(order: Partial<TokenOrder>): string {
  return world.kubernetes.issueToken({ ...API, ...order })
}

/** The claims of a good token, changed, and signed by the cluster's own key or by another's. */
function signed(change: Readonly<Record<string, unknown>>, by?: 'stranger'): string {
  const claims = JSON.parse(Buffer.from(issue({}).split('.')[1] ?? '', 'base64url').toString()) as object
  return world.kubernetes.signToken({ ...claims, ...change }, by)
}

const seconds = () => Math.floor(world.clock.now() / 1_000)

/** Asks for a Secret that the caller would get with a good token. */
async function refusal(token: string) {
  forgetCalls(world)
  const answer = await ask(world.url, '/secrets/db', { token })
  const { code, detail } = problem(answer)
  return { answer, status: answer.status, code, detail, calls: upstreamCalls(world) }
}

const REVIEW = 'POST /apis/authentication.k8s.io/v1/tokenreviews'

describe('without a token that could be reviewed', () => {
  it.each([
    ['no header', {}],
    ['an empty header', { Authorization: '' }],
    ['a scheme alone', { Authorization: 'Bearer' }],
    ['a scheme and blanks', { Authorization: 'Bearer   ' }],
    ['another scheme', { Authorization: 'Basic YTpi' }],
    ['no scheme', { Authorization: 'eyJ.eyJ.sig' }],
    ['two tokens', { Authorization: 'Bearer a.b.c d.e.f' }],
    ['a list of tokens', { Authorization: 'Bearer a.b.c, Bearer d.e.f' }],
  ])('challenges %s, without an error', async (_what, headers) => {
    forgetCalls(world)
    const answer = await ask(world.url, '/secrets/db', { headers })
    expect([answer.status, problem(answer).code]).toEqual([401, 'TOKEN_MISSING'])
    expect(answer.headers['www-authenticate']).toBe('Bearer realm="keyhole"')
    expect(upstreamCalls(world)).toEqual([])
  })

  it.each([
    ['both good', () => [issue({}), issue({})]],
    ['the first good', () => [issue({}), 'x.y.z']],
    ['the second good', () => ['x.y.z', issue({})]],
    ['the same twice', () => Array<string>(2).fill(issue({}))],
  ])('refuses two Authorization headers, %s, and asks nobody', async (_what, tokens) => {
    forgetCalls(world)
    const lines = tokens().map((token) => `Authorization: Bearer ${token}\r\n`)
    const text = `GET /secrets/db HTTP/1.1\r\nHost: keyhole\r\n${lines.join('')}\r\n`
    const answer = checked({ method: 'GET', path: '/secrets/db' }, await exchange(world.url, text))
    expect(problem(answer)).toMatchObject({ code: 'MALFORMED_REQUEST', detail: 'Send one Authorization header.' })
    expect(upstreamCalls(world)).toEqual([])
  })

  it.each(['?access_token=', '?token='])('takes no token from the query: %s', async (query) => {
    const answer = await ask(world.url, `/secrets/db${query}${issue({})}`)
    expect(problem(answer).code).toBe('MALFORMED_REQUEST')
  })

  it.each([
    ['a token of 9 KiB', () => `e30.${'a'.repeat(9_216)}.c2ln`],
    ['no JWT', () => 'opaque'],
    ['two parts', () => 'e30.e30'],
    ['four parts', () => 'e30.e30.e30.e30'],
    ['a payload that is no JSON', () => `e30.${Buffer.from('{').toString('base64url')}.c2ln`],
    ['a payload that is no object', () => `e30.${Buffer.from('[]').toString('base64url')}.c2ln`],
    ['bytes that are no ASCII', () => 'e30.\u00ff.c2ln'],
    ['an expired token', () => signed({ exp: seconds() - 1 })],
    ['a token without expiry', () => signed({ exp: undefined })],
    ['a token that is not valid yet', () => signed({ nbf: seconds() + 3_600 })],
    ['a token of a year', () => issue({ expirationSeconds: 365 * 86_400 })],
    ['a token of a day and a second', () => issue({ expirationSeconds: 86_401 })],
  ])('refuses %s, and asks nobody', async (_what, token) => {
    const { status, code, calls, answer } = await refusal(token())
    expect([status, code, calls]).toEqual([401, 'TOKEN_REJECTED', []])
    expect(answer.headers['www-authenticate']).toBe('Bearer realm="keyhole", error="invalid_token"')
  })

  it('says so when the token has only expired, because that is mended in the caller', async () => {
    expect((await refusal(signed({ exp: seconds() - 1 }))).detail).toMatch(/^Your token has expired\./)
  })

  it.each([
    ['another audience', () => issue({ audiences: ['vault'] })],
    ["the cluster's own", () => issue({ audiences: [] })],
    ['two audiences', () => issue({ audiences: ['keyhole', 'vault'] })],
    ['ours twice', () => signed({ aud: ['keyhole', 'keyhole'] })],
    ['an audience that is no text', () => signed({ aud: { keyhole: true } })],
    ['no audience', () => signed({ aud: undefined })],
  ])('refuses a token for %s, says what to mount, and asks nobody', async (_what, token) => {
    const { status, code, detail, calls } = await refusal(token())
    expect([status, code, calls]).toEqual([401, 'TOKEN_AUDIENCE', []])
    expect(detail).toContain('only audience is "keyhole"')
  })
})

describe('with a token that the API server has to judge', () => {
  it.each([
    ["another cluster's key", () => signed({}, 'stranger')],
    [
      'a ServiceAccount that does not exist',
      () => signed({ 'kubernetes.io': { namespace: 'payments', serviceaccount: { name: 'nobody', uid: 'u' } } }),
    ],
    [
      'a changed payload',
      () =>
        issue({}).replace(
          /\.[^.]+\./,
          `.${Buffer.from(JSON.stringify({ aud: ['keyhole'], exp: seconds() + 600, iat: seconds() })).toString('base64url')}.`,
        ),
    ],
  ])('refuses a token of %s after one review', async (_what, token) => {
    const { status, code, calls } = await refusal(token())
    expect([status, code, calls]).toEqual([401, 'TOKEN_REJECTED', [REVIEW]])
  })

  it('refuses the token of a ServiceAccount that was deleted', async () => {
    const { kubernetes } = world
    kubernetes.putServiceAccount({ namespace: 'payments', name: 'short-lived' })
    const token = kubernetes.issueToken({
      namespace: 'payments',
      serviceAccount: 'short-lived',
      audiences: ['keyhole'],
    })
    kubernetes.deleteServiceAccount({ namespace: 'payments', name: 'short-lived' })
    expect(await refusal(token)).toMatchObject({ status: 401, code: 'TOKEN_REJECTED' })
  })

  it.each([
    ['a person', 'jane@example.org'],
    ['a node', 'system:node:worker-1'],
    ['a bootstrap token', 'system:bootstrap:abcdef'],
    ['a person with the name of a ServiceAccount', 'system:serviceaccount:payments:api:extra'],
  ])('refuses %s whom the API server vouches for', async (_what, username) => {
    const user = { username, uid: 'u-1', groups: [] }
    const review = { authenticated: true, user, audiences: ['keyhole'] }
    const fault = world.kubernetes.faults.inject({ path: /tokenreviews/ }, async () => ({
      status: 201,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ kind: 'TokenReview', apiVersion: 'authentication.k8s.io/v1', status: review }),
    }))
    const { status, code } = await refusal(issue({}))
    fault.remove()
    expect([status, code]).toEqual([401, 'TOKEN_REJECTED'])
  })

  it('sends the token to the review and nowhere else', async () => {
    const token = issue({})
    forgetCalls(world)
    expect((await ask(world.url, '/secrets/db', { token })).status).toBe(200)
    expect(world.vault.requests.sightings(token)).toEqual([])
    expect(world.kubernetes.requests.sightings(token)).toMatchObject([{ path: REVIEW.slice(5), where: 'body' }])
  })
})

describe('with a good token of who is no reader', () => {
  it.each([
    ['default, without its opt-in', '/secrets/for-default', { serviceAccount: 'default' }, 'default-0'],
    ['a token bound to no pod', '/secrets/db', {}, undefined],
  ])('refuses %s', async (_what, path, order, pod) => {
    const { pod: _, ...unbound } = { ...API, ...order }
    if (pod !== undefined) world.kubernetes.putPod({ namespace: 'payments', name: pod, serviceAccount: 'default' })
    const token = world.kubernetes.issueToken({ ...unbound, ...(pod !== undefined && { pod: { name: pod } }) })
    if (pod === undefined) world.kubernetes.putServiceAccount({ namespace: 'payments', name: 'api' })
    const answer = await ask(world.url, path, { token })
    expect([answer.status, problem(answer).code]).toEqual([403, 'NOT_GRANTED'])
  })

  it('serves a token bound to no pod where the reader says so', async () => {
    const { pod: _, ...unbound } = API
    expect((await ask(world.url, '/secrets/for-unbound', { token: world.kubernetes.issueToken(unbound) })).status).toBe(
      200,
    )
  })

  it('takes the scheme in any case', async () => {
    const text = get('/secrets/db', { Authorization: `bEARER  ${issue({})}` })
    expect((await exchange(world.url, text)).status).toBe(200)
  })
})

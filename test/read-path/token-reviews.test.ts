/** What the API server can answer to a TokenReview, and what the caller gets for it. */
import { expect, test } from 'vitest'
import type { Fault } from '../../src/standins/faults.ts'
import {
  change,
  changeJson,
  cut,
  delay,
  garbage,
  html,
  huge,
  redirect,
  stall,
  status,
} from '../../src/standins/faults.ts'
import {
  announcing,
  elsewhere,
  encoded,
  hold,
  kubernetesStatus,
  MARKER,
  only,
  padded,
  REVIEWS,
  wire,
} from './faults.ts'
import type { Refusal } from './world.ts'
import { startWorld } from './world.ts'

const UNAVAILABLE: Refusal = { status: 503, code: 'KUBERNETES_UNAVAILABLE', retryAfter: 2, by: 'nobody' }
const REJECTED: Refusal = { status: 401, code: 'TOKEN_REJECTED', by: 'nobody' }

type Review = { spec: Record<string, unknown>; status: Record<string, unknown> }

/** The real review, with its status edited. */
function reviewed(edit: (status: Record<string, unknown>) => Record<string, unknown> | undefined): Fault {
  return changeJson((body) => ({ ...body, status: edit((body as unknown as Review).status) }))
}

function named(username: string): Fault {
  return reviewed((status) => ({ ...status, user: { ...(status['user'] as object), username } }))
}

const NOT_A_YES: readonly (readonly [string, Fault])[] = [
  ['is an error with 201', reviewed(() => ({ error: MARKER }))],
  ['says yes and an error at once', reviewed((said) => ({ ...said, error: MARKER }))],
  ['says no', reviewed(() => ({ authenticated: false }))],
  ['says nothing of it', reviewed(({ authenticated: _, ...said }) => said)],
  ['has an empty status', reviewed(() => ({}))],
  ['names no audience, as a reviewer does that knows of none', reviewed(({ audiences: _, ...said }) => said)],
  ['names an empty list of audiences', reviewed((said) => ({ ...said, audiences: [] }))],
  ['names another audience', reviewed((said) => ({ ...said, audiences: ['vault'] }))],
  ['names an audience that ours is a part of', reviewed((said) => ({ ...said, audiences: ['keyhole-2', 'xkeyhole'] }))],
  ['names its audience where a list belongs', reviewed((said) => ({ ...said, audiences: 'keyhole' }))],
  ['names a node', named('system:node:worker-1')],
  ['names a person', named('ada@example.com')],
  ['names nobody in particular', named('system:anonymous')],
  ['names a ServiceAccount and something more', named('system:serviceaccount:payments:api:x')],
  ['names a ServiceAccount of no namespace', named('system:serviceaccount::api')],
  ['names a ServiceAccount on a line of its own', named('ada\nsystem:serviceaccount:payments:api')],
  ['names a ServiceAccount with a line end', named('system:serviceaccount:payments:api\n')],
  ['has no uid', reviewed((said) => ({ ...said, user: { ...(said['user'] as object), uid: undefined } }))],
  ['has an empty uid', reviewed((said) => ({ ...said, user: { ...(said['user'] as object), uid: '' } }))],
]

const NO_ANSWER: readonly (readonly [string, Fault])[] = [
  ['is 403', kubernetesStatus(403)],
  ['is 429', kubernetesStatus(429)],
  ['is 500', kubernetesStatus(500)],
  ['is 400', kubernetesStatus(400)],
  ['is 200, which no creation is', change((reply) => ({ ...reply, status: 200 }))],
  ['is a page of a proxy with 502', html(502)],
  ['is a page of a proxy with 201', html(201)],
  ['is no HTTP', garbage(Buffer.from(`${MARKER}\r\n\r\n`))],
  ['is cut off before it begins', cut('before')],
  ['is reset', cut('reset')],
  ['is cut in the middle', cut('mid-body')],
  ['is 64 MiB long', huge(64, 201)],
  ['announces more than it holds', wire('HTTP/1.1 201 Created\r\nContent-Length: 999', MARKER)],
  ['is longer than keyhole reads, and good otherwise', padded()],
  ['announces 64 MiB', announcing()],
  ['says that it is compressed, unasked', encoded()],
  ['is empty', status(201, '')],
  ['is null', status(201, null)],
  ['is a list', status(201, [])],
  ['is another kind of object', changeJson((body) => ({ ...body, kind: 'SubjectAccessReview' }))],
  ['has no status', reviewed(() => undefined)],
  ['says "true" for true', reviewed((said) => ({ ...said, authenticated: 'true' }))],
  ['says yes to nobody', reviewed(({ user: _, ...said }) => said)],
  ['has a uid that is none', reviewed((said) => ({ ...said, user: { ...(said['user'] as object), uid: 7 } }))],
  [
    'is about another token',
    changeJson((body) => ({ ...body, spec: { ...(body as unknown as Review).spec, token: MARKER } })),
  ],
]

test.each([
  ...NOT_A_YES.map(([title, fault]) => [title, fault, REJECTED] as const),
  ...NO_ANSWER.map(([title, fault]) => [title, fault, UNAVAILABLE] as const),
])('a review that %s admits nobody, costs nobody else, and is not remembered', async (_title, fault, refusal) => {
  await using world = await startWorld()
  const token = world.tokenOf('api')
  const injected = world.kubernetes.faults.inject({ path: REVIEWS }, only(token, fault))
  world.calls.length = 0
  const reply = await world.ask('/secrets/db', { token })
  expect(world.calls, 'one call, and no second').toEqual([`POST ${REVIEWS}`])
  world.refused(reply, refusal)
  await world.bystander()
  injected.remove()
  world.served(await world.ask('/secrets/db', { token }))
})

test("a review that is 401 means keyhole's own token: it is asked once more, and no caller is told to mend its own", async () => {
  await using world = await startWorld()
  const token = world.tokenOf('api')
  const injected = world.kubernetes.faults.inject({ path: REVIEWS }, only(token, kubernetesStatus(401)))
  const reply = await world.ask('/secrets/db', { token })
  expect(injected.hits).toBe(2)
  world.refused(reply, UNAVAILABLE)
  await world.bystander()
  injected.remove()
  world.served(await world.ask('/secrets/db', { token }))
})

test.each([301, 302, 303, 307, 308])('a review that is redirected by %i takes no token elsewhere', async (code) => {
  await using world = await startWorld()
  await using other = await elsewhere()
  const token = world.tokenOf('api')
  world.kubernetes.faults.inject({ path: REVIEWS }, only(token, redirect(`${other.url}${REVIEWS}`, code)))
  world.refused(await world.ask('/secrets/db', { token }), UNAVAILABLE)
  await world.bystander()
  expect(other.visits()).toBe(0)
})

test('a redirect back to the API server is not followed either', async () => {
  await using world = await startWorld()
  const token = world.tokenOf('api')
  const injected = world.kubernetes.faults.inject({ path: REVIEWS, calls: [1] }, only(token, redirect(REVIEWS)))
  world.refused(await world.ask('/secrets/db', { token }), UNAVAILABLE)
  expect(injected.hits).toBe(1)
})

test.each([
  ['silence', (token: string) => only(token, delay(600_000))],
  ['half an answer, and then silence', (token: string) => only(token, stall())],
])('%s to a review costs one caller its two seconds, and the others nothing', async (_title, faultFor) => {
  await using world = await startWorld()
  const token = world.tokenOf('api')
  const injected = world.kubernetes.faults.inject({ path: REVIEWS }, faultFor(token))
  const held = hold(world.kubernetes, { path: REVIEWS }, (_request, next) => next())
  const reply = world.ask('/secrets/db', { token })
  await held.arrived
  held.release()
  await world.bystander()
  await world.clock.advance(2_000)
  world.refused(await reply, UNAVAILABLE)
  injected.remove()
  world.served(await world.ask('/secrets/db', { token }))
})

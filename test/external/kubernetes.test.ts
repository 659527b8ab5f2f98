import { describe, expect, it } from 'vitest'
import type { UpstreamError } from '../../src/errors.ts'
import type { Kubernetes } from '../../src/external/kubernetes.ts'
import { openKubernetes } from '../../src/external/kubernetes.ts'
import type { Send } from '../../src/external/send.ts'
import { token } from '../../src/opaque.ts'
import { createAuthority } from '../certificates.ts'
import { answering, kindOf, kubernetesAt, never, renewedAs, sendingTo } from './api-server.ts'
import { json, nobody, startPeer } from './peer.ts'
import { expectNoTraceOf, thrownBy } from './traces.ts'

const caller = token('caller-token')

const POD = 'authentication.kubernetes.io/pod-name'

const REVIEW = {
  kind: 'TokenReview',
  apiVersion: 'authentication.k8s.io/v1',
  metadata: { creationTimestamp: null, managedFields: [] },
  spec: { token: 'caller-token', audiences: ['keyhole'] },
  status: {
    authenticated: true,
    user: {
      username: 'system:serviceaccount:payments:api',
      uid: '11111111-2222-3333-4444-555555555555',
      groups: ['system:serviceaccounts'],
      extra: { [POD]: ['api-0'] },
    },
    audiences: ['keyhole'],
  },
}

const SECRET = {
  kind: 'Secret',
  apiVersion: 'v1',
  metadata: {
    name: 'db',
    namespace: 'payments',
    uid: 'secret-uid',
    resourceVersion: '42',
    creationTimestamp: '2026-11-22T00:00:00Z',
  },
  data: { 'secrets.json': 'dmF1bHQ6djE6QUFBQQ==', empty: '' },
  type: 'Opaque',
}

const review = (status: unknown, more: object = {}) => ({ ...REVIEW, status, ...more })

describe('reviewToken', () => {
  it('asks for the audience with its own token, and tells who it is', async () => {
    await using peer = await startPeer(answering(201, REVIEW))
    const found = await kubernetesAt(peer).reviewToken(caller, 'keyhole', never)
    expect(found).toEqual({
      authenticated: true,
      audiences: ['keyhole'],
      username: 'system:serviceaccount:payments:api',
      uid: '11111111-2222-3333-4444-555555555555',
      extra: new Map([[POD, ['api-0']]]),
    })
    const [request] = peer.seen
    expect(request).toMatchObject({ method: 'POST', path: '/apis/authentication.k8s.io/v1/tokenreviews' })
    expect(request?.headers.authorization).toBe('Bearer own-token')
    expect(JSON.parse(request?.body ?? '')).toEqual({
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token: 'caller-token', audiences: ['keyhole'] },
    })
  })

  it("never shows the caller's token but in the body of the review", async () => {
    await using peer = await startPeer(answering(201, REVIEW))
    await kubernetesAt(peer).reviewToken(caller, 'keyhole', never)
    expect(JSON.stringify([peer.seen[0]?.path, peer.seen[0]?.headers])).not.toContain('caller-token')
  })

  it('keeps what an answer without audiences says: none', async () => {
    const { audiences: _, ...status } = REVIEW.status
    await using peer = await startPeer(answering(201, review(status)))
    expect(await kubernetesAt(peer).reviewToken(caller, 'keyhole', never)).toMatchObject({
      authenticated: true,
      audiences: [],
    })
  })

  const wrongAudience = 'token audiences ["vault"] is invalid for the target audiences ["keyhole"]'

  it.each([
    ['audience', { user: {}, error: `[invalid bearer token, ${wrongAudience}]` }],
    ['audience', { user: {}, error: wrongAudience }],
    ['rejected', { user: {}, error: '[invalid bearer token, service account token has expired]' }],
    ['rejected', { user: {}, error: '' }],
    ['rejected', { user: {} }],
    ['rejected', {}],
    ['rejected', { authenticated: false }],
    ['rejected', { authenticated: false, user: REVIEW.status.user, audiences: ['keyhole'] }],
    ['rejected', { ...REVIEW.status, error: 'and yet' }],
  ])('is not authenticated, %s, by %j', async (refusal, status) => {
    await using peer = await startPeer(answering(201, review(status)))
    const found = await kubernetesAt(peer).reviewToken(caller, 'keyhole', never)
    expect(found).toEqual({ authenticated: false, audiences: [], extra: new Map(), refusal })
  })

  it('hands on no text of the API server', async () => {
    await using peer = await startPeer(answering(201, review({ error: `canary ${wrongAudience}` })))
    const found = await kubernetesAt(peer).reviewToken(caller, 'keyhole', never)
    expect(JSON.stringify(found)).not.toContain('canary')
  })

  const user = REVIEW.status.user
  it.each<[string, unknown]>([
    ['no status', review(undefined)],
    ['null for a status', review(null)],
    ['"yes" for authenticated', review({ ...REVIEW.status, authenticated: 'yes' })],
    ['1 for authenticated', review({ ...REVIEW.status, authenticated: 1 })],
    ['a number for an error', review({ error: 3 })],
    ['no user', review({ authenticated: true, audiences: ['keyhole'] })],
    ['a user without a name', review({ ...REVIEW.status, user: { ...user, username: undefined } })],
    ['an empty username', review({ ...REVIEW.status, user: { ...user, username: '' } })],
    ['a list for a username', review({ ...REVIEW.status, user: { ...user, username: ['a'] } })],
    ['a number for a uid', review({ ...REVIEW.status, user: { ...user, uid: 7 } })],
    ['a number among audiences', review({ ...REVIEW.status, audiences: ['keyhole', 1] })],
    ['another kind', { ...REVIEW, kind: 'SubjectAccessReview' }],
    ['another version', { ...REVIEW, apiVersion: 'authentication.k8s.io/v1beta1' }],
    ['a Secret', SECRET],
    ["another token's review", { ...REVIEW, spec: { ...REVIEW.spec, token: 'other-token' } }],
    ['a list', [REVIEW]],
    ['null', null],
    ['a string', 'yes'],
    ['an empty object', {}],
  ])('is "garbage" for %s', async (_what, body) => {
    await using peer = await startPeer(answering(201, body))
    expect(await kindOf(kubernetesAt(peer).reviewToken(caller, 'keyhole', never))).toBe('garbage')
  })

  it('makes no audience and no pod of a string: the SDK takes a list of letters for it', async () => {
    const broken = { ...REVIEW.status, audiences: 'keyhole', user: { ...user, extra: { [POD]: 'api-0' } } }
    await using peer = await startPeer(answering(201, review(broken)))
    const { audiences, extra } = await kubernetesAt(peer).reviewToken(caller, 'keyhole', never)
    expect(audiences).toEqual([...'keyhole'])
    expect(extra.get(POD)).toEqual([...'api-0'])
  })

  it('does not take an extra named __proto__ for a pod', async () => {
    const status = JSON.stringify(review(REVIEW.status)).replace(POD, '__proto__')
    await using peer = await startPeer((reply) => {
      reply.writeHead(201, { 'content-type': 'application/json' }).end(status)
    })
    const { extra } = await kubernetesAt(peer).reviewToken(caller, 'keyhole', never)
    expect(extra.size).toBe(0)
  })
})

describe('getSecret', () => {
  it('reads the one Secret, its values still in base64', async () => {
    await using peer = await startPeer(answering(200, SECRET))
    const found = await kubernetesAt(peer).getSecret('payments', 'db', never)
    expect(found).toEqual({
      uid: 'secret-uid',
      resourceVersion: '42',
      type: 'Opaque',
      immutable: false,
      data: new Map([
        ['secrets.json', 'dmF1bHQ6djE6QUFBQQ=='],
        ['empty', ''],
      ]),
    })
    expect(peer.seen[0]).toMatchObject({ method: 'GET', path: '/api/v1/namespaces/payments/secrets/db', body: '' })
    expect(peer.seen[0]?.headers.authorization).toBe('Bearer own-token')
  })

  it('reads one that is immutable and empty', async () => {
    const { data: _, ...rest } = SECRET
    await using peer = await startPeer(answering(200, { ...rest, immutable: true }))
    expect(await kubernetesAt(peer).getSecret('payments', 'db', never)).toMatchObject({
      immutable: true,
      data: new Map(),
    })
  })

  const notFound = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'secrets "db" not found',
    reason: 'NotFound',
    details: { name: 'db', kind: 'secrets' },
    code: 404,
  }

  it('is undefined when the API server says that there is none', async () => {
    await using peer = await startPeer(answering(404, notFound))
    expect(await kubernetesAt(peer).getSecret('payments', 'db', never)).toBeUndefined()
  })

  it.each<[string, unknown]>([
    ['a page of a proxy', '<html>not found</html>'],
    ['another resource', { ...notFound, details: {} }],
    ['no details', { ...notFound, details: undefined }],
    ['another reason', { ...notFound, reason: 'Gone' }],
    ['another kind', { ...notFound, kind: 'Secret' }],
    ['null', null],
  ])('is "garbage" for a 404 of %s: that is not a Secret missing', async (_what, body) => {
    await using peer = await startPeer(answering(404, body))
    expect(await kindOf(kubernetesAt(peer).getSecret('payments', 'db', never))).toBe('garbage')
  })

  const { metadata } = SECRET
  it.each<[string, unknown]>([
    ['another Secret', { ...SECRET, metadata: { ...metadata, name: 'other' } }],
    ['a Secret of another namespace', { ...SECRET, metadata: { ...metadata, namespace: 'other' } }],
    ['no metadata', { ...SECRET, metadata: undefined }],
    ['no uid', { ...SECRET, metadata: { ...metadata, uid: undefined } }],
    ['an empty uid', { ...SECRET, metadata: { ...metadata, uid: '' } }],
    ['no resourceVersion', { ...SECRET, metadata: { ...metadata, resourceVersion: undefined } }],
    ['no type', { ...SECRET, type: undefined }],
    ['a value that is a number', { ...SECRET, data: { a: 1 } }],
    ['a value that is null', { ...SECRET, data: { a: null } }],
    ['a ConfigMap', { ...SECRET, kind: 'ConfigMap' }],
    ['another version', { ...SECRET, apiVersion: 'v2' }],
    ['a list', { ...SECRET, kind: 'SecretList', items: [SECRET] }],
    ['a review', REVIEW],
    ['null', null],
  ])('is "garbage" for %s', async (_what, body) => {
    await using peer = await startPeer(answering(200, body))
    expect(await kindOf(kubernetesAt(peer).getSecret('payments', 'db', never))).toBe('garbage')
  })

  it.each([
    ['..', 'db'],
    ['.', 'db'],
    ['', 'db'],
    ['payments', ''],
    ['payments', '.'],
    ['payments', '..'],
    ['payments', '../db'],
    ['payments', '..%2fdb'],
    ['payments', '%2e%2e'],
    ['payments', 'a/b'],
    ['payments', 'a\\b'],
    ['payments', 'a..b'],
    ['payments', '.a'],
    ['payments', 'a.'],
    ['payments', '-a'],
    ['payments', 'a-'],
    ['payments', 'DB'],
    ['payments', 'a_b'],
    ['payments', 'db?watch=1'],
    ['payments', 'db#x'],
    ['payments', 'db\0'],
    ['payments', 'db\n'],
    ['payments', 'dß'],
    ['payments', 'a'.repeat(254)],
    ['a.b', 'db'],
    ['Payments', 'db'],
    ['a'.repeat(64), 'db'],
    ['payments/secrets/x/..', 'db'],
    ['payments\n', 'db'],
  ])('refuses the name %j / %j without a call', async (namespace, name) => {
    await using peer = await startPeer(answering(200, SECRET))
    expect(await kindOf(kubernetesAt(peer).getSecret(namespace, name, never))).toBe('bad-request')
    expect(peer.connections.made).toBe(0)
  })

  it('takes every name that Kubernetes does', async () => {
    await using peer = await startPeer((reply, { path }) => {
      const [, , , , namespace, , name] = path.split('/')
      json(reply, 200, { ...SECRET, metadata: { ...metadata, namespace, name } })
    })
    const kubernetes = kubernetesAt(peer)
    for (const name of ['a', '1', 'a.b', 'a-1.b-2.c', 'a'.repeat(253)]) {
      expect(await kubernetes.getSecret('a'.repeat(63), name, never)).toBeDefined()
    }
  })
})

const calls: [string, (kubernetes: Kubernetes, signal?: AbortSignal) => Promise<unknown>][] = [
  ['reviewToken', (kubernetes, signal = never) => kubernetes.reviewToken(caller, 'keyhole', signal)],
  ['getSecret', (kubernetes, signal = never) => kubernetes.getSecret('payments', 'db', signal)],
]

describe.each(calls)('%s, refused or garbled', (_name, call) => {
  it.each([
    [204, 'garbage'],
    [206, 'garbage'],
    [301, 'redirected'],
    [307, 'redirected'],
    [400, 'bad-request'],
    [401, 'unauthorized'],
    [403, 'forbidden'],
    [408, 'unavailable'],
    [409, 'garbage'],
    [410, 'garbage'],
    [413, 'too-large'],
    [422, 'bad-request'],
    [429, 'throttled'],
    [500, 'unavailable'],
    [502, 'unavailable'],
    [503, 'unavailable'],
    [504, 'unavailable'],
  ])('is, for status %i, "%s", with the status', async (status, kind) => {
    await using peer = await startPeer((reply) => {
      const body = '{"kind":"Status","message":"canary-text"}'
      reply.writeHead(status, { 'content-type': 'application/json', location: 'http://evil.invalid/' }).end(body)
    })
    const error = await thrownBy(call(kubernetesAt(peer)))
    expect(error).toMatchObject({ kind, status })
    expectNoTraceOf(['canary-text', 'caller-token', 'own-token'], error)
  })

  it.each([
    ['a page', 'text/html', '<html>canary-text</html>'],
    ['a page said to be JSON', 'application/json', '<html>canary-text</html>'],
    ['nothing', 'application/json', ''],
    ['half of it', 'application/json', JSON.stringify(SECRET).slice(0, -20)],
    ['bytes', 'application/octet-stream', '\0\u0001canary-text'],
    ['no content type', undefined, JSON.stringify(REVIEW)],
  ])('is "garbage" for %s', async (_what, type, body) => {
    await using peer = await startPeer((reply, { method }) => {
      reply.writeHead(method === 'POST' ? 201 : 200, type === undefined ? {} : { 'content-type': type })
      reply.end(body)
    })
    const error = await thrownBy(call(kubernetesAt(peer)))
    expect(error).toMatchObject({ kind: 'garbage' })
    expectNoTraceOf(['canary-text', 'caller-token', 'own-token'], error)
  })

  it.each([200, 201, 202, 203])(
    'is "garbage" under status %i unless that is the status of this call',
    async (status) => {
      await using peer = await startPeer((reply, { method }) => {
        json(reply, status, method === 'POST' ? REVIEW : SECRET)
      })
      const expected = call === calls[0]?.[1] ? 201 : 200
      const outcome = await call(kubernetesAt(peer)).catch((error: UpstreamError) => error.kind)
      if (status === expected) expect(outcome).toBeTypeOf('object')
      else expect(outcome).toBe('garbage')
    },
  )

  it('is "too-large" for an answer beyond the bound', async () => {
    await using peer = await startPeer((reply) => reply.writeHead(200).end('x'.repeat(300_000)))
    expect(await kindOf(call(kubernetesAt(peer)))).toBe('too-large')
  })

  it('is "unavailable" when nobody listens or the peer breaks off, and says which to the operator', async () => {
    await using cut = await startPeer((reply) => reply.destroy())
    expect(await thrownBy(call(kubernetesAt(cut)))).toMatchObject({ kind: 'unavailable', cause: { code: 'reset' } })
    using gone = await nobody()
    expect(await thrownBy(call(kubernetesAt(gone)))).toMatchObject({ kind: 'unavailable', cause: { code: 'refused' } })
  })

  it('is "unavailable" for an API server that is not to be trusted, which sees no token', async () => {
    const authority = createAuthority()
    await using peer = await startPeer(answering(200, SECRET), createAuthority('impostor').issue())
    const error = await thrownBy(call(kubernetesAt(peer, ['own-token'], authority.ca)))
    expect(error).toMatchObject({ kind: 'unavailable', cause: { code: 'tls' } })
    expect(peer.seen).toHaveLength(0)
  })

  it('carries the signal of this call to the wire', async () => {
    await using peer = await startPeer(() => {})
    const leaving = new AbortController()
    const refused = kindOf(call(kubernetesAt(peer), leaving.signal))
    await peer.request(0)
    const [connection] = peer.connections.open
    const closed = new Promise((resolve) => connection?.on('close', resolve))
    leaving.abort(new Error('canary'))
    expect(await refused).toBe('aborted')
    await closed
  })

  it('reads its own token again at once after a 401, and tries once more', async () => {
    await using peer = await startPeer((reply, { method, headers }) => {
      if (headers.authorization !== 'Bearer renewed') return json(reply, 401, {})
      json(reply, method === 'POST' ? 201 : 200, method === 'POST' ? REVIEW : SECRET)
    })
    expect(await call(kubernetesAt(peer, ['ended', 'renewed', 'never']))).toBeDefined()
    expect(peer.seen.map(({ headers }) => headers.authorization)).toEqual(['Bearer ended', 'Bearer renewed'])
  })

  it('is "unauthorized" after the second 401, and tries no third time', async () => {
    await using peer = await startPeer(answering(401, {}))
    expect(await kindOf(call(kubernetesAt(peer, ['ended', 'also ended', 'never'])))).toBe('unauthorized')
    expect(peer.seen).toHaveLength(2)
  })

  it('makes no more connections than the pool may, over 1,000 calls, 32 at a time', async () => {
    await using peer = await startPeer((reply, { method }) => {
      json(reply, method === 'POST' ? 201 : 200, method === 'POST' ? REVIEW : SECRET)
    })
    const kubernetes = kubernetesAt(peer)
    let left = 1_000
    const worker = async () => {
      while (left-- > 0) await call(kubernetes)
    }
    await Promise.all(Array.from({ length: 32 }, worker))
    expect(peer.seen).toHaveLength(1_000)
    expect(peer.connections.made).toBeLessThanOrEqual(4)
  })

  it('keeps its connections over refusals: 200 calls of which half answer 401 and 403', async () => {
    await using peer = await startPeer((reply) => json(reply, peer.seen.length % 2 === 0 ? 401 : 403, {}))
    const kubernetes = kubernetesAt(peer)
    for (let at = 0; at < 200; at += 1) await call(kubernetes).catch(() => {})
    expect(peer.connections.made).toBeLessThanOrEqual(4)
  })
})

it('wipes every answer once it is read', async () => {
  const bodies: Buffer[] = []
  await using peer = await startPeer((reply, { method, path }) => {
    if (path.endsWith('/missing'))
      return json(reply, 404, { kind: 'Status', reason: 'NotFound', details: { kind: 'secrets' } })
    if (path.endsWith('/forbidden')) return json(reply, 403, { kind: 'Status' })
    json(reply, method === 'POST' ? 201 : 200, method === 'POST' ? REVIEW : SECRET)
  })
  const send = sendingTo(peer)
  const recording: Send = async (request, signal) => {
    const answer = await send(request, signal)
    bodies.push(answer.body)
    return answer
  }
  const kubernetes = openKubernetes({ send: recording, token: renewedAs(['own-token']) })
  await kubernetes.reviewToken(caller, 'keyhole', never)
  for (const name of ['db', 'missing', 'forbidden']) await kubernetes.getSecret('payments', name, never).catch(() => {})
  expect(bodies).toHaveLength(4)
  for (const body of bodies) expect(body.every((byte) => byte === 0)).toBe(true)
})

it('lets a defect through as what it is', async () => {
  const defect = new RangeError('a bug of ours')
  const kubernetes = openKubernetes({ send: () => Promise.reject(defect), token: renewedAs(['own-token']) })
  expect(await thrownBy(kubernetes.getSecret('payments', 'db', never))).toBe(defect)
})

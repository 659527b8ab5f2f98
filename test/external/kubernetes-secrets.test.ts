import { describe, expect, it } from 'vitest'
import type { Kubernetes } from '../../src/external/kubernetes.ts'
import { openKubernetes } from '../../src/external/kubernetes.ts'
import type { Send } from '../../src/external/send.ts'
import {
  answering,
  BAD_NAMES,
  kindOf,
  kubernetesAt,
  never,
  REFUSALS,
  refusal,
  renewedAs,
  sendingTo,
} from './api-server.ts'
import { json, startPeer } from './peer.ts'
import { expectNoTraceOf, thrownBy } from './traces.ts'

const PLACE = { namespace: 'payments', secret: 'db' }
const CHANGES = [
  { dataKey: 'secrets.json', from: 'b2xk', to: 'bmV3' },
  { dataKey: 'tls.key', from: 'QQ==', to: 'Qg==' },
]

const METADATA = { name: 'db', namespace: 'payments', uid: 'secret-uid', resourceVersion: '42' }
const SECRET = {
  kind: 'Secret',
  apiVersion: 'v1',
  metadata: {
    ...METADATA,
    labels: { team: 'payments' },
    annotations: { note: 'x' },
    managedFields: [
      { manager: 'argocd-controller', operation: 'Apply', fieldsV1: { 'f:data': {} } },
      { manager: 'kubectl', operation: 'Update' },
      { manager: 'argocd-controller', operation: 'Update' },
      { operation: 'Update' },
    ],
  },
  data: { 'secrets.json': 'bmV3', 'tls.key': 'Qg==', plain: '' },
  type: 'Opaque',
}

const MISSING = refusal(404, 'NotFound', 'secrets "db" not found', { name: 'db', kind: 'secrets' })
const UNAPPLIED = 'the server rejected our request due to an error in our request'
const FAILED_TEST = refusal(422, 'Invalid', UNAPPLIED, {})
const CONFLICT = refusal(409, 'Conflict', 'Operation cannot be fulfilled', { name: 'db', kind: 'secrets' })
const FROZEN = 'Forbidden: field is immutable when `immutable` is set'

function invalid(...causes: readonly object[]): object {
  return refusal(422, 'Invalid', 'Secret "db" is invalid: data: x', { name: 'db', kind: 'Secret', causes })
}

describe('holdSecret', () => {
  it('reads a Secret and who else writes it, its values still in base64', async () => {
    await using peer = await startPeer(answering(200, SECRET))
    expect(await kubernetesAt(peer).holdSecret(PLACE, never)).toEqual({
      uid: 'secret-uid',
      immutable: false,
      data: new Map([
        ['secrets.json', 'bmV3'],
        ['tls.key', 'Qg=='],
        ['plain', ''],
      ]),
      labels: new Map([['team', 'payments']]),
      annotations: new Map([['note', 'x']]),
      managers: ['argocd-controller', 'kubectl'],
    })
    expect(peer.seen[0]).toMatchObject({ method: 'GET', path: '/api/v1/namespaces/payments/secrets/db', body: '' })
  })

  it('reads one that is immutable, and has neither data nor notes', async () => {
    await using peer = await startPeer(
      answering(200, { ...SECRET, metadata: METADATA, data: undefined, immutable: true }),
    )
    expect(await kubernetesAt(peer).holdSecret(PLACE, never)).toEqual({
      uid: 'secret-uid',
      immutable: true,
      data: new Map(),
      labels: new Map(),
      annotations: new Map(),
      managers: [],
    })
  })

  it('misses no data key, not even one named __proto__: its ciphertext would be left behind', async () => {
    const body = JSON.stringify({ ...SECRET, data: { KEY: 'QQ==' } }).replace('KEY', '__proto__')
    await using peer = await startPeer((reply) => {
      reply.writeHead(200, { 'content-type': 'application/json' }).end(body)
    })
    const held = await kubernetesAt(peer).holdSecret(PLACE, never)
    expect(held?.data).toEqual(new Map([['__proto__', 'QQ==']]))
  })

  it('is undefined when the API server says that there is none', async () => {
    await using peer = await startPeer(answering(404, MISSING))
    expect(await kubernetesAt(peer).holdSecret(PLACE, never)).toBeUndefined()
  })

  it.each<[string, unknown]>([
    ['a data value that is a number', { ...SECRET, data: { a: 1 } }],
    ['a data value that is null', { ...SECRET, data: { a: null } }],
    ['a list for data', { ...SECRET, data: ['a'] }],
    ['null for data', { ...SECRET, data: null }],
    ['a text for immutable', { ...SECRET, immutable: 'yes' }],
    ['a label that is a number', { ...SECRET, metadata: { ...METADATA, labels: { a: 1 } } }],
    ['a text for annotations', { ...SECRET, metadata: { ...METADATA, annotations: 'x' } }],
    ['an object for managedFields', { ...SECRET, metadata: { ...METADATA, managedFields: {} } }],
  ])('is "garbage" for %s', async (_what, body) => {
    await using peer = await startPeer(answering(200, body))
    expect(await kindOf(kubernetesAt(peer).holdSecret(PLACE, never))).toBe('garbage')
  })
})

describe('replaceData', () => {
  it('tests and replaces each data key, in one patch', async () => {
    await using peer = await startPeer(answering(200, SECRET))
    expect(await kubernetesAt(peer).replaceData(PLACE, CHANGES, never)).toBeUndefined()
    const [request] = peer.seen
    expect(request).toMatchObject({ method: 'PATCH', path: '/api/v1/namespaces/payments/secrets/db' })
    expect(request?.headers['content-type']).toBe('application/json-patch+json')
    expect(JSON.parse(request?.body ?? '')).toEqual([
      { op: 'test', path: '/data/secrets.json', value: 'b2xk' },
      { op: 'replace', path: '/data/secrets.json', value: 'bmV3' },
      { op: 'test', path: '/data/tls.key', value: 'QQ==' },
      { op: 'replace', path: '/data/tls.key', value: 'Qg==' },
    ])
  })

  it.each<[string, number, unknown]>([
    ['changed', 422, FAILED_TEST],
    ['changed', 422, refusal(422, 'Invalid', UNAPPLIED)],
    ['changed', 409, CONFLICT],
    ['missing', 404, MISSING],
    ['immutable', 422, invalid({ reason: 'FieldValueForbidden', message: FROZEN, field: 'data' })],
    [
      'immutable',
      422,
      invalid(
        { reason: 'FieldValueInvalid', message: 'x', field: 'type' },
        { reason: 'FieldValueForbidden', message: FROZEN, field: 'data' },
      ),
    ],
  ])('says "%s" for status %i with %j', async (unwritten, status, body) => {
    await using peer = await startPeer(answering(status, body))
    expect(await kubernetesAt(peer).replaceData(PLACE, CHANGES, never)).toBe(unwritten)
  })

  const webhook = 'admission webhook "x" denied the request'
  it.each<[string, number, unknown]>([
    ['the page of a proxy', 422, '<html>'],
    ['a webhook that refuses in the words of none', 422, refusal(422, 'Invalid', webhook)],
    ['a webhook that refuses, with empty details', 422, refusal(422, 'Invalid', webhook, {})],
    ['the words of a failed test with a cause', 422, refusal(422, 'Invalid', UNAPPLIED, { causes: [{ field: 'x' }] })],
    ['the words of a failed test about some object', 422, refusal(422, 'Invalid', UNAPPLIED, { kind: 'secrets' })],
    ['the words of a failed test and no reason', 422, { ...refusal(422, '', UNAPPLIED, {}), reason: undefined }],
    ['no Status', 422, { ...FAILED_TEST, kind: 'Secret' }],
    ['data that is too long', 422, invalid({ reason: 'FieldValueTooLong', message: 'Too long', field: 'data' })],
    ['a type that is immutable', 422, invalid({ reason: 'FieldValueInvalid', message: FROZEN, field: 'type' })],
    ['causes that are none', 422, invalid(undefined as unknown as object, 'x' as unknown as object)],
    ['a patch that it could not read', 400, refusal(400, 'BadRequest', 'error decoding patch: x')],
  ])('is "bad-request" for %s', async (_what, status, body) => {
    await using peer = await startPeer(answering(status, body))
    expect(await kindOf(kubernetesAt(peer).replaceData(PLACE, CHANGES, never))).toBe('bad-request')
  })

  it.each<[string, number, unknown]>([
    ['another Secret missing', 404, refusal(404, 'NotFound', 'x', { name: 'other', kind: 'secrets' })],
    ['a missing namespace', 404, refusal(404, 'NotFound', 'x', { name: 'db', kind: 'namespaces' })],
    ['an unknown resource', 404, refusal(404, 'NotFound', 'x', {})],
    ['a page that is not there', 404, '<html>'],
    ['a conflict of another Secret', 409, refusal(409, 'Conflict', 'x', { name: 'other', kind: 'secrets' })],
    ['a conflict of another kind', 409, refusal(409, 'AlreadyExists', 'x', { name: 'db', kind: 'secrets' })],
    ['a conflict that a proxy tells of', 409, 'conflict'],
    ['another Secret', 200, { ...SECRET, metadata: { ...METADATA, name: 'other' } }],
    ['a Secret that does not hold what was written', 200, { ...SECRET, data: { ...SECRET.data, 'tls.key': 'QQ==' } }],
    ['a Secret that lacks what was written', 200, { ...SECRET, data: { 'secrets.json': 'bmV3' } }],
    ['a Secret made, where it should be there', 201, SECRET],
  ])('is "garbage" for %s', async (_what, status, body) => {
    await using peer = await startPeer(answering(status, body))
    expect(await kindOf(kubernetesAt(peer).replaceData(PLACE, CHANGES, never))).toBe('garbage')
  })

  it.each(['', 'a/b', 'a~b', '../metadata', 'a b', 'a\0', 'a\n', 'ä', 'k'.repeat(254)])(
    'refuses the data key %j without a call',
    async (dataKey) => {
      await using peer = await startPeer(answering(200, SECRET))
      const changes = [...CHANGES, { dataKey, from: 'QQ==', to: 'Qg==' }]
      expect(await kindOf(kubernetesAt(peer).replaceData(PLACE, changes, never))).toBe('bad-request')
      expect(peer.connections.made).toBe(0)
    },
  )

  it('sends the patch once more after a 401, with the token as it is then: the first did nothing', async () => {
    await using peer = await startPeer((reply, { headers }) => {
      json(reply, headers.authorization === 'Bearer renewed' ? 200 : 401, SECRET)
    })
    expect(await kubernetesAt(peer, ['ended', 'renewed']).replaceData(PLACE, CHANGES, never)).toBeUndefined()
    expect(peer.seen.map(({ method, headers }) => `${method} ${headers.authorization}`)).toEqual([
      'PATCH Bearer ended',
      'PATCH Bearer renewed',
    ])
    expect(peer.seen[1]?.body).toBe(peer.seen[0]?.body)
  })

  it('sends no patch again that broke off: it may have been written', async () => {
    await using peer = await startPeer((reply) => reply.destroy())
    expect(await kindOf(kubernetesAt(peer).replaceData(PLACE, CHANGES, never))).toBe('unavailable')
    expect(peer.seen).toHaveLength(1)
  })
})

const calls: [string, (kubernetes: Kubernetes, place?: typeof PLACE) => Promise<unknown>][] = [
  ['holdSecret', (kubernetes, place = PLACE) => kubernetes.holdSecret(place, never)],
  ['replaceData', (kubernetes, place = PLACE) => kubernetes.replaceData(place, CHANGES, never)],
]

describe.each(calls)('%s, refused or garbled', (_name, call) => {
  it.each(REFUSALS)('is, for status %i, "%s"', async (status, kind) => {
    await using peer = await startPeer((reply) => {
      const body = '{"kind":"Status","message":"canary-text"}'
      reply.writeHead(status, { 'content-type': 'application/json', location: 'http://evil.invalid/' }).end(body)
    })
    const error = await thrownBy(call(kubernetesAt(peer)))
    expect(error).toMatchObject({ kind, status })
    expectNoTraceOf(['canary-text', 'own-token', 'bmV3'], error)
  })

  it.each([
    ['a page', 'text/html', '<html>canary-text</html>'],
    ['a page said to be JSON', 'application/json', '<html>canary-text</html>'],
    ['nothing', 'application/json', ''],
    ['null', 'application/json', 'null'],
    ['half of it', 'application/json', JSON.stringify(SECRET).slice(0, -20)],
    ['a Secret said to be a page', 'text/html', JSON.stringify(SECRET)],
    ['a Secret of no media type', undefined, JSON.stringify(SECRET)],
    ['a ConfigMap', 'application/json', JSON.stringify({ ...SECRET, kind: 'ConfigMap' })],
    ['another version', 'application/json', JSON.stringify({ ...SECRET, apiVersion: 'v2' })],
    ['no metadata', 'application/json', JSON.stringify({ ...SECRET, metadata: undefined })],
    ['no uid', 'application/json', JSON.stringify({ ...SECRET, metadata: { ...METADATA, uid: '' } })],
    ['another namespace', 'application/json', JSON.stringify({ ...SECRET, metadata: { ...METADATA, namespace: 'x' } })],
  ])('is "garbage" for %s', async (_what, type, body) => {
    await using peer = await startPeer((reply) => {
      reply.writeHead(200, type === undefined ? {} : { 'content-type': type }).end(body)
    })
    const error = await thrownBy(call(kubernetesAt(peer)))
    expect(error).toMatchObject({ kind: 'garbage' })
    expectNoTraceOf(['canary-text', 'own-token', 'bmV3'], error)
  })

  it.each(BAD_NAMES)('refuses the name %j / %j without a call', async (namespace, secret) => {
    await using peer = await startPeer(answering(200, SECRET))
    expect(await kindOf(call(kubernetesAt(peer), { namespace, secret }))).toBe('bad-request')
    expect(peer.connections.made).toBe(0)
  })

  it('wipes every answer once it is read', async () => {
    const bodies: Buffer[] = []
    const answers: [number, unknown][] = [
      [200, SECRET],
      [404, MISSING],
      [422, FAILED_TEST],
      [403, SECRET],
    ]
    await using peer = await startPeer((reply) => json(reply, ...(answers[peer.seen.length - 1] ?? [500, {}])))
    const send = sendingTo(peer)
    const recording: Send = async (request, signal) => {
      const answer = await send(request, signal)
      bodies.push(answer.body)
      return answer
    }
    const kubernetes = openKubernetes({ send: recording, token: renewedAs(['own-token']) })
    for (const _ of answers) await call(kubernetes).catch(() => {})
    expect(bodies.map((body) => body.length > 0 && body.every((byte) => byte === 0))).toEqual(answers.map(() => true))
  })
})

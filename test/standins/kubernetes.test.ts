import { createHash } from 'node:crypto'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { KubernetesStandin, KubernetesStandinOptions } from '../../src/standins/kubernetes.ts'
import { createKubernetesStandin, startKubernetesStandin } from '../../src/standins/kubernetes.ts'
import type { VirtualClock } from '../virtual-clock.ts'
import { virtualClock } from '../virtual-clock.ts'
import { call } from './call.ts'

const API = { namespace: 'payments', name: 'api' }
const POD = { namespace: 'payments', name: 'api-0' }
const REVIEWS = '/apis/authentication.k8s.io/v1/tokenreviews'

let clock: VirtualClock
let cluster: KubernetesStandin

beforeEach(() => restart())
afterEach(() => cluster[Symbol.asyncDispose]())

async function restart(options: Partial<KubernetesStandinOptions> = {}): Promise<void> {
  await cluster?.[Symbol.asyncDispose]()
  clock = virtualClock()
  cluster = await startKubernetesStandin({ clock, ...options })
}

interface Status {
  readonly authenticated?: boolean
  readonly error?: string
  readonly user: { readonly uid?: string; readonly extra?: Readonly<Record<string, readonly string[]>> }
}

async function review(token: string, audience = 'keyhole'): Promise<Status> {
  const body = { spec: { token, audiences: [audience] } }
  const answer = await call(cluster.url + REVIEWS, { token: cluster.adminToken, body })
  return (answer.json as { status: Status }).status
}

function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>
}

function podToken(): string {
  cluster.putPod({ ...POD, serviceAccount: 'api' })
  return cluster.issueToken({
    namespace: 'payments',
    serviceAccount: 'api',
    audiences: ['keyhole'],
    pod: { name: 'api-0' },
  })
}

describe('tokens', () => {
  it("carry what a kubelet's projected token carries", () => {
    const { uid } = cluster.putServiceAccount(API)
    const pod = cluster.putPod({ ...POD, serviceAccount: 'api', node: 'worker-1' })
    const token = cluster.issueToken({
      ...{ namespace: 'payments', serviceAccount: 'api' },
      audiences: ['keyhole'],
      pod: { name: 'api-0' },
    })
    const now = Math.floor(clock.now() / 1000)
    expect(claimsOf(token)).toEqual({
      aud: ['keyhole'],
      exp: now + 3600,
      iat: now,
      nbf: now,
      iss: 'https://kubernetes.default.svc.cluster.local',
      jti: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
      'kubernetes.io': {
        namespace: 'payments',
        node: { name: 'worker-1', uid: expect.any(String) },
        pod: { name: 'api-0', uid: pod.uid },
        serviceaccount: { name: 'api', uid },
      },
      sub: 'system:serviceaccount:payments:api',
    })
  })

  it('verify under the key set that the cluster publishes', async () => {
    const { json } = await call(`${cluster.url}/openid/v1/jwks`, { token: cluster.adminToken })
    const keys = createLocalJWKSet(json as Parameters<typeof createLocalJWKSet>[0])
    const currentDate = new Date(clock.now())
    const verified = await jwtVerify(podToken(), keys, { issuer: cluster.issuer, audience: 'keyhole', currentDate })
    expect(verified.protectedHeader.alg).toBe('ES256')
    cluster.putServiceAccount(API)
    const forged = cluster.signToken(claimsOf(podToken()), 'stranger')
    await expect(jwtVerify(forged, keys, { currentDate })).rejects.toThrow('signature verification failed')
  })

  it('expire by the clock, a minute late', async () => {
    const token = podToken()
    await clock.advance(3_600_000 + 60_000)
    expect((await review(token)).authenticated).toBe(true)
    await clock.advance(1)
    expect((await review(token)).error).toBe('[invalid bearer token, service account token has expired]')
  })

  it('live a year with a warning when kubelet injects them for the API server', () => {
    cluster.putPod({ ...POD, serviceAccount: 'api' })
    const order = { namespace: 'payments', serviceAccount: 'api', expirationSeconds: 3607, pod: { name: 'api-0' } }
    const now = Math.floor(clock.now() / 1000)
    expect(claimsOf(cluster.issueToken(order))).toMatchObject({
      exp: now + 365 * 24 * 3600,
      'kubernetes.io': { warnafter: now + 3607 },
    })
    expect(claimsOf(cluster.issueToken({ ...order, audiences: ['keyhole'] }))).toMatchObject({ exp: now + 3607 })
  })

  it('of a pod with a grace live until a minute after it', async () => {
    const token = podToken()
    cluster.deletePod(POD, 30)
    await clock.advance(90_000)
    expect((await review(token)).authenticated).toBe(true)
    await clock.advance(1)
    expect((await review(token)).error).toContain('has been invalidated')
  })

  it('are not issued where TokenRequest would refuse', () => {
    const order = { namespace: 'payments', serviceAccount: 'api', audiences: ['keyhole'] }
    expect(() => cluster.issueToken(order)).toThrow('no ServiceAccount payments/api')
    cluster.putServiceAccount(API)
    expect(() => cluster.issueToken({ ...order, expirationSeconds: 60 })).toThrow('less than 10 minutes')
    expect(() => cluster.issueToken({ ...order, pod: { name: 'api-0' } })).toThrow('pods "api-0" not found')
  })

  it('come out alike from the same random source', async () => {
    const uids: string[] = []
    for (let round = 0; round < 2; round += 1) {
      await restart({ random: repeatable() })
      uids.push(cluster.putServiceAccount(API).uid)
    }
    expect(uids[0]).toBe(uids[1])
  })
})

/** The same bytes in every run. */
function repeatable(): (bytes: number) => Buffer {
  let drawn = 0
  return (bytes) => {
    drawn += 1
    const rounds = Array.from({ length: Math.ceil(bytes / 32) }, (_, round) =>
      createHash('sha256').update(`${drawn}/${round}`).digest(),
    )
    return Buffer.from(Buffer.concat(rounds).subarray(0, bytes))
  }
}

describe('reviews', () => {
  it('are fresh each time unless a cache is asked for', async () => {
    const token = podToken()
    expect((await review(token)).authenticated).toBe(true)
    cluster.deleteServiceAccount(API)
    expect((await review(token)).error).toContain('not found')
  })

  it('are kept ten seconds, when positive, where the cache of the real server is asked for', async () => {
    await restart({ reviewCacheMs: 10_000 })
    const token = podToken()
    expect((await review(token)).authenticated).toBe(true)
    cluster.deleteServiceAccount(API)
    await clock.advance(9_999)
    expect((await review(token)).authenticated).toBe(true)
    await clock.advance(1)
    expect((await review(token)).error).toContain('not found')
  })

  it('are not kept when negative', async () => {
    await restart({ reviewCacheMs: 10_000 })
    const token = podToken()
    cluster.deletePod(POD)
    expect((await review(token)).authenticated).toBeUndefined()
    await restart({ reviewCacheMs: 10_000 })
    cluster.putServiceAccount(API)
    const early = cluster.signToken({ ...claimsOf(token), 'kubernetes.io': undefined })
    expect((await review(early)).authenticated).toBeUndefined()
  })

  it('are kept per audience', async () => {
    await restart({ reviewCacheMs: 10_000 })
    const token = podToken()
    expect((await review(token)).authenticated).toBe(true)
    expect((await review(token, 'vault')).error).toContain('is invalid for the target audiences')
  })

  it('know the users that were put', async () => {
    cluster.putUser({ name: 'ada', uid: '1', token: 'adas-token' })
    expect((await review('adas-token', cluster.issuer)).user).toMatchObject({ username: 'ada', uid: '1' })
  })
})

describe('what is put', () => {
  it('keeps its uid when put again, and moves its resourceVersion', () => {
    const first = cluster.putSecret({ ...API, data: { a: '1' } })
    const second = cluster.putSecret({ ...API, data: { a: '2' } })
    expect(second.uid).toBe(first.uid)
    expect(Number(second.resourceVersion)).toBeGreaterThan(Number(first.resourceVersion))
    expect(cluster.putServiceAccount(API).uid).toBe(cluster.putServiceAccount(API).uid)
  })

  it('has another uid when it was deleted in between', () => {
    const first = cluster.putSecret({ ...API, data: {} })
    cluster.deleteSecret(API)
    expect(cluster.putSecret({ ...API, data: {} }).uid).not.toBe(first.uid)
  })

  it('comes back over the wire, bytes, labels, annotations and all', async () => {
    cluster.putSecret({
      ...API,
      data: { raw: Buffer.from([0xff, 0x00]) },
      type: 'kubernetes.io/tls',
      labels: { team: 'payments' },
      annotations: { note: 'x' },
      immutable: true,
    })
    const { json } = await call(`${cluster.url}/api/v1/namespaces/payments/secrets/api`, { token: cluster.adminToken })
    expect(json).toMatchObject({
      metadata: { labels: { team: 'payments' }, annotations: { note: 'x' } },
      data: { raw: '/wA=' },
      type: 'kubernetes.io/tls',
      immutable: true,
    })
  })

  it('survives a stop and a restart', async () => {
    cluster.putSecret({ ...API, data: {} })
    await cluster.stop()
    await cluster.restart()
    const { status } = await call(`${cluster.url}/api/v1/namespaces/payments/secrets/api`, {
      token: cluster.adminToken,
    })
    expect(status).toBe(200)
  })

  it('loses its rights when they are taken away', async () => {
    cluster.putSecret({ ...API, data: {} })
    cluster.putServiceAccount(API)
    const token = cluster.issueToken({ namespace: 'payments', serviceAccount: 'api' })
    const get = () => call(`${cluster.url}/api/v1/namespaces/payments/secrets/api`, { token })
    cluster.allow(API, { verbs: ['get'], group: '', resource: 'secrets', namespace: 'payments' })
    expect((await get()).status).toBe(200)
    cluster.disallow(API)
    expect((await get()).status).toBe(403)
  })

  it('says loudly what it does not serve', async () => {
    const { status, json } = await call(`${cluster.url}/api/v1/namespaces/payments/secrets`, {
      token: cluster.adminToken,
    })
    expect([status, (json as { message: string }).message]).toEqual([
      501,
      'the stand-in does not serve this call of the real API server',
    ])
  })

  it('refuses a path that cannot be decoded', async () => {
    expect((await call(`${cluster.url}/api/%zz`, { token: cluster.adminToken })).status).toBe(400)
  })
})

describe('what rotation writes', () => {
  const DB = { namespace: 'payments', name: 'db' }
  const SECRET = '/api/v1/namespaces/payments/secrets/db'
  const LEASE = '/apis/coordination.k8s.io/v1/namespaces/payments/leases/rotation'

  function patch(operations: readonly object[], type = 'application/json-patch+json', query = '') {
    const headers = { 'content-type': type, 'user-agent': 'keyhole/1.0 (x)' }
    const how = { method: 'PATCH', token: cluster.adminToken, headers, body: operations }
    return call(`${cluster.url}${SECRET}${query}`, how)
  }

  it('is told past the wire: a Secret with its bytes, and nothing where there is none', async () => {
    const { uid, resourceVersion } = cluster.putSecret({ ...DB, data: { raw: Buffer.from([0xff, 0x00]) } })
    expect(cluster.secret(DB)).toEqual({
      uid,
      resourceVersion,
      data: { raw: Buffer.from([0xff, 0x00]) },
      type: 'Opaque',
      labels: {},
      annotations: {},
      immutable: false,
      managers: [],
    })
    await patch([{ op: 'replace', path: '/data/raw', value: 'QQ==' }])
    expect(cluster.secret(DB)).toMatchObject({ uid, data: { raw: Buffer.from('A') }, managers: ['keyhole'] })
    cluster.deleteSecret(DB)
    expect(cluster.secret(DB)).toBeUndefined()
  })

  it('keeps the managers that a Secret was put with, and adds whoever patches it', async () => {
    cluster.putSecret({ ...DB, data: { a: '1' }, managers: ['argocd-controller'] })
    await patch([{ op: 'replace', path: '/data/a', value: 'QQ==' }], undefined, '?fieldManager=other')
    cluster.putSecret({ ...DB, data: { a: '2' } })
    expect(cluster.secret(DB)?.managers).toEqual(['argocd-controller', 'other'])
    const { json } = await call(cluster.url + SECRET, { token: cluster.adminToken })
    const { metadata } = json as { metadata: { managedFields: { manager: string }[] } }
    expect(metadata.managedFields.map(({ manager }) => manager)).toEqual(['argocd-controller', 'other'])
  })

  it.each(['merge-patch+json', 'strategic-merge-patch+json', 'apply-patch+yaml', 'apply-patch+cbor'])(
    'says loudly that it does not serve %s, which the real server does',
    async (type) => {
      cluster.putSecret({ ...DB, data: {} })
      expect((await patch([], `application/${type}`)).status).toBe(501)
    },
  )

  it.each([
    ['the whole document', { op: 'replace', path: '', value: {} }],
    ['a path that begins with no slash', { op: 'add', path: 'data/a', value: '' }],
    ['the members of a list', { op: 'remove', path: '/metadata/managedFields/0/manager' }],
    ['another kind', { op: 'replace', path: '/kind', value: 'ConfigMap' }],
  ])('says loudly that it does not know what the real server makes of %s', async (_what, operation) => {
    cluster.putSecret({ ...DB, data: { a: '' }, managers: ['kubectl'] })
    expect((await patch([operation])).status).toBe(501)
  })

  it('is a Lease that a test can put, read, take away and put anew', async () => {
    const which = { namespace: 'payments', name: 'rotation' }
    const spec = { holderIdentity: 'me', renewTime: '2026-11-22T00:00:00.000000Z' }
    const first = cluster.putLease({ ...which, labels: { team: 'x' }, annotations: {}, spec })
    expect(cluster.lease(which)).toEqual({ ...first, labels: { team: 'x' }, annotations: {}, spec })
    const { json } = await call(cluster.url + LEASE, { token: cluster.adminToken })
    expect(json).toMatchObject({ metadata: { ...which, ...first, labels: { team: 'x' } }, spec })
    const second = cluster.putLease({ ...which, spec: {} })
    expect(second.uid).toBe(first.uid)
    expect(Number(second.resourceVersion)).toBeGreaterThan(Number(first.resourceVersion))
    cluster.deleteLease(which)
    expect(cluster.lease(which)).toBeUndefined()
    expect(cluster.putLease(which).uid).not.toBe(first.uid)
  })

  it('cannot be seeded as what no API server holds', () => {
    const which = { namespace: 'payments', name: 'rotation' }
    expect(() => cluster.putLease({ ...which, spec: { renewTime: 'yesterday' } })).toThrow('parsing time')
    expect(() => cluster.putLease({ ...which, spec: { leaseTransitions: 2 ** 31 } })).toThrow('of type int32')
  })

  it('says loudly what of Leases it does not serve', async () => {
    const answers = await Promise.all([
      call(LEASE.replace(/^(.*)\/rotation$/, `${cluster.url}$1`), { token: cluster.adminToken }),
      call(cluster.url + LEASE, { token: cluster.adminToken, method: 'DELETE' }),
      call(cluster.url + LEASE, { token: cluster.adminToken, method: 'PATCH', body: [] }),
    ])
    expect(answers.map(({ status }) => status)).toEqual([501, 501, 501])
  })

  it('is served by hand as it is by the wire', async () => {
    const byHand = createKubernetesStandin({ clock })
    byHand.putSecret({ ...DB, data: { a: '1' } })
    const reply = byHand.handle({
      method: 'GET',
      path: SECRET,
      query: new URLSearchParams(),
      headers: { authorization: `Bearer ${byHand.adminToken}` },
      body: Buffer.alloc(0),
      signal: new AbortController().signal,
    })
    expect(reply.status).toBe(200)
    expect(JSON.parse(String(reply.body))).toMatchObject({ data: { a: 'MQ==' } })
  })
})

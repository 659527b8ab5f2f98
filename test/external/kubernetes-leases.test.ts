import { describe, expect, it } from 'vitest'
import type { Kubernetes } from '../../src/external/kubernetes.ts'
import { openKubernetes } from '../../src/external/kubernetes.ts'
import type { Send } from '../../src/external/send.ts'
import type { LeaseRecord } from '../../src/services/rotation/ports.ts'
import type { KubernetesInProcess } from '../../src/standins/kubernetes.ts'
import { createKubernetesStandin } from '../../src/standins/kubernetes.ts'
import { virtualClock } from '../virtual-clock.ts'
import { answering, BAD_NAMES, kindOf, kubernetesAt, never, REFUSALS, refusal, renewedAs } from './api-server.ts'
import { json, startPeer } from './peer.ts'
import { expectNoTraceOf, thrownBy } from './traces.ts'

const NAME = { namespace: 'keyhole', name: 'rotation' }
const RENEWED_AT_MS = Date.UTC(2026, 10, 22, 1, 2, 3, 4)
const METADATA = { ...NAME, uid: 'lease-uid', resourceVersion: '42' }
const SPEC = {
  holderIdentity: 'me',
  leaseDurationSeconds: 30,
  renewTime: '2026-11-22T01:02:03.004999Z',
  leaseTransitions: 7,
}
const LEASE = { kind: 'Lease', apiVersion: 'coordination.k8s.io/v1', metadata: METADATA, spec: SPEC }

const RECORD: LeaseRecord = {
  resourceVersion: 'lease-uid/42',
  holder: 'me',
  renewedAtMs: RENEWED_AT_MS,
  durationMs: 30_000,
  transitions: 7,
  labels: new Map(),
  annotations: new Map(),
}
const NONE_YET: LeaseRecord = { ...RECORD, resourceVersion: '' }

const ABOUT = { name: 'rotation', group: 'coordination.k8s.io', kind: 'leases' }
const MISSING = refusal(404, 'NotFound', 'x', ABOUT)
const CONFLICT = refusal(409, 'Conflict', 'x', ABOUT)
const UNVERSIONED = refusal(422, 'Invalid', 'x', { ...ABOUT, causes: [{ field: 'metadata.resourceVersion' }] })

describe('readLease', () => {
  it('reads who holds it, since when and for how long, and what others keep there', async () => {
    const metadata = { ...METADATA, labels: { team: 'x' }, annotations: { 'keyhole.dev/rotation': '{}' } }
    await using peer = await startPeer(answering(200, { ...LEASE, metadata }))
    expect(await kubernetesAt(peer).readLease(NAME, never)).toEqual({
      ...RECORD,
      labels: new Map([['team', 'x']]),
      annotations: new Map([['keyhole.dev/rotation', '{}']]),
    })
    const path = '/apis/coordination.k8s.io/v1/namespaces/keyhole/leases/rotation'
    expect(peer.seen[0]).toMatchObject({ method: 'GET', path, body: '' })
  })

  it('is undefined when the API server says that there is none', async () => {
    await using peer = await startPeer(answering(404, MISSING))
    expect(await kubernetesAt(peer).readLease(NAME, never)).toBeUndefined()
  })

  it.each<[string, unknown]>([
    ['another Lease', refusal(404, 'NotFound', 'x', { ...ABOUT, name: 'other' })],
    ['a missing namespace', refusal(404, 'NotFound', 'x', { ...ABOUT, kind: 'namespaces' })],
    ['an API server without Leases', refusal(404, 'NotFound', 'x', {})],
    ['a page of a proxy', '<html>'],
  ])('is "garbage" for a 404 of %s: that is not a Lease missing', async (_what, body) => {
    await using peer = await startPeer(answering(404, body))
    expect(await kindOf(kubernetesAt(peer).readLease(NAME, never))).toBe('garbage')
  })

  const never_ = { holder: '', renewedAtMs: 0, durationMs: 0, transitions: 0 }
  it.each<[string, unknown, Partial<LeaseRecord>]>([
    ['no spec', undefined, never_],
    ['null for a spec', null, never_],
    ['a text for a spec', 'x', never_],
    ['an empty spec', {}, never_],
    ['a number for a holder', { ...SPEC, holderIdentity: 5 }, { holder: '' }],
    ['no holder', { ...SPEC, holderIdentity: undefined }, { holder: '' }],
    ['a time that is no time', { ...SPEC, renewTime: 'yesterday' }, { renewedAtMs: 0 }],
    ['a time in a month that is none', { ...SPEC, renewTime: '2026-13-01T00:00:00.000000Z' }, { renewedAtMs: 0 }],
    ['a time without a zone', { ...SPEC, renewTime: '2026-11-22T01:02:03.004000' }, { renewedAtMs: 0 }],
    ['a time before all times', { ...SPEC, renewTime: '0000-01-01T00:00:00.000000Z' }, { renewedAtMs: 0 }],
    ['a number for a time', { ...SPEC, renewTime: RENEWED_AT_MS }, { renewedAtMs: 0 }],
    ['a negative duration', { ...SPEC, leaseDurationSeconds: -1 }, { durationMs: 0 }],
    ['half a second', { ...SPEC, leaseDurationSeconds: 0.5 }, { durationMs: 0 }],
    ['a duration beyond all bounds', { ...SPEC, leaseDurationSeconds: 1e300 }, { durationMs: 0 }],
    ['a text for a duration', { ...SPEC, leaseDurationSeconds: '30' }, { durationMs: 0 }],
    ['a negative count of transitions', { ...SPEC, leaseTransitions: -1 }, { transitions: 0 }],
    ['a text for a count of transitions', { ...SPEC, leaseTransitions: '7' }, { transitions: 0 }],
  ])('takes %s for never held: what somebody wrote there must keep nobody out', async (_what, spec, expected) => {
    await using peer = await startPeer(answering(200, { ...LEASE, spec }))
    expect(await kubernetesAt(peer).readLease(NAME, never)).toEqual({ ...RECORD, ...expected })
  })
})

describe('writeLease', () => {
  it('puts the whole Lease in the place of the one it names, by uid and resourceVersion', async () => {
    await using peer = await startPeer(answering(200, LEASE))
    const lease = { ...RECORD, labels: new Map([['team', 'x']]), annotations: new Map([['note', 'y']]) }
    expect(await kubernetesAt(peer).writeLease(NAME, lease, never)).toEqual(RECORD)
    const [request] = peer.seen
    const path = '/apis/coordination.k8s.io/v1/namespaces/keyhole/leases/rotation'
    expect(request).toMatchObject({ method: 'PUT', path })
    expect(request?.headers['content-type']).toBe('application/json')
    expect(JSON.parse(request?.body ?? '')).toEqual({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { ...METADATA, labels: { team: 'x' }, annotations: { note: 'y' } },
      spec: { ...SPEC, renewTime: '2026-11-22T01:02:03.004000Z' },
    })
  })

  it('names neither where there should be none yet', async () => {
    await using peer = await startPeer(answering(201, LEASE))
    expect(await kubernetesAt(peer).writeLease(NAME, NONE_YET, never)).toEqual(RECORD)
    expect(JSON.parse(peer.seen[0]?.body ?? '')).toMatchObject({ metadata: { labels: {}, annotations: {} } })
    expect(Object.keys(JSON.parse(peer.seen[0]?.body ?? '').metadata)).toEqual(
      expect.not.arrayContaining(['uid', 'resourceVersion']),
    )
  })

  it.each<[Partial<LeaseRecord>, object]>([
    [{ durationMs: 1 }, { leaseDurationSeconds: 1 }],
    [{ durationMs: 30_001 }, { leaseDurationSeconds: 31 }],
    [{ durationMs: 1e18 }, { leaseDurationSeconds: 2_147_483_647 }],
    [{ transitions: 2_147_483_648 }, { leaseTransitions: 2_147_483_647 }],
  ])('writes %j as %j, which the API server takes', async (change, expected) => {
    await using peer = await startPeer(answering(200, LEASE))
    await kubernetesAt(peer).writeLease(NAME, { ...RECORD, ...change }, never)
    expect(JSON.parse(peer.seen[0]?.body ?? '').spec).toMatchObject(expected)
  })

  it('leaves out what was never held', async () => {
    await using peer = await startPeer(answering(200, { ...LEASE, spec: {} }))
    await kubernetesAt(peer).writeLease(NAME, { ...RECORD, holder: '', renewedAtMs: 0, durationMs: 0 }, never)
    expect(JSON.parse(peer.seen[0]?.body ?? '').spec).toEqual({ holderIdentity: '', leaseTransitions: 7 })
  })

  it.each<[number, unknown]>([
    [409, CONFLICT],
    [409, refusal(409, 'AlreadyExists', 'x', ABOUT)],
    [422, UNVERSIONED],
  ])('is a conflict for status %i with %j', async (status, body) => {
    await using peer = await startPeer(answering(status, body))
    expect(await kubernetesAt(peer).writeLease(NAME, NONE_YET, never)).toBe('conflict')
  })

  it.each<[string, string, number, unknown]>([
    [
      'bad-request',
      'a Lease that is invalid',
      422,
      refusal(422, 'Invalid', 'x', { ...ABOUT, kind: 'Lease', causes: [] }),
    ],
    [
      'bad-request',
      'another Lease without a version',
      422,
      {
        ...refusal(422, 'Invalid', 'x', { ...ABOUT, name: 'other', causes: [{ field: 'metadata.resourceVersion' }] }),
      },
    ],
    ['bad-request', 'a page with status 422', 422, '<html>'],
    ['bad-request', 'a missing namespace', 404, refusal(404, 'NotFound', 'x', { name: 'keyhole', kind: 'namespaces' })],
    ['garbage', 'a page with status 404', 404, '<html>'],
    ['garbage', 'a page with status 409', 409, '<html>'],
    ['garbage', 'a conflict of another Lease', 409, refusal(409, 'Conflict', 'x', { ...ABOUT, name: 'other' })],
    ['garbage', 'a conflict without a reason', 409, { ...CONFLICT, reason: undefined }],
    ['garbage', "another holder's Lease", 200, { ...LEASE, spec: { ...SPEC, holderIdentity: 'other' } }],
    ['garbage', 'a Lease of another uid', 200, { ...LEASE, metadata: { ...METADATA, uid: 'other' } }],
    ['garbage', 'a Lease made anew', 201, LEASE],
    ['garbage', 'a Lease without a spec', 200, { ...LEASE, spec: undefined }],
  ])('is "%s" for %s', async (kind, _what, status, body) => {
    await using peer = await startPeer(answering(status, body))
    expect(await kindOf(kubernetesAt(peer).writeLease(NAME, RECORD, never))).toBe(kind)
  })

  it('is "garbage" for a Lease that was there, where it should be made', async () => {
    await using peer = await startPeer(answering(200, LEASE))
    expect(await kindOf(kubernetesAt(peer).writeLease(NAME, NONE_YET, never))).toBe('garbage')
  })

  it.each(['42', '/42', 'lease-uid/', 'lease-uid', ' ', 'a/b/c'])(
    'refuses %j for a version without a call: half of one compares nothing',
    async (resourceVersion) => {
      await using peer = await startPeer(answering(200, LEASE))
      const lease = { ...RECORD, resourceVersion }
      expect(await kindOf(kubernetesAt(peer).writeLease(NAME, lease, never))).toBe('bad-request')
      expect(peer.connections.made).toBe(0)
    },
  )

  it('puts no Lease again that broke off: it may have been written', async () => {
    await using peer = await startPeer((reply) => reply.destroy())
    expect(await kindOf(kubernetesAt(peer).writeLease(NAME, RECORD, never))).toBe('unavailable')
    expect(peer.seen).toHaveLength(1)
  })
})

const calls: [string, (kubernetes: Kubernetes, name?: typeof NAME) => Promise<unknown>][] = [
  ['readLease', (kubernetes, name = NAME) => kubernetes.readLease(name, never)],
  ['writeLease', (kubernetes, name = NAME) => kubernetes.writeLease(name, RECORD, never)],
]

describe.each(calls)('%s, refused or garbled', (_name, call) => {
  it.each(REFUSALS)('is, for status %i, "%s"', async (status, kind) => {
    await using peer = await startPeer((reply) => {
      const body = '{"kind":"Status","message":"canary-text"}'
      reply.writeHead(status, { 'content-type': 'application/json', location: 'http://evil.invalid/' }).end(body)
    })
    const error = await thrownBy(call(kubernetesAt(peer)))
    expect(error).toMatchObject({ kind, status })
    expectNoTraceOf(['canary-text', 'own-token'], error)
  })

  it.each([
    ['a page', 'text/html', '<html>canary-text</html>'],
    ['a page said to be JSON', 'application/json', '<html>canary-text</html>'],
    ['nothing', 'application/json', ''],
    ['half of it', 'application/json', JSON.stringify(LEASE).slice(0, -20)],
    ['a Lease of no media type', undefined, JSON.stringify(LEASE)],
    ['a Secret', 'application/json', JSON.stringify({ ...LEASE, kind: 'Secret' })],
    ['another version', 'application/json', JSON.stringify({ ...LEASE, apiVersion: 'coordination.k8s.io/v2' })],
    ['another Lease', 'application/json', JSON.stringify({ ...LEASE, metadata: { ...METADATA, name: 'other' } })],
    ['another namespace', 'application/json', JSON.stringify({ ...LEASE, metadata: { ...METADATA, namespace: 'x' } })],
    [
      'no resourceVersion',
      'application/json',
      JSON.stringify({ ...LEASE, metadata: { ...METADATA, resourceVersion: '' } }),
    ],
    ['a number for a uid', 'application/json', JSON.stringify({ ...LEASE, metadata: { ...METADATA, uid: 5 } })],
    [
      'a number for a label',
      'application/json',
      JSON.stringify({ ...LEASE, metadata: { ...METADATA, labels: { a: 5 } } }),
    ],
  ])('is "garbage" for %s', async (_what, type, body) => {
    await using peer = await startPeer((reply) => {
      reply.writeHead(200, type === undefined ? {} : { 'content-type': type }).end(body)
    })
    const error = await thrownBy(call(kubernetesAt(peer)))
    expect(error).toMatchObject({ kind: 'garbage' })
    expectNoTraceOf(['canary-text', 'own-token'], error)
  })

  it.each(BAD_NAMES)('refuses the name %j / %j without a call', async (namespace, name) => {
    await using peer = await startPeer((reply) => json(reply, 200, LEASE))
    expect(await kindOf(call(kubernetesAt(peer), { namespace, name }))).toBe('bad-request')
    expect(peer.connections.made).toBe(0)
  })
})

describe('a Lease on the stand-in', () => {
  function started(): { readonly cluster: KubernetesInProcess; readonly kubernetes: Kubernetes } {
    const cluster = createKubernetesStandin({ clock: virtualClock() })
    cluster.putNamespace(NAME.namespace)
    const send: Send = async ({ method, path, headers, body = '' }, signal) => {
      const request = { method, path, query: new URLSearchParams(), headers, body: Buffer.from(body), signal }
      const reply = cluster.handle(request)
      return { status: reply.status, headers: { ...reply.headers }, body: Buffer.from(String(reply.body)) }
    }
    return { cluster, kubernetes: openKubernetes({ send, token: renewedAs([cluster.adminToken]) }) }
  }

  async function taken(kubernetes: Kubernetes, lease: LeaseRecord): Promise<LeaseRecord> {
    const written = await kubernetes.writeLease(NAME, lease, never)
    return written === 'conflict' ? expect.fail('a conflict') : written
  }

  it('reads back as it was written', async () => {
    const { kubernetes } = started()
    const notes = {
      labels: new Map([['a/b', 'c']]),
      annotations: new Map([['keyhole.dev/rotation', '{"a":"\u0000ß"}']]),
    }
    const written = await taken(kubernetes, { ...NONE_YET, ...notes })
    expect(written).toEqual({ ...NONE_YET, ...notes, resourceVersion: written.resourceVersion })
    expect(await kubernetes.readLease(NAME, never)).toEqual(written)
  })

  it('is made by one of many that make it at once', async () => {
    const { kubernetes } = started()
    const all = Array.from({ length: 10 }, (_, at) => ({ ...NONE_YET, holder: `holder-${at}` }))
    const outcomes = await Promise.all(all.map((lease) => kubernetes.writeLease(NAME, lease, never)))
    expect(outcomes.filter((outcome) => outcome !== 'conflict')).toHaveLength(1)
  })

  it('is a conflict for whoever knows it as it was', async () => {
    const { kubernetes } = started()
    const first = await taken(kubernetes, NONE_YET)
    await taken(kubernetes, { ...first, holder: 'other' })
    expect(await kubernetes.writeLease(NAME, first, never)).toBe('conflict')
  })

  it('is a conflict for whoever takes it for missing', async () => {
    const { kubernetes } = started()
    await taken(kubernetes, NONE_YET)
    expect(await kubernetes.writeLease(NAME, { ...NONE_YET, holder: 'other' }, never)).toBe('conflict')
  })

  it('is a conflict once it is gone, and is not made anew', async () => {
    const { cluster, kubernetes } = started()
    const first = await taken(kubernetes, NONE_YET)
    cluster.deleteLease(NAME)
    expect(await kubernetes.writeLease(NAME, first, never)).toBe('conflict')
    expect(cluster.lease(NAME)).toBeUndefined()
  })

  it('is a conflict for whoever knows the one before it', async () => {
    const { cluster, kubernetes } = started()
    const first = await taken(kubernetes, NONE_YET)
    cluster.deleteLease(NAME)
    const { resourceVersion } = cluster.putLease({ ...NAME, spec: { holderIdentity: 'other' } })
    expect(await kubernetes.writeLease(NAME, first, never)).toBe('conflict')
    const [uid] = first.resourceVersion.split('/')
    const forged = { ...first, resourceVersion: `${uid}/${resourceVersion}` }
    expect(await kubernetes.writeLease(NAME, forged, never)).toBe('conflict')
  })
})

import { describe, expect, it } from 'vitest'
import { answering, kindOf, kubernetesAt, never, REFUSALS, refusal } from './api-server.ts'
import { startPeer } from './peer.ts'

const SUBJECT = { kind: 'SelfSubjectReview', apiVersion: 'authentication.k8s.io/v1' }
const ACCESS = { kind: 'SelfSubjectAccessReview', apiVersion: 'authorization.k8s.io/v1' }
const GET_DB = { verb: 'get', group: '', resource: 'secrets', namespace: 'payments', name: 'db' }

describe('whoAmI', () => {
  it('asks with our own token, and is told the username', async () => {
    const username = 'system:serviceaccount:keyhole:keyhole'
    await using peer = await startPeer(answering(201, { ...SUBJECT, status: { userInfo: { username, groups: [] } } }))
    expect(await kubernetesAt(peer).whoAmI(never)).toBe(username)
    const [seen] = peer.seen
    expect(seen).toMatchObject({ method: 'POST', path: '/apis/authentication.k8s.io/v1/selfsubjectreviews' })
    expect([seen?.headers.authorization, JSON.parse(seen?.body ?? '')]).toEqual(['Bearer own-token', SUBJECT])
  })

  it.each<[string, unknown]>([
    ['another kind', { ...ACCESS, status: { userInfo: { username: 'x' } } }],
    ['another version', { ...SUBJECT, apiVersion: 'v1', status: { userInfo: { username: 'x' } } }],
    ['no status', SUBJECT],
    ['no user', { ...SUBJECT, status: {} }],
    ['an empty name', { ...SUBJECT, status: { userInfo: { username: '' } } }],
    ['a number for a name', { ...SUBJECT, status: { userInfo: { username: 1 } } }],
    ['a page of a proxy', '<html>'],
  ])('is "garbage" for %s', async (_what, body) => {
    await using peer = await startPeer(answering(201, body))
    expect(await kindOf(kubernetesAt(peer).whoAmI(never))).toBe('garbage')
  })

  it.each([...REFUSALS, [200, 'garbage'] as const])('is refused by a %i as "%s"', async (status, kind) => {
    await using peer = await startPeer(answering(status, refusal(status, '', 'x')))
    expect(await kindOf(kubernetesAt(peer).whoAmI(never))).toBe(kind)
  })
})

describe('mayI', () => {
  it.each([true, false])('asks about one action, and is told %s', async (allowed) => {
    await using peer = await startPeer(answering(201, { ...ACCESS, spec: {}, status: { allowed, reason: 'x' } }))
    expect(await kubernetesAt(peer).mayI(GET_DB, never)).toBe(allowed)
    expect(peer.seen[0]).toMatchObject({
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
    })
    expect(JSON.parse(peer.seen[0]?.body ?? '')).toEqual({ ...ACCESS, spec: { resourceAttributes: GET_DB } })
  })

  it('leaves out what it is not about', async () => {
    await using peer = await startPeer(answering(201, { ...ACCESS, status: { allowed: false } }))
    await kubernetesAt(peer).mayI({ verb: 'list', group: '', resource: 'secrets' }, never)
    const { spec } = JSON.parse(peer.seen[0]?.body ?? '')
    expect(Object.keys(spec.resourceAttributes).sort()).toEqual(['group', 'resource', 'verb'])
  })

  it.each<[string, unknown]>([
    ['a text for yes', { ...ACCESS, status: { allowed: 'true' } }],
    ['no word', { ...ACCESS, status: {} }],
    ['another kind', { ...SUBJECT, status: { allowed: true } }],
  ])('is "garbage" for %s, and never yes', async (_what, body) => {
    await using peer = await startPeer(answering(201, body))
    expect(await kindOf(kubernetesAt(peer).mayI(GET_DB, never))).toBe('garbage')
  })
})

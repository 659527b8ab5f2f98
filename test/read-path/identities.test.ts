/** Whose right it is: names of other namespaces, accounts of the same name, and rights that end while somebody uses them. */
import { describe, expect, test } from 'vitest'
import { REVIEWS } from './faults.ts'
import type { Refusal, World } from './world.ts'
import { POLICY, startWorld } from './world.ts'

const NOT_GRANTED: Refusal = { status: 403, code: 'NOT_GRANTED' }
const REJECTED: Refusal = { status: 401, code: 'TOKEN_REJECTED', by: 'nobody' }

interface Account {
  readonly namespace: string
  readonly serviceAccount: string
}

const grant = (namespace: string, name: string, secret: string, readers: string, transitKey = 'payments') => `---
apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  secretRef: { name: ${secret}, key: secrets.json }
  transitKey: ${transitKey}
  readers: [${readers}]
`

const withGrants = (...grants: readonly string[]): Record<string, string> => ({
  ...POLICY,
  'extra.yaml': grants.join(''),
})

/** A token of whoever that is, bound to a pod of its own. */
function tokenFor({ kubernetes, secret }: World, account: Account): string {
  kubernetes.putPod({ ...account, name: `${account.serviceAccount}-0` })
  const token = kubernetes.issueToken({
    ...account,
    audiences: ['keyhole'],
    pod: { name: `${account.serviceAccount}-0` },
  })
  secret('a token', token)
  return token
}

describe('names', () => {
  /** Two teams, each with a grant named like the other team. */
  const CROSSED = withGrants(
    grant('payments', 'bi', 'payments-db', '{ serviceAccount: api, keys: [PGHOST] }'),
    grant('bi', 'payments', 'bi-books', '{ serviceAccount: reports, keys: [TOKEN] }', 'spare'),
    grant('bi', 'db', 'bi-books', '{ serviceAccount: reports, keys: [TOKEN] }', 'spare'),
  )

  test('a name alone is of the caller, and with a namespace of that one: grants of one name are never mixed up', async () => {
    await using world = await startWorld({ policy: CROSSED })
    const own = await world.ask('/secrets/db', { as: 'reports' })
    expect(own.text).toBe('{"name":"db","data":{"TOKEN":"canary-books-token-77d2"},"missing":[]}')
    world.served(await world.ask('/secrets/db.payments', { as: 'reports' }), 'reports')
    expect(world.records().map((record) => record['secret'])).toEqual(
      expect.arrayContaining([
        { namespace: 'bi', name: 'db' },
        { namespace: 'payments', name: 'db' },
      ]),
    )
  })

  test('NAME.NAMESPACE is read in that order, also where the other order would exist', async () => {
    await using world = await startWorld({ policy: CROSSED })
    // bi.payments: the grant `bi` of `payments`. payments.bi: the grant `payments` of `bi`.
    expect((await world.ask('/secrets/bi.payments')).text).toContain('"PGHOST"')
    world.refused(await world.ask('/secrets/payments.bi'), { ...NOT_GRANTED, why: 'not-a-reader' })
    expect((await world.ask('/secrets/payments.bi', { as: 'reports' })).text).toContain('"TOKEN"')
    world.refused(await world.ask('/secrets/bi.payments', { as: 'reports' }), {
      ...NOT_GRANTED,
      by: 'reports',
      why: 'not-a-reader',
    })
  })

  test('what exists and is not granted, and what does not exist, are refused in the same bytes at the same cost', async () => {
    await using world = await startWorld({ policy: CROSSED })
    const token = world.tokenOf('stranger')
    await world.ask('/secrets', { token, as: 'stranger' })
    world.calls.length = 0
    const replies = []
    for (const name of ['db.payments', 'tls.payments', 'books.bi', 'nothing.payments', 'db.nowhere', 'db', 'lab']) {
      replies.push(await world.ask(`/secrets/${name}`, { token, as: 'stranger' }))
    }
    replies.push(await world.ask('/secrets/db.payments?key=PGHOST', { token, as: 'stranger' }))
    for (const reply of replies) world.refused(reply, { ...NOT_GRANTED, by: 'stranger' })
    const seen = replies.map(({ text, headers: { 'x-request-id': _, date: __, ...headers } }) => ({ text, headers }))
    expect(new Set(seen.map((one) => JSON.stringify(one))).size).toBe(1)
    expect(world.calls).toEqual([])
  })
})

describe('an account', () => {
  test.each<readonly [string, Account]>([
    ['of the same name in another namespace', { namespace: 'bi', serviceAccount: 'api' }],
    ['of the same namespace and another name', { namespace: 'payments', serviceAccount: 'reports' }],
    ['whose name and namespace are the other way round', { namespace: 'api', serviceAccount: 'payments' }],
    ['whose name begins like a reader', { namespace: 'payments', serviceAccount: 'api-2' }],
    ['whose namespace begins like a reader', { namespace: 'payments-2', serviceAccount: 'api' }],
    ['with a dot where a reader has its end', { namespace: 'payments', serviceAccount: 'api.x' }],
  ])('%s is a stranger', async (_title, account) => {
    await using world = await startWorld()
    const token = tokenFor(world, account)
    world.refused(await world.ask('/secrets/db.payments', { token, as: 'stranger' }), {
      ...NOT_GRANTED,
      by: account,
      why: 'not-a-reader',
    })
    expect((await world.ask('/secrets', { token, as: 'stranger' })).text).toBe('{"secrets":[]}')
  })

  test('that a grant names for another namespace reads it from there, and nobody of that name here does', async () => {
    await using world = await startWorld()
    world.served(await world.ask('/secrets/db.payments', { as: 'reports' }), 'reports')
    const token = tokenFor(world, { namespace: 'payments', serviceAccount: 'reports' })
    const refusal = { ...NOT_GRANTED, by: { namespace: 'payments', serviceAccount: 'reports' } }
    world.refused(await world.ask('/secrets/db', { token, as: 'stranger' }), refusal)
  })

  test.each([
    { 'impersonate-user': 'system:serviceaccount:payments:migrator' },
    { 'x-remote-user': 'system:serviceaccount:payments:migrator' },
    { 'x-forwarded-user': 'migrator', 'x-forwarded-for': '10.0.0.1', forwarded: 'for=10.0.0.1' },
    { 'x-vault-token': 'root', 'x-vault-namespace': 'admin' },
    { cookie: 'authorization=Bearer%20x', 'proxy-authorization': 'Bearer x' },
  ])('is not changed by headers, and none of them goes any further: %o', async (headers) => {
    await using world = await startWorld()
    const from = world.outbound.length
    world.served(await world.ask('/secrets/db', { headers: headers as unknown as Record<string, string> }))
    const sent = world.outbound.slice(from).flatMap((request) => Object.keys(request.headers))
    expect(new Set(sent.map((name) => name.toLowerCase()))).toEqual(
      new Set(['accept', 'authorization', 'content-type', 'x-vault-request', 'x-vault-token']),
    )
    expect(JSON.stringify(world.outbound.slice(from))).not.toMatch(/migrator|10\.0\.0\.1|admin/)
    expect(world.records().at(-1)).toMatchObject({ peer: '127.0.0.1' })
  })
})

describe('default', () => {
  const account = { namespace: 'payments', serviceAccount: 'default' }

  test('is not given what a grant names it for, unless the grant says that it is meant', async () => {
    const policy = withGrants(
      grant('payments', 'careless', 'payments-db', '{ serviceAccount: default, keys: [PGHOST] }'),
      grant('payments', 'meant', 'payments-db', '{ serviceAccount: default, keys: [PGHOST], allowDefault: true }'),
    )
    await using world = await startWorld({ policy })
    const token = tokenFor(world, account)
    world.refused(await world.ask('/secrets/careless', { token }), {
      ...NOT_GRANTED,
      by: account,
      why: 'default-service-account',
    })
    expect((await world.ask('/secrets/meant', { token })).text).toContain('"PGHOST":')
  })
})

describe('a token bound to no pod', () => {
  const account = { namespace: 'payments', serviceAccount: 'api' }

  test('is not given what a grant names its account for, unless the grant says that it is meant', async () => {
    const meant = grant('payments', 'meant', 'payments-db', '{ serviceAccount: api, keys: [PGHOST], podBound: false }')
    await using world = await startWorld({ policy: withGrants(meant) })
    const token = world.kubernetes.issueToken({ ...account, audiences: ['keyhole'] })
    world.secret('an unbound token', token)
    world.refused(await world.ask('/secrets/db', { token }), { ...NOT_GRANTED, why: 'not-pod-bound' })
    expect((await world.ask('/secrets/meant', { token })).text).toContain('"PGHOST":')
    expect(world.records().at(-1)?.['caller']).not.toHaveProperty('pod')
  })

  test('is one whose pod is named by half', async () => {
    await using world = await startWorld()
    const token = world.tokenOf('api')
    world.kubernetes.faults.inject({ path: REVIEWS }, async (_request, next) => {
      const reply = await next()
      const review = JSON.parse(String(reply.body))
      delete review.status?.user?.extra?.['authentication.kubernetes.io/pod-uid']
      return { ...reply, body: JSON.stringify(review) }
    })
    world.refused(await world.ask('/secrets/db', { token }), { ...NOT_GRANTED, why: 'not-pod-bound' })
  })
})

describe('what ends', () => {
  test('an account that was made anew is not the one that was pinned', async () => {
    const account = { namespace: 'payments', serviceAccount: 'pinned' }
    const which = { namespace: 'payments', name: 'pinned' }
    await using world = await startWorld()
    const { uid } = world.kubernetes.putServiceAccount(which)
    const reader = `{ serviceAccount: pinned, keys: [PGHOST], uid: ${uid} }`
    await world.keyhole.writePolicy(withGrants(grant('payments', 'pinned', 'payments-db', reader)))
    expect((await world.ask('/secrets/pinned', { token: tokenFor(world, account) })).status).toBe(200)
    world.kubernetes.deletePod({ namespace: 'payments', name: 'pinned-0' })
    world.kubernetes.deleteServiceAccount(which)
    expect(world.kubernetes.putServiceAccount(which).uid).not.toBe(uid)
    const token = tokenFor(world, account)
    world.refused(await world.ask('/secrets/pinned', { token }), { ...NOT_GRANTED, by: account, why: 'other-uid' })
  })

  test('an account that is deleted is served for ten seconds more, and not one longer', async () => {
    await using world = await startWorld()
    const token = world.tokenOf('api')
    world.served(await world.ask('/secrets/db', { token }))
    world.kubernetes.deleteServiceAccount({ namespace: 'payments', name: 'api' })
    await world.clock.advance(9_999)
    world.served(await world.ask('/secrets/db', { token }))
    await world.clock.advance(1)
    world.refused(await world.ask('/secrets/db', { token }), REJECTED)
  })

  test('with nothing kept, an account that is deleted is refused at once', async () => {
    await using world = await startWorld({ settings: { KEYHOLE_REVIEW_KEEP_MS: '0' } })
    const token = world.tokenOf('api')
    world.served(await world.ask('/secrets/db', { token }))
    world.kubernetes.deleteServiceAccount({ namespace: 'payments', name: 'api' })
    world.refused(await world.ask('/secrets/db', { token }), REJECTED)
  })

  test('a right that ends at a time ends then, between two requests of one token', async () => {
    await using world = await startWorld()
    const until = new Date(world.clock.now() + 5_000).toISOString()
    const reader = `{ serviceAccount: api, keys: [PGHOST], until: ${until} }`
    await world.keyhole.writePolicy(withGrants(grant('payments', 'brief', 'payments-db', reader)))
    const token = world.tokenOf('api')
    await world.clock.advance(4_999)
    expect((await world.ask('/secrets/brief', { token })).status).toBe(200)
    expect((await world.ask('/secrets', { token })).text).toContain('"brief"')
    await world.clock.advance(1)
    world.refused(await world.ask('/secrets/brief', { token }), { ...NOT_GRANTED, why: 'reader-expired' })
    expect((await world.ask('/secrets', { token })).text).not.toContain('"brief"')
    world.served(await world.ask('/secrets/db', { token }))
  })

  test('a token that expires is refused then, though its review is still remembered, and without a call', async () => {
    await using world = await startWorld()
    const token = world.kubernetes.issueToken({
      namespace: 'payments',
      serviceAccount: 'api',
      audiences: ['keyhole'],
      expirationSeconds: 600,
      pod: { name: 'api-7d4b9' },
    })
    world.secret('a brief token', token)
    await world.clock.advance(599_000)
    world.served(await world.ask('/secrets/db', { token }))
    await world.clock.advance(1_000)
    world.calls.length = 0
    world.refused(await world.ask('/secrets/db', { token }), REJECTED)
    expect(world.calls).toEqual([])
  })

  test('a Secret that is deleted and made anew has another tag', async () => {
    await using world = await startWorld()
    const before = await world.ask('/secrets/db')
    const ciphertext = world.upstream.put('payments-db', 'secrets.json', '{"PGHOST":"canary-pghost-5d0c2a"}')
    const first = await world.ask('/secrets/db')
    world.kubernetes.deleteSecret({ namespace: 'payments', name: 'payments-db' })
    world.upstream.putRaw('payments-db', { 'secrets.json': ciphertext })
    const second = await world.ask('/secrets/db')
    expect(second.text).toBe(first.text)
    expect(new Set([before, first, second].map(({ headers }) => headers['etag'])).size).toBe(3)
  })
})

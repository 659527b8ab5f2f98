import { describe, expect, test } from 'vitest'
import { KeyholeError } from '../../src/errors.ts'
import type { Ask } from '../../src/services/authorize.ts'
import { authorizer } from '../../src/services/authorize.ts'
import { parsePolicy } from '../policy/documents.ts'
import { virtualClock } from '../virtual-clock.ts'
import { callerOf } from './permits.ts'

const POLICY = `
apiVersion: keyhole.dev/v1alpha1
kind: TransitKey
metadata: { name: payments }
spec: { namespaces: [payments] }
---
apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: db, namespace: payments }
spec:
  secretRef: { name: payments-db, key: secrets.json }
  transitKey: payments
  readers:
    - { serviceAccount: api, keys: [PGHOST, PGUSER], until: 2026-02-01T00:00:00Z }
    - { namespace: bi, serviceAccount: reports, allKeys: true }
---
apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: tls, namespace: payments }
spec:
  secretRef: { name: payments-tls }
  transitKey: payments
  format: files
  readers: [{ serviceAccount: api, allKeys: true }]
---
apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: keyless, namespace: payments }
spec:
  secretRef: { name: keyless, key: secrets.json }
  transitKey: not-there
  readers: [{ serviceAccount: api, allKeys: true }]
---
apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: of-others, namespace: payments }
spec:
  secretRef: { name: of-others, key: secrets.json }
  transitKey: not-there
  readers: [{ serviceAccount: worker, allKeys: true }]
`

const { policy, problems } = parsePolicy([{ path: 'policy.yaml', text: POLICY }])
const clock = virtualClock(Date.UTC(2026, 0, 15))
const authorize = authorizer(() => policy, clock)
const CALLER = callerOf()
const REPORTS = callerOf({ namespace: 'bi', serviceAccount: 'reports' })

function ask(name: string, more: Partial<Ask> & { namespace?: string } = {}): Ask {
  const { namespace, ...others } = more
  return { secret: { name, ...(namespace !== undefined && { namespace }) }, raw: false, ...others }
}

function refusalOf(act: () => unknown): KeyholeError {
  try {
    act()
  } catch (error) {
    if (error instanceof KeyholeError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

test('the policy of these tests has no fault but the Transit key that is not there', () => {
  expect(problems.map(({ document }) => document)).toEqual([
    'SecretGrant payments/keyless',
    'SecretGrant payments/of-others',
  ])
})

describe('authorize.read', () => {
  const refused: [string, Ask, string][] = [
    ['a name that does not exist', ask('nothing'), 'no-such-grant'],
    ['a name that exists elsewhere', ask('db', { namespace: 'bi' }), 'no-such-grant'],
    ['a grant of somebody else', ask('of-others'), 'not-a-reader'],
    ['a key that is not granted', ask('db', { keys: ['PGHOST', 'PGPASSWORD'] }), 'key-not-granted'],
    ['a key that is not granted, as it is', ask('db', { keys: ['PGPASSWORD'], raw: true }), 'key-not-granted'],
    ['a name of the prototype', ask('constructor'), 'no-such-grant'],
  ]

  test.each(refused)('refuses %s', (_, asked, why) => {
    expect(refusalOf(() => authorize.read(CALLER, asked))).toMatchObject({ code: 'NOT_GRANTED', why })
  })

  test('refuses each in the same words, which name the caller and nothing that it asked for', () => {
    const details = refused.map(([, asked]) => refusalOf(() => authorize.read(CALLER, asked)).detail)
    expect(new Set(details)).toEqual(new Set(['payments/api has no such grant. GET /secrets lists what it has.']))
  })

  test('refuses a token that is bound to no pod', () => {
    const { pod: _, ...unbound } = callerOf()
    expect(refusalOf(() => authorize.read(unbound as typeof CALLER, ask('db')))).toMatchObject({
      code: 'NOT_GRANTED',
      why: 'not-pod-bound',
    })
  })

  test('refuses from the moment on that the entry ends', async () => {
    const later = virtualClock(Date.UTC(2026, 1, 1) - 1)
    const { read } = authorizer(() => policy, later)
    expect(read(CALLER, ask('db'))).toBeDefined()
    await later.advance(1)
    expect(refusalOf(() => read(CALLER, ask('db')))).toMatchObject({ code: 'NOT_GRANTED', why: 'reader-expired' })
  })

  test('tells a reader, and nobody else, that its grant has a Transit key that cannot be used', () => {
    expect(refusalOf(() => authorize.read(CALLER, ask('keyless')))).toMatchObject({
      code: 'KEY_UNUSABLE',
      why: 'transit-key-undefined',
      fix: expect.stringContaining('/readyz?verbose'),
    })
    expect(refusalOf(() => authorize.read(CALLER, ask('of-others')))).toMatchObject({ code: 'NOT_GRANTED' })
  })

  test.each([
    ['a dictionary', ask('db', { raw: true, keys: ['PGHOST'] })],
    ['all files', ask('tls', { raw: true })],
    ['two files', ask('tls', { raw: true, keys: ['tls.crt', 'tls.key'] })],
  ])('does not give %s as it is', (_, asked) => {
    expect(refusalOf(() => authorize.read(CALLER, asked))).toMatchObject({
      code: 'NOT_ACCEPTABLE',
      why: 'raw-needs-one-file',
    })
  })

  test('goes by the policy in force at the time', () => {
    let inForce = policy
    const { read } = authorizer(() => inForce, clock)
    expect(read(CALLER, ask('db')).policyHash).toBe(policy.hash)
    inForce = parsePolicy([]).policy
    expect(refusalOf(() => read(CALLER, ask('db')))).toMatchObject({ why: 'no-such-grant' })
  })

  test('grants what the policy says, to this caller, under its hash', () => {
    expect(authorize.read(CALLER, ask('db'))).toMatchObject({
      caller: CALLER,
      name: 'db',
      secret: { namespace: 'payments', name: 'db' },
      place: { namespace: 'payments', secret: 'payments-db' },
      format: 'json',
      dataKey: 'secrets.json',
      keys: new Set(['PGHOST', 'PGUSER']),
      selection: undefined,
      raw: false,
      transitKey: { name: 'payments' },
      policyHash: policy.hash,
    })
  })

  test('grants keys that were asked for', () => {
    expect(authorize.read(CALLER, ask('db', { keys: ['PGUSER'] })).selection).toEqual(['PGUSER'])
  })

  test('gives one file as it is', () => {
    expect(authorize.read(CALLER, ask('tls', { keys: ['tls.key'], raw: true }))).toMatchObject({ raw: true })
  })

  test.each([
    ['its own without a namespace', CALLER, ask('db'), 'db'],
    ['its own with one', CALLER, ask('db', { namespace: 'payments' }), 'db'],
    ["another namespace's", REPORTS, ask('db', { namespace: 'payments' }), 'db.payments'],
  ])('names %s as the list does', (_, caller, asked, name) => {
    expect(authorize.read(caller, asked).name).toBe(name)
    expect(authorize.list(caller).secrets.map((secret) => secret.name)).toContain(name)
  })
})

describe('authorize.list', () => {
  test('tells a stranger nothing', () => {
    expect(authorize.list(callerOf({ serviceAccount: 'stranger' }))).toEqual({ secrets: [], policyHash: policy.hash })
  })

  test('tells a caller its grants and nothing of anybody else', () => {
    expect(authorize.list(CALLER).secrets).toEqual([
      { name: 'db', keys: ['PGHOST', 'PGUSER'], all: false },
      { name: 'keyless', keys: [], all: true },
      { name: 'tls', keys: [], all: true },
    ])
  })
})

describe('authorize.rotate', () => {
  const ROTATED = `
apiVersion: keyhole.dev/v1alpha1
kind: TransitKey
metadata: { name: payments }
spec:
  namespaces: [payments]
  rotation: { admins: [{ namespace: keyhole, serviceAccount: cron }] }
---
apiVersion: keyhole.dev/v1alpha1
kind: TransitKey
metadata: { name: ledger }
spec:
  namespaces: [payments]
  rotation: { admins: [{ namespace: keyhole, serviceAccount: cron }, { namespace: payments, serviceAccount: api }] }
---
apiVersion: keyhole.dev/v1alpha1
kind: TransitKey
metadata: { name: theirs }
spec:
  namespaces: [bi]
  rotation: { admins: [{ namespace: bi, serviceAccount: cron }] }
---
apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: db, namespace: payments }
spec:
  secretRef: { name: payments-db, key: secrets.json }
  transitKey: payments
  readers: [{ serviceAccount: worker, allKeys: true }]
`
  const rotated = parsePolicy([{ path: 'policy.yaml', text: ROTATED }]).policy
  const { rotate } = authorizer(() => rotated, clock)
  const CRON = callerOf({ namespace: 'keyhole', serviceAccount: 'cron' })

  const refused: [string, typeof CALLER, string[] | undefined, string][] = [
    ['whom no key names', callerOf({ serviceAccount: 'worker' }), undefined, 'not-an-admin'],
    ['whom no key names, by name', callerOf({ serviceAccount: 'worker' }), ['payments'], 'not-an-admin'],
    [
      'the admin of that name in another namespace',
      callerOf({ namespace: 'payments', serviceAccount: 'cron' }),
      undefined,
      'not-an-admin',
    ],
    ['a key of somebody else', CRON, ['theirs'], 'not-an-admin'],
    ['a key that does not exist', CRON, ['nothing'], 'not-an-admin'],
    ['a name of the prototype', CRON, ['constructor'], 'not-an-admin'],
    ['a key of its own and one of somebody else', CRON, ['payments', 'theirs'], 'key-not-granted'],
    ['a key of its own and one that does not exist', CRON, ['payments', 'nothing'], 'key-not-granted'],
  ]

  test.each(refused)('refuses %s', (_, caller, keys, why) => {
    expect(refusalOf(() => rotate(caller, keys))).toMatchObject({ code: 'NOT_GRANTED', why })
  })

  test('refuses each in the same words, which name the caller and nothing that it asked for', () => {
    const details = refused.map(([, caller, keys]) =>
      refusalOf(() => rotate(caller, keys)).detail.replace(`${caller.namespace}/${caller.serviceAccount}`, 'WHO'),
    )
    expect(new Set(details)).toEqual(
      new Set(['WHO may not rotate that. TransitKeys name who may, in spec.rotation.admins.']),
    )
  })

  test('refuses a token that is bound to no pod', () => {
    const { pod: _, ...unbound } = CRON
    expect(refusalOf(() => rotate(unbound as typeof CRON))).toMatchObject({ why: 'not-an-admin' })
  })

  test('permits all that the caller may rotate, by name, with the Secrets under each', () => {
    expect(rotate(CRON)).toEqual({
      caller: CRON,
      policyHash: rotated.hash,
      keys: [
        { transitKey: rotated.transitKeys.get('ledger'), secrets: [] },
        {
          transitKey: rotated.transitKeys.get('payments'),
          secrets: [{ namespace: 'payments', secret: 'payments-db', dataKeys: ['secrets.json'], others: new Set() }],
        },
      ],
    })
    expect(rotate(CALLER).keys.map(({ transitKey }) => transitKey.name)).toEqual(['ledger'])
  })

  test('permits what was asked for and no more', () => {
    expect(rotate(CRON, ['payments']).keys.map(({ transitKey }) => transitKey.name)).toEqual(['payments'])
  })

  test('goes by the policy in force at the time', () => {
    let inForce = rotated
    const { rotate: now } = authorizer(() => inForce, clock)
    expect(now(CRON).policyHash).toBe(rotated.hash)
    inForce = policy
    expect(refusalOf(() => now(CRON))).toMatchObject({ why: 'not-an-admin' })
  })

  test('gives an admin nothing to read', () => {
    const { read, list } = authorizer(() => rotated, clock)
    expect(refusalOf(() => read(CRON, ask('db', { namespace: 'payments' })))).toMatchObject({ code: 'NOT_GRANTED' })
    expect(list(CRON).secrets).toEqual([])
  })
})

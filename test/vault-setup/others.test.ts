/** Who else may come at the keys: each way that is told of, and what is no way. */
import { describe, expect, it } from 'vitest'
import type { Finding } from '../../src/vault-setup/finding.ts'
import type { Found, Others } from '../../src/vault-setup/found.ts'
import { othersOf } from '../../src/vault-setup/others.ts'
import { readPolicy } from '../../src/vault-setup/read-policy.ts'
import { wantedIn } from '../../src/vault-setup/wanted.ts'
import { policyFrom, transitKey } from '../policy/documents.ts'
import { OPTIONS } from './options.ts'

function told(
  { authMethods = { there: new Map() }, ...others }: Partial<Others & Pick<Found, 'authMethods'>>,
  keys: readonly string[] = ['payments'],
  mount = 'kubernetes',
): readonly Finding[] {
  const options = { ...OPTIONS, auth: { ...OPTIONS.auth, mount } }
  const wanted = wantedIn(policyFrom(...keys.map((name) => transitKey({}, name))), options)
  const nothing = new Map()
  return othersOf(wanted, {
    mounts: { there: nothing },
    authMethods,
    keys: nothing,
    policies: nothing,
    roles: nothing,
    authConfig: 'missing',
    others: { policies: { there: nothing }, roles: { there: nothing }, ...others },
  })
}

/** Of a policy `theirs`, each rule `PATH CAPABILITY...`. */
function toldOf(lines: readonly string[], keys?: readonly string[]): string | undefined {
  const text = lines
    .map((line) => {
      const [path, ...capabilities] = line.split(' ')
      return `path "${path}" { capabilities = ${JSON.stringify(capabilities)} }`
    })
    .join('\n')
  const [finding] = told({ policies: { there: new Map([['theirs', readPolicy(text)]]) } }, keys)
  if (finding?.kind === 'ok') return undefined
  expect(finding).toMatchObject({ kind: 'note', about: 'sys/policies/acl/theirs' })
  return finding?.detail.replace('whoever has it may ', '')
}

describe('another policy is told of that lets somebody', () => {
  const KEY = '(transit/keys/payments)'

  it.each([
    ['decrypt', 'transit/decrypt/payments update'],
    ['decrypt', 'transit/decrypt/* update'],
    ['decrypt', '+/decrypt/+ update'],
    ['decrypt', 'transit/decrypt/{{identity.entity.name}} update'],
    ['export it', 'transit/export/encryption-key/payments read'],
    ['export it', 'transit/export/+/payments read'],
    ['export it', 'transit/export/* read'],
    ['export it', 'transit/export/encryption-key/payments/* read'],
    ['export it', 'transit/export/encryption-key/payments/latest read'],
    ['export it', 'transit/export/encryption-key/payments/3 read'],
    ['export it', 'transit/export/+/payments/3 read'],
    ['export it', 'transit/byok-export/wrapping/payments read'],
    ['export it', 'transit/byok-export/wrapping/payments/3 read'],
    ['export it', 'transit/byok-export/w* read'],
    ['back it up in plaintext', 'transit/backup/payments read'],
    ['configure it', 'transit/keys/payments/config update'],
    ['configure it', 'transit/keys/+/config update'],
    ['put another in its place', 'transit/restore/payments update'],
    ['put another in its place', 'transit/restore update'],
  ])('%s: %s', (may, line) => {
    expect(toldOf([line])).toBe(`${may} ${KEY}`)
  })

  it.each([
    ['write policies', 'sys/policies/acl/anything update'],
    ['write policies', 'sys/policies/acl/team-* create update'],
    ['write policies', 'sys/policies/* update'],
    ['write policies', 'sys/policy/anything update'],
    ['give policies to whoever logs in', 'auth/kubernetes/role/anything create'],
    ['give policies to whoever logs in', 'auth/kubernetes/role/keyhole update'],
    ['give policies to whoever logs in', 'auth/approle/role/anything update'],
    ['give policies to whoever logs in', 'auth/token/roles/anything update'],
    ['give policies to whoever logs in', 'auth/userpass/users/+ create'],
    ['give policies to whoever logs in', 'auth/ldap/groups/* update'],
    ['give policies to whoever logs in', 'auth/cert/certs/anything update'],
    ['give policies to whoever logs in', 'identity/entity update'],
    ['give policies to whoever logs in', 'identity/entity/id/+ update'],
    ['give policies to whoever logs in', 'identity/group/name/anything update'],
    ['give policies to whoever logs in', 'identity/* update'],
    ['make tokens of any policy', 'auth/token/create update sudo'],
    ['make tokens of any policy', 'auth/token/create-orphan update sudo'],
    ['make tokens of any policy', 'auth/token/create/any update sudo'],
    ['give policies to whoever logs in', 'auth/github/map/teams/+ update'],
    ['have another API server review tokens', 'auth/kubernetes/config update'],
    ['move the keys to another path', 'sys/remount update sudo'],
    ['have values written to the audit log', 'sys/mounts/transit/tune update'],
    ['open an audit log', 'sys/audit/file update sudo'],
    ['read what Vault stores', 'sys/raw/* read sudo'],
    ['read what Vault stores', 'sys/raw/logical/* read sudo'],
  ])('%s, which opens a way: %s', (may, line) => {
    expect(toldOf([line])).toBe(may)
  })

  it('give policies to whoever logs in where our auth method is, also below another path', () => {
    const there = new Map([['theirs', readPolicy('path "auth/clusters/a/role/x" { capabilities = ["create"] }')]])
    expect(told({ policies: { there } }, ['payments'], 'clusters/a')[0]).toMatchObject({ kind: 'note' })
    expect(told({ policies: { there } }, ['payments'], 'clusters/b')[0]).toMatchObject({ kind: 'ok' })
  })

  it('give policies to whoever logs in by a method below another path', () => {
    const there = new Map([['theirs', readPolicy('path "auth/teams/users/users/x" { capabilities = ["update"] }')]])
    const policies = { there }
    const authMethods = { there: new Map([['teams/users', { type: 'userpass', config: {} }]]) }
    expect(told({ policies, authMethods })[0]).toMatchObject({ kind: 'note' })
    expect(told({ policies })[0]).toMatchObject({ kind: 'ok' })
  })

  it('do all of it, as an administrator may', () => {
    expect(toldOf(['* create read update delete list sudo'])).toBe(
      `decrypt, export it, back it up in plaintext, configure it, put another in its place ${KEY}; write policies; give policies to whoever logs in; make tokens of any policy; have another API server review tokens; move the keys to another path; have values written to the audit log; open an audit log; read what Vault stores`,
    )
  })

  it('do it by the second of two rules for one path, which add up', () => {
    expect(toldOf(['transit/decrypt/payments read', 'transit/decrypt/payments update'])).toBe(`decrypt ${KEY}`)
  })

  it('do it but for what a rule denies that depends on who asks', () => {
    expect(toldOf(['transit/decrypt/{{identity.entity.name}} deny', 'transit/decrypt/* update'])).toBe(`decrypt ${KEY}`)
  })

  it('do it with some of the keys, of which three are named', () => {
    const keys = ['a', 'b', 'c', 'd', 'e']
    expect(toldOf(['transit/decrypt/* update', 'transit/decrypt/c deny'], keys)).toBe(
      'decrypt (transit/keys/a); decrypt (transit/keys/b); decrypt (transit/keys/d); and 1 more of the keys',
    )
    expect(toldOf(['transit/decrypt/b update'], keys)).toBe('decrypt (transit/keys/b)')
  })
})

describe('another policy is not told of that lets somebody', () => {
  it.each([
    'transit/encrypt/payments create update',
    'transit/decrypt/payments read list create delete sudo',
    'transit/decrypt/bi update',
    'transit/decrypt/payments/x update',
    'other/decrypt/payments update',
    'transit/rewrap/payments update',
    'transit/keys/payments read list',
    'transit/keys/payments/rotate update',
    'transit/keys/payments/config read create',
    'transit/export/hmac-key/payments read',
    'transit/export/encryption-key/bi/1 read',
    'transit/export/encryption-key/payments list update',
    'transit/backup/payments update',
    'secret/* create read update delete list sudo',
    'sys/policies/acl/anything read list delete',
    'auth/kubernetes/role/anything read list delete',
    'auth/kubernetes/login update',
    'auth/kubernetes/config read',
    'auth/token/create update',
    'auth/token/create-orphan update',
    'auth/userpass/users/{{identity.entity.name}}/password update',
    'identity/entity/id/{{identity.entity.id}} read',
    'sys/remount update',
    'sys/audit/file update',
    'sys/raw/* read',
    'sys/mounts/other/tune update',
  ])('%s', (line) => {
    expect(toldOf([line])).toBeUndefined()
  })

  it.each([
    ['what the exact path denies', ['transit/decrypt/payments deny', 'transit/* update']],
    ['what a longer prefix does not give', ['transit/decrypt/* list', 'transit/* update']],
    ['what one of two rules for the path denies', ['transit/decrypt/payments update', 'transit/decrypt/payments deny']],
  ])('%s', (_what, lines) => {
    const others = ['keys/*', 'restore', 'restore/*', 'backup/*', 'export/*', 'byok-export/*']
    expect(toldOf([...lines, ...others.map((path) => `transit/${path} deny`)])).toBeUndefined()
  })

  it('nothing', () => {
    expect(toldOf([])).toBeUndefined()
  })
})

describe('the policies', () => {
  it('are well where none is told of', () => {
    expect(told({ policies: { there: new Map([['default', []]]) } })[0]).toEqual({
      kind: 'ok',
      about: 'sys/policies/acl',
      detail: 'no other policy lets anybody decrypt with these keys, or take leave to',
    })
  })

  it('are told of that are not understood', () => {
    expect(told({ policies: { there: new Map([['odd', undefined]]) } })).toMatchObject([
      {
        kind: 'note',
        about: 'sys/policies/acl/odd',
        detail: 'is not understood here: see whether it lets anybody decrypt',
      },
      { kind: 'ok' },
    ])
  })

  it('are said not to be looked at where they may not be', () => {
    expect(told({ policies: 'hidden' })[0]).toEqual({
      kind: 'hidden',
      about: 'sys/policies/acl',
      detail: 'who else may use the keys may not be looked at with this token',
      fix: 'use a token whose policies give "list" and "read" on sys/policies/acl',
    })
  })

  it('are soon read through, however many there are', () => {
    const keys = Array.from({ length: 50 }, (_, at) => `key-${at}`)
    const rules = Array.from(
      { length: 2000 },
      (_, at) => `path "transit/keys/other-${at}/config" { capabilities = ["update"] }`,
    )
    const large = readPolicy(rules.join('\n'))
    const small = readPolicy('path "secret/data/*" { capabilities = ["read"] }')
    const many = Array.from({ length: 5000 }, (_, at) => [`policy-${at}`, small] as const)
    expect(told({ policies: { there: new Map([...many, ['large', large]]) } }, keys)[0]?.kind).toBe('ok')
  })
})

describe('another role', () => {
  const rolesTold = (...roles: readonly (readonly [string, readonly string[]])[]) =>
    told({ roles: { there: new Map(roles) } }).slice(1)

  it.each([
    ['our policy', ['keyhole'], 'keyhole'],
    ['our policy beside its own', ['theirs', 'keyhole-rotate'], 'keyhole-rotate'],
    ['both our policies', ['keyhole', 'keyhole-rotate'], 'keyhole and keyhole-rotate'],
    ['our policy in another case, which a login does not mind', ['KeyHole'], 'keyhole'],
    ['our policy with blanks, which a login does not mind', [' keyhole '], 'keyhole'],
    ['our policy twice', ['keyhole', 'Keyhole'], 'keyhole'],
  ])('is told of that gives %s', (_what, policies, named) => {
    expect(rolesTold(['theirs', policies])).toEqual([
      {
        kind: 'note',
        about: 'auth/kubernetes/role/theirs',
        detail: `gives the policy ${named} as well`,
        fix: `take ${named} off its token_policies, unless it is another of your installations`,
      },
    ])
  })

  it('is not told of that gives others, and what was not looked at is said', () => {
    expect(rolesTold(['theirs', ['keyhole2', 'key', 'default']], ['none', []])).toEqual([
      {
        kind: 'ok',
        about: 'auth/kubernetes/role',
        detail: 'no other role gives these policies; other auth methods are not looked at',
      },
    ])
  })

  it('is said not to be looked at where they may not be listed', () => {
    expect(told({ roles: 'hidden' }).slice(1)).toEqual([
      {
        kind: 'hidden',
        about: 'auth/kubernetes/role',
        detail: 'which other roles there are may not be looked at with this token',
        fix: 'use a token whose policies give "list" and "read" on auth/kubernetes/role',
      },
    ])
  })
})

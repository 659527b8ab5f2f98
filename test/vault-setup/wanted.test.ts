/** What a policy asks of Vault, and never more. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { VAULT_NAME, VAULT_PATH } from '../../src/label.ts'
import type { Rule } from '../../src/vault-setup/rules.ts'
import { capabilitiesAt, ruleOf, ruleText } from '../../src/vault-setup/rules.ts'
import type { Wanted, WantedOptions } from '../../src/vault-setup/wanted.ts'
import { contradictions, pathOf, wantedIn, withoutReviewerToken } from '../../src/vault-setup/wanted.ts'
import { grant, policyFrom, transitKey } from '../policy/documents.ts'
import { OPTIONS } from './options.ts'

const ROTATED = { rotation: { admins: [{ namespace: 'keyhole', serviceAccount: 'keyhole-cron' }] } }

function wanted(documents: readonly unknown[], options: Partial<WantedOptions> = {}): Wanted {
  return wantedIn(policyFrom(...documents), { ...OPTIONS, ...options })
}

/** By role, in sentences. */
function given({ roles }: Wanted): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(roles.map(({ name, rules }) => [name, rules.map(ruleText)]))
}

describe('what a policy asks for', () => {
  it('is to decrypt, and to look, with a key that nobody may rotate', () => {
    expect(given(wanted([transitKey()]))).toEqual({
      keyhole: ['update on transit/decrypt/payments'],
      'keyhole-rotate': ['read on transit/keys/payments'],
    })
  })

  it('is what a rotation takes with a key that somebody may rotate, and of its configuration one parameter', () => {
    const { roles } = wanted([transitKey(ROTATED)])
    expect(roles.map(({ does, rules }) => [does, rules])).toEqual([
      ['reads', [ruleOf('transit/decrypt/payments', ['update'])]],
      [
        'rotates',
        [
          ruleOf('transit/rewrap/payments', ['update']),
          ruleOf('transit/keys/payments', ['read']),
          ruleOf('transit/keys/payments/rotate', ['update']),
          ruleOf('transit/keys/payments/config', ['update'], { min_decryption_version: [] }),
        ],
      ],
    ])
  })

  it('is nothing for a rotator that there is none of', () => {
    const { reader } = OPTIONS.identities
    expect(given(wanted([transitKey(ROTATED)], { identities: { reader } }))).toEqual({
      keyhole: ['update on transit/decrypt/payments'],
    })
  })

  it('is nothing for what no key is named for', () => {
    const { mounts, keys, roles } = wanted([grant()])
    expect([mounts, keys, roles]).toEqual([[], [], []])
  })

  it('is every key once, mounts too, whatever the order of the documents', () => {
    const documents = [
      transitKey({}, 'b'),
      transitKey({ mount: 'team/transit' }, 'a'),
      transitKey({}, 'a.b'),
      transitKey({}, 'c'),
    ]
    const { mounts, keys, roles } = wanted(documents)
    expect(mounts).toEqual(['team/transit', 'transit'])
    expect(keys.map(pathOf)).toEqual(['team/transit/keys/a', 'transit/keys/a.b', 'transit/keys/b', 'transit/keys/c'])
    expect(given({ roles } as Wanted)['keyhole']).toEqual([
      'update on team/transit/decrypt/a',
      'update on transit/decrypt/a.b',
      'update on transit/decrypt/b',
      'update on transit/decrypt/c',
    ])
    expect(wanted(documents.toReversed())).toEqual(wanted(documents))
  })

  it('is a key that derives, but for binding: none, which is none to be made', () => {
    const { keys } = wanted([transitKey({}, 'a'), transitKey({ binding: 'none' }, 'b')])
    expect(keys).toEqual([
      { mount: 'transit', name: 'a', derived: true },
      { mount: 'transit', name: 'b', derived: false },
    ])
  })

  it('is the ServiceAccounts, the audience and the auth method that were asked for', () => {
    const auth = { mount: 'kubernetes-b', type: 'kubernetes', kubernetes: { host: 'https://b:6443' } }
    const identities = { reader: { namespace: 'a', name: 'b' }, rotator: { namespace: 'c', name: 'd' } }
    const asked = wanted([transitKey()], { auth, identities, audience: 'https://vault' })
    expect(asked.auth).toEqual(auth)
    expect(asked.roles.map(({ account, audience }) => [account, audience])).toEqual([
      [identities.reader, 'https://vault'],
      [identities.rotator, 'https://vault'],
    ])
  })

  it('is a role of its own for the keys that name one, and the keys of one role together', () => {
    const own = { vaultRoles: { read: 'bi-reads', rotate: 'bi-rotates' } }
    const documents = [
      transitKey(own, 'a'),
      transitKey(own, 'b'),
      transitKey({ vaultRoles: { read: 'bi-reads' } }, 'c'),
      transitKey(),
    ]
    expect(wanted(documents).roles.map(({ name: own }) => own)).toEqual([
      'bi-reads',
      'bi-rotates',
      'keyhole',
      'keyhole-rotate',
    ])
    expect(given(wanted(documents))).toEqual({
      'bi-reads': ['a', 'b', 'c'].map((key) => `update on transit/decrypt/${key}`),
      'bi-rotates': ['a', 'b'].map((key) => `read on transit/keys/${key}`),
      keyhole: ['update on transit/decrypt/payments'],
      'keyhole-rotate': ['c', 'payments'].map((key) => `read on transit/keys/${key}`),
    })
  })

  it('is one role for names that Vault takes for one', () => {
    const documents = [transitKey({ vaultRoles: { read: 'BI' } }, 'a'), transitKey({ vaultRoles: { read: 'bi' } }, 'b')]
    expect(given(wanted(documents, { identities: { reader: OPTIONS.identities.reader } }))).toEqual({
      bi: ['update on transit/decrypt/a', 'update on transit/decrypt/b'],
    })
  })
})

describe('a contradiction', () => {
  const of = (document: unknown, options: Partial<WantedOptions> = {}) => contradictions(wanted([document], options))

  it('is none in what is usual', () => {
    expect(of(transitKey(ROTATED))).toEqual([])
    expect(of(transitKey({ mount: 'systems/authority' }))).toEqual([])
    expect(of(transitKey({ mount: 'team/sys' }))).toEqual([])
  })

  const BOTH = 'is to read and to rotate: whoever rotates could decrypt. Name another for either.'

  it.each([
    ['the same is configured', {}, { roles: { read: 'one', rotate: 'one' } }],
    ['the same in another case is', {}, { roles: { read: 'one', rotate: 'One' } }],
    ['a key names the same', { vaultRoles: { read: 'one', rotate: 'one' } }, {}],
    [
      'a key names for reading what is configured for rotating',
      { vaultRoles: { read: 'keyhole-rotate', rotate: 'one' } },
      { roles: { read: 'x', rotate: 'keyhole-rotate' } },
    ],
  ])('is a role that would read and rotate, where %s', (what, spec, options) => {
    const documents = [transitKey(spec), transitKey({}, 'other')]
    const name = what.includes('configured for') ? 'keyhole-rotate' : 'one'
    expect(contradictions(wanted(documents, options))).toEqual([`The Vault role ${name} ${BOTH}`])
  })

  it('is none where one ServiceAccount has both roles, as where one Deployment does both', () => {
    const { reader } = OPTIONS.identities
    expect(of(transitKey(), { identities: { reader, rotator: reader } })).toEqual([])
  })

  it('is a mount below another, which Vault does not make', () => {
    const documents = [transitKey({ mount: 'teams' }), transitKey({ mount: 'teams/bi' }, 'bi')]
    expect(contradictions(wanted(documents))).toEqual([
      'No Transit secrets engine can be at teams/bi, which is below another. Name another mount.',
    ])
  })

  it.each(['root', 'default', 'response-wrapping', 'control-group', 'Root'])(
    "is a role called %s, whose policy would be Vault's own",
    (read) => {
      expect(of(transitKey({ vaultRoles: { read } }))).toEqual([
        `A Vault role gives the policy of its own name, and Vault keeps the policy ${read.toLowerCase()} for itself. Name another role.`,
      ])
    },
  )

  it.each(['sys', 'sys/policies/acl', 'auth/kubernetes/role', 'auth', 'identity', 'cubbyhole', 'audit'])(
    'is the mount %s, below which rules would be about Vault itself',
    (mount) => {
      expect(of(transitKey({ mount }))).toEqual([
        `No Transit secrets engine can be at ${mount}, which is Vault's own. Name another mount.`,
      ])
    },
  )
})

describe("without the reviewer's token", () => {
  const kubernetes = { host: 'https://b:6443', ca: { file: 'ca.crt', text: 'pem' }, reviewerTokenFile: 'token' }

  it('the rest is as it was', () => {
    const whole = wanted([transitKey()], { auth: { ...OPTIONS.auth, kubernetes } })
    const { host, ca } = kubernetes
    expect(withoutReviewerToken(whole)).toEqual({ ...whole, auth: { ...OPTIONS.auth, kubernetes: { host, ca } } })
  })

  it('no API server is named where none was', () => {
    const whole = wanted([transitKey()])
    expect(withoutReviewerToken(whole)).toEqual(whole)
  })
})

const name = fc.stringMatching(/^\w([\w.-]{0,6}\w)?$/).filter((one) => VAULT_NAME.test(one))
const mount = fc
  .array(fc.oneof(fc.constantFrom('transit', 'keys', 'decrypt'), name), { minLength: 1, maxLength: 2 })
  .map((names) => names.join('/'))
  .filter((one) => VAULT_PATH.test(one))
const role = fc.constantFrom('one', 'Two', 'three')

const keys = fc.uniqueArray(
  fc.record(
    { name, mount, binding: fc.constantFrom('place', 'none'), isRotated: fc.boolean(), read: role, rotate: role },
    { requiredKeys: ['name', 'mount', 'binding', 'isRotated'] },
  ),
  { selector: (key) => key.name, maxLength: 5 },
)

describe('whatever the policy', () => {
  const holds = (property: (asked: Wanted, isRotated: ReadonlySet<string>) => void) =>
    fc.assert(
      fc.property(keys, (all) => {
        const documents = all.map(({ name: own, mount: at, binding, isRotated, read, rotate }) => {
          const vaultRoles = { ...(read && { read }), ...(rotate && { rotate: `${rotate}-rotates` }) }
          return transitKey({ mount: at, binding, vaultRoles, ...(isRotated && ROTATED) }, own)
        })
        if (documents.length === 0) return
        const rotated = all.filter((key) => key.isRotated)
        property(wanted(documents), new Set(rotated.map(pathOf)))
      }),
      { numRuns: 300 },
    )

  const rulesOf = (asked: Wanted, does: string): readonly Rule[] =>
    asked.roles.filter((one) => one.does === does).flatMap(({ rules }) => rules)

  it('whoever reads may decrypt with each key, by name, and no more', () => {
    holds((asked) => {
      const paths = asked.keys.map((key) => `${key.mount}/decrypt/${key.name}`)
      expect(rulesOf(asked, 'reads').toSorted(byPath)).toEqual(
        paths.map((path) => ruleOf(path, ['update'])).toSorted(byPath),
      )
    })
  })

  it('whoever rotates can decrypt with none, get none out, make none, and set one parameter alone', () => {
    holds((asked, rotated) => {
      const rules = rulesOf(asked, 'rotates')
      for (const key of asked.keys) {
        const at = (path: string) => capabilitiesAt(rules, path)
        const isRotated = rotated.has(pathOf(key))
        for (const verb of [
          'decrypt',
          'encrypt',
          'backup',
          'restore',
          'export/encryption-key',
          'datakey/plaintext',
          'hmac',
          'sign',
        ]) {
          // Unless another mount makes the same path of it.
          const path = `${key.mount}/${verb}/${key.name}`
          if (!rules.some((rule) => rule.path === path)) expect(at(path)).toEqual([])
        }
        expect(at(pathOf(key))).toEqual(['read'])
        expect(at(`${pathOf(key)}/config`)).toEqual(isRotated ? ['update'] : [])
        expect(at(`${pathOf(key)}/rotate`)).toEqual(isRotated ? ['update'] : [])
        for (const more of ['trim', 'import', 'import_version', 'x']) expect(at(`${pathOf(key)}/${more}`)).toEqual([])
      }
      for (const { path, capabilities, allowedParameters, conditions } of rules) {
        expect([['read'], ['update']]).toContainEqual(capabilities)
        expect(conditions).toEqual([])
        expect(allowedParameters).toEqual(path.endsWith('/config') ? { min_decryption_version: [] } : undefined)
      }
    })
  })

  it('no rule is a pattern, and no role has a path twice', () => {
    holds((asked) => {
      for (const { rules, name: own } of asked.roles) {
        expect(own).toBe(own.toLowerCase())
        expect(rules.every(({ path }) => VAULT_PATH.test(path))).toBe(true)
        expect(new Set(rules.map(({ path }) => path)).size).toBe(rules.length)
      }
    })
  })
})

function byPath(a: Rule, b: Rule): number {
  return Number(a.path > b.path) - Number(a.path < b.path)
}

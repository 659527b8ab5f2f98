/** Who else may come at the keys of a policy. None of it is keyhole's to change, and all of it is worth knowing. */
import type { Finding } from './finding.ts'
import { ok } from './finding.ts'
import type { Found, Others } from './found.ts'
import { isThere } from './found.ts'
import type { Rule } from './rules.ts'
import { capabilitiesAt, mayFitBelow, pathsOf } from './rules.ts'
import type { Wanted, WantedKey } from './wanted.ts'
import { pathOf } from './wanted.ts'

interface Danger<About> {
  readonly may: string
  /** Each alone is enough. */
  readonly needs: readonly string[]
  /** Vault asks for this as well. */
  readonly sudo?: true
  /** `+` is any segment. */
  paths(about: About): readonly string[]
}

/** What lets a value or the key itself out, or opens the way for that. */
const WITH_A_KEY: readonly Danger<WantedKey>[] = [
  { may: 'decrypt', needs: ['update'], paths: ({ mount, name }) => [`${mount}/decrypt/${name}`] },
  {
    may: 'export it',
    needs: ['read'],
    paths: ({ mount, name }) =>
      [`${mount}/export/encryption-key/${name}`, `${mount}/byok-export/+/${name}`].flatMap((all) => [all, `${all}/+`]),
  },
  { may: 'back it up in plaintext', needs: ['read'], paths: ({ mount, name }) => [`${mount}/backup/${name}`] },
  { may: 'configure it', needs: ['update'], paths: (key) => [`${pathOf(key)}/config`] },
  {
    // One that they know: what is encrypted from then on opens for them.
    may: 'put another in its place',
    needs: ['update'],
    paths: ({ mount, name }) => [`${mount}/restore/${name}`, `${mount}/restore`],
  },
]

interface Around {
  readonly wanted: Wanted
  /** Paths of all auth methods. */
  readonly methods: readonly string[]
}

/** What lets somebody take leave to do that, or go round Vault's policies. */
const WITH_VAULT: readonly Danger<Around>[] = [
  { may: 'write policies', needs: ['update'], paths: () => ['sys/policies/acl/+', 'sys/policy/+'] },
  {
    may: 'give policies to whoever logs in',
    needs: ['create', 'update'],
    paths: ({ methods }) => [
      ...['role', 'roles', 'users', 'groups', 'certs', 'map/+'].flatMap((kind) =>
        methods.map((method) => `auth/${method}/${kind}/+`),
      ),
      ...['identity/entity', 'identity/group'].flatMap((kind) => [kind, `${kind}/id/+`, `${kind}/name/+`]),
    ],
  },
  {
    may: 'make tokens of any policy',
    needs: ['update'],
    sudo: true,
    paths: () => ['auth/token/create', 'auth/token/create-orphan', 'auth/token/create/+'],
  },
  {
    may: 'have another API server review tokens',
    needs: ['update'],
    paths: ({ wanted }) => [`auth/${wanted.auth.mount}/config`],
  },
  { may: 'move the keys to another path', needs: ['update'], sudo: true, paths: () => ['sys/remount'] },
  {
    may: 'have values written to the audit log',
    needs: ['update'],
    paths: ({ wanted }) => wanted.mounts.map((mount) => `sys/mounts/${mount}/tune`),
  },
  { may: 'open an audit log', needs: ['update'], sudo: true, paths: () => ['sys/audit/+'] },
  { may: 'read what Vault stores', needs: ['read'], sudo: true, paths: () => ['sys/raw/+', 'sys/raw/+/+'] },
]

export function othersOf(wanted: Wanted, { others, authMethods }: Found): readonly Finding[] {
  const seen = isThere(authMethods) ? [...authMethods.there.keys()] : []
  const methods = [...new Set(['+', wanted.auth.mount, ...seen])]
  return [...policyNotes({ wanted, methods }, others.policies), ...roleNotes(wanted, others.roles)]
}

function policyNotes(around: Around, policies: Others['policies']): readonly Finding[] {
  const { wanted } = around
  const about = 'sys/policies/acl'
  if (policies === 'hidden') {
    const fix = `use a token whose policies give "list" and "read" on ${about}`
    return [{ kind: 'hidden', about, detail: 'who else may use the keys may not be looked at with this token', fix }]
  }
  const notes = [...policies.there].flatMap(([name, rules]): readonly Finding[] => {
    const at = `${about}/${name}`
    if (rules === undefined) {
      return [{ kind: 'note', about: at, detail: 'is not understood here: see whether it lets anybody decrypt' }]
    }
    // Most of a large Vault's rules are about other mounts, and there may be many keys.
    const near = rules.filter(({ path }) => wanted.mounts.some((mount) => mayFitBelow(path, `${mount}/`)))
    const may = [...listed(wanted.keys.flatMap((key) => withKey(near, key))), ...given(rules, WITH_VAULT, around)]
    return may.length === 0 ? [] : [{ kind: 'note', about: at, detail: `whoever has it may ${may.join('; ')}` }]
  })
  return notes.length > 0
    ? notes
    : [ok(about, 'no other policy lets anybody decrypt with these keys, or take leave to')]
}

function withKey(rules: readonly Rule[], key: WantedKey): readonly string[] {
  const may = given(rules, WITH_A_KEY, key)
  return may.length === 0 ? [] : [`${may.join(', ')} (${pathOf(key)})`]
}

function given<About>(rules: readonly Rule[], dangers: readonly Danger<About>[], about: About): readonly string[] {
  const isGiven = ({ needs, sudo, paths }: Danger<About>) =>
    paths(about)
      .flatMap((pattern) => pathsOf(pattern, rules))
      .map((path) => capabilitiesAt(rules, path))
      .some((has) => needs.some((one) => has.includes(one)) && (sudo === undefined || has.includes('sudo')))
  return dangers.filter(isGiven).map(({ may }) => may)
}

const MOST_KEYS_TOLD = 3

function listed(texts: readonly string[]): readonly string[] {
  if (texts.length <= MOST_KEYS_TOLD) return texts
  return [...texts.slice(0, MOST_KEYS_TOLD), `and ${texts.length - MOST_KEYS_TOLD} more of the keys`]
}

function roleNotes({ auth, roles }: Wanted, seen: Others['roles']): readonly Finding[] {
  const about = `auth/${auth.mount}/role`
  if (seen === 'hidden') {
    const fix = `use a token whose policies give "list" and "read" on ${about}`
    return [{ kind: 'hidden', about, detail: 'which other roles there are may not be looked at with this token', fix }]
  }
  const own = new Set(roles.map(({ name }) => name))
  const notes = [...seen.there].flatMap(([name, policies]): readonly Finding[] => {
    if (policies === 'hidden') {
      return [{ kind: 'hidden', about: `${about}/${name}`, detail: 'may not be looked at with this token' }]
    }
    // A login takes them in lower case.
    const shared = [...new Set(policies.map((policy) => policy.trim().toLowerCase()))].filter((one) => own.has(one))
    if (shared.length === 0) return []
    const fix = `take ${shared.join(' and ')} off its token_policies, unless it is another of your installations`
    return [
      { kind: 'note', about: `${about}/${name}`, detail: `gives the policy ${shared.join(' and ')} as well`, fix },
    ]
  })
  return notes.length > 0
    ? notes
    : [ok(about, 'no other role gives these policies; other auth methods are not looked at')]
}

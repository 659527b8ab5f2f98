/** Who else may come at the keys of a policy. None of it is keyhole's to change, and all of it is worth knowing. */
import type { Finding } from './differences.ts'
import type { Found } from './found.ts'
import type { Rule } from './rules.ts'
import { deciding } from './rules.ts'
import type { Wanted, WantedKey } from './wanted.ts'
import { pathOf } from './wanted.ts'

/** What lets a value or the key itself out, or opens the way for that. */
const DANGERS: readonly { readonly may: string; readonly needs: readonly string[]; path(key: WantedKey): string }[] = [
  { may: 'decrypt', needs: ['update'], path: ({ mount, name }) => `${mount}/decrypt/${name}` },
  { may: 'export it', needs: ['read'], path: ({ mount, name }) => `${mount}/export/encryption-key/${name}` },
  { may: 'back it up in plaintext', needs: ['read'], path: ({ mount, name }) => `${mount}/backup/${name}` },
  { may: 'configure it', needs: ['update'], path: (key) => `${pathOf(key)}/config` },
]

export function othersOf(wanted: Wanted, { others }: Found): readonly Finding[] {
  return [...policyNotes(wanted, others.policies), ...roleNotes(wanted, others.roles)]
}

function policyNotes({ keys }: Wanted, policies: Found['others']['policies']): readonly Finding[] {
  const about = 'sys/policies/acl'
  if (policies === 'unseen' || policies === undefined) {
    const fix = `use a token whose policies give "list" and "read" on ${about}`
    return [{ status: 'skip', about, detail: 'who else may use the keys may not be looked at with this token', fix }]
  }
  const notes = [...policies].flatMap(([name, rules]): readonly Finding[] => {
    const at = `${about}/${name}`
    if (rules === undefined) {
      return [{ status: 'note', about: at, detail: 'is not understood here: see whether it lets anybody decrypt' }]
    }
    const may = keys.flatMap((key) => dangers(rules, key))
    return may.length === 0 ? [] : [{ status: 'note', about: at, detail: `whoever has it may ${listed(may)}` }]
  })
  return notes.length > 0
    ? notes
    : [{ status: 'ok', about, detail: 'no other policy lets anybody decrypt with these keys' }]
}

function dangers(rules: readonly Rule[], key: WantedKey): readonly string[] {
  const may = DANGERS.filter(({ needs, path }) => {
    const { capabilities = [] } = deciding(rules, path(key)) ?? {}
    return needs.some((capability) => capabilities.includes(capability))
  })
  return may.length === 0 ? [] : [`${may.map((one) => one.may).join(', ')} (${pathOf(key)})`]
}

const MOST_LISTED = 3

function listed(texts: readonly string[]): string {
  const shown = texts.slice(0, MOST_LISTED).join('; ')
  return texts.length <= MOST_LISTED ? shown : `${shown}; and the same of ${texts.length - MOST_LISTED} keys more`
}

function roleNotes({ auth, roles }: Wanted, seen: Found['others']['roles']): readonly Finding[] {
  const about = `auth/${auth.mount}/role`
  if (seen === 'unseen' || seen === undefined) {
    const fix = `use a token whose policies give "list" and "read" on ${about}`
    return [{ status: 'skip', about, detail: 'which other roles there are may not be looked at with this token', fix }]
  }
  const own = new Set(roles.map(({ name }) => name))
  return [...seen].flatMap(([name, policies]): readonly Finding[] => {
    const shared = policies.filter((policy) => own.has(policy))
    if (shared.length === 0) return []
    const fix = `take ${shared.join(' and ')} off its token_policies, unless it is another of your installations`
    return [
      { status: 'note', about: `${about}/${name}`, detail: `gives the policy ${shared.join(' and ')} as well`, fix },
    ]
  })
}

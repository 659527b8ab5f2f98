/** A role of the auth method, as it should be. */
import { shellWord } from '../words.ts'
import type { Finding } from './finding.ts'
import { ok, unseen } from './finding.ts'
import type { Found } from './found.ts'
import { ownerIn, ownerOf } from './policy-text.ts'
import type { Fields } from './port.ts'
import { roleFlaws } from './role-flaws.ts'
import type { WantedAuth, WantedRole } from './wanted.ts'
import { TOKEN_TTL_SECONDS } from './wanted.ts'

export function roleFinding(role: WantedRole, auth: WantedAuth, { roles, policies }: Found): Finding {
  const seen = roles.get(role.name)
  const about = `auth/${auth.mount}/role/${role.name}`
  if (seen === 'unseen') return unseen(about, about)
  const { namespace, name } = role.account
  const data = {
    audience: role.audience,
    bound_service_account_names: [name],
    bound_service_account_namespaces: [namespace],
    token_policies: [role.name],
    token_no_default_policy: true,
    token_type: 'batch',
    token_ttl: TOKEN_TTL_SECONDS,
  }
  const words = Object.entries(data).map(
    ([field, value]) => `${field}=${shellWord(String(value))}${field === 'token_ttl' ? 's' : ''}`,
  )
  const write = { path: about, data, command: `vault write ${about} ${words.join(' ')}` }
  if (seen === undefined) {
    return {
      status: 'lacks',
      about,
      detail: `is not there: for ${namespace}/${name}, audience ${role.audience}`,
      write,
    }
  }
  const text = policies.get(role.name)
  const isPolicyOurs = text !== undefined && ownerIn(text) === ownerOf(role, auth.mount)
  const flaws = roleFlaws(role, seen, isPolicyOurs)
  if (flaws === 'not-ours') {
    return {
      status: 'lacks',
      about,
      detail: `does not let ${namespace}/${name} in, or lets in others as well, so it may be somebody else's`,
      fix: 'give this installation Vault roles of other names (--read-role, --rotate-role, and the same in its settings), name its ServiceAccounts (--reader, --rotator), or take the others off it',
      stops: true,
    }
  }
  if (flaws.wide.length + flaws.lacks.length === 0) {
    return ok(
      about,
      `batch tokens of ${TOKEN_TTL_SECONDS} s at most for ${namespace}/${name}, audience ${role.audience}`,
    )
  }
  // All of it, so that the command makes the role what it should be wherever it is typed.
  const selector = 'bound_service_account_namespace_selector'
  const none: Fields = {
    ...Object.fromEntries(flaws.unset.map((field) => [field, 0])),
    ...((seen[selector] ?? '') !== '' && { [selector]: '' }),
  }
  return {
    status: flaws.wide.length > 0 ? 'wide' : 'lacks',
    about,
    detail: [...flaws.wide, ...flaws.lacks].join('; '),
    write: {
      ...write,
      data: { ...data, ...none },
      command: [write.command, ...Object.entries(none).map(([field, value]) => `${field}=${String(value)}`)].join(' '),
    },
  }
}

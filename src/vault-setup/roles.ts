/** A role of the auth method, as it should be. */
import { shellWord } from '../words.ts'
import type { Finding, Write } from './finding.ts'
import { hidden, ok } from './finding.ts'
import type { Found } from './found.ts'
import { isThere, seenAt } from './found.ts'
import { ownerIn, ownerOf } from './policy-text.ts'
import type { Fields } from './port.ts'
import type { RoleFlaws } from './role-flaws.ts'
import { roleFlaws } from './role-flaws.ts'
import type { WantedAuth, WantedRole } from './wanted.ts'
import { TOKEN_TTL_SECONDS } from './wanted.ts'

export function roleFinding(role: WantedRole, auth: WantedAuth, { roles, policies }: Found): Finding {
  const about = `auth/${auth.mount}/role/${role.name}`
  const account = `${role.account.namespace}/${role.account.name}`
  const seen = seenAt(roles, role.name)
  if (seen === 'hidden') return hidden(about, about)
  if (seen === 'missing') {
    const detail = `is not there: for ${account}, audience ${role.audience}`
    return { kind: 'mendable', flaw: 'lacks', about, detail, write: roleWrite(about, role, {}) }
  }
  const policy = seenAt(policies, role.name)
  const isPolicyOurs = isThere(policy) && ownerIn(policy.there) === ownerOf(role, auth.mount)
  const flaws = roleFlaws(role, seen.there, isPolicyOurs)
  if (flaws === 'not-ours') {
    return {
      kind: 'blocked',
      flaw: 'lacks',
      about,
      detail: `does not let ${account} in, or lets in others as well, so it may be somebody else's`,
      fix: 'give this installation Vault roles of other names (--read-role, --rotate-role, and the same in its settings), name its ServiceAccounts (--reader, --rotator), or take the others off it',
    }
  }
  if (flaws.wide.length + flaws.lacks.length === 0) {
    return ok(about, `batch tokens of ${TOKEN_TTL_SECONDS} s at most for ${account}, audience ${role.audience}`)
  }
  return {
    kind: 'mendable',
    flaw: flaws.wide.length > 0 ? 'wide' : 'lacks',
    about,
    detail: [...flaws.wide, ...flaws.lacks].join('; '),
    write: roleWrite(about, role, toNone(flaws, seen.there)),
  }
}

/**
 * All of the role, so that the command makes it what it should be wherever it is typed.
 * @param none fields that it has beside, and should not.
 */
function roleWrite(path: string, { name, account, audience }: WantedRole, none: Fields): Write {
  const data = {
    audience,
    bound_service_account_names: [account.name],
    bound_service_account_namespaces: [account.namespace],
    token_policies: [name],
    token_no_default_policy: true,
    token_type: 'batch',
    token_ttl: TOKEN_TTL_SECONDS,
  }
  const words = [
    ...Object.entries(data).map(
      ([field, value]) => `${field}=${shellWord(String(value))}${field === 'token_ttl' ? 's' : ''}`,
    ),
    ...Object.entries(none).map(([field, value]) => `${field}=${String(value)}`),
  ]
  return { path, data: { ...data, ...none }, command: `vault write ${path} ${words.join(' ')}` }
}

function toNone({ unset }: RoleFlaws, there: Fields): Fields {
  const selector = 'bound_service_account_namespace_selector'
  return {
    ...Object.fromEntries(unset.map((field) => [field, 0])),
    ...((there[selector] ?? '') !== '' && { [selector]: '' }),
  }
}

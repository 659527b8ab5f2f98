/** The policy of a role: whose it is, and how it differs from the rules that are wanted. */
import type { Finding, Status } from './finding.ts'
import { ok, unseen } from './finding.ts'
import type { Found } from './found.ts'
import { policyText } from './policy-text.ts'
import { wordsIn } from './read-fields.ts'
import { readPolicy } from './read-policy.ts'
import { roleFlaws } from './role-flaws.ts'
import type { Rule } from './rules.ts'
import { isSameRule, ruleText } from './rules.ts'
import type { Wanted, WantedRole } from './wanted.ts'

export function policyFinding(role: WantedRole, wanted: Wanted, found: Found): Finding {
  const about = `sys/policies/acl/${role.name}`
  const seen = found.policies.get(role.name)
  if (seen === 'unseen') return unseen(about, about)
  const write = {
    path: about,
    data: { policy: policyText(role) },
    command: `vault policy write ${role.name} ${role.name}.hcl`,
  }
  if (seen === undefined) return { status: 'lacks', about, detail: `is not there: ${listed(role.rules)}`, write }
  const rules = readPolicy(seen)
  const { status, detail } =
    rules === undefined
      ? { status: 'wide' as const, detail: 'is written in a way that is not understood here' }
      : policyFlaws(role.rules, rules)
  if (status === 'ok') return ok(about, `${role.does === 'reads' ? 'decrypts' : 'rotates'}, and nothing else`)
  const others = whyNotOurs(role, rules, wanted, found)
  if (others === undefined) return { status, about, detail, write }
  return {
    status,
    about,
    detail: `${detail}; and ${others}, so it may be somebody else's`,
    fix: 'give this installation Vault roles of other names: --read-role, --rotate-role, and the same in its settings',
    stops: true,
  }
}

/**
 * A policy is one for a whole Vault, and may be another cluster's, or an application's whose name a TransitKey gives. It is ours
 * where our own role gives it already, no other role does, and all that it says is about our mounts.
 */
function whyNotOurs(
  role: WantedRole,
  rules: readonly Rule[] | undefined,
  { auth, mounts }: Wanted,
  found: Found,
): string | undefined {
  const { roles, others } = found
  const seen = roles.get(role.name)
  const isGiven =
    seen !== undefined &&
    seen !== 'unseen' &&
    wordsIn(seen['token_policies']).includes(role.name) &&
    roleFlaws(role, seen) !== 'not-ours'
  if (!isGiven) return `no role ${role.name} of auth/${auth.mount} gives it to keyhole`
  if (rules === undefined) return 'what it gives cannot be told'
  if (!rules.every(({ path }) => mounts.some((mount) => path.startsWith(`${mount}/`)))) {
    return "it gives more than is keyhole's to take away"
  }
  const sharing = others.roles instanceof Map ? [...others.roles].filter(([, given]) => given?.includes(role.name)) : []
  return sharing.length === 0 ? undefined : `the role ${sharing.map(([name]) => name).join(', ')} gives it as well`
}

function policyFlaws(
  wanted: readonly Rule[],
  there: readonly Rule[],
): { readonly status: Status; readonly detail: string } {
  const lacking = wanted.filter((rule) => !there.some((one) => isSameRule(one, rule)))
  const beyond = there.filter((rule, at) => !wanted.some((one) => isSameRule(one, rule)) || isRepeated(there, at))
  const parts = [
    ...(lacking.length === 0 ? [] : [`does not give ${listed(lacking)}`]),
    ...(beyond.length === 0 ? [] : [`gives ${listed(beyond)}, which is not asked for`]),
  ]
  const status = beyond.length > 0 ? 'wide' : lacking.length > 0 ? 'lacks' : 'ok'
  return { status, detail: parts.join('; ') }
}

function isRepeated(rules: readonly Rule[], at: number): boolean {
  return rules.findIndex(({ path }) => path === rules[at]?.path) < at
}

const MOST_LISTED = 5

function listed(rules: readonly Rule[]): string {
  const shown = rules.slice(0, MOST_LISTED).map(ruleText).join('; ')
  return rules.length <= MOST_LISTED ? shown : `${shown}; and ${rules.length - MOST_LISTED} more`
}

/** The policy of a role: whose it is, and how it differs from the rules that are wanted. */
import type { Finding, Status } from './finding.ts'
import { ok, unseen } from './finding.ts'
import type { Found } from './found.ts'
import { ownerIn, ownerOf, policyText } from './policy-text.ts'
import { wordsIn } from './read-fields.ts'
import { readPolicy } from './read-policy.ts'
import { roleFlaws } from './role-flaws.ts'
import type { Rule } from './rules.ts'
import { isSameRule, ruleText } from './rules.ts'
import type { WantedRole } from './wanted.ts'

export function policyFinding(role: WantedRole, authMount: string, found: Found): Finding {
  const about = `sys/policies/acl/${role.name}`
  const seen = found.policies.get(role.name)
  if (seen === 'unseen') return unseen(about, about)
  const write = {
    path: about,
    data: { policy: policyText(role, authMount) },
    command: `vault policy write ${role.name} ${role.name}.hcl`,
  }
  if (seen === undefined) return { status: 'lacks', about, detail: `is not there: ${listed(role.rules)}`, write }
  const rules = readPolicy(seen)
  const { status, detail } =
    rules === undefined
      ? { status: 'wide' as const, detail: 'is written in a way that is not understood here' }
      : policyFlaws(role.rules, rules)
  const others = whyNotOurs(role, authMount, seen, found, status)
  if (others === undefined) {
    return status === 'ok'
      ? ok(about, `${role.does === 'reads' ? 'decrypts' : 'rotates'}, and nothing else`)
      : { status, about, detail, write }
  }
  return {
    status: status === 'ok' ? 'lacks' : status,
    about,
    detail: `${detail === '' ? '' : `${detail}; and `}${others}, so it may be somebody else's`,
    fix: `give this installation Vault roles of other names (--read-role, --rotate-role, and the same in its settings); or, if it is this one's, ${write.command}, which keyhole manifests vault writes`,
    stops: true,
  }
}

/** What says whose it is may be missing from a text that was written by hand, or by Terraform: then our role has to give it. */
function whyNotOurs(
  role: WantedRole,
  authMount: string,
  text: string,
  { roles }: Found,
  status: Status,
): string | undefined {
  const owner = ownerIn(text)
  if (owner === ownerOf(role, authMount)) return undefined
  if (owner !== undefined) return `it says that it is of ${owner}`
  if (status !== 'ok') return 'it does not say whose it is'
  const seen = roles.get(role.name)
  const isGiven =
    seen !== undefined &&
    seen !== 'unseen' &&
    wordsIn(seen['token_policies']).includes(role.name) &&
    roleFlaws(role, seen, false) !== 'not-ours'
  return isGiven ? undefined : `no role ${role.name} of auth/${authMount} gives it to keyhole`
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

const MOST_RULES_TOLD = 5

function listed(rules: readonly Rule[]): string {
  const shown = rules.slice(0, MOST_RULES_TOLD).map(ruleText).join('; ')
  return rules.length <= MOST_RULES_TOLD ? shown : `${shown}; and ${rules.length - MOST_RULES_TOLD} more`
}

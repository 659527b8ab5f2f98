/** The policy of a role: whose it is, and how it differs from the rules that are wanted. */
import type { Finding, Flaw } from './finding.ts'
import { hidden, ok } from './finding.ts'
import type { Found } from './found.ts'
import { isThere, seenAt } from './found.ts'
import { ownerIn, ownerOf, policyText } from './policy-text.ts'
import { wordsIn } from './read-fields.ts'
import { readPolicy } from './read-policy.ts'
import { roleFlaws } from './role-flaws.ts'
import type { Rule } from './rules.ts'
import { isSameRule, ruleText } from './rules.ts'
import type { WantedRole } from './wanted.ts'

export function policyFinding(role: WantedRole, authMount: string, found: Found): Finding {
  const about = `sys/policies/acl/${role.name}`
  const seen = seenAt(found.policies, role.name)
  if (seen === 'hidden') return hidden(about, about)
  const write = {
    path: about,
    data: { policy: policyText(role, authMount) },
    command: `vault policy write ${role.name} ${role.name}.hcl`,
  }
  if (seen === 'missing') {
    return { kind: 'mendable', flaw: 'lacks', about, detail: `is not there: ${listed(role.rules)}`, write }
  }
  const wrong = wrongRules(role.rules, readPolicy(seen.there))
  const doubt = whyNotOurs(role, authMount, seen.there, found, wrong === undefined)
  if (doubt !== undefined) {
    return {
      kind: 'blocked',
      flaw: wrong?.flaw ?? 'lacks',
      about,
      detail: `${wrong === undefined ? '' : `${wrong.detail}; and `}${doubt}, so it may be somebody else's`,
      fix: `give this installation Vault roles of other names (--read-role, --rotate-role, and the same in its settings); or, if it is this one's, ${write.command}, which keyhole manifests vault writes`,
    }
  }
  if (wrong === undefined) return ok(about, `${role.does === 'reads' ? 'decrypts' : 'rotates'}, and nothing else`)
  return { kind: 'mendable', about, ...wrong, write }
}

/** What says whose it is may be missing from a text that was written by hand, or by Terraform: then our role has to give it. */
function whyNotOurs(
  role: WantedRole,
  authMount: string,
  text: string,
  { roles }: Found,
  isAsWanted: boolean,
): string | undefined {
  const owner = ownerIn(text)
  if (owner === ownerOf(role, authMount)) return undefined
  if (owner !== undefined) return `it says that it is of ${owner}`
  if (!isAsWanted) return 'it does not say whose it is'
  const seen = seenAt(roles, role.name)
  const isGiven =
    isThere(seen) &&
    wordsIn(seen.there['token_policies']).includes(role.name) &&
    roleFlaws(role, seen.there, false) !== 'not-ours'
  return isGiven ? undefined : `no role ${role.name} of auth/${authMount} gives it to keyhole`
}

interface Wrong {
  readonly flaw: Flaw
  readonly detail: string
}

/**
 * Undefined where they are as wanted.
 * @param there undefined for what is not understood.
 */
function wrongRules(wanted: readonly Rule[], there: readonly Rule[] | undefined): Wrong | undefined {
  if (there === undefined) return { flaw: 'wide', detail: 'is written in a way that is not understood here' }
  const lacking = wanted.filter((rule) => !there.some((one) => isSameRule(one, rule)))
  const beyond = there.filter((rule, at) => !wanted.some((one) => isSameRule(one, rule)) || isRepeated(there, at))
  if (lacking.length + beyond.length === 0) return undefined
  const parts = [
    ...(lacking.length === 0 ? [] : [`does not give ${listed(lacking)}`]),
    ...(beyond.length === 0 ? [] : [`gives ${listed(beyond)}, which is not asked for`]),
  ]
  return { flaw: beyond.length > 0 ? 'wide' : 'lacks', detail: parts.join('; ') }
}

function isRepeated(rules: readonly Rule[], at: number): boolean {
  return rules.findIndex(({ path }) => path === rules[at]?.path) < at
}

const MOST_RULES_TOLD = 5

function listed(rules: readonly Rule[]): string {
  const shown = rules.slice(0, MOST_RULES_TOLD).map(ruleText).join('; ')
  return rules.length <= MOST_RULES_TOLD ? shown : `${shown}; and ${rules.length - MOST_RULES_TOLD} more`
}

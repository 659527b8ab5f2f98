/** What is wrong with a role of the Kubernetes auth method, as Vault tells of it. */
import { wordsIn } from './found.ts'
import type { Fields } from './port.ts'
import type { WantedRole } from './wanted.ts'
import { TOKEN_TTL_SECONDS } from './wanted.ts'

export interface RoleFlaws {
  readonly wide: readonly string[]
  readonly lacks: readonly string[]
  /** Fields to be set to none. */
  readonly unset: readonly string[]
}

/** `not-ours`: it does not let our ServiceAccount in, so whoever it lets in would lose it. */
export function roleFlaws(role: WantedRole, seen: Fields): RoleFlaws | 'not-ours' {
  const names = wordsIn(seen['bound_service_account_names'])
  const namespaces = wordsIn(seen['bound_service_account_namespaces'])
  const { namespace, name } = role.account
  const lets = (patterns: readonly string[], word: string) => patterns.some((pattern) => fits(pattern, word))
  if (!lets(names, name) || !lets(namespaces, namespace)) return 'not-ours'
  return { wide: wide(), lacks: lacks(), unset: unset() }

  function wide(): readonly string[] {
    const selector = seen['bound_service_account_namespace_selector']
    const audience = seen['audience'] ?? ''
    const [type, ttl] = [String(seen['token_type']), Number(seen['token_ttl'])]
    const policies = wordsIn(seen['token_policies']).filter((policy) => policy !== role.name)
    return [
      audience === '' && 'takes tokens of any audience',
      beyond(names, name) && `lets in the ServiceAccounts ${names.join(', ')}`,
      beyond(namespaces, namespace) && `lets in the namespaces ${namespaces.join(', ')}`,
      selector !== undefined && selector !== '' && 'lets in namespaces by their labels',
      policies.length > 0 && `gives the policies ${policies.join(', ')} as well`,
      seen['token_no_default_policy'] !== true && 'gives the policy default as well',
      type !== 'batch' && `gives tokens of type ${type}`,
      !(ttl >= 1 && ttl <= TOKEN_TTL_SECONDS) &&
        (ttl === 0 ? 'gives tokens that live as long as Vault lets any' : `gives tokens of ${ttl} s`),
    ].filter((flaw) => flaw !== false)
  }

  function lacks(): readonly string[] {
    const audience = seen['audience'] ?? ''
    return [
      audience !== '' &&
        audience !== role.audience &&
        `asks for the audience ${String(audience)}, and not ${role.audience}`,
      !wordsIn(seen['token_policies']).includes(role.name) && `does not give the policy ${role.name}`,
      ...unset().map((field) => `has ${field}, which batch tokens cannot have`),
    ].filter((flaw) => flaw !== false)
  }

  function unset(): readonly string[] {
    return ['token_period', 'token_num_uses'].filter((field) => Number(seen[field] ?? 0) !== 0)
  }
}

function beyond(words: readonly string[], word: string): boolean {
  return words.some((one) => one !== word)
}

/** `*` is any text, wherever it stands; Vault takes it in both lists. */
function fits(pattern: string, word: string): boolean {
  const parts = pattern.split('*').map((part) => RegExp.escape(part))
  return new RegExp(`^${parts.join('.*')}$`).test(word)
}

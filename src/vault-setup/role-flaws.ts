/** What is wrong with a role of the Kubernetes auth method, as Vault tells of it. */
import { listed } from '../words.ts'
import type { Fields } from './port.ts'
import { wordIn, wordsIn } from './read-fields.ts'
import type { WantedRole } from './wanted.ts'
import { TOKEN_TTL_SECONDS } from './wanted.ts'

export interface RoleFlaws {
  readonly wide: readonly string[]
  readonly lacks: readonly string[]
  /** Fields to be set to none. */
  readonly unset: readonly string[]
}

/**
 * `not-ours`: it does not let our ServiceAccount in, or names others beside it: it was made for them, too, and they would lose
 * it. Whom a pattern lets in nobody named; then it is ours if its policy says so.
 */
export function roleFlaws(role: WantedRole, seen: Fields, isPolicyOurs: boolean): RoleFlaws | 'not-ours' {
  const names = wordsIn(seen['bound_service_account_names'])
  const namespaces = wordsIn(seen['bound_service_account_namespaces'])
  const given = wordsIn(seen['token_policies'])
  const hasSelector = (seen['bound_service_account_namespace_selector'] ?? '') !== ''
  const { namespace, name } = role.account
  const lets = (patterns: readonly string[], word: string) => patterns.some((pattern) => fits(pattern, word))
  if (!lets(names, name) || !lets(namespaces, namespace)) return 'not-ours'
  const isNamed = (words: readonly string[], word: string) => words.some((one) => one !== word && !one.includes('*'))
  if (isNamed(names, name) || isNamed(namespaces, namespace)) return 'not-ours'
  const isOpen = beyond(names, name) || beyond(namespaces, namespace) || hasSelector
  if (isOpen && !(isPolicyOurs && given.includes(role.name))) return 'not-ours'
  return { wide: wide(), lacks: lacks(), unset: unset() }

  function wide(): readonly string[] {
    const [type, ttl] = [text('token_type'), count('token_ttl')]
    const others = given.filter((policy) => policy !== role.name)
    return [
      text('audience') === '' && 'takes tokens of any audience',
      beyond(names, name) && `lets in the ServiceAccounts ${listed(names)}`,
      beyond(namespaces, namespace) && `lets in the namespaces ${listed(namespaces)}`,
      hasSelector && 'lets in namespaces by their labels',
      others.length > 0 && `gives the policies ${listed(others)} as well`,
      seen['token_no_default_policy'] !== true && 'gives the policy default as well',
      type !== 'batch' && `gives tokens of type ${type}`,
      !(ttl >= 1 && ttl <= TOKEN_TTL_SECONDS) &&
        (ttl === 0 ? 'gives tokens that live as long as Vault lets any' : `gives tokens of ${ttl} s`),
    ].filter((flaw) => flaw !== false)
  }

  function lacks(): readonly string[] {
    const audience = text('audience')
    return [
      audience !== '' && audience !== role.audience && `asks for the audience ${audience}, and not ${role.audience}`,
      !given.includes(role.name) && `does not give the policy ${role.name}`,
      ...notOfBatch().map((field) => `has ${field}, which batch tokens cannot have`),
    ].filter((flaw) => flaw !== false)
  }

  /** With a longest life below ours Vault refuses the role. */
  function unset(): readonly string[] {
    const longest = count('token_max_ttl')
    return [...notOfBatch(), ...(longest > 0 && longest < TOKEN_TTL_SECONDS ? ['token_max_ttl'] : [])]
  }

  function notOfBatch(): readonly string[] {
    return ['token_period', 'token_num_uses'].filter((field) => count(field) !== 0)
  }

  function text(field: string): string {
    return wordIn(seen[field])
  }

  function count(field: string): number {
    const value = seen[field]
    return typeof value === 'number' ? value : 0
  }
}

function beyond(words: readonly string[], word: string): boolean {
  return words.some((one) => one !== word)
}

/** `*` is any text, wherever it stands; Vault takes it in both lists. Not by an expression, which many `*` would hold up. */
function fits(pattern: string, word: string): boolean {
  const parts = pattern.split('*')
  const [first = '', last = ''] = [parts[0], parts.at(-1)]
  if (parts.length === 1) return pattern === word
  let at = first.length
  for (const part of parts.slice(1, -1)) {
    const found = word.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return word.startsWith(first) && word.endsWith(last) && at <= word.length - last.length
}

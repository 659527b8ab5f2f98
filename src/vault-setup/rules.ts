/** The rules of a Vault policy, as Vault reads them: a path, what may be done there, and with which parameters. */

export interface Rule {
  /** As written, without a leading slash. May be a pattern: `+` for one segment, `*` at the end for any rest. */
  readonly path: string
  /** Sorted, each once. */
  readonly capabilities: readonly string[]
  /** Names in lower case. Absent: any. An empty list: any value. */
  readonly allowedParameters?: Readonly<Record<string, readonly unknown[]>>
  /** Names of further conditions, such as `denied_parameters`, sorted. What they say is not kept: none is ever asked for. */
  readonly conditions: readonly string[]
}

export function ruleOf(
  path: string,
  capabilities: readonly string[],
  allowedParameters?: Readonly<Record<string, readonly unknown[]>>,
): Rule {
  return { path, capabilities, ...(allowedParameters !== undefined && { allowedParameters }), conditions: [] }
}

/** `update on transit/decrypt/payments`, as sentences name a rule. */
export function ruleText({ path, capabilities, allowedParameters, conditions }: Rule): string {
  const named = allowedParameters === undefined ? [] : Object.keys(allowedParameters)
  const only = named.length === 0 || named.includes('*') ? '' : ` for ${named.join(', ')} alone`
  const under = conditions.length === 0 ? '' : `, with ${conditions.join(' and ')}`
  return `${capabilities.length === 0 ? 'nothing' : capabilities.join(' and ')} on ${path}${only}${under}`
}

export function isSameRule(a: Rule, b: Rule): boolean {
  return canonical(a) === canonical(b)
}

function canonical({ path, capabilities, allowedParameters, conditions }: Rule): string {
  const allowed =
    allowedParameters && Object.entries(allowedParameters).sort(([one], [other]) => (one < other ? -1 : 1))
  return JSON.stringify([path, capabilities, allowed ?? null, conditions])
}

/**
 * The rule of one policy that decides about a path; undefined where none does. Vault's order: an exact path, then the
 * pattern whose first wildcard comes last, no `*` at the end, fewer `+`, the longer one, the later in the alphabet.
 * What Vault fills in per caller, `{{identity...}}`, is taken for anything.
 */
export function deciding(rules: readonly Rule[], path: string): Rule | undefined {
  return rules.filter((rule) => fits(rule.path, path)).sort((a, b) => byPriority(b.path, a.path))[0]
}

function fits(pattern: string, path: string): boolean {
  const isOpen = pattern.endsWith('*')
  const wanted = (isOpen ? pattern.slice(0, -1) : pattern).split('/')
  const given = path.split('/')
  if (isOpen ? given.length < wanted.length : given.length !== wanted.length) return false
  return wanted.every((segment, index) => {
    const actual = given[index] ?? ''
    if (segment === '+' || segment.includes('{{')) return true
    return isOpen && index === wanted.length - 1 ? actual.startsWith(segment) : actual === segment
  })
}

function byPriority(a: string, b: string): number {
  const firstWildcard = (pattern: string) => {
    const at = pattern.search(/\+|\*$|\{\{/)
    return at < 0 ? Number.MAX_SAFE_INTEGER : at
  }
  const isOpen = (pattern: string) => Number(pattern.endsWith('*'))
  const segments = (pattern: string) => pattern.split('+').length
  return (
    firstWildcard(a) - firstWildcard(b) ||
    isOpen(b) - isOpen(a) ||
    segments(b) - segments(a) ||
    a.length - b.length ||
    Number(a > b) - Number(a < b)
  )
}

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
 * What a policy lets whoever has it do at a path. The most specific pattern decides, in Vault's order: an exact path, then the
 * one whose first wildcard comes last, no `*` at the end, fewer `+`, the longer one, the later in the alphabet. Where it stands
 * more than once its capabilities add up, unless one denies. What Vault fills in per caller, `{{identity...}}`, may be any
 * text: such a rule gives what it says, and nobody can count on what it denies.
 */
export function capabilitiesAt(rules: readonly Rule[], path: string): readonly string[] {
  const fitting = rules.filter((rule) => fits(rule.path, path))
  const filledIn = fitting.filter(isFilledIn).flatMap(({ capabilities }) => capabilities)
  const asWritten = fitting.filter((rule) => !isFilledIn(rule)).sort((a, b) => byPriority(b.path, a.path))
  const deciding = asWritten.filter((rule) => rule.path === asWritten[0]?.path).flatMap((rule) => rule.capabilities)
  const given = [...(deciding.includes('deny') ? [] : deciding), ...filledIn]
  return [...new Set(given)].filter((capability) => capability !== 'deny').sort()
}

/**
 * Paths that a pattern stands for, `+` being any segment: of those that the rules tell apart one each, so that whatever they
 * give on any is given on one of these.
 */
export function pathsOf(pattern: string, rules: readonly Rule[]): readonly string[] {
  if (!pattern.includes('+')) return [pattern]
  const segments = pattern.split('/')
  const near = rules.filter(({ path }) => mayFitBelow(path, beginningOf(pattern)))
  const alike = near.map(({ path }) => {
    const like = path.replace(/\*$/, UNNAMED).split('/')
    return segments.map((segment, at) => (segment === '+' ? nameIn(like[at]) : segment)).join('/')
  })
  return [...new Set(alike)]
}

/** What nothing in Vault is called, for what a rule leaves open. */
const UNNAMED = '~'

function nameIn(segment: string | undefined): string {
  return segment === undefined || segment === '+' || segment.includes('{{') ? UNNAMED : segment
}

/** Whether a pattern fits any path that begins so. May say yes where it does not. */
export function mayFitBelow(pattern: string, beginning: string): boolean {
  const own = beginningOf(pattern)
  return own.startsWith(beginning) || beginning.startsWith(own)
}

/** What every path begins with that a pattern fits. */
function beginningOf(pattern: string): string {
  const wildcard = pattern.search(WILDCARD)
  return wildcard < 0 ? pattern : pattern.slice(0, wildcard)
}

const WILDCARD = /\+|\*$|\{\{/

function isFilledIn({ path }: Rule): boolean {
  return path.includes('{{')
}

function fits(pattern: string, path: string): boolean {
  if (!path.startsWith(beginningOf(pattern))) return false
  const template = pattern.indexOf('{{')
  if (template >= 0) return fitsFilledIn(pattern, template, path)
  const isOpen = pattern.endsWith('*')
  const wanted = (isOpen ? pattern.slice(0, -1) : pattern).split('/')
  const given = path.split('/')
  if (isOpen ? given.length < wanted.length : given.length !== wanted.length) return false
  return wanted.every((segment, index) => {
    const actual = given[index] ?? ''
    if (segment === '+') return true
    return isOpen && index === wanted.length - 1 ? actual.startsWith(segment) : actual === segment
  })
}

/** What is filled in may have slashes and wildcards of its own: what stands before and behind it has to fit, and no more. */
function fitsFilledIn(pattern: string, template: number, path: string): boolean {
  const behind = pattern.slice(pattern.lastIndexOf('}}') + 2)
  const isOpen = behind.endsWith('*')
  const end = isOpen ? behind.slice(0, -1) : behind
  const isEnd = end.includes('+') || (isOpen ? path.includes(end) : path.endsWith(end))
  return isEnd && fits(`${pattern.slice(0, template)}*`, path)
}

function byPriority(a: string, b: string): number {
  const firstWildcard = (pattern: string) => {
    const at = pattern.search(/\+|\*$/)
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

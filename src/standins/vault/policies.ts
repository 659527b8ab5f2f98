/** Which capability a token's policies give on a path: the most specific rule of each policy set decides, deny wins. */
import type { PolicyRule } from '../vault.ts'
import { parametersPass } from './parameters.ts'

export type Capability = PolicyRule['capabilities'][number]

/** @param asked also `header`, which no rule gives. */
export function allows(
  rules: readonly PolicyRule[],
  path: string,
  asked: Capability | 'header',
  data: Readonly<Record<string, unknown>> = {},
): boolean {
  const fitting = rules.filter((rule) => fits(rule.path, path)).sort((a, b) => compare(b.path, a.path))
  const best = fitting[0]
  if (best === undefined) return false
  // Two policies may hold the same path: their capabilities add up, unless one denies.
  const equal = fitting.filter((rule) => rule.path === best.path)
  const capabilities: readonly string[] = equal.flatMap((rule) => rule.capabilities)
  if (capabilities.includes('deny') || !capabilities.includes(asked)) return false
  // A list or a deletion is not asked for its parameters.
  return asked === 'list' || asked === 'delete' || parametersPass(equal, data)
}

function fits(pattern: string, path: string): boolean {
  const glob = pattern.endsWith('*')
  const wanted = (glob ? pattern.slice(0, -1) : pattern).split('/')
  const given = path.split('/')
  if (glob ? given.length < wanted.length : given.length !== wanted.length) return false
  return wanted.every((segment, index) => {
    const actual = given[index] ?? ''
    if (segment === '+') return actual !== ''
    return glob && index === wanted.length - 1 ? actual.startsWith(segment) : actual === segment
  })
}

/**
 * Which of two patterns for one path is the more specific: positive for `a`. Vault's order: the later first wildcard, no `*`
 * at the end, fewer `+`, the longer one.
 */
function compare(a: string, b: string): number {
  const firstWildcard = (pattern: string) => {
    const at = pattern.search(/\+|\*$/)
    return at < 0 ? Number.MAX_SAFE_INTEGER : at
  }
  const globs = (pattern: string) => Number(pattern.endsWith('*'))
  const pluses = (pattern: string) => pattern.split('+').length
  return firstWildcard(a) - firstWildcard(b) || globs(b) - globs(a) || pluses(b) - pluses(a) || a.length - b.length
}

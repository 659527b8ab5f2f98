/** Which capability a token's policies give on a path: the most specific rule of each policy set decides, deny wins. */
import type { PolicyRule } from '../vault.ts'

export type Capability = PolicyRule['capabilities'][number]

export function allows(rules: readonly PolicyRule[], path: string, capability: Capability): boolean {
  const fitting = rules
    .filter((rule) => fits(rule.path, path))
    .sort((a, b) => specificity(b.path) - specificity(a.path))
  const best = fitting[0]
  if (best === undefined) return false
  // Two policies may hold the same path: their capabilities add up, unless one denies.
  const capabilities = fitting.filter((rule) => rule.path === best.path).flatMap((rule) => rule.capabilities)
  return !capabilities.includes('deny') && capabilities.includes(capability)
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

/** An exact path beats a pattern; among patterns, the one whose first wildcard comes later. */
function specificity(pattern: string): number {
  const wildcard = pattern.search(/\+|\*$/)
  return wildcard < 0 ? Number.POSITIVE_INFINITY : wildcard + pattern.length / 10_000
}

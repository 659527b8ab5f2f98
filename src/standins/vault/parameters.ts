/**
 * `allowed_parameters` and `denied_parameters` of a policy, as Vault reads them.
 *
 * What surprises: a request without parameters passes whatever is allowed. A second policy for the same path that allows
 * everything lifts no restriction of the first. A number in a list never fits a number in a request.
 */
import type { PolicyRule } from '../vault.ts'

type Values = readonly unknown[]

/** @param rules those of the one path that decides. */
export function parametersPass(rules: readonly PolicyRule[], data: Readonly<Record<string, unknown>>): boolean {
  const given = Object.entries(data)
  if (given.length === 0) return true
  const denied = merged(rules.map((rule) => rule.deniedParameters))
  if (denied.has('*')) return false
  if (given.some(([name, value]) => isDenied(value, denied.get(name.toLowerCase())))) return false
  const allowed = merged(rules.map((rule) => rule.allowedParameters))
  if (allowed.size === 0) return true
  const others = allowed.has('*')
  if (others && allowed.size === 1) return true
  return given.every(([name, value]) => {
    const values = allowed.get(name.toLowerCase())
    return values === undefined ? others : isAllowed(value, values)
  })
}

/** Of several policies, the names add up, and the values; none, for any, wins. */
function merged(lists: readonly PolicyRule['allowedParameters'][]): ReadonlyMap<string, Values> {
  const all = new Map<string, Values>()
  for (const [name, values] of lists.flatMap((list) => Object.entries(list ?? {}))) {
    const before = all.get(name.toLowerCase())
    const any = values.length === 0 || before?.length === 0
    all.set(name.toLowerCase(), any ? [] : [...values, ...(before ?? [])])
  }
  return all
}

function isAllowed(value: unknown, values: Values): boolean {
  if (values.length === 0 || isIn(value, values)) return true
  const parts = partsOf(value)
  return parts?.every((part) => isIn(part, values)) ?? false
}

function isDenied(value: unknown, values: Values | undefined): boolean {
  if (values === undefined) return false
  if (values.length === 0 || isIn(value, values)) return true
  return partsOf(value)?.some((part) => isIn(part, values)) ?? false
}

/** A list may be written as one string, with commas. */
function partsOf(value: unknown): Values | undefined {
  if (Array.isArray(value)) return value
  if (typeof value !== 'string') return undefined
  return value === '' ? [] : value.split(',').map((part) => part.trim())
}

function isIn(value: unknown, values: Values): boolean {
  return values.some((listed) => {
    if (typeof listed === 'string' && typeof value === 'string') return fits(listed, value)
    // A request's number is kept as its digits, a policy's is not: they are never equal.
    return typeof listed !== 'number' && listed === value
  })
}

/** A `*` at either end, or at both, is any text. */
function fits(pattern: string, value: string): boolean {
  const head = pattern.endsWith('*')
  const tail = pattern.startsWith('*')
  if (pattern.length < 2) return pattern === '*' || pattern === value
  if (head && tail) return value.includes(pattern.slice(1, -1))
  if (head) return value.startsWith(pattern.slice(0, -1))
  return tail ? value.endsWith(pattern.slice(1)) : value === pattern
}

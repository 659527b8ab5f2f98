/**
 * JSON Patch as the API server applies it: RFC 6902 with the leniency of the Go library behind it. A `replace` of what is
 * not there adds it, a `copy` of what is not there copies null, and a `test` for null passes where nothing is.
 */

export interface JsonObject {
  [member: string]: unknown
}

/**
 * `failed`: some operation does not apply, and the server says so of all such alike. `unknown`: the real server does
 * something that nobody found out yet.
 */
export type Unpatched = 'failed' | 'unknown'

/** The document is left as it was. */
export function applyPatch(document: JsonObject, operations: readonly unknown[]): JsonObject | Unpatched {
  const patched = copied(document) as JsonObject
  for (const operation of operations) {
    const unpatched = applyOne(patched, operation)
    if (unpatched !== undefined) return unpatched
  }
  return patched
}

function applyOne(document: JsonObject, operation: unknown): Unpatched | undefined {
  if (!isObject(operation)) return 'failed'
  const { op, path, from } = operation
  const to = located(document, path)
  if (typeof to === 'string') return to
  switch (op) {
    case 'add':
    case 'replace':
      to.container[to.key] = copied(operation['value'] ?? null)
      return undefined
    case 'remove':
      return removed(to) ? undefined : 'failed'
    case 'test':
      return isEqual(to.container[to.key] ?? null, operation['value'] ?? null) ? undefined : 'failed'
    case 'copy':
    case 'move': {
      const source = located(document, from)
      if (typeof source === 'string') return source
      const value = copied(source.container[source.key] ?? null)
      if (op === 'move' && !removed(source)) return 'failed'
      to.container[to.key] = value
      return undefined
    }
    default:
      return 'failed'
  }
}

interface Location {
  readonly container: JsonObject
  readonly key: string
}

function located(document: JsonObject, pointer: unknown): Location | Unpatched {
  if (typeof pointer !== 'string') return 'failed'
  if (!pointer.startsWith('/')) return 'unknown'
  const segments = pointer.slice(1).split('/').map(unescaped)
  const key = segments.pop() ?? ''
  let container: unknown = document
  for (const segment of segments) {
    container = (container as JsonObject)[segment]
    if (Array.isArray(container)) return 'unknown'
    if (!isObject(container)) return 'failed'
  }
  return { container: container as JsonObject, key }
}

function unescaped(segment: string): string {
  return segment.replaceAll('~1', '/').replaceAll('~0', '~')
}

function removed({ container, key }: Location): boolean {
  return key in container && delete container[key]
}

/** Without prototypes, so that a key named `__proto__` is one like any other. */
function copied(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copied)
  if (!isObject(value)) return value
  const copy = Object.create(null) as JsonObject
  for (const [key, member] of Object.entries(value)) copy[key] = copied(member)
  return copy
}

function isEqual(one: unknown, other: unknown): boolean {
  if (Array.isArray(one)) {
    return Array.isArray(other) && one.length === other.length && one.every((item, at) => isEqual(item, other[at]))
  }
  if (!isObject(one)) return one === other
  if (!isObject(other)) return false
  const keys = Object.keys(one)
  return keys.length === Object.keys(other).length && keys.every((key) => key in other && isEqual(one[key], other[key]))
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

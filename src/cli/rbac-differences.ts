/** How a file of Roles and RoleBindings differs from what a policy asks for, whatever its comments and its order. */
import { isDeepStrictEqual } from 'node:util'
import { isMap, parseAllDocuments } from 'yaml'
import type { RbacObject } from './rbac.ts'

/** In sentences; none: they are the same. */
export function differences(text: string, wanted: readonly RbacObject[]): readonly string[] {
  const found = parsed(text)
  if (typeof found === 'string') return [found]
  const held = Map.groupBy(found, idOf)
  const asked = new Map(wanted.map((object) => [idOf(object), object]))
  return [
    ...[...asked].flatMap(([id, object]) => {
      const there = held.get(id) ?? []
      if (there.length === 0) return `${id} is missing.`
      if (there.length > 1) return `${id} is there ${there.length} times.`
      return isDeepStrictEqual(there[0], object) ? [] : inside(id, object, there[0])
    }),
    ...[...held.keys()].filter((id) => !asked.has(id)).map((id) => `${id} is not asked for.`),
  ]
}

/** As kubectl reads it, which takes YAML 1.1. What is wrong with it comes as a sentence. */
function parsed(text: string): readonly unknown[] | string {
  const documents = [...parseAllDocuments(text, { version: '1.1' })]
  const broken = documents.flatMap(({ errors }) => errors).at(0)
  if (broken !== undefined) return `It is not YAML (line ${broken.linePos?.[0].line ?? 1}).`
  try {
    return documents.filter(({ contents }) => isMap(contents)).map((document) => document.toJS())
  } catch (error) {
    if (error instanceof ReferenceError) return 'It has aliases, which are not followed without end.'
    throw error
  }
}

function inside(id: string, wanted: RbacObject, found: unknown): readonly string[] {
  if (wanted.kind === 'RoleBinding') return [`${id} does not bind what is asked for.`]
  const rules = wanted.rules.map(({ verbs, resourceNames }) => ({ verbs: verbs.join(', '), resourceNames }))
  const told = rules.flatMap(({ verbs, resourceNames }) => {
    const there = new Set(namesFor(found, verbs))
    const asked = new Set(resourceNames)
    return [
      ...[...asked.difference(there)].map((name) => `${id} does not name ${name} for ${verbs}.`),
      ...[...there.difference(asked)].map(
        (name) => `${id} names ${JSON.stringify(name)} for ${verbs}, which is not asked for.`,
      ),
    ]
  })
  return told.length > 0 ? told : [`${id} is not as it is asked for.`]
}

function namesFor(role: unknown, verbs: string): readonly unknown[] {
  const rules = field(role, 'rules')
  if (!Array.isArray(rules)) return []
  return rules
    .filter((rule: unknown) => [field(rule, 'verbs')].flat().join(', ') === verbs)
    .flatMap((rule: unknown) => field(rule, 'resourceNames') ?? [])
}

function idOf(object: unknown): string {
  const metadata = field(object, 'metadata')
  const word = (value: unknown) => (typeof value === 'string' ? value : '?')
  return `${word(field(object, 'kind'))} ${word(field(metadata, 'namespace'))}/${word(field(metadata, 'name'))}`
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined
}

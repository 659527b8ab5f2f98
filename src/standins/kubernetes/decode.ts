/** JSON into what the real server has a type for, with Go's complaints about what does not fit. */
import { goTypeOf } from './answers.ts'
import type { JsonObject } from './json-patch.ts'

export class Undecodable extends Error {}

/** What a client says of these; empty where it does not. */
export interface GivenMeta {
  readonly name: string
  readonly namespace: string
  readonly uid: string
  readonly resourceVersion: string
  readonly labels: Readonly<Record<string, string>> | undefined
  readonly annotations: Readonly<Record<string, string>> | undefined
}

/** @throws Undecodable */
export function metaIn(metadata: unknown): GivenMeta {
  const given = objectOf(metadata, 'metadata of type v1.ObjectMeta')
  const text = (name: string): string =>
    member(given, name, 'string', `ObjectMeta.metadata.${name} of type string`) ?? ''
  return {
    name: text('name'),
    namespace: text('namespace'),
    uid: text('uid'),
    resourceVersion: text('resourceVersion'),
    labels: stringsIn(given['labels'], 'labels'),
    annotations: stringsIn(given['annotations'], 'annotations'),
  }
}

interface Types {
  readonly string: string
  readonly number: number
  readonly boolean: boolean
}

/** Null is as good as absent. @throws Undecodable */
export function member<T extends keyof Types>(
  from: JsonObject,
  name: string,
  type: T,
  what: string,
): Types[T] | undefined {
  const value = from[name] ?? undefined
  if (value === undefined) return undefined
  if (typeof value !== type) throw mistyped(value, what)
  return value as Types[T]
}

/** @throws Undecodable */
export function objectOf(value: unknown, what: string): JsonObject {
  if (value === undefined || value === null) return {}
  if (typeof value !== 'object' || Array.isArray(value)) throw mistyped(value, what)
  return value as JsonObject
}

export function mistyped(value: unknown, what: string): Undecodable {
  return new Undecodable(`json: cannot unmarshal ${goTypeOf(value)} into Go struct field ${what}`)
}

/** Undefined for none: the real server leaves out what is empty. */
function stringsIn(value: unknown, name: string): Readonly<Record<string, string>> | undefined {
  const given = objectOf(value, `ObjectMeta.metadata.${name} of type map[string]string`)
  const keys = Object.keys(given)
  if (keys.length === 0) return undefined
  const what = `ObjectMeta.metadata.${name} of type string`
  return Object.fromEntries(keys.map((key) => [key, member(given, key, 'string', what) ?? '']))
}

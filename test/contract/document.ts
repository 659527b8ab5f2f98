/** openapi.yaml, read. */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import type { Code } from '../../src/contract.ts'
import { CODES } from '../../src/contract.ts'

export interface Document {
  readonly info: { readonly version: string }
  readonly security: readonly Readonly<Record<string, readonly string[]>>[]
  readonly paths: Readonly<Record<string, PathItem>>
  readonly components: {
    readonly securitySchemes: Readonly<Record<string, { readonly type: string; readonly scheme: string }>>
    readonly schemas: Readonly<Record<'Code' | 'BlockedCode' | 'RetirementWhy', { readonly enum: readonly string[] }>>
    readonly responses: Readonly<Record<string, ResponseObject>>
    readonly headers: Readonly<Record<string, HeaderObject>>
  }
}

export interface PathItem {
  readonly get?: Operation
  readonly post?: Operation
}

export interface Operation {
  readonly operationId: string
  readonly security?: unknown
  readonly requestBody?: RequestBody
  readonly responses: Readonly<Record<string, ResponseObject | Reference>>
}

export interface RequestBody {
  readonly content: Readonly<Record<string, MediaType>>
}

export interface ResponseObject {
  readonly description: string
  readonly headers?: Readonly<Record<string, HeaderObject | Reference>>
  readonly content?: Readonly<Record<string, MediaType>>
}

export interface MediaType {
  readonly schema: unknown
  readonly example?: unknown
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>
}

export interface HeaderObject {
  readonly required?: boolean
  readonly schema: { readonly type?: string }
}

export interface Reference {
  readonly $ref: string
}

export const document = parse(readFileSync(new URL('../../openapi.yaml', import.meta.url), 'utf8')) as Document

export interface Documented extends Operation {
  readonly method: string
  readonly path: string
  /** Where it stands, as a JSON pointer. */
  readonly pointer: string
}

export const operations: readonly Documented[] = Object.entries(document.paths).flatMap(([path, item]) =>
  (['get', 'post'] as const).flatMap((verb) => {
    const operation = item[verb]
    const pointer = `/paths/${escaped(path)}/${verb}`
    return operation === undefined ? [] : [{ ...operation, method: verb.toUpperCase(), path, pointer }]
  }),
)

/** The codes that a description tells of. */
export function codesIn(description: string): readonly Code[] {
  return Object.keys(CODES).filter((code): code is Code => new RegExp(`\\b${code}\\b`).test(description))
}

/** What a local `$ref` points to, and where that is as a JSON pointer. */
export function resolved<T extends object>(value: T | Reference, pointer: string): { value: T; pointer: string } {
  if (!('$ref' in value)) return { value, pointer }
  const target = value.$ref.slice(1)
  let found: unknown = document
  for (const part of target.slice(1).split('/')) found = (found as Record<string, unknown>)[unescaped(part)]
  return { value: found as T, pointer: target }
}

export function escaped(part: string): string {
  return part.replaceAll('~', '~0').replaceAll('/', '~1')
}

function unescaped(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~')
}

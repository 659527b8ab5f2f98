/** openapi.yaml, read. */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'

export interface Document {
  readonly info: { readonly version: string }
  readonly security: readonly Readonly<Record<string, readonly string[]>>[]
  readonly paths: Readonly<Record<string, PathItem>>
  readonly components: {
    readonly securitySchemes: Readonly<Record<string, { readonly type: string; readonly scheme: string }>>
    readonly schemas: { readonly Code: { readonly enum: readonly string[] } }
    readonly responses: Readonly<Record<string, ResponseObject>>
    readonly headers: Readonly<Record<string, HeaderObject>>
  }
}

export interface PathItem {
  readonly get: Operation
}

export interface Operation {
  readonly operationId: string
  readonly security?: unknown
  readonly responses: Readonly<Record<string, ResponseObject | Reference>>
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

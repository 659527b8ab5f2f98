/** What is wrong with one document, all of it at once, in words for whoever wrote it. */
import * as z from 'zod'
import { relations } from './relations.ts'
import type { Kind } from './schema.ts'
import { didYouMean, quoted } from './words.ts'
import type { Path } from './yaml.ts'

export interface Complaint {
  readonly path: Path
  /** Whether the name of the field is wrong, or what it holds. */
  readonly part: 'key' | 'value'
  readonly message: string
}

/** The document as the schema reads it, or every complaint about it. */
export function check<S extends z.ZodObject>(schema: S, kind: Kind, value: unknown): z.infer<S> | readonly Complaint[] {
  const result = schema.safeParse(value)
  const complaints = [...relations(kind, value)]
  if (result.success) return complaints.length === 0 ? result.data : complaints
  return [...result.error.issues.flatMap((issue) => explained(issue, schema, kind, value)), ...complaints]
}

function explained(issue: z.core.$ZodIssue, schema: z.ZodObject, kind: Kind, value: unknown): readonly Complaint[] {
  const path = issue.path.map((step) => (typeof step === 'number' ? step : String(step)))
  if (issue.code === 'unrecognized_keys') {
    const fields = fieldsAt(schema, path)
    return issue.keys.map((key) => ({
      path: [...path, key],
      part: 'key',
      message: unknownField(kind, path, key, fields),
    }))
  }
  const found = valueAt(value, path)
  const field = quoted(nameOf(path))
  if (found === undefined) return [{ path, part: 'value', message: `${field} is missing.` }]
  return [{ path, part: 'value', message: `${field} ${sentence(issue, found)}` }]
}

function sentence(issue: z.core.$ZodIssue, found: unknown): string {
  if (issue.code === 'invalid_value') {
    const words = issue.values.map((value) => (typeof value === 'string' ? quoted(value) : String(value)))
    const hint = typeof found === 'string' ? didYouMean(found, issue.values.map(String)) : ''
    return `must be ${words.join(' or ')}.${hint}`
  }
  if (issue.code !== 'invalid_type') return `${issue.message}.`
  const expected = EXPECTED[issue.expected] ?? issue.expected
  const hint = issue.expected === 'string' && isBare(found) ? ' Put it in quotes.' : ''
  return `must be ${expected}.${hint}`
}

const EXPECTED: Readonly<Record<string, string>> = {
  string: 'text',
  boolean: 'true or false',
  int: 'a whole number',
  number: 'a whole number',
  array: 'a list',
  object: 'a mapping of fields',
}

/** YAML read it as something else than the text it looks like. */
function isBare(found: unknown): boolean {
  return typeof found === 'number' || typeof found === 'boolean' || found === null
}

function unknownField(kind: Kind, path: Path, key: string, fields: readonly string[]): string {
  const rule = RULES[`${kind} ${[...path, key].join('.')}`]
  if (rule !== undefined) return rule
  return `There is no field ${quoted(key)} here.${didYouMean(key, fields) || listed(fields)}`
}

function listed(fields: readonly string[]): string {
  return fields.length === 0 ? '' : ` There is ${fields.join(', ')}.`
}

/** Fields that somebody will look for, and what to do instead. */
const RULES: Readonly<Record<string, string>> = {
  'SecretGrant spec.secretRef.namespace':
    'A grant names Secrets of its own namespace only, so secretRef has no namespace. To let others read a Secret, write the grant in the namespace of that Secret and list their ServiceAccounts as readers.',
  'TransitKey metadata.namespace':
    'A TransitKey belongs to no namespace. The namespaces whose grants may name it are listed in spec.namespaces.',
}

function fieldsAt(schema: z.core.$ZodType, path: Path): readonly string[] {
  const within = path.reduce<z.core.$ZodType | undefined>((at, step) => child(bare(at), step), schema)
  const object = bare(within)
  return object instanceof z.ZodObject ? Object.keys(object.shape) : []
}

function child(schema: z.core.$ZodType | undefined, step: string | number): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodArray) return schema.element
  return schema instanceof z.ZodObject ? schema.shape[step] : undefined
}

/** Without the wrappers that say what an absent field means. */
function bare(schema: z.core.$ZodType | undefined): z.core.$ZodType | undefined {
  const wrapped = schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional
  return wrapped ? bare(schema.unwrap()) : schema
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((at, step) => (at as Readonly<Record<string | number, unknown>>)[step], value)
}

/** The last field on the way; items of a list have none of their own. */
function nameOf(path: Path): string {
  const names = path.filter((step) => typeof step === 'string')
  const last = names.at(-1) ?? 'document'
  return typeof path.at(-1) === 'number' ? `${last}[${path.at(-1)}]` : last
}

/** What is wrong with one document, all of it at once, in words for whoever wrote it. */
import * as z from 'zod'
import { didYouMean, quoted } from '../words.ts'
import { relations } from './relations.ts'
import type { Kind } from './schema.ts'
import type { Path } from './yaml.ts'

export interface Complaint {
  readonly path: Path
  /** Whether the name of the field is wrong, or what it holds. */
  readonly part: 'key' | 'value'
  readonly message: string
}

/** More than anybody mends at once. Each costs a search for what was meant, and its place: an attack writes thousands. */
const MAX_COMPLAINTS = 50

/** What is wrong, and how much more than that. */
export interface Findings {
  readonly complaints: readonly Complaint[]
  readonly more: number
}

/** The document as the schema reads it, or what there is to complain of. */
export function check<S extends z.ZodObject>(schema: S, kind: Kind, value: unknown): z.infer<S> | Findings {
  const result = schema.safeParse(value)
  const broken = relations(kind, value)
  if (result.success && broken.length === 0) return result.data
  const issues = result.success ? [] : result.error.issues.flatMap(oneByOne)
  const explained = issues.slice(0, MAX_COMPLAINTS).map((issue) => explanation(issue, schema, kind, value))
  const complaints = [...explained, ...broken.slice(0, MAX_COMPLAINTS - explained.length)]
  return { complaints, more: issues.length + broken.length - complaints.length }
}

type Issue = z.core.$ZodIssue | { readonly code: 'unknown_field'; readonly path: Path; readonly field: string }

function oneByOne(issue: z.core.$ZodIssue): readonly Issue[] {
  if (issue.code !== 'unrecognized_keys') return [issue]
  return issue.keys.map((field) => ({ code: 'unknown_field', path: pathOf(issue), field }))
}

function pathOf({ path }: z.core.$ZodIssue): Path {
  return path.map((step) => (typeof step === 'number' ? step : String(step)))
}

function explanation(issue: Issue, schema: z.ZodObject, kind: Kind, value: unknown): Complaint {
  if (issue.code === 'unknown_field') {
    const { path, field } = issue
    return { path: [...path, field], part: 'key', message: unknownField(kind, path, field, fieldsAt(schema, path)) }
  }
  const path = pathOf(issue)
  const found = valueAt(value, path)
  const field = quoted(nameOf(path))
  return {
    path,
    part: 'value',
    message: found === undefined ? `${field} is missing.` : `${field} ${sentence(issue, found)}`,
  }
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

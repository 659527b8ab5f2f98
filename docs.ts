/**
 * `npm run docs`: writes the parts of docs/reference that the code states already, between their markers. What stands
 * outside of them is written by hand. test/docs/generated.test.ts holds the pages to this.
 */
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import type { z } from 'zod'
import { EXIT } from './src/cli/world.ts'
import { SETTINGS } from './src/config.ts'
import type { CodeRule } from './src/contract.ts'
import { BLOCKED, CODES } from './src/contract.ts'
import { policyJsonSchema } from './src/policy/json-schema.ts'

const ROOT = import.meta.dirname

/** The pages that have generated parts. */
export const PAGES = ['configuration', 'errors', 'policy', 'cli', 'http'].map((name) => `docs/reference/${name}.md`)

/** A page with its parts as they should be. @throws Error for a marker of a part that there is not. */
export async function regenerated(page: string): Promise<string> {
  let text = readFileSync(join(ROOT, page), 'utf8')
  for (const [whole, name = ''] of text.matchAll(/<!-- generated: (\S+) -->\n.*?<!-- end -->/gs)) {
    const part = Object.hasOwn(PARTS, name) ? PARTS[name] : undefined
    if (part === undefined) throw new Error(`${page}: there is no part ${name}`)
    text = text.replace(whole, await marked(name, part))
  }
  return text
}

async function marked(name: string, part: () => string | Promise<string>): Promise<() => string> {
  const text = `<!-- generated: ${name} -->\n\n${await part()}\n\n<!-- end -->`
  // A function, or `$&` in a text would be taken for what was found.
  return () => text
}

/** Each part of a page, by the name in its marker. */
export const PARTS: Readonly<Record<string, () => string | Promise<string>>> = {
  settings: () => table(['variable', 'default', 'allowed', 'what it is'], Object.entries(SETTINGS).map(settingRow)),
  codes: () => table(['code', 'status', 'Retry-After', 'what to do'], Object.entries(CODES).map(codeRow)),
  blocked: () =>
    table(
      ['code', 'what to do'],
      Object.entries(BLOCKED).map(([code, detail]) => [ticked(code), prose(detail)]),
    ),
  'transit-key': () => fieldTable('TransitKey'),
  'secret-grant': () => fieldTable('SecretGrant'),
  'exit-codes': () =>
    table(
      ['code', 'name'],
      Object.entries(EXIT).map(([name, code]) => [String(code), name]),
    ),
  verbs: verbTexts,
  calls: callTable,
}

function settingRow([name, schema]: [string, z.ZodType]): readonly string[] {
  const { allowed, initial } = shapeOf(schema)
  return [ticked(name), initial, allowed, schema.description ?? '']
}

/** As a person would write it into the environment. */
function shapeOf(schema: z.ZodType): { readonly initial: string; readonly allowed: string } {
  const { type, defaultValue, innerType } = (schema as unknown as { readonly def: Definition }).def
  const hasDefault = type === 'default' || type === 'prefault'
  const optional = schema.safeParse(undefined).success ? '' : 'required'
  return { initial: hasDefault ? ticked(String(defaultValue)) : optional, allowed: allowedBy(innerType?.def) }
}

/** As much of a zod definition as is looked at. */
interface Definition {
  readonly type?: string
  readonly defaultValue?: unknown
  readonly innerType?: { readonly def: Definition }
  /** Of words, each of them. */
  readonly entries?: Readonly<Record<string, string>>
  /** Of what is transformed, what becomes of it. */
  readonly out?: { readonly minValue?: number | null; readonly maxValue?: number | null }
}

/** Words or bounds, where there are any; what else a setting must be, its complaint says. */
function allowedBy(definition: Definition | undefined): string {
  if (definition?.entries !== undefined) return Object.keys(definition.entries).map(ticked).join(', ')
  const { minValue, maxValue } = definition?.out ?? {}
  return typeof minValue === 'number' && typeof maxValue === 'number' ? `${minValue} to ${maxValue}` : ''
}

function codeRow([code, rule]: [string, CodeRule]): readonly string[] {
  const { status, retryAfterSeconds, advice } = rule
  const seconds = retryAfterSeconds === undefined ? '' : `${retryAfterSeconds} s`
  return [ticked(code), String(status), seconds, prose(advice)]
}

/** As much of JSON Schema as policy.schema.json uses for fields. */
interface Field {
  readonly type?: string
  readonly description?: string
  readonly const?: unknown
  readonly enum?: readonly string[]
  readonly properties?: Readonly<Record<string, Field>>
  readonly required?: readonly string[]
  readonly items?: Field
}

function fieldTable(kind: string): string {
  const { oneOf } = JSON.parse(policyJsonSchema()) as { readonly oneOf: readonly Field[] }
  const document = oneOf.find(({ properties }) => properties?.['kind']?.const === kind)
  if (document === undefined) throw new Error(`the schema has no ${kind}`)
  return table(['field', 'type', 'required', 'what it is'], fieldRows(document, ''))
}

function fieldRows({ properties = {}, required = [] }: Field, within: string): readonly (readonly string[])[] {
  return Object.entries(properties).flatMap(([name, field]) => {
    const path = `${within}${name}`
    const row = [ticked(path), typeOf(field), required.includes(name) ? 'yes' : '', prose(field.description ?? '')]
    const below =
      field.items?.properties === undefined ? fieldRows(field, `${path}.`) : fieldRows(field.items, `${path}[].`)
    return [row, ...below]
  })
}

function typeOf({ type, const: only, enum: words, items }: Field): string {
  if (only !== undefined) return ticked(String(only))
  if (words !== undefined) return words.map(ticked).join(' or ')
  return type === 'array' ? `list of ${items?.type ?? 'values'}s` : (type ?? '')
}

const run = promisify(execFile)

/** What the command line prints of itself: the very text, so that both are one. */
async function verbTexts(): Promise<string> {
  const general = await help([])
  const sections = [`\`\`\`text\n${general}\`\`\``]
  for (const verb of verbsIn(general)) {
    sections.push(`## keyhole ${verb}\n\n\`\`\`text\n${await help(verb.split(' '))}\`\`\``)
  }
  return sections.join('\n\n')
}

/** The verbs that the general help lists. */
export function verbsIn(general: string): readonly string[] {
  return [...general.matchAll(/^ {2}([a-z]+(?: [a-z]+)*) {2,}\S/gm)].map(([, verb]) => verb ?? '')
}

/** What `keyhole VERB --help` prints. */
export async function help(verb: readonly string[]): Promise<string> {
  const env = { PATH: process.env['PATH'], NO_COLOR: '1' }
  return (await run(process.execPath, [join(ROOT, 'src/cli/main.ts'), ...verb, '--help'], { env })).stdout
}

function callTable(): string {
  const { paths } = parse(readFileSync(join(ROOT, 'openapi.yaml'), 'utf8')) as {
    readonly paths: Readonly<
      Record<string, Readonly<Record<string, { readonly summary?: string; readonly responses?: object }>>>
    >
  }
  const rows = Object.entries(paths).flatMap(([path, calls]) =>
    Object.entries(calls)
      .filter(([, { responses }]) => responses !== undefined)
      .map(([method, { summary = '', responses = {} }]) => [
        ticked(`${method.toUpperCase()} ${path}`),
        summary,
        Object.keys(responses).join(' '),
      ]),
  )
  return table(['call', 'what it answers', 'statuses'], rows)
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return [header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function ticked(text: string): string {
  return `\`${text}\``
}

/** Text as Markdown shows it as it is. */
function prose(text: string): string {
  return text.replace(/[|<]/g, (char) => `\\${char}`)
}

if (import.meta.main) {
  for (const page of PAGES) writeFileSync(join(ROOT, page), await regenerated(page))
}

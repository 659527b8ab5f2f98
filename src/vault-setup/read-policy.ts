/**
 * A Vault policy's text as rules: the part of HCL that policies are written in, and JSON with it, since both write strings
 * and lists alike. What this does not know it refuses as a whole, so that nothing it overlooked can pass for harmless.
 */
import type { Rule } from './rules.ts'

/** Undefined for a text that is not wholly understood. */
export function readPolicy(text: string): readonly Rule[] | undefined {
  try {
    if (text.length > MAX_CHARS) throw new NotUnderstood()
    return /^\s*\{/.test(text) ? rulesInJson(text) : rulesIn(textOf(text))
  } catch (error) {
    if (error instanceof NotUnderstood) return undefined
    throw error
  }
}

/** More than any policy has, and less than would exhaust the stack of an expression. */
const MAX_CHARS = 1024 * 1024

class NotUnderstood extends Error {
  override readonly name = 'NotUnderstood'
}

type Value = string | number | boolean | readonly Value[] | Fields
type Fields = ReadonlyMap<string, Value>

interface Text {
  /** What comes next, as written; undefined at the end. */
  peek(): string | undefined
  take(): string
}

/** Strings whole, with their quotes; words and numbers; marks one by one. */
const TOKEN = /\s+|(?:#|\/\/)[^\n]*|\/\*[\s\S]*?\*\/|("(?:[^"\\]|\\.)*"|[\w.-]+|[{}[\]=:,])/y

/** Of lists and blocks within one another: more than any policy has, and less than would exhaust the stack. */
const MAX_DEPTH = 16

function textOf(text: string): Text {
  const tokens: string[] = []
  let depth = 0
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < text.length) {
    const token = TOKEN.exec(text)
    if (token === null) throw new NotUnderstood()
    const [, mark] = token
    if (mark === '{' || mark === '[') depth += 1
    if (mark === '}' || mark === ']') depth -= 1
    if (depth > MAX_DEPTH) throw new NotUnderstood()
    if (mark !== undefined) tokens.push(mark)
  }
  let next = 0
  return {
    peek: () => tokens[next],
    take() {
      const token = tokens[next++]
      if (token === undefined) throw new NotUnderstood()
      return token
    },
  }
}

function rulesIn(text: Text): readonly Rule[] {
  const rules: Rule[] = []
  while (text.peek() !== undefined) {
    expect(text, 'path')
    rules.push(ruleFrom(stringIn(text.take()), fieldsIn(text)))
  }
  return rules
}

/** `{"path": {"transit/decrypt/payments": {"capabilities": ["update"]}}}` */
function rulesInJson(json: string): readonly Rule[] {
  // Vault reads as far as it is well-formed, and says nothing of the conditions that it did not come to.
  parsed(json)
  // These it drops from lists, and a list of nothing is any value.
  if (/[[,]\s*(?:true|false)\b/.test(json)) throw new NotUnderstood()
  const [only, ...others] = fieldsIn(textOf(json))
  if (others.length > 0) throw new NotUnderstood()
  if (only === undefined) return []
  const [name, paths] = only
  if (name !== 'path') throw new NotUnderstood()
  return [...mapIn(paths)].map(([path, fields]) => ruleFrom(path, mapIn(fields)))
}

function mapIn(value: Value): Fields {
  if (!(value instanceof Map)) throw new NotUnderstood()
  return value
}

function expect(text: Text, mark: string): void {
  if (text.take() !== mark) throw new NotUnderstood()
}

/** `{ name = value ... }`, with commas or without. */
function fieldsIn(text: Text): Fields {
  const fields = new Map<string, Value>()
  expect(text, '{')
  while (text.peek() !== '}') {
    const token = text.take()
    const name = token.startsWith('"') ? stringIn(token) : wordIn(token)
    if (fields.has(name)) throw new NotUnderstood()
    if (text.peek() !== '{' && !['=', ':'].includes(text.take())) throw new NotUnderstood()
    fields.set(name, valueIn(text))
    if (text.peek() === ',') text.take()
  }
  text.take()
  return fields
}

function valueIn(text: Text): Value {
  const token = text.peek()
  if (token === '{') return fieldsIn(text)
  text.take()
  if (token === '[') return listIn(text)
  if (token?.startsWith('"') === true) return stringIn(token)
  if (token === 'true' || token === 'false') return token === 'true'
  if (token === undefined || !/^-?(?:0|[1-9]\d{0,14})$/.test(token)) throw new NotUnderstood()
  return Number(token)
}

/** Of texts, numbers and words: lists and blocks within lists Vault drops, or takes for something else. */
function listIn(text: Text): readonly Value[] {
  const values: Value[] = []
  while (text.peek() !== ']') {
    if (text.peek() === '[' || text.peek() === '{') throw new NotUnderstood()
    values.push(valueIn(text))
    if (text.peek() === ',') text.take()
    else if (text.peek() !== ']') throw new NotUnderstood()
  }
  text.take()
  return values
}

/** `${` begins an expression, within which a quote does not end the string. */
function stringIn(token: string): string {
  if (!token.startsWith('"') || token.includes('${')) throw new NotUnderstood()
  return String(parsed(token))
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    throw new NotUnderstood()
  }
}

function wordIn(token: string): string {
  if (!/^\w+$/.test(token)) throw new NotUnderstood()
  return token
}

function ruleFrom(path: string, fields: Fields): Rule {
  const allowed = fields.get('allowed_parameters')
  const shorthand = fields.get('policy')
  // Where a block of JSON has nothing but blocks in it, Vault takes what is in them for its own.
  if (fields.size > 0 && !fields.has('capabilities') && shorthand === undefined) throw new NotUnderstood()
  const written = [...stringsIn(fields.get('capabilities') ?? []), ...capabilitiesOf(shorthand)]
  const capabilities = written.includes('deny') ? ['deny'] : [...new Set(written)].sort()
  const conditions = [...fields.keys()].filter((name) => !UNCONDITIONAL.has(name)).sort()
  return {
    path: path.replace(/^\//, ''),
    capabilities,
    ...(allowed !== undefined && { allowedParameters: parametersIn(allowed) }),
    conditions,
  }
}

const UNCONDITIONAL: ReadonlySet<string> = new Set(['capabilities', 'policy', 'allowed_parameters', 'comment'])

function stringsIn(value: Value): readonly string[] {
  if (!Array.isArray(value) || !value.every((one) => typeof one === 'string')) throw new NotUnderstood()
  return value
}

/** How policies were written before there were capabilities; Vault still takes it. */
function capabilitiesOf(shorthand: Value | undefined): readonly string[] {
  if (shorthand === undefined) return []
  const given = typeof shorthand === 'string' ? SHORTHANDS.get(shorthand) : undefined
  if (given === undefined) throw new NotUnderstood()
  return given
}

const SHORTHANDS: ReadonlyMap<string, readonly string[]> = new Map([
  ['deny', ['deny']],
  ['read', ['read', 'list']],
  ['write', ['create', 'read', 'update', 'delete', 'list']],
  ['sudo', ['create', 'read', 'update', 'delete', 'list', 'sudo']],
])

function parametersIn(value: Value): Readonly<Record<string, readonly unknown[]>> {
  const entries = [...mapIn(value)].map(([name, values]) => {
    if (!Array.isArray(values)) throw new NotUnderstood()
    return [name.toLowerCase(), values] as const
  })
  const parameters = Object.fromEntries(entries)
  // Two names that differ in case are one for Vault, and which one counts is not said.
  if (Object.keys(parameters).length !== entries.length) throw new NotUnderstood()
  return parameters
}

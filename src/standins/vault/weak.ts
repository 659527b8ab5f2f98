/** Fields as Vault takes them: weakly, a number from its digits, a boolean from a word. */
import type { Fields } from './body.ts'
import { TransitError } from './keyring.ts'

/** Undefined: not given. @throws TransitError with Vault's text */
export function integerIn(fields: Fields, field: string): number | undefined {
  const given = fields[field]
  if (given === undefined) return undefined
  if (given === null || given === '') return 0
  if (typeof given === 'boolean') return Number(given)
  if (typeof given === 'object') throw flaw(field, unconvertible(given, 'int'))
  const digits = String(given)
  if (/^[+-]?\d+$/.test(digits)) return Number(digits)
  throw flaw(field, `cannot parse '' as int: strconv.ParseInt: parsing ${JSON.stringify(digits)}: invalid syntax`)
}

export function booleanIn(fields: Fields, field: string): boolean | undefined {
  const given = fields[field]
  if (given === undefined) return undefined
  if (given === null || given === '') return false
  if (typeof given === 'object') throw flaw(field, unconvertible(given, 'bool'))
  const word = String(given)
  if (/^(?:1|t|T|true|TRUE|True)$/.test(word)) return true
  if (/^(?:0|f|F|false|FALSE|False)$/.test(word)) return false
  throw flaw(field, `cannot parse '' as bool: strconv.ParseBool: parsing ${JSON.stringify(word)}: invalid syntax`)
}

const UNIT_SECONDS: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1 }

/** `3600`, `"3600"` or `"1h30m"`. */
export function secondsIn(fields: Fields, field: string): number | undefined {
  const given = fields[field]
  if (given === undefined) return undefined
  const text = String(given)
  if (/^-\d+$/.test(text)) throw flaw(field, `cannot provide negative value '${text}'`)
  if (/^\d+$/.test(text)) return Number(text)
  if (!/^(?:\d+[hms])+$/.test(text)) throw flaw(field, `time: invalid duration ${JSON.stringify(text)}`)
  const parts = [...text.matchAll(/(\d+)([hms])/g)]
  return parts.reduce((sum, [, count, unit = '']) => sum + Number(count) * (UNIT_SECONDS[unit] ?? 0), 0)
}

function flaw(field: string, text: string): TransitError {
  return new TransitError(`Field validation failed: error converting input for field "${field}": ${text}`)
}

function unconvertible(value: object, wanted: string): string {
  const type = Array.isArray(value) ? '[]interface {}' : 'map[string]interface {}'
  return `'' expected type '${wanted}', got unconvertible type '${type}', value: '${printed(value)}'`
}

/** As Go prints it. */
function printed(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(printed).join(' ')}]`
  if (typeof value !== 'object' || value === null) return value === null ? '<nil>' : String(value)
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `map[${members.map(([name, member]) => `${name}:${printed(member)}`).join(' ')}]`
}

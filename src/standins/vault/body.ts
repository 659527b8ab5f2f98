/** Bodies as Vault takes them: a guard against JSON bombs first, whose texts differ from those of the parser behind it. */
import type { StandinReply } from '../server.ts'
import { errors } from './answers.ts'

/** What a listener without `max_request_size` takes. */
export const DEFAULT_MAX_REQUEST_BYTES = 32 * 1024 * 1024
const MAX_STRING_CHARACTERS = 1024 * 1024
const MAX_MEMBERS = 10_000
const MAX_DEPTH = 300

export type Fields = Readonly<Record<string, unknown>>

/**
 * `refused` is said at once, by Vault's guard against JSON bombs, which reads only what looks like an object or array;
 * `unusable` only after the seal was looked at.
 */
export function parseBody(
  bytes: Buffer,
  maxBytes: number,
): { readonly fields: Fields } | { readonly refused: StandinReply } | { readonly unusable: string } {
  const text = bytes.toString().trim()
  if (text === '' || text === 'null') return { fields: {} }
  const guarded = text.startsWith('{') || text.startsWith('[')
  if (bytes.length > maxBytes && guarded) return { refused: tooLarge() }
  try {
    const value: unknown = JSON.parse(text)
    limit(value, 0)
    const type = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value
    if (type === 'object') return { fields: value as Fields }
    return { unusable: `json: cannot unmarshal ${type} into Go value of type map[string]interface {}` }
  } catch (thrown) {
    if (!guarded) return { unusable: `invalid character '${text.charAt(0)}' looking for beginning of value` }
    const flaw =
      thrown instanceof RangeError
        ? thrown.message
        : `malformed JSON, unclosed ${inString(text) ? 'string' : 'containers'}`
    return { refused: errors(500, flaw) }
  }
}

/** Go cuts the connection, since it did not read all that was sent. */
function tooLarge(): StandinReply {
  const { headers, ...reply } = errors(413, 'http: request body too large')
  return { ...reply, headers: { ...headers, connection: 'close' } }
}

function limit(value: unknown, depth: number): void {
  if (typeof value === 'string' && value.length > MAX_STRING_CHARACTERS) {
    throw new RangeError('JSON string value exceeds allowed length')
  }
  if (typeof value !== 'object' || value === null) return
  if (depth >= MAX_DEPTH) throw new RangeError('JSON input exceeds allowed nesting depth')
  const members: readonly unknown[] = Array.isArray(value) ? value : Object.values(value)
  if (members.length > MAX_MEMBERS) {
    const what = Array.isArray(value) ? 'array exceeds allowed element count' : 'object exceeds allowed entry count'
    throw new RangeError(`JSON ${what}`)
  }
  for (const member of members) limit(member, depth + 1)
}

function inString(text: string): boolean {
  return text.replaceAll(/\\./g, '').split('"').length % 2 === 0
}

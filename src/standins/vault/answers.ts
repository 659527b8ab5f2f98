/** Answers in Vault's shapes. */
import { randomUUID } from 'node:crypto'
import type { StandinReply } from '../server.ts'

const HEADERS = {
  'cache-control': 'no-store',
  'content-type': 'application/json',
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
}

export function json(status: number, body: unknown): StandinReply {
  return { status, headers: HEADERS, body: `${JSON.stringify(body)}\n` }
}

export function errors(status: number, ...texts: readonly string[]): StandinReply {
  return json(status, { errors: texts })
}

/** Errors that passed through Vault's core come wrapped in its list format, with tabs and blank line. */
export function wrapped(status: number, ...texts: readonly string[]): StandinReply {
  const count = texts.length === 1 ? '1 error' : `${texts.length} errors`
  return errors(status, `${count} occurred:\n${texts.map((text) => `\t* ${text}\n`).join('')}\n`)
}

export interface Envelope {
  readonly data?: unknown
  readonly auth?: unknown
  readonly warnings?: readonly string[]
  readonly mountType: string
}

export function envelope(
  status: number,
  { data = null, auth = null, warnings = [], mountType }: Envelope,
): StandinReply {
  return json(status, {
    request_id: randomUUID(),
    lease_id: '',
    renewable: false,
    lease_duration: 0,
    data,
    wrap_info: null,
    warnings: warnings.length === 0 ? null : warnings,
    auth,
    mount_type: mountType,
  })
}

/** What Vault says of fields it does not know, on an answer that otherwise succeeds. */
export function unrecognized(body: Readonly<Record<string, unknown>>, known: ReadonlySet<string>): readonly string[] {
  const extra = Object.keys(body).filter((field) => !known.has(field))
  return extra.length === 0 ? [] : [`Endpoint ignored these unrecognized parameters: [${extra.sort().join(' ')}]`]
}

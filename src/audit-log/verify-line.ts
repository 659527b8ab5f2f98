/** What a line is: a record, as far as its chain needs it; what is left of one; or somebody else's. Trusts only the bytes. */
import type { AuditRecord, Head, Torn } from './record.ts'

export interface ParsedLine {
  readonly kind: string
  readonly instance: string
  readonly seq: number
  readonly prev: string
  readonly time?: string | undefined
  /** Of a start only. */
  readonly cause?: string | undefined
  readonly sink?: string | undefined
  readonly previous?: Head | undefined
  readonly torn?: Torn | undefined
}

/** What the chain needs of a line; undefined if it is not a whole line of ours. */
export function parseLine(bytes: Uint8Array): ParsedLine | undefined {
  const line = objectIn(() => JSON.parse(textOf(bytes)))
  const chain = objectIn(() => line?.['chain'])
  if (line === undefined || chain === undefined) return undefined
  const { instance, seq, prev } = chain
  const { kind, time } = line
  if (typeof kind !== 'string' || !isInstance(instance) || !isHash(prev) || !isCount(seq)) return undefined
  const common = { kind, instance, seq, prev, time: isTime(time) ? time : undefined }
  if (kind !== 'start') return common
  const { cause, sink, previous, torn } = line
  return {
    ...common,
    cause: isWord(cause) ? cause : undefined,
    sink: sink === 'file' ? sink : undefined,
    previous: headIn(objectIn(() => previous)),
    torn: tornIn(objectIn(() => torn)),
  }
}

/**
 * Whether a line that is no record was one, or was to be one: torn, or altered until it no longer parses. keyhole's own log
 * stands between the records of a container's log, and is told apart by its `level`; but it is of no record's kind.
 */
export function isDamaged(bytes: Uint8Array): boolean {
  const text = textOf(bytes)
  const line = objectIn(() => JSON.parse(text))
  if (line !== undefined) return 'chain' in line || ('kind' in line && (!('level' in line) || isKind(line['kind'])))
  if (text.startsWith(BEGINNING) || text.includes('"chain":{"instance":"')) return true
  return text.length > 1 && BEGINNING.startsWith(text)
}

const KINDS: Readonly<Record<AuditRecord['kind'], true>> = {
  decision: true,
  refusals: true,
  throttled: true,
  start: true,
  stop: true,
  policy: true,
  effect: true,
  rotation: true,
}

function isKind(value: unknown): boolean {
  return typeof value === 'string' && Object.hasOwn(KINDS, value)
}

/** Of every record. */
const BEGINNING = '{"time":"'
/** Records hold no longer text. Bounds what is kept of each chain. */
const MAX_INSTANCE_CHARS = 300

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

type Fields = Readonly<Record<string, unknown>>

function objectIn(read: () => unknown): Fields | undefined {
  try {
    const value = read()
    return typeof value === 'object' && value !== null ? (value as Fields) : undefined
  } catch {
    return undefined
  }
}

function headIn(from: Fields | undefined): Head | undefined {
  if (from === undefined) return undefined
  const { instance, seq, sha256 } = from
  return isInstance(instance) && isCount(seq) && isHash(sha256) ? { instance, seq, sha256 } : undefined
}

function tornIn(from: Fields | undefined): Torn | undefined {
  if (from === undefined) return undefined
  const { bytes, sha256 } = from
  return isCount(bytes) ? { bytes, sha256: isHash(sha256) ? sha256 : undefined } : undefined
}

function isInstance(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_INSTANCE_CHARS
}

/** Of ours, if not of this version. */
function isWord(value: unknown): value is string {
  return typeof value === 'string' && /^[a-z-]{1,32}$/.test(value)
}

function isTime(value: unknown): value is string {
  return typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value)
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function isHash(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
}

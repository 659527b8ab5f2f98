/**
 * Checks lines against their chains. Several instances may stand in one file, one after the other or interleaved:
 * each chain is followed by itself. Trusts nothing but the bytes.
 */
import { NOTHING_BEFORE, sha256 } from './chain.ts'
import type { Head, Torn } from './record.ts'

export type Flaw =
  /** Not a line that keyhole writes, nor torn bytes that the next start owns to. */
  | 'not-a-record'
  /** A chain that does not begin with its start. */
  | 'no-start'
  /** A number that does not follow: lines are missing, repeated or in another order. */
  | 'out-of-sequence'
  /** The line before was changed, or this one. */
  | 'other-predecessor'
  /** A line after its chain's stop. */
  | 'after-stop'
  /** A start that quotes, or should quote, a line that is not there. */
  | 'quote'
  /** A head that was kept elsewhere is not there, or is another line. */
  | 'head'

export interface Break {
  /** Counted from 1; one more than there are, when a line is missing at the end. */
  readonly line: number
  readonly flaw: Flaw
  readonly instance?: string | undefined
}

export interface VerifiedChain {
  readonly head: Head
  /** Ended in good order; otherwise its process crashed, still runs, or lost its sink. */
  readonly stopped: boolean
}

export interface Verification {
  /** The first one; undefined when every chain holds. */
  readonly broken: Break | undefined
  readonly lines: number
  readonly chains: readonly VerifiedChain[]
  /** Lines at the end that are no records: what a crash or a full disk left there, if not somebody's hand. */
  readonly tornTail: number
}

export interface Verifier {
  /** The next line, without its newline. After a break, lines are only counted. */
  line(line: string | Uint8Array): void
  end(): Verification
}

/** @param kept heads kept elsewhere, which must be among the lines. */
export function verify(lines: Iterable<string | Uint8Array>, kept: readonly Head[] = []): Verification {
  const verifier = openVerifier(kept)
  for (const line of lines) verifier.line(line)
  return verifier.end()
}

/** For a file too long to hold. Keeps one entry per chain. */
export function openVerifier(kept: readonly Head[] = []): Verifier {
  const chains = new Map<string, { head: Head; stopped: boolean }>()
  let pending: Uint8Array[] = []
  let broken: Break | undefined
  let count = 0

  function check(bytes: Uint8Array): Break | undefined {
    const found = parseLine(bytes)
    if (found === undefined) {
      pending.push(bytes)
      return undefined
    }
    const unowned = pending.length
    if (unowned > 0 || found.torn !== undefined) {
      if (!owns(found.torn, pending)) return { line: count - unowned, flaw: 'not-a-record' }
      pending = []
    }
    const flaw = chains.has(found.instance) || found.kind !== 'start' ? followFlaw(found) : startFlaw(found)
    if (flaw !== undefined) return { line: count, flaw, instance: found.instance }
    const head = { instance: found.instance, seq: found.seq, sha256: sha256(bytes) }
    chains.set(found.instance, { head, stopped: found.kind === 'stop' })
    const other = kept.some((one) => sameLine(one, head) && one.sha256 !== head.sha256)
    return other ? { line: count, flaw: 'head', instance: found.instance } : undefined
  }

  function followFlaw(found: ParsedLine): Flaw | undefined {
    const chain = chains.get(found.instance)
    if (chain === undefined) return 'no-start'
    if (chain.stopped) return 'after-stop'
    if (found.seq !== chain.head.seq + 1) return 'out-of-sequence'
    return found.prev === chain.head.sha256 ? undefined : 'other-predecessor'
  }

  function startFlaw(found: ParsedLine): Flaw | undefined {
    if (found.seq !== 0) return 'out-of-sequence'
    if (found.prev !== NOTHING_BEFORE) return 'other-predecessor'
    // Standard output is collected line by line from many processes: only in a file must the lines before be there.
    if (found.sink !== 'file' || chains.size === 0) return undefined
    const quoted = found.previous && chains.get(found.previous.instance)?.head
    if (found.previous === undefined || quoted === undefined || quoted.seq < found.previous.seq) return 'quote'
    return quoted.seq === found.previous.seq && quoted.sha256 !== found.previous.sha256 ? 'quote' : undefined
  }

  function missing(): Break | undefined {
    const gone = kept.find(({ instance, seq }) => (chains.get(instance)?.head.seq ?? -1) < seq)
    return gone && { line: count + 1, flaw: 'head', instance: gone.instance }
  }

  return {
    line(line) {
      count += 1
      broken ??= check(typeof line === 'string' ? Buffer.from(line) : line)
    },
    end() {
      broken ??= missing()
      return { broken, lines: count, chains: [...chains.values()], tornTail: pending.length }
    },
  }
}

function sameLine(one: Head, other: Head): boolean {
  return one.instance === other.instance && one.seq === other.seq
}

/** Whether a start owns to exactly these torn lines. The newlines between them are part of what was torn. */
function owns(torn: Torn | undefined, lines: readonly Uint8Array[]): boolean {
  if (torn === undefined) return false
  const bytes = Buffer.concat(lines.flatMap((line, index) => (index === 0 ? [line] : [Buffer.from('\n'), line])))
  if (torn.sha256 === undefined) return bytes.length <= torn.bytes
  return sha256(bytes) === torn.sha256
}

export interface ParsedLine {
  readonly kind: string
  readonly instance: string
  readonly seq: number
  readonly prev: string
  /** Of a start only. */
  readonly sink?: string | undefined
  readonly previous?: Head | undefined
  readonly torn?: Torn | undefined
}

/** What the chain needs of a line; undefined if it is not a whole line of ours. */
export function parseLine(bytes: Uint8Array): ParsedLine | undefined {
  const line = objectIn(() => JSON.parse(Buffer.from(bytes).toString('latin1')))
  const chain = objectIn(() => line?.['chain'])
  if (line === undefined || chain === undefined) return undefined
  const { instance, seq, prev } = chain
  const { kind } = line
  if (typeof kind !== 'string' || typeof instance !== 'string' || !isHash(prev) || !isCount(seq)) return undefined
  if (kind !== 'start') return { kind, instance, seq, prev }
  const { sink, previous, torn } = line
  return {
    kind,
    instance,
    seq,
    prev,
    sink: sink === 'file' ? sink : undefined,
    previous: headIn(objectIn(() => previous)),
    torn: tornIn(objectIn(() => torn)),
  }
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
  const { instance, seq, sha256: hash } = from
  return typeof instance === 'string' && isCount(seq) && isHash(hash) ? { instance, seq, sha256: hash } : undefined
}

function tornIn(from: Fields | undefined): Torn | undefined {
  if (from === undefined) return undefined
  const { bytes, sha256: hash } = from
  return isCount(bytes) ? { bytes, sha256: isHash(hash) ? hash : undefined } : undefined
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function isHash(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
}

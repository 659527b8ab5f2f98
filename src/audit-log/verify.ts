/**
 * Checks the lines of an audit log against their chains, in constant memory, to its end. Several instances may stand in one
 * log, one after the other or interleaved: each chain is followed by itself. Trusts nothing but the bytes.
 */
import { sha256 } from './chain.ts'
import type { Head } from './record.ts'
import { openBetween } from './verify-between.ts'
import type { Chain, Common } from './verify-chain.ts'
import { beginChain, endChain, followChain } from './verify-chain.ts'
import type { Finding, Findings, Place } from './verify-finding.ts'
import { openFindings } from './verify-finding.ts'
import type { ParsedLine } from './verify-line.ts'
import { isDamaged, parseLine } from './verify-line.ts'
import { openQuotes } from './verify-quotes.ts'
import { openRecent } from './verify-recent.ts'

export interface VerifierOptions {
  /** SHA-256 of lines, kept elsewhere, which must be among them. */
  readonly heads?: readonly string[]
  /** Nobody else writes here: a line that is no record, and that no start owns to, is a finding. */
  readonly isStrict?: boolean
}

export interface Verifier {
  /** What comes next is of this file: another part of the same log. */
  file(name: string): void
  /** The next line, without its newline. */
  line(line: Uint8Array): void
  /** Records so far. */
  records(): number
  end(): Verification
}

export interface Verification {
  /** In the order of the log; none where every chain holds. */
  readonly findings: readonly Finding[]
  /** Findings beyond their bound. */
  readonly omitted: number
  readonly chains: readonly VerifiedChain[]
  readonly lines: number
  readonly records: number
  /** Lines of other programs. */
  readonly foreign: number
  /** Lines that a crash or a full disk tore, and that the next start owns to. */
  readonly torn: number
  readonly heads: readonly KeptHead[]
}

export interface VerifiedChain {
  readonly head: Head
  /** Nothing was found that is wrong with it, not even beyond the bound. */
  readonly isWhole: boolean
  readonly records: number
  /** The lowest number that is there: 0, or what is before is missing. */
  readonly firstSeq: number
  readonly firstAt: Place
  readonly lastAt: Place
  readonly firstTime: string | undefined
  readonly lastTime: string | undefined
  /** Why it began: `process`, `mended` or `moved`. */
  readonly cause: string | undefined
  /** The line that its start names as the one before it, and whether that is in this log. */
  readonly continues: { readonly head: Head; readonly isHere: boolean } | undefined
  /** Ended in good order; otherwise its process crashed, still runs, or lost its sink. */
  readonly stopped: boolean
  /** How it is known that nothing was cut from its end. `open`: it is not. */
  readonly end: 'stopped' | 'continued' | 'kept' | 'open'
  /** Torn lines behind it that the next start owns to. */
  readonly torn: number
}

export interface KeptHead {
  readonly sha256: string
  readonly found: { readonly instance: string; readonly seq: number; readonly at: Place } | undefined
}

/** Each chain is kept to the end; a log that begins one with every line must not fill the memory. */
const MAX_CHAINS = 50_000

export function openVerifier({ heads = [], isStrict = false }: VerifierOptions = {}): Verifier {
  const findings = openFindings()
  const chains = new Map<string, Chain>()
  const common: Common = { recent: openRecent(), holes: 0 }
  const quotes = openQuotes(findings)
  const between = openBetween(findings)
  const kept = new Map<string, KeptHead['found']>(heads.map((head) => [head, undefined]))
  const files: string[] = []
  /** Files without any record. */
  const barren: string[] = []
  let at: Place = { file: '', line: 0 }
  let lines = 0
  let records = 0
  let recordsBefore = 0
  /** Of the last record in this file. */
  let last: Chain | undefined
  let firstStart: ParsedLine | undefined
  /** Chains of a later file are older than the first of all. */
  let isReversed = false
  let isFull = false

  function record(line: ParsedLine, bytes: Uint8Array): void {
    between.end(last, { line, at })
    records += 1
    const hash = sha256(bytes)
    if (kept.has(hash)) kept.set(hash, { instance: line.instance, seq: line.seq, at })
    common.recent.add(line.instance, line.seq, { sha256: hash, at })
    const known = chains.get(line.instance)
    if (known !== undefined) followChain(known, line, hash, at, findings)
    else if (chains.size < MAX_CHAINS) begin(line, hash)
    else tellFull()
    last = chains.get(line.instance)
  }

  function begin(line: ParsedLine, hash: string): void {
    const { instance, previous, cause } = line
    if (chains.size === 0) firstStart = line
    else if (files.length > 1 && isOlder(line, firstStart)) isReversed = true
    if (isUnquoted(line)) findings.tell({ flaw: 'unquoted', instance, at })
    const quoted = previous && { head: previous, by: at, instance, cause, isHere: false }
    chains.set(instance, beginChain(line, hash, at, quoted, quotes.take(instance), common, findings))
    if (quoted !== undefined) quotes.add(quoted, chains.get(quoted.head.instance))
  }

  /** A file's start looks for the record before it there: one that names none is of another file, or was put there. */
  function isUnquoted({ kind, sink, previous }: ParsedLine): boolean {
    if (last === undefined || kind !== 'start') return false
    // One that claims to be of standard output has no business in a file.
    if (previous === undefined) return sink === 'file' || last.start?.sink === 'file'
    const quoted = chains.get(previous.instance)
    return sink === 'file' && quoted !== undefined && quoted.tip.at.file !== at.file
  }

  function tellFull(): void {
    if (!isFull) findings.tell({ flaw: 'too-many-chains', at })
    isFull = true
  }

  /** An empty file may have been made by a rotation of late; one with other lines is the wrong one, or compressed. */
  function endFile(): void {
    between.end(last)
    if (at.line > 0 && records === recordsBefore) barren.push(at.file)
    recordsBefore = records
  }

  function endChains(): void {
    for (const chain of chains.values()) endChain(chain, findings)
    for (const { head, by } of quotes.awaited()) {
      // A log may begin where an older file ended, but not where older ones follow.
      if (head === firstStart?.previous && !isReversed) continue
      const missing = { from: 0, to: head.seq }
      findings.tell({ flaw: 'missing', instance: head.instance, records: missing, by })
    }
    quotes.tellRivals(chains)
    // Where there is no record at all, no file of several is to blame.
    if (records > 0) for (const file of barren) findings.tell({ flaw: 'no-record', at: { file, line: 1 } })
    for (const [hash, found] of kept) if (found === undefined) findings.tell({ flaw: 'head', sha256: hash })
  }

  return {
    file(name) {
      endFile()
      files.push(name)
      at = { file: name, line: 0 }
      last = undefined
    },
    line(bytes) {
      lines += 1
      at = { file: at.file, line: at.line + 1 }
      const line = parseLine(bytes)
      if (line === undefined) between.add(bytes, at, isStrict || isDamaged(bytes))
      else record(line, bytes)
    },
    records: () => records,
    end() {
      endFile()
      endChains()
      return {
        lines,
        records,
        foreign: between.foreign,
        torn: between.torn,
        findings: inOrder(findings, files),
        omitted: findings.omitted(),
        chains: [...chains.values()].map((chain) => verified(chain, findings, kept)),
        heads: [...kept].map(([hash, found]) => ({ sha256: hash, found })),
      }
    },
  }
}

function inOrder(findings: Findings, files: readonly string[]): readonly Finding[] {
  const order = new Map(files.toReversed().map((name, index) => [name, files.length - index]))
  const placeOf = ({ at, by }: Finding) => at ?? by
  return findings.list().toSorted((one, other) => {
    const [a, b] = [placeOf(one), placeOf(other)]
    if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined)
    return (order.get(a.file) ?? 0) - (order.get(b.file) ?? 0) || a.line - b.line
  })
}

/** Whether a start is older than the first record of the log. Where a time is unknown, nothing is said. */
function isOlder(one: ParsedLine, other: ParsedLine | undefined): boolean {
  if (one.kind !== 'start' || one.time === undefined || other?.time === undefined) return false
  return Date.parse(one.time) < Date.parse(other.time)
}

function verified(chain: Chain, findings: Findings, kept: ReadonlyMap<string, unknown>): VerifiedChain {
  const { instance, start, quoted, records, first, tip, vouchedSeq, torn } = chain
  return {
    head: { instance, seq: tip.seq, sha256: tip.sha256 },
    isWhole: !findings.isFlawed(instance),
    records,
    firstSeq: first.seq,
    firstAt: first.at,
    lastAt: tip.at,
    firstTime: first.time,
    lastTime: tip.time,
    cause: start?.cause,
    continues: quoted && { head: quoted.head, isHere: quoted.isHere },
    stopped: tip.isStop,
    end: tip.isStop ? 'stopped' : vouchedSeq === tip.seq ? 'continued' : kept.has(tip.sha256) ? 'kept' : 'open',
    torn,
  }
}

/** All at once, where every line has to be a record. */
export function verify(
  lines: Iterable<string | Uint8Array>,
  kept: readonly Head[] = [],
): Verification & { /** The first finding. */ readonly broken: Finding | undefined } {
  const verifier = openVerifier({ heads: kept.map((head) => head.sha256), isStrict: true })
  for (const line of lines) verifier.line(typeof line === 'string' ? Buffer.from(line) : line)
  const verification = verifier.end()
  return { ...verification, broken: verification.findings[0] }
}

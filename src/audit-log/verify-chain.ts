/**
 * One chain, followed line by line in constant memory. Lines may be missing, moved or there twice: a hole is remembered by
 * its two edges, so that a line which fits into it later is known as one that was moved.
 */
import { NOTHING_BEFORE } from './chain.ts'
import type { Head } from './record.ts'
import type { Findings, Flaw, Place } from './verify-finding.ts'
import type { ParsedLine } from './verify-line.ts'
import type { Recent } from './verify-recent.ts'

/** As much of a record as is kept of it. */
export interface Link {
  readonly seq: number
  readonly prev: string
  readonly sha256: string
  readonly time: string | undefined
  readonly at: Place
  readonly isStop: boolean
  /** It is among the findings already: that its neighbours do not fit says nothing new. */
  readonly isTold: boolean
}

/** A line that the start of another chain names as the one before it. */
export interface Quoted {
  readonly head: Head
  readonly by: Place
  /** The chain that begins with this start. */
  readonly instance: string
  readonly cause: string | undefined
  /** Found, with the hash that is named. */
  isHere: boolean
}

/** What all chains of a log have together. */
export interface Common {
  readonly recent: Recent
  /** Holes of all chains. */
  holes: number
}

export interface Chain {
  readonly instance: string
  /** Its start, where that is there. */
  readonly start: ParsedLine | undefined
  /** What its start names as the record before it. */
  readonly quoted: Quoted | undefined
  records: number
  /** The lowest number and the highest. */
  first: Link
  tip: Link
  readonly holes: Hole[]
  /** Two neighbours that do not fit: the next link tells which of them was altered. */
  doubt: { readonly earlier: Link; readonly later: Link } | undefined
  /** Quoted before it was there. */
  awaited: Quoted | undefined
  /** The newest record that another chain's start vouches for. */
  vouchedSeq: number | undefined
  /** The highest number that another chain's start names. */
  quotedSeq: number
  /** Names an earlier record than the last, which is in order if no later one is named. */
  quotedBehind: Quoted | undefined
  readonly common: Common
  /** Torn lines behind it that the next start owns to. */
  torn: number
  /** Grows while lines that are out of place follow one another. */
  run: Run | undefined
}

interface Hole {
  readonly from: number
  readonly to: number
  readonly before: Link | undefined
  readonly after: Link
}

interface Run {
  readonly flaw: Flaw
  readonly instance: string
  readonly records: { readonly from: number; to: number }
  readonly at: Place
  until: Place
  readonly by: Place | undefined
}

/** Holes of one chain, and of all, that may still be filled; one more is told of as it is found. */
const MAX_HOLES = 64
const MAX_HOLES_IN_ALL = 50_000

/** @param awaited a line of it that was quoted before any of it was there. */
export function beginChain(
  line: ParsedLine,
  sha256: string,
  at: Place,
  quoted: Quoted | undefined,
  awaited: Quoted | undefined,
  common: Common,
  findings: Findings,
): Chain {
  const link = linkOf(line, sha256, at, findings)
  const chain: Chain = {
    instance: line.instance,
    start: line.kind === 'start' ? line : undefined,
    quoted,
    records: 1,
    first: link,
    tip: link,
    holes: [],
    doubt: undefined,
    awaited,
    vouchedSeq: undefined,
    quotedSeq: -1,
    quotedBehind: undefined,
    common,
    torn: 0,
    run: undefined,
  }
  if (link.seq > 0) keepHole(chain, { from: 0, to: link.seq - 1, before: undefined, after: link }, findings)
  arrive(chain, link, findings)
  return chain
}

export function followChain(chain: Chain, line: ParsedLine, sha256: string, at: Place, findings: Findings): void {
  const link = linkOf(line, sha256, at, findings)
  chain.records += 1
  if (link.seq > chain.tip.seq) goOn(chain, link, findings)
  else goBack(chain, link, findings)
  if (link.seq < chain.first.seq) chain.first = link
}

/** The start of another chain says what the line with this number was. */
export function vouch(chain: Chain, quoted: Quoted, findings: Findings): void {
  const { head } = quoted
  chain.quotedSeq = Math.max(chain.quotedSeq, head.seq)
  if (chain.tip.seq > head.seq) vouchBehind(chain, quoted, findings)
  else if (chain.tip.seq === head.seq) vouchTip(chain, quoted, findings)
  else if (chain.awaited === undefined || chain.awaited.head.seq < head.seq) chain.awaited = quoted
}

function vouchTip(chain: Chain, quoted: Quoted, findings: Findings): void {
  const { tip, doubt } = chain
  const { head, by } = quoted
  const isWhole = tip.sha256 === head.sha256
  quoted.isHere = isWhole
  if (doubt?.later === tip) {
    chain.doubt = undefined
    tellAltered(chain, isWhole ? doubt.earlier : tip, isWhole ? tip.at : by, findings)
  } else if (!isWhole && !tip.isTold) {
    tellAltered(chain, tip, by, findings)
  }
  if (isWhole) chain.vouchedSeq = head.seq
}

/**
 * A start names the newest record there is, so those behind it were added since. Only a process whose sink failed may not
 * know of its newest ones: they were written, and the failure was told of them, too.
 */
function vouchBehind(chain: Chain, quoted: Quoted, findings: Findings): void {
  const { head, by, cause } = quoted
  const record = chain.common.recent.of(head.instance, head.seq)
  quoted.isHere = record?.sha256 === head.sha256
  if (record !== undefined && !quoted.isHere) {
    const records = { from: head.seq, to: head.seq }
    findings.tell({ flaw: 'altered', instance: chain.instance, records, at: record.at, by })
  }
  if (cause === 'mended' && quoted.isHere) chain.quotedBehind ??= quoted
  else tellBehind(chain, quoted, chain.tip, findings)
}

function tellBehind({ instance }: Chain, { head, by }: Quoted, { seq, at }: Link, findings: Findings): void {
  findings.tell({ flaw: 'after-quote', instance, records: { from: head.seq + 1, to: seq }, at, by })
}

/** What only the end of the log tells. */
export function endChain(chain: Chain, findings: Findings): void {
  settleDoubt(chain, findings)
  for (const hole of chain.holes) tellHole(chain, hole, findings)
  const { awaited, tip, instance, quotedBehind, quotedSeq } = chain
  // Whoever names a later one of its records did not fail to write it.
  if (quotedBehind !== undefined && quotedSeq > quotedBehind.head.seq) tellBehind(chain, quotedBehind, tip, findings)
  if (awaited === undefined || awaited.head.seq <= tip.seq) return
  const records = { from: tip.seq + 1, to: awaited.head.seq }
  findings.tell({ flaw: 'missing', instance, records, at: tip.at, by: awaited.by })
}

/** No record is a start but the first, and only that has nothing before it. */
function linkOf(line: ParsedLine, sha256: string, at: Place, findings: Findings): Link {
  const { instance, kind, seq, prev, time } = line
  const isFirst = seq === 0
  const isTold = (kind === 'start') !== isFirst || (prev === NOTHING_BEFORE) !== isFirst
  if (isTold) findings.tell({ flaw: 'altered', instance, records: { from: seq, to: seq }, at })
  return { seq, prev, sha256, time, at, isStop: kind === 'stop', isTold }
}

function goOn(chain: Chain, link: Link, findings: Findings): void {
  const { instance, tip } = chain
  const records = { from: link.seq, to: link.seq }
  if (link.seq === tip.seq + 1) join(chain, tip, link, findings)
  else openHole(chain, { from: tip.seq + 1, to: link.seq - 1, before: tip, after: link }, findings)
  if (tip.isStop) findings.tell({ flaw: 'after-stop', instance, records, at: link.at, by: tip.at })
  chain.tip = link
  arrive(chain, link, findings)
}

/** What was quoted before it was there comes too late. */
function arrive(chain: Chain, link: Link, findings: Findings): void {
  const { awaited } = chain
  if (awaited === undefined || link.seq > awaited.head.seq) {
    chain.run = undefined
    return
  }
  outOfPlace(chain, 'moved', link, awaited.by, findings)
  if (link.seq === awaited.head.seq) vouch(chain, awaited, findings)
}

function goBack(chain: Chain, link: Link, findings: Findings): void {
  const at = chain.holes.findLastIndex(({ from, to }) => from <= link.seq && link.seq <= to)
  const hole = chain.holes[at]
  if (hole === undefined) {
    outOfPlace(chain, 'repeated', link, undefined, findings)
    return
  }
  const { from, to, before, after } = hole
  const left = from < link.seq ? [{ from, to: link.seq - 1, before, after: link }] : []
  const right = link.seq < to ? [{ from: link.seq + 1, to, before: link, after }] : []
  chain.holes.splice(at, 1)
  chain.common.holes -= 1
  for (const part of [...left, ...right]) keepHole(chain, part, findings)
  outOfPlace(chain, 'moved', link, after.at, findings)
  if (link.seq === from && before !== undefined) compare(chain, before, link, findings)
  if (link.seq === to) compare(chain, link, after, findings)
}

/** Lines that follow one another out of place are one finding: a whole file may be. */
function outOfPlace(chain: Chain, flaw: Flaw, link: Link, by: Place | undefined, findings: Findings): void {
  const { instance, run } = chain
  if (run?.flaw === flaw && run.records.to + 1 === link.seq) {
    run.records.to = link.seq
    run.until = link.at
    return
  }
  chain.run = { flaw, instance, records: { from: link.seq, to: link.seq }, at: link.at, until: link.at, by }
  findings.tell(chain.run)
}

/**
 * Where two neighbours do not fit, either may have been altered. If the later one fits its successor, it is as it was
 * written, and it was the earlier one; if it does not, its own bytes are others, too.
 */
function join(chain: Chain, earlier: Link, later: Link, findings: Findings): void {
  const { doubt } = chain
  const fits = later.prev === earlier.sha256
  chain.doubt = undefined
  if (doubt !== undefined) {
    tellAltered(chain, fits ? doubt.earlier : doubt.later, fits ? doubt.later.at : later.at, findings)
  } else if (!fits && !earlier.isTold && !later.isTold) {
    chain.doubt = { earlier, later }
  }
}

function compare(chain: Chain, earlier: Link, later: Link, findings: Findings): void {
  if (later.prev !== earlier.sha256 && !earlier.isTold && !later.isTold) tellUnlinked(chain, earlier, later, findings)
}

function openHole(chain: Chain, hole: Hole, findings: Findings): void {
  settleDoubt(chain, findings)
  keepHole(chain, hole, findings)
}

function keepHole(chain: Chain, hole: Hole, findings: Findings): void {
  const { holes, common } = chain
  if (holes.length >= MAX_HOLES || common.holes >= MAX_HOLES_IN_ALL) {
    tellHole(chain, hole, findings)
    return
  }
  holes.push(hole)
  common.holes += 1
}

function settleDoubt(chain: Chain, findings: Findings): void {
  if (chain.doubt !== undefined) tellUnlinked(chain, chain.doubt.earlier, chain.doubt.later, findings)
  chain.doubt = undefined
}

function tellHole({ instance }: Chain, { from, to, before, after }: Hole, findings: Findings): void {
  findings.tell({ flaw: 'missing', instance, records: { from, to }, at: before?.at, by: after.at })
}

function tellAltered({ instance }: Chain, { seq, at }: Link, by: Place, findings: Findings): void {
  findings.tell({ flaw: 'altered', instance, records: { from: seq, to: seq }, at, by })
}

function tellUnlinked({ instance }: Chain, earlier: Link, later: Link, findings: Findings): void {
  const records = { from: earlier.seq, to: later.seq }
  findings.tell({ flaw: 'unlinked', instance, records, at: earlier.at, by: later.at })
}

/** A verified audit log as a person reads it: chain by chain, then what belongs to none, then what it comes to. */
import type { Verification, VerifiedChain } from '../audit-log/verify.ts'
import type { Finding, Place } from '../audit-log/verify-finding.ts'
import { counted } from '../check/finding.ts'
import type { Screen } from './screen.ts'

/** Of whole chains, the newest; and of findings. The JSON has all. */
const MAX_LISTED = 50

export function printVerification(screen: Screen, verification: Verification): void {
  const { chains, findings, heads } = verification
  const shown = findings.slice(0, MAX_LISTED)
  const flawsOf = Map.groupBy(shown, ({ instance }) => instance)
  const unlisted = new Set(chains.filter(({ isWhole }) => isWhole).slice(0, -MAX_LISTED))
  for (const chain of chains) {
    const { instance } = chain.head
    if (!unlisted.has(chain)) printChain(screen, chain, flawsOf.get(instance) ?? [])
    flawsOf.delete(instance)
  }
  if (unlisted.size > 0) screen.line(`${unlisted.size} older chains are whole, which --output json lists`)
  printFindings(screen, [...flawsOf.values()].flat())
  for (const { sha256, found } of heads) {
    if (found === undefined) continue
    screen.line(`head ${sha256}: record ${found.seq} of ${found.instance}, ${placeText(found.at)}`)
  }
  const more = findings.length + verification.omitted - shown.length
  if (more > 0) screen.line(`and ${more} more findings, of which --output json lists up to 1000`)
  printSummary(screen, verification)
}

function printChain(screen: Screen, chain: VerifiedChain, findings: readonly Finding[]): void {
  const { head, isWhole, records, firstSeq, firstAt, lastAt, firstTime, lastTime } = chain
  screen.line(`chain ${head.instance}: ${isWhole ? 'whole' : 'not whole'}`, isWhole ? 'good' : 'bad')
  const numbers = `${range({ from: firstSeq, to: head.seq })}, ${records} in all`
  printFact(screen, 'records', `${numbers}, ${placesText(firstAt, lastAt)}`)
  printFact(screen, 'time', `${firstTime ?? 'unknown'} to ${lastTime ?? 'unknown'}`)
  printFact(screen, 'began', beganText(chain))
  printFact(screen, 'ended', endedText(chain))
  printFact(screen, 'head', head.sha256)
  for (const finding of findings) printFact(screen, finding.flaw, sentenceOf(finding), 'bad')
  screen.line('')
}

function printFact(screen: Screen, name: string, text: string, style: 'plain' | 'bad' = 'plain'): void {
  screen.line(`  ${name.padEnd(NAME_WIDTH)}${text}`, style)
}

const NAME_WIDTH = 'not-a-record  '.length

function printFindings(screen: Screen, findings: readonly Finding[]): void {
  if (findings.length === 0) return
  screen.line('In no chain that is here', 'bold')
  for (const finding of findings) {
    const of = finding.instance === undefined ? '' : `chain ${finding.instance}: `
    printFact(screen, finding.flaw, `${of}${sentenceOf(finding)}`, 'bad')
  }
  screen.line('')
}

/** A map, as the word is the log's: of an object, "constructor" would be found. */
const CAUSES: ReadonlyMap<string, string> = new Map([
  ['process', 'a process started'],
  ['mended', 'its log could be written again after a failure'],
  ['moved', 'the file was renamed, removed or cut'],
])

function beganText({ cause, continues, firstSeq }: VerifiedChain): string {
  if (cause === undefined) return firstSeq > 0 ? 'before this log' : 'with a record that is no start'
  const why = CAUSES.get(cause) ?? 'a reason that this version does not know'
  if (continues === undefined) return `${why}; it names no record before it`
  const { head, isHere } = continues
  const where = isHere ? '' : ', which is not in this log'
  return `${why}; it continues ${head.instance} after record ${head.seq}${where}`
}

function endedText({ end, torn }: VerifiedChain): string {
  const how = ENDS[end]
  return torn === 0 ? how : `${how}; behind it ${counted(torn, 'torn line')}, which the next start accounts for`
}

const ENDS: Readonly<Record<VerifiedChain['end'], string>> = {
  stopped: 'in good order',
  continued: 'without a stop; the chain that continues it names its last record',
  kept: 'without a stop; a --head is its last record',
  open: 'without a stop: the process is still running, or was killed, or records were cut off; only a --head shows which',
}

/** What is wrong, where, and what that means. */
export function sentenceOf(finding: Finding): string {
  return SENTENCES[finding.flaw](finding)
}

const SENTENCES: Readonly<Record<Finding['flaw'], (finding: Finding) => string>> = {
  missing: ({ records, at, by }) => {
    const where = at === undefined ? `before ${placeText(by)}` : `between ${placeText(at)} and ${placeText(by)}`
    return `${recordsText(records)} missing ${where}: removed, or not collected`
  },
  altered: ({ records, at, by }) => {
    const why = by === undefined ? 'keyhole writes no such record' : `${placeText(by)} has another hash of it`
    return `record ${records?.from} (${placeText(at)}) was altered: ${why}`
  },
  unlinked: ({ records, at, by }) =>
    `record ${records?.from} (${placeText(at)}) or ${records?.to} (${placeText(by)}) was altered: they do not fit together`,
  moved: ({ records, at, until, by }) =>
    `${recordsText(records)} at ${placesText(at, until)}, after ${placeText(by)}: moved, or the files are not in order`,
  repeated: ({ records, at, until }) =>
    `${recordsText(records)} there again at ${placesText(at, until)}: copied, or collected twice`,
  'after-stop': ({ records, at, by }) =>
    `record ${records?.from} (${placeText(at)}) comes after the stop (${placeText(by)}): added`,
  'after-quote': ({ records, at, by }) =>
    `${recordsText(records)} behind the one that ${placeText(by)} names as the newest, up to ${placeText(at)}: added`,
  'quoted-twice': ({ records, at, by }) =>
    `${placeText(at)} names the same record ${records?.from} before it as ${placeText(by)}: one of the two was added`,
  unquoted: ({ at }) =>
    `begins at ${placeText(at)} in the middle of a file and names no record before it there: of another file, or added`,
  'not-a-record': ({ at, until, lines }) => `${linesText(at, until, lines)}: damaged or altered`,
  torn: ({ at, until, lines }) =>
    `${linesText(at, until, lines)}, and none follows: torn by a crash or a full disk, or cut off`,
  'torn-altered': ({ at, until, by }) => {
    const what = at === undefined ? 'nothing stands there' : `${placesText(at, until)} is something else`
    return `${placeText(by)} found a torn line before it, and ${what}: altered or removed`
  },
  head: ({ sha256 }) => `no record has the hash ${sha256}: records were cut off, or this one was altered`,
  'no-record': ({ at }) =>
    `${at?.file} holds no record: the wrong file, or compressed; give the output of zcat for it, as "-"`,
  'too-many-chains': ({ at }) => `from ${placeText(at)} on there are more chains than are followed: not verified`,
}

function recordsText(records: Finding['records']): string {
  if (records === undefined) return 'records are'
  return records.from === records.to ? `record ${records.from} is` : `records ${range(records)} are`
}

function range({ from, to }: { readonly from: number; readonly to: number }): string {
  return from === to ? `${from}` : `${from} to ${to}`
}

function linesText(at: Place | undefined, until: Place | undefined, lines = 1): string {
  if (lines === 1) return `${placeText(at)} is not a whole record`
  return `${lines} lines from ${placesText(at, until)} are not whole records`
}

function placeText(place: Place | undefined): string {
  return place === undefined ? 'nowhere' : `${place.file}:${place.line}`
}

function placesText(first: Place | undefined, last: Place | undefined): string {
  const isOne = last === undefined || (first?.file === last.file && first.line === last.line)
  return isOne ? placeText(first) : `${placeText(first)} to ${placeText(last)}`
}

function printSummary(screen: Screen, { chains, findings, omitted, records, foreign, torn }: Verification): void {
  const skipped = foreign === 0 ? '' : `; ${counted(foreign, 'other line')} skipped`
  const owned = torn === 0 ? '' : `; ${counted(torn, 'torn line')} accounted for`
  const what = `${counted(records, 'record')} in ${counted(chains.length, 'chain')}${owned}${skipped}`
  const flaws = findings.length + omitted
  if (records === 0) {
    screen.line(`There is no audit record here${skipped}.`, 'bad')
    screen.line(
      'A record is a line as keyhole wrote it: not compressed, and from kubectl logs without --prefix and --timestamps.',
    )
    return
  }
  if (flaws > 0) {
    screen.line(`Not whole: ${counted(flaws, 'finding')}. ${what}.`, 'bad')
    return
  }
  screen.line(`Whole: ${what}.`, 'good')
  const open = chains.filter(({ end }) => end === 'open').length
  if (open > 0)
    screen.line(`Whether the end of ${counted(open, 'chain')} was cut off is not known: see --head in the help.`)
}

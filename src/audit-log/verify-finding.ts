/** What is wrong with an audit log, and where. Places, numbers and hashes: nothing else of a record. */

export interface Place {
  readonly file: string
  /** Counted from 1. */
  readonly line: number
}

export type Flaw =
  /** Records that are not there: between `at` and `by`, or before `by` where there is nothing before. */
  | 'missing'
  /** A record that is not as it was written: `by` has another hash of it. Without `by`, no record is like it. */
  | 'altered'
  /** Two neighbours of which one was altered, and nothing after them tells which. */
  | 'unlinked'
  /** Records that stand after what was written after them. */
  | 'moved'
  /** Records that were there before. */
  | 'repeated'
  /** A record behind its chain's stop. */
  | 'after-stop'
  /** Records behind the one that another chain's start names as the newest. */
  | 'after-quote'
  /** A start that names the same record before it as the start of another chain. */
  | 'quoted-twice'
  /** A start in the midst of a file that names no record before it there. */
  | 'unquoted'
  /** Lines that are no records, and that no start owns to. */
  | 'not-a-record'
  /** The same, with no record behind them. */
  | 'torn'
  /** Other lines, or none, where a start found torn ones. */
  | 'torn-altered'
  /** A head that was kept elsewhere is not there. */
  | 'head'
  /** A file without any record. */
  | 'no-record'
  /** More chains than are followed: the lines of the others were not looked at. */
  | 'too-many-chains'

export interface Finding {
  readonly flaw: Flaw
  readonly instance?: string | undefined
  /** The numbers of the records that it is about. */
  readonly records?: { readonly from: number; readonly to: number } | undefined
  readonly at?: Place | undefined
  /** The last line that it is about, where there are several. */
  readonly until?: Place | undefined
  /** The line that tells. */
  readonly by?: Place | undefined
  /** How many lines, where they have no numbers. */
  readonly lines?: number | undefined
  /** Of a head. */
  readonly sha256?: string | undefined
}

export interface Findings {
  tell(finding: Finding): void
  list(): readonly Finding[]
  /** How many were told beyond the bound. */
  omitted(): number
  /** Whether anything was told of this chain, beyond the bound, too. */
  isFlawed(instance: string): boolean
}

/** A log that is no log at all must not fill the memory. */
const MAX_FINDINGS = 1_000
/** More than there are chains that are followed. Beyond it, none is called whole. */
const MAX_FLAWED = 150_000

export function openFindings(): Findings {
  const list: Finding[] = []
  const flawed = new Set<string>()
  let told = 0
  return {
    tell(finding) {
      told += 1
      if (finding.instance !== undefined && flawed.size < MAX_FLAWED) flawed.add(finding.instance)
      if (list.length < MAX_FINDINGS) list.push(finding)
    },
    list: () => list,
    omitted: () => told - list.length,
    isFlawed: (instance) => flawed.has(instance) || flawed.size >= MAX_FLAWED,
  }
}

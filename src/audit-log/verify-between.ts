/** What stands between the records: lines that a crash tore, lines of other programs, and who owns to them. */
import type { Chain } from './verify-chain.ts'
import type { Findings, Place } from './verify-finding.ts'
import type { ParsedLine } from './verify-line.ts'
import { openStretch } from './verify-stretch.ts'

export interface Between {
  /** A line that is no record. */
  add(line: Uint8Array, at: Place, isDamaged: boolean): void
  /** A record, or the end of a file where there is none. @param after the chain of the record before it, in this file. */
  end(after: Chain | undefined, by?: { readonly line: ParsedLine; readonly at: Place }): void
  /** Lines so far, by whose they are. */
  readonly foreign: number
  readonly torn: number
}

export function openBetween(findings: Findings): Between {
  let stretch = openStretch()
  const counts = { foreign: 0, torn: 0 }

  function tell(after: Chain | undefined, by: { readonly line: ParsedLine; readonly at: Place } | undefined): void {
    const { damaged, lines, at, until } = stretch
    if (by?.line.torn?.sha256 !== undefined) {
      findings.tell({ flaw: 'torn-altered', instance: by.line.instance, at, until, by: by.at, lines })
    } else if (damaged.lines > 0) {
      const flaw = by === undefined ? 'torn' : 'not-a-record'
      // Any process may have written to a pipe between two records of another.
      const instance = after?.start?.sink === 'file' ? after.instance : undefined
      findings.tell({ flaw, instance, at: damaged.at, until, lines: damaged.lines })
    }
  }

  return {
    add: (line, at, isDamaged) => stretch.add(line, at, isDamaged),
    end(after, by) {
      const { lines, damaged } = stretch
      const torn = by?.line.torn
      if (lines === 0 && torn === undefined) return
      const isOwned = torn !== undefined && stretch.isOwnedBy(torn)
      const owned = !isOwned ? 0 : torn.sha256 === undefined ? damaged.lines : lines
      counts.torn += owned
      counts.foreign += isOwned ? lines - owned : lines - damaged.lines
      if (isOwned && after !== undefined) after.torn += owned
      if (!isOwned) tell(after, by)
      if (lines > 0) stretch = openStretch()
    },
    get foreign() {
      return counts.foreign
    },
    get torn() {
      return counts.torn
    },
  }
}

/** What starts name as the record before them: by their record, and, until that is there, by their chain. */
import type { Chain, Quoted } from './verify-chain.ts'
import { vouch } from './verify-chain.ts'
import type { Findings } from './verify-finding.ts'
import { keyOf } from './verify-recent.ts'

export interface Quotes {
  /** @param chain whose record is named; undefined while none of it is there. */
  add(quoted: Quoted, chain: Chain | undefined): void
  /** The newest named record of a chain that begins now. */
  take(instance: string): Quoted | undefined
  /** Of chains that never came. */
  awaited(): Iterable<Quoted>
  /** Two starts that name the same record: which of them was added is not known, so neither is whole. */
  tellRivals(chains: ReadonlyMap<string, Chain>): void
}

export function openQuotes(findings: Findings): Quotes {
  const awaited = new Map<string, Quoted>()
  const byRecord = new Map<string, Quoted>()
  const rivals: { readonly earlier: Quoted; readonly later: Quoted }[] = []
  return {
    add(quoted, chain) {
      const { instance, seq } = quoted.head
      const earlier = byRecord.get(keyOf(instance, seq))
      if (earlier !== undefined) rivals.push({ earlier, later: quoted })
      byRecord.set(keyOf(instance, seq), quoted)
      if (chain !== undefined) vouch(chain, quoted, findings)
      else if ((awaited.get(instance)?.head.seq ?? -1) < seq) awaited.set(instance, quoted)
    },
    take(instance) {
      const quoted = awaited.get(instance)
      awaited.delete(instance)
      return quoted
    },
    awaited: () => awaited.values(),
    tellRivals(chains) {
      for (const { earlier, later } of rivals) {
        // A start that failed, and was written all the same, is followed by nothing but the next attempt.
        if (later.cause === 'mended' && chains.get(earlier.instance)?.tip.seq === 0) continue
        tellRival(earlier, later, findings)
        tellRival(later, earlier, findings)
      }
    },
  }
}

function tellRival({ head, instance, by }: Quoted, other: Quoted, findings: Findings): void {
  const records = { from: head.seq, to: head.seq }
  findings.tell({ flaw: 'quoted-twice', instance, records, at: by, by: other.by })
}

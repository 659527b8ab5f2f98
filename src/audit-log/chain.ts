/**
 * The chain: every line holds the SHA-256 of the line before it. It shows accident, and edits by those who cannot
 * rewrite all that follows; whoever can, is shown by a head kept elsewhere. The newest line of a chain has no
 * successor to vouch for it: only a kept head, or the next start that quotes it, does.
 */
import { createHash } from 'node:crypto'
import { formatRecord } from './format-record.ts'
import type { AuditRecord, Head } from './record.ts'

export interface Chain {
  /** The record as the chain's next line, without its newline. */
  next(record: AuditRecord): string
  /** The newest line made; undefined before the first. */
  head(): Head | undefined
}

/** The `prev` of a chain's first line. */
export const NOTHING_BEFORE = '0'.repeat(64)

export function openChain(instance: string): Chain {
  let head: Head | undefined
  return {
    next(record) {
      const seq = head === undefined ? 0 : head.seq + 1
      const line = formatRecord(record, { instance, seq, prev: head?.sha256 ?? NOTHING_BEFORE })
      head = { instance, seq, sha256: sha256(line) }
      return line
    },
    head: () => head,
  }
}

export function sha256(line: string | Uint8Array): string {
  return createHash('sha256').update(line).digest('hex')
}

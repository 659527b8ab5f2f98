/**
 * The lines since the last record that are none: torn ones, which the next start may own to, and those of other programs.
 * Kept as a digest and counts, however many they are.
 */
import { createHash } from 'node:crypto'
import type { Torn } from './record.ts'
import type { Place } from './verify-finding.ts'

export interface Stretch {
  add(line: Uint8Array, at: Place, isDamaged: boolean): void
  readonly lines: number
  /** Those that were records, or were to be. */
  readonly damaged: { readonly lines: number; readonly bytes: number; readonly at: Place | undefined }
  readonly at: Place | undefined
  readonly until: Place | undefined
  /** Whether a start owns to exactly these lines. The newlines between them are part of what was torn. */
  isOwnedBy(torn: Torn): boolean
}

export function openStretch(): Stretch {
  const hash = createHash('sha256')
  let lines = 0
  let at: Place | undefined
  let until: Place | undefined
  const damaged: { lines: number; bytes: number; at: Place | undefined } = { lines: 0, bytes: 0, at: undefined }
  return {
    add(line, place, isDamaged) {
      if (lines > 0) hash.update('\n')
      hash.update(line)
      lines += 1
      at ??= place
      until = place
      if (!isDamaged) return
      damaged.bytes += line.length + (damaged.lines > 0 ? 1 : 0)
      damaged.lines += 1
      damaged.at ??= place
    },
    get lines() {
      return lines
    },
    get at() {
      return at
    },
    get until() {
      return until
    },
    damaged,
    isOwnedBy({ sha256, bytes }) {
      // What a pipe tore is known by its length at most: other programs may have written between.
      if (sha256 === undefined) return damaged.bytes <= bytes
      return lines > 0 && hash.copy().digest('hex') === sha256
    },
  }
}

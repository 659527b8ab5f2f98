/** How far a long log has been read: one line that is redrawn on a terminal, and nothing elsewhere. */
import type { Clock } from '../clock.ts'
import type { Screen } from './screen.ts'

export interface Reading {
  /** @param bytes more than before. */
  read(bytes: number, records: number): void
  end(): void
}

/** What is over sooner needs no watching. */
const PATIENCE_MS = 2_000
const REDRAW_MS = 100

/** @param totalBytes undefined where it is not known, as of a pipe. */
export function openReading(screen: Screen, clock: Clock, totalBytes: number | undefined): Reading {
  let drawAtMs = clock.now() + PATIENCE_MS
  let doneBytes = 0
  return {
    read(bytes, records) {
      doneBytes += bytes
      const now = clock.now()
      if (now < drawAtMs) return
      drawAtMs = now + REDRAW_MS
      const of = totalBytes === undefined ? '' : ` of ${mib(totalBytes)}`
      screen.redraw(`Read ${mib(doneBytes)}${of} MiB, ${records} records`)
    },
    end: () => screen.leave(),
  }
}

function mib(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1)
}

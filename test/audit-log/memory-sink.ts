import { sha256 } from '../../src/audit-log/chain.ts'
import type { Beginning, Sink } from '../../src/audit-log/sink.ts'
import { SinkError } from '../../src/audit-log/sink.ts'
import { parseLine } from '../../src/audit-log/verify-line.ts'

/** A sink that speaks the port, keeps what it is given, and fails or hangs as it is told. */
export interface MemorySink extends Sink {
  /** What has been written, a write each. */
  readonly writes: string[]
  lines(): string[]
  /** Code that every write fails with from now on; undefined mends. */
  failing: string | undefined
  /** Every write waits while this holds. */
  holding: Promise<void> | undefined
  moved: boolean
  beginning: () => Promise<Beginning>
  ended: number
}

export function memorySink(): MemorySink {
  const sink: MemorySink = {
    kind: 'file',
    writes: [],
    failing: undefined,
    holding: undefined,
    moved: false,
    ended: 0,
    lines: () => sink.writes.flatMap((write) => write.slice(0, -1).split('\n')),
    beginning: async () => {
      const last = sink.lines().at(-1)
      const found = last === undefined ? undefined : parseLine(Buffer.from(last))
      if (last === undefined || found === undefined) return {}
      return { previous: { instance: found.instance, seq: found.seq, sha256: sha256(last) } }
    },
    begin: () => {
      sink.moved = false
      return sink.beginning()
    },
    current: async () => !sink.moved,
    async write(bytes) {
      await sink.holding
      if (sink.failing !== undefined) throw new SinkError(sink.failing)
      sink.writes.push(bytes.toString())
    },
    async end() {
      sink.ended += 1
    },
  }
  return sink
}

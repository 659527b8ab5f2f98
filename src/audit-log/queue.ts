/**
 * Appends that wait to be written, each for at most `timeoutMs`. Once one has waited in vain the sink counts as blocked: every
 * append after it is refused at once, until something is written again.
 */
import type { Clock } from '../clock.ts'
import { KeyholeError } from '../errors.ts'
import type { AuditRecord } from './record.ts'

export interface Queue {
  /** Resolves once the record is written. @throws KeyholeError AUDIT_UNAVAILABLE, within `timeoutMs`. */
  add(record: AuditRecord): Promise<void>
  /** Rejects at once, and queues nothing. @throws KeyholeError AUDIT_UNAVAILABLE */
  refuse(record: AuditRecord, why: string): Promise<never>
  isEmpty(): boolean
  isBlocked(): boolean
  /** Something was written, or can be again. */
  unblock(): void
  /** Takes out what goes into one write, oldest first. @param lineOf may throw for a record that it cannot put on a line. */
  take(lineOf: (record: AuditRecord) => string): Group
  /** Rejects all that wait. */
  clear(why: string): void
  /** How many decisions were refused that no start has reported yet. */
  unreported(): number
  /** A start has reported so many. */
  reported(refused: number): void
}

export interface Group {
  readonly bytes: Buffer
  /** Resolves the waiters, or rejects them with `why`; no effect on one that timed out. */
  settle(why?: string): void
}

export interface QueueOptions {
  readonly clock: Clock
  /** How long one append may wait, in ms. */
  readonly timeoutMs: number
  readonly maxQueued: number
}

/** Bounds the memory and the time of one write; the lines beyond it go out in the next. */
const MAX_GROUP_BYTES = 1024 * 1024

interface Waiting {
  readonly record: AuditRecord
  readonly settle: Group['settle']
}

export function appendQueue({ clock, timeoutMs, maxQueued }: QueueOptions): Queue {
  const queue = new Set<Waiting>()
  let blocked = false
  let unreported = 0

  function refusal({ kind }: AuditRecord, why: string): KeyholeError {
    if (kind === 'decision') unreported += 1
    return new KeyholeError('AUDIT_UNAVAILABLE', { why })
  }

  function whyNot(): string | undefined {
    if (blocked) return 'audit-sink-blocked'
    return queue.size >= maxQueued ? 'audit-queue-full' : undefined
  }

  function wait(record: AuditRecord): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiting = { record, settle }
    let settled = false
    function settle(why?: string): void {
      if (settled) return
      settled = true
      cancel()
      if (why === undefined) resolve()
      else reject(refusal(record, why))
    }
    const cancel = clock.after(timeoutMs, () => {
      // It may be in the middle of a write, and then be in the log although its request failed. Never the other way round.
      queue.delete(waiting)
      blocked = true
      settle('audit-sink-blocked')
    })
    queue.add(waiting)
    return promise
  }

  function refuse(record: AuditRecord, why: string): Promise<never> {
    return Promise.reject(refusal(record, why))
  }

  return {
    add(record) {
      const why = whyNot()
      return why === undefined ? wait(record) : refuse(record, why)
    },
    refuse,
    isEmpty: () => queue.size === 0,
    isBlocked: () => blocked,
    unblock() {
      blocked = false
    },
    take: (lineOf) => takeGroup(queue, lineOf),
    clear(why) {
      settleAll([...queue], why)
      queue.clear()
    },
    unreported: () => unreported,
    reported(refused) {
      unreported -= refused
    },
  }
}

function takeGroup(queue: Set<Waiting>, lineOf: (record: AuditRecord) => string): Group {
  const group: Waiting[] = []
  const lines: Buffer[] = []
  let length = 0
  for (const waiting of queue) {
    if (length >= MAX_GROUP_BYTES) break
    queue.delete(waiting)
    try {
      const line = Buffer.from(`${lineOf(waiting.record)}\n`)
      lines.push(line)
      length += line.length
      group.push(waiting)
    } catch {
      // A defect of whoever made this record. The others are written all the same.
      waiting.settle('audit-record-malformed')
    }
  }
  return { bytes: Buffer.concat(lines), settle: (why) => settleAll(group, why) }
}

function settleAll(group: readonly Waiting[], why?: string): void {
  for (const { settle } of group) settle(why)
}

/** The audit log, whole: one chain of records on one sink, and the counts of what gets no record of its own. */
import type { Clock } from '../clock.ts'
import { every } from '../clock.ts'
import type { AuditRecord, Head, Unauthenticated, Versions } from './record.ts'
import { refusalLimit } from './refusal-limit.ts'
import type { Sink } from './sink.ts'
import type { NamedCaller } from './tally.ts'
import { refusalTally, throttleTally } from './tally.ts'
import { openWriter } from './writer.ts'

export interface AuditLogOptions {
  readonly sink: Sink
  readonly clock: Clock
  /** So many random bytes, as `randomBytes` of node:crypto gives them. */
  readonly random: (bytes: number) => Buffer
  readonly versions: Versions
  /** Of the policy in force when a chain starts; undefined before there is one. */
  readonly policyHash: () => string | undefined
  /** Told the newest head once a minute when it has changed, to be kept where the log's own disk cannot reach. */
  readonly keepHead?: (head: Head) => void
  /** How long one append may wait, in ms. */
  readonly timeoutMs?: number
  /** Appends that may wait. */
  readonly maxQueued?: number
  /** Refusals of one caller with a record of their own. */
  readonly refusalsPerSecond?: number
  readonly refusalsBurst?: number
}

export interface AuditLog {
  /** Resolves once the record is written. @throws KeyholeError AUDIT_UNAVAILABLE, within `timeoutMs`. */
  append(record: AuditRecord): Promise<void>
  /** Counts a request that ended before anybody was identified; at most one record a second tells of them. */
  refusedUnauthenticated(code: Unauthenticated, peer: string): void
  /** Whether this refusal is beyond its caller's limit. If so it is counted, and must not be appended. */
  overLimit(caller: NamedCaller, code: Unauthenticated): boolean
  /** False while an append is likely to be refused, or a count could not be written. */
  healthy(): boolean
  /** The newest line known to be written. */
  head(): Head | undefined
  /** Writes what waits, the counts and a stop. Never rejects: a stop that is missing tells. */
  close(): Promise<void>
}

const KEEP_HEAD_MS = 60_000
const MAX_CALLERS = 4096

/** @throws SinkError when not even the start can be written: a log that never worked should stop the process. */
export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const { sink, clock, random, versions, policyHash, keepHead } = options
  const { timeoutMs = 1000, maxQueued = 1024, refusalsPerSecond = 10, refusalsBurst = 20 } = options
  const writer = await openWriter({ sink, clock, random, versions, policyHash, timeoutMs, maxQueued })
  const refusals = refusalTally({ clock, append: writer.append })
  const throttled = throttleTally({ clock, append: writer.append })
  const withinLimit = refusalLimit({
    clock,
    perSecond: refusalsPerSecond,
    burst: refusalsBurst,
    maxCallers: MAX_CALLERS,
  })
  let kept: Head | undefined
  const stopKeeping = every(clock, KEEP_HEAD_MS, keepNewest)

  function keepNewest(): void {
    const head = writer.head()
    if (head === undefined || head.sha256 === kept?.sha256) return
    kept = head
    keepHead?.(head)
  }

  return {
    append: writer.append,
    refusedUnauthenticated: refusals.count,
    overLimit(caller, code) {
      if (withinLimit(caller)) return false
      throttled.count(caller, code)
      return true
    },
    healthy: () => writer.healthy() && refusals.healthy() && throttled.healthy(),
    head: writer.head,
    async close() {
      stopKeeping()
      await Promise.all([refusals.close(), throttled.close()])
      await writer.close()
      keepNewest()
    },
  }
}

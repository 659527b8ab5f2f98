/**
 * One chain on one sink. Appends that arrive during a write go out together in the next one, so that many requests share
 * one sync; each resolves only after its own bytes are written. Any failure ends the chain: what waits is refused, and so
 * is what comes, until a fresh chain has begun.
 */
import type { Clock } from '../clock.ts'
import { withinMs } from '../clock.ts'
import type { Chain } from './chain.ts'
import { openChain } from './chain.ts'
import { mending } from './mending.ts'
import type { Group } from './queue.ts'
import { appendQueue } from './queue.ts'
import type { AuditRecord, Head, Start, Versions } from './record.ts'
import type { Sink } from './sink.ts'
import { SinkError } from './sink.ts'

export interface WriterOptions {
  readonly sink: Sink
  readonly clock: Clock
  /** This many random bytes. They name the instance. */
  readonly random: (bytes: number) => Buffer
  readonly versions: Versions
  /** Of the policy in force when a chain starts. */
  readonly policyHash: () => string | undefined
  /** How long one append may wait, in ms. */
  readonly timeoutMs: number
  readonly maxQueued: number
}

export interface Writer {
  /** Resolves once written. @throws KeyholeError AUDIT_UNAVAILABLE, within `timeoutMs`. */
  append(record: AuditRecord): Promise<void>
  healthy(): boolean
  /** The newest line known to be written. */
  head(): Head | undefined
  /** Writes what waits and a stop, then ends the sink; takes at most twice `timeoutMs`. */
  close(): Promise<void>
}

/** @throws SinkError when the first record cannot be written: a log that never worked should stop the start. */
export async function openWriter(options: WriterOptions): Promise<Writer> {
  const { sink, clock, timeoutMs } = options
  const queue = appendQueue(options)
  const mend = mending(clock, reopen)
  /** `failed`: the chain has ended, and no fresh one has begun yet. */
  let state: 'open' | 'failed' | 'closed' = 'open'
  let closing: Promise<void> | undefined
  let chain: Chain
  /** Of the newest line that is known to be written; `chain.head()` may be of one that still is not. */
  let head: Head | undefined
  let draining = false

  async function begin(cause: Start['cause']): Promise<void> {
    const { previous: found, torn } = await sink.begin()
    // If the file was moved or cut, we know what we wrote. After a failed write we do not: the file may hold more than that.
    const previous = cause === 'moved' ? (head ?? found) : (found ?? head)
    const fresh = openChain(options.random(16).toString('hex'))
    const refusedAppends = queue.unreported()
    const line = fresh.next({
      kind: 'start',
      timeMs: clock.now(),
      cause,
      sink: sink.kind,
      versions: options.versions,
      policyHash: options.policyHash(),
      previous,
      torn,
      refusedAppends,
    })
    await sink.write(Buffer.from(`${line}\n`))
    queue.reported(refusedAppends)
    chain = fresh
    head = fresh.head()
  }

  function append(record: AuditRecord): Promise<void> {
    if (closing !== undefined) return queue.refuse(record, 'audit-log-closed')
    if (state === 'failed') return queue.refuse(record, 'audit-sink-failed')
    const written = queue.add(record)
    void drain()
    return written
  }

  /** Never rejects. One write at a time: the order of the chain is the order of the file. */
  async function drain(): Promise<void> {
    if (draining) return
    draining = true
    while (state === 'open' && !queue.isEmpty()) await writeGroup()
    draining = false
  }

  async function writeGroup(): Promise<void> {
    let group: Group | undefined
    try {
      // Meanwhile the other appends of this turn of the event loop join the group.
      if (!(await sink.current())) await begin('moved')
      group = queue.take((record) => chain.next(record))
      if (group.bytes.length > 0) await sink.write(group.bytes)
      head = chain.head()
      queue.unblock()
      mend.worked()
      group.settle()
    } catch {
      state = 'failed'
      group?.settle('audit-sink-failed')
      queue.clear('audit-sink-failed')
      void sink.end()
      mend.begin()
    }
  }

  async function reopen(): Promise<void> {
    await begin('mended')
    queue.unblock()
    if (state === 'failed') state = 'open'
    else await sink.end()
  }

  async function shut(stopped: Promise<void>): Promise<void> {
    mend.stop()
    await stopped.catch(() => undefined)
    state = 'closed'
    await inTime(sink.end()).catch(() => undefined)
  }

  function inTime(work: Promise<void>): Promise<void> {
    return withinMs(clock, timeoutMs, work, () => {
      throw new SinkError('blocked')
    })
  }

  try {
    await inTime(begin('process'))
  } catch (error) {
    void sink.end()
    throw error
  }
  return {
    append,
    healthy: () => state === 'open' && closing === undefined && !queue.isBlocked(),
    head: () => head,
    close() {
      if (closing !== undefined) return closing
      const stopped = append({ kind: 'stop', timeMs: clock.now() })
      closing = shut(stopped)
      return closing
    },
  }
}

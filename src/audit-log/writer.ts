/**
 * One chain on one sink. Appends that arrive while a write is under way go out together in the next one, so that many
 * requests share one sync; each resolves only after its own bytes are written. Any failure ends the chain: what waits
 * is refused, so is what comes, and a fresh chain is tried for with growing patience, until somebody mends the disk.
 */
import type { Cancel, Clock } from '../clock.ts'
import { KeyholeError } from '../errors.ts'
import type { Chain } from './chain.ts'
import { openChain } from './chain.ts'
import type { AuditRecord, Head, Start, Versions } from './record.ts'
import type { Sink } from './sink.ts'
import { SinkError } from './sink.ts'

export interface WriterOptions {
  readonly sink: Sink
  readonly clock: Clock
  /** So many random bytes: names the instance. */
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

const FIRST_RETRY_MS = 250
const LAST_RETRY_MS = 5_000
/** Bounds the memory and the time of one write; the lines beyond it go out in the next. */
const MAX_GROUP_BYTES = 1024 * 1024

interface Waiting {
  readonly record: AuditRecord
  /** Refuses it, if told why. */
  settle: (why?: string) => void
}

/** @throws SinkError when the first record cannot be written: a log that never worked should stop the start. */
export async function openWriter(options: WriterOptions): Promise<Writer> {
  const { sink, clock, timeoutMs } = options
  const queue = new Set<Waiting>()
  let state: 'open' | 'failed' | 'closed' = 'open'
  let closing: Promise<void> | undefined
  let chain: Chain
  let head: Head | undefined
  let blocked = false
  let draining = false
  let refusedAppends = 0
  let retryMs = FIRST_RETRY_MS
  let cancelRetry: Cancel = () => undefined

  async function begin(cause: Start['cause']): Promise<void> {
    const { previous = head, torn } = await sink.begin()
    const fresh = openChain(options.random(16).toString('hex'))
    const told = refusedAppends
    const line = fresh.next({
      kind: 'start',
      timeMs: clock.now(),
      cause,
      sink: sink.kind,
      versions: options.versions,
      policyHash: options.policyHash(),
      previous,
      torn,
      refusedAppends: told,
    })
    await sink.write(Buffer.from(`${line}\n`))
    refusedAppends -= told
    chain = fresh
    head = fresh.head()
  }

  function append(record: AuditRecord): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const refuse = (why: string) => {
      if (record.kind === 'decision') refusedAppends += 1
      reject(new KeyholeError('AUDIT_UNAVAILABLE', { why }))
    }
    const why = whyNot()
    if (why !== undefined) refuse(why)
    else enqueue(record, resolve, refuse)
    return promise
  }

  function whyNot(): string | undefined {
    if (closing !== undefined) return 'audit-log-closed'
    if (state === 'failed') return 'audit-sink-failed'
    if (blocked) return 'audit-sink-blocked'
    return queue.size >= options.maxQueued ? 'audit-queue-full' : undefined
  }

  function enqueue(record: AuditRecord, resolve: () => void, refuse: (why: string) => void): void {
    const waiting: Waiting = { record, settle }
    function settle(why?: string): void {
      cancel()
      if (why === undefined) resolve()
      else refuse(why)
    }
    const cancel = clock.after(timeoutMs, () => {
      // If it is being written already, it may stand in the log although its request failed: never the other way.
      queue.delete(waiting)
      waiting.settle = () => undefined
      blocked = true
      refuse('audit-sink-blocked')
    })
    queue.add(waiting)
    void drain()
  }

  /** Never rejects. One at a time: the order of the chain is the order of the file. */
  async function drain(): Promise<void> {
    if (draining) return
    draining = true
    while (state === 'open' && queue.size > 0) await writeGroup()
    draining = false
  }

  async function writeGroup(): Promise<void> {
    let group: Waiting[] = []
    try {
      // While it looks, the other appends of this turn of the event loop join the group.
      if (!(await sink.current())) await begin('moved')
      const taken = takeGroup()
      group = taken.group
      if (group.length > 0) await sink.write(taken.bytes)
      head = chain.head()
      blocked = false
      retryMs = FIRST_RETRY_MS
      for (const waiting of group) waiting.settle()
    } catch {
      fail(group)
    }
  }

  function takeGroup(): { group: Waiting[]; bytes: Buffer } {
    const group: Waiting[] = []
    const lines: Buffer[] = []
    let length = 0
    for (const waiting of queue) {
      if (length >= MAX_GROUP_BYTES) break
      queue.delete(waiting)
      const line = lineOf(waiting)
      if (line === undefined) continue
      lines.push(line)
      length += line.length
      group.push(waiting)
    }
    return { group, bytes: Buffer.concat(lines) }
  }

  /** A record that cannot be put on a line is a defect of its maker, and costs nobody else an answer. */
  function lineOf(waiting: Waiting): Buffer | undefined {
    try {
      return Buffer.from(`${chain.next(waiting.record)}\n`)
    } catch {
      waiting.settle('audit-record-malformed')
      return undefined
    }
  }

  function fail(group: readonly Waiting[]): void {
    state = 'failed'
    for (const waiting of [...group, ...queue]) waiting.settle('audit-sink-failed')
    queue.clear()
    void sink.end()
    retryLater()
  }

  function retryLater(): void {
    if (closing !== undefined) return
    cancelRetry = clock.after(retryMs, () => void retry())
    retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)
  }

  /** Never rejects. */
  async function retry(): Promise<void> {
    try {
      await begin('mended')
      blocked = false
      if (state === 'failed') state = 'open'
      else await sink.end()
    } catch {
      retryLater()
    }
  }

  async function shut(stopped: Promise<void>): Promise<void> {
    cancelRetry()
    await stopped.catch(() => undefined)
    state = 'closed'
    await within(sink.end(), clock, timeoutMs).catch(() => undefined)
  }

  try {
    await within(begin('process'), clock, timeoutMs)
  } catch (error) {
    void sink.end()
    throw error
  }
  return {
    append,
    healthy: () => state === 'open' && closing === undefined && !blocked,
    head: () => head,
    close() {
      if (closing !== undefined) return closing
      const stopped = append({ kind: 'stop', timeMs: clock.now() })
      closing = shut(stopped)
      return closing
    },
  }
}

async function within<T>(work: Promise<T>, clock: Clock, timeoutMs: number): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const cancel = clock.after(timeoutMs, () => reject(new SinkError('blocked')))
  try {
    return await Promise.race([work, promise])
  } finally {
    cancel()
  }
}

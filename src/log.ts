/**
 * keyhole's own log, on stderr; decisions are in the audit log, on its own sink. A line is built from named fields:
 * an error is reduced to its class and where it was thrown, because its message may quote what it choked on.
 */
import type { Writable } from 'node:stream'
import type { DestinationStream } from 'pino'
import { pino } from 'pino'
import type { Clock } from './clock.ts'
import type { Code } from './contract.ts'
import { ruleOf } from './contract.ts'
import { KeyholeError, UpstreamError } from './errors.ts'

export type Level = 'debug' | 'info' | 'warn' | 'error'

/** Words and numbers of ours. */
export type LogFields = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>

export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}

export function openLog(level: Level, destination: DestinationStream, clock: Clock): Log {
  const logger = pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date(clock.now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  )
  const at =
    (name: Level) =>
    (message: string, fields: LogFields = {}) =>
      logger[name]({ ...fields }, message)
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** Tells of refusals that somebody should mend; the caller's own mistakes are the audit log's. */
export type RefusalLog = (error: KeyholeError, requestId: string) => void

/** One code has so many lines of its own in a second. Behind an outage, a crowd without a token could fill the disk. */
const LINES_PER_SECOND = 10

/** Beyond that a refusal is counted, and the code's next line says how many were. */
export function refusalLog(log: Log, clock: Clock): RefusalLog {
  const seconds = new Map<Code, { startedAt: number; lines: number; unlogged: number }>()
  return function refused(error, requestId) {
    const { code, why, fix, cause } = error
    const { status } = ruleOf(code)
    if (fix === undefined && status < 500) return
    const last = seconds.get(code)
    const isOver = last === undefined || clock.now() < last.startedAt || clock.now() >= last.startedAt + 1_000
    const second = isOver ? { startedAt: clock.now(), lines: 0, unlogged: last?.unlogged ?? 0 } : last
    seconds.set(code, second)
    if (second.lines === LINES_PER_SECOND) {
      second.unlogged += 1
      return
    }
    second.lines += 1
    const unlogged = second.unlogged === 0 ? undefined : second.unlogged
    second.unlogged = 0
    const level = status >= 500 && code !== 'OVERLOADED' ? 'error' : 'warn'
    log[level](`refused: ${code}`, { requestId, why, fix, unlogged, ...describeCause(cause) })
  }
}

/** What may be said of a thrown thing: its class, and the lines it came through. */
export function describeCause(cause: unknown): LogFields {
  if (cause === undefined) return {}
  if (cause instanceof UpstreamError) return { upstream: cause.upstream, kind: cause.kind, status: cause.status }
  if (cause instanceof KeyholeError) return { cause: cause.code, why: cause.why, ...describeCause(cause.cause) }
  if (!(cause instanceof Error)) return { cause: typeof cause }
  return { cause: cause.constructor.name, at: framesOf(cause) }
}

/** Only what follows the message, since a line of that may look like a frame. */
function framesOf({ stack = '', message }: Error): readonly string[] {
  const at = stack.indexOf(message)
  const lines = at < 0 ? [] : stack.slice(at + message.length).split('\n')
  return lines
    .filter((line) => /^\s+at /.test(line))
    .slice(0, MAX_FRAMES)
    .map((line) => line.trim())
}

const MAX_FRAMES = 12

/** Where the log goes when nobody may be reading: what is beyond the backlog is dropped and counted, not kept in memory. */
export function boundedDestination(stream: Writable, maxBacklogBytes = 1024 * 1024): DestinationStream {
  let dropped = 0
  // A log without a reader is no reason to stop: decisions are recorded elsewhere.
  stream.on('error', () => undefined)
  return {
    write(line) {
      if (stream.writableLength > maxBacklogBytes) {
        dropped += 1
        return
      }
      if (dropped > 0) stream.write(`${JSON.stringify({ level: 'warn', lines: dropped, msg: 'log lines dropped' })}\n`)
      dropped = 0
      stream.write(line)
    },
  }
}

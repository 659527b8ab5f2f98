/**
 * keyhole's own log, on stderr; decisions are in the audit log, on its own sink. A line is built from named fields:
 * an error is reduced to its class and where it was thrown, because its message may quote what it choked on.
 */
import type { Writable } from 'node:stream'
import type { DestinationStream } from 'pino'
import { pino } from 'pino'
import type { Clock } from './clock.ts'
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

/** One line for a refusal that somebody should mend; the caller's own mistakes are the audit log's. */
export function logRefusal(log: Log, error: KeyholeError, requestId: string): void {
  const { status } = ruleOf(error.code)
  if (error.fix === undefined && status < 500) return
  const level = status >= 500 && error.code !== 'OVERLOADED' ? 'error' : 'warn'
  log[level](`refused: ${error.code}`, { requestId, why: error.why, fix: error.fix, ...describeCause(error.cause) })
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

/** Where audit records go, and what is told of it beside the refusals: to the metrics each write, to the log when it begins to fail. */
import type { Writable } from 'node:stream'
import type { Sink } from './audit-log/sink.ts'
import { fileSink, SinkError, stdoutSink } from './audit-log/sink.ts'
import type { Config } from './config.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'

export interface AuditSinkParts {
  readonly stdout: Writable
  readonly log: Log
  readonly metrics: Metrics
}

export function auditSink({ KEYHOLE_AUDIT: audit }: Config, { stdout, log, metrics }: AuditSinkParts): Sink {
  const sink = audit === 'stdout' ? stdoutSink(stdout) : fileSink(audit.slice('file:'.length))
  return reportingSink(countingSink(sink, metrics), log)
}

/**
 * Tells when the sink begins to fail, with the errno that no refusal has, and when it is mended. Not before its first
 * write: a start that fails with it tells that itself.
 */
function reportingSink(sink: Sink, log: Log): Sink {
  let hasWritten = false
  let failing = false
  async function reporting<T>(act: () => Promise<T>): Promise<T> {
    try {
      const result = await act()
      if (failing) log.info('audit sink works again')
      failing = false
      return result
    } catch (error) {
      const code = error instanceof SinkError ? error.code : 'unknown'
      if (!failing && hasWritten) log.error('audit sink fails: nothing is disclosed until it works', { code })
      failing = hasWritten
      throw error
    }
  }
  return {
    ...sink,
    begin: () => reporting(sink.begin),
    async write(bytes) {
      await reporting(() => sink.write(bytes))
      hasWritten = true
    },
  }
}

/** Counts writes, and what stands before them. One that never comes back is in no count: its records are refused, and counted there. */
function countingSink(sink: Sink, metrics: Metrics): Sink {
  const count = metrics.counter('keyhole_audit_writes_total', 'Writes to the audit sink, by outcome.', 'outcome', [
    'written',
    'failed',
  ])
  async function countingFailures<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act()
    } catch (error) {
      count('failed')
      throw error
    }
  }
  return {
    ...sink,
    begin: () => countingFailures(sink.begin),
    async write(bytes) {
      await countingFailures(() => sink.write(bytes))
      count('written')
    },
  }
}

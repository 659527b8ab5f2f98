/** How a rotation leaves: whole, as a stream of lines while it runs, or only that it has begun. */
import { PassThrough } from 'node:stream'
import type { FastifyReply } from 'fastify'
import type { RotationFailed, RotationReport, RotationStarted, RotationStatus } from '../contract.ts'
import { asKeyholeError, KeyholeError } from '../errors.ts'
import type { Run } from '../services/rotation/run.ts'

/** Resolves once it is over. @throws KeyholeError ROTATION_INCOMPLETE with the report; AUDIT_UNAVAILABLE. */
export async function sendReport(reply: FastifyReply, run: Run): Promise<FastifyReply> {
  const report = await run.report
  // What a dry run foresees is its answer, whatever it foresees.
  if (report.complete || report.dryRun) return sendJson(reply, 200, report)
  throw new KeyholeError('ROTATION_INCOMPLETE', { why: 'see-report', report })
}

export function sendStarted(reply: FastifyReply, run: Run): FastifyReply {
  return sendJson(reply.header('Location', '/rotate'), 202, startedOf(run))
}

export function sendStatus(reply: FastifyReply, status: RotationStatus): FastifyReply {
  return sendJson(reply, 200, status)
}

/** The last line is the report, or why there is none; a stream without either was cut. */
export function sendStream(reply: FastifyReply, run: Run): FastifyReply {
  const stream = new PassThrough()
  const write = (line: unknown) => {
    // Whoever does not read is not waited for, and misses steps: the report still comes.
    if (stream.writableLength < MAX_BACKLOG_BYTES) stream.write(`${JSON.stringify(line)}\n`)
  }
  write(startedOf(run))
  // Fastify ends it with the reply, also when its reader leaves.
  stream.once('close', run.listen(write))
  run.report.then(
    (report: RotationReport) => stream.end(`${JSON.stringify(report)}\n`),
    (error: unknown) => stream.end(`${JSON.stringify(failedOf(run, asKeyholeError(error)))}\n`),
  )
  return reply.code(200).header('Cache-Control', 'no-store').type('application/x-ndjson').send(stream)
}

const MAX_BACKLOG_BYTES = 64 * 1024

function startedOf({ id, keys, dryRun }: Run): RotationStarted {
  return { type: 'started', id, keys, dryRun }
}

function failedOf({ id }: Run, { code, detail, retryAfterSeconds }: KeyholeError): RotationFailed {
  return { type: 'failed', id, code, detail, retryable: retryAfterSeconds !== undefined }
}

function sendJson(reply: FastifyReply, status: number, body: object): FastifyReply {
  return reply
    .code(status)
    .header('Cache-Control', 'no-store')
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(body))
}

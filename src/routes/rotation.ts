/** POST /rotate and GET /rotate, told in order. The rotation itself belongs to the process: it goes on when its caller leaves. */
import type { FastifyInstance } from 'fastify'
import { peerOf } from '../http/attempt.ts'
import { bearer } from '../http/bearer.ts'
import { MAX_BODY_BYTES, parseRotateRequest, refuseQuery } from '../http/rotate-request.ts'
import { sendReport, sendStarted, sendStatus, sendStream } from '../http/rotation-replies.ts'
import type { Rotations } from '../services/rotation/run.ts'
import type { Door } from './secrets.ts'

export interface Rotating {
  readonly rotations: Rotations
  /** A reply that waits for a rotation may take this long. */
  readonly replyTimeoutMs: number
}

export function rotationRoutes(app: FastifyInstance, door: Door, { rotations, replyTimeoutMs }: Rotating): void {
  const { audit, authenticate, authorize, attempts } = door

  app.post(
    '/rotate',
    { config: { audit: 'rotate', body: MAX_BODY_BYTES, replyTimeoutMs }, bodyLimit: MAX_BODY_BYTES },
    async (request, reply) => {
      const ask = parseRotateRequest(request)
      const attempt = attempts.open(request, reply)

      const started = await audit.rotate(attempt, ask, async (entry, signal) => {
        const presented = { token: bearer(request), peer: peerOf(request), fresh: true }
        const caller = entry.identified(await authenticate(presented, signal))
        const grant = entry.permitted(authorize.rotate(caller, ask.keys))
        return entry.started(await rotations.start(grant, ask.order(caller), signal))
      })
      const run = started.begin()
      if (ask.reply === 'async') return sendStarted(reply, run)
      return ask.reply === 'stream' ? sendStream(reply, run) : await sendReport(reply, run)
    },
  )

  app.get('/rotate', { config: { audit: 'survey' } }, async (request, reply) => {
    refuseQuery(request)
    const attempt = attempts.open(request, reply)

    const status = await audit.survey(attempt, async (entry, signal) => {
      const presented = { token: bearer(request), peer: peerOf(request), fresh: true }
      const caller = entry.identified(await authenticate(presented, signal))
      const grant = entry.permitted(authorize.rotate(caller))
      return entry.surveyed(await rotations.status(grant, signal))
    })
    return sendStatus(reply, status)
  })
}

/** How what was recorded leaves. */
import type { FastifyReply } from 'fastify'
import type { ListAnswer } from '../contract.ts'
import type { Listing } from '../services/authorize.ts'
import type { Disclosed } from '../services/disclose.ts'
import type { Unchanged } from '../services/entry.ts'

/**
 * A Buffer passes Fastify's serializers by untouched. It is wiped when the reply is over, not when `send` returns:
 * until then a slow reader's socket still reads from it.
 */
export function sendDisclosed(reply: FastifyReply, disclosed: Disclosed): FastifyReply {
  reply.raw.once('close', () => disclosed[Symbol.dispose]())
  return reply
    .code(200)
    .header('ETag', disclosed.etag)
    .header('Cache-Control', 'no-store')
    .header('Vary', 'Accept, Authorization')
    .type(disclosed.contentType)
    .send(disclosed.body)
}

export function sendUnchanged(reply: FastifyReply, { etag }: Unchanged): FastifyReply {
  return reply
    .code(304)
    .header('ETag', etag)
    .header('Cache-Control', 'no-store')
    .header('Vary', 'Accept, Authorization')
    .send()
}

export function sendListing(reply: FastifyReply, { secrets }: Listing): FastifyReply {
  const answer: ListAnswer = { secrets }
  return reply
    .code(200)
    .header('Cache-Control', 'no-store')
    .type('application/json; charset=utf-8')
    .send(JSON.stringify(answer))
}

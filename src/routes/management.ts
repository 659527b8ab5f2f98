/**
 * The management port: probes and metrics. It has no authentication, so nothing that `GET /secrets` would refuse to
 * tell is told here, and no probe makes an upstream call.
 */

import type { FastifyInstance, FastifyReply } from 'fastify'
import Fastify from 'fastify'
import type { Component, Health } from '../health.ts'
import { boundConnections } from '../http/connections.ts'
import type { Metrics } from '../metrics.ts'

const PLAIN = 'text/plain; charset=utf-8'

/** Whoever reaches the port may ask, so it gives nobody more than a probe needs. */
const BOUNDS = {
  requestTimeout: 5_000,
  keepAliveTimeout: 5_000,
  http: { maxHeaderSize: 8_192, headersTimeout: 5_000, connectionsCheckingInterval: 1_000 },
} as const
const MAX_CONNECTIONS = 256

export async function buildManagement(health: Health, metrics: Metrics): Promise<FastifyInstance> {
  const app: FastifyInstance = Fastify({
    ...BOUNDS,
    logger: false,
    exposeHeadRoutes: false,
    trustProxy: false,
    bodyLimit: 1,
    frameworkErrors(_error, _request, reply) {
      void notFound(reply)
    },
    clientErrorHandler: (_error, socket) => socket.destroy(),
  })
  boundConnections(app.server, MAX_CONNECTIONS)
  app.removeAllContentTypeParsers()
  app.setNotFoundHandler((_request, reply) => notFound(reply))
  app.setErrorHandler((_error, _request, reply) => reply.code(500).type(PLAIN).send('internal error\n'))

  app.get('/livez', (_request, reply) => reply.type(PLAIN).send('ok\n'))

  app.get<{ Querystring: { verbose?: string } }>('/readyz', (request, reply) => {
    const ready = health.ready()
    const lines = request.query.verbose === undefined ? [] : health.components().map(lineOf)
    const body = [...lines, ready ? 'ready' : 'not ready', ''].join('\n')
    return reply
      .code(ready ? 200 : 503)
      .type(PLAIN)
      .send(body)
  })

  app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.render()))

  await app.ready()
  return app
}

/** Fastify's own answers repeat the URL. */
function notFound(reply: FastifyReply): FastifyReply {
  return reply.code(404).type(PLAIN).send('livez, readyz[?verbose], metrics\n')
}

function lineOf({ name, ok, state, required }: Component): string {
  return `[${ok ? '+' : '-'}] ${name}: ${state}${ok || required ? '' : ' (does not affect readiness)'}`
}

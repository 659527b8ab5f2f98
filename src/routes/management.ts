/**
 * The management port: probes and metrics. It has no authentication, so nothing that `GET /secrets` would refuse to
 * tell is told here, and no probe makes an upstream call.
 */

import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import type { Component, Health } from '../health.ts'
import type { Metrics } from '../metrics.ts'

const PLAIN = 'text/plain; charset=utf-8'

export async function buildManagement(health: Health, metrics: Metrics): Promise<FastifyInstance> {
  const app = Fastify({ logger: false, exposeHeadRoutes: false, trustProxy: false, bodyLimit: 1 })
  app.removeAllContentTypeParsers()
  app.setNotFoundHandler((_request, reply) => reply.code(404).type(PLAIN).send('livez, readyz[?verbose], metrics\n'))
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

function lineOf({ name, ok, state, required }: Component): string {
  return `[${ok ? '+' : '-'}] ${name}: ${state}${ok || required ? '' : ' (does not affect readiness)'}`
}

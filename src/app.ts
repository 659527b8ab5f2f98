/**
 * The HTTP face of keyhole: a few routes, and around them everything that a hostile or clumsy client can send. Whatever
 * Fastify and Node would answer by themselves is replaced: their texts echo URLs, quote validators, or print errors.
 */
import type { IncomingMessage } from 'node:http'
import { METHODS } from 'node:http'
import type { SecureVersion } from 'node:tls'
import helmet from '@fastify/helmet'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import Fastify from 'fastify'
import type { Clock } from './clock.ts'
import type { Code } from './contract.ts'
import { KeyholeError } from './errors.ts'
import { admission } from './http/admission.ts'
import { peerOf } from './http/attempt.ts'
import { requireAuditMode } from './http/audit-mode.ts'
import { boundConnections, connections } from './http/connections.ts'
import { clientErrorOf, frameworkRefusal } from './http/framework-errors.ts'
import { rawProblem, sendProblem } from './http/problem.ts'
import { parseJson } from './http/rotate-request.ts'
import type { Rotating } from './routes/rotation.ts'
import { rotationRoutes } from './routes/rotation.ts'
import type { Door, Reading } from './routes/secrets.ts'
import { secretsRoutes } from './routes/secrets.ts'
import type { Turnstile } from './services/turnstile.ts'

export interface Services {
  readonly door: Door
  /** Exists only where reads are served. */
  readonly reading?: Reading | undefined
  /** Exists only where rotations are. */
  readonly rotating?: Rotating | undefined
  readonly turnstile: Turnstile
  readonly clock: Clock
  /** Counts a refusal that no audit record tells of. */
  readonly refusedUnauthenticated: (code: Code | 'ABANDONED', peer: string) => void
  /** Told of every refusal that somebody is there to read, for the log and the metrics. */
  readonly refused: (error: KeyholeError, requestId: string) => void
  /** Told of every reply that is over, for the metrics. */
  readonly replied: (route: string, status: number, durationMs: number) => void
  /** A fresh id; never taken from the request. */
  readonly requestId: () => string
}

export interface AppOptions {
  readonly tls?: { readonly cert: string; readonly key: string; readonly minVersion: SecureVersion }
  readonly maxHeaderBytes: number
  readonly maxUrlBytes: number
  /** A reply that its reader has not taken by then is cut off, counted from its request. */
  readonly replyTimeoutMs: number
  /** Longest wait for a place, before 503. */
  readonly waitTimeoutMs: number
  readonly headersTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly keepAliveTimeoutMs: number
  readonly maxRequestsPerSocket: number
  readonly maxConnections: number
}

/** How long a connection that was refused stays, for its peer to read why. */
const LINGER_MS = 1_000

/** @param addRoutes default: those that the services can serve. @throws Error for a route that does not say how it is audited. */
export async function buildApp(
  services: Services,
  options: AppOptions,
  addRoutes: (app: FastifyInstance, services: Services) => void = addServedRoutes,
): Promise<FastifyInstance> {
  const sockets = connections(options.maxRequestsPerSocket)
  const unroutable = new WeakMap<IncomingMessage, KeyholeError>()
  const app = Fastify({
    ...serverOptions(options),
    logger: false,
    genReqId: services.requestId,
    requestIdHeader: false,
    exposeHeadRoutes: false,
    trustProxy: false,
    return503OnClosing: false,
    bodyLimit: 1,
    routerOptions: { maxParamLength: options.maxUrlBytes, caseSensitive: true, ignoreTrailingSlash: false },
    // Fastify would answer here without any hook. Sent round again as a path that is none, it gets its id, its headers
    // and its place in the metrics like any other.
    frameworkErrors(error, { raw }, reply) {
      unroutable.set(raw, frameworkRefusal(error))
      raw.url = '/'
      app.routing(raw, reply.raw)
    },
    clientErrorHandler(error, socket) {
      const refusal = clientErrorOf(error)
      if (refusal === undefined) return void socket.destroy()
      const requestId = services.requestId()
      services.refusedUnauthenticated(refusal.code, socket.remoteAddress ?? 'unknown')
      services.refused(refusal, requestId)
      if (!socket.writable || sockets.answering(socket)) return void socket.destroy()
      socket.end(rawProblem(refusal, requestId))
      // Node has let go of this connection, and a peer that never closes its half would hold it, and its place, for ever.
      const cancel = services.clock.after(LINGER_MS, () => socket.destroy())
      socket.once('close', cancel)
    },
  }) as unknown as FastifyInstance
  boundConnections(app.server, options.maxConnections)
  // Admission asks for a body, where one is wanted; and what else is expected is not worth an answer of Node's own.
  for (const event of ['checkContinue', 'checkExpectation']) {
    app.server.on(event, (request, response) => app.server.emit('request', request, response))
  }

  function refuse(error: KeyholeError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const left = reply.raw.destroyed
    if (!services.door.attempts.opened(request)) {
      services.refusedUnauthenticated(left ? 'ABANDONED' : error.code, peerOf(request))
    }
    if (!left) services.refused(error, request.id)
    return sendProblem(reply, error)
  }

  app.removeAllContentTypeParsers()
  app.setErrorHandler((error, request, reply) => refuse(frameworkRefusal(error), request, reply))
  // Only so that hooks run where there is no route: admission refuses it.
  app.setNotFoundHandler(async () => {})
  await app.register(helmet, {
    // Nothing here is a page. The defaults would let one load styles and scripts.
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
  })
  admission(app, {
    ...services,
    ...options,
    connections: sockets,
    unroutable: (request) => unroutable.get(request),
  })
  requireAuditMode(app)
  addRoutes(app, services)
  await app.ready()
  return app
}

/** Those of each bundle that there is, and a refusal of every other method. */
export function addServedRoutes(app: FastifyInstance, { door, reading, rotating }: Services): void {
  if (reading !== undefined) {
    secretsRoutes(app, door, reading)
    for (const url of ['/secrets', '/secrets/:name']) refuseOtherMethods(app, url, ['GET'])
  }
  if (rotating !== undefined) {
    app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_: unknown, body: Buffer) =>
      parseJson(body),
    )
    rotationRoutes(app, door, rotating)
    refuseOtherMethods(app, '/rotate', ['GET', 'POST'])
  }
}

function serverOptions(options: AppOptions) {
  const bounds = {
    maxHeaderSize: options.maxHeaderBytes,
    headersTimeout: options.headersTimeoutMs,
    requestTimeout: options.requestTimeoutMs,
    keepAliveTimeout: options.keepAliveTimeoutMs,
    connectionsCheckingInterval: Math.min(1_000, options.headersTimeoutMs),
    // Admission does: Node's own answer says nothing, and counts nowhere.
    requireHostHeader: false,
  }
  const shared = { requestTimeout: options.requestTimeoutMs, keepAliveTimeout: options.keepAliveTimeoutMs }
  if (options.tls === undefined) return { ...shared, http: bounds }
  // Node waits two minutes for a handshake, and its bounds for requests begin only after it.
  return { ...shared, https: { ...bounds, ...options.tls, handshakeTimeout: options.headersTimeoutMs } }
}

/** Every other method of a route that exists: 405 with Allow, not a 404 that sends its reader looking for a typo. */
function refuseOtherMethods(app: FastifyInstance, url: string, allowed: readonly string[]): void {
  const others = METHODS.filter((method) => !allowed.includes(method))
  for (const method of others) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)
  app.route({
    url,
    method: others,
    config: { audit: 'none' },
    // Before the body is looked at: no parser exists for it, and that must not become the answer.
    onRequest: async (_request, reply) => {
      reply.header('Allow', allowed.join(', '))
      throw new KeyholeError('METHOD_NOT_ALLOWED', { why: 'method' })
    },
    handler: async () => {},
  })
}

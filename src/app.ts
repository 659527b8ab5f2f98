/**
 * The HTTP face of keyhole: two routes, and around them everything that a hostile or clumsy client can send. Whatever
 * Fastify and Node would answer by themselves is replaced: their texts echo URLs, quote validators, or print errors.
 */
import type { SecureVersion } from 'node:tls'
import helmet from '@fastify/helmet'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import Fastify from 'fastify'
import type { Clock } from './clock.ts'
import type { Code } from './contract.ts'
import { KeyholeError } from './errors.ts'
import { admission } from './http/admission.ts'
import { peerOf } from './http/attempt.ts'
import { clientErrorOf, frameworkRefusal } from './http/framework-errors.ts'
import { rawProblem, sendProblem } from './http/problem.ts'
import type { Door, Reading } from './routes/secrets.ts'
import { secretsRoutes } from './routes/secrets.ts'
import type { Turnstile } from './services/turnstile.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** How the route is audited; a route that does not say stops the start. `none`: it refuses before anybody is asked. */
    audit?: 'read' | 'list' | 'none'
  }
}

export interface Services {
  readonly door: Door
  /** Exists only where reads are served. */
  readonly reading?: Reading
  readonly turnstile: Turnstile
  readonly clock: Clock
  /** Counts a refusal that no audit record tells of. */
  readonly refusedUnauthenticated: (code: Code, peer: string) => void
  /** Told of every refusal, for the log and the metrics. */
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
  /** A reply that its reader has not taken by then is cut off. */
  readonly replyTimeoutMs: number
  readonly headersTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly keepAliveTimeoutMs: number
  readonly maxRequestsPerSocket: number
  readonly maxConnections: number
}

export async function buildApp(services: Services, options: AppOptions): Promise<FastifyInstance> {
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
    frameworkErrors(error, request, reply) {
      void refuse(frameworkRefusal(error), request, reply)
    },
    clientErrorHandler(error, socket) {
      const refusal = clientErrorOf(error)
      if (refusal === undefined || !socket.writable) return void socket.destroy()
      services.refusedUnauthenticated(refusal.code, socket.remoteAddress ?? 'unknown')
      socket.end(rawProblem(refusal))
    },
  }) as unknown as FastifyInstance
  app.server.maxConnections = options.maxConnections
  app.server.maxRequestsPerSocket = options.maxRequestsPerSocket

  function refuse(error: KeyholeError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    if (!services.door.attempts.opened(request)) services.refusedUnauthenticated(error.code, peerOf(request))
    services.refused(error, request.id)
    return sendProblem(reply, error)
  }

  app.removeAllContentTypeParsers()
  app.setErrorHandler((error, request, reply) => refuse(frameworkRefusal(error), request, reply))
  app.setNotFoundHandler((request, reply) => refuse(new KeyholeError('ROUTE_UNKNOWN', { why: 'path' }), request, reply))
  admission(app, { ...services, ...options })
  requireAuditMode(app)
  await app.register(helmet, {
    contentSecurityPolicy: { directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
  })
  app.after(() => {
    if (services.reading !== undefined) secretsRoutes(app, services.door, services.reading)
    refuseOtherMethods(app, ['/secrets', '/secrets/:name'])
  })
  await app.ready()
  return app
}

function serverOptions(options: AppOptions) {
  const bounds = {
    maxHeaderSize: options.maxHeaderBytes,
    headersTimeout: options.headersTimeoutMs,
    requestTimeout: options.requestTimeoutMs,
    keepAliveTimeout: options.keepAliveTimeoutMs,
    connectionsCheckingInterval: 1_000,
    requireHostHeader: true,
  }
  const shared = { requestTimeout: options.requestTimeoutMs, keepAliveTimeout: options.keepAliveTimeoutMs }
  return options.tls === undefined ? { ...shared, http: bounds } : { ...shared, https: { ...bounds, ...options.tls } }
}

/** An omission is found at start-up rather than in an audit log that lacks a line. */
function requireAuditMode(app: FastifyInstance): void {
  app.addHook('onRoute', ({ method, url, config }) => {
    if (config?.audit === undefined) throw new Error(`${String(method)} ${url} does not say how it is audited`)
  })
}

/** Every other method of a route that exists: 405 with Allow, not a 404 that sends its reader looking for a typo. */
function refuseOtherMethods(app: FastifyInstance, paths: readonly string[]): void {
  const others = app.supportedMethods.filter((method) => method !== 'GET')
  for (const url of paths) {
    app.route({
      url,
      method: others,
      config: { audit: 'none' },
      // Before the body is looked at: no parser exists for it, and that must not become the answer.
      onRequest: async (_request, reply) => {
        reply.header('Allow', 'GET')
        throw new KeyholeError('METHOD_NOT_ALLOWED', { why: 'method' })
      },
      handler: async () => {},
    })
  }
}

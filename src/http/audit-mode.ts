/** How a route is audited. An omission is found at start-up rather than in an audit log that lacks a line. */
import type { FastifyInstance } from 'fastify'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** A route that does not say stops the start. `none`: it refuses before anybody is asked. */
    audit?: 'read' | 'list' | 'rotate' | 'survey' | 'none'
    /** Longest body, in bytes; absent: none is taken. */
    body?: number
    /** In place of the bound of every reply. */
    replyTimeoutMs?: number
  }
}

/** For the routes that are added from here on. */
export function requireAuditMode(app: FastifyInstance): void {
  app.addHook('onRoute', ({ method, url, config }) => {
    if (config?.audit === undefined) throw new Error(`${String(method)} ${url} does not say how it is audited`)
  })
}

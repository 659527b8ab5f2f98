/**
 * The end of a server whose clients know nothing of it. Told to close, Node closes every kept-alive connection that looks
 * idle, and a request that is on its way there is lost: few clients send it again by themselves. To close our half alone
 * and read on would save none, since they take that for the end as well. So a connection that is in use ends with a reply
 * that says so. Only an idle connection is closed without such a reply, and after so long a silence its client hardly sends
 * in that very moment.
 */
import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Server as NetServer } from 'node:net'
import type { Clock } from '../clock.ts'

export interface Drain {
  /**
   * Takes no new connection, and makes each that is open end with its next reply. Resolves once none is left, or all have
   * had `lingerMs` to bring another request: what is idle then is closed, and what comes to be idle later.
   */
  begin(clock: Clock, lingerMs: number): Promise<void>
  /** Cuts every connection, also those that have brought no request yet, and in TLS not even a handshake. */
  cut(): void
}

/** Call it before the first connection. */
export function drainable(server: Server): Drain {
  const sockets = new Set<Socket>()
  const owed = new Set<ServerResponse>()
  let hasBegun = false
  server.on('connection', (socket) => remember(sockets, socket))
  server.prependListener('request', (_request, response) => {
    remember(owed, response)
    if (hasBegun) response.setHeader('Connection', 'close')
  })
  return {
    async begin(clock, lingerMs) {
      hasBegun = true
      for (const response of owed) if (!response.headersSent) response.setHeader('Connection', 'close')
      // What an HTTP server makes of it would close what is idle, too.
      NetServer.prototype.close.call(server)
      if (lingerMs > 0) await emptied(server, clock, lingerMs)
      // A timer fires before the sockets are looked at: what has arrived by now is to be read first.
      await new Promise((resolve) => setImmediate(resolve))
      server.closeIdleConnections()
      // Headers that had left before the drain said that the connection stays.
      for (const response of owed) response.once('close', () => server.closeIdleConnections())
    },
    cut() {
      for (const socket of sockets) socket.destroy()
    },
  }
}

function remember<T extends Socket | ServerResponse>(all: Set<T>, one: T): void {
  all.add(one)
  one.once('close', () => all.delete(one))
}

/** Resolves when a server that takes no connection has none any more, or after `ms`. */
function emptied(server: Server, clock: Clock, ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const cancel = clock.after(ms, resolve)
  server.once('close', () => {
    cancel()
    resolve()
  })
  return promise
}

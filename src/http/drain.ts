/** The end of a server: what Node leaves open when it is told to close. */
import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

export interface Drain {
  /**
   * Makes each connection end with the reply that it is owed now. Node closes those that are idle, and lets the others
   * wait for a next request until their keep-alive runs out: a drain would always take its whole bound.
   */
  begin(): void
  /** Cuts every connection, also those that have brought no request yet, and in TLS not even a handshake. */
  cut(): void
}

/** Call it before the first connection. */
export function drainable(server: Server): Drain {
  const sockets = new Set<Socket>()
  const owed = new Set<ServerResponse>()
  server.on('connection', (socket) => remember(sockets, socket))
  server.on('request', (_request, response) => remember(owed, response))
  return {
    begin() {
      for (const response of owed) {
        if (!response.headersSent) response.setHeader('Connection', 'close')
        else response.once('close', () => server.closeIdleConnections())
      }
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

/**
 * What has to be known of a connection rather than of one of its requests. Node would do the rest by itself: write a
 * bare 503 to whoever sends one request too many, or an error into the middle of an answer that is still owed.
 */
import type { ServerResponse } from 'node:http'
import type { Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'

export interface Connections {
  /** Takes note of a request; false for the last one that its connection may bring. */
  begun(socket: Duplex, response: ServerResponse): boolean
  /** Whether an answer is still owed: whatever is written now would be taken for it. */
  answering(socket: Duplex): boolean
}

/** Of the connections to one port, what one peer address may hold open: to hold them all takes two. */
const CONNECTION_SHARE = 1 / 2

/** Connections are had without a token, and one that waits for nothing costs its holder nothing. */
export function boundConnections(server: Server, maxConnections: number): void {
  const maxPerPeer = Math.ceil(maxConnections * CONNECTION_SHARE)
  const open = new Map<string, Set<Socket>>()
  server.maxConnections = maxConnections
  server.on('connection', (socket: Socket) => {
    const peer = socket.remoteAddress ?? 'unknown'
    const others = open.get(peer) ?? new Set()
    if (others.size >= maxPerPeer) return void socket.destroy()
    open.set(peer, others.add(socket))
    socket.once('close', () => {
      others.delete(socket)
      if (others.size === 0) open.delete(peer)
    })
  })
}

export function connections(maxRequests: number): Connections {
  const known = new WeakMap<Duplex, { requests: number; unanswered: number }>()
  return {
    begun(socket, response) {
      const connection = known.get(socket) ?? { requests: 0, unanswered: 0 }
      known.set(socket, connection)
      connection.requests += 1
      connection.unanswered += 1
      response.once('close', () => {
        connection.unanswered -= 1
      })
      return connection.requests < maxRequests
    },
    answering: (socket) => (known.get(socket)?.unanswered ?? 0) > 0,
  }
}

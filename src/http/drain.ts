/**
 * The end of a server. Node closes connections that are idle when it is told to, and lets the others, once their reply
 * is over, wait for a next request until their keep-alive runs out: a drain would always take its whole bound.
 */
import type { Server, ServerResponse } from 'node:http'

/** Call it before the first request. @returns makes each connection end with the reply that it is owed now. */
export function endWithReplies(server: Server): () => void {
  const owed = new Set<ServerResponse>()
  server.on('request', (_request, response) => {
    owed.add(response)
    response.once('close', () => owed.delete(response))
  })
  return () => {
    for (const response of owed) {
      if (!response.headersSent) response.setHeader('Connection', 'close')
      else response.once('close', () => server.closeIdleConnections())
    }
  }
}

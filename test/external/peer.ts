/** A server at the far end of a Send: it records what it saw and counts connections. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { createServer as createRawServer } from 'node:net'
import { holdPort } from '../../src/standins/held-port.ts'

export interface Seen {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export interface Peer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly seen: readonly Seen[]
  /** Connections ever made, and those open now. */
  readonly connections: { made: number; readonly open: Set<Socket> }
  /** Waits for the next request beyond the first `count`. */
  request(count: number): Promise<void>
}

export type Handler = (reply: ServerResponse, request: Seen) => void

export async function startPeer(
  handler: Handler,
  tls?: { readonly cert: string; readonly key: string },
): Promise<Peer & { readonly server: HttpsServer }> {
  const seen: Seen[] = []
  const waiting = new Set<() => void>()
  const listener = (request: IncomingMessage, reply: ServerResponse) => {
    const chunks: Buffer[] = []
    request.on('error', () => {})
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url = '', headers } = request
      const entry = { method, path: url, headers, body: Buffer.concat(chunks).toString() }
      seen.push(entry)
      for (const wake of waiting) wake()
      handler(reply, entry)
    })
  }
  const server = (tls === undefined ? createServer(listener) : createSecureServer(tls, listener)) as HttpsServer
  const base = await listening(server)
  return {
    ...base,
    server,
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${base.port}`,
    seen,
    async request(count) {
      while (seen.length <= count) {
        const { promise, resolve } = Promise.withResolvers<void>()
        waiting.add(resolve)
        await promise
        waiting.delete(resolve)
      }
    },
  }
}

/** Answers whatever it gets with these bytes, or by `act`. */
export async function startRawPeer(act: (socket: Socket) => void): Promise<Peer> {
  const server = createRawServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => act(socket))
  })
  const base = await listening(server)
  return { ...base, url: `http://127.0.0.1:${base.port}`, seen: [], request: () => Promise.resolve() }
}

/** Where nobody listens, and nobody else is given the port to. */
export async function nobody(): Promise<Pick<Peer, 'url'> & Disposable> {
  const held = await holdPort()
  return { url: `http://127.0.0.1:${held.port}`, [Symbol.dispose]: () => held[Symbol.dispose]() }
}

async function listening(server: ReturnType<typeof createRawServer>) {
  const connections = { made: 0, open: new Set<Socket>() }
  server.on('connection', (socket: Socket) => {
    connections.made += 1
    connections.open.add(socket)
    socket.on('close', () => connections.open.delete(socket))
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    connections,
    async [Symbol.asyncDispose]() {
      for (const socket of connections.open) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

export function json(reply: ServerResponse, status: number, body: unknown): void {
  reply.writeHead(status, { 'content-type': 'application/json' })
  reply.end(JSON.stringify(body))
}

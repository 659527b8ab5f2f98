/**
 * Kills and starts the servers on behalf of suites, which run in other processes: over a socket in the servers' directory, so
 * that the servers stay children of the one process that started them, and end with it.
 */
import { createServer, request } from 'node:http'
import { join } from 'node:path'
import type { ServerName, Servers } from './start.ts'

export interface Control {
  /** For `controlled`. */
  readonly path: string
  close(): Promise<void>
}

export type Controlled = Pick<Servers, 'start' | 'kill'>

export async function openControl(servers: Servers): Promise<Control> {
  const path = join(servers.connection.directory, 'control.sock')
  const server = createServer((incoming, outgoing) => {
    const [, verb, name] = (incoming.url ?? '').split('/')
    obey(servers, verb, name).then(
      () => outgoing.writeHead(204).end(),
      (thrown: Error) => outgoing.writeHead(500).end(thrown.message),
    )
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return { path, close: () => new Promise((resolve) => void server.close(() => resolve())) }
}

/** The other end of the socket. */
export function controlled(path: string): Controlled {
  return { start: (name) => ask(path, `/start/${name}`), kill: (name) => ask(path, `/kill/${name}`) }
}

async function obey(servers: Servers, verb: string | undefined, name: string | undefined): Promise<void> {
  if ((verb !== 'start' && verb !== 'kill') || !isServerName(name)) throw new Error('no such command')
  await servers[verb](name)
}

function isServerName(name: string | undefined): name is ServerName {
  return name === 'etcd' || name === 'kubernetes' || name === 'vault'
}

function ask(socketPath: string, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path, method: 'POST', agent: false }, (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.on('end', () => {
        if (incoming.statusCode === 204) resolve()
        else reject(new Error(Buffer.concat(chunks).toString()))
      })
    })
    outgoing.on('error', reject).end()
  })
}

/** What the tests of the process share: upstreams over TLS, requests as a workload's client sends them, and waiting for what is to come. */
import type { Agent as HttpAgent, IncomingMessage } from 'node:http'
import { request as httpRequest } from 'node:http'
import type { Agent as HttpsAgent } from 'node:https'
import { request as httpsRequest } from 'node:https'
import { onTestFinished } from 'vitest'
import { holdPort } from '../../src/standins/held-port.ts'

export interface Reply {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export interface GetOptions {
  readonly token?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly agent?: HttpAgent | HttpsAgent
  readonly ca?: string
}

/** @throws the socket's error, when there is no answer. */
export function get(url: string, { token, headers = {}, agent, ca }: GetOptions = {}): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>()
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const options = { headers: { ...authorization, ...headers }, ...(agent && { agent }), ...(ca && { ca }) }
  const answered = (incoming: IncomingMessage) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('error', reject)
    incoming.on('end', () =>
      resolve({
        status: incoming.statusCode ?? 0,
        headers: incoming.headers,
        body: Buffer.concat(chunks).toString('latin1'),
      }),
    )
  }
  const send = url.startsWith('https:') ? httpsRequest : httpRequest
  send(url, options, answered).on('error', reject).end()
  return promise
}

/** Looks until it holds: for what another process does, which tells nobody. The test's own timeout is the bound. */
export async function until<T>(look: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Where to listen so that nobody else is given the ports as long as the test runs: to be refused there means that keyhole has closed them. */
export async function keptPorts() {
  const [service, management] = [await holdPort(), await holdPort()]
  onTestFinished(() => {
    for (const port of [service, management]) port[Symbol.dispose]()
  })
  return {
    KEYHOLE_LISTEN: `127.0.0.1:${service.port}`,
    KEYHOLE_MANAGEMENT_LISTEN: `127.0.0.1:${management.port}`,
  }
}

/** Lines of JSON, as objects. */
export function parsed(lines: readonly string[]): readonly Record<string, unknown>[] {
  return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Record<string, unknown>)
}

/** One request on a connection of its own, from any local address. Every answer is held to openapi.yaml. */
import type { IncomingMessage } from 'node:http'
import { request } from 'node:http'
import type { Problem } from '../../src/contract.ts'
import { checked } from '../contract/checked.ts'
import type { Answer } from '../http/line.ts'

export interface CallOptions {
  readonly token?: string
  readonly headers?: Readonly<Record<string, string>>
  /** A loopback address to call from: another peer, as a pod of its own would be. */
  readonly from?: string
  /** The client leaves when this aborts. */
  readonly signal?: AbortSignal
}

export interface Reply extends Answer {
  readonly text: string
  readonly requestId: string
  /** The body of a refusal. */
  problem(): Problem
}

export async function call(origin: string, path: string, options: CallOptions = {}): Promise<Reply> {
  const { token, headers = {}, from, signal } = options
  const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
    request(
      `${origin}${path}`,
      {
        agent: false,
        headers: { ...headers, ...(token !== undefined && { authorization: `Bearer ${token}` }) },
        ...(from !== undefined && { localAddress: from }),
        ...(signal !== undefined && { signal }),
      },
      resolve,
    )
      .on('error', reject)
      .end()
  })
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  const answer = checked(
    { method: 'GET', path },
    {
      status: incoming.statusCode ?? 0,
      headers: incoming.headers as Record<string, string>,
      body: Buffer.concat(chunks),
    },
  )
  const text = answer.body.toString('utf8')
  return {
    ...answer,
    text,
    requestId: answer.headers['x-request-id'] ?? '',
    problem: () => JSON.parse(text) as Problem,
  }
}

/** One HTTP request to a stand-in, whole or until it breaks. */
import type { ClientRequest, IncomingMessage } from 'node:http'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'

export interface Call {
  readonly method?: string
  readonly token?: string
  readonly vaultToken?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
  readonly ca?: string | undefined
  readonly signal?: AbortSignal
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly text: string
  readonly json: unknown
}

/** Rejects with what the socket says when the answer does not arrive whole. */
export async function call(url: string, how: Call = {}): Promise<Answer> {
  const incoming = await open(url, how)
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString()
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, text, json: parse(text) }
}

/** Up to the headers of the answer. */
export function open(url: string, how: Call = {}): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const send = url.startsWith('https:') ? httpsRequest : httpRequest
  const outgoing: ClientRequest = send(
    url,
    {
      method: how.method ?? (how.body === undefined ? 'GET' : 'POST'),
      agent: false,
      headers: {
        ...(how.token === undefined ? {} : { authorization: `Bearer ${how.token}` }),
        ...(how.vaultToken === undefined ? {} : { 'x-vault-token': how.vaultToken }),
        ...(how.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...how.headers,
      },
      ...(how.ca === undefined ? {} : { ca: how.ca }),
      ...(how.signal === undefined ? {} : { signal: how.signal }),
    },
    resolve,
  )
  outgoing.on('error', reject)
  outgoing.end(how.body === undefined ? undefined : JSON.stringify(how.body))
  return promise
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

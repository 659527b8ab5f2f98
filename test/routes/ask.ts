/** Requests as an ordinary client sends them. Every answer is held to openapi.yaml on its way back. */
import type { IncomingMessage } from 'node:http'
import supertest from 'supertest'
import type { Problem } from '../../src/contract.ts'
import { checked } from '../contract/checked.ts'
import type { Answer } from '../http/line.ts'

export interface AskOptions {
  readonly token?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly method?: 'get' | 'head' | 'post' | 'put' | 'patch' | 'delete' | 'options'
  /** Sent as it is; an object as JSON. */
  readonly body?: string | object
}

export async function ask(url: string, path: string, options: AskOptions = {}): Promise<Answer> {
  const { token, headers = {}, method = 'get', body: sent } = options
  const request = supertest(url)[method](path).buffer(true).parse(bytes)
  for (const [name, value] of Object.entries(headers)) request.set(name, value)
  if (token !== undefined) request.set('Authorization', `Bearer ${token}`)
  if (typeof sent === 'object') request.set('Content-Type', 'application/json')
  if (sent !== undefined) request.send(typeof sent === 'string' ? sent : JSON.stringify(sent))
  const { status, headers: received, body } = await request
  const answer = {
    status,
    headers: received as Record<string, string>,
    body: Buffer.isBuffer(body) ? body : Buffer.alloc(0),
  }
  return checked({ method: method.toUpperCase(), path }, answer)
}

/** The body of a refusal. */
export function problem(answer: Answer): Problem {
  return JSON.parse(answer.body.toString('utf8')) as Problem
}

/** superagent's own parsers would make numbers of what must stay bytes. */
function bytes(response: unknown, done: (error: Error | null, body: Buffer) => void): void {
  const chunks: Buffer[] = []
  const incoming = response as IncomingMessage
  incoming.on('data', (chunk: Buffer) => chunks.push(Buffer.from(chunk)))
  incoming.on('end', () => done(null, Buffer.concat(chunks)))
}

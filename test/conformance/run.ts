/** Performs a case against a world and tells how the answer differs from what is expected. */
import type { IncomingMessage } from 'node:http'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Case, Expected, RawRequest } from './case.ts'
import type { Environment, Origin } from './environment.ts'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

/** Differences as sentences; none: the world conforms. */
export async function runCase(world: Environment, which: Case, unique: string): Promise<readonly string[]> {
  const request = await which.arrange(world, unique)
  try {
    const answer = await send(world[which.server], request)
    return differences(answer, which.expected, request.fill ?? {})
  } finally {
    await request.tidy?.()
  }
}

/** One request as it is: nothing follows redirects, cleans paths or retries. */
export async function send(origin: Origin, request: RawRequest): Promise<Answer> {
  const { protocol, hostname, port } = new URL(origin.url)
  const open = protocol === 'https:' ? httpsRequest : httpRequest
  const options = {
    hostname,
    port,
    path: request.path,
    method: request.method,
    headers: { 'user-agent': 'conformance', ...request.headers },
    ca: origin.ca,
    agent: false as const,
  }
  const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = open(options, resolve)
    outgoing.on('error', reject)
    outgoing.end(request.body)
  })
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks).toString() }
}

export function differences(answer: Answer, expected: Expected, fill: Readonly<Record<string, string>>): string[] {
  const found: string[] = []
  if (answer.status !== expected.status)
    found.push(`status: ${answer.status}, expected ${expected.status}: ${answer.body}`)
  for (const [name, value] of Object.entries(expected.headers ?? {})) {
    const actual = answer.headers[name]
    if (actual !== value) found.push(`header ${name}: ${JSON.stringify(actual)}, expected ${JSON.stringify(value)}`)
  }
  if (expected.text !== undefined && answer.body !== expected.text) {
    found.push(`body: ${JSON.stringify(answer.body)}, expected ${JSON.stringify(expected.text)}`)
  }
  if ('json' in expected) compare(parse(answer.body), expected.json, 'body', fill, found)
  return found
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return `not JSON: ${body}`
  }
}

function compare(
  actual: unknown,
  expected: unknown,
  at: string,
  fill: Readonly<Record<string, string>>,
  found: string[],
): void {
  const wrong = (wanted: unknown): void => {
    found.push(`${at}: ${JSON.stringify(actual)}, expected ${wanted}`)
  }
  if (expected === undefined) {
    if (actual !== undefined) wrong('to be absent')
  } else if (typeof expected === 'function') {
    if (expected(actual) !== true) wrong(`to be ${expected.name}`)
  } else if (expected instanceof RegExp) {
    if (typeof actual !== 'string' || !expected.test(actual)) wrong(expected)
  } else if (typeof expected === 'string') {
    const wanted = expected.replaceAll(/\{(\w+)\}/g, (whole, name: string) => fill[name] ?? whole)
    if (actual !== wanted) wrong(JSON.stringify(wanted))
  } else if (Array.isArray(expected)) {
    if (!Array.isArray(actual) || actual.length !== expected.length) wrong(JSON.stringify(expected))
    else
      for (const [index, member] of expected.entries()) compare(actual[index], member, `${at}[${index}]`, fill, found)
  } else if (typeof expected === 'object' && expected !== null) {
    const members = actual as Record<string, unknown> | null | undefined
    if (typeof members !== 'object' || members === null) wrong('an object')
    else {
      for (const [name, member] of Object.entries(expected))
        compare(members[name], member, `${at}.${name}`, fill, found)
    }
  } else if (actual !== expected) {
    wrong(JSON.stringify(expected))
  }
}

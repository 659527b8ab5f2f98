/** HTTPS by hand, with nothing of keyhole in it: what sets up and checks the servers must not share its faults. */
import { request } from 'node:https'

export interface Target {
  readonly origin: string
  readonly ca: string
  readonly headers?: Readonly<Record<string, string>>
  /** Of silence; default 120 s, which only ends what hangs. */
  readonly timeoutMs?: number
}

export interface Called<T> {
  readonly status: number
  /** The JSON of the answer; an empty object when there was none. */
  readonly body: T
}

/** One request on a connection of its own, so that a server killed in between leaves no stale socket behind. */
export type Call = <T = Failed>(
  method: string,
  path: string,
  body?: unknown,
  contentType?: string,
) => Promise<Called<T>>

/** How Kubernetes and Vault say what went wrong. */
export interface Failed {
  readonly message?: string
  readonly errors?: readonly string[]
}

export function caller({ origin, ca, headers, timeoutMs = 120_000 }: Target): Call {
  return <T>(method: string, path: string, body?: unknown, contentType = 'application/json') =>
    new Promise<Called<T>>((resolve, reject) => {
      const sent = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
      // Spelt out, because Node frames the body of a DELETE with neither a length nor chunks: it would be lost.
      const framing = sent && { 'content-type': contentType, 'content-length': sent.length }
      const options = { method, ca, agent: false, timeout: timeoutMs, headers: { ...headers, ...framing } }
      const outgoing = request(`${origin}${path}`, options, (incoming) => {
        const chunks: Buffer[] = []
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject)
        incoming.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          // The one place where the shape of an answer is taken on trust: each caller names what it reads from it.
          const read = () => (text.startsWith('{') ? JSON.parse(text) : {}) as T
          resolve({ status: incoming.statusCode ?? 0, body: read() })
        })
      })
      outgoing.on('error', reject)
      outgoing.on('timeout', () => outgoing.destroy(new Error(`${method} ${path}: no answer in ${timeoutMs} ms`)))
      outgoing.end(sent)
    })
}

/** The answer's body; throws unless its status is one of those accepted. */
export async function expectStatus<T>(called: Promise<Called<T>>, ...accepted: readonly number[]): Promise<T> {
  const { status, body } = await called
  if (accepted.length === 0 ? status >= 200 && status < 300 : accepted.includes(status)) return body
  const { message, errors } = body as Failed
  throw new Error(`status ${status}: ${message ?? errors?.join('; ') ?? 'no text'}`)
}

export function bearer(token: string): { authorization: string } {
  return { authorization: `Bearer ${token}` }
}

/** A bare TCP connection to keyhole, for requests that no HTTP client would send, and answers as they come off the wire. */
import type { Socket } from 'node:net'
import { connect } from 'node:net'

export interface Answer {
  readonly status: number
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

export interface Line extends AsyncDisposable {
  readonly socket: Socket
  /** Latin-1, so that any byte can be sent. */
  send(text: string): void
  /** The next whole answer; rejects when the connection ends without one. */
  answer(): Promise<Answer>
  /** Resolves when keyhole has closed its side, with the bytes that belong to no answer taken so far. */
  closed(): Promise<string>
}

export interface LineOptions {
  /** HEAD answers announce a body that does not come. */
  readonly head?: boolean
  /** Keeps this side open when keyhole closes its own, as a client that holds on does. */
  readonly holdsOn?: boolean
}

export async function dial(url: string, { head = false, holdsOn = false }: LineOptions = {}): Promise<Line> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: holdsOn })
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  let bytes = Buffer.alloc(0)
  // Joined only once an answer may be whole: joining at every chunk takes the square of its length.
  let chunks: Buffer[] = []
  let missing = 0
  let wake: () => void = () => {}
  let over = false
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    missing -= chunk.length
    if (missing <= 0) wake()
  })
  const end = () => {
    over = true
    wake()
  }
  socket.on('end', end).on('close', end).on('error', end)

  function join(): Buffer {
    bytes = Buffer.concat([bytes, ...chunks])
    chunks = []
    return bytes
  }

  /** Waits until `look` finds something, or there is nothing more to come. */
  async function until<T>(look: () => T | undefined): Promise<T | undefined> {
    for (;;) {
      const found = look()
      if (found !== undefined || over) return found
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }

  return {
    socket,
    send: (text) => void socket.write(Buffer.from(text, 'latin1')),
    async answer() {
      const found = await until(() => {
        const parsed = parseAnswer(join(), head)
        missing = 'missing' in parsed ? parsed.missing : 0
        return 'missing' in parsed ? undefined : parsed
      })
      if (found === undefined) throw new Error(`no answer, but ${bytes.length} bytes and the end`)
      bytes = bytes.subarray(found.length)
      return found.answer
    },
    async closed() {
      await until(() => (over ? true : undefined))
      return join().toString('latin1')
    },
    async [Symbol.asyncDispose]() {
      socket.destroy()
    },
  }
}

/** One request as text, its one answer. */
export async function exchange(url: string, text: string, options?: LineOptions): Promise<Answer> {
  await using line = await dial(url, options)
  line.send(text)
  return await line.answer()
}

/** A request with the headers that every request needs. */
export function get(path: string, headers: Readonly<Record<string, string>> = {}, method = 'GET'): string {
  const lines = Object.entries({ Host: 'keyhole', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}

type Parsed = { readonly answer: Answer; readonly length: number } | { readonly missing: number }

function parseAnswer(bytes: Buffer, head: boolean): Parsed {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd < 0) return { missing: 1 }
  const [first = '', ...lines] = bytes.subarray(0, headEnd).toString('latin1').split('\r\n')
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1])
  if (!Number.isInteger(status)) throw new Error('not an HTTP/1.1 answer')
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    }),
  )
  if (headers['transfer-encoding'] !== undefined) throw new Error('keyhole always knows how long its answer is')
  const bodyLength = head || status < 200 || status === 304 ? 0 : Number(headers['content-length'])
  const length = headEnd + 4 + bodyLength
  if (bytes.length < length) return { missing: length - bytes.length }
  return { answer: { status, headers, body: bytes.subarray(headEnd + 4, length) }, length }
}

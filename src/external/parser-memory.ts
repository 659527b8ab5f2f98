/**
 * What undici's parser keeps. It copies each chunk of an answer into the memory of its WebAssembly module, which all
 * connections share, and there the last ones stay until others happen to be as long: a plaintext in base64, for hours.
 * That memory is not to be had from outside, but it can be overwritten, by an answer of zeros that is longer than any
 * chunk of a socket, from a peer that is no socket at all.
 */
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { Client } from 'undici'
import type { Clock } from '../clock.ts'

export interface ParserMemory {
  /** Overwrites it soon; once, however often it is asked until then. */
  wipeSoon(): void
  close(): Promise<void>
}

/** libuv reads no more at once. */
const MAX_CHUNK_BYTES = 64 * 1024
/** So that a busy keyhole does it a hundred times a second, and not for each of its thousands of answers. */
const SOON_MS = 10

export function parserMemory(clock: Clock): ParserMemory {
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${MAX_CHUNK_BYTES}\r\n\r\n`
  const answer = Buffer.concat([Buffer.from(head), Buffer.alloc(MAX_CHUNK_BYTES)])
  const client = new Client('http://zeros.invalid', {
    // undici is still setting itself up when it asks for the connection.
    connect: (_options, callback) => queueMicrotask(() => callback(null, peer(answer) as unknown as Socket)),
    keepAliveTimeout: MAX_TIMER_MS,
    keepAliveMaxTimeout: MAX_TIMER_MS,
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  let cancel: (() => void) | undefined

  function wipe(): void {
    cancel = undefined
    client.dispatch({ method: 'GET', path: '/', body: null }, IGNORED)
  }

  // The first one makes that memory as long as it will ever be: growing later, it would leave its old place as it was.
  wipe()
  return {
    wipeSoon() {
      cancel ??= clock.after(SOON_MS, wipe)
    },
    async close() {
      cancel?.()
      await client.destroy()
    },
  }
}

const MAX_TIMER_MS = 2 ** 31 - 1
const IGNORED = {
  onRequestStart() {},
  onResponseStart() {},
  onResponseData() {},
  onResponseEnd() {},
  onResponseError() {},
}

/** Whatever it is asked, it gives this answer. */
function peer(answer: Buffer): Duplex {
  return new Duplex({
    read() {},
    write(_chunk, _encoding, done) {
      done()
      this.push(answer)
    },
  })
}

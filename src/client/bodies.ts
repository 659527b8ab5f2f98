/** Bodies as they arrive, in bounds: whole JSON, or JSON a line at a time. */
import { ClientError } from './client-error.ts'

/** Takes a body piece by piece. Either may throw, which ends the call. */
export interface Receiver<T> {
  chunk(bytes: Buffer): void
  end(): T
}

/** @throws ClientError too-large, and garbage for what is not JSON in UTF-8. */
export function wholeBody<T>(maxBytes: number, read: (value: unknown) => T): Receiver<T> {
  const chunks: Buffer[] = []
  let length = 0
  return {
    chunk(bytes) {
      length += bytes.length
      if (length > maxBytes) throw new ClientError('too-large', `The answer is longer than ${maxBytes} bytes.`)
      chunks.push(bytes)
    },
    end: () => read(parsed(Buffer.concat(chunks))),
  }
}

/**
 * @param line gets each line that has its newline, parsed; empty ones are passed over.
 * @param end gets whether something was left that had none.
 * @throws ClientError too-large, and garbage.
 */
export function bodyOfLines<T>(
  maxLineBytes: number,
  line: (value: unknown) => void,
  end: (torn: boolean) => T,
): Receiver<T> {
  let pieces: Buffer[] = []
  let length = 0

  function add(bytes: Buffer): void {
    length += bytes.length
    if (length > maxLineBytes) throw new ClientError('too-large', `A line is longer than ${maxLineBytes} bytes.`)
    if (bytes.length > 0) pieces.push(bytes)
  }

  return {
    chunk(bytes) {
      let from = 0
      for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, from)) {
        add(bytes.subarray(from, at))
        from = at + 1
        const whole = Buffer.concat(pieces)
        pieces = []
        length = 0
        if (whole.length > 0) line(parsed(whole))
      }
      add(bytes.subarray(from))
    },
    end: () => end(length > 0),
  }
}

const NEWLINE = 0x0a

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    // Not the error: its message quotes what it choked on.
    throw new ClientError('garbage', 'The answer is not the JSON that it says it is.')
  }
}

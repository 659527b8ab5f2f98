/**
 * Values that must not be printed. An Opaque shows its label to every printer there is (template strings, JSON,
 * util.inspect, pino, vitest's diffs) and its content only to `reveal`, which is easy to search for.
 */
import { inspect } from 'node:util'

export class Opaque {
  readonly #content: string
  readonly #label: string

  /** @param label what printers show, e.g. `token`. */
  constructor(content: string, label: string) {
    this.#content = content
    this.#label = label
  }

  reveal(): string {
    return this.#content
  }

  toString(): string {
    return `[${this.#label}]`
  }

  toJSON(): string {
    return this.toString()
  }

  [inspect.custom](): string {
    return this.toString()
  }
}

/** A bearer token: the caller's, keyhole's own, or a Vault session's. */
export type Token = Opaque

export function token(content: string): Token {
  return new Opaque(content, 'token')
}

/**
 * Memory for plaintext, that no other buffer shares and that `wipe` wipes for good. Up to 64 bytes V8 would keep in its
 * own heap, and leave a copy behind when it moves them or hands them to a socket.
 */
export function wipeable(length: number): Buffer {
  return Buffer.allocUnsafeSlow(Math.max(length, IN_HEAP_MAX_BYTES + 1)).subarray(0, length)
}

const IN_HEAP_MAX_BYTES = 64

/** Overwrites plaintext. The bytes must have no other reader left: a reply that is still leaving is one. */
export function wipe(...buffers: readonly (Buffer | undefined)[]): void {
  for (const buffer of buffers) buffer?.fill(0)
}

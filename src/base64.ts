/**
 * Base64 between buffers, because Node's own wants a string on one side, and a string of plaintext cannot be wiped.
 *
 * Strict RFC 4648, standard alphabet: padded, no white space, and the bits after the last byte zero, so that every
 * content has exactly one spelling. No table is indexed by a digit and no branch taken on one: the path through this
 * file, and what it leaves in the cache for a neighbour on the machine to measure, depends on the length alone.
 */

import { wipeable } from './opaque.ts'

export type Base64Flaw = 'length' | 'alphabet' | 'trailing-bits'

/** Says what is wrong, never what is there. */
export class Base64Error extends Error {
  override readonly name = 'Base64Error'
  readonly flaw: Base64Flaw

  constructor(flaw: Base64Flaw) {
    super(`not base64: ${flaw}`)
    this.flaw = flaw
  }
}

/**
 * The content of the base64 at `start` up to `end`, in memory that no other buffer shares. The caller wipes it.
 *
 * @throws Base64Error, having wiped what was decoded by then
 */
export function decodeBase64(bytes: Buffer, start: number, end: number): Buffer {
  const text = bytes.subarray(start, end)
  if (text.length % 4 !== 0) throw new Base64Error('length')
  const padding = paddingOf(text)
  const content = wipeable((text.length / 4) * 3 - padding)
  const flaw = decodeInto(text, padding, content)
  if (flaw === undefined) return content
  content.fill(0)
  throw new Base64Error(flaw)
}

/** Bytes that the base64 of `contentBytes` bytes takes. */
export function base64Length(contentBytes: number): number {
  return Math.ceil(contentBytes / 3) * 4
}

/**
 * Writes the base64 of `bytes` into `target` from `at` on.
 *
 * @returns the offset after it
 * @throws RangeError before anything is written, when it does not fit: cut short it would pass for another content
 */
export function encodeBase64Into(bytes: Buffer, target: Buffer, at: number): number {
  const end = at + base64Length(bytes.length)
  if (end > target.length) throw new RangeError('the base64 does not fit its target')
  for (let from = 0, next = at; next < end; from += 3, next += 4) {
    const bits = (bytes.readUInt8(from) << 16) | ((bytes[from + 1] ?? 0) << 8) | (bytes[from + 2] ?? 0)
    target.writeInt32BE(digitsOf(bits), next)
  }
  target.fill(PAD, at + Math.ceil((bytes.length * 4) / 3), end)
  return end
}

const PAD = 0x3d

/** At most two: a third is not padding but a byte outside the alphabet. */
function paddingOf(text: Buffer): number {
  if (text.at(-1) !== PAD) return 0
  return text.at(-2) === PAD ? 2 : 1
}

/** Runs to the end whatever it meets, so that where a flaw lies does not show in the time it takes. */
function decodeInto(text: Buffer, padding: number, content: Buffer): Base64Flaw | undefined {
  const last = text.length - 4
  let outside = 0
  let bits = 0
  for (let from = 0, next = 0; from <= last; from += 4, next += 3) {
    // Padding is read as `A`, six zero bits, so that the last four digits are like all others.
    const padded = from === last ? lowBytes(padding) : 0
    const digits = (text.readInt32BE(from) & ~padded) | (0x41414141 & padded)
    const sextets = sextetsOf(digits)
    outside |= sextets & TOP_BITS
    bits = joined(sextets)
    // Each keeps the low eight bits. What padding adds lies past the end of `content`, where a write does nothing.
    content[next] = bits >> 16
    content[next + 1] = bits >> 8
    content[next + 2] = bits
  }
  if (outside !== 0) return 'alphabet'
  return (bits & lowBytes(padding)) === 0 ? undefined : 'trailing-bits'
}

function lowBytes(count: number): number {
  return (1 << (8 * count)) - 1
}

/*
 * Four digits, or four sextets, lie in the four bytes of one integer, and are worked on at once.
 */

/** Each byte its digit's sextet; its top bit is set where the digit is outside the alphabet. */
function sextetsOf(digits: number): number {
  const low = digits & 0x7f7f7f7f
  const upper = within(low, 0x41, 0x5a) // A-Z
  const lower = within(low, 0x61, 0x7a) // a-z
  const decimal = within(low, 0x30, 0x39) // 0-9
  const plus = within(low, 0x2b, 0x2b)
  const slash = within(low, 0x2f, 0x2f)
  // Each range's distance from digit to sextet, modulo 64, and chosen so that no byte's sum falls below 0 or passes 255:
  // none borrows from its neighbour or carries into it.
  const sextets =
    low +
    Math.imul(upper >>> 7, 64 - 0x41) +
    Math.imul(lower >>> 7, 128 + 26 - 0x61) +
    Math.imul(decimal >>> 7, 52 - 0x30) +
    Math.imul(plus >>> 7, 62 - 0x2b) +
    Math.imul(slash >>> 7, 63 - 0x2f)
  return (sextets & 0x3f3f3f3f) | ((digits | ~(upper | lower | decimal | plus | slash)) & TOP_BITS)
}

/** Four sextets as 24 bits. */
function joined(sextets: number): number {
  return ((sextets >> 6) & 0xfc0000) | ((sextets >> 4) & 0x3f000) | ((sextets >> 2) & 0xfc0) | (sextets & 0x3f)
}

/** The four digits that stand for 24 bits. */
function digitsOf(bits: number): number {
  const sextets = ((bits & 0xfc0000) << 6) | ((bits & 0x3f000) << 4) | ((bits & 0xfc0) << 2) | (bits & 0x3f)
  // Each range's distance from sextet to digit, modulo 128, for the same reason.
  const digits =
    sextets +
    Math.imul(within(sextets, 0, 25) >>> 7, 0x41) +
    Math.imul(within(sextets, 26, 51) >>> 7, 0x61 - 26) +
    Math.imul(within(sextets, 52, 61) >>> 7, 128 + 0x30 - 52) +
    Math.imul(within(sextets, 62, 62) >>> 7, 128 + 0x2b - 62) +
    Math.imul(within(sextets, 63, 63) >>> 7, 128 + 0x2f - 63)
  return digits & 0x7f7f7f7f
}

const TOP_BITS = 0x80808080 | 0

/** For four bytes below 128: the top bit of each byte that is `low` to `high`, all other bits zero. */
function within(bytes: number, low: number, high: number): number {
  const reachesLow = bytes + Math.imul(0x80 - low, 0x01010101)
  const passesHigh = bytes + Math.imul(0x7f - high, 0x01010101)
  return (reachesLow ^ passesHigh) & TOP_BITS
}

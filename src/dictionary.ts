/**
 * Reads a JSON object where it lies: finds its members in a buffer of plaintext and tells where each begins and ends,
 * so that a granted one is copied through byte for byte. Key names become strings; no value ever does, because a
 * string cannot be wiped.
 *
 * How far the bytes are trusted: not at all. The whole document is held to RFC 8259, also in values that nobody was
 * granted, because a second reader that is laxer or stricter than this one would see other members in it. For the same
 * reason an object that names one key twice is refused: each reader picks its own of the two.
 */
import { isUtf8 } from 'node:buffer'

/** Byte offsets into the buffer given; `end` is the first byte after. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** One `"key": value`. Byte offsets into the buffer given, quotes included; ends are the first byte after. */
export interface Member {
  /** Decoded: `"\u0061"` is `a`. Lone surrogates stay lone UTF-16 units. Never normalised. */
  readonly key: string
  readonly keyStart: number
  readonly keyEnd: number
  readonly valueStart: number
  readonly valueEnd: number
}

export interface Bounds {
  readonly maxBytes: number
  /** Objects and arrays open at once; the outermost counts as 1. */
  readonly maxDepth: number
}

export type Flaw =
  | 'empty'
  | 'byte-order-mark'
  | 'not-utf8'
  | 'not-an-object'
  | 'not-an-array'
  | 'truncated'
  | 'duplicate-key'
  | 'too-deep'
  | 'too-large'
  | 'not-a-number'
  | 'syntax'

/** Says what is wrong and where, never what is there. */
export class DictionaryError extends Error {
  override readonly name = 'DictionaryError'
  readonly flaw: Flaw
  /** The first byte that cannot stand where it stands; the end of the document where something is missing. */
  readonly offset: number

  constructor(flaw: Flaw, offset: number) {
    super(`${flaw} at byte ${offset}`)
    this.flaw = flaw
    this.offset = offset
  }
}

/**
 * The members of the object that is the whole of `bytes` (or of `within`, a value that was found in it), in order.
 * Nested objects are validated and left alone: a key that they hold twice is not ours to refuse.
 *
 * @throws DictionaryError; `duplicate-key` and `not-an-object` only for what is otherwise valid JSON
 */
export function members(bytes: Buffer, bounds: Bounds, within: Span = whole(bytes)): Member[] {
  const seen = new Set<string>()
  return items(bytes, bounds, within, OBJECT_START).map(({ start, keyEnd, valueStart, valueEnd }, before) => {
    const key = decodeKey(bytes, start + 1, keyEnd - 1)
    if (seen.add(key).size === before) throw new DictionaryError('duplicate-key', start)
    return { key, keyStart: start, keyEnd, valueStart, valueEnd }
  })
}

/**
 * The members whose keys are granted, in the document's order, and the granted keys that it lacks, in the grant's.
 *
 * @throws DictionaryError as `members` does, whatever is granted
 */
export function pick(
  bytes: Buffer,
  keys: ReadonlySet<string> | 'all',
  bounds: Bounds,
): { picked: Member[]; missing: string[] } {
  const all = members(bytes, bounds)
  if (keys === 'all') return { picked: all, missing: [] }
  const picked = all.filter((member) => keys.has(member.key))
  const present = new Set(picked.map((member) => member.key))
  return { picked, missing: [...keys].filter((key) => !present.has(key)) }
}

/**
 * Where the value at `path` lies, e.g. `['data', 'plaintext']`; undefined when a key of the path is not there or its
 * parent is not an object. Every object on the path must name its keys once.
 *
 * @throws DictionaryError
 */
export function find(
  bytes: Buffer,
  path: readonly [string, ...string[]],
  bounds: Bounds,
  within: Span = whole(bytes),
): Span | undefined {
  let found = within
  for (const key of path) {
    if (found !== within && bytes[found.start] !== OBJECT_START) return undefined
    const member = members(bytes, bounds, found).find((candidate) => candidate.key === key)
    if (member === undefined) return undefined
    found = { start: member.valueStart, end: member.valueEnd }
  }
  return found
}

/**
 * Where the elements of an array lie, in order.
 *
 * @throws DictionaryError
 */
export function elements(bytes: Buffer, bounds: Bounds, within: Span = whole(bytes)): Span[] {
  return items(bytes, bounds, within, ARRAY_START).map((item) => ({ start: item.valueStart, end: item.valueEnd }))
}

/** What lies between the quotes of a value that was found, escapes as they stand; undefined when it is no string. */
export function insideQuotes(bytes: Buffer, value: Span): Span | undefined {
  return bytes[value.start] === QUOTE ? { start: value.start + 1, end: value.end - 1 } : undefined
}

function whole(bytes: Buffer): Span {
  return { start: 0, end: bytes.length }
}

const QUOTE = 0x22
const COMMA = 0x2c
const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30
const NINE = 0x39
const COLON = 0x3a
const ARRAY_START = 0x5b
const BACKSLASH = 0x5c
const OBJECT_START = 0x7b
const OBJECT_END = 0x7d

/** A member or an element of the outermost object or array. An element's `keyEnd` is its `start`. */
interface Item {
  readonly start: number
  readonly keyEnd: number
  readonly valueStart: number
  readonly valueEnd: number
}

function items(bytes: Buffer, bounds: Bounds, within: Span, opener: number): Item[] {
  if (within.end - within.start > bounds.maxBytes) {
    throw new DictionaryError('too-large', within.start + bounds.maxBytes)
  }
  // Cut at the end only: reading past it gives undefined, and offsets stay those of the buffer given.
  const text = bytes.subarray(0, within.end)
  checkEncoding(text, within.start)
  const start = skipSpace(text, within.start)
  if (start === text.length) throw new DictionaryError('empty', start)
  const wanted = text[start] === opener
  const found: Item[] = []
  const end = skipSpace(text, skipValue(text, start, bounds.maxDepth, wanted ? found : undefined))
  if (end < text.length) throw new DictionaryError('syntax', end)
  if (!wanted) throw new DictionaryError(opener === OBJECT_START ? 'not-an-object' : 'not-an-array', start)
  return found
}

function checkEncoding(text: Buffer, start: number): void {
  if (!isUtf8(text.subarray(start))) throw new DictionaryError('not-utf8', malformedAt(text, start))
  // Its own flaw, because "syntax at byte 0" sends its owner looking for something that no editor shows.
  if (text[start] === 0xef && text[start + 1] === 0xbb && text[start + 2] === 0xbf) {
    throw new DictionaryError('byte-order-mark', start)
  }
}

/** By blocks, then by characters: asking for each of 262,144 characters would hold every other caller up for 25 ms. */
function malformedAt(text: Buffer, start: number): number {
  let at = start
  // A block that ends inside a character gets its next bytes, of which there are at most three.
  for (let size = BLOCK_BYTES; size <= BLOCK_BYTES + 3 && at < text.length; ) {
    const sound = isUtf8(text.subarray(at, at + size))
    at += sound ? size : 0
    size = sound ? BLOCK_BYTES : size + 1
  }
  for (;;) {
    const length = characterBytes(text.readUInt8(at))
    if (!isUtf8(text.subarray(at, at + length))) return at
    at += length
  }
}

const BLOCK_BYTES = 4096

/** What the first byte of a character promises. */
function characterBytes(lead: number): number {
  if (lead < 0x80) return 1
  if (lead < 0xe0) return 2
  return lead < 0xf0 ? 3 : 4
}

/*
 * Each skip function takes the offset where its piece of grammar must begin and returns the offset after it.
 */

/**
 * Any value, and the one place that knows how values nest. It loops over a stack of its own, because 768 KiB of `[`
 * would overflow the call stack of a function that calls itself.
 */
function skipValue(text: Buffer, start: number, maxDepth: number, outermost: Item[] | undefined): number {
  const closers: number[] = []
  let item = { start, keyEnd: start, valueStart: start, valueEnd: start }
  let at = start
  for (;;) {
    const opener = text[at]
    let opened = false
    if (opener === OBJECT_START || opener === ARRAY_START) {
      if (closers.length >= maxDepth) throw new DictionaryError('too-deep', at)
      closers.push(opener + 2) // in ASCII `}` is `{` + 2, and `]` is `[` + 2
      opened = true
      at += 1
    } else {
      at = skipScalar(text, at)
    }
    for (;;) {
      if (closers.length === 0) return at
      if (closers.length === 1 && !opened) {
        item.valueEnd = at
        outermost?.push(item)
      }
      at = skipSpace(text, at)
      if (text[at] !== closers.at(-1)) break
      closers.pop()
      opened = false
      at += 1
    }
    if (!opened) at = skipSpace(text, skipByte(text, at, COMMA))
    const itemStart = at
    const keyEnd = closers.at(-1) === OBJECT_END ? skipString(text, at) : at
    if (keyEnd > itemStart) at = skipSpace(text, skipByte(text, skipSpace(text, keyEnd), COLON))
    if (closers.length === 1) item = { start: itemStart, keyEnd, valueStart: at, valueEnd: at }
  }
}

function skipScalar(text: Buffer, at: number): number {
  switch (text[at]) {
    case QUOTE:
      return skipString(text, at)
    case 0x74:
      return skipWord(text, at, 'true')
    case 0x66:
      return skipWord(text, at, 'false')
    case 0x6e:
      return skipWord(text, at, 'null')
    // Python's json.dumps writes these three, and they deserve a better answer than "syntax".
    case 0x4e:
      return refuseNumber(text, at, 'NaN')
    case 0x49:
      return refuseNumber(text, at, 'Infinity')
    default:
      if (text[at] === MINUS && text[at + 1] === 0x49) return refuseNumber(text, at, '-Infinity')
      return skipNumber(text, at)
  }
}

function skipString(text: Buffer, start: number): number {
  let at = skipByte(text, start, QUOTE)
  for (;;) {
    const byte = text[at]
    if (byte === QUOTE) return at + 1
    if (byte === BACKSLASH) at = skipEscape(text, at + 1)
    else if (byte === undefined || byte < 0x20) throw unexpected(text, at)
    else at += 1
  }
}

/** What follows a backslash. */
function skipEscape(text: Buffer, at: number): number {
  switch (text[at]) {
    case QUOTE:
    case BACKSLASH:
    case 0x2f: // /
    case 0x62: // b
    case 0x66: // f
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return at + 1
    case 0x75: // u
      for (let digit = at + 1; digit <= at + 4; digit += 1) {
        if (!isHexDigit(text[digit])) throw unexpected(text, digit)
      }
      return at + 5
    default:
      throw unexpected(text, at)
  }
}

function skipNumber(text: Buffer, start: number): number {
  let at = text[start] === MINUS ? start + 1 : start
  at = text[at] === ZERO ? at + 1 : skipDigits(text, at)
  if (text[at] === POINT) at = skipDigits(text, at + 1)
  if (text[at] === 0x65 || text[at] === 0x45) {
    const signed = text[at + 1] === 0x2b || text[at + 1] === MINUS
    at = skipDigits(text, signed ? at + 2 : at + 1)
  }
  return at
}

/** One digit or more. */
function skipDigits(text: Buffer, start: number): number {
  if (!isDigit(text[start])) throw unexpected(text, start)
  let at = start + 1
  while (isDigit(text[at])) at += 1
  return at
}

function refuseNumber(text: Buffer, at: number, word: string): never {
  skipWord(text, at, word)
  throw new DictionaryError('not-a-number', at)
}

function skipWord(text: Buffer, start: number, word: string): number {
  let at = start
  for (let letter = 0; letter < word.length; letter += 1) at = skipByte(text, at, word.charCodeAt(letter))
  return at
}

function skipByte(text: Buffer, at: number, byte: number): number {
  if (text[at] !== byte) throw unexpected(text, at)
  return at + 1
}

function skipSpace(text: Buffer, start: number): number {
  let at = start
  while (text[at] === 0x20 || text[at] === 0x0a || text[at] === 0x0d || text[at] === 0x09) at += 1
  return at
}

function unexpected(text: Buffer, at: number): DictionaryError {
  return new DictionaryError(at < text.length ? 'syntax' : 'truncated', at)
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE
}

function isHexDigit(byte: number | undefined): boolean {
  if (byte === undefined) return false
  const lower = byte | 0x20
  return isDigit(byte) || (lower >= 0x61 && lower <= 0x66)
}

/** A name whose grammar has been checked. UTF-16 units are joined as they are written, so that pairs find each other. */
function decodeKey(bytes: Buffer, start: number, end: number): string {
  let key = ''
  let from = start
  for (let at = start; at < end; at += 1) {
    if (bytes[at] !== BACKSLASH) continue
    key += bytes.toString('utf8', from, at)
    const letter = bytes.toString('latin1', at + 1, at + 2)
    from = letter === 'u' ? at + 6 : at + 2
    key += letter === 'u' ? unitOf(bytes.toString('latin1', at + 2, from)) : meantBy(letter)
    at = from - 1
  }
  return key + bytes.toString('utf8', from, end)
}

function unitOf(hexDigits: string): string {
  return String.fromCharCode(Number.parseInt(hexDigits, 16))
}

function meantBy(letter: string): string {
  return '"\\/\b\f\n\r\t'.charAt('"\\/bfnrt'.indexOf(letter))
}

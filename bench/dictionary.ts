/** How fast plaintext is scanned and decoded, in MB/s, on dictionaries of 768 KiB. `node bench/dictionary.ts` */
import { base64Length, decodeBase64, encodeBase64Into } from '../src/base64.ts'
import type { Bounds } from '../src/dictionary.ts'
import { members } from '../src/dictionary.ts'

const BYTES = 768 * 1024
const BOUNDS: Bounds = { maxBytes: BYTES, maxDepth: 64 }
const ROUNDS = 40

const base64 = Buffer.alloc(base64Length(BYTES))
encodeBase64Into(Buffer.alloc(BYTES, 'content '), base64, 0)

const rows: readonly (readonly [string, number, () => unknown])[] = [
  scanning('one long ASCII string', [`"KEY":"${'a'.repeat(BYTES - 20)}"`]),
  scanning(
    'ASCII strings of 40 bytes',
    fill((n) => `"KEY_${n}":"${'a'.repeat(40)}"`),
  ),
  scanning('one long string of three-byte characters', [`"KEY":"${'€'.repeat(BYTES / 3 - 20)}"`]),
  scanning('nothing but escapes', [`"KEY":"${'\\n'.repeat(BYTES / 2 - 20)}"`]),
  scanning(
    'small numbers under short keys',
    fill((n) => `"${n}":${n}`),
  ),
  scanning('nested arrays', [`"KEY":[${'[[[]]],'.repeat(BYTES / 7 - 20)}0]`]),
  ['base64 decoded', base64.length, () => decodeBase64(base64, 0, base64.length)],
  [
    'base64 encoded',
    BYTES,
    () => encodeBase64Into(base64.subarray(0, BYTES), Buffer.allocUnsafeSlow(base64.length), 0),
  ],
]

for (const [name, bytes, act] of rows) {
  process.stdout.write(`${name.padEnd(44)}${(bytes / 1e6 / (medianMs(act) / 1e3)).toFixed(0).padStart(7)} MB/s\n`)
}

function scanning(name: string, parts: readonly string[]): readonly [string, number, () => unknown] {
  const document = Buffer.from(`{${parts.join(',')}}`)
  return [name, document.length, () => members(document, BOUNDS)]
}

function fill(member: (n: number) => string): string[] {
  const parts: string[] = []
  for (let n = 0, bytes = 2; ; n += 1) {
    bytes += member(n).length + 1
    if (bytes > BYTES) return parts
    parts.push(member(n))
  }
}

function medianMs(act: () => unknown): number {
  const times = Array.from({ length: ROUNDS }, () => {
    const start = performance.now()
    act()
    return performance.now() - start
  })
  return times.sort((a, b) => a - b)[ROUNDS / 2] ?? Number.NaN
}

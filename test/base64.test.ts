import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import type { Base64Flaw } from '../src/base64.ts'
import { Base64Error, base64Length, decodeBase64, encodeBase64Into } from '../src/base64.ts'

const SEED = 20_251_122
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

describe('decodeBase64', () => {
  const refused: readonly [title: string, text: string | Buffer, flaw: Base64Flaw][] = [
    ['a single digit', 'A', 'length'],
    ['two digits without their padding', 'QQ', 'length'],
    ['three digits without their padding', 'QUI', 'length'],
    ['half a padding', 'QQ=', 'length'],
    ['padding too much', 'QUI==', 'length'],
    ['padding after a whole group', 'QUJD=', 'length'],
    ['a line feed at the end', 'QUJD\n', 'length'],
    ['a single padding byte', '=', 'length'],
    ['four padding bytes', '====', 'alphabet'],
    ['three padding bytes', 'Q===', 'alphabet'],
    ['four padding bytes after a whole group', 'QUJD====', 'alphabet'],
    ['padding in the middle', 'QQ==QQ==', 'alphabet'],
    ['padding before a digit', 'QQ=Q', 'alphabet'],
    ['padding at the start', '=QQQ', 'alphabet'],
    ['line breaks', 'QUJD\r\n\r\nQUJD', 'alphabet'],
    ['a space', 'QU D', 'alphabet'],
    ['the URL alphabet', '-_-_', 'alphabet'],
    ['a minus', 'QUJ-', 'alphabet'],
    ['an underscore', '_UJD', 'alphabet'],
    ['a backslash, as in an escaped slash', 'QQ\\/', 'alphabet'],
    ['a quote', '"QUJ', 'alphabet'],
    ['a NUL', 'QU\0D', 'alphabet'],
    ['UTF-8 beyond ASCII', 'QÄQ', 'alphabet'],
    ['digits with the top bit set', Buffer.from([0xd1, 0xd5, 0xca, 0xc4]), 'alphabet'],
    ['a padding byte with the top bit set', Buffer.from([0x51, 0x55, 0x49, 0xbd]), 'alphabet'],
    ['one byte whose spare bits are not zero', 'QR==', 'trailing-bits'],
    ['one byte whose spare bits are all ones', 'Qf==', 'trailing-bits'],
    ['two bytes whose spare bits are not zero', 'QUJ=', 'trailing-bits'],
    ['two bytes whose spare bits are all ones', 'QUL=', 'trailing-bits'],
    ['spare bits behind whole groups', 'QUJDQUJDQR==', 'trailing-bits'],
    ['what has both flaws, for its alphabet', '-UJDQR==', 'alphabet'],
  ]
  test.for(refused)('refuses %s', ([, text, flaw]) => {
    expect(flawOf(text)).toBe(flaw)
  })

  test('refuses every byte outside the alphabet, in every place of a group, but for padding at the end', () => {
    for (let byte = 0; byte < 256; byte += 1) {
      const character = String.fromCharCode(byte)
      for (let place = 0; place < 8; place += 1) {
        const text = Buffer.from('QUJDREUA')
        text[place] = byte
        const sound = ALPHABET.includes(character) || (character === '=' && place === 7)
        expect([byte, place, flawOf(text)]).toEqual([byte, place, sound ? undefined : 'alphabet'])
      }
    }
  })

  test('refuses every second digit of one byte, and third of two, that has a spare bit set', () => {
    for (const [sextet, digit] of [...ALPHABET].entries()) {
      expect(flawOf(`Q${digit}==`)).toBe(sextet % 16 === 0 ? undefined : 'trailing-bits')
      expect(flawOf(`QU${digit}=`)).toBe(sextet % 4 === 0 ? undefined : 'trailing-bits')
    }
  })

  test('wipes what it had decoded before it refuses', () => {
    for (const text of ['c2VjcmV0c2VjcmV0c2Vjcm-0', 'c2VjcmV0c2VjcmV0c2VjcmVR=Q==', 'c2VjcmV0c2VjcmV0c2VjcmV0QR==']) {
      const made: Buffer[] = []
      const allocate = Buffer.allocUnsafeSlow
      using _spy = vi.spyOn(Buffer, 'allocUnsafeSlow').mockImplementation((size) => {
        const buffer = allocate(size).fill(0).fill(0xaa, 0, 18)
        made.push(buffer)
        return buffer
      })
      expect(flawOf(text)).toBeDefined()
      expect(made.map((buffer) => [buffer.length > 0, buffer.every((byte) => byte === 0)])).toEqual([[true, true]])
    }
  })

  test('throws an error that quotes nothing, whichever way it is printed', () => {
    for (const text of ['aHVudGVyMmNhbmFyeQ', 'aHVudGVyMmNhbmFyeQ-=', 'aHVudGVyMmNhbmFyeR==']) {
      const error = thrownBy(() => decodeBase64(Buffer.from(text), 0, text.length))
      expect(error).toBeInstanceOf(Base64Error)
      expect(error.cause).toBeUndefined()
      const printed = [String(error), JSON.stringify(error), inspect(error, { depth: 10, showHidden: true })].join()
      expect(printed).not.toMatch(/aHVud|hunter/)
    }
    expect(thrownBy(() => decodeBase64(Buffer.from('A'), 0, 1)).message).toBe('not base64: length')
  })

  test('reads nothing outside the range it is given', () => {
    const bytes = Buffer.from('====QUI=QQ==')
    expect(decodeBase64(bytes, 4, 8).toString()).toBe('AB')
    expect(decodeBase64(bytes, 8, 12).toString()).toBe('A')
    expect(decodeBase64(bytes, 4, 4)).toHaveLength(0)
    expect(thrownBy(() => decodeBase64(bytes, 4, 12))).toMatchObject({ flaw: 'alphabet' })
    expect(thrownBy(() => decodeBase64(bytes, 5, 8))).toMatchObject({ flaw: 'length' })
  })

  test('decodes into memory that no other buffer shares', () => {
    const content = decodeBase64(Buffer.from('QUJD'), 0, 4)
    expect(content.byteOffset).toBe(0)
    expect(content.buffer.byteLength).toBe(65)
  })

  test('decodes nothing from nothing', () => {
    expect(decodeBase64(Buffer.alloc(0), 0, 0)).toHaveLength(0)
  })

  test('leaves the bytes as they were', () => {
    const bytes = Buffer.from('QUJDQQ==')
    decodeBase64(bytes, 0, 8)
    expect(bytes.toString()).toBe('QUJDQQ==')
  })

  test('agrees with Buffer on whatever Buffer has encoded', () => {
    check(fc.uint8Array({ maxLength: 200 }), (content) => {
      const text = Buffer.from(Buffer.from(content).toString('base64'))
      expect(decodeBase64(text, 0, text.length).equals(content)).toBe(true)
    })
  })

  test('refuses whatever Buffer would not have written, and agrees with it on the rest', () => {
    const mutated = fc
      .tuple(
        fc.uint8Array({ maxLength: 20 }),
        fc.constantFrom('replace', 'insert', 'delete', 'cut'),
        fc.nat(),
        fc.oneof(fc.nat({ max: 255 }), fc.constantFrom(...Buffer.from(`${ALPHABET}===--__ \n`))),
      )
      .map(([content, kind, at, byte]) => {
        const text = Buffer.from(Buffer.from(content).toString('base64'))
        const start = at % (text.length + 1)
        const middle = kind === 'replace' || kind === 'insert' ? [byte] : []
        const rest = kind === 'cut' ? text.length : kind === 'insert' ? start : start + 1
        return Buffer.concat([text.subarray(0, start), Buffer.from(middle), text.subarray(rest)])
      })
    let taken = 0
    check(mutated, (text) => {
      const buffers = Buffer.from(text.toString('latin1'), 'base64')
      const canonical = buffers.toString('base64') === text.toString('latin1')
      expect(flawOf(text) === undefined).toBe(canonical)
      if (canonical) expect(decodeBase64(text, 0, text.length).equals(buffers)).toBe(true)
      taken += canonical ? 1 : 0
    })
    expect(taken).toBeGreaterThan(100)
  })
})

describe('encodeBase64Into', () => {
  test.for([0, 1, 2, 3, 4, 5, 6])('refuses a target that is a byte too short for %i bytes', (length) => {
    const target = Buffer.alloc(base64Length(length) + 3, 0x2e)
    expect(() => encodeBase64Into(Buffer.alloc(length), target, 4)).toThrow(RangeError)
    expect(target.every((byte) => byte === 0x2e)).toBe(true)
  })

  test('refuses to begin before its target', () => {
    const target = Buffer.alloc(8, 0x2e)
    expect(() => encodeBase64Into(Buffer.from('ABC'), target, -1)).toThrow(RangeError)
    expect(target.toString()).toBe('........')
  })

  test('quotes nothing when it refuses', () => {
    const error = thrownBy(() => encodeBase64Into(Buffer.from('hunter2'), Buffer.alloc(4), 0))
    expect(inspect(error, { depth: 10, showHidden: true })).not.toMatch(/hunter|aHVud/)
  })

  test('writes where it is told, nothing beside it, and returns the offset after', () => {
    const target = Buffer.alloc(14, 0x2e)
    expect(encodeBase64Into(Buffer.from('A'), target, 1)).toBe(5)
    expect(encodeBase64Into(Buffer.from('ABCDE'), target, 5)).toBe(13)
    expect(target.toString()).toBe('.QQ==QUJDREU=.')
    expect(encodeBase64Into(Buffer.alloc(0), target, 14)).toBe(14)
  })

  test('writes every digit in every place', () => {
    for (let sextet = 0; sextet < 64; sextet += 1) {
      for (const place of [0, 6, 12, 18]) {
        const content = Buffer.alloc(3)
        content.writeUIntBE(sextet << place, 0, 3)
        expect(encoded(content)).toBe(content.toString('base64'))
        expect(encoded(content.map((byte) => ~byte))).toBe(Buffer.from(content.map((byte) => ~byte)).toString('base64'))
      }
    }
  })

  test('agrees with Buffer on any content, and decodes to it again', () => {
    check(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const content = Buffer.from(bytes)
      const text = encoded(content)
      expect(text).toBe(content.toString('base64'))
      expect(text).toHaveLength(base64Length(content.length))
      expect(decodeBase64(Buffer.from(text), 0, text.length).equals(content)).toBe(true)
    })
  })
})

function encoded(content: Uint8Array): string {
  const target = Buffer.alloc(base64Length(content.length))
  encodeBase64Into(Buffer.from(content), target, 0)
  return target.toString()
}

function check<T>(arbitrary: fc.Arbitrary<T>, holds: (generated: T) => void): void {
  fc.assert(fc.property(arbitrary, holds), { seed: SEED, numRuns: 3_000 })
}

function flawOf(text: string | Buffer): Base64Flaw | undefined {
  const bytes = Buffer.from(text)
  try {
    decodeBase64(bytes, 0, bytes.length)
    return undefined
  } catch (error) {
    if (error instanceof Base64Error) return error.flaw
    throw error
  }
}

function thrownBy(act: () => unknown): Error {
  try {
    act()
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('nothing was thrown')
}

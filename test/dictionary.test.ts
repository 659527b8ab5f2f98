import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { describe, expect, test, vi } from 'vitest'
import type { Bounds, Flaw, Span } from '../src/dictionary.ts'
import { DictionaryError, elements, find, insideQuotes, members, pick } from '../src/dictionary.ts'

const BOUNDS: Bounds = { maxBytes: 768 * 1024, maxDepth: 64 }

describe('members', () => {
  const refused: readonly [title: string, document: string | Buffer, flaw: Flaw, offset: number][] = [
    ['no bytes at all', '', 'empty', 0],
    ['white space only', ' \t\r\n ', 'empty', 5],

    ['an array', '[{"a":1}]', 'not-an-object', 0],
    ['a string', ' "a"', 'not-an-object', 1],
    ['a number', '1', 'not-an-object', 0],
    ['null', 'null', 'not-an-object', 0],
    ['true', 'true ', 'not-an-object', 0],
    ['an array that is itself broken, for what broke it', '[1,}', 'syntax', 3],
    ['a bare word', 'hello', 'syntax', 0],
    ['a line of an .env file', 'PGHOST=db', 'syntax', 0],
    ['a lone closing brace', '}', 'syntax', 0],

    ['a second object after the first', '{"a":1}{"a":2}', 'syntax', 7],
    ['a second object on the next line', '{"a":1}\n{"b":2}', 'syntax', 8],
    ['a closing brace too many', '{"a":1}}', 'syntax', 7],
    ['a NUL after the object', '{"a":1}\0', 'syntax', 7],
    ['a form feed as white space', '{\f"a":1}', 'syntax', 1],
    ['a no-break space as white space', '{\u00a0"a":1}', 'syntax', 1],
    ['a comment', '{"a":1/* one */}', 'syntax', 6],
    ['a comment to the end of the line', '{// one\n"a":1}', 'syntax', 1],

    ['a comma after the last member', '{"a":1,}', 'syntax', 7],
    ['a comma before the first member', '{,"a":1}', 'syntax', 1],
    ['a comma alone', '{,}', 'syntax', 1],
    ['two commas', '{"a":1,,"b":2}', 'syntax', 7],
    ['a missing comma', '{"a":1 "b":2}', 'syntax', 7],
    ['a missing colon', '{"a" 1}', 'syntax', 5],
    ['two colons', '{"a"::1}', 'syntax', 5],
    ['an equals sign for a colon', '{"a"=1}', 'syntax', 4],
    ['a key without a value', '{"a":}', 'syntax', 5],
    ['a key without colon and value', '{"a"}', 'syntax', 4],
    ['a key without quotes', '{a:1}', 'syntax', 1],
    ['a key in single quotes', "{'a':1}", 'syntax', 1],
    ['a number as a key', '{1:1}', 'syntax', 1],
    ['null as a key', '{null:1}', 'syntax', 1],
    ['a value in single quotes', `{"a":'b'}`, 'syntax', 5],
    ['a value in back quotes', '{"a":`b`}', 'syntax', 5],
    ['a bracket that closes a brace', '{"a":1]', 'syntax', 6],
    ['a brace that closes a bracket', '{"a":[1}}', 'syntax', 7],
    ['a comma after the last element', '{"a":[1,]}', 'syntax', 8],
    ['a comma before the first element', '{"a":[,1]}', 'syntax', 6],
    ['a key inside an array', '{"a":["b":1]}', 'syntax', 9],
    ['a nested object that lacks its value', '{"a":{"b"}}', 'syntax', 9],
    ['a nested object that ends in a comma', '{"a":{"b":1,}}', 'syntax', 12],

    ['a number that begins with zero', '{"a":01}', 'syntax', 6],
    ['a negative number that begins with zero', '{"a":-01}', 'syntax', 7],
    ['a number that begins with plus', '{"a":+1}', 'syntax', 5],
    ['a number that begins with a point', '{"a":.5}', 'syntax', 5],
    ['a number that ends in a point', '{"a":1.}', 'syntax', 7],
    ['a minus alone', '{"a":-}', 'syntax', 6],
    ['two minuses', '{"a":--1}', 'syntax', 6],
    ['an exponent without digits', '{"a":1e}', 'syntax', 7],
    ['a signed exponent without digits', '{"a":1E+}', 'syntax', 8],
    ['an exponent with two signs', '{"a":1e+-1}', 'syntax', 8],
    ['an exponent with a point', '{"a":1e1.5}', 'syntax', 8],
    ['a fraction with two points', '{"a":1.2.3}', 'syntax', 8],
    ['hexadecimal', '{"a":0x1f}', 'syntax', 6],
    ['a number with separators', '{"a":1_000}', 'syntax', 6],
    ['Arabic-Indic digits', '{"a":٣}', 'syntax', 5],

    ['NaN', '{"a":NaN}', 'not-a-number', 5],
    ['Infinity', '{"a":[Infinity]}', 'not-a-number', 6],
    ['-Infinity', '{"a":{"b":-Infinity}}', 'not-a-number', 10],
    ['NaN as the whole document', 'NaN', 'not-a-number', 0],
    ['-NaN, which nobody writes', '{"a":-NaN}', 'syntax', 6],
    ['nan in lower case', '{"a":nan}', 'syntax', 6],
    ['what only begins like NaN', '{"a":Nil}', 'syntax', 6],
    ['what only begins like Infinity', '{"a":Inf}', 'syntax', 8],
    ['what only begins like -Infinity', '{"a":-Inf}', 'syntax', 9],

    ['True with a capital', '{"a":True}', 'syntax', 5],
    ['None', '{"a":None}', 'syntax', 6],
    ['undefined', '{"a":undefined}', 'syntax', 5],
    ['a cut true', '{"a":tru}', 'syntax', 8],
    ['a cut false', '{"a":fals}', 'syntax', 9],
    ['a cut null', '{"a":nul}', 'syntax', 8],
    ['a word that goes on after null', '{"a":nullx}', 'syntax', 9],
    ['a word that goes on after true', '{"a":true1}', 'syntax', 9],
    ['a word that goes on after false', '{"a":falsey}', 'syntax', 10],

    ['a line feed inside a string', '{"a":"b\nc"}', 'syntax', 7],
    ['a tab inside a string', '{"a":"\t"}', 'syntax', 6],
    ['a NUL inside a string', '{"a":"\0"}', 'syntax', 6],
    ['the last control character inside a string', '{"a":"\x1f"}', 'syntax', 6],
    ['a control character inside a key', '{"a\n":1}', 'syntax', 3],
    ['an escape that JSON does not know', '{"a":"\\x41"}', 'syntax', 7],
    ['an escaped single quote', `{"a":"\\'"}`, 'syntax', 7],
    ['an escaped line feed', '{"a":"\\\n"}', 'syntax', 7],
    ['an upper-case U escape', '{"a":"\\U0041"}', 'syntax', 7],
    ['a u escape of three digits', '{"a":"\\u004"}', 'syntax', 11],
    ['a u escape whose first digit is none', '{"a":"\\ug041"}', 'syntax', 8],
    ['a u escape whose last digit is none', '{"a":"\\u004g"}', 'syntax', 11],
    ['a u escape in braces', '{"a":"\\u{41}"}', 'syntax', 8],
    ['a u escape with the byte before 0', '{"a":"\\u/000"}', 'syntax', 8],
    ['a u escape with the byte after 9', '{"a":"\\u:000"}', 'syntax', 8],
    ['a u escape with the byte before A', '{"a":"\\u@000"}', 'syntax', 8],
    ['a u escape with the byte after F', '{"a":"\\uG000"}', 'syntax', 8],
    ['a u escape with the byte before a', '{"a":"\\u`000"}', 'syntax', 8],
    ['a control character that a lower-case bit would turn into a digit', '{"a":"\\u\x10000"}', 'syntax', 8],
    ['an unknown escape inside a key', '{"\\q":1}', 'syntax', 3],

    ['an opening brace alone', '{', 'truncated', 1],
    ['an object cut inside a key', '{"a', 'truncated', 3],
    ['an object cut after a key', '{"a"', 'truncated', 4],
    ['an object cut after a colon', '{"a": ', 'truncated', 6],
    ['an object cut inside a string', '{"a":"b', 'truncated', 7],
    ['an object cut inside an escape', '{"a":"\\', 'truncated', 7],
    ['an object cut inside a u escape', '{"a":"\\u00', 'truncated', 10],
    ['an object cut inside true', '{"a":tr', 'truncated', 7],
    ['an object cut inside NaN', '{"a":Na', 'truncated', 7],
    ['an object cut inside -Infinity', '{"a":-I', 'truncated', 7],
    ['an object cut after a minus', '{"a":-', 'truncated', 6],
    ['an object cut after a point', '{"a":1.', 'truncated', 7],
    ['an object cut after an exponent', '{"a":1e', 'truncated', 7],
    ['an object cut after a value', '{"a":1', 'truncated', 6],
    ['an object cut after a comma', '{"a":1,', 'truncated', 7],
    ['an object cut inside an array', '{"a":[1', 'truncated', 7],
    ['an object whose array is closed and itself is not', '{"a":[]', 'truncated', 7],

    ['a byte order mark', '\ufeff{"a":1}', 'byte-order-mark', 0],
    ['a byte order mark alone', '\ufeff', 'byte-order-mark', 0],
    ['a byte order mark after white space', ' \ufeff{"a":1}', 'syntax', 1],
    ['UTF-16 with its mark', Buffer.from('\ufeff{"a":1}', 'utf16le'), 'not-utf8', 0],
    ['UTF-16 without its mark', Buffer.from('{"a":1}', 'utf16le'), 'syntax', 1],
    ['Latin-1', Buffer.from('{"a":"é"}', 'latin1'), 'not-utf8', 6],
    ['a lone continuation byte', quoting(0x80), 'not-utf8', 6],
    ['an overlong slash of two bytes', quoting(0xc0, 0xaf), 'not-utf8', 6],
    ['an overlong quote of two bytes', quoting(0xc0, 0xa2), 'not-utf8', 6],
    ['an overlong DEL of two bytes', quoting(0xc1, 0xbf), 'not-utf8', 6],
    ['an overlong slash of three bytes', quoting(0xe0, 0x80, 0xaf), 'not-utf8', 6],
    ['an overlong U+FFFF of four bytes', quoting(0xf0, 0x8f, 0xbf, 0xbf), 'not-utf8', 6],
    ['the NUL of Java', quoting(0xc0, 0x80), 'not-utf8', 6],
    ['an encoded high surrogate', quoting(0xed, 0xa0, 0x80), 'not-utf8', 6],
    ['an encoded low surrogate', quoting(0xed, 0xbf, 0xbf), 'not-utf8', 6],
    ['a surrogate pair encoded half by half', quoting(0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80), 'not-utf8', 6],
    ['what lies just past U+10FFFF', quoting(0xf4, 0x90, 0x80, 0x80), 'not-utf8', 6],
    ['a five-byte sequence', quoting(0xf8, 0x88, 0x80, 0x80, 0x80), 'not-utf8', 6],
    ['0xff', quoting(0xff), 'not-utf8', 6],
    ['a sequence cut after one byte of two', quoting(0xc3), 'not-utf8', 6],
    ['a sequence cut after two bytes of three', quoting(0xe2, 0x82), 'not-utf8', 6],
    ['a sequence cut after three bytes of four', quoting(0xf0, 0x9f, 0x98), 'not-utf8', 6],
    ['a sequence cut by the end', Buffer.from([0x7b, 0x22, 0xe2, 0x82]), 'not-utf8', 2],
    ['malformed UTF-8 after sound characters of every length', quoting(...Buffer.from('aé€😀'), 0xff), 'not-utf8', 16],
    ['malformed UTF-8 outside any string', Buffer.from([0x7b, 0xff, 0x7d]), 'not-utf8', 1],
    ['malformed UTF-8 after the object', Buffer.from([0x7b, 0x7d, 0xff]), 'not-utf8', 2],
    ['malformed UTF-8 in a key', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'not-utf8', 2],

    ['a key twice', '{"a":1,"a":2}', 'duplicate-key', 7],
    ['a key twice with the same value', '{"a":1,"a":1}', 'duplicate-key', 7],
    ['a key twice with others between', '{"a":1, "b":2, "a":3}', 'duplicate-key', 15],
    ['a key twice, once escaped', '{"a":1,"\\u0061":2}', 'duplicate-key', 7],
    ['a key twice, escaped in two cases', '{"\\u00E9":1,"\\u00e9":2}', 'duplicate-key', 12],
    ['a key twice, once with a pointless escape', '{"a/b":1,"a\\/b":2}', 'duplicate-key', 9],
    [
      'a character beyond the first plane twice, once as two escapes',
      '{"😀":1,"\\ud83d\\ude00":2}',
      'duplicate-key',
      10,
    ],
    ['a lone surrogate twice', '{"\\ud83d":1,"\\uD83D":2}', 'duplicate-key', 12],
    ['the empty key twice', '{"":1,"":2}', 'duplicate-key', 6],
    ['__proto__ twice', '{"__proto__":1,"__proto__":2}', 'duplicate-key', 15],
  ]
  test.for(refused)('refuses %s', ([, document, flaw, offset]) => {
    expect(refusal(() => members(bytesOf(document), BOUNDS))).toEqual({ flaw, offset })
  })

  test('says where malformed UTF-8 lies behind any amount of text, however its blocks fall', () => {
    for (const character of ['a', '\x7f', '\u0080', 'é', '\u0800', '€', '\uffff', '\u{10000}', '\u{10ffff}']) {
      for (const shift of [0, 1, 2, 3]) {
        for (const count of [1_000, 1_365, 4_096, 4_097, 10_000]) {
          const sound = Buffer.from(`{"${'k'.repeat(shift)}":"${character.repeat(count)}`)
          const document = Buffer.concat([sound, Buffer.from([0xc0, 0x22, 0x7d])])
          expect(refusal(() => members(document, BOUNDS))).toEqual({ flaw: 'not-utf8', offset: sound.length })
        }
      }
    }
  })

  test('refuses a document one byte over the bound, and takes one that meets it', () => {
    const document = Buffer.from('{"a":1}')
    expect(members(document, { maxBytes: 7, maxDepth: 1 })).toHaveLength(1)
    expect(refusal(() => members(document, { maxBytes: 6, maxDepth: 1 }))).toEqual({ flaw: 'too-large', offset: 6 })
  })

  test('refuses what is too large before it reads any of it', () => {
    const document = Buffer.alloc(100, 0xff)
    expect(refusal(() => members(document, { maxBytes: 10, maxDepth: 1 }))).toEqual({ flaw: 'too-large', offset: 10 })
  })

  test('counts the object itself as depth 1, and arrays like objects', () => {
    const depthOf = (document: string) =>
      [0, 1, 2, 3, 4].find((maxDepth) => {
        const outcome = refusal(() => members(Buffer.from(document), { maxBytes: 100, maxDepth }))
        expect(outcome?.flaw ?? 'too-deep').toBe('too-deep')
        return outcome === undefined
      })
    expect(depthOf('{}')).toBe(1)
    expect(depthOf('{"a":1}')).toBe(1)
    expect(depthOf('{"a":[]}')).toBe(2)
    expect(depthOf('{"a":{}}')).toBe(2)
    expect(depthOf('{"a":[{"b":1}]}')).toBe(3)
    expect(depthOf('{"a":[{"b":[]}]}')).toBe(4)
    expect(depthOf('{"a":[[],[],{}],"b":[[]]}')).toBe(3)
  })

  test('names the bracket that goes too deep', () => {
    const document = Buffer.from('{"a":[1,[2]]}')
    expect(refusal(() => members(document, { maxBytes: 100, maxDepth: 2 }))).toEqual({ flaw: 'too-deep', offset: 8 })
  })

  test('refuses 10,000 levels without reading on to their end', () => {
    const document = Buffer.from(`{"a":${'['.repeat(10_000)}`)
    expect(refusal(() => members(document, BOUNDS))).toEqual({ flaw: 'too-deep', offset: 5 + 63 })
  })

  test('holds 350,000 levels without overflowing the call stack, when told to', () => {
    const document = Buffer.from(`{"a":${'['.repeat(349_999)}${']'.repeat(349_999)}}`)
    const [member] = members(document, { maxBytes: 768 * 1024, maxDepth: 350_000 })
    expect(member).toMatchObject({ key: 'a', valueStart: 5, valueEnd: document.length - 1 })
  })

  test('refuses nested garbage in a value that nobody asked for', () => {
    const document = Buffer.from('{"granted":"x","other":{"deep":[tru]}}')
    expect(refusal(() => pick(document, new Set(['granted']), BOUNDS))).toEqual({ flaw: 'syntax', offset: 35 })
  })

  test('finds each member in order, with the offsets of its key and its value', () => {
    const document = Buffer.from(' {\n"b" : "1" ,\t"a":[1, {"c":2}]\r\n, "é": -0.0 } ')
    expect(members(document, BOUNDS)).toEqual([
      { key: 'b', keyStart: 3, keyEnd: 6, valueStart: 9, valueEnd: 12 },
      { key: 'a', keyStart: 15, keyEnd: 18, valueStart: 19, valueEnd: 31 },
      { key: 'é', keyStart: 35, keyEnd: 39, valueStart: 41, valueEnd: 45 },
    ])
  })

  test.for([
    ['an empty string', '""'],
    ['every escape', '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uABCD\\ud83d"'],
    ['a backslash before the closing quote', '"\\\\"'],
    ['brackets and quotes in a string', '"}],{[\\":\\""'],
    ['DEL and the characters that only JavaScript minds', '"\x7f\u2028\u2029"'],
    ['characters of every length', '"aé€😀\u{10ffff}"'],
    ['noncharacters and a byte order mark in a string', '"\uffff\ufffe\ufeff"'],
    ['zero', '0'],
    ['minus zero', '-0'],
    ['a number of many digits', '12345678901234567890.12345678901234567890e-400'],
    ['a number too large for a double', '1e999'],
    ['exponents of every spelling', '[1e1,1E1,1e+1,1E-1,0e0,1.0e00]'],
    ['true', 'true'],
    ['false', 'false'],
    ['null', 'null'],
    ['an empty object', '{}'],
    ['an empty array', '[ ]'],
    ['nested objects with a key twice', '{"b":1,"b":2,"c":[{"d":1,"d":1}]}'],
    ['nested arrays', '[[],[[]],[[[1],2],3],{}]'],
    ['white space between everything', '{ \n\r\t"b" : [ 1 , 2 ] , "c" : { } }'],
  ] as const)('passes %s byte for byte', ([, value]) => {
    const document = Buffer.from(`{"a":${value},"z":0}`)
    const [member] = members(document, BOUNDS)
    expect(document.toString('utf8', member?.valueStart, member?.valueEnd)).toBe(value)
  })

  test.for([
    ['__proto__', '"__proto__"', '__proto__'],
    ['constructor', '"constructor"', 'constructor'],
    ['toString', '"toString"', 'toString'],
    ['the empty string', '""', ''],
    ['an index', '"0"', '0'],
    ['white space', '" "', ' '],
    ['every short escape', '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\/\b\f\n\r\t'],
    ['escaped ASCII', '"\\u0061\\u0062c"', 'abc'],
    ['an escaped NUL', '"\\u0000"', '\0'],
    ['hexadecimal of both cases', '"\\uABCD\\uabcd"', '\uabcd\uabcd'],
    ['an escaped backslash before a u', '"\\\\u0061"', '\\u0061'],
    ['two escaped characters with text around them', '"é\\nß\\u20ac😀"', 'é\nß€😀'],
    ['a pair of escaped surrogates', '"\\ud83d\\ude00"', '😀'],
    ['a lone high surrogate', '"\\ud83d"', '\ud83d'],
    ['a lone low surrogate', '"\\ude00"', '\ude00'],
    ['surrogates in the wrong order', '"\\ude00\\ud83d"', '\ude00\ud83d'],
    ['a byte order mark', '"\ufeffa"', '\ufeffa'],
    ['a replacement character, as such', '"\ufffd"', '\ufffd'],
  ] as const)('takes %s for an ordinary key', ([, written, key]) => {
    const document = Buffer.from(`{${written}:1}`)
    expect(members(document, BOUNDS)).toEqual([
      { key, keyStart: 1, keyEnd: document.length - 3, valueStart: document.length - 2, valueEnd: document.length - 1 },
    ])
  })

  test('keeps apart keys that only look alike', () => {
    const lookalikes = ['é', 'e\u0301', 'a', 'A', 'ａ', ' a', '\\ud83d', '\\ude00', '\ufffd', 'a\u200b', '__proto__']
    const document = Buffer.from(`{${lookalikes.map((key) => `"${key}":1`).join(',')}}`)
    expect(members(document, BOUNDS)).toHaveLength(lookalikes.length)
  })

  test('finds nothing in an empty object', () => {
    expect(members(Buffer.from('{ }'), BOUNDS)).toEqual([])
  })

  test('reads nothing outside the span it is given', () => {
    const document = Buffer.from('\xff"{"a":{"a":1}}]', 'latin1')
    const span = { start: 2, end: 15 }
    const expected = [{ key: 'a', keyStart: 3, keyEnd: 6, valueStart: 7, valueEnd: 14 }]
    expect(members(document, { maxBytes: 13, maxDepth: 2 }, span)).toEqual(expected)
    expect(refusal(() => members(document, { maxBytes: 12, maxDepth: 2 }, span))).toEqual({
      flaw: 'too-large',
      offset: 14,
    })
    expect(refusal(() => members(document, BOUNDS, { start: 2, end: 14 }))).toEqual({ flaw: 'truncated', offset: 14 })
    expect(refusal(() => members(document, BOUNDS, { start: 2, end: 16 }))).toEqual({ flaw: 'syntax', offset: 15 })
    expect(refusal(() => members(document, BOUNDS, { start: 4, end: 4 }))).toEqual({ flaw: 'empty', offset: 4 })
    expect(refusal(() => members(document, BOUNDS, { start: 0, end: 15 }))).toEqual({ flaw: 'not-utf8', offset: 0 })
  })

  test('leaves the bytes as they were', () => {
    const document = Buffer.from('{"\\u0061":"\\u0062","c":[1]}')
    const before = Buffer.from(document)
    members(document, BOUNDS)
    expect(document.equals(before)).toBe(true)
  })

  test('makes strings of key names and of nothing else', () => {
    const made: string[] = []
    const decode = Buffer.prototype.toString
    using _spy = vi.spyOn(Buffer.prototype, 'toString').mockImplementation(function (this: Buffer, ...range) {
      const text = decode.apply(this, range)
      made.push(text)
      return text
    })
    const document = Buffer.from('{"k\\u0031":"value","k\\n2":{"inner":["value"]},"k3":123}')
    expect(members(document, BOUNDS)).toHaveLength(3)
    expect(made).toEqual(['k', 'u', '0031', '', 'k', 'n', '2', 'k3'])
  })

  test('has neither JSON.parse nor a decoder to make strings with', () => {
    const source = readFileSync(new URL('../src/dictionary.ts', import.meta.url), 'utf8')
    expect(source).not.toMatch(/JSON\s*\.|TextDecoder|StringDecoder|utf8Slice|latin1Slice|fromCodePoint/)
    expect(source.match(/\.toString\(/g)).toHaveLength(4)
    expect(source.match(/fromCharCode/g)).toHaveLength(1)
  })
})

describe('DictionaryError', () => {
  test('quotes no byte of the document, whichever way it is printed', () => {
    const canary = 'hunter2canary'
    const documents = [
      `{"a":"${canary}`,
      `{"a":"${canary}\n"}`,
      `{"a":"${canary}\\q"}`,
      `{"a":${canary}}`,
      `{"${canary}":1,"${canary}":2}`,
      `["${canary}"]`,
      `{"a":"${canary}"} ${canary}`,
      `\ufeff{"a":"${canary}"}`,
      `{"${canary}":NaN}`,
    ]
    for (const document of [...documents.map(bytesOf), Buffer.from(`{"a":"${canary}\xff"}`, 'latin1')]) {
      const error = thrownBy(() => members(document, BOUNDS))
      const printed = [String(error), JSON.stringify(error), inspect(error, { depth: 10, showHidden: true })].join()
      expect(printed).not.toContain(canary)
      expect(printed).not.toContain('hunter')
    }
  })

  test('says flaw and offset', () => {
    expect(thrownBy(() => members(Buffer.from('{"a":01}'), BOUNDS)).message).toBe('syntax at byte 6')
  })

  test('has no cause', () => {
    expect(thrownBy(() => members(Buffer.from('{'), BOUNDS)).cause).toBeUndefined()
  })
})

describe('pick', () => {
  const document = Buffer.from('{"a":1,"b":"two","__proto__":{"c":3},"c":4}')

  test('refuses a document with a duplicate of a granted key', () => {
    const twice = Buffer.from('{"a":1,"b":2,"\\u0061":3}')
    expect(refusal(() => pick(twice, new Set(['a']), BOUNDS))).toEqual({ flaw: 'duplicate-key', offset: 13 })
  })

  test('refuses a document with a duplicate of a key that is not granted', () => {
    const twice = Buffer.from('{"a":1,"b":2,"b":3}')
    expect(refusal(() => pick(twice, new Set(['a']), BOUNDS))).toEqual({ flaw: 'duplicate-key', offset: 13 })
  })

  test('refuses a broken document also where nothing is granted', () => {
    expect(refusal(() => pick(Buffer.from('{"a":1'), new Set(), BOUNDS))).toEqual({ flaw: 'truncated', offset: 6 })
    expect(refusal(() => pick(Buffer.from('{"a":1'), 'all', BOUNDS))).toEqual({ flaw: 'truncated', offset: 6 })
  })

  test('gives nothing to an empty grant', () => {
    expect(pick(document, new Set(), BOUNDS)).toEqual({ picked: [], missing: [] })
  })

  test('gives no nested key under the name of an outer one', () => {
    const nested = Buffer.from('{"a":{"b":1},"d":["b"],"e":"b"}')
    expect(pick(nested, new Set(['b']), BOUNDS)).toEqual({ picked: [], missing: ['b'] })
  })

  test('gives no key for its prefix, its case, or its spelling with spaces', () => {
    const near = Buffer.from('{"PGHOS":1,"PGHOSTS":2,"pghost":3," PGHOST":4,"PGHOST ":5,"PGHOST\\u0000":6}')
    expect(pick(near, new Set(['PGHOST']), BOUNDS)).toEqual({ picked: [], missing: ['PGHOST'] })
  })

  test('takes no inherited name for a key that is there', () => {
    const names = ['constructor', 'toString', '__proto__', 'hasOwnProperty']
    expect(pick(Buffer.from('{}'), new Set(names), BOUNDS)).toEqual({ picked: [], missing: names })
  })

  test('does not take a grant of the word all for a grant of all', () => {
    expect(pick(document, new Set(['all']), BOUNDS)).toEqual({ picked: [], missing: ['all'] })
  })

  test("gives the granted members in the document's order and the missing keys in the grant's", () => {
    const { picked, missing } = pick(document, new Set(['z', 'c', '__proto__', 'a', 'y']), BOUNDS)
    expect(
      picked.map(({ key, valueStart, valueEnd }) => [key, document.toString('utf8', valueStart, valueEnd)]),
    ).toEqual([
      ['a', '1'],
      ['__proto__', '{"c":3}'],
      ['c', '4'],
    ])
    expect(missing).toEqual(['z', 'y'])
  })

  test('gives every member to a grant of all, and misses none', () => {
    expect(pick(document, 'all', BOUNDS)).toEqual({ picked: members(document, BOUNDS), missing: [] })
  })
})

describe('find', () => {
  const answer = Buffer.from('{"data":{"plaintext":"c2VjcmV0","__proto__":{"x":1}},"plaintext":"other","list":["a"]}')

  test('finds a value by the keys that lead to it', () => {
    expect(textAt(answer, find(answer, ['data', 'plaintext'], BOUNDS))).toBe('"c2VjcmV0"')
    expect(textAt(answer, find(answer, ['plaintext'], BOUNDS))).toBe('"other"')
    expect(textAt(answer, find(answer, ['data', '__proto__', 'x'], BOUNDS))).toBe('1')
  })

  test.for([
    ['a key that is not there', ['nothing']],
    ['a key that is not there further in', ['data', 'nothing']],
    ['a key below one that is not there', ['nothing', 'plaintext']],
    ['a key inside a string', ['plaintext', 'length']],
    ['a key inside an array', ['list', '0']],
    ['a key that every JavaScript object inherits', ['data', 'constructor']],
  ] as const)('finds nothing at %s', ([, path]) => {
    const [first, ...rest] = path
    expect(find(answer, [first, ...rest], BOUNDS)).toBeUndefined()
  })

  test('refuses an answer that is not an object', () => {
    expect(refusal(() => find(Buffer.from('["data"]'), ['data'], BOUNDS))).toEqual({ flaw: 'not-an-object', offset: 0 })
  })

  test('refuses an answer that is broken after what is looked for', () => {
    expect(refusal(() => find(Buffer.from('{"data":1,"b":}'), ['data'], BOUNDS))).toEqual({
      flaw: 'syntax',
      offset: 14,
    })
  })

  test('refuses an answer that is HTML', () => {
    expect(refusal(() => find(Buffer.from('<html>'), ['data'], BOUNDS))).toEqual({ flaw: 'syntax', offset: 0 })
  })

  test('refuses an object on the path that names a key twice', () => {
    const twice = Buffer.from('{"data":{"plaintext":"QQ==","plaintext":"Qg=="}}')
    expect(refusal(() => find(twice, ['data', 'plaintext'], BOUNDS))).toEqual({ flaw: 'duplicate-key', offset: 28 })
  })

  test('looks inside an element that was found before', () => {
    const batch = Buffer.from('{"data":{"batch_results":[{"plaintext":"QQ=="},{"error":"x"},{"plaintext":"Qg=="}]}}')
    const results = find(batch, ['data', 'batch_results'], BOUNDS)
    const found = elements(batch, BOUNDS, results).map((element) =>
      textAt(batch, find(batch, ['plaintext'], BOUNDS, element)),
    )
    expect(found).toEqual(['"QQ=="', undefined, '"Qg=="'])
  })
})

describe('elements', () => {
  const list = (document: string) => {
    const bytes = Buffer.from(document)
    return elements(bytes, BOUNDS).map((element) => textAt(bytes, element))
  }

  test('finds each element in order', () => {
    expect(list(' [ 1 , "two,]" ,[3,[4]],{"a":[5],"a":6}, null ] ')).toEqual([
      '1',
      '"two,]"',
      '[3,[4]]',
      '{"a":[5],"a":6}',
      'null',
    ])
    expect(list('[]')).toEqual([])
    expect(list('[[]]')).toEqual(['[]'])
  })

  test.for([
    ['an object', '{"a":[1]}', 'not-an-array', 0],
    ['a string', ' "[]"', 'not-an-array', 1],
    ['a comma after the last element', '[1,]', 'syntax', 3],
    ['a key', '["a":1]', 'syntax', 4],
    ['a cut array', '[1,2', 'truncated', 4],
    ['an array with more behind it', '[1]]', 'syntax', 3],
    ['nothing', '', 'empty', 0],
  ] as const)('refuses %s', ([, document, flaw, offset]) => {
    expect(refusal(() => list(document))).toEqual({ flaw, offset })
  })
})

describe('insideQuotes', () => {
  test('gives what lies between the quotes, escapes as they stand', () => {
    const bytes = Buffer.from('{"a":"b\\/c","d":""}')
    const inside = (key: string) => {
      const value = find(bytes, [key], BOUNDS)
      return value && textAt(bytes, insideQuotes(bytes, value))
    }
    expect(inside('a')).toBe('b\\/c')
    expect(inside('d')).toBe('')
  })

  test.for(['1234', 'null', '["x"]', '{"x":"y"}'])('gives nothing for %s', (value) => {
    expect(insideQuotes(Buffer.from(value), { start: 0, end: value.length })).toBeUndefined()
  })
})

/** `{"a":"…"}` around bytes that no string could hold. */
function quoting(...content: readonly number[]): Buffer {
  return Buffer.concat([Buffer.from('{"a":"'), Buffer.from(content), Buffer.from('"}')])
}

function bytesOf(document: string | Buffer): Buffer {
  return typeof document === 'string' ? Buffer.from(document) : document
}

function textAt(bytes: Buffer, span: Span | undefined): string | undefined {
  return span && bytes.toString('utf8', span.start, span.end)
}

function refusal(act: () => unknown): { flaw: Flaw; offset: number } | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    if (!(error instanceof DictionaryError)) throw error
    return { flaw: error.flaw, offset: error.offset }
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

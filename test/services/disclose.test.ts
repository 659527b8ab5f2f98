import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { KeyholeError } from '../../src/errors.ts'
import type { Grant } from '../../src/services/authorize.ts'
import { discloser } from '../../src/services/disclose.ts'
import { BOUNDS, filesGrantOf, grantOf, openedOf } from './permits.ts'

const CANARY = 'c4n4ry'
const disclose = discloser(BOUNDS)

/** What a dictionary of this text discloses under this grant. */
function disclosed(text: string | Buffer, changes: Partial<Grant> = {}) {
  return disclose(openedOf(grantOf(changes), { 'secrets.json': text }))
}

function bodyOf(text: string | Buffer, changes: Partial<Grant> = {}): string {
  using reply = disclosed(text, changes)
  return reply.body.toString()
}

describe('disclose: a dictionary', () => {
  test.each([
    ['nothing', '', 'empty'],
    ['an array', '[1]', 'not-an-object'],
    ['a string', '"x"', 'not-an-object'],
    ['half an object', '{"a":"c4n4ry', 'truncated'],
    ['a granted key twice', '{"a":"c4n4ry","a":"c4n4ry"}', 'duplicate-key'],
    ['an ungranted key twice, which another reader may take for granted', '{"b":1,"b":"c4n4ry"}', 'duplicate-key'],
    ['a key twice, once with an escape', '{"a":1,"\\u0061":"c4n4ry"}', 'duplicate-key'],
    ['NaN', '{"a":NaN}', 'not-a-number'],
    ['a comment', '{"a":1}//', 'syntax'],
    ['nesting without end', `{"a":${'['.repeat(10_000)}`, 'too-deep'],
    ['more than the bound', `{"a":"${'x'.repeat(BOUNDS.maxBytes)}"}`, 'too-large'],
    ['what is not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'not-utf8'],
  ])('refuses %s, without a word of it', (_, text, flaw) => {
    try {
      disclosed(text, { keys: new Set(['a']) })
    } catch (error) {
      expect(error).toMatchObject({ code: 'CONTENT_INVALID', why: `dictionary-${flaw}` })
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(CANARY)
      return
    }
    throw new Error('nothing was refused')
  })

  test('refuses to disclose more members than one reply may hold', () => {
    const many = (count: number) => `{${Array.from({ length: count }, (_, index) => `"k${index}":0`).join(',')}}`
    expect(disclosed(many(10_000), { keys: 'all' }).keys).toHaveLength(10_000)
    expect(() => disclosed(many(10_001), { keys: 'all' })).toThrow(
      expect.objectContaining({ code: 'CONTENT_INVALID', why: 'too-many-members' }),
    )
  })

  test('refuses a key that was asked for and is not there', () => {
    expect(() => disclosed('{"a":1}', { selection: ['a', 'b'] })).toThrow(
      expect.objectContaining({ code: 'KEY_MISSING', why: 'not-in-dictionary' }),
    )
  })

  test.each([
    ['no plaintext', {}],
    ['two plaintexts', { a: '{}', b: '{}' }],
  ])('takes %s for a defect', (_, plaintexts) => {
    expect(() => disclose(openedOf(grantOf(), plaintexts))).toThrow('exactly one plaintext')
  })

  test('hands on a defect as it is', () => {
    const broken = openedOf(grantOf(), { a: '{}' })
    const defect = { ...broken, sealed: broken.sealed, parts: [{ dataKey: 'a', bytes: undefined }] } as never
    expect(() => disclose(defect)).toThrow(TypeError)
  })

  test('holds the granted keys and no other', () => {
    expect(bodyOf('{"a":1,"b":2,"c":3}', { keys: new Set(['a', 'c']) })).toBe(
      '{"name":"db","data":{"a":1,"c":3},"missing":[]}',
    )
  })

  test('holds no key of an object inside', () => {
    expect(bodyOf('{"x":{"a":1},"a":2}', { keys: new Set(['a']) })).toBe('{"name":"db","data":{"a":2},"missing":[]}')
  })

  test('holds of the granted keys those that were asked for', () => {
    expect(bodyOf('{"a":1,"b":2}', { keys: new Set(['a', 'b']), selection: ['b'] })).toBe(
      '{"name":"db","data":{"b":2},"missing":[]}',
    )
  })

  test('holds nothing where nothing that is granted is there, and says so', () => {
    using reply = disclosed('{"a":1}', { keys: new Set(['z', 'b']) })
    expect(reply.body.toString()).toBe('{"name":"db","data":{},"missing":["b","z"]}')
    expect(reply).toMatchObject({ keys: [], missing: ['b', 'z'] })
  })

  test('holds every key where all are granted', () => {
    expect(bodyOf(' { "a" : 1 , "b":2}\n')).toBe('{"name":"db","data":{"a":1,"b":2},"missing":[]}')
  })

  test('leaves values and keys as they are stored, byte for byte', () => {
    const members = [
      '"big":12345678901234567890',
      '"one":1.0',
      '"s":"\\u00e9\\/"',
      '"\\u006b":[ 1,{"a" : null} ]',
      '"é":"𝄞"',
    ]
    expect(bodyOf(`{${members.join(',')}}`)).toBe(`{"name":"db","data":{${members.join(',')}},"missing":[]}`)
  })

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('takes %s for a key like any other', (key) => {
    const keys = new Set([key])
    const present = JSON.parse(bodyOf(`{"${key}":{"admin":true},"b":1}`, { keys })) as {
      data: object
      missing: string[]
    }
    expect(Object.entries(present.data)).toEqual([[key, { admin: true }]])
    expect(bodyOf('{"b":1}', { keys })).toBe(`{"name":"db","data":{},"missing":["${key}"]}`)
    expect(bodyOf(`{"${key}":1}`, { keys: new Set(['b']) })).toBe('{"name":"db","data":{},"missing":["b"]}')
  })

  test('escapes what needs it in the names of missing keys', () => {
    const names = ['"', '\\', '\u0000', '\n', '\u2028', '\ud800', '},"data":{']
    const body = bodyOf('{}', { keys: new Set(names) })
    expect((JSON.parse(body) as { missing: string[] }).missing.sort()).toEqual([...names].sort())
  })

  test('tells what is in it, for the record and the reply', () => {
    using reply = disclosed('{"a":1,"b":2}', { keys: new Set(['b', 'z']) })
    expect(reply).toMatchObject({
      keys: ['b'],
      missing: ['z'],
      contentType: 'application/json; charset=utf-8',
      etag: '"e-1"',
      keyVersions: [1],
    })
  })

  test('holds exactly what is granted, there, and asked for, and is JSON', () => {
    const key = fc.oneof(
      fc.constantFrom('a', 'b', '__proto__', '"', '\\', 'é', '\ud834\udd1e', '\ud800', '', 'constructor', '{', '\n'),
      fc.string({ maxLength: 3 }),
    )
    const space = fc.constantFrom('', ' ', '\n\t')
    const content = fc.dictionary(key, fc.tuple(fc.jsonValue({ maxDepth: 2 }), space), { maxKeys: 8 })
    const grant = fc.record({
      keys: fc.oneof(
        fc.constant('all' as const),
        fc.uniqueArray(key, { maxLength: 5 }).map((keys) => new Set(keys)),
      ),
      selecting: fc.option(fc.array(fc.nat(7), { maxLength: 3 }), { nil: undefined }),
    })
    fc.assert(
      fc.property(content, grant, (content, { keys, selecting }) => {
        const entries = Object.entries(content)
        const stored = (value: unknown, gap: string) => `${gap}${JSON.stringify(value)}${gap}`
        const text = `{${entries.map(([name, [value, gap]]) => `${JSON.stringify(name)}:${stored(value, gap)}`).join(',')}}`
        const here = entries.map(([name]) => name).filter((name) => keys === 'all' || keys.has(name))
        const selection = selecting && [...new Set(selecting.flatMap((at) => here[at] ?? []))].sort()
        const expected = entries.filter(([name]) => (selection ?? here).includes(name))
        using reply = disclosed(text, { keys, selection })
        const body = reply.body.toString()
        const parsed = JSON.parse(body) as { data: object; missing: string[] }
        expect(Object.keys(parsed)).toEqual(['name', 'data', 'missing'])
        expect(
          Object.entries(parsed.data)
            .map(([name]) => name)
            .sort(),
        ).toEqual(expected.map(([name]) => name).sort())
        expect(reply.keys).toEqual(expected.map(([name]) => name))
        for (const [name, [value]] of expected) {
          expect(body).toContain(`${JSON.stringify(name)}:${JSON.stringify(value)}`)
        }
        const wanted = selection ?? (keys === 'all' ? [] : [...keys])
        expect(parsed.missing).toEqual(wanted.filter((name) => !here.includes(name)).sort())
        expect(reply.missing).toEqual(parsed.missing)
      }),
      { seed: 3, numRuns: 300 },
    )
  })
})

describe('disclose: files', () => {
  test('refuses to be one file as it is made of two', () => {
    expect(() => disclose(openedOf(filesGrantOf({ raw: true }), { a: '1', b: '2' }))).toThrow('exactly one plaintext')
  })

  test('is base64 in JSON, with what is missing', () => {
    const content = Buffer.from([0, 255, 254, 10])
    const opened = openedOf(
      filesGrantOf({ name: 'tls.web' }),
      { 'tls.crt': content, 'tls.key': '' },
      { missing: ['ca.crt'] },
    )
    using reply = disclose(opened)
    expect(JSON.parse(reply.body.toString())).toEqual({
      name: 'tls.web',
      encoding: 'base64',
      data: { 'tls.crt': content.toString('base64'), 'tls.key': '' },
      missing: ['ca.crt'],
    })
    expect(reply).toMatchObject({ keys: ['tls.crt', 'tls.key'], missing: ['ca.crt'] })
  })

  test('of which none is there is an empty object', () => {
    using reply = disclose(openedOf(filesGrantOf(), {}, { missing: ['a'] }))
    expect(reply.body.toString()).toBe('{"name":"db","encoding":"base64","data":{},"missing":["a"]}')
  })

  test('is the bytes themselves where those were asked for', () => {
    const content = Buffer.from([0, 255, 254, 10])
    using reply = disclose(openedOf(filesGrantOf({ raw: true, selection: ['a'] }), { a: content }))
    expect(reply.body).toEqual(content)
    expect(reply).toMatchObject({ contentType: 'application/octet-stream', keys: ['a'] })
  })

  test('is not held to the bounds of a dictionary', () => {
    const content = Buffer.alloc(BOUNDS.maxBytes + 1, 7)
    using reply = disclose(openedOf(filesGrantOf({ raw: true, selection: ['a'] }), { a: content }))
    expect(reply.body.equals(content)).toBe(true)
  })

  test('names each version once', () => {
    const opened = openedOf(filesGrantOf(), { a: '1', b: '2' })
    expect(disclose(opened).keyVersions).toEqual([1])
  })
})

describe('disclose: what becomes of plaintext', () => {
  test('the body is wiped on disposal, and what it was made from is left to its owner', () => {
    const opened = openedOf(grantOf(), { 'secrets.json': `{"a":"${CANARY}"}` })
    const reply = disclose(opened)
    opened[Symbol.dispose]()
    expect(reply.body.toString()).toContain(CANARY)
    reply[Symbol.dispose]()
    expect(reply.body.equals(Buffer.alloc(reply.body.length))).toBe(true)
  })

  test('the body shares its memory with no other buffer', () => {
    for (const opened of [
      openedOf(grantOf(), { 'secrets.json': '{"a":1}' }),
      openedOf(filesGrantOf(), { a: '1' }),
      openedOf(filesGrantOf({ raw: true }), { a: '1' }),
    ]) {
      const { body } = disclose(opened)
      expect(body.buffer.byteLength).toBe(Math.max(65, body.length))
    }
  })

  test('the reply prints as a label to whatever prints', () => {
    const reply = disclosed(`{"a":"${CANARY}"}`)
    const shown = [`${reply}`, JSON.stringify({ reply }), inspect({ reply }, { depth: 9 })]
    expect(shown).toEqual(['[disclosed]', '{"reply":"[disclosed]"}', '{ reply: [disclosed] }'])
    expect(reply).toMatchInlineSnapshot(`"[disclosed]"`)
    expect(Object.keys(reply)).not.toContain('body')
  })

  test('a refusal leaves the plaintext to its owner, who wipes it', () => {
    const opened = openedOf(grantOf(), { 'secrets.json': `{"a":"${CANARY}"` })
    function story(): void {
      using held = opened
      disclose(held)
    }
    expect(story).toThrow(KeyholeError)
    for (const { bytes } of opened.parts) expect(bytes.equals(Buffer.alloc(bytes.length))).toBe(true)
  })
})

import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { KeyholeError } from '../../src/errors.ts'
import { scanned } from '../../src/http/tripwire.ts'
import type { Grant } from '../../src/services/authorize.ts'
import type { Disclosed } from '../../src/services/disclose.ts'
import { discloser } from '../../src/services/disclose.ts'
import { BOUNDS, filesGrantOf, grantOf, openedOf } from '../services/permits.ts'

const CANARY = 'c4n4ry'

/** A reply with this body, whoever made it and however. */
function reply(body: string, keys: readonly string[], grant: Partial<Grant> = {}): Disclosed {
  const buffer = Buffer.from(body)
  const disclosed: Partial<Disclosed> = {
    grant: grantOf({ keys: new Set(['a', 'b']), ...grant }),
    keys,
    missing: [],
    body: buffer,
    contentType: 'application/json; charset=utf-8',
    etag: '"e"',
    keyVersions: [1],
    [Symbol.dispose]: () => void buffer.fill(0),
  }
  return disclosed as Disclosed
}

function trips(disclosed: Disclosed): void {
  try {
    scanned(disclosed, BOUNDS)
  } catch (error) {
    if (!(error instanceof KeyholeError)) throw error
    expect(error).toMatchObject({ code: 'INTERNAL', why: 'tripwire', cause: undefined })
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(CANARY)
    expect(disclosed.body.equals(Buffer.alloc(disclosed.body.length))).toBe(true)
    return
  }
  throw new Error('nothing tripped')
}

describe('scanned', () => {
  test.each([
    ['a key outside the grant', '{"name":"db","data":{"a":1,"c":"c4n4ry"},"missing":[]}', ['a', 'c'], {}],
    ['a key outside the grant in escapes', '{"name":"db","data":{"\\u0063":"c4n4ry"},"missing":[]}', ['c'], {}],
    ['a granted key that was not asked for', '{"name":"db","data":{"b":1},"missing":[]}', ['b'], { selection: ['a'] }],
    ['any key where none was asked for', '{"name":"db","data":{"a":1},"missing":[]}', ['a'], { selection: [] }],
    ['a key that the record will not tell of', '{"name":"db","data":{"a":1,"b":2},"missing":[]}', ['a'], {}],
    ['another key than the record will tell of', '{"name":"db","data":{"a":1},"missing":[]}', ['b'], {}],
    ['fewer keys than the record will tell of', '{"name":"db","data":{"a":1},"missing":[]}', ['a', 'b'], {}],
    ['a key twice', '{"name":"db","data":{"a":1,"a":"c4n4ry"},"missing":[]}', ['a', 'a'], {}],
    ['two objects of data', '{"name":"db","data":{"a":1},"data":{"c":"c4n4ry"}}', ['a'], {}],
    ['a member that no reply has', '{"name":"db","data":{"a":1},"missing":[],"c":"c4n4ry"}', ['a'], {}],
    ['the prototype', '{"name":"db","data":{"__proto__":"c4n4ry"},"missing":[]}', ['__proto__'], {}],
    ['no data', '{"name":"db","missing":[]}', [], {}],
    ['data that is no object', '{"name":"db","data":["c4n4ry"],"missing":[]}', [], {}],
    ['half a body', '{"name":"db","data":{"a":"c4n4ry', ['a'], {}],
    ['two bodies', '{"data":{"a":1}}{"data":{"c":"c4n4ry"}}', ['a'], {}],
    ['no body', '', [], {}],
    ['more than the bound', `{"data":{"a":"${'x'.repeat(BOUNDS.maxBytes)}"}}`, ['a'], {}],
    ['bytes that are of no key', CANARY, [], { raw: true }],
    ['bytes that are of two keys', CANARY, ['a', 'b'], { raw: true }],
    ['bytes of a key outside the grant', CANARY, ['c'], { raw: true }],
    ['bytes of a key that was not asked for', CANARY, ['b'], { raw: true, selection: ['a'] }],
  ] as [string, string, string[], Partial<Grant>][])('stops %s, and wipes it', (_, body, keys, grant) => {
    trips(reply(body, keys, grant))
  })

  test.each([
    ['granted keys', '{"name":"db","data":{"a":1,"b":[2]},"missing":[]}', ['a', 'b'], {}],
    ['any key where all are granted', '{"name":"db","data":{"z":1},"missing":[]}', ['z'], { keys: 'all' }],
    ['keys asked for', '{"name":"db","data":{"b":1},"missing":[]}', ['b'], { selection: ['b'] }],
    ['no key at all', '{"name":"db","data":{},"missing":["a"]}', [], {}],
    ['bytes of the key asked for', 'bytes', ['a'], { raw: true, selection: ['a'] }],
  ] as [string, string, string[], Partial<Grant>][])('lets %s pass, untouched', (_, body, keys, grant) => {
    const disclosed = reply(body, keys, grant)
    expect(scanned(disclosed, BOUNDS)).toBe(disclosed)
    expect(disclosed.body.toString()).toBe(body)
  })

  test('lets pass what disclose makes', () => {
    const disclose = discloser(BOUNDS)
    for (const opened of [
      openedOf(grantOf(), { 'secrets.json': '{"\\u0061":1,"__proto__":{"b":2}}' }),
      openedOf(filesGrantOf(), { 'tls.crt': 'x', 'tls.key': 'y' }),
      openedOf(filesGrantOf({ raw: true, selection: ['tls.crt'] }), { 'tls.crt': 'x' }),
    ]) {
      const disclosed = disclose(opened)
      expect(scanned(disclosed, BOUNDS)).toBe(disclosed)
    }
  })
})

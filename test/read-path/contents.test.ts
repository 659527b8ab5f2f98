/** What can be in a Secret once it is decrypted, as bytes: nothing but one sound JSON object of distinct keys is picked from. */
import { describe, expect, test } from 'vitest'
import type { Refusal, World } from './world.ts'
import { DICTIONARY, POLICY, startWorld } from './world.ts'

const INVALID: Refusal = { status: 422, code: 'CONTENT_INVALID' }

/** Would be a leak wherever it turned up, quoted by an error of a parser for instance. */
const HIDDEN = 'canary-hidden-3fd09a'

const bytes = (...parts: readonly (string | readonly number[])[]): Buffer =>
  Buffer.concat(parts.map((part) => Buffer.from(part as string)))

test.each<readonly [string, string | Buffer, why: string]>([
  ['an array', `["PGHOST","${HIDDEN}"]`, 'not-an-object'],
  ['an array of objects', `[{"PGHOST":"${HIDDEN}"}]`, 'not-an-object'],
  ['a string', `"${HIDDEN}"`, 'not-an-object'],
  ['a string that holds an object', JSON.stringify(DICTIONARY), 'not-an-object'],
  ['a number', '12345678901234', 'not-an-object'],
  ['null', 'null', 'not-an-object'],
  ['empty', '', 'empty'],
  ['blank', ' \n\t ', 'empty'],
  ['truncated after a key', `{"PGHOST":"${HIDDEN}","PGUSER"`, 'truncated'],
  ['truncated in a value', `{"PGHOST":"${HIDDEN}`, 'truncated'],
  ['truncated before its last brace', `{"PGHOST":"${HIDDEN}"`, 'truncated'],
  ['10,000 levels of arrays deep', `{"PGHOST":${'['.repeat(10_000)}${']'.repeat(10_000)}}`, 'too-deep'],
  ['10,000 levels of objects deep', `{"PGHOST":${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}}`, 'too-deep'],
  ['10,000 levels deep in a key that is not granted', `{"a":${'['.repeat(10_000)}${']'.repeat(10_000)}}`, 'too-deep'],
  ['holding a granted key twice', `{"PGHOST":"${HIDDEN}","PGHOST":"b"}`, 'duplicate-key'],
  ['holding a granted key twice, once in escapes', `{"PGHOST":"a","\\u0050GHOST":"${HIDDEN}"}`, 'duplicate-key'],
  ['holding another key twice', `{"PGHOST":"a","b":"${HIDDEN}","b":1}`, 'duplicate-key'],
  ['holding __proto__ twice', `{"__proto__":"${HIDDEN}","__proto__":1}`, 'duplicate-key'],
  ['not UTF-8', bytes('{"PGHOST":"', [0xc3, 0x28], `${HIDDEN}"}`), 'not-utf8'],
  ['UTF-8 that is longer than it need be', bytes('{"PGHOST":"', [0xc0, 0xaf], '"}'), 'not-utf8'],
  ['a surrogate in UTF-8', bytes('{"PGHOST":"', [0xed, 0xa0, 0x80], '"}'), 'not-utf8'],
  ['not UTF-8 in a key that is not granted', bytes('{"PGHOST":"a","b":"', [0xff], '"}'), 'not-utf8'],
  ['UTF-16', Buffer.from(`{"PGHOST":"${HIDDEN}"}`, 'utf16le'), 'syntax'],
  ['preceded by a byte order mark', `\u{feff}{"PGHOST":"${HIDDEN}"}`, 'byte-order-mark'],
  ['holding NaN, as Python writes it', '{"PGHOST":NaN}', 'not-a-number'],
  ['holding Infinity', '{"PGHOST":-Infinity}', 'not-a-number'],
  ['holding a number with a leading zero', '{"PGHOST":007}', 'syntax'],
  ['in single quotes, as Python prints it', `{'PGHOST': '${HIDDEN}'}`, 'syntax'],
  ['followed by a comma', `{"PGHOST":"${HIDDEN}",}`, 'syntax'],
  ['followed by another object', `{"PGHOST":"${HIDDEN}"}{"PGHOST":"b"}`, 'syntax'],
  ['followed by a NUL', `{"PGHOST":"${HIDDEN}"}\0`, 'syntax'],
  ['commented', `{"PGHOST":"${HIDDEN}"/* the host */}`, 'syntax'],
  ['holding a line end in a string', `{"PGHOST":"${HIDDEN}\n"}`, 'syntax'],
  ['holding an escape that is none', `{"PGHOST":"${HIDDEN}\\x41"}`, 'syntax'],
])('plaintext that is %s is refused whole', async (_title, plaintext, why) => {
  await using world = await startWorld()
  world.secret('a value of a broken dictionary', HIDDEN)
  world.upstream.put('payments-db', 'secrets.json', plaintext)
  world.refused(await world.ask('/secrets/db'), { ...INVALID, why: `dictionary-${why}` })
  world.refused(await world.ask('/secrets/db?key=PGHOST'), { ...INVALID, why: `dictionary-${why}` })
  world.refused(await world.ask('/secrets/db', { as: 'migrator' }), { ...INVALID, by: 'migrator' })
  await world.bystander()
  world.upstream.put('payments-db', 'secrets.json', DICTIONARY)
  world.served(await world.ask('/secrets/db'))
})

/** A dictionary of one key, so long. */
const sized = (length: number): string => `{"PGHOST":"${'a'.repeat(length - '{"PGHOST":""}'.length)}"}`

test('plaintext of the bound is served, and of one byte more is not', async () => {
  await using world = await startWorld({ settings: { KEYHOLE_MAX_DICTIONARY_BYTES: '4096' } })
  world.upstream.put('payments-db', 'secrets.json', sized(4_096))
  expect((await world.ask('/secrets/db?key=PGHOST')).status).toBe(200)
  world.upstream.put('payments-db', 'secrets.json', sized(4_097))
  world.refused(await world.ask('/secrets/db'), { ...INVALID, why: 'dictionary-too-large' })
  await world.bystander()
})

test('the most that a Secret can hold is served', async () => {
  await using world = await startWorld()
  // 1 MiB of data, in it the prefix, and in base64 the nonce, the plaintext and the tag.
  const plaintext = sized(Math.floor((1_048_576 - 'vault:v1:'.length) / 4) * 3 - 28)
  expect(world.upstream.put('payments-db', 'secrets.json', plaintext).length).toBeLessThanOrEqual(1_048_576)
  const { status, body } = await world.ask('/secrets/db?key=PGHOST')
  expect(status).toBe(200)
  expect(body.equals(Buffer.from(`{"name":"db","data":${plaintext},"missing":[]}`))).toBe(true)
})

describe('keys that mean something to JavaScript', () => {
  const NAMES = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length']
  const ODD = `{${NAMES.map((name, at) => `"${name}":"canary-odd-${at}-55e1"`).join()},"PGHOST":"h"}`

  async function startOdd(readers: string): Promise<World> {
    const grant = `apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: db, namespace: payments }
spec:
  secretRef: { name: payments-db, key: secrets.json }
  transitKey: payments
  readers: [${readers}]
`
    const world = await startWorld({ policy: { ...POLICY, 'payments.yaml': grant } })
    world.upstream.put('payments-db', 'secrets.json', ODD)
    return world
  }

  test('are given where they are granted, byte for byte', async () => {
    await using world = await startOdd(`{ serviceAccount: api, keys: [${NAMES.map((name) => `"${name}"`).join()}] }`)
    const reply = await world.ask('/secrets/db')
    expect(reply.text).toBe(`{"name":"db","data":${ODD.replace(',"PGHOST":"h"', '')},"missing":[]}`)
    expect(world.records().at(-1)?.['keys']).toEqual(NAMES)
    const one = await world.ask('/secrets/db?key=__proto__')
    expect(one.text).toBe('{"name":"db","data":{"__proto__":"canary-odd-0-55e1"},"missing":[]}')
  })

  test('are given with all the others to whom all is granted', async () => {
    await using world = await startOdd('{ serviceAccount: api, allKeys: true }')
    expect((await world.ask('/secrets/db')).text).toBe(`{"name":"db","data":${ODD},"missing":[]}`)
  })

  test('are given to nobody to whom they are not granted, and asking for one is refused', async () => {
    await using world = await startOdd('{ serviceAccount: api, keys: [PGHOST] }')
    for (const [at, name] of NAMES.entries()) world.secret(`value of ${name}`, `canary-odd-${at}-55e1`)
    expect((await world.ask('/secrets/db')).text).toBe('{"name":"db","data":{"PGHOST":"h"},"missing":[]}')
    for (const name of NAMES) {
      const reply = await world.ask(`/secrets/db?key=${name}`)
      world.refused(reply, { status: 403, code: 'NOT_GRANTED', why: 'key-not-granted' })
    }
  })

  test('are missing where the Secret has them not, whatever Object.prototype has', async () => {
    await using world = await startOdd(`{ serviceAccount: api, keys: [${NAMES.map((name) => `"${name}"`).join()}] }`)
    world.upstream.put('payments-db', 'secrets.json', '{"PGHOST":"h"}')
    const reply = await world.ask('/secrets/db')
    expect(reply.text).toBe(`{"name":"db","data":{},"missing":${JSON.stringify([...NAMES].sort())}}`)
    world.refused(await world.ask('/secrets/db?key=constructor'), { status: 404, code: 'KEY_MISSING' })
  })

  test('are names of Secrets and grants that do not exist', async () => {
    await using world = await startWorld()
    for (const name of ['constructor', 'valueof', 'constructor.payments']) {
      world.refused(await world.ask(`/secrets/${name}`), { status: 403, code: 'NOT_GRANTED', why: 'no-such-grant' })
    }
  })
})

test('lone surrogates, in values and in keys, pass through as they are written', async () => {
  await using world = await startWorld()
  const odd = '{"PGHOST":"\\ud800","PGUSER":"\\udc00\\ud800","\\ud83d":"\\ud83d\\ude00","x\\u0000y":"\\u0000"}'
  world.upstream.put('payments-db', 'secrets.json', odd)
  const reply = await world.ask('/secrets/db', { as: 'migrator' })
  expect(reply.text).toBe(`{"name":"db","data":${odd},"missing":[]}`)
  expect(world.records().at(-1)?.['keys']).toEqual(['PGHOST', 'PGUSER', '\ud83d', 'x\0y'])
})

test('a value that looks like the end of a reply ends nothing', async () => {
  await using world = await startWorld()
  const value = '"\\"},\\"missing\\":[],\\"MIGRATOR_PASSWORD\\":\\"x\\"}"'
  world.upstream.put('payments-db', 'secrets.json', `{"PGHOST":${value},"MIGRATOR_PASSWORD":"canary-end-of-reply"}`)
  world.secret('a value behind it', 'canary-end-of-reply')
  const reply = await world.ask('/secrets/db?key=PGHOST')
  expect(reply.text).toBe(`{"name":"db","data":{"PGHOST":${value}},"missing":[]}`)
})

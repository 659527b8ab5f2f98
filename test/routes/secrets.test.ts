import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SecretAnswer } from '../../src/contract.ts'
import { SAMPLE_DICTIONARY } from '../../src/testing/sample.ts'
import { ask, problem } from './ask.ts'
import type { World } from './world.ts'
import { forgetCalls, ODD, startWorld, upstreamCalls } from './world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const as = (workload: Parameters<World['tokenOf']>[0]) => world.tokenOf(workload)

async function read(path: string, token = as('api'), headers: Record<string, string> = {}) {
  const answer = await ask(world.url, path, { token, headers })
  return {
    ...answer,
    text: answer.body.toString('utf8'),
    json: () => JSON.parse(answer.body.toString()) as SecretAnswer,
  }
}

describe('what is disclosed', () => {
  it('answers the granted keys of a Secret in the own namespace, and no other', async () => {
    const { status, text } = await read('/secrets/db')
    expect(status).toBe(200)
    expect(text).toBe(
      '{"name":"db","data":{"PGHOST":"db.payments.svc","PGPORT":5432,"PGUSER":"api",' +
        '"PGPASSWORD":"correct horse battery staple","LEDGER_ID":12345678901234567890},"missing":[]}',
    )
  })

  it('answers another subset of the same Secret to a workload of another namespace', async () => {
    const { json } = await read('/secrets/db.payments', as('reports'))
    expect(json()).toEqual({ name: 'db.payments', data: { PGHOST: 'db.payments.svc', PGPORT: 5432 }, missing: [] })
  })

  it('takes the own namespace by its name, too', async () => {
    expect((await read('/secrets/db.payments')).json().name).toBe('db')
  })

  it('answers every key where all are granted', async () => {
    const { json } = await read('/secrets/db', as('migrator'))
    expect(Object.keys(json().data)).toEqual(Object.keys(JSON.parse(SAMPLE_DICTIONARY)))
  })

  it('copies values byte for byte: big numbers, 1.0, escapes, blanks, Unicode', async () => {
    const { body } = await read('/secrets/odd')
    for (const member of ODD.slice(2, -2).split(/ ?,(?=")/)) {
      const [, key, value] = /^("\w+"): ?(.*)$/s.exec(member) ?? []
      if (/^"[ab]"$/.test(key ?? '')) continue
      expect(body.includes(Buffer.from(`${key}:${value}`)), `${key}`).toBe(true)
    }
    expect(body.toString()).toContain('"nested":{"a":1,"b":[ 2 ],"z":{}}')
  })

  it('lists granted keys that the Secret has not', async () => {
    expect((await read('/secrets/sparse')).json()).toEqual({ name: 'sparse', data: { A: 1 }, missing: ['B'] })
  })

  it('narrows to the keys asked for, in the order of the Secret, each once', async () => {
    const { text } = await read('/secrets/db?key=PGUSER&key=PGHOST&key=PGUSER')
    expect(text).toBe('{"name":"db","data":{"PGHOST":"db.payments.svc","PGUSER":"api"},"missing":[]}')
  })

  it('answers 404 for a granted key that is asked for by name and absent', async () => {
    const answer = await read('/secrets/sparse?key=A&key=B')
    expect([answer.status, problem(answer).code]).toEqual([404, 'KEY_MISSING'])
  })

  it('answers 404 for any absent key of a Secret that is granted whole', async () => {
    const answer = await read('/secrets/odd?key=NOT_THERE')
    expect([answer.status, problem(answer).code]).toEqual([404, 'KEY_MISSING'])
  })

  it('answers 404 for a granted Secret that does not exist', async () => {
    const answer = await read('/secrets/gone')
    expect([answer.status, problem(answer).code]).toEqual([404, 'SECRET_MISSING'])
  })
})

describe('files', () => {
  it('answers base64 in JSON', async () => {
    const { json } = await read('/secrets/tls')
    expect(json()).toEqual({
      name: 'tls',
      encoding: 'base64',
      data: {
        'tls.crt': Buffer.from('certificate of payments\n').toString('base64'),
        'tls.key': Buffer.from('private key of payments\n').toString('base64'),
      },
      missing: [],
    })
  })

  it('answers one file as it is to whoever accepts nothing else', async () => {
    const { headers, text } = await read('/secrets/tls?key=tls.crt', as('api'), { Accept: 'application/octet-stream' })
    expect(headers['content-type']).toBe('application/octet-stream')
    expect(text).toBe('certificate of payments\n')
  })

  it.each([
    ['two files', '/secrets/tls?key=tls.crt&key=tls.key', 'application/octet-stream'],
    ['a file that is not named', '/secrets/tls', 'application/octet-stream'],
    ['a dictionary', '/secrets/db?key=PGHOST', 'application/octet-stream'],
    ['HTML', '/secrets/db', 'text/html'],
    ['no JSON', '/secrets/db', 'application/json;q=0'],
  ])('answers 406 to who asks for %s as %3$s', async (_what, path, accept) => {
    const answer = await read(path, as('api'), { Accept: accept })
    expect([answer.status, problem(answer).code]).toEqual([406, 'NOT_ACCEPTABLE'])
  })

  it('tells a stranger nothing by 406: it is refused as everybody', async () => {
    const answer = await read('/secrets/db.payments', as('stranger'), { Accept: 'application/octet-stream' })
    expect(problem(answer).code).toBe('NOT_GRANTED')
  })

  it.each([
    '*/*',
    'application/*',
    'text/html, application/json;q=0.1',
    'application/octet-stream, application/json',
    '',
  ])('answers JSON to Accept: %s', async (accept) => {
    const { headers } = await read('/secrets/tls?key=tls.crt', as('api'), { Accept: accept })
    expect(headers['content-type']).toBe('application/json; charset=utf-8')
  })
})

describe('ETag', () => {
  it('is the same for two callers of the same keys, and on every request', async () => {
    const tags = [await read('/secrets/db'), await read('/secrets/db'), await read('/secrets/db.payments')]
    expect(new Set(tags.map(({ headers }) => headers['etag'])).size).toBe(1)
  })

  it('differs with the selection, the representation, the grant and the ciphertext', async () => {
    const octets = { Accept: 'application/octet-stream' }
    const before = [
      await read('/secrets/db'),
      await read('/secrets/db?key=PGHOST'),
      await read('/secrets/db?key=PGHOST&key=PGPORT'),
      await read('/secrets/db.payments', as('reports')),
      await read('/secrets/db', as('migrator')),
      await read('/secrets/tls'),
      await read('/secrets/tls?key=tls.crt'),
      await read('/secrets/tls?key=tls.crt', as('api'), octets),
    ]
    const tags = before.map(({ headers }) => headers['etag'])
    expect(new Set(tags).size).toBe(tags.length)
  })

  it.each([
    ['the tag', (tag: string) => tag],
    ['a weak one', (tag: string) => `W/${tag}`],
    ['one of several', (tag: string) => `"a", ${tag} , W/"b"`],
    ['anything', () => '*'],
  ])('answers 304 to who has it: %s', async (_what, header) => {
    const { headers } = await read('/secrets/db')
    const again = await read('/secrets/db', as('api'), { 'If-None-Match': header(headers['etag'] ?? '') })
    expect([again.status, again.body.length, again.headers['etag']]).toEqual([304, 0, headers['etag']])
    expect(again.headers['content-length']).toBeUndefined()
  })

  it('asks Vault nothing for a 304', async () => {
    const { headers } = await read('/secrets/db')
    forgetCalls(world)
    await read('/secrets/db', as('api'), { 'If-None-Match': headers['etag'] ?? '' })
    expect(upstreamCalls(world).filter((call) => call.includes('decrypt'))).toEqual([])
  })

  it.each(['"other"', 'nonsense', '"unclosed', '"a" "b"', ''])('answers whole to If-None-Match: %s', async (header) => {
    expect((await read('/secrets/db', as('api'), { 'If-None-Match': header })).status).toBe(200)
  })

  it('lets no stranger learn by * or by a tag that the Secret exists', async () => {
    const { headers } = await read('/secrets/db')
    for (const tag of ['*', headers['etag'] ?? '']) {
      const answer = await read('/secrets/db.payments', as('stranger'), { 'If-None-Match': tag })
      expect(problem(answer).code).toBe('NOT_GRANTED')
    }
  })

  it('gives no 304 to a reader of other keys for a tag that is not its own', async () => {
    const { headers } = await read('/secrets/db')
    const other = await read('/secrets/db.payments', as('reports'), { 'If-None-Match': headers['etag'] ?? '' })
    expect(other.status).toBe(200)
  })
})

describe('GET /secrets', () => {
  it('lists what the caller may read: its own by name, others by namespace', async () => {
    const { text } = await read('/secrets', as('reports'))
    expect(JSON.parse(text)).toEqual({ secrets: [{ name: 'db.payments', keys: ['PGHOST', 'PGPORT'], all: false }] })
  })

  it('lists no key names where all are granted', async () => {
    const { text } = await read('/secrets', as('migrator'))
    expect(JSON.parse(text)).toEqual({
      secrets: [
        { name: 'db', keys: [], all: true },
        { name: 'private', keys: [], all: true },
      ],
    })
  })

  it('lists nothing to a stranger', async () => {
    expect((await read('/secrets', as('stranger'))).text).toBe('{"secrets":[]}')
  })

  it('asks upstream for nothing but the review', async () => {
    forgetCalls(world)
    await read('/secrets')
    expect(upstreamCalls(world)).toEqual(['POST /apis/authentication.k8s.io/v1/tokenreviews'])
  })

  it.each(['?', '?key=PGHOST', '?a'])('takes no query: %s', async (query) => {
    const { status } = await read(`/secrets${query}`)
    expect(status).toBe(query === '?' ? 200 : 400)
  })
})

/** Names and keys as an attacker writes them. Sent over bare sockets: clients would tidy them up. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checked } from '../contract/checked.ts'
import { exchange, get } from '../http/line.ts'
import { ask, problem } from './ask.ts'
import type { World } from './world.ts'
import { forgetCalls, startWorld, upstreamCalls } from './world.ts'

let world: World
let token: string
beforeAll(async () => {
  world = await startWorld()
  token = world.tokenOf('api')
})
afterAll(() => world.stop())

async function asked(path: string, from = token) {
  forgetCalls(world)
  const answer = await exchange(world.url, get(path, { Authorization: `Bearer ${from}` }))
  return { ...checked({ method: 'GET', path }, answer), calls: upstreamCalls(world) }
}

describe('a name that is none', () => {
  it.each([
    '..',
    '.',
    '%2e%2e',
    '%2E%2E%2F%2E%2E',
    '..%2f..%2fpods',
    '%00',
    'db%00',
    'db%0a',
    'db%20',
    '%20db',
    'db%2f',
    'db%5c..',
    'db%252e',
    'a'.repeat(64),
    `${'a'.repeat(64)}.payments`,
    `db.${'a'.repeat(64)}`,
    'DB',
    'Db',
    'd_b',
    '-db',
    'db-',
    'd%C3%BC',
    'd%u0062',
    '%ef%bd%84b',
    'db%e2%80%8b',
    '%d0%b0pi',
    'a.b.c',
    'db.',
    '.db',
    'db..payments',
    '__proto__',
    'constructor.',
    '*',
    '%7bname%7d',
    '',
    'db%3fkey=A',
    'db#payments',
    'db;key=A',
  ])('is refused before anybody is asked: /secrets/%s', async (name) => {
    const { status, body, calls } = await asked(`/secrets/${name}`)
    const text = body.toString()
    expect([status, JSON.parse(text).code, calls]).toEqual([400, 'MALFORMED_REQUEST', []])
    if (name.length > 3) expect(text).not.toContain(name)
  })

  it.each(['/%zz', '/secrets/%zz', '/secrets/%', '/secrets/%e0%a4%a', '/secrets/%c0%af', '/secrets/%ff'])(
    'is refused when its escapes are none: %s',
    async (path) => {
      const answer = await asked(path)
      expect([answer.status, problem(answer).code, answer.calls]).toEqual([400, 'MALFORMED_REQUEST', []])
      expect(answer.body.toString()).not.toContain(path)
    },
  )

  it.each([
    '/',
    '//secrets',
    '/secrets/db/',
    '/secrets/db/PGHOST',
    '/Secrets',
    '/secrets%2fdb',
    '/../secrets',
    '/./secrets',
    '/secrets;a',
    '/livez',
    '/metrics',
    '/readyz',
    '*',
    'http://keyhole',
    'ftp://keyhole/secrets',
  ])('is no route at %s', async (path) => {
    const answer = await asked(path)
    expect([answer.status, problem(answer).code, answer.calls]).toEqual([404, 'ROUTE_UNKNOWN', []])
  })

  it('of 63 characters is one', async () => {
    const answer = await asked(`/secrets/${'a'.repeat(63)}.${'b'.repeat(63)}`)
    expect([answer.status, problem(answer).code]).toEqual([403, 'NOT_GRANTED'])
  })

  it.each(['/secrets/d%62', '/secrets/%64b.payments', 'http://elsewhere.example/secrets/db'])(
    'is what its escapes or its origin hide: %s',
    async (path) => {
      expect((await asked(path)).status).toBe(200)
    },
  )
})

describe('what is not granted', () => {
  /** Everything that may not differ: all of the answer but the id and the time. */
  async function shown(path: string, from: string) {
    const { status, headers, body, calls } = await asked(path, from)
    const { 'x-request-id': id, date, ...others } = headers
    expect([id, date]).not.toContain(undefined)
    return { status, headers: others, order: Object.keys(headers), body: body.toString(), calls }
  }

  it.each([
    ['a Secret of somebody else in the own namespace', 'api', '/secrets/private'],
    ['one of another namespace', 'stranger', '/secrets/db.payments'],
    ['a key of a Secret of which others are granted', 'api', '/secrets/db?key=MIGRATOR_PASSWORD'],
    ['a key that does not exist', 'api', '/secrets/db?key=NO_SUCH_KEY'],
    ['a granted key beside one that is not', 'api', '/secrets/db?key=PGHOST&key=MIGRATOR_PASSWORD'],
    ['a Secret that cannot be opened', 'stranger', '/secrets/loose.payments'],
    ['a namespace that does not exist', 'api', '/secrets/db.nowhere'],
    ['a member of every object', 'api', '/secrets/db?key=__proto__'],
    ['a key with a NUL', 'api', '/secrets/db?key=PGHOST%00'],
    ['a key with broken escapes', 'api', '/secrets/db?key=%zz'],
  ] as const)('%s looks like what does not exist, and costs the same one review', async (_what, workload, path) => {
    const from = [world.tokenOf(workload), world.tokenOf(workload)] as const
    const nothing = await shown(`/secrets/nothing${path.includes('.') ? '.payments' : ''}`, from[0])
    expect(nothing).toMatchObject({ status: 403, calls: ['POST /apis/authentication.k8s.io/v1/tokenreviews'] })
    expect(await shown(path, from[1])).toEqual(nothing)
  })
})

describe('?key=', () => {
  const keys = (count: number) => Array.from({ length: count }, (_, index) => `key=${index.toString(36)}`).join('&')

  it.each([
    ['empty', '?key='],
    ['empty beside another', '?key=PGHOST&key='],
    ['without a value', '?key'],
    ['of 257 characters', `?key=${'k'.repeat(257)}`],
    ['as an array', '?key[]=PGHOST'],
    ['as an object', '?key[a]=PGHOST'],
    ['in upper case', '?KEY=PGHOST'],
    ['beside something else', '?key=PGHOST&namespace=bi'],
    ['beside a prototype', '?key=PGHOST&__proto__=a'],
    ['101 times', `?${keys(101)}`],
  ])('is refused %s', async (_what, query) => {
    const answer = await asked(`/secrets/db${query}`)
    expect([answer.status, problem(answer).code, answer.calls]).toEqual([400, 'MALFORMED_REQUEST', []])
  })

  it('is counted once where it is repeated', async () => {
    const answer = await asked(`/secrets/db?${'key=PGHOST&'.repeat(100)}`)
    expect(JSON.parse(answer.body.toString())).toMatchObject({ data: { PGHOST: 'db.payments.svc' } })
  })

  it('is refused 1,000 times: by the length of the URL, or where that is allowed by the number', async () => {
    const path = `/secrets/db?${keys(1_000)}`
    expect(problem(await asked(path)).code).toBe('URL_TOO_LONG')
    await using roomy = await startWorld({
      settings: { KEYHOLE_MAX_URL_BYTES: '8192', KEYHOLE_MAX_HEADER_BYTES: '65536' },
    })
    const answer = await exchange(roomy.url, get(path, { Authorization: `Bearer ${roomy.tokenOf('api')}` }))
    expect(problem(checked({ method: 'GET', path }, answer)).code).toBe('MALFORMED_REQUEST')
    expect(upstreamCalls(roomy)).toEqual([])
  })

  it('that holds a token reaches no answer, no record, no log and no metric', async () => {
    const pasted = world.tokenOf('reports')
    const parts = [pasted, ...pasted.split('.')]
    const paths = [
      `/secrets/db?key=${pasted.slice(0, 256)}`,
      `/secrets/db?${pasted}`,
      `/secrets/${pasted}`,
      `/${pasted}`,
    ]
    const bodies = await Promise.all(paths.map(async (path) => (await asked(path)).body.toString()))
    await world.clock.advance(1_000)
    const audit = await readFile(join(world.directory, 'audit.log'), 'utf8')
    const metrics = await (await fetch(`${world.managementUrl}/metrics`)).text()
    const written = [...bodies, audit, metrics, ...world.logLines].join('\n')
    for (const part of parts) {
      expect(written).not.toContain(part)
      expect(written).not.toContain(part.slice(0, 64))
    }
  })

  it('that is not granted is a number in its record, and no name', async () => {
    await asked('/secrets/db?key=CANARY_OF_A_KEY&key=PGHOST')
    const audit = await world.auditRecords()
    expect(audit.at(-1)).toMatchObject({ outcome: 'refused', why: 'key-not-granted', keys: [], otherKeys: 2 })
    expect(JSON.stringify(audit)).not.toContain('CANARY_OF_A_KEY')
  })
})

describe('a URL', () => {
  it.each([2_048, 2_049, 15_000])('of %i bytes is refused only beyond 2 KiB', async (length) => {
    const path = '/secrets/db?key='.padEnd(length, 'k')
    expect(problem(await asked(path)).code).toBe(length > 2_048 ? 'URL_TOO_LONG' : 'MALFORMED_REQUEST')
  })

  it('is refused beyond 2 KiB where it is one long name, too', async () => {
    expect(problem(await asked(`/secrets/${'a'.repeat(3_000)}`)).code).toBe('URL_TOO_LONG')
  })
})

it('an ordinary client gets the same as a bare socket', async () => {
  const answer = await ask(world.url, '/secrets/db', { token })
  expect(answer.body.equals((await asked('/secrets/db')).body)).toBe(true)
})

/** Every code is provoked, and every status that openapi.yaml knows of an operation is seen there: no other, and none untold. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Code } from '../../src/contract.ts'
import { CODES, ruleOf } from '../../src/contract.ts'
import { status } from '../../src/standins/faults.ts'
import type { Face } from '../http/face.ts'
import { face } from '../http/face.ts'
import type { Answer } from '../http/line.ts'
import { dial, exchange, get } from '../http/line.ts'
import { ask, problem } from '../routes/ask.ts'
import type { World } from '../routes/world.ts'
import { hold, startWorld } from '../routes/world.ts'
import { checked, operationOf } from './checked.ts'
import { document } from './document.ts'

const LIST = '/secrets'
const READ = '/secrets/db'

const seen = new Set<string>()
const codes = new Set<string>()

/** Takes note of an answer that has been checked already. */
function note(path: string, answer: Answer): Code | undefined {
  seen.add(`${operationOf({ method: 'GET', path })?.operationId ?? 'elsewhere'} ${answer.status}`)
  if (answer.status < 400) return undefined
  const { code } = problem(answer)
  codes.add(code)
  expect(answer.status).toBe(ruleOf(code).status)
  return code
}

/** The code of the answer to an ordinary request. */
async function codeOf(world: World, path: string, options?: Parameters<typeof ask>[2]): Promise<Code | undefined> {
  return note(path, await ask(world.url, path, { token: world.tokenOf('api'), ...options }))
}

/** The code of the answer to these bytes. */
async function codeOfBytes(url: string, path: string, text: string): Promise<Code | undefined> {
  return note(path, checked({ method: 'GET', path }, await exchange(url, text)))
}

describe('with everything in order', () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld()
  })
  afterAll(() => world.stop())

  it.each([LIST, READ])('%s answers 200', async (path) => {
    expect(await codeOf(world, path)).toBeUndefined()
  })

  it('answers 304', async () => {
    const { headers } = await ask(world.url, READ, { token: world.tokenOf('api') })
    expect(await codeOf(world, READ, { headers: { 'If-None-Match': headers['etag'] ?? '' } })).toBeUndefined()
    expect(seen).toContain('readSecret 304')
  })

  it.each([LIST, READ])('%s refuses tokens with 401', async (path) => {
    const { kubernetes, url } = world
    const workload = { namespace: 'payments', serviceAccount: 'api', pod: { name: 'api-7d4b9' } }
    expect(note(path, await ask(url, path))).toBe('TOKEN_MISSING')
    expect(await codeOf(world, path, { token: 'nonsense' })).toBe('TOKEN_REJECTED')
    const other = kubernetes.issueToken({ ...workload, audiences: ['vault'] })
    expect(await codeOf(world, path, { token: other })).toBe('TOKEN_AUDIENCE')
  })

  it.each([
    ['/secrets/private', 'NOT_GRANTED'],
    ['/secrets/gone', 'SECRET_MISSING'],
    ['/secrets/sparse?key=B', 'KEY_MISSING'],
    ['/secrets/garbage', 'CIPHERTEXT_REJECTED'],
    ['/secrets/list', 'CONTENT_INVALID'],
    ['/secrets/loose', 'KEY_UNUSABLE'],
    ['/secrets/forbidden', 'SECRET_UNREADABLE'],
    ['/secrets/UPPER', 'MALFORMED_REQUEST'],
    ['/secrets?x', 'MALFORMED_REQUEST'],
    ['/elsewhere', 'ROUTE_UNKNOWN'],
  ])('%s is %s', async (path, code) => {
    expect(await codeOf(world, path)).toBe(code)
  })

  it.each([LIST, READ])('%s refuses a URL of more than 2 KiB', async (path) => {
    expect(await codeOf(world, `${path}?key=${'x'.repeat(2_048)}`)).toBe('URL_TOO_LONG')
  })

  it('refuses what it cannot represent with 406', async () => {
    expect(await codeOf(world, READ, { headers: { Accept: 'text/html' } })).toBe('NOT_ACCEPTABLE')
  })

  it('refuses methods with 405', async () => {
    expect(note(READ, await ask(world.url, READ, { method: 'post' }))).toBe('METHOD_NOT_ALLOWED')
  })

  it.each([LIST, READ])('%s refuses bodies, headers and framing', async (path) => {
    expect(await codeOfBytes(world.url, path, get(path, { 'Content-Length': '1' }))).toBe('PAYLOAD_TOO_LARGE')
    expect(await codeOfBytes(world.url, path, get(path, { Padding: 'x'.repeat(20_000) }))).toBe('HEADERS_TOO_LARGE')
    expect(await codeOfBytes(world.url, path, get(path, { 'Content-Length': 'x' }))).toBe('MALFORMED_REQUEST')
  })

  it.each([LIST, READ])('%s refuses a request that does not arrive whole with 408', async (path) => {
    const { url, stop } = await face(world, { headersTimeoutMs: 50, requestTimeoutMs: 50 })
    expect(await codeOfBytes(url, path, `GET ${path} HTTP/1.1\r\nHost: keyhole\r\n`)).toBe('REQUEST_TIMEOUT')
    await stop()
  })

  it.each([LIST, READ])('%s hides a defect behind 500', async (path) => {
    const { url, stop } = await broken(world)
    const answer = await ask(url, path, { token: world.tokenOf('api') })
    expect(note(path, answer)).toBe('INTERNAL')
    expect(answer.body.toString()).not.toContain('correct horse')
    expect(world.logLines.join()).not.toContain('correct horse')
    await stop()
  })
})

describe('when upstream is away', () => {
  it.each([LIST, READ])('%s answers 503 for Kubernetes', async (path) => {
    await using world = await startWorld()
    world.kubernetes.faults.inject({ path: /tokenreviews/ }, status(500))
    expect(await codeOf(world, path)).toBe('KUBERNETES_UNAVAILABLE')
  })

  it('answers 503 for Vault, sealed or gone', async () => {
    await using world = await startWorld()
    world.vault.seal()
    expect(await codeOf(world, READ)).toBe('VAULT_SEALED')
    await world.vault.stop()
    expect(await codeOf(world, READ)).toBe('VAULT_UNAVAILABLE')
  })

  it.each([LIST, READ])('%s answers 504 when the deadline passes', async (path) => {
    await using world = await startWorld({ settings: { KEYHOLE_DEADLINE_MS: '1000' } })
    const review = hold(world.kubernetes, /tokenreviews/)
    const answer = codeOf(world, path)
    await review.arrived
    await world.clock.advance(1_000)
    expect(await answer).toBe('DEADLINE')
    review.release()
  })
})

describe('when it has had enough', () => {
  it.each([LIST, READ])('%s answers 503 beyond what may wait', async (path) => {
    await using world = await startWorld({
      settings: { KEYHOLE_REQUESTS_IN_FLIGHT: '1', KEYHOLE_REQUESTS_WAITING: '1' },
    })
    const review = hold(world.kubernetes, /tokenreviews/)
    await using first = await dial(world.url)
    first.send(get(LIST, { Authorization: `Bearer ${world.tokenOf('api')}` }))
    await review.arrived
    await using second = await dial(world.url)
    second.send(get(LIST, { Authorization: `Bearer ${world.tokenOf('api')}` }))
    // One TCP connection keeps its order, two do not: only when the second waits is the next one too many.
    while (world.serving.wired.services.turnstile.waiting() === 0) await new Promise(setImmediate)
    expect(await codeOf(world, path)).toBe('OVERLOADED')
    review.release()
    expect([(await first.answer()).status, (await second.answer()).status]).toEqual([200, 200])
  })

  it('answers 429 to a caller that was refused too often, and still serves what it may read', async () => {
    await using world = await startWorld()
    const answers = new Set<Code | undefined>()
    for (let refusals = 0; refusals < 25; refusals += 1) answers.add(await codeOf(world, '/secrets/private'))
    expect([...answers]).toEqual(['NOT_GRANTED', 'RATE_LIMITED'])
    expect(await codeOf(world, READ)).toBeUndefined()
  })

  it.each([LIST, READ])('%s answers 503 without an audit log', async (path) => {
    await using world = await startWorld()
    const file = join(world.directory, 'audit.log')
    await rm(file)
    await mkdir(file)
    expect(await codeOf(world, path)).toBe('AUDIT_UNAVAILABLE')
  })
})

describe('all in all', () => {
  it('every code was answered', () => {
    expect([...codes].sort()).toEqual(Object.keys(CODES).sort())
  })

  it('every documented status was seen at its operation', () => {
    const documented = Object.values(document.paths).flatMap(({ get: { operationId, responses } }) =>
      Object.keys(responses).map((code) => `${operationId} ${code}`),
    )
    expect(documented.filter((answer) => !seen.has(answer))).toEqual([])
  })
})

/** The same service with a defect whose message holds a secret. */
function broken(world: World): Promise<Face> {
  const defect = () => {
    throw new TypeError('correct horse')
  }
  return face(world, {}, (services) => ({
    ...services,
    door: { ...services.door, authorize: { read: defect, list: defect } },
  }))
}

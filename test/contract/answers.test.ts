/** Every code is provoked, and every status that openapi.yaml knows of an operation is seen there: no other, and none untold. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Code } from '../../src/contract.ts'
import { CODES, ruleOf } from '../../src/contract.ts'
import { status } from '../../src/standins/faults.ts'
import type { Workload } from '../../src/testing/sample.ts'
import { SAMPLE_POLICY, WORKLOADS } from '../../src/testing/sample.ts'
import type { Face } from '../http/face.ts'
import { face } from '../http/face.ts'
import type { Answer } from '../http/line.ts'
import { dial, exchange, get } from '../http/line.ts'
import { ask, problem } from '../routes/ask.ts'
import type { World } from '../routes/world.ts'
import { hold, startWorld } from '../routes/world.ts'
import { checked, operationOf } from './checked.ts'
import { codesIn, operations, resolved } from './document.ts'

/** Each with a workload that may: what is refused is refused for one reason. */
const LIST = { method: 'get', path: '/secrets', as: 'api' } as const
const READ = { method: 'get', path: '/secrets/db', as: 'api' } as const
const ROTATE = { method: 'post', path: '/rotate', as: 'rotator' } as const
const STATUS = { method: 'get', path: '/rotate', as: 'rotator' } as const
const ALL: readonly Call[] = [LIST, READ, ROTATE, STATUS]

interface Call {
  readonly method: 'get' | 'post' | 'put'
  readonly path: string
  readonly as: Workload
}

/** `operation status CODE`; without a code for what is no refusal. */
const seen = new Set<string>()
const codes = new Set<string>()

/** Takes note of an answer that has been checked already. */
function note({ method, path }: Call, answer: Answer): Code | undefined {
  const { status } = answer
  const operationId = operationOf({ method: method.toUpperCase(), path })?.operationId ?? 'elsewhere'
  if (status < 400) {
    seen.add(`${operationId} ${status}`)
    return undefined
  }
  const { code } = problem(answer)
  seen.add(`${operationId} ${status} ${code}`)
  codes.add(code)
  expect(status).toBe(ruleOf(code).status)
  return code
}

/** The code of the answer to an ordinary request. */
async function codeOf(world: World, call: Call, options?: Parameters<typeof ask>[2]): Promise<Code | undefined> {
  const { method, path, as } = call
  return note(call, await ask(world.url, path, { method, token: world.tokenOf(as), ...options }))
}

/** The code of the answer to these bytes. */
async function codeOfBytes(url: string, call: Call, text: string): Promise<Code | undefined> {
  const { method, path } = call
  return note(call, checked({ method: method.toUpperCase(), path }, await exchange(url, text)))
}

/** As it stands on the wire. */
function bytesOf({ method, path }: Call, headers: Readonly<Record<string, string>>): string {
  return get(path, headers, method.toUpperCase())
}

describe('with everything in order', () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld()
  })
  afterAll(() => world.stop())

  it.each([LIST, READ, STATUS])('$method $path answers 200', async (call) => {
    expect(await codeOf(world, call)).toBeUndefined()
  })

  it('answers 304', async () => {
    const { headers } = await ask(world.url, READ.path, { token: world.tokenOf('api') })
    expect(await codeOf(world, READ, { headers: { 'If-None-Match': headers['etag'] ?? '' } })).toBeUndefined()
    expect(seen).toContain('readSecret 304')
  })

  it.each(ALL)('$method $path refuses tokens with 401', async (call) => {
    const { method, path, as } = call
    const { pod, ...workload } = WORKLOADS[as]
    expect(note(call, await ask(world.url, path, { method }))).toBe('TOKEN_MISSING')
    expect(await codeOf(world, call, { token: 'nonsense' })).toBe('TOKEN_REJECTED')
    const other = world.kubernetes.issueToken({ ...workload, pod: { name: pod }, audiences: ['vault'] })
    expect(await codeOf(world, call, { token: other })).toBe('TOKEN_AUDIENCE')
  })

  it.each([ROTATE, STATUS])('$method $path refuses who may not rotate with 403', async (call) => {
    expect(await codeOf(world, { ...call, as: 'api' })).toBe('NOT_GRANTED')
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
    ['/rotate?x', 'MALFORMED_REQUEST'],
    ['/elsewhere', 'ROUTE_UNKNOWN'],
  ])('%s is %s', async (path, code) => {
    expect(await codeOf(world, { ...(path === '/rotate?x' ? STATUS : READ), path })).toBe(code)
  })

  it.each(ALL)('$method $path refuses a URL of more than 2 KiB', async (call) => {
    expect(await codeOf(world, { ...call, path: `${call.path}?key=${'x'.repeat(2_048)}` })).toBe('URL_TOO_LONG')
  })

  it.each([READ, ROTATE])('$method $path refuses what it cannot represent with 406', async (call) => {
    expect(await codeOf(world, call, { headers: { Accept: 'text/html' } })).toBe('NOT_ACCEPTABLE')
  })

  it.each(ALL)('$path refuses other methods with 405', async ({ path, as }) => {
    expect(await codeOf(world, { path, as, method: 'put' })).toBe('METHOD_NOT_ALLOWED')
  })

  it.each(ALL)('$method $path refuses bodies, headers and framing', async (call) => {
    const { url } = world
    expect(await codeOfBytes(url, call, bytesOf(call, { 'Content-Length': '5000' }))).toBe('PAYLOAD_TOO_LARGE')
    expect(await codeOfBytes(url, call, bytesOf(call, { Padding: 'x'.repeat(20_000) }))).toBe('HEADERS_TOO_LARGE')
    expect(await codeOfBytes(url, call, bytesOf(call, { 'Content-Length': 'x' }))).toBe('MALFORMED_REQUEST')
  })

  it.each(ALL)('$method $path refuses a request that does not arrive whole with 408', async (call) => {
    const { url, stop } = await face(world, { headersTimeoutMs: 50, requestTimeoutMs: 50 })
    expect(await codeOfBytes(url, call, bytesOf(call, {}).slice(0, -2))).toBe('REQUEST_TIMEOUT')
    await stop()
  })

  it.each(ALL)('$method $path hides a defect behind 500', async (call) => {
    const { url, stop } = await broken(world)
    const { method, path, as } = call
    const answer = await ask(url, path, { method, token: world.tokenOf(as) })
    expect(note(call, answer)).toBe('INTERNAL')
    expect(answer.body.toString()).not.toContain('correct horse')
    expect(world.logLines.join()).not.toContain('correct horse')
    await stop()
  })
})

describe('when upstream is away', () => {
  it.each(ALL)('$method $path answers 503 for Kubernetes', async (call) => {
    await using world = await startWorld()
    world.kubernetes.faults.inject({ path: /tokenreviews/ }, status(500))
    expect(await codeOf(world, call)).toBe('KUBERNETES_UNAVAILABLE')
  })

  it('answers 503 for Vault, sealed or gone', async () => {
    await using world = await startWorld()
    world.vault.seal()
    expect(await codeOf(world, READ)).toBe('VAULT_SEALED')
    await world.vault.stop()
    expect(await codeOf(world, READ)).toBe('VAULT_UNAVAILABLE')
  })

  it('answers 503 for Vault about rotations, too, without waiting for it', async () => {
    await using world = await startWorld({ policy: SAMPLE_POLICY })
    expect(await codeOf(world, ROTATE)).toBeUndefined()
    world.vault.seal()
    for (const call of [ROTATE, STATUS]) expect(await codeOf(world, call)).toBe('VAULT_SEALED')
    expect(world.logLines.filter((line) => line.includes('"vault-sealed"'))).toHaveLength(2)
    await world.vault.stop()
    for (const call of [ROTATE, STATUS]) expect(await codeOf(world, call)).toBe('VAULT_UNAVAILABLE')
  })

  it.each(ALL)('$method $path answers 504 when the deadline passes', async (call) => {
    await using world = await startWorld({ settings: { KEYHOLE_DEADLINE_MS: '1000' } })
    const review = hold(world.kubernetes, /tokenreviews/)
    const answer = codeOf(world, call)
    await review.arrived
    await world.clock.advance(1_000)
    expect(await answer).toBe('DEADLINE')
    review.release()
  })
})

describe('when it has had enough', () => {
  it.each(ALL)('$method $path answers 503 beyond what may wait', async (call) => {
    await using world = await startWorld({
      settings: { KEYHOLE_REQUESTS_IN_FLIGHT: '1', KEYHOLE_REQUESTS_WAITING: '1' },
    })
    const review = hold(world.kubernetes, /tokenreviews/)
    await using first = await dial(world.url)
    first.send(get(LIST.path, { Authorization: `Bearer ${world.tokenOf('api')}` }))
    await review.arrived
    await using second = await dial(world.url)
    second.send(get(LIST.path, { Authorization: `Bearer ${world.tokenOf('api')}` }))
    // One TCP connection keeps its order, two do not: only when the second waits is the next one too many.
    while (world.serving.wired.services.turnstile.waiting() === 0) await new Promise(setImmediate)
    expect(await codeOf(world, call)).toBe('OVERLOADED')
    review.release()
    expect([(await first.answer()).status, (await second.answer()).status]).toEqual([200, 200])
  })

  it.each<Call>([
    { ...READ, path: '/secrets/private' },
    { ...ROTATE, as: 'api' },
    { ...STATUS, as: 'api' },
  ])(
    '$method $path answers 429 to a caller that was refused too often, and still serves what it may read',
    async (call) => {
      await using world = await startWorld()
      const answers = new Set<Code | undefined>()
      for (let refusals = 0; refusals < 25; refusals += 1) answers.add(await codeOf(world, call))
      expect([...answers]).toEqual(['NOT_GRANTED', 'RATE_LIMITED'])
      expect(await codeOf(world, READ)).toBeUndefined()
    },
  )

  it.each(ALL)('$method $path answers 503 without an audit log', async (call) => {
    await using world = await startWorld()
    const file = join(world.directory, 'audit.log')
    await rm(file)
    await mkdir(file)
    expect(await codeOf(world, call)).toBe('AUDIT_UNAVAILABLE')
  })
})

describe('a rotation', () => {
  const ndjson = { headers: { Accept: 'application/x-ndjson' } }
  const later = { headers: { Prefer: 'respond-async', 'Idempotency-Key': 'a' } }

  it('answers 200, whole or in lines, 202, and 422 and 429 to what has been', async () => {
    await using world = await startWorld({ policy: SAMPLE_POLICY })
    expect(await codeOf(world, ROTATE, { body: { dryRun: true } })).toBeUndefined()
    expect(await codeOf(world, ROTATE, ndjson)).toBeUndefined()
    expect(await codeOf(world, ROTATE)).toBe('ROTATED_RECENTLY')
    expect(await codeOf(world, ROTATE, { ...later, body: { mode: 'rewrap' } })).toBeUndefined()
    expect(seen).toContain('rotate 202')
    while ((await codeOf(world, ROTATE, later)) !== 'IDEMPOTENCY_KEY_REUSED') await new Promise(setImmediate)
    expect(await codeOf(world, STATUS)).toBeUndefined()
  })

  it('answers 409 while another one runs, and 500 with its report where something is left', async () => {
    await using world = await startWorld()
    const secret = hold(world.kubernetes, /secrets\/payments-db$/)
    const first = codeOf(world, ROTATE)
    await secret.arrived
    expect(await codeOf(world, ROTATE)).toBe('ROTATION_IN_PROGRESS')
    secret.release()
    expect(await first).toBe('ROTATION_INCOMPLETE')
    expect(await codeOf(world, STATUS)).toBeUndefined()
  })

  it.each([ROTATE, STATUS])('$method $path answers 500 where the Lease cannot be used', async (call) => {
    await using world = await startWorld()
    world.kubernetes.faults.inject({ path: /leases/ }, status(403, { kind: 'Status', code: 403, reason: 'Forbidden' }))
    expect(await codeOf(world, call)).toBe('LEASE_UNUSABLE')
  })
})

describe('all in all', () => {
  it('every code was answered', () => {
    expect([...codes].sort()).toEqual(Object.keys(CODES).sort())
  })

  it('every status and code that is documented was seen at its operation, and none that is not', () => {
    const documented = operations.flatMap(({ operationId, responses }) =>
      Object.entries(responses).flatMap(([code, response]) => {
        const told = codesIn(resolved(response, '').value.description)
        return Number(code) < 400 ? [`${operationId} ${code}`] : told.map((word) => `${operationId} ${code} ${word}`)
      }),
    )
    const answered = [...seen].filter((answer) => !answer.startsWith('elsewhere '))
    expect(answered.toSorted()).toEqual(documented.toSorted())
  })
})

/** The same service with a defect whose message holds a secret. */
function broken(world: World): Promise<Face> {
  const defect = () => {
    throw new TypeError('correct horse')
  }
  return face(world, {}, (services) => ({
    ...services,
    door: { ...services.door, authorize: { read: defect, list: defect, rotate: defect } },
  }))
}

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Services } from '../../src/app.ts'
import { addServedRoutes, buildApp } from '../../src/app.ts'
import type { RetirementWhy } from '../../src/contract.ts'
import { BLOCKED, CODES } from '../../src/contract.ts'
import type { KeyholeOnStandins } from '../../src/testing/start-keyhole.ts'
import { startKeyhole } from '../../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../../src/testing/unbounded.ts'
import { BOUNDS } from '../http/face.ts'
import { checked, invalid } from './checked.ts'
import type { MediaType, RequestBody } from './document.ts'
import { codesIn, document, escaped, operations, resolved } from './document.ts'

let keyhole: KeyholeOnStandins
beforeAll(async () => {
  keyhole = await startKeyhole({ settings: UNBOUNDED })
})
afterAll(() => keyhole.stop())

/** What openapi.yaml has of answers, each under its operation. */
const responses = operations.flatMap(({ operationId, pointer, responses: documented }) =>
  Object.entries(documented).map(([status, response]) => {
    const { value, pointer: at } = resolved(response, `${pointer}/responses/${status}`)
    return { operationId, status: Number(status), response: value, pointer: at }
  }),
)

interface Route {
  readonly method: string
  readonly path: string
  readonly audit: string | undefined
}

async function routesOf(services: Services): Promise<Route[]> {
  const routes: Route[] = []
  const app = await buildApp(services, BOUNDS, (face, given) => {
    face.addHook('onRoute', ({ method, url, config }) => {
      const path = url.replace(/:(\w+)/g, '{$1}')
      for (const one of [method].flat()) routes.push({ method: one, path, audit: config?.audit })
    })
    addServedRoutes(face, given)
  })
  await app.close()
  return routes
}

describe('routes', () => {
  it('are those of openapi.yaml, and openapi.yaml has no other', async () => {
    const routes = await routesOf(keyhole.serving.wired.services)
    const served = routes.filter(({ audit }) => audit !== 'none').map(({ method, path }) => `${method} ${path}`)
    const documented = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.keys(item)
        .filter((name) => name !== 'parameters')
        .map((method) => `${method.toUpperCase()} ${path}`),
    )
    expect(served.sort()).toEqual(documented.sort())
    expect(operations.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(documented.sort())
  })

  it('say how they are audited: every one that serves, as what it does', async () => {
    const routes = await routesOf(keyhole.serving.wired.services)
    expect(routes.filter(({ audit }) => audit === undefined)).toEqual([])
    expect(routes.filter(({ audit }) => audit !== 'none')).toEqual([
      { method: 'GET', path: '/secrets/{name}', audit: 'read' },
      { method: 'GET', path: '/secrets', audit: 'list' },
      { method: 'POST', path: '/rotate', audit: 'rotate' },
      { method: 'GET', path: '/rotate', audit: 'survey' },
    ])
  })

  it('exist only where there is something to serve them', async () => {
    const { reading, rotating, ...door } = keyhole.serving.wired.services
    const pathsOf = async (services: Services) => [...new Set((await routesOf(services)).map(({ path }) => path))]
    expect(await pathsOf(door)).toEqual([])
    expect(await pathsOf({ ...door, reading })).toEqual(['/secrets/{name}', '/secrets'])
    expect(await pathsOf({ ...door, rotating })).toEqual(['/rotate'])
  })
})

describe('security', () => {
  it('is one scheme, a bearer token, for every operation', () => {
    expect(document.security).toEqual([{ serviceAccountToken: [] }])
    expect(document.components.securitySchemes).toMatchObject({
      serviceAccountToken: { type: 'http', scheme: 'bearer' },
    })
    for (const { security } of operations) expect(security).toBeUndefined()
  })
})

describe('codes', () => {
  it('are those of src/contract.ts, in its order', () => {
    expect(document.components.schemas.Code.enum).toEqual(Object.keys(CODES))
  })

  it.each(Object.entries(CODES))('%s is told of at its status, and at no other', (code, { status }) => {
    if (status === 405 || code === 'ROUTE_UNKNOWN') {
      return expect(document.info).toMatchObject({ description: expect.stringContaining(code) })
    }
    const told = responses.filter(({ response }) => codesIn(response.description).some((one) => one === code))
    expect(new Set(told.map((one) => one.status))).toEqual(new Set([status]))
  })

  it('are why every refusal is there', () => {
    const bare = responses.filter(({ status, response }) => status >= 400 && codesIn(response.description).length === 0)
    expect(bare).toEqual([])
  })

  it.each(responses)(
    'of $operationId $status come with Retry-After if they can be repeated',
    ({ status, response, pointer }) => {
      const retried = codesIn(response.description).map((code) => 'retryAfterSeconds' in CODES[code])
      const header = response.headers?.['Retry-After']
      const { required } = header === undefined ? { required: undefined } : resolved(header, pointer).value
      const wanted = retried.includes(true) ? !retried.includes(false) : undefined
      expect([status, required]).toEqual([status, wanted])
    },
  )
})

describe('words', () => {
  it('of what blocks a Secret are those of src/contract.ts, in its order', () => {
    expect(document.components.schemas.BlockedCode.enum).toEqual(Object.keys(BLOCKED))
  })

  it('of why nothing was retired are those of src/contract.ts', () => {
    const words: Record<RetirementWhy, true> = {
      raised: true,
      'nothing-older': true,
      'not-asked': true,
      'not-exclusive': true,
      'secrets-left': true,
      'secrets-blocked': true,
      'policy-changed': true,
      'secrets-dropped': true,
      'secrets-unknown': true,
      gitops: true,
      'fell-back': true,
      'dry-run': true,
    }
    expect(document.components.schemas.RetirementWhy.enum).toEqual(Object.keys(words))
  })
})

describe('examples', () => {
  const examples = responses.flatMap(({ operationId, status, response, pointer }) =>
    Object.entries(response.content ?? {}).flatMap(([type, media]) =>
      valuesOf(media).map((value) => ({ operationId, status, type, value, pointer })),
    ),
  )

  it.each(examples)('of $operationId $status follow the schema', ({ type, value, pointer }) => {
    expect(invalid(`#${pointer}/content/${escaped(type)}/schema`, value)).toEqual([])
  })

  it('of what is asked follow the schema, too', () => {
    const asked = resolved<RequestBody>(document.paths['/rotate']?.post?.requestBody as RequestBody, '').value
    const values = valuesOf(asked.content['application/json'] ?? { schema: {} })
    expect(values.length).toBeGreaterThan(1)
    for (const value of values) expect(invalid('#/components/schemas/RotateRequest', value)).toEqual([])
  })

  it('are there', () => expect(examples.length).toBeGreaterThan(5))
})

function valuesOf({ example, examples }: MediaType): unknown[] {
  return [...(example === undefined ? [] : [example]), ...Object.values(examples ?? {}).map(({ value }) => value)]
}

describe('the check that every test of a route goes through', () => {
  const asked = { method: 'GET', path: '/secrets' }
  const good = {
    status: 200,
    headers: {
      'x-request-id': '00000000-0000-4000-8000-000000000000',
      'cache-control': 'no-store',
      'content-type': 'application/json; charset=utf-8',
    },
    body: Buffer.from('{"secrets":[]}'),
  }
  const problem = {
    ...good,
    status: 404,
    headers: { ...good.headers, 'content-type': 'application/problem+json' },
    body: Buffer.from(
      '{"type":"about:blank","title":"No such route","status":404,"code":"ROUTE_UNKNOWN","detail":"-","retryable":false}',
    ),
  }

  function notAllowed(allow: string) {
    const text = problem.body.toString().replaceAll('ROUTE_UNKNOWN', 'METHOD_NOT_ALLOWED').replaceAll('404', '405')
    return { ...problem, status: 405, headers: { ...problem.headers, allow }, body: Buffer.from(text) }
  }

  it('passes what is documented', () => {
    expect(checked(asked, good)).toBe(good)
    const { method, path } = { method: 'PUT', path: '/rotate' }
    expect(checked({ method, path }, notAllowed('GET, POST')).status).toBe(405)
    expect(checked({ method: 'GET', path: '/other' }, problem)).toBe(problem)
  })

  it.each([
    ['a status', { ...good, status: 202 }],
    ['a content type', { ...good, headers: { ...good.headers, 'content-type': 'text/html' } }],
    [
      'no content type',
      { ...good, headers: { 'x-request-id': good.headers['x-request-id'], 'cache-control': 'no-store' } },
    ],
    ['a header that is missing', { ...good, headers: { ...good.headers, 'cache-control': undefined } as never }],
    ['a header of another shape', { ...good, headers: { ...good.headers, 'x-request-id': 'mine' } }],
    ['a field', { ...good, body: Buffer.from('{"secrets":[],"more":1}') }],
    ['a body that is no JSON', { ...good, body: Buffer.from('{"secrets":') }],
    ['a 304 of a call that has none', { ...good, status: 304, body: Buffer.alloc(0) }],
  ])('refuses %s that is not', (_what, answer) => {
    expect(() => checked(asked, answer)).toThrow('is not in openapi.yaml')
  })

  it.each([
    ['a success where there is no operation', { method: 'POST', path: '/secrets' }, good],
    ['405 without the methods that there are', { method: 'PUT', path: '/rotate' }, notAllowed('GET')],
    ['405 with methods that there are not', { method: 'PUT', path: '/secrets' }, notAllowed('GET, POST')],
    ['a problem without its fields', { method: 'GET', path: '/other' }, { ...problem, body: Buffer.from('{}') }],
    [
      'an answer without an id',
      { method: 'GET', path: '/other' },
      { ...problem, headers: { 'content-type': 'application/problem+json' } },
    ],
  ])('refuses %s', (_what, other, answer) => {
    expect(() => checked(other, answer)).toThrow('is not in openapi.yaml')
  })

  const STARTED = '{"type":"started","id":"00000000-0000-4000-8000-000000000000","keys":["a"],"dryRun":false}'
  const STEP = '{"type":"step","key":"a","stage":"move","to":2}'
  const REPORT =
    '{"type":"report","id":"00000000-0000-4000-8000-000000000000","mode":"rotate","retire":"never","dryRun":false,"complete":true,"startedAt":"2026-01-01T00:00:00.000Z","finishedAt":"2026-01-01T00:00:00.000Z","keys":[]}'
  const stream = (...lines: string[]) => ({
    ...good,
    headers: { ...good.headers, 'content-type': 'application/x-ndjson' },
    body: Buffer.from(lines.map((line) => `${line}\n`).join('')),
  })
  const rotate = { method: 'POST', path: '/rotate' }

  it('passes a stream of documented lines', () => {
    expect(checked(rotate, stream(STARTED, STEP, STEP, REPORT)).status).toBe(200)
  })

  it.each([
    ['a line that is not', stream(STARTED, '{"type":"hello"}', REPORT)],
    ['a line that is no JSON', stream(STARTED, '{', REPORT)],
    ['a field', stream(STARTED, STEP.replace('}', ',"ciphertext":"x"}'), REPORT)],
    ['a stream that is cut', stream(STARTED, STEP)],
    ['a stream that does not begin', stream(STEP, REPORT)],
    ['a stream that begins twice', stream(STARTED, STARTED, REPORT)],
    ['a stream that goes on', stream(STARTED, REPORT, STEP)],
    ['an empty stream', stream()],
    ['half a line', { ...stream(STARTED, REPORT), body: Buffer.from(`${STARTED}\n${REPORT}`) }],
  ])('refuses %s of a stream', (_what, answer) => {
    expect(() => checked(rotate, answer)).toThrow('is not in openapi.yaml')
  })
})

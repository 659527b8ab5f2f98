import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Services } from '../../src/app.ts'
import { addServedRoutes, buildApp } from '../../src/app.ts'
import { CODES } from '../../src/contract.ts'
import type { KeyholeOnStandins } from '../../src/testing/start-keyhole.ts'
import { startKeyhole } from '../../src/testing/start-keyhole.ts'
import { BOUNDS } from '../http/face.ts'
import { checked, invalid } from './checked.ts'
import type { MediaType } from './document.ts'
import { document, escaped, resolved } from './document.ts'

let keyhole: KeyholeOnStandins
beforeAll(async () => {
  keyhole = await startKeyhole()
})
afterAll(() => keyhole.stop())

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
  })

  it('say how they are audited: every one that serves, as what it does', async () => {
    const routes = await routesOf(keyhole.serving.wired.services)
    expect(routes.filter(({ audit }) => audit === undefined)).toEqual([])
    expect(routes.filter(({ audit }) => audit !== 'none')).toEqual([
      { method: 'GET', path: '/secrets/{name}', audit: 'read' },
      { method: 'GET', path: '/secrets', audit: 'list' },
    ])
  })

  it('exist only where there is something to serve them', async () => {
    const { reading: _, ...services } = keyhole.serving.wired.services
    expect((await routesOf(services)).filter(({ audit }) => audit !== 'none')).toEqual([])
  })
})

describe('security', () => {
  it('is one scheme, a bearer token, for every operation', () => {
    expect(document.security).toEqual([{ serviceAccountToken: [] }])
    expect(document.components.securitySchemes).toMatchObject({
      serviceAccountToken: { type: 'http', scheme: 'bearer' },
    })
    for (const { get } of Object.values(document.paths)) expect(get.security).toBeUndefined()
  })
})

describe('codes', () => {
  it('are those of src/contract.ts, in its order', () => {
    expect(document.components.schemas.Code.enum).toEqual(Object.keys(CODES))
  })

  it.each(Object.entries(CODES))('%s is told of at its status', (code, { status }) => {
    if (status === 405) return expect(document.info).toMatchObject({ description: expect.stringContaining(code) })
    const told = Object.values(document.paths).flatMap(({ get }) => {
      const response = get.responses[status]
      return response === undefined ? [] : [resolved(response, '').value.description]
    })
    expect(told).not.toEqual([])
    for (const description of told) expect(description).toMatch(new RegExp(`\\b${code}\\b`))
  })

  it('that can be repeated come with Retry-After, and no other does', () => {
    for (const { get } of Object.values(document.paths)) {
      for (const [status, response] of Object.entries(get.responses)) {
        const rules = Object.values(CODES).filter((rule) => rule.status === Number(status))
        const retries = rules.some((rule) => 'retryAfterSeconds' in rule)
        expect(Object.keys(resolved(response, '').value.headers ?? {}).includes('Retry-After'), status).toBe(retries)
      }
    }
  })
})

describe('examples', () => {
  const examples = Object.entries(document.paths).flatMap(([path, { get }]) =>
    Object.entries(get.responses).flatMap(([status, response]) =>
      Object.entries(resolved(response, '').value.content ?? {}).flatMap(([type, media]) =>
        valuesOf(media).map((value) => ({ path, status, type, value })),
      ),
    ),
  )

  it.each(examples)('of $path $status follow the schema', ({ path, status, type, value }) => {
    const pointer = `#/paths/${escaped(path)}/get/responses/${status}/content/${escaped(type)}/schema`
    expect(invalid(pointer, value)).toEqual([])
  })

  it('are there', () => expect(examples.length).toBeGreaterThan(2))
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

  it('passes what is documented', () => {
    expect(checked(asked, good)).toBe(good)
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
    ['a problem without its fields', { method: 'GET', path: '/other' }, { ...problem, body: Buffer.from('{}') }],
    [
      'an answer without an id',
      { method: 'GET', path: '/other' },
      { ...problem, headers: { 'content-type': 'application/problem+json' } },
    ],
  ])('refuses %s', (_what, other, answer) => {
    expect(() => checked(other, answer)).toThrow('is not in openapi.yaml')
  })
})

import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addServedRoutes, buildApp } from '../src/app.ts'
import type { Code } from '../src/contract.ts'
import { KeyholeError } from '../src/errors.ts'
import type { KeyholeOnStandins } from '../src/testing/start-keyhole.ts'
import { startKeyhole } from '../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../src/testing/unbounded.ts'
import { BOUNDS } from './http/face.ts'
import { exchange, get } from './http/line.ts'
import { problem } from './routes/ask.ts'

let keyhole: KeyholeOnStandins
beforeAll(async () => {
  keyhole = await startKeyhole({ settings: UNBOUNDED })
})
afterAll(() => keyhole.stop())

type AddRoutes = (app: FastifyInstance) => void

/** The face with other routes. */
async function built(addRoutes: AddRoutes) {
  const refused: { code: Code; requestId: string }[] = []
  const { services } = keyhole.serving.wired
  const app = await buildApp(
    { ...services, refused: ({ code }, requestId) => void refused.push({ code, requestId }) },
    BOUNDS,
    addRoutes,
  )
  return { app, url: await app.listen({ host: '127.0.0.1', port: 0 }), refused }
}

describe('a route that does not say how it is audited', () => {
  it.each<[string, AddRoutes]>([
    ['added plainly', (app) => void app.get('/unaudited', async () => 'secret')],
    [
      'with a configuration of something else',
      (app) => void app.get('/unaudited', { config: {} }, async () => 'secret'),
    ],
    [
      'beside those that do',
      (app) => {
        addServedRoutes(app, keyhole.serving.wired.services)
        app.post('/secrets/:name/more', async () => 'secret')
      },
    ],
    ['in a plugin', (app) => void app.register(async (inner) => void inner.get('/unaudited', async () => 'secret'))],
    ['as an object', (app) => void app.route({ method: 'GET', url: '/unaudited', handler: async () => 'secret' })],
  ])('stops the start: %s', async (_how, addRoutes) => {
    await expect(buildApp(keyhole.serving.wired.services, BOUNDS, addRoutes)).rejects.toThrow(
      'does not say how it is audited',
    )
  })

  it('cannot be added afterwards', async () => {
    const { app } = await built(() => {})
    expect(() => app.get('/late', { config: { audit: 'none' } }, async () => 'secret')).toThrow(/already/)
    await app.close()
  })
})

describe('every answer', () => {
  it.each(['/secrets/db', '/elsewhere'])('says that nothing in it is a page, and nothing else: %s', async (path) => {
    const { headers } = await exchange(keyhole.serving.url, get(path))
    expect(headers['content-security-policy']).toBe("default-src 'none';frame-ancestors 'none'")
  })
})

describe('a defect in a handler', () => {
  const SECRET = 'correct horse battery staple'
  class WithBody extends Error {
    readonly statusCode = 418
    readonly response = { body: SECRET }
    readonly validation = [{ message: SECRET }]
  }

  it.each([
    ['an Error', new Error(SECRET)],
    ['an Error with a status of its own', new WithBody(SECRET)],
    ['a text', SECRET],
    ['nothing', undefined],
    ['a number', 404],
  ])('is a 500 without a word of it, whatever was thrown: %s', async (_what, thrown) => {
    const { app, url, refused } = await built((face) => {
      face.get('/broken', { config: { audit: 'none' } }, async () => {
        throw thrown
      })
    })
    const answer = await exchange(url, get('/broken'))
    expect(answer.status).toBe(500)
    expect(answer.body.toString() + JSON.stringify(answer.headers)).not.toContain(SECRET)
    expect(problem(answer)).toMatchObject({
      code: 'INTERNAL',
      retryable: false,
      requestId: answer.headers['x-request-id'],
    })
    expect(refused).toEqual([{ code: 'INTERNAL', requestId: answer.headers['x-request-id'] }])
    await app.close()
  })

  it('keeps the code that a refusal has', async () => {
    const { app, url } = await built((face) => {
      face.get('/refused', { config: { audit: 'none' } }, async () => {
        throw new KeyholeError('VAULT_SEALED', { why: 'vault-sealed', cause: new Error(SECRET) })
      })
    })
    const answer = await exchange(url, get('/refused'))
    expect([answer.status, problem(answer).code, answer.headers['retry-after']]).toEqual([503, 'VAULT_SEALED', '5'])
    expect(answer.body.toString()).not.toContain(SECRET)
    await app.close()
  })
})

describe('Fastify', () => {
  it('parses no body of any type', async () => {
    const { app, url } = await built((face) => {
      face.post('/body', { config: { audit: 'none' } }, async (request) => ({ read: request.body }))
    })
    for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded', '']) {
      expect(app.hasContentTypeParser(type || 'application/octet-stream')).toBe(false)
      const text = get('/body', { 'Content-Type': type, 'Content-Length': '2' }, 'POST')
      const answer = await exchange(url, `${text}{}`)
      expect(answer.status).toBeGreaterThanOrEqual(400)
    }
    await app.close()
  })

  it('has no hook between a record and its reply that could throw', async () => {
    const app = await buildApp(keyhole.serving.wired.services, BOUNDS)
    const symbol = Object.getOwnPropertySymbols(app).find(({ description }) => description === 'fastify.hooks')
    const hooks = (app as unknown as Record<symbol, Record<string, unknown[]>>)[symbol ?? Symbol()] ?? {}
    expect(hooks['onRequest']).not.toEqual([])
    for (const name of ['preParsing', 'preValidation', 'preHandler', 'preSerialization', 'onSend', 'onError']) {
      expect(hooks[name], name).toEqual([])
    }
    await app.close()
  })

  it('adds no HEAD route of its own', async () => {
    const routes: string[] = []
    const { app } = await built((face) => {
      face.addHook('onRoute', ({ method }) => void routes.push(...[method].flat()))
      face.get('/one', { config: { audit: 'none' } }, async () => 'x')
    })
    expect(routes).toEqual(['GET'])
    await app.close()
  })
})

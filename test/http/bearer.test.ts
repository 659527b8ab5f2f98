import { once } from 'node:events'
import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import type { FastifyRequest } from 'fastify'
import { describe, expect, test } from 'vitest'
import { bearer } from '../../src/http/bearer.ts'

function requestWith(...authorization: string[]): FastifyRequest {
  const headersDistinct = authorization.length === 0 ? {} : { authorization }
  return { raw: { headersDistinct } } as unknown as FastifyRequest
}

describe('bearer', () => {
  test('refuses a request without an Authorization header', () => {
    expect(() => bearer(requestWith())).toThrow(expect.objectContaining({ code: 'TOKEN_MISSING', why: 'absent' }))
  })

  test.each([
    ['nothing', ''],
    ['a scheme alone', 'Bearer'],
    ['a scheme and a blank', 'Bearer '],
    ['another scheme', 'Basic YTpi'],
    ['a scheme that begins like it', 'Bearers x'],
    ['a token without a scheme', 'e30.e30.e30'],
    ['two tokens', 'Bearer a b'],
    ['two tokens that somebody joined', 'Bearer a, Bearer b'],
    ['a token with a comma', 'Bearer a,b'],
    ['a tab for the blank', 'Bearer\ta'],
    ['parameters after it', 'Bearer a realm="x"'],
  ])('refuses %s', (_, value) => {
    expect(() => bearer(requestWith(value))).toThrow(
      expect.objectContaining({ code: 'TOKEN_MISSING', why: 'not-bearer' }),
    )
  })

  test('refuses two headers rather than choose, even two that are the same', () => {
    for (const second of ['Bearer b', 'Bearer a', '']) {
      expect(() => bearer(requestWith('Bearer a', second))).toThrow(
        expect.objectContaining({ code: 'MALFORMED_REQUEST', why: 'several-authorizations' }),
      )
    }
  })

  test('quotes nothing of what it was sent', () => {
    expect.assertions(1)
    try {
      bearer(requestWith('Bearer c4n4ry x'))
    } catch (error) {
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('c4n4ry')
    }
  })

  test.each(['Bearer a.b.c', 'bearer a.b.c', 'BEARER   a.b.c', 'Bearer a.b.c  '])(
    'takes the token of "%s"',
    (value) => {
      const token = bearer(requestWith(value))
      expect(token.reveal()).toBe('a.b.c')
      expect(`${token}`).toBe('[token]')
    },
  )

  test('sees both headers of a real request, of which Node keeps one', async () => {
    const seen: unknown[] = []
    const server = createServer((raw, response) => {
      try {
        seen.push(raw.headers.authorization)
        seen.push(bearer({ raw } as FastifyRequest))
      } catch (error) {
        seen.push(error)
      }
      response.end()
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const headers = ['Host', 'x', 'Authorization', 'Bearer a', 'authorization', 'Bearer b', 'Connection', 'close']
    const [response] = await once(httpRequest({ port, host: '127.0.0.1', headers }).end(), 'response')
    response.resume()
    server.close()
    expect(seen).toEqual(['Bearer a', expect.objectContaining({ why: 'several-authorizations' })])
  })
})

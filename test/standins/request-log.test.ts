import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Standin } from '../../src/standins/server.ts'
import { serve } from '../../src/standins/server.ts'
import { virtualClock } from '../virtual-clock.ts'
import { call } from './call.ts'

const TOKEN = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl'
let standin: Standin

beforeEach(async () => {
  standin = await serve({ clock: virtualClock(1_000), handler: () => ({ status: 204 }) })
})

afterEach(() => standin[Symbol.asyncDispose]())

describe('the log of requests', () => {
  it('says what was asked, when, of which host, and what was answered', async () => {
    await call(`${standin.url}/a?b=c`, { method: 'DELETE' })
    const host = new URL(standin.url).host
    expect(standin.requests.entries()).toEqual([
      { method: 'DELETE', path: '/a', at: 1_000, host, status: 204, bearer: undefined, vaultToken: undefined },
    ])
  })

  it('keeps hashes of tokens, never tokens', async () => {
    await call(`${standin.url}/?t=${TOKEN}`, { token: TOKEN, vaultToken: TOKEN, body: { jwt: TOKEN } })
    const [entry] = standin.requests.entries()
    expect(entry?.bearer).toMatch(/^[0-9a-f]{64}$/)
    expect(entry?.vaultToken).toBe(entry?.bearer)
    expect(inspect(standin.requests, { depth: 9, showHidden: true })).not.toContain(TOKEN)
  })

  it.each([
    ['authorization', { token: TOKEN }, '/'],
    ['x-vault-token', { vaultToken: TOKEN }, '/'],
    ['other-header', { headers: { 'x-forwarded-token': TOKEN } }, '/'],
    ['body', { body: { spec: { token: TOKEN } } }, '/'],
    ['url', {}, `/?token=${TOKEN}`],
    ['url', {}, `/${TOKEN}/x`],
  ])('finds a token in: %s', async (where, how, path) => {
    await call(standin.url + path, how)
    expect(standin.requests.sightings(TOKEN).map((sighting) => sighting.where)).toEqual([where])
  })

  it('tells the worst place of several', async () => {
    await call(`${standin.url}/?t=${TOKEN}`, { token: TOKEN })
    expect(standin.requests.sightings(TOKEN)).toMatchObject([{ where: 'url', path: '/' }])
  })

  it('finds no token that was not shown', async () => {
    await call(standin.url, { token: 'another-token' })
    expect(standin.requests.sightings(TOKEN)).toEqual([])
  })

  it('counts by method and path', async () => {
    for (const path of ['/a', '/a', '/b']) await call(standin.url + path)
    expect([standin.requests.count('GET', '/a'), standin.requests.count('GET', /^\/[ab]$/)]).toEqual([2, 3])
    expect(standin.requests.count('POST', '/a')).toBe(0)
  })

  it('forgets when told to', async () => {
    await call(standin.url, { token: TOKEN })
    standin.requests.clear()
    expect([standin.requests.entries(), standin.requests.sightings(TOKEN)]).toEqual([[], []])
  })
})

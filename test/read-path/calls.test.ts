/** What a request costs, in which order, and who is shown which token. */

import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { DECRYPT, hold, LOGIN, only, REVIEWS, SECRET } from './faults.ts'
import type { Refusal, World } from './world.ts'
import { startWorld, until } from './world.ts'

const REVIEW = `POST ${REVIEWS}`
const GET = `GET ${SECRET}`
const OPEN = `POST ${DECRYPT}`
/** Asked once, at start: who am I? */
const SELF = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
const NOT_GRANTED: Refusal = { status: 403, code: 'NOT_GRANTED' }

/** What was called while this ran, by keyhole and as the stand-ins saw it. */
async function cost(world: World, act: () => Promise<unknown>): Promise<readonly string[]> {
  world.calls.length = 0
  world.kubernetes.requests.clear()
  world.vault.requests.clear()
  await act()
  const seen = [...world.kubernetes.requests.entries(), ...world.vault.requests.entries()]
  expect(seen.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([...world.calls].sort())
  return [...world.calls]
}

describe('a request', () => {
  test('whose token was never seen costs a review, a GET and a decryption, in this order', async () => {
    await using world = await startWorld()
    const token = world.tokenOf('api')
    expect(await cost(world, () => world.ask('/secrets/db', { token }))).toEqual([REVIEW, GET, OPEN])
  })

  test('whose token was seen costs a GET and a decryption', async () => {
    await using world = await startWorld()
    const token = world.tokenOf('api')
    await world.ask('/secrets', { token })
    expect(await cost(world, () => world.ask('/secrets/db', { token }))).toEqual([GET, OPEN])
    expect(await cost(world, () => world.ask('/secrets/db?key=PGHOST', { token }))).toEqual([GET, OPEN])
  })

  test('for many files costs one decryption', async () => {
    await using world = await startWorld()
    const token = world.tokenOf('api')
    await world.ask('/secrets', { token })
    expect(await cost(world, () => world.ask('/secrets/tls', { token }))).toEqual([
      GET.replace('payments-db', 'payments-tls'),
      OPEN,
    ])
  })

  test('for what is unchanged costs no call to Vault', async () => {
    await using world = await startWorld()
    const token = world.tokenOf('api')
    const first = await world.ask('/secrets/db', { token })
    const headers = { 'if-none-match': first.headers['etag'] ?? '' }
    const calls = await cost(world, async () => {
      const reply = await world.ask('/secrets/db', { token, headers })
      expect([reply.status, reply.text]).toEqual([304, ''])
    })
    expect(calls).toEqual([GET])
    expect(world.records().at(-1)).toMatchObject({ outcome: 'unchanged', keys: [] })
  })

  test('for what is unchanged is answered though Vault is sealed', async () => {
    await using world = await startWorld()
    const first = await world.ask('/secrets/db')
    world.vault.seal()
    const headers = { 'if-none-match': first.headers['etag'] ?? '' }
    expect((await world.ask('/secrets/db', { headers })).status).toBe(304)
    world.refused(await world.ask('/secrets/db'), { status: 503, code: 'VAULT_SEALED', retryAfter: 5 })
  })

  test.each(['/secrets/db.payments', '/secrets/nothing', '/secrets/db.payments?key=PGHOST', '/secrets/books.bi'])(
    'that is refused costs its review and no other call: %s',
    async (path) => {
      await using world = await startWorld()
      const token = world.tokenOf('stranger')
      const ask = async () => {
        world.refused(await world.ask(path, { as: 'stranger', token }), { ...NOT_GRANTED, by: 'stranger' })
      }
      expect(await cost(world, ask)).toEqual([REVIEW])
      expect(await cost(world, ask)).toEqual([])
    },
  )

  test('for the list costs its review, and then nothing', async () => {
    await using world = await startWorld()
    const token = world.tokenOf('api')
    expect(await cost(world, () => world.ask('/secrets', { token }))).toEqual([REVIEW])
    expect(await cost(world, () => world.ask('/secrets', { token }))).toEqual([])
  })

  test('asks for no Secret before its caller is known, and for no plaintext before it has a ciphertext', async () => {
    await using world = await startWorld()
    const reviewing = hold(world.kubernetes, { path: REVIEWS })
    const getting = hold(world.kubernetes, { path: SECRET })
    const opening = hold(world.vault, { path: DECRYPT })
    world.calls.length = 0
    const reply = world.ask('/secrets/db')
    await reviewing.arrived
    await world.clock.advance(1_000)
    expect(world.calls).toEqual([REVIEW])
    reviewing.release()
    await getting.arrived
    await world.clock.advance(1_000)
    expect(world.calls).toEqual([REVIEW, GET])
    getting.release()
    await opening.arrived
    expect(world.calls).toEqual([REVIEW, GET, OPEN])
    opening.release()
    world.served(await reply)
  })
})

describe('a token', () => {
  test('of a caller is seen in TokenReviews and nowhere else', async () => {
    await using world = await startWorld()
    const token = world.tokenOf('api')
    world.served(await world.ask('/secrets/db', { token }))
    await world.ask('/secrets/tls', { token })
    await world.ask('/secrets/nothing', { token })
    const host = new URL(world.kubernetes.url).host
    expect(world.kubernetes.requests.sightings(token)).toEqual([{ method: 'POST', path: REVIEWS, host, where: 'body' }])
    expect(world.vault.requests.sightings(token)).toEqual([])
  })

  test("of keyhole's for Kubernetes is shown there alone, its JWT for Vault at logins alone, its Vault tokens at decryptions alone", async () => {
    await using world = await startWorld()
    for (let seconds = 0; seconds < 30; seconds += 5) {
      await world.ask('/secrets/db')
      await world.ask('/secrets/books', { as: 'reports' })
      await world.clock.advance(5_000)
    }
    const pathsWith = (text: string): Set<string> =>
      new Set(world.outbound.filter((request) => JSON.stringify(request).includes(text)).map((request) => request.path))
    const { kubernetes, vault } = world.upstreams
    expect(pathsWith(await readFile(kubernetes.tokenFile, 'utf8'))).toEqual(
      new Set([REVIEWS, SECRET, '/api/v1/namespaces/bi/secrets/bi-books', SELF]),
    )
    expect(pathsWith(await readFile(vault.tokenFile, 'utf8'))).toEqual(new Set([LOGIN]))
    const vaultTokens = new Set(world.outbound.flatMap(({ headers }) => headers['x-vault-token'] ?? []))
    expect(vaultTokens.size, 'they are short-lived').toBeGreaterThan(2)
    for (const token of vaultTokens) {
      expect(world.kubernetes.requests.sightings(token)).toEqual([])
      expect(new Set(world.vault.requests.sightings(token).map(({ where }) => where))).toEqual(
        new Set(['x-vault-token']),
      )
      // One role's token opens nothing of another's.
      expect(pathsWith(token).size).toBe(1)
    }
  })

  test('is reviewed again after ten seconds, and one that was refused each time', async () => {
    await using world = await startWorld()
    const token = world.tokenOf('api')
    const reviews = () => world.kubernetes.requests.sightings(token).length
    await world.ask('/secrets', { token })
    await world.clock.advance(9_999)
    await world.ask('/secrets', { token })
    expect(reviews()).toBe(1)
    await world.clock.advance(1)
    await world.ask('/secrets', { token })
    expect(reviews()).toBe(2)
    const forged = `${token.split('.').slice(0, 2).join('.')}.Zm9yZ2Vk`
    for (let times = 1; times <= 3; times += 1) {
      world.refused(await world.ask('/secrets', { token: forged }), {
        status: 401,
        code: 'TOKEN_REJECTED',
        by: 'nobody',
      })
      expect(world.kubernetes.requests.sightings(forged)).toHaveLength(times)
    }
  })

  test('that differs from a remembered one in a single character is another', async () => {
    await using world = await startWorld()
    const token = world.tokenOf('api')
    world.served(await world.ask('/secrets/db', { token }))
    const last = token.at(-2) === 'A' ? 'B' : 'A'
    const other = `${token.slice(0, -2)}${last}${token.slice(-1)}`
    world.refused(await world.ask('/secrets/db', { token: other }), {
      status: 401,
      code: 'TOKEN_REJECTED',
      by: 'nobody',
    })
    world.served(await world.ask('/secrets/db', { token }))
  })
})

describe('requests at once', () => {
  test('with one token are one review, and each has its own answer', async () => {
    await using world = await startWorld()
    const token = world.tokenOf('api')
    const held = hold(world.kubernetes, { path: REVIEWS })
    const asking = Array.from({ length: 20 }, () => world.ask('/secrets/db', { token }))
    await held.arrived
    await until(() => world.keyhole.serving.wired.services.turnstile.inside() === 20)
    held.release()
    for (const reply of await Promise.all(asking)) world.served(reply)
    expect(world.kubernetes.requests.sightings(token)).toHaveLength(1)
  })

  test('of two callers are two reviews, and neither gets what is of the other, whichever comes first', async () => {
    await using world = await startWorld()
    const tokens = { api: world.tokenOf('api'), migrator: world.tokenOf('migrator') }
    const held = hold(
      world.kubernetes,
      { path: REVIEWS },
      only(tokens.api, async (_request, next) => {
        await until(() => world.records().some((record) => record['caller']?.['serviceAccount'] === 'migrator'))
        return next()
      }),
    )
    const asking = [
      world.ask('/secrets/db', { token: tokens.api }),
      world.ask('/secrets/db', { as: 'migrator', token: tokens.migrator }),
    ]
    await held.arrived
    await until(() => world.kubernetes.requests.count('POST', REVIEWS) >= 2)
    held.release()
    const [api, migrator] = await Promise.all(asking)
    if (api === undefined || migrator === undefined) throw new Error('two were asked')
    world.served(api)
    world.served(migrator, 'migrator')
  })

  test('with one token go on when the one that asked first leaves', async () => {
    await using world = await startWorld()
    const token = world.tokenOf('api')
    const held = hold(world.kubernetes, { path: REVIEWS })
    const leaving = new AbortController()
    const first = world.ask('/secrets/db', { token, signal: leaving.signal })
    await held.arrived
    const second = world.ask('/secrets/db', { token })
    await until(() => world.keyhole.serving.wired.services.turnstile.inside() === 2)
    leaving.abort()
    await expect(first).rejects.toThrow('aborted')
    await until(() => world.keyhole.serving.wired.services.turnstile.inside() === 1)
    held.release()
    world.served(await second)
    expect(world.kubernetes.requests.sightings(token)).toHaveLength(1)
  })

  test('with one token give the review up when the last of them has left, and not before', async () => {
    await using world = await startWorld()
    const token = world.tokenOf('api')
    const held = hold(world.kubernetes, { path: REVIEWS })
    const leaving = [new AbortController(), new AbortController()]
    const asking = leaving.map(({ signal }) => world.ask('/secrets/db', { token, signal }).catch(() => undefined))
    await held.arrived
    const { turnstile } = world.keyhole.serving.wired.services
    await until(() => turnstile.inside() === 2)
    let given = false
    void held.left.then(() => {
      given = true
    })
    leaving[0]?.abort()
    await until(() => turnstile.inside() === 1)
    expect(given).toBe(false)
    leaving[1]?.abort()
    await held.left
    await Promise.all(asking)
    held.release()
    world.served(await world.ask('/secrets/db', { token }))
  })

  test('for one Secret are never answered from one decryption', async () => {
    await using world = await startWorld()
    const asking = [
      world.ask('/secrets/db'),
      world.ask('/secrets/db', { as: 'migrator' }),
      world.ask('/secrets/db.payments', { as: 'reports' }),
    ]
    const calls = await cost(world, () => Promise.all(asking))
    const [api, migrator, reports] = await Promise.all(asking)
    if (api === undefined || migrator === undefined || reports === undefined) throw new Error('three were asked')
    world.served(api)
    world.served(migrator, 'migrator')
    world.served(reports, 'reports')
    expect(calls.filter((call) => call === OPEN)).toHaveLength(3)
  })
})

/** Who may not rotate, what is asked on their behalf (a review and nothing else), and what is not asked at all. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Workload } from '../../src/testing/sample.ts'
import { ask, problem } from './ask.ts'
import type { RotationWorld } from './rotation-world.ts'
import { effectsOf, startRotationWorld } from './rotation-world.ts'

const REVIEW = ['POST /apis/authentication.k8s.io/v1/tokenreviews']

let world: RotationWorld
beforeAll(async () => {
  world = await startRotationWorld({ settings: { KEYHOLE_REFUSALS_BURST: '1000' } })
})
afterAll(async () => {
  expect(await effectsOf(world.keyhole)).toEqual([])
  expect(world.standing()).toEqual({ versions: ['v1', 'v1', 'v1'], latest: 1, min: 1 })
  await world[Symbol.asyncDispose]()
})
beforeEach(() => world.forget())

/** The refusal without its request id, and whether it brought a body: what a caller could compare. */
async function refusal(options: Parameters<RotationWorld['rotate']>[0]): Promise<string> {
  const answer = await world.rotate(options)
  expect(answer.status).toBe(403)
  const { date, 'x-request-id': id, connection, ...headers } = answer.headers
  return JSON.stringify([headers, answer.body.toString()])
}

describe('whoever may not rotate', () => {
  it('is told the same in every byte, whether the key exists, is somebody else’s, or is none', async () => {
    const [none, ...others] = [
      await refusal({ body: { keys: ['nothing'] } }),
      await refusal({ body: { keys: ['ledgers'] } }),
      await refusal({ body: { keys: ['payments', 'ledgers'] } }),
      await refusal({ body: { keys: ['payments', 'nothing'] } }),
      await refusal({ body: { keys: ['../payments'] } }),
      await refusal({ body: { keys: ['constructor'] } }),
      await refusal({ body: { keys: ['PAYMENTS'], dryRun: true } }),
    ]
    for (const other of others) expect(other).toBe(none)
    expect(none).toContain('keyhole/keyhole-cron may not rotate that')
    expect(world.calls()).toEqual(Array<string>(7).fill(REVIEW[0] ?? ''))
  })

  it.each<readonly [Workload, string]>([
    ['api', 'reads with the key'],
    ['migrator', 'reads all of it'],
    ['reports', 'may rotate another one'],
    ['stranger', 'was granted nothing'],
  ])('%s, who %s, costs a review and learns nothing', async (as, _what) => {
    const known = await refusal({ as, body: { keys: ['payments'] } })
    const unknown = await refusal({ as, body: { keys: ['nothing'] } })
    expect(known).toBe(unknown)
    expect(world.calls()).toEqual([...REVIEW, ...REVIEW])
  })

  it('gets no status either', async () => {
    const answer = await ask(world.keyhole.url, '/rotate', { token: world.tokenOf('api') })
    expect([answer.status, problem(answer).code]).toEqual([403, 'NOT_GRANTED'])
    expect(world.calls()).toEqual(REVIEW)
  })

  it('is an admin whose token is bound to no pod, too', async () => {
    const unbound = { namespace: 'keyhole', serviceAccount: 'keyhole-cron', audiences: ['keyhole'] }
    const token = world.kubernetes.issueToken(unbound)
    world.secret('an unbound token', token)
    expect(await refusal({ token })).toBe(await refusal({ token: world.tokenOf('rotator'), body: { keys: ['none'] } }))
  })

  it('has a record that names it and how many keys it asked for, not which', async () => {
    await refusal({ as: 'stranger', body: { keys: ['payments', 'nothing'] } })
    expect((await world.keyhole.auditRecords()).at(-1)).toMatchObject({
      action: 'rotate',
      outcome: 'refused',
      code: 'NOT_GRANTED',
      why: 'not-an-admin',
      caller: { namespace: 'lab', serviceAccount: 'notebook' },
      otherKeys: 2,
    })
    expect(JSON.stringify((await world.keyhole.auditRecords()).at(-1))).not.toContain('nothing')
  })
})

describe('an admin of another key', () => {
  it('sees its own key and no other, whatever ran last', async () => {
    await using own = await startRotationWorld()
    expect((await own.rotate()).status).toBe(200)
    const seen = await own.status({ as: 'reports' })
    expect(seen).toMatchObject({ running: null, last: null, ledger: [{ key: 'ledgers' }] })
    expect(JSON.stringify(seen)).not.toContain('payments')
  })
})

describe('a token', () => {
  it.each([
    ['none', undefined, 'TOKEN_MISSING'],
    ['nonsense', 'nonsense-nonsense', 'TOKEN_REJECTED'],
  ])('%s is refused', async (_what, token, code) => {
    const answer = await ask(world.keyhole.url, '/rotate', {
      method: 'post',
      ...(token !== undefined && { token }),
    })
    expect([answer.status, problem(answer).code]).toEqual([401, code])
    expect(world.calls()).toEqual([])
  })

  it('for another audience is refused without a review', async () => {
    const { kubernetes } = world
    const token = kubernetes.issueToken({
      namespace: 'keyhole',
      serviceAccount: 'keyhole-cron',
      pod: { name: 'keyhole-cron-29401' },
      audiences: ['vault'],
    })
    expect(problem(await world.rotate({ token })).code).toBe('TOKEN_AUDIENCE')
    expect(world.calls()).toEqual([])
  })

  it('that a read has had reviewed is reviewed anew: what was revoked since does not rotate', async () => {
    await using own = await startRotationWorld()
    const token = own.tokenOf('rotator')
    const list = async () => (await ask(own.keyhole.url, '/secrets', { token })).status
    expect(await list()).toBe(200)
    own.kubernetes.deletePod({ namespace: 'keyhole', name: 'keyhole-cron-29401' })
    expect(await list()).toBe(200)
    own.forget()
    expect(problem(await own.rotate({ token })).code).toBe('TOKEN_REJECTED')
    expect((await ask(own.keyhole.url, '/rotate', { token })).status).toBe(401)
    expect(own.calls()).toEqual([...REVIEW, ...REVIEW])
  })

  it('is shown to the API server alone', async () => {
    const token = world.tokenOf('rotator')
    await world.rotate({ token, body: { dryRun: true } })
    expect(world.vault.requests.sightings(token)).toEqual([])
    expect(world.kubernetes.requests.sightings(token).map(({ path, where }) => [path, where])).toEqual([
      ['/apis/authentication.k8s.io/v1/tokenreviews', 'body'],
    ])
  })
})

describe('refused too often', () => {
  it('a caller is told so, and an admin still rotates', async () => {
    await using own = await startRotationWorld()
    const codes = new Set<string>()
    for (let refusals = 0; refusals < 25; refusals += 1) {
      codes.add(problem(await own.rotate({ as: 'stranger' })).code)
    }
    expect([...codes]).toEqual(['NOT_GRANTED', 'RATE_LIMITED'])
    expect((await own.rotate()).status).toBe(200)
  })
})

describe('methods', () => {
  it.each(['head', 'put', 'patch', 'delete', 'options'] as const)(
    '%s is 405, and says what there is',
    async (method) => {
      const answer = await ask(world.keyhole.url, '/rotate', { method, token: world.tokenOf('rotator') })
      expect([answer.status, answer.headers['allow']]).toEqual([405, 'GET, POST'])
      expect(world.calls()).toEqual([])
    },
  )

  it.each(['/rotate/', '/Rotate', '/rotate/payments'])('%s is no route', async (path) => {
    expect(problem(await ask(world.keyhole.url, path, { method: 'post' })).code).toBe('ROUTE_UNKNOWN')
  })
})

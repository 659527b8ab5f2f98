/** Many at once, some of them hostile, with upstreams that fail at random: nobody gets another's, nobody is starved. */
import { describe, expect, test } from 'vitest'
import type { Fault } from '../../src/standins/faults.ts'
import { cut, garbage, html } from '../../src/standins/faults.ts'
import type { Workload } from '../../src/testing/sample.ts'
import type { Reply } from './call.ts'
import { DECRYPT, hold, kubernetesStatus, MARKER, REVIEWS, vaultErrors } from './faults.ts'
import type { Random } from './random.ts'
import { seeded } from './random.ts'
import type { Refusal, World } from './world.ts'
import { startWorld, until } from './world.ts'

interface Kind {
  readonly as: Workload
  readonly path: string
  /** Exactly what a 200 holds; undefined: there is none. */
  readonly body: string | undefined
}

const file = (text: string): string => Buffer.from(text).toString('base64')

const KINDS: readonly [Kind, ...Kind[]] = [
  {
    as: 'api',
    path: '/secrets/db',
    body: '{"name":"db","data":{"PGHOST":"canary-pghost-5d0c2a","PGPORT":90210443322110,"PGUSER":"canary-pguser-b7719e","PGPASSWORD":"canary-pgpassword-11fe83","LEDGER_ID":12345678901234567890},"missing":[]}',
  },
  {
    as: 'api',
    path: '/secrets/tls',
    body: `{"name":"tls","encoding":"base64","data":{"tls.crt":"${file('canary certificate 40ab\n')}","tls.key":"${file('canary private key 9e21\n')}"},"missing":[]}`,
  },
  {
    as: 'migrator',
    path: '/secrets/db?key=MIGRATOR_PASSWORD',
    body: '{"name":"db","data":{"MIGRATOR_PASSWORD":"canary-migrator-c04d5b"},"missing":[]}',
  },
  {
    as: 'reports',
    path: '/secrets/db.payments',
    body: '{"name":"db.payments","data":{"PGHOST":"canary-pghost-5d0c2a","PGPORT":90210443322110},"missing":[]}',
  },
  {
    as: 'reports',
    path: '/secrets/books',
    body: '{"name":"books","data":{"TOKEN":"canary-books-token-77d2"},"missing":[]}',
  },
  { as: 'stranger', path: '/secrets/db.payments', body: undefined },
]

const OUTAGES: readonly [Fault, ...Fault[]] = [
  cut('before'),
  cut('reset'),
  cut('mid-body'),
  garbage(Buffer.from(MARKER)),
  html(502),
]

/** Fails one call in six, for a reason of its own, and lets others overtake. */
function unreliable({ kubernetes, vault }: World, random: Random): void {
  const faulty =
    (faults: readonly [Fault, ...Fault[]]): Fault =>
    async (request, next, clock) => {
      for (let turns = random.whole(8); turns > 0; turns -= 1) await new Promise((resolve) => setImmediate(resolve))
      return random.whole(6) === 0 ? random.pick(faults)(request, next, clock) : next()
    }
  kubernetes.faults.inject({}, faulty([...OUTAGES, kubernetesStatus(429), kubernetesStatus(500)]))
  vault.faults.inject({}, faulty([...OUTAGES, vaultErrors(429), vaultErrors(500), vaultErrors(403)]))
}

/** What may be said to whoever is granted what it asks for. */
const OUTAGE_CODES = new Set(['KUBERNETES_UNAVAILABLE', 'VAULT_UNAVAILABLE', 'KEY_UNUSABLE'])

test.each([20261122, 7, 31337])(
  'two hundred at once over upstreams that fail at random: each gets its own or an outage, and a record (seed %i)',
  async (seed) => {
    await using world = await startWorld()
    const random = seeded(seed)
    unreliable(world, random)
    const tokens = new Map<Workload, [string, ...string[]]>()
    for (const { as } of KINDS) tokens.set(as, [world.tokenOf(as), world.tokenOf(as), world.tokenOf(as)])
    const tokenOf = (as: Workload): string => random.pick(tokens.get(as) ?? [''])

    const asked = Array.from({ length: 200 }, () => random.pick(KINDS))
    const asking = asked.map(({ as, path }) =>
      world.ask(path, { as, token: tokenOf(as), from: `127.0.0.${2 + random.whole(5)}` }),
    )
    const counts = { served: 0, failed: 0, strangers: 0 }
    for (const [index, reply] of (await Promise.all(asking)).entries()) {
      const { as, path, body } = asked[index] ?? KINDS[0]
      const told = `seed ${seed}: ${as} ${path}`
      if (reply.status === 200) {
        expect({ told, text: reply.text }).toEqual({ told, text: body })
        counts.served += 1
      } else if (OUTAGE_CODES.has(reply.problem().code)) {
        counts.failed += 1
      } else {
        expect({ told, body }).toEqual({ told, body: undefined })
        expect(`${told}: ${reply.problem().code}`).toMatch(/: (?:NOT_GRANTED|RATE_LIMITED)$/)
        counts.strangers += 1
      }
    }
    // Otherwise it showed nothing.
    expect(
      Math.min(counts.served, counts.failed, counts.strangers),
      `seed ${seed}: ${JSON.stringify(counts)}`,
    ).toBeGreaterThan(4)
    world.kubernetes.faults.clear()
    world.vault.faults.clear()
    await world.clock.advance(10_000)
    await world.bystander()
    world.served(await world.ask('/secrets/db'))
    expect(world.keyhole.serving.wired.services.turnstile.inside(), 'places given back').toBe(0)
  },
)

describe('one address', () => {
  const OVERLOADED: Refusal = { status: 503, code: 'OVERLOADED', retryAfter: 1, by: 'nobody' }

  /** Requests from 127.0.0.2 with tokens that are refused once they have been reviewed. */
  function flood(world: World, times: number): Promise<Reply>[] {
    return Array.from({ length: times }, (_, at) => {
      const [head, payload] = world.tokenOf('stranger').split('.')
      const token = `${head}.${payload}.${Buffer.from(`forged-${at}`).toString('base64url')}`
      return world.ask('/secrets/db', { as: 'stranger', token, from: '127.0.0.2' })
    })
  }

  const codes = (replies: readonly Reply[]): Record<string, number> => {
    const counted: Record<string, number> = {}
    for (const reply of replies) counted[reply.problem().code] = (counted[reply.problem().code] ?? 0) + 1
    return counted
  }

  test('that floods keyhole with tokens worth a review each has a quarter of the reviews, and the others the rest', async () => {
    await using world = await startWorld({
      settings: { KEYHOLE_REVIEWS_IN_FLIGHT: '8', KEYHOLE_REQUESTS_WAITING: '40' },
    })
    const forged: Fault = async (request, next) => {
      if (request.body.includes('Zm9yZ2VkL')) await released.promise
      return next()
    }
    const released = Promise.withResolvers<void>()
    world.kubernetes.faults.inject({ path: REVIEWS }, forged)
    world.kubernetes.requests.clear()
    // Two in flight, ten waiting, three too many.
    const flooding = flood(world, 15)
    let refused = 0
    for (const reply of flooding) void reply.then(() => (refused += 1))
    await until(() => refused === 3)
    expect(world.kubernetes.requests.count('POST', REVIEWS)).toBe(2)
    await world.bystander('127.0.0.3')
    await world.bystander('127.0.0.1')
    released.resolve()
    const replies = await Promise.all(flooding)
    expect(codes(replies)).toEqual({ OVERLOADED: 3, TOKEN_REJECTED: 12 })
    for (const reply of replies.filter(({ status }) => status === 503)) world.refused(reply, OVERLOADED)
    await world.bystander('127.0.0.2')
  })

  test('that holds its answers back has half of the places, and the others the rest', async () => {
    await using world = await startWorld({
      settings: { KEYHOLE_REQUESTS_IN_FLIGHT: '8', KEYHOLE_REQUESTS_WAITING: '8', KEYHOLE_REVIEWS_IN_FLIGHT: '64' },
    })
    const held = hold(world.vault, { path: DECRYPT })
    // Four inside, four waiting, two too many.
    const asking = Array.from({ length: 10 }, () => world.ask('/secrets/db', { from: '127.0.0.2' }))
    let refused = 0
    for (const reply of asking) void reply.then(() => (refused += 1))
    await until(() => refused === 2)
    await world.bystander('127.0.0.3')
    await world.bystander('127.0.0.1')
    held.release()
    const replies = await Promise.all(asking)
    for (const reply of replies) {
      if (reply.status === 200) world.served(reply)
      else world.refused(reply, OVERLOADED)
    }
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(8)
    await world.bystander('127.0.0.2')
  })

  test('whose requests wait for a place loses them when they leave, and the place is another one’s', async () => {
    await using world = await startWorld({
      settings: { KEYHOLE_REQUESTS_IN_FLIGHT: '2', KEYHOLE_REQUESTS_WAITING: '8' },
    })
    const { turnstile } = world.keyhole.serving.wired.services
    const held = hold(world.vault, { path: DECRYPT })
    const inside = world.ask('/secrets/db', { from: '127.0.0.2' })
    await held.arrived
    const leaving = new AbortController()
    const waiting = Array.from({ length: 4 }, () =>
      world.ask('/secrets/db', { from: '127.0.0.2', signal: leaving.signal }).catch(() => undefined),
    )
    await until(() => turnstile.waiting() === 4)
    leaving.abort()
    await Promise.all(waiting)
    await until(() => turnstile.waiting() === 0)
    await world.bystander('127.0.0.3')
    held.release()
    world.served(await inside)
    await until(() => turnstile.inside() === 0)
  })
})

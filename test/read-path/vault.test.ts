/** What Vault can answer to a decryption and to a login, and what is wrong with keys, roles and policies. */
import { describe, expect, test } from 'vitest'
import type { Fault } from '../../src/standins/faults.ts'
import { changeJson, cut, garbage, html, huge, redirect, silence, stall, status } from '../../src/standins/faults.ts'
import { KEYHOLE } from '../../src/testing/sample.ts'
import {
  announcing,
  DECRYPT,
  elsewhere,
  encoded,
  hold,
  LOGIN,
  MARKER,
  only,
  padded,
  REVIEWS,
  vaultErrors,
  wire,
} from './faults.ts'
import type { Refusal, World } from './world.ts'
import { DICTIONARY, startWorld, until } from './world.ts'

const AWAY: Refusal = { status: 503, code: 'VAULT_UNAVAILABLE', retryAfter: 2 }
const SEALED: Refusal = { status: 503, code: 'VAULT_SEALED', retryAfter: 5 }
const UNUSABLE: Refusal = { status: 422, code: 'KEY_UNUSABLE' }

const decrypts = ({ vault }: World): number => vault.requests.count('POST', DECRYPT)
const logins = ({ vault }: World): number => vault.requests.count('POST', LOGIN)

/** Every token of keyhole's has ended: the next call logs in. */
const tokensEnd = ({ clock }: World): Promise<void> => clock.advance(10_000)

/** Only what concerns the key of `db`: its role is `keyhole`, the bystander's is `spare`. */
const loginOfRole = (fault: Fault): Fault => only('"role":"keyhole"', fault)

type Reply = Record<string, unknown> & { data: Record<string, unknown> }
const plaintext = (edit: (value: unknown) => unknown): Fault =>
  changeJson((body) => ({
    ...body,
    data: { ...(body as Reply).data, plaintext: edit((body as Reply).data['plaintext']) },
  }))

/** How a decryption can go wrong, wherever it is asked for. */
const WRONG: readonly (readonly [string, Fault, Refusal])[] = [
  ['is 403, and 403 again after a new login', vaultErrors(403), UNUSABLE],
  ['is 429', vaultErrors(429, `request path "${MARKER}": rate limit quota exceeded`), AWAY],
  ['is 500', vaultErrors(500), AWAY],
  ['is 502 from a proxy', html(502), AWAY],
  ['is 503 of one that is sealed', vaultErrors(503, 'Vault is sealed'), SEALED],
  ['is 503 of a standby', vaultErrors(503, 'Vault is in standby mode'), SEALED],
  ['is 503 of a proxy', html(503), AWAY],
  ['is 412 of a replica that is behind', vaultErrors(412), SEALED],
  ['is 472 of a disaster recovery standby', vaultErrors(472), SEALED],
  ['is 473 of a performance standby', vaultErrors(473), SEALED],
  ['is cut off before it begins', cut('before'), AWAY],
  ['is reset', cut('reset'), AWAY],
  ['is no HTTP', garbage(Buffer.from(`${MARKER}\r\n\r\n`)), AWAY],
  ['is 64 MiB long', huge(64), AWAY],
]

/** How an answer of 200 can still be none; asked when the key is proven. */
const NO_PLAINTEXT: readonly (readonly [string, Fault])[] = [
  ['is cut in the middle', cut('mid-body')],
  ['announces more than it holds', wire('HTTP/1.1 200 OK\r\nContent-Length: 9999', MARKER)],
  ['says that it is compressed, unasked', encoded()],
  ['is longer than keyhole reads, and good otherwise', padded()],
  ['announces 64 MiB', announcing()],
  ["is a proxy's page with 200", html(200)],
  ['is empty', status(200, '')],
  ['is 204', status(204)],
  ['is a list', status(200, [])],
  ['has no data', status(200, { auth: null })],
  ['has data that is none', status(200, { data: MARKER })],
  ['has no plaintext', changeJson((body) => ({ ...body, data: {} }))],
  ['has two plaintexts', status(200, '{"data":{"plaintext":"e30=","plaintext":"e30="}}')],
  ['has plaintext that is no text', plaintext(() => 7)],
  ['has plaintext that is no base64', plaintext(() => '%%%')],
  ['has plaintext in base64url', plaintext(() => 'e30_')],
  ['has plaintext without its padding', plaintext((text) => String(text).replace(/=*$/, '').slice(0, -1))],
  [
    'is JSON with something behind it',
    wire('HTTP/1.1 200 OK\r\nContent-Length: 31', '{"data":{"plaintext":"e30="}} x'),
  ],
  ['is nested without end', status(200, '['.repeat(200_000))],
]

describe('a decryption', () => {
  test.each<readonly [string, Fault, Refusal]>([
    ...WRONG,
    ['is 400 for a reason not known here', vaultErrors(400), UNUSABLE],
    ['is 400 without a reason', status(400, MARKER), UNUSABLE],
    ['is 400 of a key that is gone', vaultErrors(400, 'encryption key not found'), UNUSABLE],
    ['is 404 of a mount that is gone', vaultErrors(404), UNUSABLE],
    ['is 405 of a mount that is another', vaultErrors(405), UNUSABLE],
    ...NO_PLAINTEXT.map(([title, fault]) => [title, fault, AWAY] as const),
  ])('whose answer %s discloses nothing, and the next is served', async (_title, fault, refusal) => {
    await using world = await startWorld()
    world.vault.faults.inject({ path: DECRYPT }, fault)
    world.vault.requests.clear()
    const reply = await world.ask('/secrets/db')
    world.refused(reply, refusal)
    expect(decrypts(world), 'tried again only with a new token').toBe(logins(world) + 1)
    expect(world.keyhole.logLines.some((line) => line.includes(reply.requestId))).toBe(true)
    await world.bystander()
    world.vault.faults.clear()
    world.served(await world.ask('/secrets/db'))
  })

  test('that is 403 once is a token that ended: one new login, and served', async () => {
    await using world = await startWorld()
    world.vault.faults.inject({ path: DECRYPT, calls: [1] }, vaultErrors(403, 'permission denied'))
    world.vault.requests.clear()
    world.served(await world.ask('/secrets/db'))
    expect([logins(world), decrypts(world)]).toEqual([1, 2])
  })

  test('under a token that ends on the way is served under a new one', async () => {
    await using world = await startWorld()
    // Vault's clock is the same as keyhole's: what looks alive when it leaves is dead when it arrives.
    world.vault.faults.inject({ path: DECRYPT, calls: [1] }, (_request, next) => {
      world.clock.set(world.clock.now() + 11_000)
      return next()
    })
    world.vault.requests.clear()
    world.served(await world.ask('/secrets/db'))
    const answers = world.vault.requests.entries().map(({ path, status }) => [path, status])
    expect(answers).toEqual([
      [DECRYPT, 403],
      [LOGIN, 200],
      [DECRYPT, 200],
    ])
  })

  test.each([301, 302, 307, 308])('that is redirected by %i takes no Vault token elsewhere', async (code) => {
    await using world = await startWorld()
    await using other = await elsewhere()
    world.vault.faults.inject({ path: DECRYPT }, redirect(`${other.url}${DECRYPT}`, code))
    world.refused(await world.ask('/secrets/db'), AWAY)
    await world.bystander()
    expect(other.visits()).toBe(0)
  })

  test.each([
    ['silence', silence()],
    ['half an answer, and then silence', stall()],
  ])('met by %s costs one caller its two seconds, and the others nothing', async (_title, fault) => {
    await using world = await startWorld()
    world.vault.faults.inject({ path: DECRYPT }, fault)
    const held = hold(world.vault, { path: DECRYPT })
    const reply = world.ask('/secrets/db')
    await held.arrived
    held.release()
    await world.bystander()
    await world.clock.advance(2_000)
    world.refused(await reply, AWAY)
    world.vault.faults.clear()
    world.served(await world.ask('/secrets/db'))
  })
})

describe('a key that is not proven yet', () => {
  /** keyhole starts while the fault is there, so that it knows nothing of the key when the request comes. */
  async function startUnproven(fault: Fault): Promise<World> {
    const world = await startWorld({
      unproven: true,
      before: ({ vault }) => vault.faults.inject({ path: DECRYPT }, fault),
    })
    await until(() => world.keyhole.serving.wired.keys.conditions().has('spare'))
    return world
  }

  test.each<readonly [string, Fault, Refusal]>(WRONG)(
    'is not taken for a good one when the answer about it %s',
    async (_title, fault, refusal) => {
      await using world = await startUnproven(fault)
      world.refused(await world.ask('/secrets/db'), refusal)
      await world.bystander()
      world.vault.faults.clear()
      await world.clock.advance(10_000)
      world.served(await world.ask('/secrets/db'))
    },
  )

  test.each<readonly [string, Fault]>([
    ['opens what cannot be a ciphertext', status(200, { data: { plaintext: 'e30=' } })],
    [
      'looks at the ciphertext without asking for its context',
      vaultErrors(400, 'invalid ciphertext: could not decode base64'),
    ],
    ['refuses for a reason not known here', vaultErrors(400)],
    [
      'says that all versions there can be are too old',
      vaultErrors(400, 'ciphertext or signature version is disallowed by policy (too old)'),
    ],
  ])('is not taken for a good one when it %s', async (_title, fault) => {
    await using world = await startUnproven(fault)
    const reply = await world.ask('/secrets/db')
    expect(reply.status).toBeGreaterThanOrEqual(422)
    await world.bystander()
  })

  test('is asked about once for all who wait, and each is answered', async () => {
    await using world = await startWorld({ before: ({ vault }) => vault.seal(), unproven: true })
    await until(() => world.vault.requests.entries().length >= 2)
    world.vault.unseal()
    const probe = hold(world.vault, { path: DECRYPT })
    const asking = [world.ask('/secrets/db'), world.ask('/secrets/db', { as: 'migrator' }), world.ask('/secrets/db')]
    await probe.arrived
    world.vault.requests.clear()
    await until(() => world.kubernetes.requests.count('GET', /payments-db$/) === 3)
    probe.release()
    const [first, second, third] = await Promise.all(asking)
    if (first === undefined || second === undefined || third === undefined) throw new Error('three were asked')
    world.served(first)
    world.served(second, 'migrator')
    world.served(third)
    expect(decrypts(world), 'the probe was under way; each has a decryption of its own').toBe(3)
  })
})

describe('a key', () => {
  test.each<readonly [string, (world: World) => void, why: string]>([
    ['is missing', ({ vault }) => vault.transit().deleteKey('payments'), 'transit-key-missing'],
    [
      'is not derived',
      ({ vault }) => {
        vault.transit().deleteKey('payments')
        vault.transit().putKey('payments', { derived: false })
      },
      'transit-key-not-derived',
    ],
  ])(
    'that %s serves nobody, says what to do, and serves again ten seconds after it is mended',
    async (_title, ruin, why) => {
      await using world = await startWorld({ before: (upstream) => ruin(upstream as unknown as World) })
      // What a key that ignores the context would open, here and anywhere.
      if (why === 'transit-key-not-derived') world.upstream.put('payments-db', 'secrets.json', DICTIONARY)
      const reply = await world.ask('/secrets/db')
      world.refused(reply, { ...UNUSABLE, why })
      expect(world.keyhole.logLines.find((line) => line.includes(reply.requestId))).toContain('derived=true')
      await world.bystander()
      world.vault.transit().deleteKey('payments')
      world.vault.transit().putKey('payments', { derived: true })
      world.upstream.put('payments-db', 'secrets.json', DICTIONARY)
      world.refused(await world.ask('/secrets/db'), { ...UNUSABLE, why })
      await world.clock.advance(10_000)
      world.served(await world.ask('/secrets/db'))
    },
  )

  test.each([2, 5, 200])(
    'whose versions below %i were retired before keyhole started is proven all the same',
    async (version) => {
      await using world = await startWorld({
        before({ vault, put }) {
          while ((vault.transit().key('payments')?.latestVersion ?? 0) < version + 1)
            vault.transit().rotateKey('payments')
          put('payments-db', 'secrets.json', DICTIONARY)
          vault.transit().configureKey('payments', { minDecryptionVersion: version })
        },
      })
      expect(world.keyhole.serving.wired.keys.conditions().get('payments')).toBe('derived')
      world.served(await world.ask('/secrets/db'))
    },
  )

  test('that is not derived is found out though its old versions were retired', async () => {
    await using world = await startWorld({
      before({ vault }) {
        vault.transit().deleteKey('payments')
        vault.transit().putKey('payments', { derived: false })
        for (let version = 1; version < 6; version += 1) vault.transit().rotateKey('payments')
        vault.transit().configureKey('payments', { minDecryptionVersion: 5 })
      },
    })
    world.upstream.put('payments-db', 'secrets.json', DICTIONARY)
    world.refused(await world.ask('/secrets/db'), { ...UNUSABLE, why: 'transit-key-not-derived' })
  })

  test('that keyhole may not use is the fault of that key: the policy is missing', async () => {
    await using world = await startWorld()
    world.vault.deletePolicy('keyhole-read')
    const reply = await world.ask('/secrets/db')
    world.refused(reply, { ...UNUSABLE, why: 'vault-forbidden' })
    expect(world.keyhole.logLines.find((line) => line.includes(reply.requestId))).toContain('policy')
    await world.bystander()
  })
})

describe('a login', () => {
  test.each<readonly [string, Fault, Refusal]>([
    ['is 403', vaultErrors(403, 'permission denied'), { ...AWAY, why: 'vault-unauthorized' }],
    ['is 400 for a reason not known here', vaultErrors(400), UNUSABLE],
    ['is 429', vaultErrors(429), AWAY],
    ['is 500', vaultErrors(500), AWAY],
    ['is 503 of one that is sealed', vaultErrors(503, 'Vault is sealed'), SEALED],
    ['is a page of a proxy', html(502), AWAY],
    ['is a page of a proxy with 200', html(200), AWAY],
    ['is no HTTP', garbage(Buffer.from(`${MARKER}\r\n\r\n`)), AWAY],
    ['is cut in the middle', cut('mid-body'), AWAY],
    ['is 64 MiB long', huge(64), AWAY],
    ['is empty', status(200, ''), AWAY],
    ['brings no token', changeJson((body) => ({ ...body, auth: null })), AWAY],
    [
      'brings a token with a line end',
      changeJson((body) => ({ ...body, auth: { ...(body['auth'] as object), client_token: `a\r\n${MARKER}` } })),
      AWAY,
    ],
    [
      'brings a token that never ends',
      changeJson((body) => ({ ...body, auth: { ...(body['auth'] as object), lease_duration: 0 } })),
      AWAY,
    ],
  ])('whose answer %s opens nothing, and the next one does', async (_title, fault, refusal) => {
    await using world = await startWorld()
    await tokensEnd(world)
    world.vault.faults.inject({ path: LOGIN }, loginOfRole(fault))
    world.refused(await world.ask('/secrets/db'), refusal)
    await world.bystander()
    world.vault.faults.clear()
    world.served(await world.ask('/secrets/db'))
  })

  test('that Vault refuses because it cannot reach the API server is an outage, with keys proven or not', async () => {
    await using world = await startWorld({
      unproven: true,
      // Vault's own review of keyhole's token, which names the audience vault.
      before: ({ kubernetes }) => kubernetes.faults.inject({ path: REVIEWS }, only('"vault"', status(500, MARKER))),
    })
    await until(() => world.vault.requests.count('POST', LOGIN) >= 2)
    world.refused(await world.ask('/secrets/db'), { ...AWAY, why: 'vault-unauthorized' })
    world.refused(await world.ask('/secrets/books', { as: 'reports' }), { ...AWAY, by: 'reports' })
    world.kubernetes.faults.clear()
    world.served(await world.ask('/secrets/db'))
  })

  test.each<readonly [string, (world: World) => void, Refusal, string]>([
    ['does not exist', ({ vault }) => vault.deleteRole('keyhole'), { ...UNUSABLE, why: 'vault-role-missing' }, 'role'],
    [
      'is bound to somebody else',
      ({ vault }) =>
        vault.putRole({
          name: 'keyhole',
          audience: 'vault',
          serviceAccountNames: ['other'],
          serviceAccountNamespaces: ['other'],
          policies: [],
        }),
      AWAY,
      'binds',
    ],
    [
      'wants another audience',
      ({ vault }) =>
        vault.putRole({
          name: 'keyhole',
          audience: 'other',
          serviceAccountNames: [KEYHOLE.serviceAccount],
          serviceAccountNamespaces: [KEYHOLE.namespace],
          policies: [],
        }),
      AWAY,
      'audience',
    ],
  ])('of a role that %s is refused with what to do', async (_title, ruin, refusal, fix) => {
    await using world = await startWorld()
    await tokensEnd(world)
    ruin(world)
    const reply = await world.ask('/secrets/db')
    world.refused(reply, refusal)
    expect(world.keyhole.logLines.find((line) => line.includes(reply.requestId))).toContain(fix)
    await world.bystander()
    world.vault.putRole({
      name: 'keyhole',
      audience: 'vault',
      serviceAccountNames: [KEYHOLE.serviceAccount],
      serviceAccountNamespaces: [KEYHOLE.namespace],
      policies: ['keyhole-read'],
    })
    world.served(await world.ask('/secrets/db'))
  })

  test('of a role that is missing when keyhole starts is tried again after ten seconds', async () => {
    await using world = await startWorld({ before: ({ vault }) => vault.deleteRole('spare') })
    world.refused(await world.ask('/secrets/books', { as: 'reports' }), {
      ...UNUSABLE,
      by: 'reports',
      why: 'transit-key-role-refused',
    })
    world.served(await world.ask('/secrets/db'))
    world.vault.putRole({
      name: 'spare',
      audience: 'vault',
      serviceAccountNames: [KEYHOLE.serviceAccount],
      serviceAccountNamespaces: [KEYHOLE.namespace],
      policies: ['spare'],
    })
    await world.clock.advance(10_000)
    await world.bystander()
  })

  test('met by silence costs those who wait for it their two seconds, and the others nothing', async () => {
    await using world = await startWorld()
    await tokensEnd(world)
    world.vault.faults.inject({ path: LOGIN }, loginOfRole(silence()))
    const held = hold(world.vault, { path: LOGIN })
    const waiting = [world.ask('/secrets/db'), world.ask('/secrets/db', { as: 'migrator' })]
    await held.arrived
    held.release()
    await until(() => world.kubernetes.requests.count('GET', /payments-db$/) >= 2)
    // Served behind what both were answered: by then both wait for the login.
    await world.bystander()
    await world.clock.advance(2_000)
    const [first, second] = await Promise.all(waiting)
    if (first === undefined || second === undefined) throw new Error('two were asked')
    world.refused(first, AWAY)
    world.refused(second, { ...AWAY, by: 'migrator' })
    expect(logins(world)).toBeLessThanOrEqual(4)
  })
})

describe('a batch', () => {
  interface Result {
    plaintext?: string
    reference?: string
    error?: string
  }
  const results = (edit: (all: Result[]) => unknown): Fault =>
    changeJson((body) => ({
      ...body,
      data: { batch_results: edit((body as Reply).data['batch_results'] as Result[]) },
    }))

  test.each<readonly [string, Fault]>([
    ['comes back in another order', results((all) => all.toReversed())],
    [
      'comes back with two plaintexts exchanged',
      results(([a, b]) => [
        { ...a, ...b, reference: '0' },
        { ...b, ...a, reference: '0' },
      ]),
    ],
    ['comes back without references', results((all) => all.map(({ reference: _, ...result }) => result))],
    ['lacks one', results((all) => all.slice(1))],
    ['has one more', results((all) => [...all, { plaintext: 'e30=', reference: '2' }])],
    ['is empty', results(() => [])],
    ['is no list', results(() => MARKER)],
    ['has an item without plaintext', results(([a, b]) => [a, { reference: b?.reference }])],
  ])('that %s discloses no file of it', async (_title, fault) => {
    await using world = await startWorld()
    const injected = world.vault.faults.inject({ path: DECRYPT }, fault)
    world.refused(await world.ask('/secrets/tls'), AWAY)
    injected.remove()
    expect((await world.ask('/secrets/tls')).status).toBe(200)
  })

  test.each<readonly [string, string, Refusal]>([
    ['an error that is known', 'cipher: message authentication failed', { status: 422, code: 'CIPHERTEXT_REJECTED' }],
    ['an error that is not known', MARKER, UNUSABLE],
  ])('of which one item has %s, with 200 all the same, discloses no file of it', async (_title, error, refusal) => {
    await using world = await startWorld()
    world.vault.faults.inject(
      { path: DECRYPT },
      results(([a, b]) => [a, { ...b, error }]),
    )
    world.refused(await world.ask('/secrets/tls'), refusal)
    await world.bystander()
  })
})

test('ciphertext of another cluster, under the same Transit key, does not open', async () => {
  await using world = await startWorld({ settings: { KEYHOLE_REALM: 'another' } })
  world.refused(await world.ask('/secrets/db'), {
    status: 422,
    code: 'CIPHERTEXT_REJECTED',
    why: 'vault-not-authentic',
  })
})

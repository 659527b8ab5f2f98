/** Ten minutes without Vault, or without the API server: no wrong answer, no unreadiness, and recovery at the next request. */
import { expect, test } from 'vitest'
import type { Refusal, World } from './world.ts'
import { startWorld } from './world.ts'

const STEP_MS = 10_000
const MINUTES_10 = 600_000

async function readiness({ keyhole }: World): Promise<string> {
  return await (await fetch(`${keyhole.managementUrl}/readyz?verbose`)).text()
}

test.each<readonly [string, (world: World) => Promise<void> | void, (world: World) => Promise<void> | void, Refusal]>([
  [
    'down',
    ({ vault }) => vault.stop(),
    ({ vault }) => vault.restart(),
    { status: 503, code: 'VAULT_UNAVAILABLE', retryAfter: 2 },
  ],
  [
    'sealed',
    ({ vault }) => vault.seal(),
    ({ vault }) => vault.unseal(),
    { status: 503, code: 'VAULT_SEALED', retryAfter: 5 },
  ],
])('ten minutes with Vault %s', async (_title, begin, end, refusal) => {
  await using world = await startWorld()
  const known = await world.ask('/secrets/db')
  world.served(known)
  await begin(world)
  for (let passedMs = 0; passedMs < MINUTES_10; passedMs += STEP_MS) {
    await world.clock.advance(STEP_MS)
    world.refused(await world.ask('/secrets/db'), refusal)
    world.refused(await world.ask('/secrets/db.payments', { as: 'stranger' }), {
      status: 403,
      code: 'NOT_GRANTED',
      by: 'stranger',
    })
  }
  const headers = { 'if-none-match': known.headers['etag'] ?? '' }
  expect((await world.ask('/secrets/db', { headers })).status, 'what needs no Vault goes on').toBe(304)
  expect((await world.ask('/secrets')).status).toBe(200)
  const page = await readiness(world)
  expect(page, 'told, and no reason to be taken out of service').toMatch(/\[-\] vault: .*\n(?:.*\n)*ready\n$/)
  await end(world)
  world.served(await world.ask('/secrets/db'))
  await world.bystander()
  expect(await readiness(world)).toMatch(/\[\+\] vault: answers\n/)
})

test('ten minutes without the API server', async () => {
  await using world = await startWorld()
  const token = world.tokenOf('api')
  world.served(await world.ask('/secrets/db', { token }))
  await world.kubernetes.stop()
  const refusal: Refusal = { status: 503, code: 'KUBERNETES_UNAVAILABLE', retryAfter: 2 }
  world.refused(await world.ask('/secrets/db', { token }), { ...refusal, why: 'kubernetes-unavailable' })
  for (let passedMs = 0; passedMs < MINUTES_10; passedMs += STEP_MS) {
    await world.clock.advance(STEP_MS)
    // Nobody can be identified, whatever was known of the token before.
    world.refused(await world.ask('/secrets/db', { token }), { ...refusal, by: 'nobody' })
  }
  expect(await readiness(world)).toMatch(/\[-\] kubernetes: .*\n(?:.*\n)*ready\n$/)
  await world.kubernetes.restart()
  world.served(await world.ask('/secrets/db', { token }))
  await world.bystander()
})

test('both away when keyhole starts, it starts all the same, and serves once they are there', async () => {
  await using world = await startWorld({
    unproven: true,
    before({ kubernetes, vault }) {
      void kubernetes.stop()
      void vault.stop()
    },
  })
  expect(await readiness(world)).toMatch(/ready\n$/)
  world.refused(await world.ask('/secrets/db'), {
    status: 503,
    code: 'KUBERNETES_UNAVAILABLE',
    retryAfter: 2,
    by: 'nobody',
  })
  await world.kubernetes.restart()
  world.refused(await world.ask('/secrets/db'), { status: 503, code: 'VAULT_UNAVAILABLE', retryAfter: 2 })
  await world.vault.restart()
  world.served(await world.ask('/secrets/db'))
  await world.bystander()
})

/** How many Secrets a rotator has in hand at the API server at once: as many as KEYHOLE_ROTATION_PARALLEL says, by default one. */
import { setTimeout } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { KEYHOLE, putSealed } from '../../src/testing/sample.ts'
import type { RotationWorld } from './rotation-world.ts'
import { ROTATION_POLICY, reportIn, startRotationWorld } from './rotation-world.ts'

/** Beside the two of the sample. */
const MORE = ['a', 'b', 'c', 'd', 'e'].map((letter) => `payments-${letter}`)

const GRANTS = MORE.map(
  (name) => `apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: ${name}, namespace: payments }
spec:
  secretRef: { name: ${name}, key: secrets.json }
  transitKey: payments
  readers: [{ serviceAccount: api, allKeys: true }]
`,
)

function seedMore({ kubernetes, vault }: RotationWorld): void {
  for (const name of MORE) putSealed(kubernetes, vault, { namespace: 'payments', name, data: { 'secrets.json': '{}' } })
  kubernetes.allow(
    { namespace: KEYHOLE.namespace, name: KEYHOLE.serviceAccount },
    { verbs: ['get', 'patch'], group: '', resource: 'secrets', namespace: 'payments', names: MORE },
  )
}

/** No test is timed: this is how long others get that should not come. */
const GRACE_MS = 20
const TURNS = 1_000

/**
 * The most calls about Secrets at once, by method, while this goes on. Each waits until there are as many as are wanted, for
 * once at least, and then a little longer for one too many.
 */
async function mostAtOnce(
  { kubernetes }: RotationWorld,
  wanted: number,
  act: () => Promise<unknown>,
): Promise<Readonly<Record<string, number>>> {
  const inside: Record<string, number> = {}
  const most: Record<string, number> = {}
  let turns = 0
  const injected = kubernetes.faults.inject({ path: /\/secrets\// }, async ({ method }, next) => {
    inside[method] = (inside[method] ?? 0) + 1
    most[method] = Math.max(most[method] ?? 0, inside[method])
    for (; turns < TURNS && most[method] < wanted; turns += 1) await setTimeout(GRACE_MS)
    await setTimeout(GRACE_MS)
    inside[method] -= 1
    return await next()
  })
  await act()
  injected.remove()
  return most
}

describe.each([
  ['by default', {}, 1],
  ['as KEYHOLE_ROTATION_PARALLEL says', { KEYHOLE_ROTATION_PARALLEL: '3' }, 3],
] as const)('%s', (_, settings, wanted) => {
  async function start(): Promise<RotationWorld> {
    const world = await startRotationWorld({
      settings,
      policy: { ...ROTATION_POLICY, 'more.yaml': GRANTS.join('---\n') },
    })
    seedMore(world)
    return world
  }

  it(`a rotation reads and writes ${wanted} at once`, async () => {
    await using world = await start()
    const most = await mostAtOnce(world, wanted, async () => {
      expect(reportIn(await world.rotate())).toMatchObject({ complete: true })
    })
    expect(most).toEqual({ GET: wanted, PATCH: wanted })
  })

  it(`a dry run reads ${wanted} at once`, async () => {
    await using world = await start()
    const most = await mostAtOnce(world, wanted, async () => {
      expect(reportIn(await world.rotate({ body: { dryRun: true } }))).toMatchObject({ complete: true })
    })
    expect(most).toEqual({ GET: wanted })
  })

  it(`a survey reads ${wanted} at once`, async () => {
    await using world = await start()
    await world.clock.advance(10_000)
    const most = await mostAtOnce(world, wanted, async () => {
      expect((await world.status()).ledger[0]).toMatchObject({ key: 'payments', secrets: 2 + MORE.length, blocked: [] })
    })
    expect(most).toEqual({ GET: wanted })
  })
})

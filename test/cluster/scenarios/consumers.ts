/** What pods of teams get: their subset of one dictionary, and nobody else's. */
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { until } from '../../servers/until.ts'
import { ask } from '../probe.ts'
import type { ClusterWorld } from '../world.ts'

/** @param dictionary what the tutorial stored in payments/payments-db. */
export function consumers(world: () => ClusterWorld, dictionary: Readonly<Record<string, unknown>>): void {
  const hashesOf = (...keys: readonly string[]) =>
    Object.fromEntries(
      keys.map((key) => [key, createHash('sha256').update(JSON.stringify(dictionary[key])).digest('hex')]),
    )

  describe('a pod of a team', () => {
    test('has its keys at boot, and serves', async () => {
      const { kubectl } = world()
      await kubectl('-n', 'payments', 'rollout', 'status', 'deployment/api', '--timeout=120s')
      await until('the example says so', async () =>
        (await kubectl('-n', 'payments', 'logs', 'deployment/api')).includes('PGPASSWORD'),
      )
      expect(await kubectl('-n', 'payments', 'logs', 'deployment/api')).not.toContain(String(dictionary['PGPASSWORD']))
    })

    test('gets its subset', async () => {
      expect(await ask(world(), { namespace: 'payments', serviceAccount: 'api' })).toEqual({
        status: 200,
        data: hashesOf('PGHOST', 'PGUSER', 'PGPASSWORD'),
      })
    })

    test('has a neighbour of the same namespace that gets another', async () => {
      expect(await ask(world(), { namespace: 'payments', serviceAccount: 'migrator' })).toEqual({
        status: 200,
        data: hashesOf(...Object.keys(dictionary)),
      })
    })

    test('has one of another namespace that gets a third', async () => {
      expect(await ask(world(), { namespace: 'bi', serviceAccount: 'reports', path: '/secrets/db.payments' })).toEqual({
        status: 200,
        data: hashesOf('PGHOST'),
      })
    })

    test('is refused a key of its neighbour', async () => {
      const asked = { namespace: 'payments', serviceAccount: 'api', path: '/secrets/db?key=MIGRATOR_PASSWORD' }
      expect(await ask(world(), asked)).toEqual({ status: 403, code: 'NOT_GRANTED' })
    })

    test('is refused with the wrong ServiceAccount', async () => {
      const { kubectl } = world()
      await kubectl.apply(serviceAccount('payments', 'stranger'))
      const asked = { namespace: 'payments', serviceAccount: 'stranger' }
      expect(await ask(world(), asked)).toEqual({ status: 403, code: 'NOT_GRANTED' })
    })

    test('is refused with the right name in the wrong namespace', async () => {
      const { kubectl } = world()
      await kubectl.apply(serviceAccount('bi', 'api'))
      const asked = { namespace: 'bi', serviceAccount: 'api', path: '/secrets/db.payments' }
      expect(await ask(world(), asked)).toEqual({ status: 403, code: 'NOT_GRANTED' })
    })

    test("is refused with a token for the API server's audience", async () => {
      const asked = {
        namespace: 'payments',
        serviceAccount: 'api',
        audience: 'https://kubernetes.default.svc.cluster.local',
      }
      expect(await ask(world(), asked)).toEqual({ status: 401, code: 'TOKEN_AUDIENCE' })
    })
  })
}

function serviceAccount(namespace: string, name: string): object {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } }
}

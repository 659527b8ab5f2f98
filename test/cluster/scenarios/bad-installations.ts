/** What goes wrong in installations, as a cluster shows it: pods that wait and say why, and go on when it is mended. */
import { describe, expect, test } from 'vitest'
import { until } from '../../servers/until.ts'
import { NAMESPACE, podsOf, restartsOf, settled } from '../installation.ts'
import type { ClusterWorld } from '../world.ts'

export function badInstallations(world: () => ClusterWorld): void {
  describe('a bad installation', () => {
    test('without the TLS Secret has no Ready pod and no crash, serves on as before, and goes on when the Secret is there', async () => {
      const { kubectl } = world()
      const secret = await kubectl.json<SecretObject>('-n', NAMESPACE, 'get', 'secret', 'keyhole-tls')
      await kubectl('-n', NAMESPACE, 'delete', 'secret', 'keyhole-tls')
      const served = await podsOf(kubectl, 'keyhole')
      await kubectl('-n', NAMESPACE, 'rollout', 'restart', 'deployment/keyhole')
      try {
        let said = ''
        await until(
          'a pod runs, and says what it waits for',
          async () => {
            said = (await Promise.all((await waiting(world())).map((pod) => logOf(world(), pod)))).join('')
            return said.includes('"msg":"waiting to start"')
          },
          { withinMs: 60_000, everyMs: 500 },
        )
        expect(said).toMatch(/"setting":"KEYHOLE_TLS_CERT_FILE".*"fix":"put a certificate .*"msg":"waiting to start"/)
        const still = await podsOf(kubectl, 'keyhole')
        expect(served.every(({ metadata }) => still.some((pod) => pod.metadata.uid === metadata.uid))).toBe(true)
      } finally {
        const { type, data } = secret
        const metadata = { name: 'keyhole-tls', namespace: NAMESPACE }
        await kubectl.apply({ apiVersion: 'v1', kind: 'Secret', metadata, type, data })
      }
      await settled(kubectl)
      expect(restartsOf(await podsOf(kubectl, 'keyhole'))).toBe(0)
    })
  })
}

/** Nothing of a pod whose container does not run yet. */
async function logOf({ kubectl }: ClusterWorld, pod: string): Promise<string> {
  return (await kubectl.attempt('-n', NAMESPACE, 'logs', pod)).stdout
}

interface SecretObject {
  readonly type: string
  readonly data: Readonly<Record<string, string>>
}

/** Pods of the reader that are there and not Ready. */
async function waiting({ kubectl }: ClusterWorld): Promise<readonly string[]> {
  const { items } = await kubectl.json<{ items: readonly Listed[] }>('-n', NAMESPACE, 'get', 'pods')
  return items
    .filter(({ metadata, status }) => {
      const isReader = /^keyhole-[a-z0-9]+-[a-z0-9]{5}$/.test(metadata.name)
      return (
        isReader && !status.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True')
      )
    })
    .map(({ metadata }) => metadata.name)
}

interface Listed {
  readonly metadata: { readonly name: string }
  readonly status: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
}

/** What goes wrong in installations, as a cluster shows it: pods that wait and say why, and go on when it is mended. */
import { describe, expect, test } from 'vitest'
import { until } from '../../servers/until.ts'
import type { Pod } from '../installation.ts'
import { NAMESPACE, podsOf, restartsOf, settled } from '../installation.ts'
import type { ClusterWorld } from '../world.ts'

export function badInstallations(world: () => ClusterWorld): void {
  describe('a bad installation', () => {
    test('without the TLS Secret has no Ready pod and no crash, serves on as before, and goes on when the Secret is there', async () => {
      const { kubectl } = world()
      const secret = await kubectl.json<SecretObject>('-n', NAMESPACE, 'get', 'secret', 'keyhole-tls')
      await kubectl('-n', NAMESPACE, 'delete', 'secret', 'keyhole-tls')
      try {
        await certificateIsGone(world(), await podsOf(kubectl, 'keyhole'))
        const served = await podsOf(kubectl, 'keyhole')
        await kubectl('-n', NAMESPACE, 'rollout', 'restart', 'deployment/keyhole')
        let said = ''
        await until(
          'a pod runs, and says what it waits for',
          async () => {
            said = (await Promise.all((await waiting(world())).map((pod) => logOf(world(), pod)))).join('')
            return said.includes('"msg":"waiting to start"')
          },
          { withinMs: 120_000, everyMs: 500 },
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

/** The kubelet hears of it a moment after the Secret is deleted, and until then gives the Secret to new pods, too. */
async function certificateIsGone({ kubectl }: ClusterWorld, pods: readonly Pod[]): Promise<void> {
  const look = 'process.exit(require("node:fs").existsSync("/etc/keyhole/tls/tls.crt") ? 1 : 0)'
  for (const { metadata } of pods) {
    const exec = ['-n', NAMESPACE, 'exec', metadata.name, '--', '/nodejs/bin/node', '-e', look]
    const gone = async () => (await kubectl.attempt(...exec)).status === 0
    await until(`the certificate is gone from ${metadata.name}`, gone, { withinMs: 120_000, everyMs: 1_000 })
  }
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
  return (await podsOf(kubectl, 'keyhole'))
    .filter(({ status }) => !status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'))
    .map(({ metadata }) => metadata.name)
}

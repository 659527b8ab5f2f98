/** The manifests as the cluster enforces them. */
import { describe, expect, test } from 'vitest'
import { until } from '../../servers/until.ts'
import { DEPLOYMENTS, NAMESPACE, podsOf, restartsOf, settled } from '../installation.ts'
import type { Ran } from '../kubectl.ts'
import type { ClusterWorld } from '../world.ts'

export function posture(world: () => ClusterWorld): void {
  describe('the pods', () => {
    test('are all Ready in a namespace that enforces the restricted profile', async () => {
      const { kubectl } = world()
      await settled(kubectl)
      const { metadata } = await kubectl.json<Namespace>('get', 'namespace', NAMESPACE)
      expect(metadata.labels['pod-security.kubernetes.io/enforce']).toBe('restricted')
      expect(await podsOf(kubectl, 'keyhole')).toHaveLength(3)
      expect(restartsOf(await podsOf(kubectl))).toBe(0)
    })

    test('have a neighbour refused that would run as root', async () => {
      const overrides = { spec: { containers: [{ name: 'x', image: 'x', securityContext: { runAsUser: 0 } }] } }
      const refused = await world().kubectl.attempt(
        ...['-n', NAMESPACE, 'run', 'x', '--image=x', `--overrides=${JSON.stringify(overrides)}`],
      )
      expect(refused.status).not.toBe(0)
      expect(refused.stderr).toContain('violates PodSecurity "restricted')
    })

    test.each(DEPLOYMENTS)('of %s have no shell, run as nobody, and can write nothing', async (deployment) => {
      const { kubectl } = world()
      const exec = (...command: readonly string[]) =>
        kubectl.attempt('-n', NAMESPACE, 'exec', `deployment/${deployment}`, '--', ...command)
      expect((await exec('sh', '-c', 'true')).status).not.toBe(0)
      expect((await exec('/bin/sh', '-c', 'true')).status).not.toBe(0)
      const program = `
        const { writeFileSync } = require('node:fs')
        const codes = ['/x', '/app/x', '/tmp/x', '/etc/keyhole/policy/x', '/etc/keyhole/tls/x'].map((path) => {
          try { writeFileSync(path, ''); return path } catch ({ code }) { return code }
        })
        console.log(JSON.stringify({ uid: process.getuid(), codes: [...new Set(codes)] }))`
      const { stdout } = await exec('/nodejs/bin/node', '-e', program)
      const { uid, codes } = JSON.parse(stdout) as { uid: number; codes: readonly string[] }
      expect(uid).toBe(65_532)
      expect(codes.filter((code) => code !== 'EROFS' && code !== 'ENOENT')).toEqual([])
    })

    test.each(DEPLOYMENTS)('of %s find nothing wrong with their installation', async (deployment) => {
      const { kubectl } = world()
      let checked: Ran | undefined
      const check = async () => {
        checked = await kubectl.attempt('-n', NAMESPACE, 'exec', `deployment/${deployment}`, '--', 'keyhole', 'check')
        return checked.status === 0
      }
      // A call that takes too long on a busy machine is told of too. What does not pass is told below.
      await until('keyhole check finds nothing', check, { withinMs: 60_000, everyMs: 1_000 }).catch(() => {})
      expect(checked?.stdout).not.toMatch(/^(?:fix|wait)/m)
      expect(checked?.status, checked?.stdout).toBe(0)
    })
  })
}

interface Namespace {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> }
}

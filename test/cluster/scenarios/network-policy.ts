/** Who may talk to whom, enforced. Needs a cluster whose network enforces NetworkPolicies. */
import { describe, expect, test } from 'vitest'
import { NAMESPACE, podsOf } from '../installation.ts'
import { startProbe } from '../probe.ts'
import type { ClusterWorld } from '../world.ts'

export function networkPolicy(world: () => ClusterWorld): void {
  describe('NetworkPolicies', () => {
    test('let a consumer to the service, and not to the port of probes and metrics', async () => {
      const { kubectl } = world()
      const [pod] = await podsOf(kubectl, 'keyhole')
      const ip = pod?.status.podIP ?? ''
      expect(await connects(world(), 'payments', 'api', [`${ip}:8443`, `${ip}:8081`])).toEqual(['open', 'shut'])
    })

    test.each(['deployment/keyhole', 'deployment/keyhole-rotate'])(
      'let %s to Vault and to the API server, and nowhere else',
      async (deployment) => {
        const { kubectl } = world()
        const [consumer] = (
          await kubectl.json<{ items: readonly { status: { podIP: string } }[] }>(
            ...['-n', 'payments', 'get', 'pods', '-l', 'app.kubernetes.io/name=payments-api'],
          )
        ).items
        const vault = new URL(world().vaultOfPods).host
        const targets = [vault, 'kubernetes.default.svc:443', `${consumer?.status.podIP}:8080`]
        const { stdout } = await kubectl.attempt(
          ...['-n', NAMESPACE, 'exec', deployment, '--', '/nodejs/bin/node', '-e', connectTo(targets)],
        )
        expect(JSON.parse(stdout)).toEqual(['open', 'open', 'shut'])
      },
    )

    test('let a Job of the CronJob to the rotators, and to neither readers, Vault nor the API server', async () => {
      const [reader] = await podsOf(world().kubectl, 'keyhole')
      const vault = new URL(world().vaultOfPods).host
      const targets = [
        'keyhole-rotate.keyhole.svc:8443',
        `${reader?.status.podIP}:8443`,
        vault,
        'kubernetes.default.svc:443',
      ]
      const cron = {
        namespace: NAMESPACE,
        serviceAccount: 'keyhole-cron',
        labels: CRON_LABELS,
        script: connectTo(targets),
      }
      await using pod = await startProbe(world(), cron)
      expect(await pod.result()).toEqual(['open', 'shut', 'shut', 'shut'])
    })
  })
}

/** What the NetworkPolicy keyhole-cron goes by. */
const CRON_LABELS = { 'app.kubernetes.io/name': 'keyhole', 'app.kubernetes.io/component': 'rotation' }

async function connects(
  world: ClusterWorld,
  namespace: string,
  serviceAccount: string,
  targets: readonly string[],
): Promise<readonly string[]> {
  await using pod = await startProbe(world, { namespace, serviceAccount, script: connectTo(targets) })
  return await pod.result<readonly string[]>()
}

/**
 * A program that prints whether each `HOST:PORT` takes a connection within three seconds; refused is as shut as unanswered. A pod
 * is let nowhere before those who enforce policies know it, so it asks until something is open, and then tells of another round.
 */
function connectTo(targets: readonly string[]): string {
  return `
    const connect = (target) => new Promise((resolve) => {
      const [host, port] = target.split(':')
      const socket = process.getBuiltinModule('net').connect({ host, port: Number(port) })
      const end = (how) => { socket.destroy(); resolve(how) }
      socket.on('connect', () => end('open')).on('error', () => end('shut'))
      setTimeout(() => end('shut'), 3_000).unref()
    })
    const round = () => Promise.all(${JSON.stringify(targets)}.map(connect))
    const rounds = async () => {
      for (let left = 15; left > 0 && !(await round()).includes('open'); left -= 1) await new Promise((go) => setTimeout(go, 500))
      console.log(JSON.stringify(await round()))
      process.exit()
    }
    rounds()`
}

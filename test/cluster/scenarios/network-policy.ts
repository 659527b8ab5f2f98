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
      const expected = ['open', 'shut'] as const
      const script = connectUntil([`${ip}:8443`, `${ip}:8081`], expected)
      await using probe = await startProbe(world(), { namespace: 'payments', serviceAccount: 'api', script })
      expect(await probe.result()).toEqual(expected)
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
        const expected = ['open', 'open', 'shut'] as const
        const { stdout } = await kubectl.attempt(
          ...['-n', NAMESPACE, 'exec', deployment, '--', '/nodejs/bin/node', '-e', connectUntil(targets, expected)],
        )
        expect(JSON.parse(stdout)).toEqual(expected)
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
      const expected = ['open', 'shut', 'shut', 'shut'] as const
      const cron = {
        namespace: NAMESPACE,
        serviceAccount: 'keyhole-cron',
        labels: CRON_LABELS,
        script: connectUntil(targets, expected),
      }
      await using pod = await startProbe(world(), cron)
      expect(await pod.result()).toEqual(expected)
    })
  })
}

/** What the NetworkPolicy keyhole-cron goes by. */
const CRON_LABELS = { 'app.kubernetes.io/name': 'keyhole', 'app.kubernetes.io/component': 'rotation' }

type Access = 'open' | 'shut'

/**
 * A program that prints whether each `HOST:PORT` takes a connection within three seconds; refused is as shut as unanswered. Those who
 * enforce policies learn of a new pod some time after it started, and until then it may be let nowhere, or everywhere. So it asks
 * until it has been told `expected` three times in a row, and prints what it saw last when a minute did not bring that.
 */
function connectUntil(targets: readonly string[], expected: readonly Access[]): string {
  return `
    const connect = (target) => new Promise((resolve) => {
      const [host, port] = target.split(':')
      const socket = process.getBuiltinModule('net').connect({ host, port: Number(port) })
      const end = (how) => { socket.destroy(); resolve(how) }
      socket.on('connect', () => end('open')).on('error', () => end('shut'))
      setTimeout(() => end('shut'), 3_000).unref()
    })
    const round = async () => JSON.stringify(await Promise.all(${JSON.stringify(targets)}.map(connect)))
    const rounds = async () => {
      let seen, inRow = 0
      for (const until = Date.now() + 60_000; inRow < 3 && Date.now() < until; await new Promise((go) => setTimeout(go, 250))) {
        seen = await round()
        inRow = seen === ${JSON.stringify(JSON.stringify(expected))} ? inRow + 1 : 0
      }
      console.log(seen)
      process.exit()
    }
    rounds()`
}

/** What the kubelet and a person renew is picked up without a restart: keyhole's own tokens, and the serving certificate. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { until } from '../../servers/until.ts'
import { NAMESPACE, podsOf, restartsOf } from '../installation.ts'
import type { Kubectl } from '../kubectl.ts'
import { startProbe } from '../probe.ts'
import type { ClusterWorld } from '../world.ts'

const OLD = 'keyhole-old'

/** A copy of a reader, outside of its Service. */
export async function startOldPod({ kubectl }: ClusterWorld): Promise<void> {
  const { spec } = await kubectl.json<{ spec: { template: Template } }>('-n', NAMESPACE, 'get', 'deployment', 'keyhole')
  const { metadata, spec: pod } = spec.template
  const { 'keyhole.dev/serves-reads': _, ...labels } = metadata.labels
  await kubectl.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: OLD, namespace: NAMESPACE, labels },
    spec: pod,
  })
  await kubectl('-n', NAMESPACE, 'wait', 'pod', OLD, '--for=condition=Ready', '--timeout=240s')
}

interface Template {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> }
  readonly spec: object
}

export function renewal(world: () => ClusterWorld, renewCertificate: () => Promise<void>): void {
  describe('without a restart', () => {
    test('a serving certificate that was renewed is served by every pod', async () => {
      const { kubectl } = world()
      const before = await podsOf(kubectl)
      const ips = before.map(({ status }) => status.podIP ?? '')
      const former = await serialsAt(world(), ips)
      expect(former).toSatisfy((serials: readonly string[]) => serials.every(isSerial))
      await renewCertificate()
      await until(
        'every pod serves the new certificate',
        async () => {
          const serials = await serialsAt(world(), ips)
          return new Set(serials).size === 1 && isSerial(serials[0]) && !former.includes(serials[0])
        },
        { withinMs: 180_000, everyMs: 5_000 },
      )
      const after = await podsOf(kubectl)
      expect(after.map(({ metadata }) => metadata.uid).toSorted()).toEqual(
        before.map(({ metadata }) => metadata.uid).toSorted(),
      )
      expect(restartsOf(after)).toBe(restartsOf(before))
    })

    test("tokens that the kubelet renewed outlive a pod's first ones", async () => {
      const { kubectl } = world()
      const { metadata, status } = await kubectl.json<Started>('-n', NAMESPACE, 'get', 'pod', OLD)
      const startedMs = Date.parse(metadata.creationTimestamp)
      // Ten minutes is what the manifests ask for, and the least that Kubernetes gives.
      const [firstEndsMs, now] = [startedMs + 600_000 + 30_000, Date.now()]
      await sleep(Math.max(0, firstEndsMs - now))
      const issued = await tokensIssuedMs(kubectl)
      expect(issued.every((at) => at > startedMs + 60_000)).toBe(true)
      let answer: string | undefined
      const asked = async () => {
        ;[answer] = await getAt(world(), [status.podIP])
        return answer === '200'
      }
      // It has been idle for ten minutes, and the machine has not. What does not pass is told below.
      await until('it serves', asked, { withinMs: 60_000, everyMs: 1_000 }).catch(() => {})
      expect(answer).toBe('200')
      const [old] = (await kubectl.json<{ items: readonly Started[] }>('-n', NAMESPACE, 'get', 'pods')).items.filter(
        (pod) => pod.metadata.name === OLD,
      )
      expect(old?.status.containerStatuses?.[0]?.restartCount).toBe(0)
    }, 800_000)
  })
}

interface Started {
  readonly metadata: { readonly name: string; readonly creationTimestamp: string }
  readonly status: {
    readonly podIP: string
    readonly containerStatuses?: readonly { readonly restartCount: number }[]
  }
}

/** When the tokens that the old pod has mounted were issued. */
async function tokensIssuedMs(kubectl: Kubectl): Promise<readonly number[]> {
  const program = `
    const { readFileSync } = require('node:fs')
    const files = ['/var/run/secrets/kubernetes.io/serviceaccount/token', '/var/run/secrets/keyhole/vault/token']
    console.log(JSON.stringify(files.map((file) =>
      JSON.parse(Buffer.from(readFileSync(file, 'utf8').split('.')[1], 'base64url')).iat * 1000)))`
  const printed = await kubectl('-n', NAMESPACE, 'exec', OLD, '--', '/nodejs/bin/node', '-e', program)
  return JSON.parse(printed) as readonly number[]
}

/** And not why there was none. */
function isSerial(said: string | undefined): said is string {
  return /^[0-9A-F]{8,}$/.test(said ?? '')
}

function serialsAt(world: ClusterWorld, ips: readonly string[]): Promise<readonly string[]> {
  return atEach(world, ips, 'incoming.socket.getPeerCertificate().serialNumber')
}

function getAt(world: ClusterWorld, ips: readonly string[]): Promise<readonly string[]> {
  return atEach(world, ips, 'String(incoming.statusCode)')
}

/** What each pod says to a GET, by its own address and the Service's name. */
async function atEach(world: ClusterWorld, ips: readonly string[], of: string): Promise<readonly string[]> {
  const script = `
    const one = (host) => new Promise((resolve) => {
      const outgoing = get({
        host, port: 8443, timeout: 2_000, path: process.env.ASK, ca, servername: 'keyhole.keyhole.svc', agent: false,
        headers: { authorization: 'Bearer ' + readFileSync('/var/run/secrets/keyhole/token', 'utf8') },
      }, (incoming) => { const said = ${of}; incoming.resume(); resolve(said) })
      outgoing.on('timeout', () => outgoing.destroy(Object.assign(new Error(), { code: 'ECONNREFUSED' })))
      outgoing.on('error', ({ code }) => resolve(code))
    })
    const admitted = async (host) => {
      for (let round = 0; round < 100; round += 1) {
        const said = await one(host)
        if (said !== 'ECONNREFUSED') return said
        await new Promise((resolve) => setTimeout(resolve, 200))
      }
    }
    console.log(JSON.stringify(await Promise.all(${JSON.stringify(ips)}.map(admitted))))
    process.exit()`
  await using pod = await startProbe(world, { namespace: 'payments', serviceAccount: 'api', script })
  return await pod.result<readonly string[]>()
}

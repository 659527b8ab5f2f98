/** The sample's world, and beside it one grant for everything that can be wrong with a Secret. */

import type { KubernetesStandin } from '../../src/standins/kubernetes.ts'
import type { VaultStandin } from '../../src/standins/vault.ts'
import { KEYHOLE, putSealed, SAMPLE_POLICY } from '../../src/testing/sample.ts'
import type { KeyholeOnStandins, StartOptions } from '../../src/testing/start-keyhole.ts'
import { startKeyhole } from '../../src/testing/start-keyhole.ts'
import type { VirtualClock } from '../virtual-clock.ts'
import { virtualClock } from '../virtual-clock.ts'

/** Values that a reader and writer of JSON would change. */
export const ODD =
  '{ "big":12345678901234567890,"one": 1.0,"exp":1E2 ,"escape":"\\u0041\\/","nested":{"a":1,"b":[ 2 ],"z":{}},"text":"ünïcode","empty":"" }'

const POLICY = {
  ...SAMPLE_POLICY,
  'odd.yaml': [
    transitKey('loose'),
    grant('odd', 'api, allKeys: true'),
    grant('private', 'migrator, allKeys: true'),
    grant('gone', 'api, keys: [A]'),
    grant('forbidden', 'api, keys: [A]'),
    grant('garbage', 'api, keys: [A]'),
    grant('list', 'api, keys: [A]'),
    grant('twice', 'api, keys: [A]'),
    grant('loose', 'api, keys: [A]', 'loose'),
    grant('sparse', 'api, keys: [A, B]'),
    grant('for-default', 'default, keys: [A]'),
    grant('for-unbound', 'api, keys: [A], podBound: false'),
  ].join('---\n'),
}

function transitKey(name: string): string {
  return `apiVersion: keyhole.dev/v1alpha1
kind: TransitKey
metadata: { name: ${name} }
spec: { namespaces: [payments] }
`
}

function grant(name: string, reader: string, key = 'payments'): string {
  return `apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: ${name}, namespace: payments }
spec:
  secretRef: { name: payments-${name}, key: secrets.json }
  transitKey: ${key}
  readers: [{ serviceAccount: ${reader} }]
`
}

export interface World extends KeyholeOnStandins {
  readonly clock: VirtualClock
}

export async function startWorld(options: Omit<StartOptions, 'clock'> = {}, startMs?: number): Promise<World> {
  const clock = virtualClock(startMs)
  const keyhole = await startKeyhole({ policy: POLICY, ...options, clock })
  seed(keyhole.kubernetes, keyhole.vault)
  // Both keys asked about, every Secret looked at: from here on what goes upstream goes there for a request.
  const { keys, policy, takeSurvey } = keyhole.serving.wired
  await takeSurvey()
  while (keys.conditions().size < policy.current().transitKeys.size) await new Promise(setImmediate)
  forgetCalls(keyhole)
  return { ...keyhole, clock }
}

function seed(kubernetes: KubernetesStandin, vault: VaultStandin): void {
  const put = (name: string, text: string, key?: string) => {
    const secret = { namespace: 'payments', name: `payments-${name}`, data: { 'secrets.json': text } }
    putSealed(kubernetes, vault, secret, key)
  }
  vault.transit().putKey('loose', { derived: false })
  vault.putPolicy('keyhole-read', [{ path: 'transit/decrypt/*', capabilities: ['update'] }])
  put('odd', ODD)
  put('private', '{"A":"for the migrator alone"}')
  put('forbidden', '{"A":1}')
  put('list', '["A"]')
  put('twice', '{"A":1,"A":2}')
  put('loose', '{"A":1}', 'loose')
  put('sparse', '{"A":1}')
  put('for-default', '{"A":1}')
  put('for-unbound', '{"A":1}')
  kubernetes.putSecret({ namespace: 'payments', name: 'payments-garbage', data: { 'secrets.json': 'no ciphertext' } })
  const readable = [
    'odd',
    'private',
    'gone',
    'list',
    'twice',
    'loose',
    'sparse',
    'for-default',
    'for-unbound',
    'garbage',
  ]
  kubernetes.allow(
    { namespace: KEYHOLE.namespace, name: KEYHOLE.serviceAccount },
    {
      verbs: ['get'],
      group: '',
      resource: 'secrets',
      namespace: 'payments',
      names: readable.map((name) => `payments-${name}`),
    },
  )
}

/** What keyhole asked for a caller: its own logins come and go by themselves. */
export function upstreamCalls({ kubernetes, vault }: KeyholeOnStandins): string[] {
  return [...kubernetes.requests.entries(), ...vault.requests.entries()]
    .map(({ method, path }) => `${method} ${path}`)
    .filter((call) => /tokenreviews|secrets|decrypt/.test(call))
}

export function forgetCalls({ kubernetes, vault }: KeyholeOnStandins): void {
  kubernetes.requests.clear()
  vault.requests.clear()
}

/** Holds the matching calls of a stand-in until released. */
export function hold(standin: KubernetesStandin | VaultStandin, path: RegExp) {
  const arrived = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  const injected = standin.faults.inject({ path }, async (_request, next) => {
    arrived.resolve()
    await released.promise
    return next()
  })
  return {
    arrived: arrived.promise,
    release() {
      injected.remove()
      released.resolve()
    },
  }
}

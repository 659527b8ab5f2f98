/**
 * keyhole in front of the real servers, with Secrets that an owner encrypted and put there, and workloads that ask.
 * What keyhole holds is what the kubelet would mount into its pod: two projected tokens and a CA.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { publish } from '../../src/testing/mounted-volume.ts'
import type { Keyhole } from '../../src/testing/start-keyhole.ts'
import { startKeyholeOn } from '../../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../../src/testing/unbounded.ts'
import type { TokenOrder } from '../conformance/environment.ts'
import type { RealOperator } from './operator.ts'
import { operatorOf } from './operator.ts'
import { ISSUER } from './processes.ts'
import { AUDIENCE, DERIVED_KEY, KEYHOLE, REALM, SECRETS } from './set-up.ts'
import type { Connection } from './start.ts'
import type { Patience } from './until.ts'
import { until } from './until.ts'

export interface World extends AsyncDisposable {
  readonly keyhole: Keyhole
  readonly operator: RealOperator
  get(path: string, token: string, headers?: Readonly<Record<string, string>>): Promise<Reply>
  /** Milliseconds until the path answers with this status and, for a refusal, this code. */
  untilAnswered(path: string, token: () => Promise<string>, wanted: string, patience?: Patience): Promise<number>
  /** As the kubelet mounts it: bound to a pod of the workload, for keyhole alone, an hour long. */
  tokenOf(workload: Workload, change?: Partial<TokenOrder>): Promise<string>
}

export interface Reply {
  /** `200`, or status and code: `403 NOT_GRANTED`. */
  readonly answer: string
  readonly etag: string | null
  readonly text: string
  readonly json: Readonly<Record<string, unknown>>
}

export interface Workload {
  readonly namespace: string
  readonly serviceAccount: string
}

export const API: Workload = { namespace: 'payments', serviceAccount: 'api' }
export const MIGRATOR: Workload = { namespace: 'payments', serviceAccount: 'migrator' }
export const JOB: Workload = { namespace: 'payments', serviceAccount: 'job' }
export const REPORTS: Workload = { namespace: 'bi', serviceAccount: 'reports' }
export const STRANGER: Workload = { namespace: 'bi', serviceAccount: 'stranger' }

/** What rests in `payments-db`; the number and the spacing must arrive as they are. */
export const DICTIONARY = '{"PGHOST": "db", "PGPASSWORD": "s3cret-canary", "LEDGER": 12345678901234567890, "RATE": 1.0}'
export const CERTIFICATE = Buffer.from('-----BEGIN CERTIFICATE-----\n\u0000\u00ff canary\n', 'latin1')

export const POLICY = {
  'platform.yaml': `apiVersion: keyhole.dev/v1alpha1
kind: TransitKey
metadata: { name: payments }
spec: { namespaces: [payments] }
---
apiVersion: keyhole.dev/v1alpha1
kind: TransitKey
metadata: { name: legacy }
spec: { namespaces: [payments], binding: none }
`,
  'payments.yaml': `apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: db, namespace: payments }
spec:
  secretRef: { name: ${SECRETS.db}, key: secrets.json }
  transitKey: payments
  readers:
    - { serviceAccount: api, keys: [PGHOST, LEDGER] }
    - { serviceAccount: migrator, allKeys: true }
    - { serviceAccount: job, keys: [PGHOST], podBound: false }
    - { namespace: bi, serviceAccount: reports, keys: [PGHOST] }
---
apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: moved, namespace: payments }
spec:
  secretRef: { name: ${SECRETS.moved}, key: secrets.json }
  transitKey: payments
  readers: [{ serviceAccount: api, allKeys: true }]
---
apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: files, namespace: payments }
spec:
  secretRef: { name: ${SECRETS.files} }
  transitKey: payments
  format: files
  readers: [{ serviceAccount: api, keys: [tls.crt] }]
---
apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: legacy, namespace: payments }
spec:
  secretRef: { name: ${SECRETS.legacy}, key: secrets.json }
  transitKey: legacy
  readers: [{ serviceAccount: api, keys: [PGHOST, PGPORT] }]
`,
} as const

/** @param bounds without them keyhole waits as long as it may: what a busy machine delays is no outage. */
export async function startWorld(
  connection: Connection,
  bounds: Readonly<Record<string, string>> = UNBOUNDED,
): Promise<World> {
  const operator = operatorOf(connection)
  await seed(operator)
  const credentials = await mkdtemp(join(tmpdir(), 'keyhole-credentials-'))
  const own = { namespace: KEYHOLE.namespace, serviceAccount: KEYHOLE.name }
  const mounted = (audience: string): Promise<string> => tokenOf(own, { audiences: [audience] })
  await publish(credentials, { kubernetes: await mounted(ISSUER), vault: await mounted(AUDIENCE.vault) })
  const { caFile, kubernetes, vault } = connection
  const keyhole = await startKeyholeOn(
    {
      kubernetes: { url: kubernetes.origin, caFile, tokenFile: join(credentials, 'kubernetes') },
      vault: { url: vault.origin, caFile, tokenFile: join(credentials, 'vault') },
    },
    { policy: POLICY, settings: { ...bounds, KEYHOLE_REALM: REALM } },
  )

  async function tokenOf(workload: Workload, change: Partial<TokenOrder> = {}): Promise<string> {
    const pod = { namespace: workload.namespace, name: `${workload.serviceAccount}-0` }
    const { uid } = await operator.kubernetes.createPod({ ...pod, serviceAccount: workload.serviceAccount })
    const order = { ...workload, audiences: [AUDIENCE.keyhole], pod: { name: pod.name, uid } }
    return operator.kubernetes.issueToken({ ...order, ...change })
  }

  async function get(path: string, token: string, headers: Readonly<Record<string, string>> = {}): Promise<Reply> {
    const reply = await fetch(`${keyhole.url}${path}`, { headers: { ...headers, authorization: `Bearer ${token}` } })
    const text = await reply.text()
    const json = (text.startsWith('{') ? JSON.parse(text) : {}) as Readonly<Record<string, unknown>>
    const answer = reply.ok || reply.status === 304 ? String(reply.status) : `${reply.status} ${String(json['code'])}`
    return { answer, etag: reply.headers.get('etag'), text, json }
  }

  async function untilAnswered(
    path: string,
    token: () => Promise<string>,
    wanted: string,
    patience: Patience = {},
  ): Promise<number> {
    let last = 'nothing yet'
    const look = async (): Promise<boolean> => {
      last = (await get(path, await token())).answer
      return last === wanted
    }
    return until(wanted, look, { everyMs: 250, ...patience }).catch((thrown: Error) => {
      throw new Error(`${thrown.message}; the last answer was ${last}`)
    })
  }

  async function dispose(): Promise<void> {
    await keyhole.stop()
    await rm(credentials, { recursive: true, force: true })
  }
  return { keyhole, operator, get, untilAnswered, tokenOf, [Symbol.asyncDispose]: dispose }
}

async function seed(operator: RealOperator): Promise<void> {
  for (const { namespace, serviceAccount } of [API, MIGRATOR, JOB, REPORTS, STRANGER])
    await operator.kubernetes.createServiceAccount({ namespace, name: serviceAccount })
  await putSealed(operator, SECRETS.db, { 'secrets.json': DICTIONARY })
  await putSealed(operator, SECRETS.files, { 'tls.crt': CERTIFICATE, 'tls.key': 'ungranted-canary' })
}

/** Encrypts each value in the context of its place, as its owner does, and puts the Secret into `payments`. */
export async function putSealed(
  { kubernetes, vault }: RealOperator,
  name: string,
  values: Readonly<Record<string, string | Buffer>>,
): Promise<void> {
  const data: Record<string, string> = {}
  for (const [dataKey, value] of Object.entries(values))
    data[dataKey] = await vault.encrypt(DERIVED_KEY, value, contextOf('payments', name, dataKey))
  await kubernetes.putSecret({ namespace: 'payments', name, data })
}

/** Written out a second time, so that a change of the context's shape cannot pass by itself: it would lose all ciphertext. */
export function contextOf(namespace: string, secret: string, dataKey: string): string {
  return Buffer.from(`keyhole/1/${REALM}/${namespace}/${secret}/${dataKey}`).toString('base64')
}

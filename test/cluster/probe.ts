/**
 * Pods that ask keyhole, as a team's own would: with their ServiceAccount's projected token, by the Service's DNS name, trusting
 * keyhole's CA and nothing else. They run on keyhole's image, which has Node and no shell, and print hashes of values only.
 */
import { until } from '../servers/until.ts'
import type { ClusterWorld } from './world.ts'

export interface Asking {
  readonly namespace: string
  readonly serviceAccount: string
  /** Of the token; keyhole's own when left out. */
  readonly audience?: string
  readonly path?: string
}

export interface Answer {
  readonly status: number
  readonly code?: string
  /** Key to SHA-256 of its value. */
  readonly data?: Readonly<Record<string, string>>
  /** Why there was no answer at all. */
  readonly error?: string
}

/** Asks once, from a pod of its own that is gone afterwards. */
export async function ask(world: ClusterWorld, asking: Asking): Promise<Answer> {
  await using pod = await startProbe(world, { ...asking, script: ASK_ONCE })
  return await pod.result<Answer>()
}

export interface Load extends AsyncDisposable {
  /** So far. */
  counts(): Promise<Counts>
}

export interface Counts {
  readonly sent: number
  readonly ok: number
  /** Everything that was not 200, by status or by how there was none. */
  readonly failed: Readonly<Record<string, number>>
  /** Answers by status; 0 where there was none. */
  readonly statuses: Readonly<Record<string, number>>
  /** When the last failure before the latest run of answers was, in milliseconds since the epoch; 0 without one. */
  readonly lastFailureMs: number
}

/** Asks fifty times a second, half of the time on a connection of its own, until it is disposed of. */
export async function load(world: ClusterWorld, asking: Asking): Promise<Load> {
  const pod = await startProbe(world, { ...asking, script: ASK_ALL_THE_TIME })
  const counts = async () => JSON.parse(await pod.lastLine()) as Counts
  try {
    await until('the load has begun', async () => (await pod.log()) !== '' && (await counts()).ok > 0, PATIENCE)
  } catch (thrown) {
    await pod.remove().catch(() => {})
    throw thrown
  }
  return { counts, [Symbol.asyncDispose]: pod.remove }
}

export interface Probe extends Asking {
  /** ES module; `ask(path, fresh)` is there, and resolves to an Answer. */
  readonly script: string
  /** Of the pod; default: those of a probe. */
  readonly labels?: Readonly<Record<string, string>>
}

export interface ProbePod extends AsyncDisposable {
  readonly name: string
  /** What it printed, as JSON, once it has ended. */
  result<T>(): Promise<T>
  log(): Promise<string>
  lastLine(): Promise<string>
  /** As when it is disposed of. */
  remove(): Promise<void>
}

const PATIENCE = { withinMs: 90_000, everyMs: 500 } as const

let made = 0

export async function startProbe({ kubectl, image }: ClusterWorld, probe: Probe): Promise<ProbePod> {
  made += 1
  const { namespace } = probe
  const name = `probe-${made}`
  await kubectl.apply(podOf(name, image, probe))
  try {
    await until(`${name} runs`, async () => (await phase()) !== 'Pending', PATIENCE)
  } catch (thrown) {
    await remove().catch(() => {})
    throw thrown
  }

  function phase(): Promise<string> {
    return kubectl('-n', namespace, 'get', 'pod', name, '-o', 'jsonpath={.status.phase}')
  }

  function log(): Promise<string> {
    return kubectl('-n', namespace, 'logs', name)
  }

  async function remove(): Promise<void> {
    await kubectl('-n', namespace, 'delete', 'pod', name, '--grace-period=1', '--wait=false')
  }

  return {
    name,
    async result<T>() {
      await until(`${name} ends`, async () => /Succeeded|Failed/.test(await phase()), PATIENCE)
      return JSON.parse(await log()) as T
    },
    log,
    lastLine: () => kubectl('-n', namespace, 'logs', name, '--tail=1'),
    remove,
    [Symbol.asyncDispose]: remove,
  }
}

function podOf(name: string, image: string, probe: Probe): object {
  const { namespace, serviceAccount, audience, path, script, labels = { 'app.kubernetes.io/name': 'probe' } } = probe
  const token = { serviceAccountToken: { audience: audience ?? 'keyhole', expirationSeconds: 600, path: 'token' } }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: {
      serviceAccountName: serviceAccount,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 1,
      securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'probe',
          image,
          imagePullPolicy: 'IfNotPresent',
          command: ['/nodejs/bin/node', '--input-type=module', '-e', `${PRELUDE}\n${script}`],
          env: [{ name: 'ASK', value: path ?? '/secrets/db' }],
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
          volumeMounts: [
            { name: 'token', mountPath: '/var/run/secrets/keyhole', readOnly: true },
            { name: 'ca', mountPath: '/etc/keyhole/ca', readOnly: true },
          ],
        },
      ],
      volumes: [
        { name: 'token', projected: { sources: [token] } },
        { name: 'ca', configMap: { name: 'keyhole-ca' } },
      ],
    },
  }
}

const PRELUDE = `
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Agent, get } from 'node:https'
const ca = readFileSync('/etc/keyhole/ca/ca.crt')
const kept = new Agent({ keepAlive: true, ca })
const hashed = (data) => Object.fromEntries(
  Object.entries(data).map(([key, value]) => [key, createHash('sha256').update(JSON.stringify(value)).digest('hex')]))
function ask(path, fresh = false) {
  const headers = { authorization: 'Bearer ' + readFileSync('/var/run/secrets/keyhole/token', 'utf8') }
  const options = { ca, headers, timeout: 10_000, agent: fresh ? false : kept }
  return new Promise((resolve) => {
    const outgoing = get('https://keyhole.keyhole.svc:8443' + path, options, (incoming) => {
      const chunks = []
      incoming.on('data', (chunk) => chunks.push(chunk)).on('error', ({ code }) => resolve({ status: 0, error: code }))
      incoming.on('end', () => {
        const { code, data } = JSON.parse(Buffer.concat(chunks).toString())
        resolve({ status: incoming.statusCode, code, data: data && hashed(data) })
      })
    })
    outgoing.on('timeout', () => outgoing.destroy(Object.assign(new Error(), { code: 'TIMEOUT' })))
    outgoing.on('error', ({ code }) => resolve({ status: 0, error: code }))
  })
}`

/**
 * Whoever enforces NetworkPolicies learns of a new pod a moment after it runs, and lets it nowhere until then; and a 503 says to
 * ask again. A pod of a team does so, too. `tellsOf` resolves to the last of so many answers in a row, each on a connection of its
 * own, or to what it was told last when a minute did not bring them.
 */
const ADMITTED = `
const tellsOf = async (inARow) => {
  let answers = 0
  for (const until = Date.now() + 60_000; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
    const answer = await ask(process.env.ASK, true)
    answers = answer.status === 0 || answer.status === 503 ? 0 : answers + 1
    if (answers === inARow || Date.now() > until) return answer
  }
}`

const ASK_ONCE = `${ADMITTED}
console.log(JSON.stringify(await tellsOf(1)))`

const ASK_ALL_THE_TIME = `${ADMITTED}
await tellsOf(30)
const counts = { sent: 0, ok: 0, failed: {}, statuses: {}, lastFailureMs: 0 }
setInterval(() => console.log(JSON.stringify(counts)), 500)
setInterval(async () => {
  counts.sent += 1
  const { status, code, error } = await ask(process.env.ASK, counts.sent % 2 === 0)
  counts.statuses[status] = (counts.statuses[status] ?? 0) + 1
  if (status === 200) return void (counts.ok += 1)
  const why = code ?? error ?? status
  counts.failed[why] = (counts.failed[why] ?? 0) + 1
  counts.lastFailureMs = Date.now()
}, 20)`

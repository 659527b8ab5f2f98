/**
 * `npm run demo`: keyhole's main job, seen from outside. The service is the real one, on loopback; Kubernetes and Vault
 * are stand-ins that speak their protocols and really encrypt. Exits 0 only if everything shown is as it should be.
 */
import { request } from 'node:http'
import type { Workload } from './testing/sample.ts'
import { SAMPLE_DICTIONARY, WORKLOADS } from './testing/sample.ts'
import type { KeyholeOnStandins } from './testing/start-keyhole.ts'
import { startKeyhole } from './testing/start-keyhole.ts'
import { UNBOUNDED } from './testing/unbounded.ts'

interface Scene {
  readonly workload: Workload
  readonly says: string
  readonly method?: 'GET' | 'POST'
  readonly path: string
  readonly expect: number
  /** The kinds of the audit records that it leaves, each once; default: that of a decision. */
  readonly records?: readonly string[]
}

const SCENES: readonly Scene[] = [
  { workload: 'api', says: 'gets the keys it was granted', path: '/secrets/db', expect: 200 },
  { workload: 'reports', says: 'gets another subset of the same Secret', path: '/secrets/db.payments', expect: 200 },
  { workload: 'stranger', says: 'is refused, and learns nothing', path: '/secrets/db.payments', expect: 403 },
  {
    workload: 'stranger',
    says: 'gets the same answer for a name that does not exist',
    path: '/secrets/nothing.payments',
    expect: 403,
  },
]

const ROTATION: Scene = {
  workload: 'rotator',
  says: 'has every Secret moved to a new version of the key, and reads none',
  method: 'POST',
  path: '/rotate',
  expect: 200,
  records: ['decision', 'rotation', 'effect'],
}
const AFTERWARDS: Scene = { workload: 'api', says: 'reads the same as before', path: '/secrets/db', expect: 200 }

async function demo(): Promise<boolean> {
  say(`${bold('keyhole')}: the real service on loopback; Kubernetes and Vault are stand-ins on the real protocols.\n`)
  // As in `npm run demo | head`: nobody reads on, and what runs is stopped in good order all the same.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
  const audit: string[] = []
  await using keyhole = await startKeyhole({
    settings: { ...UNBOUNDED, KEYHOLE_LOG_LEVEL: 'error' },
    audited: (line) => audit.push(line),
  })
  await showWhatRests(keyhole, 'At rest')
  const answers: (string | undefined)[] = []
  for (const scene of SCENES) answers.push(await play(keyhole, scene, audit))
  answers.push(await play(keyhole, ROTATION, audit))
  await showWhatRests(keyhole, 'Now')
  const afterwards = await play(keyhole, AFTERWARDS, audit)
  const asExpected = answers.every((answer) => answer !== undefined) && afterwards === answers[0]
  say(
    asExpected
      ? `${bold('Next:')} npm run dev keeps this running and prints curl lines; README.md says how to write a grant.`
      : 'Something above is not as it should be: please report it with this output.',
  )
  return asExpected
}

/** As a cluster's administrator would look. */
async function showWhatRests({ kubernetes }: KeyholeOnStandins, when: string): Promise<void> {
  const { body } = await send(
    'GET',
    `${kubernetes.url}/api/v1/namespaces/payments/secrets/payments-db`,
    kubernetes.adminToken,
  )
  const { data } = JSON.parse(body) as { data: Record<string, string> }
  const ciphertext = Buffer.from(data['secrets.json'] ?? '', 'base64').toString()
  say(`${when}, the Secret payments/payments-db holds ciphertext of the Transit key "payments":`)
  say(`  secrets.json: ${ciphertext.slice(0, 56)}... (${ciphertext.length} characters)`)
  say(`  made of one JSON object with the keys ${Object.keys(JSON.parse(SAMPLE_DICTIONARY)).join(', ')}\n`)
}

/** The body of the answer, if all of it is as it should be. */
async function play(keyhole: KeyholeOnStandins, scene: Scene, audit: string[]): Promise<string | undefined> {
  const { workload, says, method = 'GET', path, expect, records = ['decision'] } = scene
  const { namespace, serviceAccount } = WORKLOADS[workload]
  say(bold(`${namespace}/${serviceAccount} ${says}`))
  say(`  ${method} ${path}   Authorization: Bearer <its own projected token>`)
  const before = audit.length
  const { status, body } = await send(method, keyhole.url + path, keyhole.tokenOf(workload))
  say(`  ${status} ${body}`)
  const lines = audit.slice(before)
  for (const line of lines) say(`  audit ${line}`)
  say('')
  if (status !== expect) say(`  expected ${expect}`)
  const kinds = new Set(lines.map((line) => (JSON.parse(line) as { readonly kind: string }).kind))
  const isRecorded = kinds.size === records.length && records.every((kind) => kinds.has(kind))
  return status === expect && isRecorded ? body : undefined
}

function send(method: string, url: string, token: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers: { authorization: `Bearer ${token}` } }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      response.on('error', reject)
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

function bold(text: string): string {
  return process.stdout.isTTY ? `\x1b[1m${text}\x1b[0m` : text
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

process.exitCode = (await demo()) ? 0 : 1

/**
 * The world that the read path is attacked in: the sample's, with canaries for values, and a bystander who shares
 * nothing with the others but keyhole: another namespace, Secret, Transit key and Vault role. Time is virtual, sockets
 * are real.
 *
 * Leaving the world checks what must hold after any attack: nothing leaked into replies, audit records, log or
 * metrics, and every reply has its record. No test can forget to.
 */
import { readFile } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { expect } from 'vitest'
import { verify } from '../../src/audit-log/verify.ts'
import type { Code } from '../../src/contract.ts'
import type { Outbound, SendDecorator } from '../../src/external/send.ts'
import { transitContext } from '../../src/services/place.ts'
import type { KubernetesStandin } from '../../src/standins/kubernetes.ts'
import type { VaultStandin } from '../../src/standins/vault.ts'
import type { Workload } from '../../src/testing/sample.ts'
import { KEYHOLE, SAMPLE_POLICY, SAMPLE_REALM, WORKLOADS } from '../../src/testing/sample.ts'
import type { Keyhole, Standins, Upstreams } from '../../src/testing/start-keyhole.ts'
import { startKeyholeOn, startStandins } from '../../src/testing/start-keyhole.ts'
import type { VirtualClock } from '../virtual-clock.ts'
import { virtualClock } from '../virtual-clock.ts'
import type { CallOptions, Reply } from './call.ts'
import { call } from './call.ts'
import { MARKER } from './faults.ts'
import { canaries } from './leaks.ts'

/** Members as stored, values in JSON: each is a canary. */
const DB = {
  PGHOST: '"canary-pghost-5d0c2a"',
  PGPORT: '90210443322110',
  PGUSER: '"canary-pguser-b7719e"',
  PGPASSWORD: '"canary-pgpassword-11fe83"',
  LEDGER_ID: '12345678901234567890',
  MIGRATOR_PASSWORD: '"canary-migrator-c04d5b"',
}
const TLS = { 'tls.crt': 'canary certificate 40ab\n', 'tls.key': 'canary private key 9e21\n' }
const BOOKS = { TOKEN: '"canary-books-token-77d2"', HIDDEN: '"canary-books-hidden-e5a0"' }

export const DICTIONARY = dictionaryOf(DB)

/** What each workload may see of it, in the order of the Secret. */
const GRANTED: Readonly<Record<Workload, readonly string[]>> = {
  api: ['PGHOST', 'PGPORT', 'PGUSER', 'PGPASSWORD', 'LEDGER_ID', 'tls.crt', 'tls.key'],
  migrator: Object.keys(DB),
  reports: ['PGHOST', 'PGPORT', 'TOKEN'],
  rotator: [],
  stranger: [],
}

const BYSTANDER_POLICY = `apiVersion: keyhole.dev/v1alpha1
kind: TransitKey
metadata: { name: spare }
spec: { namespaces: [bi], vaultRoles: { read: spare } }
---
apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: books, namespace: bi }
spec:
  secretRef: { name: bi-books, key: secrets.json }
  transitKey: spare
  readers: [{ serviceAccount: reports, keys: [TOKEN] }]
`

export const POLICY: Readonly<Record<string, string>> = { ...SAMPLE_POLICY, 'bystander.yaml': BYSTANDER_POLICY }

export interface WorldOptions {
  readonly policy?: Readonly<Record<string, string>>
  readonly settings?: Readonly<Record<string, string>>
  /** Where audit lines go, instead of to memory. */
  readonly sink?: { readonly stream: Writable; readonly lines: readonly string[] }
  /** `file`: to the file that {@link Keyhole.auditRecords} reads. */
  readonly audit?: 'memory' | 'file'
  /** Changes the stand-ins before keyhole starts. */
  readonly before?: (standins: World['upstream']) => void
  /** Do not wait until the Transit keys are known. */
  readonly unproven?: boolean
  /** The audit log fails in this test: not every reply has its record. */
  readonly unaccounted?: boolean
}

export interface AskOptions extends Omit<CallOptions, 'token'> {
  /** Default `api`, with a token never seen. */
  readonly as?: Workload
  readonly token?: string
}

export interface Refusal {
  readonly status: number
  readonly code: Code
  /** Seconds; absent: the same request cannot succeed later. */
  readonly retryAfter?: number
  /** As in the record. */
  readonly why?: string
  /** Who is named in the record; `nobody`: it is only counted. Default `api`. */
  readonly by?: Workload | 'nobody' | { readonly namespace: string; readonly serviceAccount: string }
}

// biome-ignore lint/suspicious/noExplicitAny: records are looked into by name, and compared
export type Line = Readonly<Record<string, any>>

export interface World extends AsyncDisposable {
  readonly clock: VirtualClock
  readonly keyhole: Keyhole
  readonly upstream: Pick<Standins, 'kubernetes' | 'vault'> & Seeding
  readonly kubernetes: KubernetesStandin
  readonly vault: VaultStandin
  /** keyhole's own credentials. */
  readonly upstreams: Upstreams
  /** Audit records so far. */
  records(): readonly Line[]
  /** Calls that left keyhole, in order: `POST /v1/...`. */
  readonly calls: string[]
  /** The same calls, whole. */
  readonly outbound: readonly Outbound[]
  tokenOf(workload: Workload): string
  ask(path: string, options?: AskOptions): Promise<Reply>
  /** The reply is this refusal in every header and byte that matters, and recorded as such. */
  refused(reply: Reply, refusal: Refusal): void
  /** The workload gets exactly its keys of `db`. */
  served(reply: Reply, as?: Workload): void
  /** Somebody who has nothing to do with it all is served. */
  bystander(from?: string): Promise<void>
  /** Something that must not turn up anywhere either. */
  secret(label: string, text: string): void
}

export interface Seeding {
  /** Encrypts the plaintext for this place, or for another one, and stores it. Answers with the ciphertext. */
  put(secret: string, dataKey: string, plaintext: string | Buffer, made?: Partial<Making>): string
  /** Stores these bytes as they are. */
  putRaw(secret: string, data: Readonly<Record<string, string | Buffer>>): void
  /** Makes a ciphertext. */
  seal(making: Making): string
}

export interface Making {
  readonly plaintext: string | Buffer
  readonly realm: string
  readonly namespace: string
  readonly secret: string
  readonly dataKey: string
  readonly transitKey: string
  readonly keyVersion?: number
}

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const clock = virtualClock()
  const search = canaries()
  const standins = await startStandins(clock)
  const { kubernetes, vault, upstreams } = standins
  const seeding = seedingOf(kubernetes, vault, search.add)
  seed(kubernetes, vault, seeding)
  const upstream = { kubernetes, vault, ...seeding }
  options.before?.(upstream)

  search.add('upstream text', MARKER)
  search.add("keyhole's Kubernetes token", await readFile(upstreams.kubernetes.tokenFile, 'utf8'))
  search.add("keyhole's Vault JWT", await readFile(upstreams.vault.tokenFile, 'utf8'))
  for (const [key, value] of Object.entries({ ...DB, ...BOOKS })) search.add(key, value.replaceAll('"', ''))
  for (const [key, value] of Object.entries(TLS)) search.add(key, value)

  const calls: string[] = []
  const outbound: Outbound[] = []
  const decorate: SendDecorator = (send) => async (request, signal) => {
    calls.push(`${request.method} ${request.path}`)
    outbound.push(request)
    const vaultToken = request.headers['x-vault-token']
    if (vaultToken !== undefined) search.add('a Vault token', vaultToken)
    return await send(request, signal)
  }
  const lines: string[] = []
  const { policy = POLICY, settings, sink, audit = 'memory' } = options
  const keyhole = await startKeyholeOn(upstreams, {
    clock,
    policy,
    ...(audit === 'memory' && { audited: (line: string) => void lines.push(line) }),
    settings: { KEYHOLE_SERVE: 'read', ...settings },
    surroundings: { decorate, ...(sink !== undefined && { stdout: sink.stream }) },
  }).catch(async (error: unknown) => {
    await standins[Symbol.asyncDispose]()
    throw error
  })
  const { conditions } = keyhole.serving.wired.keys
  const keys = [...keyhole.serving.wired.policy.current().transitKeys.values()]
  if (options.unproven !== true) await until(() => conditions().size === keys.length)

  const replies: { reply: Reply; granted: ReadonlySet<string> }[] = []
  const records = (): Line[] => (sink?.lines ?? lines).flatMap(parsedLine)

  function tokenOf(workload: Workload): string {
    const token = standins.tokenOf(workload)
    search.add(`a token of ${workload}`, token)
    return token
  }

  async function ask(path: string, { as = 'api', token = tokenOf(as), ...rest }: AskOptions = {}): Promise<Reply> {
    const reply = await call(keyhole.url, path, { token, ...rest })
    replies.push({ reply, granted: new Set(reply.status === 200 ? GRANTED[as] : []) })
    return reply
  }

  function recordOf(reply: Reply): Line | undefined {
    const found = records().filter((record) => record['requestId'] === reply.requestId)
    expect(found.length, 'records of one reply').toBeLessThanOrEqual(1)
    return found[0]
  }

  function nothingLeaked(pages: readonly string[]): void {
    for (const { reply, granted } of replies) {
      const text = `${JSON.stringify(reply.headers)}\n${reply.text}`
      expect(search.foundIn(text, granted), `leaked into a reply of ${reply.status}`).toEqual([])
    }
    expect(search.foundIn((sink?.lines ?? lines).join('\n')), 'leaked into the audit log').toEqual([])
    expect(search.foundIn(keyhole.logLines.join('\n')), 'leaked into the log').toEqual([])
    expect(search.foundIn(pages.join('\n')), 'leaked into the management port').toEqual([])
  }

  /** A reply without a record of its own is in one of the counts, and nothing else is. */
  function everyReplyAccounted(): void {
    let counted = 0
    for (const { reply } of replies) {
      const record = recordOf(reply)
      if (record === undefined) counted += 1
      else if (reply.status === 200) expect(record['outcome']).toMatch(/^(?:disclosed|listed)$/)
      else expect(record['outcome']).toBe(reply.status === 304 ? 'unchanged' : 'refused')
      if (reply.status < 400) expect(record, 'a success without a record').toBeDefined()
    }
    expect(countsIn(records()), 'refusals that are only counted').toBe(counted)
  }

  return {
    clock,
    keyhole,
    upstream,
    kubernetes,
    vault,
    upstreams,
    records,
    calls,
    outbound,
    tokenOf,
    ask,
    secret: search.add,

    refused(reply, { status, code, retryAfter, why, by = 'api' }) {
      expect([reply.status, reply.problem().code]).toEqual([status, code])
      expect(reply.headers['content-type']).toMatch(/^application\/problem\+json\b/)
      expect(reply.headers['cache-control']).toBe('no-store')
      expect(reply.headers['retry-after']).toBe(retryAfter === undefined ? undefined : String(retryAfter))
      expect(reply.problem().retryable).toBe(retryAfter !== undefined)
      expect(reply.headers['etag']).toBeUndefined()
      const record = recordOf(reply)
      if (by === 'nobody') return expect(record, 'a record of nobody').toBeUndefined()
      const { namespace, serviceAccount } = typeof by === 'string' ? WORKLOADS[by] : by
      expect(record).toMatchObject({
        kind: 'decision',
        outcome: 'refused',
        code,
        ...(why !== undefined && { why }),
        caller: { namespace, serviceAccount },
        keys: [],
        policyHash: keyhole.serving.wired.policy.current().hash,
      })
    },

    served(reply, as = 'api') {
      expect([reply.status, reply.text]).toEqual([200, bodyOf(as)])
      const { namespace, serviceAccount } = WORKLOADS[as]
      expect(recordOf(reply)).toMatchObject({
        outcome: 'disclosed',
        caller: { namespace, serviceAccount },
        secret: { namespace: 'payments', name: 'db' },
        keys: GRANTED[as].filter((key) => key in DB),
        otherKeys: 0,
        etag: reply.headers['etag'],
        policyHash: keyhole.serving.wired.policy.current().hash,
      })
    },

    async bystander(from) {
      const reply = await ask('/secrets/books', { as: 'reports', ...(from !== undefined && { from }) })
      expect([reply.status, reply.text]).toEqual([200, `{"name":"books","data":{"TOKEN":${BOOKS.TOKEN}},"missing":[]}`])
    },

    async [Symbol.asyncDispose]() {
      try {
        const pages = await Promise.all(['metrics', 'readyz?verbose'].map((page) => managementPage(keyhole, page)))
        // What is only counted is written within a second.
        await clock.advance(1_000)
        if (audit === 'file') lines.push(...(await linesIn(`${keyhole.directory}/audit.log`)))
        nothingLeaked(pages)
        if (options.unaccounted !== true && audit === 'memory') everyReplyAccounted()
      } finally {
        await keyhole.stop()
        await standins[Symbol.asyncDispose]()
      }
      expect(verify(sink?.lines ?? lines).broken, 'the chain of the audit log').toBeUndefined()
      expect(clock.timers(), 'timers left armed').toBe(0)
    },
  }
}

function dictionaryOf(members: Readonly<Record<string, string>>): string {
  return `{${Object.entries(members).map(([key, value]) => `"${key}": ${value}`)}}`
}

/** The reply to `db`, byte for byte. */
function bodyOf(as: Workload): string {
  const members = Object.entries(DB).filter(([key]) => GRANTED[as].includes(key))
  const name = as === 'reports' ? 'db.payments' : 'db'
  return `{"name":"${name}","data":{${members.map(([key, value]) => `"${key}":${value}`)}},"missing":[]}`
}

function seedingOf(
  kubernetes: KubernetesStandin,
  vault: VaultStandin,
  canary: (label: string, text: string) => void,
): Seeding {
  const namespaceOf = (secret: string): string => (secret.startsWith('bi-') ? 'bi' : 'payments')

  function seal({ plaintext, realm, namespace, secret, dataKey, transitKey, keyVersion }: Making): string {
    const context = Buffer.from(transitContext(realm, { namespace, secret }, dataKey), 'base64')
    const derived = vault.transit().key(transitKey)?.derived === true
    const ciphertext = vault.transit().encrypt(transitKey, plaintext, {
      ...(derived && { context }),
      ...(keyVersion !== undefined && { keyVersion }),
    })
    canary('a ciphertext', ciphertext.replace(/^vault:v\d+:/, ''))
    return ciphertext
  }

  function putRaw(secret: string, data: Readonly<Record<string, string | Buffer>>): void {
    kubernetes.putSecret({ namespace: namespaceOf(secret), name: secret, data })
  }

  return {
    seal,
    putRaw,
    put(secret, dataKey, plaintext, made) {
      const namespace = namespaceOf(secret)
      const place = { realm: SAMPLE_REALM, namespace, secret, dataKey, transitKey: 'payments' }
      const ciphertext = seal({ ...place, plaintext, ...made })
      putRaw(secret, { [dataKey]: ciphertext })
      return ciphertext
    },
  }
}

function seed(kubernetes: KubernetesStandin, vault: VaultStandin, { put, putRaw, seal }: Seeding): void {
  put('payments-db', 'secrets.json', DICTIONARY)
  const tls = { realm: SAMPLE_REALM, namespace: 'payments', secret: 'payments-tls', transitKey: 'payments' }
  putRaw(
    'payments-tls',
    Object.fromEntries(
      Object.entries(TLS).map(([dataKey, plaintext]) => [dataKey, seal({ ...tls, dataKey, plaintext })]),
    ),
  )
  vault.transit().putKey('spare', { derived: true })
  vault.putPolicy('spare', [{ path: 'transit/decrypt/spare', capabilities: ['update'] }])
  vault.putRole({
    name: 'spare',
    audience: 'vault',
    serviceAccountNames: [KEYHOLE.serviceAccount],
    serviceAccountNamespaces: [KEYHOLE.namespace],
    policies: ['spare'],
  })
  put('bi-books', 'secrets.json', dictionaryOf(BOOKS), { transitKey: 'spare' })
  kubernetes.allow(
    { namespace: KEYHOLE.namespace, name: KEYHOLE.serviceAccount },
    { verbs: ['get'], group: '', resource: 'secrets', namespace: 'bi', names: ['bi-books'] },
  )
}

/** Replies that have no record of their own, as the log counted them. */
function countsIn(records: readonly Line[]): number {
  const counts = records.flatMap((record): Record<string, number>[] => {
    if (record['kind'] === 'refusals') return [record['counts']]
    return record['kind'] === 'throttled' ? record['callers'].map((one: Line) => one['counts']) : []
  })
  return counts
    .flatMap((each) => Object.entries(each))
    .filter(([code]) => code !== 'ABANDONED')
    .reduce((sum, [, count]) => sum + count, 0)
}

/** A torn line is no record. */
function parsedLine(line: string): Line[] {
  try {
    return [JSON.parse(line) as Line]
  } catch {
    return []
  }
}

async function linesIn(file: string): Promise<string[]> {
  return (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '')
}

async function managementPage(keyhole: Keyhole, page: string): Promise<string> {
  const response = await fetch(`${keyhole.managementUrl}/${page}`)
  return await response.text()
}

/** For what happens by itself and soon: looks again after every turn of the event loop. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

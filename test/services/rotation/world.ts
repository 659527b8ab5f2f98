/**
 * A cluster and a Vault in memory, as far as rotation asks of them. A ciphertext remembers what Transit's would: key, version,
 * context and plaintext. Each call is a line, so that a test names the one that is to fail, and counts those there were.
 */
import type { Effect, Rotation } from '../../../src/audit-log/record.ts'
import { UpstreamError } from '../../../src/errors.ts'
import type { Token } from '../../../src/opaque.ts'
import { token } from '../../../src/opaque.ts'
import { transitContext } from '../../../src/services/place.ts'
import type {
  HeldSecret,
  LeaseRecord,
  Leases,
  RewrapItem,
  Rewrapped,
  SecretStore,
  TransitRotation,
} from '../../../src/services/rotation/ports.ts'
import type { VaultLogins } from '../../../src/services/vault-sessions.ts'
import { settled, virtualClock } from '../../virtual-clock.ts'

export const REALM = 'west'
export const NEVER = new AbortController().signal
export const LEASE = { namespace: 'keyhole', name: 'keyhole-rotation' } as const

/**
 * An error: in place of what was asked for. `lost`: done, but the answer does not arrive. A function: before it is done, and in
 * place of it where it throws or answers. `afterwards`: once it is done.
 */
export type Mishap = Error | 'lost' | (() => unknown) | { readonly afterwards: () => void }

export interface FakeSecret extends HeldSecret {
  readonly data: Map<string, string>
  immutable: boolean
  labels: ReadonlyMap<string, string>
}

export interface FakeKey {
  derived: boolean
  latestVersion: number
  minDecryptionVersion: number
  readonly createdAtMs: Map<number, number>
}

export type World = ReturnType<typeof world>

export function world() {
  const clock = virtualClock()
  const secrets = new Map<string, FakeSecret>()
  const keys = new Map<string, FakeKey>()
  const records: (Effect | Rotation)[] = []
  const calls: string[] = []
  const mishaps: { readonly call: RegExp; readonly mishap: Mishap; left: number }[] = []
  const tokens = new Map<string, number>()
  let lease: LeaseRecord | undefined
  let leaseSeconds = 10
  let versions = 0

  async function through<T>(
    upstream: 'kubernetes' | 'vault',
    call: string,
    signal: AbortSignal | undefined,
    act: () => T,
  ): Promise<T> {
    signal?.throwIfAborted()
    calls.push(call)
    const due = mishaps.find((one) => one.left > 0 && one.call.test(call))
    if (due === undefined) return act()
    due.left -= 1
    const { mishap } = due
    if (mishap instanceof Error) throw mishap
    const instead = typeof mishap === 'function' ? await mishap() : undefined
    signal?.throwIfAborted()
    if (instead !== undefined) return instead as T
    const answer = act()
    if (mishap === 'lost') throw new UpstreamError(upstream, 'timeout')
    if (typeof mishap === 'object') mishap.afterwards()
    signal?.throwIfAborted()
    return answer
  }

  function keyFor(shown: Token, key: string): FakeKey {
    if (clock.now() >= (tokens.get(shown.reveal()) ?? 0)) throw new UpstreamError('vault', 'forbidden', 403)
    const found = keys.get(key)
    if (found === undefined) throw new UpstreamError('vault', 'key-missing', 400)
    return found
  }

  const store: SecretStore = {
    holdSecret: ({ namespace, secret }, signal) =>
      through('kubernetes', `hold ${namespace}/${secret}`, signal, () => {
        const found = secrets.get(`${namespace}/${secret}`)
        return found && { ...found, data: new Map(found.data) }
      }),
    replaceData: ({ namespace, secret }, changes, signal) =>
      through('kubernetes', `replace ${namespace}/${secret}`, signal, () => {
        const found = secrets.get(`${namespace}/${secret}`)
        if (found === undefined) return 'missing'
        if (found.immutable) return 'immutable'
        if (changes.some(({ dataKey, from }) => found.data.get(dataKey) !== from)) return 'changed'
        for (const { dataKey, to } of changes) found.data.set(dataKey, to)
        return undefined
      }),
  }

  const leases: Leases = {
    readLease: (_name, signal) => through('kubernetes', 'read-lease', signal, () => lease),
    writeLease: (_name, next, signal) =>
      through('kubernetes', 'write-lease', signal, () => {
        if ((lease?.resourceVersion ?? '') !== next.resourceVersion) return 'conflict'
        versions += 1
        lease = { ...next, resourceVersion: String(versions) }
        return lease
      }),
  }

  const transit: TransitRotation = {
    readKey: ({ token: shown, key }, signal) =>
      through('vault', `read ${key}`, signal, () => {
        const found = keyFor(shown, key)
        return { ...found, createdAtMs: new Map(found.createdAtMs) }
      }),
    rotateKey: ({ token: shown, key }, signal) =>
      through('vault', `rotate ${key}`, signal, () => {
        const found = keyFor(shown, key)
        found.latestVersion += 1
        found.createdAtMs.set(found.latestVersion, clock.now())
      }),
    setMinDecryptionVersion: ({ token: shown, key, version }, signal) =>
      through('vault', `min ${key} ${version}`, signal, () => {
        keyFor(shown, key).minDecryptionVersion = version
      }),
    rewrap: ({ token: shown, key, items }, signal) =>
      through('vault', `rewrap ${key} ${items.length}`, signal, () => {
        const found = keyFor(shown, key)
        return items.map((item) => rewrapped(key, found, item))
      }),
  }

  const logins: VaultLogins = {
    login: (role, signal) =>
      through('vault', `login ${role}`, signal, () => {
        const word = `t${tokens.size + 1}`
        tokens.set(word, clock.now() + leaseSeconds * 1000)
        return { token: token(word), leaseSeconds }
      }),
  }

  return {
    clock,
    secrets,
    keys,
    store,
    leases,
    transit,
    logins,
    /** What the audit log holds. */
    records,
    calls,
    log: {
      append: (record: Effect | Rotation) =>
        through(
          'kubernetes',
          `audit ${'effect' in record ? `${record.phase} ${record.effect}` : record.phase}`,
          undefined,
          () => {
            records.push(record)
          },
        ),
    },
    lease: () => lease,
    setLease(next: LeaseRecord | undefined) {
      versions += 1
      lease = next && { ...next, resourceVersion: String(versions) }
    },
    /** How long Vault's tokens live from now on. */
    setTokenSeconds(seconds: number) {
      leaseSeconds = seconds
    },
    /** Of the next calls that match. */
    fail(call: RegExp, mishap: Mishap, times = 1) {
      mishaps.push({ call, mishap, left: times })
    },
    count: (call: RegExp) => calls.filter((one) => call.test(one)).length,
    putKey(name = 'payments', over: Partial<FakeKey> = {}) {
      const latestVersion = over.latestVersion ?? 1
      const longAgo = clock.now() - 365 * 86_400_000
      const createdAtMs = new Map(Array.from({ length: latestVersion }, (_, index) => [index + 1, longAgo + index]))
      keys.set(name, { derived: true, minDecryptionVersion: 1, createdAtMs, ...over, latestVersion })
    },
    /** As the API server has it: values in base64. */
    putSecret(name: string, data: Readonly<Record<string, string>>, over: Partial<FakeSecret> = {}) {
      const stored = Object.entries(data).map(([dataKey, value]) => [dataKey, base64(value)] as const)
      const bare = { uid: `u-${name}`, immutable: false, labels: new Map(), annotations: new Map(), managers: [] }
      secrets.set(name, { ...bare, data: new Map(stored), ...over })
    },
    /** The versions of a Secret's ciphertexts, in order. */
    versionsOf: (name: string) =>
      [...(secrets.get(name)?.data.values() ?? [])].map((stored) => Number(/^vault:v(\d+):/.exec(text(stored))?.[1])),
    /** Lets time pass until it is settled. */
    async elapsed<T>(promise: Promise<T>): Promise<T> {
      let over = false
      const end = () => {
        over = true
      }
      promise.then(end, end)
      await settled()
      for (let turn = 0; !over && turn < 2_000; turn += 1) await clock.advance(100)
      if (!over) throw new Error('it hangs')
      return await promise
    },
  }
}

/** A ciphertext as Transit makes it for this place; `context` null: under a key that is not derived. */
export function sealed(
  version: number,
  place = 'payments/db',
  dataKey = 'secrets.json',
  { key = 'payments', plaintext = 's3cret', bound = true } = {},
): string {
  const [namespace = '', secret = ''] = place.split('/')
  const context = bound ? transitContext(REALM, { namespace, secret }, dataKey) : null
  return `vault:v${version}:${base64(JSON.stringify({ key, context, plaintext }))}`
}

export function plaintextOf(stored: string): unknown {
  return JSON.parse(text(text(stored).replace(/^vault:v\d+:/, ''))).plaintext
}

function rewrapped(
  key: string,
  { derived, latestVersion, minDecryptionVersion }: FakeKey,
  item: RewrapItem,
): Rewrapped {
  const [, version, body = ''] = /^vault:v(\d+):(.*)$/.exec(item.ciphertext) ?? []
  if (version === undefined) return { refused: 'no-prefix' }
  if (derived && item.context === undefined) return { refused: 'context-missing' }
  if (Number(version) > latestVersion) return { refused: 'too-new' }
  if (Number(version) < minDecryptionVersion) return { refused: 'too-old' }
  const found = knownIn(body)
  if (found?.key !== key || found.context !== (derived ? item.context : null)) return { refused: 'not-authentic' }
  return { ciphertext: `vault:v${latestVersion}:${body}`, keyVersion: latestVersion }
}

function knownIn(body: string): { readonly key?: unknown; readonly context?: unknown } | undefined {
  try {
    return JSON.parse(text(body))
  } catch {
    return undefined
  }
}

function base64(value: string): string {
  return Buffer.from(value).toString('base64')
}

function text(value: string): string {
  return Buffer.from(value, 'base64').toString()
}

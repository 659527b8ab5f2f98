/**
 * Many Secrets under one Transit key: put there as their owners do, and looked at as nobody but an administrator can. By raw
 * HTTPS, with nothing of keyhole in it, and kept-alive connections, since there may be a thousand of them.
 */
import { Agent, request } from 'undici'
import { pathOf } from './kubernetes-operator.ts'
import type { RealOperator } from './operator.ts'
import type { Estate } from './rotation-set-up.ts'
import { REALM } from './set-up.ts'
import type { Connection } from './start.ts'

export interface Fleet extends AsyncDisposable {
  readonly estate: Estate
  readonly places: readonly FleetPlace[]
  /** Encrypts every value under the newest version, and puts every Secret. */
  seed(): Promise<void>
  /** Every Secret as it is now. */
  look(): Promise<ReadonlyMap<string, Looked>>
  /** Of `namespace/name`. */
  plaintextOf(place: FleetPlace): string
  key(): Promise<KeyState>
}

export interface FleetPlace {
  readonly namespace: string
  readonly name: string
}

/** A Secret, as far as a rotation might have changed it. */
export interface Looked {
  readonly version: number
  /** What Vault makes of its ciphertext; an error's text in angle brackets. */
  readonly value: string
  readonly ciphertext: string
  readonly resourceVersion: string
  /** All that no rotation may touch: other data keys, type, labels, annotations, owners, uid. */
  readonly rest: string
}

export interface KeyState {
  readonly latest: number
  readonly min: number
}

export const DATA_KEY = 'secrets.json'
const WIDTH = 16
const BATCH = 200

export interface FleetOptions {
  /** Of each value, at least; in bytes. */
  readonly bytes?: number
}

export function fleetOf(connection: Connection, estate: Estate, { bytes = 0 }: FleetOptions = {}): Fleet {
  const { kubernetes, vault, ca } = connection
  const dispatcher = new Agent({ connect: { ca }, connections: WIDTH })
  const places = estate.namespaces.flatMap((namespace) => estate.secrets.map((name) => ({ namespace, name })))

  async function ask<T>(url: string, init: Asking, accepted: readonly number[] = [200, 201]): Promise<T> {
    const headers = { 'content-type': 'application/json', ...init.headers }
    const { statusCode, body } = await request(url, {
      dispatcher,
      method: init.method ?? 'GET',
      headers,
      ...(init.body !== undefined && { body: JSON.stringify(init.body) }),
    })
    const text = await body.text()
    if (!accepted.includes(statusCode)) throw new Error(`${url} answered ${statusCode}: ${text.slice(0, 500)}`)
    return JSON.parse(text) as T
  }
  const inVault = <T>(path: string, body?: unknown, accepted?: readonly number[]) => {
    const headers = { 'x-vault-token': vault.rootToken }
    const asking = body === undefined ? { headers } : { method: 'POST', headers, body }
    return ask<{ data: T }>(`${vault.origin}/v1/${path}`, asking as Asking, accepted)
  }
  const asAdmin = { authorization: `Bearer ${kubernetes.adminToken}` }

  function plaintextOf({ namespace, name }: FleetPlace): string {
    return JSON.stringify({ PASSWORD: `canary of ${namespace}/${name}`, PADDING: 'p'.repeat(bytes) })
  }

  async function put(place: FleetPlace, ciphertext: string): Promise<void> {
    const manifest = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: place.name, labels: { team: 'a' }, annotations: { note: 'of its owner' } },
      type: 'example.dev/dictionary',
      data: { [DATA_KEY]: base64(ciphertext), other: base64('of somebody else') },
    }
    const headers = { ...asAdmin, 'content-type': 'application/apply-patch+yaml' }
    const query = '?fieldManager=owner&force=true'
    await ask(`${kubernetes.origin}${pathOf('secrets', place)}${query}`, { method: 'PATCH', headers, body: manifest })
  }

  async function listed(): Promise<readonly FoundSecret[]> {
    const lists = estate.namespaces.map((namespace) =>
      ask<{ items: FoundSecret[] }>(`${kubernetes.origin}/api/v1/namespaces/${namespace}/secrets`, {
        headers: asAdmin,
      }),
    )
    return (await Promise.all(lists)).flatMap(({ items }) => items)
  }

  async function looked(secrets: readonly FoundSecret[]): Promise<(readonly [string, Looked])[]> {
    const items = secrets.map(({ metadata, data }) => ({
      ciphertext: Buffer.from(data[DATA_KEY] ?? '', 'base64').toString(),
      context: contextOf(metadata),
    }))
    const { data } = await inVault<Decrypted>(`transit/decrypt/${estate.key}`, { batch_input: items }, [200, 400])
    return secrets.map(({ metadata, data: { [DATA_KEY]: _, ...other }, type }, index) => {
      const { namespace, name, uid, labels, annotations, ownerReferences, resourceVersion } = metadata
      const { plaintext = '', error } = data.batch_results[index] ?? { error: 'no answer' }
      const ciphertext = items[index]?.ciphertext ?? ''
      return [
        `${namespace}/${name}`,
        {
          version: Number(/^vault:v(\d+):/.exec(ciphertext)?.[1] ?? 0),
          value: error ? `<${error}>` : Buffer.from(plaintext, 'base64').toString(),
          ciphertext,
          resourceVersion,
          rest: JSON.stringify({ other, type, uid, labels, annotations, ownerReferences }),
        },
      ]
    })
  }

  return {
    estate,
    places,
    plaintextOf,
    async seed() {
      for (const batch of batches(places)) {
        const items = batch.map((place) => ({ plaintext: base64(plaintextOf(place)), context: contextOf(place) }))
        const { data } = await inVault<Encrypted>(`transit/encrypt/${estate.key}`, { batch_input: items })
        await inParallel(WIDTH, [...batch.entries()], ([index, place]) =>
          put(place, data.batch_results[index]?.ciphertext ?? ''),
        )
      }
    },
    async look() {
      const entries: (readonly [string, Looked])[] = []
      for (const batch of batches(await listed())) entries.push(...(await looked(batch)))
      return new Map(entries)
    },
    async key() {
      const { data } = await inVault<FoundKey>(`transit/keys/${estate.key}`)
      return { latest: data.latest_version, min: data.min_decryption_version }
    },
    [Symbol.asyncDispose]: () => dispatcher.close(),
  }
}

interface Asking {
  readonly method?: 'GET' | 'POST' | 'PATCH'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
}

interface FoundSecret {
  readonly metadata: FleetPlace & {
    readonly uid: string
    readonly resourceVersion: string
    readonly labels?: unknown
    readonly annotations?: unknown
    readonly ownerReferences?: unknown
  }
  readonly data: Readonly<Record<string, string>>
  readonly type: string
}

interface FoundKey {
  readonly latest_version: number
  readonly min_decryption_version: number
}

interface Encrypted {
  readonly batch_results: readonly { readonly ciphertext: string }[]
}

interface Decrypted {
  readonly batch_results: readonly { readonly plaintext?: string; readonly error?: string }[]
}

/** Makes the namespaces and the Transit key. */
export async function makeEstate({ kubernetes, vault }: RealOperator, estate: Estate): Promise<void> {
  for (const namespace of estate.namespaces) await kubernetes.createNamespace(namespace)
  await vault.createTransitKey({ name: estate.key, derived: true })
}

/** Written out a second time, as in world.ts. */
export function contextOf({ namespace, name }: FleetPlace): string {
  return base64(`keyhole/1/${REALM}/${namespace}/${name}/${DATA_KEY}`)
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

function* batches<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += BATCH) yield items.slice(at, at + BATCH)
}

/** At most so many at once. */
export async function inParallel<T>(
  width: number,
  items: readonly T[],
  act: (item: T) => Promise<void>,
): Promise<void> {
  const left = items.values()
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const item of left) await act(item)
    }),
  )
}

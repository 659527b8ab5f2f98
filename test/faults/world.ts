/**
 * One cluster and one Vault without sockets, with the estate in them, and whoever writes there beside keyhole. What is
 * known here of every Secret, past the wire, is what the invariants are held against.
 */

import type { Policy } from '../../src/policy/in-force.ts'
import { transitContext } from '../../src/services/place.ts'
import type { Intent } from '../../src/services/rotation/journal-state.ts'
import { intentFor, parseState } from '../../src/services/rotation/journal-state.ts'
import type { KubernetesInProcess } from '../../src/standins/kubernetes.ts'
import { createKubernetesStandin } from '../../src/standins/kubernetes.ts'
import type { StandinReply, StandinRequest } from '../../src/standins/server.ts'
import type { TransitKeyState, VaultInProcess } from '../../src/standins/vault.ts'
import { createVaultStandin } from '../../src/standins/vault.ts'
import type { Random } from '../read-path/random.ts'
import { seeded } from '../read-path/random.ts'
import type { Keeping, KeyName, Sealed } from './estate.ts'
import { CANARY, ESTATE, idOf, KEYS, LEASE, policyOf, REALM, sealedIn } from './estate.ts'
import type { Tokens } from './rights.ts'
import { giveRights, tokensOf } from './rights.ts'
import type { WorldTime } from './time.ts'
import { worldTime } from './time.ts'

/** A Secret as the API server has it. */
export interface Stored {
  readonly uid: string
  readonly type: string
  readonly immutable: boolean
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly data: Readonly<Record<string, Buffer>>
}

export interface World {
  readonly seed: number
  readonly chance: Random
  readonly bytes: (count: number) => Buffer
  readonly time: WorldTime
  readonly kubernetes: KubernetesInProcess
  readonly vault: VaultInProcess
  readonly tokens: Tokens
  policy: Policy
  /** Calls that took effect so far. */
  step: number
  /** What every owner wrote last, and before; the first is from the beginning. */
  readonly written: Map<string, { readonly step: number; readonly value: string }[]>
  stored(namespace: string, secret: string): Stored | undefined
  key(name: string): TransitKeyState
  /** What the Lease says is to be done about this key; undefined where it says nothing that keyhole would read. */
  intent(key: string): Intent | undefined
  lease(): LeaseObject | undefined
  /** As the API server would be asked by its own admin. */
  admin(method: string, path: string, body?: object): StandinReply
  /** One call takes effect after the other, each with all that is looked at and done because of it. */
  inTurn<T>(act: () => Promise<T>): Promise<T>
  /** Ciphertext for a place, under this version of its key or the newest. */
  encrypt(sealed: Sealed, value: string, version?: number): string
}

/** As far as anybody here tampers with it. */
export interface LeaseObject {
  readonly metadata: { readonly resourceVersion: string; readonly annotations?: Record<string, string> }
  readonly spec: { readonly holderIdentity?: string; readonly renewTime?: string }
}

export interface WorldOptions {
  readonly seed: number
  /** A version newer than what most of the estate holds, so that there is something to do without making one. */
  readonly behind?: boolean
}

const STATE_ANNOTATION = 'keyhole.dev/rotation'
const NEVER = new AbortController().signal
const DAY_MS = 86_400_000

export function createWorld({ seed, behind = false }: WorldOptions): World {
  const time = worldTime()
  // Of an odd number and the even one before it, chance is the same.
  const chance = seeded(2 * seed + 1)
  const bytes = (count: number) => Buffer.from(Array.from({ length: count }, () => chance.whole(256)))
  const kubernetes = createKubernetesStandin({ clock: time, random: bytes, reviewCacheMs: 10_000 })
  const vault = createVaultStandin({
    clock: time,
    random: bytes,
    review: async (jwt, audiences) => reviewed(jwt, audiences),
  })
  const transit = vault.transit()

  function admin(method: string, path: string, body?: object): StandinReply {
    const request: StandinRequest = {
      method,
      path,
      query: new URLSearchParams(),
      headers: { authorization: `Bearer ${kubernetes.adminToken}`, 'content-type': 'application/json' },
      body: Buffer.from(body === undefined ? '' : JSON.stringify(body)),
      signal: NEVER,
    }
    return kubernetes.handle(request)
  }

  function read<T>(path: string): T | undefined {
    const { status, body } = admin('GET', path)
    return status === 200 ? (JSON.parse(String(body)) as T) : undefined
  }

  function reviewed(jwt: string, audiences: readonly string[]) {
    const answer = admin('POST', '/apis/authentication.k8s.io/v1/tokenreviews', { spec: { token: jwt, audiences } })
    const { status } = JSON.parse(String(answer.body)) as { status: { user?: { username?: string; uid?: string } } }
    const [, , namespace = '', name = ''] = status.user?.username?.split(':') ?? []
    return status.user?.uid === undefined ? undefined : { namespace, name, uid: status.user.uid }
  }

  for (const [name, { versions }] of Object.entries(KEYS)) {
    const count = versions + Number(behind)
    const createdAtMs = Array.from({ length: count }, (_, index) => time.now() - (count - index) * 30 * DAY_MS)
    transit.putKey(name, { derived: true, createdAtMs })
  }
  let turn: Promise<unknown> = Promise.resolve()
  const world: World = {
    seed,
    chance,
    bytes,
    time,
    kubernetes,
    vault,
    tokens: tokensOf(kubernetes),
    policy: policyOf(),
    step: 0,
    written: new Map(),
    stored(namespace, secret) {
      const found = read<SecretObject>(`/api/v1/namespaces/${namespace}/secrets/${secret}`)
      if (found === undefined) return undefined
      const { metadata, type, immutable = false, data = {} } = found
      const decoded = Object.entries(data).map(([dataKey, value]) => [dataKey, Buffer.from(value, 'base64')] as const)
      const { uid, labels = {}, annotations = {} } = metadata
      return { uid, type, immutable, labels, annotations, data: Object.fromEntries(decoded) }
    },
    key(name) {
      const state = transit.key(name)
      if (state === undefined) throw new Error(`no Transit key ${name}`)
      return state
    },
    intent(key) {
      const text = world.lease()?.metadata.annotations?.[STATE_ANNOTATION]
      const state = text === undefined ? undefined : parseState(text)
      return state && intentFor(state, key)
    },
    lease: () => read<LeaseObject>(`/apis/coordination.k8s.io/v1/namespaces/${LEASE.namespace}/leases/${LEASE.name}`),
    admin,
    inTurn(act) {
      const acted = turn.then(act)
      turn = acted.catch(() => {})
      return acted
    },
    encrypt: (sealed, value, keyVersion = 0) =>
      transit.encrypt(sealed.key, value, { context: contextOf(sealed), keyVersion }),
  }
  giveRights(world)
  for (const keeping of ESTATE) putKeeping(world, keeping)
  return world
}

interface SecretObject {
  readonly metadata: {
    readonly uid: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly type: string
  readonly immutable?: boolean
  readonly data?: Readonly<Record<string, string>>
}

export function contextOf({ namespace, secret, dataKey }: Sealed): Buffer {
  return Buffer.from(transitContext(REALM, { namespace, secret }, dataKey), 'base64')
}

/** As its owner makes it: a fresh value for each ciphertext. */
export function putKeeping(world: World, keeping: Keeping): void {
  const { namespace, secret, sealed, plain, type, labels, annotations } = keeping
  const ciphertexts = sealedIn(keeping).map((one) => {
    const value = valueFor(one, 0)
    world.written.set(idOf(one), [{ step: world.step, value }])
    return [one.dataKey, world.encrypt(one, value, sealed[one.dataKey]?.version)] as const
  })
  const data = { ...Object.fromEntries(ciphertexts), ...plain }
  world.kubernetes.putSecret({ namespace, name: secret, data, type, labels, annotations })
}

/** What somebody writes the so-manieth time; JSON, so that it may be a dictionary. */
export function valueFor(sealed: Sealed, count: number): string {
  return JSON.stringify({ A: `${CANARY}-${idOf(sealed)}-${count}` })
}

export function everySealed(keepings: readonly Keeping[] = ESTATE): readonly Sealed[] {
  return keepings.flatMap(sealedIn)
}

export function keysOf(): readonly KeyName[] {
  return Object.keys(KEYS) as KeyName[]
}

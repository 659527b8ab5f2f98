/** What Vault holds, of all that a policy asks about, and who else may come at its keys. Asks; changes nothing. */
import type { UpstreamKind } from '../errors.ts'
import { UpstreamError } from '../errors.ts'
import { all, gate } from '../services/rotation/pool.ts'
import type { Fields, VaultAdmin } from './port.ts'
import { fieldsIn, wordIn, wordsIn } from './read-fields.ts'
import { readPolicy } from './read-policy.ts'
import type { Rule } from './rules.ts'
import type { Wanted } from './wanted.ts'
import { pathOf } from './wanted.ts'

/** Undefined: it is not there. `unseen`: whoever looked may not see it. */
export type Seen<T> = T | undefined | 'unseen'

export interface Found {
  /** By path, without slashes around it. */
  readonly mounts: Seen<ReadonlyMap<string, Mounted>>
  readonly authMethods: Seen<ReadonlyMap<string, Mounted>>
  /** By pathOf. */
  readonly keys: ReadonlyMap<string, Seen<Fields>>
  /** By name of the role: the text of the policy of the same name. */
  readonly policies: ReadonlyMap<string, Seen<string>>
  readonly roles: ReadonlyMap<string, Seen<Fields>>
  readonly authConfig: Seen<Fields>
  readonly others: Others
}

/** A secrets engine, or an auth method. */
export interface Mounted {
  readonly type: string
  /** How it is tuned. */
  readonly config: Fields
}

/** What is not keyhole's. */
export interface Others {
  /** Policies by name; undefined for a text that is not wholly understood. `unseen` where they may not all be looked at. */
  readonly policies: Seen<ReadonlyMap<string, readonly Rule[] | undefined>>
  /** Roles of the same auth method, with the policies that each gives; undefined for one that may not be looked at. */
  readonly roles: Seen<ReadonlyMap<string, readonly string[] | undefined>>
}

export interface Looking {
  readonly vault: VaultAdmin
  readonly signal: AbortSignal
  /** Called as it goes: how much has been looked at, and of how much. */
  progress(done: number, total: number): void
}

const AT_ONCE = 4

/** @throws UpstreamError for whatever is not a matter of rights. */
export async function look(wanted: Wanted, { vault, signal, progress }: Looking): Promise<Found> {
  const ask = asking(vault, signal, progress)
  const { mount, type } = wanted.auth
  const names = wanted.roles.map(({ name }) => name)

  const mounts = mountedIn(await ask.read('sys/mounts'))
  const authMethods = mountedIn(await ask.read('sys/auth'))
  const isTransit = (path: string) => !(mounts instanceof Map) || mounts.get(path)?.type === 'transit'
  const isThere = !(authMethods instanceof Map) || authMethods.get(mount)?.type === type
  const ofAuth = async (path: string) => (isThere ? await ask.read(`auth/${mount}/${path}`) : undefined)

  const policy = async (name: string) => textIn(await ask.read(`sys/policies/acl/${name}`))
  const role = (name: string) => ofAuth(`role/${name}`)
  const others = async (path: string) => {
    const listed = await ask.list(path)
    if (listed === 'unseen' || listed.length > MOST_ASKED_ABOUT) return 'unseen'
    return listed.filter((name) => name !== 'root' && !names.includes(name))
  }

  const keys = await named(wanted.keys.map(pathOf), async (path) => {
    return isTransit(path.slice(0, path.lastIndexOf('/keys/'))) ? await ask.read(path) : undefined
  })
  const otherPolicies = await others('sys/policies/acl')
  const otherRoles = isThere ? await others(`auth/${mount}/role`) : []
  return {
    mounts,
    authMethods,
    keys,
    policies: await named(names, policy),
    roles: await named(names, role),
    authConfig: await ofAuth('config'),
    others: {
      policies:
        otherPolicies === 'unseen'
          ? otherPolicies
          : await named(otherPolicies, async (name) => {
              const text = NAME.test(name) ? await policy(name) : 'unseen'
              return text === 'unseen' ? undefined : readPolicy(text ?? '')
            }),
      roles:
        otherRoles === 'unseen'
          ? otherRoles
          : await named(otherRoles, async (name) => {
              const data = NAME.test(name) ? await role(name) : 'unseen'
              return data === 'unseen' ? undefined : wordsIn(data?.['token_policies'])
            }),
    },
  }
}

interface Asking {
  read(path: string): Promise<Seen<Fields>>
  list(path: string): Promise<readonly string[] | 'unseen'>
}

/** A few at once; the first that fails ends them all. */
function asking(vault: VaultAdmin, signal: AbortSignal, progress: Looking['progress']): Asking {
  const few = gate(AT_ONCE)
  const over = new AbortController()
  const both = AbortSignal.any([signal, over.signal])
  let failure: unknown
  let [done, total] = [0, 0]

  async function ask<T>(act: () => Promise<T>): Promise<T | 'unseen'> {
    total += 1
    try {
      return await few(act)
    } catch (error) {
      if (error instanceof UpstreamError && UNSEEN.has(error.kind)) return 'unseen'
      failure ??= error
      over.abort()
      throw failure
    } finally {
      done += 1
      progress(done, total)
    }
  }
  return {
    read: (path) => ask(() => vault.read(path, both)),
    list: (path) => ask(() => vault.list(path, both)),
  }
}

async function named<T>(names: readonly string[], act: (name: string) => Promise<T>): Promise<ReadonlyMap<string, T>> {
  return new Map(await all(names, async (name) => [name, await act(name)] as const))
}

/** Where mounts may not be looked at, one that is not there answers like this. */
const UNSEEN: ReadonlySet<string> = new Set<UpstreamKind>(['forbidden', 'mount-missing'])

/** What may stand in a path as it is. A policy of another name counts as one that is not understood. */
const NAME = /^\w[\w.-]{0,252}$/

/** Beyond this many there is no looking at each. */
const MOST_ASKED_ABOUT = 10_000

/** `{"transit/": {"type": "transit", "config": {...}, ...}, ...}` */
function mountedIn(data: Seen<Fields>): Seen<ReadonlyMap<string, Mounted>> {
  if (data === undefined || data === 'unseen') return data
  const all = Object.entries(data).map(([path, about]) => {
    const { type, config } = fieldsIn(about)
    return [path.replace(/\/$/, ''), { type: wordIn(type), config: fieldsIn(config) }] as const
  })
  return new Map(all.filter(([, { type }]) => type !== ''))
}

/** Of a policy that is there and has no text nothing is known. */
function textIn(data: Seen<Fields>): Seen<string> {
  if (data === undefined || data === 'unseen') return data
  const { policy } = data
  return typeof policy === 'string' ? policy : 'unseen'
}

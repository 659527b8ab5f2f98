/** The look at Vault, thing by thing. It changes nothing. */
import { all } from '../services/rotation/pool.ts'
import type { Asking, Looking } from './asking.ts'
import { asking } from './asking.ts'
import type { Found, Mounts, Others, Seen } from './found.ts'
import { isThere } from './found.ts'
import type { Fields } from './port.ts'
import { fieldsIn, wordIn, wordsIn } from './read-fields.ts'
import { readPolicy } from './read-policy.ts'
import type { Wanted, WantedAuth, WantedKey } from './wanted.ts'
import { pathOf } from './wanted.ts'

/** @throws UpstreamError for whatever is not a matter of rights. */
export async function look(wanted: Wanted, looking: Looking): Promise<Found> {
  const ask = asking(looking)
  const ours = wanted.roles.map(({ name }) => name)
  const mounts = await mountsAt('sys/mounts', ask)
  const authMethods = await mountsAt('sys/auth', ask)
  const method = belowMethod(wanted.auth, authMethods, ask)
  return {
    mounts,
    authMethods,
    keys: await keysUnder(mounts, wanted.keys, ask),
    policies: await named(ours, (name) => policyText(name, ask)),
    roles: await named(ours, (name) => method.read(`role/${name}`)),
    authConfig: await method.read('config'),
    others: { policies: await otherPolicies(ours, ask), roles: await otherRoles(ours, method) },
  }
}

/** `{"transit/": {"type": "transit", "config": {...}, ...}, ...}` */
async function mountsAt(path: string, ask: Asking): Promise<Seen<Mounts>> {
  const seen = await ask.read(path)
  if (!isThere(seen)) return seen
  const mounts = Object.entries(seen.there).map(([at, about]) => {
    const { type, config } = fieldsIn(about)
    return [at.replace(/\/$/, ''), { type: wordIn(type), config: fieldsIn(config) }] as const
  })
  return { there: new Map(mounts.filter(([, { type }]) => type !== '')) }
}

/** Where the list of mounts cannot be had, whatever is asked there tells. */
function isElsewhere(mounts: Seen<Mounts>, path: string, type: string): boolean {
  return isThere(mounts) && mounts.there.get(path)?.type !== type
}

/** Asks by paths below the auth method. Where there is none of its type, nothing is below it, and nothing is asked. */
function belowMethod({ mount, type }: WantedAuth, authMethods: Seen<Mounts>, ask: Asking): Asking {
  if (isElsewhere(authMethods, mount, type)) return { read: async () => 'missing', list: async () => [] }
  return { read: (path) => ask.read(`auth/${mount}/${path}`), list: (path) => ask.list(`auth/${mount}/${path}`) }
}

async function keysUnder(mounts: Seen<Mounts>, keys: readonly WantedKey[], ask: Asking): Promise<Found['keys']> {
  const seen = await all(keys, async (key) => {
    const path = pathOf(key)
    return [path, isElsewhere(mounts, key.mount, 'transit') ? 'missing' : await ask.read(path)] as const
  })
  return new Map(seen)
}

/** Of a policy that is there and has no text nothing is known. */
async function policyText(name: string, ask: Asking): Promise<Seen<string>> {
  const seen = await ask.read(`sys/policies/acl/${name}`)
  if (!isThere(seen)) return seen
  const { policy } = seen.there
  return typeof policy === 'string' ? { there: policy } : 'hidden'
}

async function otherPolicies(ours: readonly string[], ask: Asking): Promise<Others['policies']> {
  const names = othersIn(await ask.list('sys/policies/acl'), ours)
  if (names === 'hidden') return 'hidden'
  const rulesOf = async (name: string) => {
    const seen = NAME.test(name) ? await policyText(name, ask) : 'hidden'
    if (seen === 'hidden') return undefined
    return readPolicy(seen === 'missing' ? '' : seen.there)
  }
  return { there: await named(names, rulesOf) }
}

async function otherRoles(ours: readonly string[], method: Asking): Promise<Others['roles']> {
  const names = othersIn(await method.list('role'), ours)
  if (names === 'hidden') return 'hidden'
  const policiesOf = async (name: string) => {
    const seen: Seen<Fields> = NAME.test(name) ? await method.read(`role/${name}`) : 'hidden'
    if (seen === 'hidden') return 'hidden'
    return seen === 'missing' ? [] : wordsIn(seen.there['token_policies'])
  }
  return { there: await named(names, policiesOf) }
}

function othersIn(names: readonly string[] | 'hidden', ours: readonly string[]): readonly string[] | 'hidden' {
  if (names === 'hidden' || names.length > MOST_ASKED_ABOUT) return 'hidden'
  return names.filter((name) => name !== 'root' && !ours.includes(name))
}

/** Beyond this many there is no looking at each. */
const MOST_ASKED_ABOUT = 10_000

/** What may stand in a path as it is. A policy of another name counts as one that is not understood. */
const NAME = /^\w[\w.-]{0,252}$/

async function named<T>(names: readonly string[], act: (name: string) => Promise<T>): Promise<ReadonlyMap<string, T>> {
  return new Map(await all(names, async (name) => [name, await act(name)] as const))
}

/** Who else is at work while keyhole rotates: owners, operators, tools, and some who mean harm. Each acts in one moment. */
import type { Keeping, Sealed } from './estate.ts'
import { ESTATE, idOf, LEASE, nameOf, policyOf, sealedIn } from './estate.ts'
import { mayBeRotated } from './rights.ts'
import type { Story } from './story.ts'
import type { Stored, World } from './world.ts'
import { everySealed, keysOf, valueFor } from './world.ts'

export type Actor = (story: Story) => void

export interface Change {
  readonly data?: Readonly<Record<string, string>>
  readonly immutable?: boolean
  readonly annotations?: Readonly<Record<string, string>>
  /** A new object of the same name. */
  readonly anew?: boolean
}

/** As somebody who may write Secrets does it: past keyhole, all else as it was. */
export function put(world: World, { namespace, secret }: Pick<Keeping, 'namespace' | 'secret'>, change: Change): void {
  const was = world.stored(namespace, secret)
  if (was === undefined) throw new Error(`no Secret ${namespace}/${secret}`)
  if (change.anew === true || was.immutable) world.kubernetes.deleteSecret({ namespace, name: secret })
  const { type, labels } = was
  const annotations = change.annotations ?? was.annotations
  const data = { ...was.data, ...change.data }
  const immutable = change.immutable ?? false
  world.kubernetes.putSecret({
    namespace,
    name: secret,
    data,
    type,
    labels,
    annotations,
    ...(immutable && { immutable }),
  })
}

export function writesNew({ world, watch }: Story, sealed = anySealed(world)): void {
  const value = valueFor(sealed, (world.written.get(idOf(sealed)) ?? []).length)
  put(world, sealed, { data: { [sealed.dataKey]: world.encrypt(sealed, value) } })
  watch.wrote(sealed, value)
  watch.acted(`writes a new value of ${idOf(sealed)}`, sealed)
}

/** What the Secret held in the beginning, ciphertext and all. */
export function oldCiphertexts({ world }: Story): ReadonlyMap<string, string> {
  return new Map(everySealed().map((sealed) => [idOf(sealed), ciphertextOf(world, sealed)]))
}

export function putsOlderBack(story: Story, old: ReadonlyMap<string, string>, sealed = anySealed(story.world)): void {
  const { world, watch } = story
  const ciphertext = old.get(idOf(sealed)) ?? ''
  put(world, sealed, { data: { [sealed.dataKey]: ciphertext } })
  watch.wrote(sealed, world.written.get(idOf(sealed))?.[0]?.value ?? '')
  watch.acted(`puts the first ciphertext of ${idOf(sealed)} back`, sealed)
}

export function recreates({ world, watch }: Story): void {
  const keeping = anyKeeping(world)
  const data: Record<string, string> = {}
  for (const sealed of sealedIn(keeping)) {
    const value = valueFor(sealed, (world.written.get(idOf(sealed)) ?? []).length)
    data[sealed.dataKey] = world.encrypt(sealed, value)
    watch.wrote(sealed, value)
  }
  put(world, keeping, { data, anew: true })
  watch.acted(`deletes ${nameOf(keeping)} and creates it again`, keeping)
}

/** And nobody makes it again. */
export function deletes({ world, watch }: Story, keeping = anyKeeping(world)): void {
  world.kubernetes.deleteSecret({ namespace: keeping.namespace, name: keeping.secret })
  watch.deleted(keeping)
  watch.acted(`deletes ${nameOf(keeping)}`, keeping)
}

/** What was deleted, with a fresh value for each ciphertext. */
function makesAgain({ world, watch }: Story, keeping: Keeping): void {
  const data: Record<string, string> = {}
  for (const sealed of sealedIn(keeping)) {
    const value = valueFor(sealed, (world.written.get(idOf(sealed)) ?? []).length)
    data[sealed.dataKey] = world.encrypt(sealed, value)
    watch.wrote(sealed, value)
  }
  create(world, keeping, data, keeping.annotations)
  watch.acted(`makes ${nameOf(keeping)} again`, keeping)
}

function create(
  world: World,
  { namespace, secret, plain, type, labels }: Keeping,
  data: Readonly<Record<string, string>>,
  annotations: Keeping['annotations'],
): void {
  world.kubernetes.putSecret({ namespace, name: secret, data: { ...data, ...plain }, type, labels, annotations })
}

/** A GitOps tool takes a Secret on, which shows on it from then on; what is returned is its next sync. */
export function takesOn(story: Story): Actor {
  const { world, watch } = story
  const keeping = anyKeeping(world)
  const mark = world.chance.pick(['argocd.argoproj.io/tracking-id', 'kustomize.toolkit.fluxcd.io/name'])
  const annotations = { ...keeping.annotations, [mark]: 'app' }
  const sealed = sealedIn(keeping)
  const inGit = Object.fromEntries(sealed.map((one) => [one.dataKey, ciphertextOf(world, one)]))
  put(world, keeping, { annotations })
  watch.acted(`marks ${nameOf(keeping)} with ${mark}`, keeping)

  return () => {
    const isGone = world.stored(keeping.namespace, keeping.secret) === undefined
    if (isGone) create(world, keeping, inGit, annotations)
    else put(world, keeping, { data: inGit, annotations })
    for (const one of sealed) watch.wrote(one, world.written.get(idOf(one))?.[0]?.value ?? '')
    watch.acted(`syncs ${nameOf(keeping)} from git`, keeping)
    const isNamed = [...world.policy.grants.values()].some((one) => nameOf(one) === nameOf(keeping))
    for (const one of sealed) {
      if (isNamed && watch.isBroken(one)) watch.object('I6', `retired under ${idOf(one)}, which git brings back`)
    }
  }
}

export function makesImmutable({ world, watch }: Story): void {
  const keeping = anyKeeping(world)
  put(world, keeping, { immutable: true })
  watch.acted(`makes ${nameOf(keeping)} immutable`, keeping)
}

/** A ciphertext of another place, of the same key: in a name that says it is the newest. */
export function pastes({ world, watch }: Story, sealed = anySealed(world)): void {
  const others = everySealed().filter((one) => one.key === sealed.key && idOf(one) !== idOf(sealed))
  const other = others[world.chance.whole(others.length)] ?? sealed
  const foreign = world.chance.whole(2) === 0 ? ciphertextOf(world, other) : world.encrypt(other, 'elsewhere')
  put(world, sealed, { data: { [sealed.dataKey]: foreign } })
  watch.broke(sealed)
  watch.acted(`pastes the ciphertext of ${idOf(other)} into ${idOf(sealed)}`, sealed)
}

export function writesGarbage({ world, watch }: Story): void {
  const sealed = anySealed(world)
  const garbage = world.chance.pick([
    '',
    'not a ciphertext',
    'vault:v1:AAAA',
    `vault:v${world.key(sealed.key).latestVersion}:${Buffer.alloc(64).toString('base64')}`,
    'vault:v99:AAAA',
    `vault:v1:${'A'.repeat(400_000)}`,
  ])
  put(world, sealed, { data: { [sealed.dataKey]: garbage } })
  watch.broke(sealed)
  watch.acted(`writes ${garbage.slice(0, 20)} into ${idOf(sealed)}`, sealed)
}

/** As `auto_rotate_period` does, or an operator. */
export function rotatesElsewhere({ world, watch }: Story, key = anyOf(world, keysOf())): void {
  world.vault.transit().rotateKey(key)
  watch.rotatedElsewhere(key)
  watch.acted(`makes a version of ${key}`)
}

export function dropsSecret({ world, watch }: Story): void {
  const dropped = nameOf(anyKeeping(world))
  world.policy = policyOf({ without: [dropped] })
  watch.acted(`drops ${dropped} from the policy`)
}

const ADDED: Keeping = {
  namespace: 'payments',
  secret: 'added',
  format: 'json',
  sealed: { 'added.json': { key: 'pay', version: 1 } },
  plain: {},
  type: 'Opaque',
  labels: {},
  annotations: {},
}

/** It was encrypted a moment ago, by the newest version there was. */
export function addsSecret({ world, watch }: Story): void {
  const [sealed] = sealedIn(ADDED)
  if (sealed === undefined || watch.everySealed().some((one) => idOf(one) === idOf(sealed))) return
  const value = valueFor(sealed, 0)
  const data = { [sealed.dataKey]: world.encrypt(sealed, value) }
  world.kubernetes.putSecret({ namespace: ADDED.namespace, name: ADDED.secret, data })
  mayBeRotated(world, ADDED)
  watch.added(ADDED)
  watch.wrote(sealed, value)
  world.policy = policyOf({ keepings: [...ESTATE, ADDED] })
  watch.acted(`adds ${nameOf(ADDED)} to the policy`, ADDED)
}

export function removesAdmin({ world, watch }: Story): void {
  world.policy = policyOf({ admins: ['somebody-else'] })
  watch.acted('removes the admin')
}

export function sealsVault({ world, watch }: Story): void {
  const forMs = world.chance.pick([3_000, 60_000])
  world.vault.seal()
  watch.acted(`seals Vault for ${forMs} ms`)
  world.time.after(forMs, () => {
    world.vault.unseal()
    watch.acted('unseals Vault')
  })
}

export function deletesLease({ world, watch }: Story): void {
  watch.tampered()
  world.admin('DELETE', LEASE_PATH)
  watch.acted('deletes the Lease')
}

export const LEASE_PATH = `/apis/coordination.k8s.io/v1/namespaces/${LEASE.namespace}/leases/${LEASE.name}`

/** All is well again: what broke is mended, what was edited is as in the beginning. */
export function mendAll(story: Story): void {
  const { world, watch } = story
  world.vault.unseal()
  const keepings = watch.everySealed().length > everySealed().length ? [...ESTATE, ADDED] : ESTATE
  world.policy = policyOf({ keepings })
  for (const keeping of keepings) {
    const stored = world.stored(keeping.namespace, keeping.secret)
    const { annotations } = keeping
    if (stored === undefined) makesAgain(story, keeping)
    else if (stored.immutable || JSON.stringify(stored.annotations) !== JSON.stringify(annotations)) {
      put(world, keeping, { annotations })
      watch.acted(`mends ${nameOf(keeping)}`, keeping)
    }
  }
  for (const sealed of watch.everySealed()) if (watch.isBroken(sealed)) writesNew(story, sealed)
}

export function ciphertextOf(world: World, { namespace, secret, dataKey }: Sealed): string {
  return dataOf(world.stored(namespace, secret), dataKey)
}

function dataOf(stored: Stored | undefined, dataKey: string): string {
  return stored?.data[dataKey]?.toString() ?? ''
}

export function anySealed(world: World): Sealed {
  return anyOf(
    world,
    everySealed().filter(({ namespace, secret }) => world.stored(namespace, secret) !== undefined),
  )
}

function anyKeeping(world: World): Keeping {
  return anyOf(
    world,
    ESTATE.filter(({ namespace, secret }) => world.stored(namespace, secret) !== undefined),
  )
}

function anyOf<T>(world: World, list: readonly T[]): T {
  const one = list[world.chance.whole(list.length)]
  if (one === undefined) throw new Error('nothing to choose from')
  return one
}

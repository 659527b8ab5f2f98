/** Scenario 4: others at work in the middle of a rotation, each told as a story that ends well or objects. */
import type { Intent } from '../../src/services/rotation/journal-state.ts'
import { EMPTY_STATE } from '../../src/services/rotation/journal-state.ts'
import type { Actor } from './actors.ts'
import {
  addsSecret,
  deletesLease,
  dropsSecret,
  LEASE_PATH,
  makesImmutable,
  mendAll,
  oldCiphertexts,
  pastes,
  put,
  putsOlderBack,
  recreates,
  removesAdmin,
  rotatesElsewhere,
  sealsVault,
  writesGarbage,
  writesNew,
} from './actors.ts'
import type { Act, Call } from './call.ts'
import type { Code } from './code.ts'
import { ESTATE, idOf, nameOf } from './estate.ts'
import type { Crash, Mishap, Stop } from './mishaps.ts'
import { faultsOf } from './mishaps.ts'
import type { Story, Terms } from './story.ts'
import { isDone, LEASE_OVER_MS, tell } from './story.ts'
import { everySealed } from './world.ts'

export const ROTATE: Terms = { mode: 'rotate', retire: 'after-grace' }

export interface Told {
  readonly seed: number
  readonly code?: Code | undefined
}

export function begun(title: string, { seed, code }: Told, more: { terms?: Terms; isSlow?: boolean } = {}): Story {
  return tell({
    ...(more.terms ?? ROTATE),
    seed,
    title,
    ...(code !== undefined && { code }),
    ...(more.isSlow === true && { delayMs: (world) => () => world.chance.whole(30) }),
  })
}

/** Acts once, right after the so-manieth call of this sort, of this key where it is about one, by the first process. */
export function after(story: Story, act: Act, count: number, actor: () => void, about?: string): void {
  let seen = 0
  story.onStep((call, process) => {
    if (process.name !== 'rotator-1' || call.act !== act || (about !== undefined && call.about !== about)) return
    seen += 1
    if (seen === count) actor()
  })
}

/** Everything is in order again, and stays so. */
export async function calm(story: Story): Promise<void> {
  await story.world.time.advance(LEASE_OVER_MS)
  mendAll(story)
  story.watch.raise()
  // What was withheld while it was not in order is done by the first that finds it so.
  await story.converge(3, true)
}

/** An owner's older value comes back when all was verified and the minimum is about to rise: it is put back at once. */
export async function olderBackBeforeRaise(told: Told, key: 'pay' | 'led'): Promise<void> {
  const story = begun(`an older ciphertext comes back before the minimum of ${key} rises`, told)
  const old = oldCiphertexts(story)
  const sealed = everySealed().find((one) => one.key === key)
  // The second rewrap of a key is its verification.
  after(story, 'rewrap', 2, () => putsOlderBack(story, old, sealed), key)
  await story.rotate()
  story.watch.raise()
  await calm(story)
}

/** A value is written between the moment a ciphertext is rewrapped and the moment it is put back. */
export async function writesBetweenRewrapAndPatch(told: Told, anew: boolean): Promise<void> {
  const story = begun(`an owner ${anew ? 're-creates' : 'writes'} while ciphertext is rewrapped`, told)
  after(story, 'rewrap', 1, () => (anew ? recreates(story) : writesNew(story)))
  await story.rotate()
  await calm(story)
}

/** The ciphertext of another place is pasted, of the newest version by its name, so that nothing seems left to move. */
export async function pasted(told: Told): Promise<void> {
  const story = begun('a ciphertext of another place was pasted', told)
  const all = everySealed().filter(({ key }) => key === 'pay')
  after(story, 'rotate', 1, () => pastes(story, all[told.seed % all.length]), 'pay')
  const { report } = await story.rotate()
  if (report?.complete === true) story.watch.object('I8', 'complete, though a Secret does not open')
  await calm(story)
}

/** One looks at the Lease, is held up, and takes it while another already is at work. */
export async function lateForLease(told: Told): Promise<void> {
  const story = begun('one takes the Lease long after it looked', told)
  const first = story.begin(({ act, about, number }) =>
    (act === 'login' && number > 5) || (act === 'rotate' && about === 'led') ? 'slow' : undefined,
  )
  const second = story.begin(({ act, number }) => (act === 'lease-write' && number === 2 ? 'slow' : undefined))
  await story.until(() => first.ending() !== undefined && second.ending() !== undefined)
  await calm(story)
}

/** A process is stopped around one call; another takes over and finishes; then the first wakes up. */
export async function stopped(told: Told, number: number, moment: Stop, timersFirst: boolean): Promise<void> {
  const story = begun(`${moment} at call ${number}, timers first: ${timersFirst}`, told)
  const first = story.begin((one) => (one.number === number ? moment : undefined))
  await story.until(() => first.process.isStopped || first.ending() !== undefined)
  await story.world.time.advance(LEASE_OVER_MS)
  const second = await story.rotate()
  if (!isDone(second)) story.watch.object('I8', 'whoever took over did not finish')
  first.process.proceed(timersFirst)
  await story.until(() => first.ending() !== undefined)
  await story.converge()
}

/** As `olderBackBeforeRaise`, and the process dies before it has looked. */
export async function olderBackAndCrash(told: Told, key: 'pay' | 'led', moment: Crash): Promise<void> {
  const story = begun(`an older ciphertext comes back, and ${moment} of raising the minimum of ${key}`, told)
  const old = oldCiphertexts(story)
  const sealed = everySealed().find((one) => one.key === key)
  after(story, 'rewrap', 2, () => putsOlderBack(story, old, sealed), key)
  await story.rotate(({ act, about }) => (act === 'config' && about === key ? moment : undefined))
  await calm(story)
}

/** One thing goes wrong with one call. */
export async function oneFault(told: Told, title: string, fault: Mishap, isIt: (call: Call) => boolean): Promise<void> {
  const story = begun(title, told)
  let isOver = false
  await story.rotate((call) => {
    if (isOver || !isIt(call)) return undefined
    isOver = true
    return fault
  })
  await story.converge()
}

/** Nothing goes wrong. */
export async function clean(told: Told): Promise<void> {
  const story = begun('a clean run', told)
  await story.rotate()
  await story.converge()
}

/** Several are told to rotate in the same moment. */
export async function atOnce(told: Told, count: number): Promise<void> {
  const story = begun(`${count} rotators at once`, told, { isSlow: true })
  const all = Array.from({ length: count }, () => story.begin())
  await story.until(() => all.every(({ ending }) => ending() !== undefined))
  await calm(story)
}

/** SIGTERM after the so-manieth call. */
export async function halted(told: Told, number: number): Promise<void> {
  const story = begun(`SIGTERM after call ${number}`, told)
  story.onStep((call, process) => {
    if (process.name === 'rotator-1' && call.number === number) process.rotator.rotations.halt()
  })
  await story.rotate()
  await story.converge()
}

/** The audit log fails from the so-manieth call on, whether or not what was sent to it is written. */
export async function auditFails(told: Told, number: number, isWritten: boolean): Promise<void> {
  const story = begun(`the audit log fails from call ${number} on`, told)
  const fault = isWritten ? 'applied-then-reset' : 'reset'
  await story.rotate((call) => (call.act === 'append' && call.number >= number ? fault : undefined))
  await story.converge()
}

export async function sealedFor(told: Told, number: number): Promise<void> {
  const story = begun(`Vault is sealed after call ${number}`, told)
  story.onStep((call, process) => {
    if (process.name === 'rotator-1' && call.number === number) sealsVault(story)
  })
  await story.rotate()
  await calm(story)
}

/** Argo CD or Flux writes a Secret from the beginning, and brings its repository's ciphertext back in the middle. */
export async function gitOps(told: Told): Promise<void> {
  const story = begun('a GitOps tool brings the old ciphertext back', told)
  const { world, watch } = story
  const old = oldCiphertexts(story)
  const keeping = world.chance.pick(ESTATE as [(typeof ESTATE)[0], ...typeof ESTATE])
  const mark = world.chance.pick(['argocd.argoproj.io/tracking-id', 'kustomize.toolkit.fluxcd.io/name'])
  put(world, keeping, { annotations: { [mark]: 'app' } })
  watch.acted(`marks ${nameOf(keeping)}`, keeping)
  const sealed = everySealed().filter((one) => nameOf(one) === nameOf(keeping))
  after(story, 'rewrap', 1 + world.chance.whole(4), () => {
    for (const one of sealed) putsOlderBack(story, old, one)
  })
  await story.rotate()
  // Whenever the tool syncs: what it brings opens.
  for (const one of sealed) {
    putsOlderBack(story, old, one)
    if (watch.isBroken(one)) watch.object('I6', `retired under ${idOf(one)}, which git brings back`)
  }
  await calm(story)
}

/** A Secret leaves the policy between two rotations: whoever dropped it by mistake finds that it still opens. */
export async function droppedBetween(told: Told): Promise<void> {
  const story = begun('a Secret leaves the policy between two rotations', told)
  await story.rotate()
  await story.world.time.advance(7_200_000)
  dropsSecret(story)
  await story.rotate()
  await calm(story)
}

/** What somebody with the right to edit Leases may write there. */
export const TAMPERINGS = [
  'a target far ahead',
  'a target far below',
  'an unknown key',
  'nobody of note',
  'a raise that never was',
  'a raise to the minimum there is',
  'garbage',
  '300 KiB',
  'the year 2999',
  'another holder',
] as const
export type Tampering = (typeof TAMPERINGS)[number]

export async function tampered(told: Told, tampering: Tampering, number: number): Promise<void> {
  const story = begun(`the Lease says ${tampering}, after call ${number}`, told)
  const { world } = story
  story.onStep((call, process) => {
    if (process.name === 'rotator-1' && call.number === number) tamper(story, tampering)
  })
  await story.rotate()
  await world.time.advance(LEASE_OVER_MS)
  tamper(story, tampering)
  await story.rotate()
  // Nobody may be kept out for longer than the longest Lease.
  await world.time.advance(LEASE_OVER_MS * 4)
  await calm(story)
}

function tamper({ world, watch }: Story, tampering: Tampering): void {
  const lease = world.lease()
  if (lease === undefined) return
  watch.tampered()
  const { latestVersion, minDecryptionVersion } = world.key('pay')
  const intent: Intent = {
    id: 'abcdef',
    key: 'pay',
    mount: 'transit',
    from: latestVersion,
    target: latestVersion,
    mode: 'rotate',
    retire: 'now',
    by: 'keyhole/keyhole-cron',
    startedAtMs: world.time.now(),
  }
  const intents: Partial<Record<Tampering, Intent>> = {
    'a target far ahead': { ...intent, target: latestVersion + 1_000 },
    'a target far below': { ...intent, from: 1, target: 1 },
    'an unknown key': { ...intent, key: 'unknown' },
    'nobody of note': { ...intent, by: 'keyhole/nobody', target: latestVersion + 1 },
    'a raise that never was': { ...intent, raising: { before: 1, after: latestVersion } },
    'a raise to the minimum there is': { ...intent, raising: { before: 1, after: minDecryptionVersion } },
  }
  const said = intents[tampering]
  const state = { ...EMPTY_STATE, intents: said === undefined ? [] : [said] }
  const text = tampering === 'garbage' ? '{"intents":' : JSON.stringify(state)
  const annotation = tampering === '300 KiB' ? 'x'.repeat(250_000) : text
  const isTime = tampering === 'the year 2999' || tampering === 'another holder'
  const spec = {
    ...lease.spec,
    ...(isTime && {
      holderIdentity: 'somebody',
      renewTime:
        tampering === 'the year 2999'
          ? '2999-01-01T00:00:00.000000Z'
          : new Date(world.time.now()).toISOString().replace('Z', '000Z'),
      leaseDurationSeconds: 2_000_000_000,
    }),
  }
  const annotations = isTime ? lease.metadata.annotations : { 'keyhole.dev/rotation': annotation }
  const { status } = world.admin('PUT', LEASE_PATH, { ...lease, metadata: { ...lease.metadata, annotations }, spec })
  if (said !== undefined && world.intent(said.key) === undefined)
    throw new Error('this is no intent that anybody reads')
  watch.acted(`writes ${tampering} on the Lease (${status})`)
}

const ACTORS: readonly [Actor, ...Actor[]] = [
  (story) => writesNew(story),
  (story) => putsOlderBack(story, oldOf(story)),
  recreates,
  makesImmutable,
  (story) => pastes(story),
  writesGarbage,
  rotatesElsewhere,
  dropsSecret,
  addsSecret,
  removesAdmin,
  sealsVault,
  deletesLease,
]

const olds = new WeakMap<Story, ReadonlyMap<string, string>>()

function oldOf(story: Story): ReadonlyMap<string, string> {
  const old = olds.get(story) ?? oldCiphertexts(story)
  olds.set(story, old)
  return old
}

/** Two or three who act at moments that chance picks, one or two rotators, and perhaps something that goes wrong besides. */
export async function melee(told: Told): Promise<void> {
  const terms: Terms = told.seed % 3 === 0 ? { mode: 'rotate', retire: 'now' } : ROTATE
  const story = begun('a melee', told, { isSlow: told.seed % 2 === 0, terms })
  const { world } = story
  for (let skipped = 0; skipped < 8; skipped += 1) world.chance.whole(2)
  oldOf(story)
  const moments = new Map<number, Actor>()
  const count = 1 + world.chance.whole(3)
  for (let each = 0; each < count; each += 1) moments.set(1 + world.chance.whole(70), world.chance.pick(ACTORS))
  const mishapAt = world.chance.whole(140)
  const roll = world.chance.whole(1_000)
  let steps = 0
  let isCalm = false
  story.onStep(() => {
    steps += 1
    if (!isCalm) moments.get(steps)?.(story)
  })
  const plan = (call: Call) => {
    const faults = faultsOf(call)
    return call.number === mishapAt ? faults[roll % faults.length] : undefined
  }
  const running = Array.from({ length: 1 + world.chance.whole(2) }, () => story.begin(plan))
  await story.until(() => running.every(({ ending }) => ending() !== undefined))
  isCalm = true
  await calm(story)
}

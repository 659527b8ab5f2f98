/** Scenario 4: others at work in the middle of a rotation, each told as a story that ends well or objects. */
import type { KeyReport, RotationReport } from '../../src/contract.ts'
import type { Intent } from '../../src/services/rotation/journal-state.ts'
import { EMPTY_STATE } from '../../src/services/rotation/journal-state.ts'
import type { Actor } from './actors.ts'
import {
  addsSecret,
  ciphertextOf,
  deletes,
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
  takesOn,
  writesGarbage,
  writesNew,
} from './actors.ts'
import type { Act, Call } from './call.ts'
import type { Code } from './code.ts'
import type { Keeping, KeyName } from './estate.ts'
import { ESTATE, idOf, KEYS, nameOf } from './estate.ts'
import type { Crash, Mishap, Stop } from './mishaps.ts'
import { faultsOf } from './mishaps.ts'
import type { Ending, Story, Terms } from './story.ts'
import { isDone, LEASE_OVER_MS, parallelOf, tell } from './story.ts'
import { everySealed } from './world.ts'

export const ROTATE: Terms = { mode: 'rotate', retire: 'after-grace' }

export interface Told {
  readonly seed: number
  readonly code?: Code | undefined
  /** Calls to the API server at once. */
  readonly parallel?: number
}

export function begun(
  title: string,
  { seed, code, parallel }: Told,
  more: { terms?: Terms; isSlow?: boolean } = {},
): Story {
  return tell({
    ...(more.terms ?? ROTATE),
    seed,
    title,
    ...(code !== undefined && { code }),
    ...(parallel !== undefined && { parallel }),
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

/** By the calls of a rotation that decide about a version: after each of them, another one is made. */
export const DECIDING: readonly (readonly [act: Act, count: number])[] = [
  ['key-read', 1],
  ['key-read', 2],
  ['rotate', 1],
  ['rewrap', 1],
  ['secret-write', 1],
  ['rewrap', 2],
  ['config', 1],
]

/** `auto_rotate_period` makes a version in the middle. Nothing fails of it, and what rests behind is moved by the next. */
export async function rotatedMeanwhile(
  told: Told,
  key: KeyName,
  [act, count]: readonly [act: Act, count: number],
): Promise<void> {
  const story = begun(`Vault makes a version of ${key} after ${act} ${count}`, told)
  const { world, watch } = story
  const latest = world.key(key).latestVersion
  const first = key === 'pay' ? 'payments/db' : 'billing/files'
  after(story, act, count, () => rotatesElsewhere(story, key), act === 'secret-write' ? first : key)
  const { keys } = reportIn(story, await story.rotate())
  if (watch.extra(key) === 0) throw new Error(`there was no ${act} ${count} of ${key}`)
  for (const one of keys) {
    if (!one.complete) watch.object('I8', `a version out of turn left ${one.key} incomplete`)
    if (one.to !== undefined && one.to > world.key(one.key).latestVersion) watch.object('I8', `${one.to} is no version`)
  }
  await story.converge(2, true)
  for (const sealed of everySealed()) {
    const { latestVersion, minDecryptionVersion } = world.key(sealed.key)
    const version = Number(/^vault:v(\d+):/.exec(ciphertextOf(world, sealed))?.[1])
    if (version !== latestVersion) watch.object('I8', `${idOf(sealed)} came to rest at ${version} of ${latestVersion}`)
    const wanted = latestVersion - KEYS[sealed.key as KeyName].grace
    if (minDecryptionVersion !== wanted) {
      watch.object('I8', `the minimum of ${sealed.key} came to rest at ${minDecryptionVersion}, not ${wanted}`)
    }
  }
  // Its own one, and the one out of turn.
  if (world.key(key).latestVersion > latest + 2) watch.object('I4', `${key} has more versions than were asked for`)
  watch.raise()
}

/** A Secret is deleted after the so-manieth call, and stays away until its owner makes it again. */
export async function deleted(told: Told, number: number, which: number): Promise<void> {
  const keeping = ESTATE[which % ESTATE.length] as Keeping
  const story = begun(`${nameOf(keeping)} is deleted after call ${number}`, told)
  story.onStep((call, process) => {
    if (process.name === 'rotator-1' && call.number === number) deletes(story, keeping)
  })
  const first = await story.rotate()
  for (const key of reportIn(story, first).keys) othersAreMoved(story, keeping, key)
  await story.world.time.advance(LEASE_OVER_MS)
  // As long as it is gone, that is all there is to say, and nothing to do.
  const again = await story.rotate(undefined, { mode: 'rewrap', retire: 'after-grace' })
  for (const { key, secrets } of reportIn(story, again).keys) {
    const said = secrets.find((one) => `${one.namespace}/${one.name}` === nameOf(keeping))
    if (said !== undefined && said.code !== 'SECRET_MISSING') {
      story.watch.object('I8', `a rerun says ${said.outcome} of ${nameOf(keeping)} under ${key}, which is gone`)
    }
  }
  const changing = again.process.calls.find(({ act }) => act === 'rotate' || act === 'config' || act === 'secret-write')
  if (changing !== undefined) story.watch.object('I8', `a rerun still changed something: ${changing.act}`)
  await calm(story)
}

function reportIn({ watch }: Story, { report, refused }: Ending): RotationReport {
  if (report === undefined) watch.object('I8', `there is no report: ${refused}`)
  watch.raise()
  return report as RotationReport
}

/** All but the one that is gone; and of its keys, no old version is retired where that was seen. */
function othersAreMoved({ world, watch }: Story, gone: Keeping, { key, failure, secrets, ...report }: KeyReport): void {
  const object = (text: string) => watch.object('I8', `${text} of ${key}`)
  if (failure !== undefined) object(`${failure.code} became`)
  for (const { namespace, name, outcome } of secrets) {
    const isMoved = outcome === 'rewrapped' || outcome === 'current'
    if (`${namespace}/${name}` !== nameOf(gone) && !isMoved) object(`${namespace}/${name} is ${outcome}`)
  }
  for (const sealed of everySealed().filter((one) => one.key === key && nameOf(one) !== nameOf(gone))) {
    const prefix = `vault:v${world.key(key).latestVersion}:`
    if (!ciphertextOf(world, sealed).startsWith(prefix)) object(`${idOf(sealed)} is not under the newest version`)
  }
  const isTold = secrets.some(({ code }) => code === 'SECRET_MISSING')
  if (report.complete === isTold) object(`complete is ${report.complete}`)
  if (report.retirement?.done === isTold) object(`a Secret is gone: ${isTold}, and retired: ${!isTold} the versions`)
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
  (story) => deletes(story),
  syncs,
  makesImmutable,
  (story) => pastes(story),
  writesGarbage,
  (story) => rotatesElsewhere(story),
  dropsSecret,
  addsSecret,
  removesAdmin,
  sealsVault,
  deletesLease,
]

const fromGit = new WeakMap<Story, Actor>()

/** Of the Secret that it took on before anything began. */
function syncs(story: Story): void {
  fromGit.get(story)?.(story)
}

const olds = new WeakMap<Story, ReadonlyMap<string, string>>()

function oldOf(story: Story): ReadonlyMap<string, string> {
  const old = olds.get(story) ?? oldCiphertexts(story)
  olds.set(story, old)
  return old
}

/** One to three who act at moments that chance picks, as many rotators, and perhaps something that goes wrong besides. */
export async function melee(told: Told): Promise<void> {
  const terms: Terms = told.seed % 3 === 0 ? { mode: 'rotate', retire: 'now' } : ROTATE
  const parallel = parallelOf(told.seed)
  const story = begun(`a melee, ${parallel} at once`, { parallel, ...told }, { isSlow: told.seed % 2 === 0, terms })
  const { world } = story
  for (let skipped = 0; skipped < 8; skipped += 1) world.chance.whole(2)
  oldOf(story)
  const moments = new Map<number, Actor>()
  const count = 1 + world.chance.whole(3)
  for (let each = 0; each < count; each += 1) moments.set(1 + world.chance.whole(70), world.chance.pick(ACTORS))
  if ([...moments.values()].includes(syncs)) fromGit.set(story, takesOn(story))
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
  const running = Array.from({ length: 1 + world.chance.whole(3) }, () => story.begin(plan))
  await story.until(() => running.every(({ ending }) => ending() !== undefined))
  isCalm = true
  await calm(story)
}

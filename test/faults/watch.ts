/**
 * The invariants of a rotation, held after every call that took effect against the stand-ins' own state. An objection is
 * kept, not thrown: the code under test would take it for a failure of its peer.
 *
 * I1 every Secret decrypts in the context of its place. I2 its plaintext is what its owner wrote last. I3 all else of it is
 * as it was. I4 a version is made for an intent on the Lease, and only where its target is missing. I5 nobody's value is
 * overwritten by an older one. I6 min_decryption_version rises, to no more than what every Secret has, and falls only where
 * that was wrong. I9 no plaintext leaves. I10 nothing is decrypted. I11 every effect has its begin before, and its end after.
 * (I7 is the reader's, I8 the story's: who runs it to its end.)
 * A Secret that somebody deleted has nothing to decrypt, and needs no version: keyhole makes no other in its place, raises no
 * minimum once it saw that it is gone, and its report says so.
 */
import type { RotationReport } from '../../src/contract.ts'
import { recordOf } from './begun.ts'
import type { Call } from './call.ts'
import { changes, titleOf } from './call.ts'
import { canariesIn } from './canary.ts'
import type { Keeping, Sealed } from './estate.ts'
import { ESTATE, idOf, nameOf, sealedIn } from './estate.ts'
import { openerOf } from './opened.ts'
import type { AuditRecord, Process } from './process.ts'
import type { Stored, World } from './world.ts'
import { keysOf } from './world.ts'

export class Objection extends Error {
  override readonly name = 'Objection'
  readonly invariant: Invariant

  constructor(invariant: Invariant, text: string) {
    super(`${invariant}: ${text}`)
    this.invariant = invariant
  }
}

export type Invariant = 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7' | 'I8' | 'I9' | 'I10' | 'I11'

export interface Watch {
  /** What happened so far, for whoever reads an objection. */
  readonly trace: readonly string[]
  object(invariant: Invariant, text: string): void
  /** @throws Objection, the first there was. */
  raise(): void
  leaving(process: Process, call: Call): void
  took(process: Process, call: Call, status: number): void
  /** This call takes effect only now, though its sender gave it up. */
  late(call: Call): void
  recording(call: Call, record: AuditRecord): void
  logged(text: string): void
  /** What an actor of the scenario does: told in the trace, and what it changed of Secrets is how they are from now on. */
  acted(what: string, on?: Pick<Keeping, 'namespace' | 'secret'>): void
  /** An owner wrote this. */
  wrote(sealed: Sealed, value: string): void
  /** Somebody put there what does not open, on purpose. */
  broke(sealed: Sealed): void
  /** Somebody deleted it, until an owner writes again. */
  deleted(keeping: Pick<Keeping, 'namespace' | 'secret'>): void
  /** Whoever tampers with the Lease can have a version made twice. */
  tampered(): void
  /** Another version, by somebody else. */
  rotatedElsewhere(key: string): void
  /** A run that lived to its end. */
  ended(process: Process, report?: RotationReport): void
  /** A Secret more to look after. */
  added(keeping: Keeping): void
  /** Versions of a key beyond one for each intent, with the leave of the scenario. */
  extra(key: string): number
  isBroken(sealed: Sealed): boolean
  /** It does not open for a reason of the scenario's, or did not for a while since this step. */
  wasShut(sealed: Sealed, sinceStep: number): boolean
  /** There was no such Secret at some time since this step, or all the while. */
  wasGone(sealed: Sealed, sinceStep: number): 'always' | 'for a while' | 'never'
  everySealed(): readonly Sealed[]
}

/** @param context for the message: which case this is. */
export function watchOver(world: World, context: () => string): Watch {
  const keepings: Keeping[] = [...ESTATE]
  const opened = openerOf(world)
  const trace: string[] = []
  const broken = new Map<string, number>()
  const wroteAt = new Map<string, number>()
  /** Written at the same time as a minimum was raised over it: to be put back. */
  const fallen = new Set<string>()
  const fellAt = new Map<string, number>()
  /** By name: since when there is no such Secret, and until when there was none the last time. */
  const goneSince = new Map<string, number>()
  const goneUntil = new Map<string, number>()
  /** By Transit key and Secret: whether it was gone when the process read it last before it had Vault open what it read. */
  const foundGone = new WeakMap<Process, Map<string, boolean>>()
  /** Secrets that were gone when the process read them last. */
  const readGone = new WeakMap<Process, Set<string>>()
  const raises = new Map<string, { readonly before: number; readonly after: number }>()
  /** When a process read a Secret last, and when it read what it then had Vault open. */
  const readAt = new WeakMap<Process, Map<string, number>>()
  const openedAt = new WeakMap<Process, ReadonlyMap<string, number>>()
  const lateCalls = new WeakSet<Call>()
  const applied = new WeakMap<Call, number>()
  const extra = new Map<string, number>()
  const keyReadAt = new WeakMap<Process, Map<string, number>>()
  const elsewhereAt = new Map<string, number>()
  const asIs = new Map<string, Stored | undefined>()
  let minima = minimaNow()
  let mayBeTwice = 0
  let first: Objection | undefined

  const all = () => keepings.flatMap(sealedIn)
  for (const keeping of keepings) remember(keeping)

  function remember(keeping: Pick<Keeping, 'namespace' | 'secret'>): void {
    asIs.set(nameOf(keeping), world.stored(keeping.namespace, keeping.secret))
  }

  function minimaNow(): ReadonlyMap<string, number> {
    return new Map(keysOf().map((key) => [key, world.key(key).minDecryptionVersion]))
  }

  function object(invariant: Invariant, text: string): void {
    first ??= new Objection(
      invariant,
      `${text}\n  in ${context()}, seed ${world.seed}, at step ${world.step}: ${trace.at(-1) ?? 'the beginning'}\n  ${trace.slice(-90).join('\n  ')}`,
    )
  }

  /** @param only the one that the call was for: no other can have changed. */
  function secretsHold(only?: string): void {
    for (const keeping of keepings) {
      const name = nameOf(keeping)
      if (only !== undefined && name !== only) continue
      const stored = world.stored(keeping.namespace, keeping.secret)
      for (const sealed of all()) if (nameOf(sealed) === name) sealedHolds(sealed, stored)
      othersHold(name, asIs.get(name), stored)
    }
  }

  function sealedHolds(sealed: Sealed, stored: Stored | undefined): void {
    const id = idOf(sealed)
    const history = world.written.get(id) ?? []
    if (broken.has(id)) return
    if (goneSince.has(nameOf(sealed))) return
    const { plaintext, version } = opened(sealed, stored)
    if (version !== undefined && version < world.key(sealed.key).minDecryptionVersion) {
      if (!fallen.has(id)) object('I1', `${id} is under version ${version}, which does not open any more`)
      return
    }
    fallen.delete(id)
    const last = history.at(-1)
    if (plaintext === undefined) object('I1', `${id} does not open in its place`)
    else if (plaintext !== last?.value) {
      const isOlder = history.some(({ value }) => value === plaintext)
      object(isOlder ? 'I5' : 'I2', `${id} is not what its owner wrote last${isOlder ? ', but before' : ''}`)
    }
  }

  function othersHold(name: string, before: Stored | undefined, now: Stored | undefined): void {
    if (before === undefined || now === undefined) {
      if (before !== now) object('I3', `${name} ${now === undefined ? 'is gone' : 'came out of nowhere'}`)
      return
    }
    const sealed = new Set(
      all()
        .filter((one) => nameOf(one) === name)
        .map(({ dataKey }) => dataKey),
    )
    if (restOf(before, sealed) !== restOf(now, sealed)) object('I3', `${name} changed beside its ciphertext`)
  }

  function rotateHolds(process: Process, call: Call): void {
    const key = call.about
    const { latestVersion } = world.key(key)
    const times = (applied.get(call) ?? 0) + 1
    applied.set(call, times)
    const intent = world.intent(key)
    const isFor = intent?.target === latestVersion
    if (isFor && times === 1 && !lateCalls.has(call)) return
    const isRaced = (elsewhereAt.get(key) ?? -1) > (keyReadAt.get(process)?.get(key) ?? -1)
    if (times > 1 || lateCalls.has(call) || isRaced) {
      // Nothing that keyhole could have helped; it is found by whoever looks next, and taken for good.
      if (!isFor) extra.set(key, (extra.get(key) ?? 0) + 1)
    } else if (mayBeTwice > 0) {
      mayBeTwice -= 1
      extra.set(key, (extra.get(key) ?? 0) + 1)
    } else if (intent === undefined)
      object('I4', `version ${latestVersion} of ${key} was made with no intent on the Lease`)
    else object('I4', `version ${latestVersion} of ${key} was made, and the intent was for ${intent.target}`)
  }

  function minimumHolds(process: Process, call: Call): void {
    const key = call.about
    const before = minima.get(key) ?? 0
    const after = world.key(key).minDecryptionVersion
    if (after < before) fallHolds(process, key, before, after)
    else if (after > before) {
      raises.set(key, { before, after })
      raiseHolds(process, key, after)
    }
  }

  /** What was raised can be put back until its intent is done with. */
  function settleRaises(): void {
    for (const key of raises.keys()) if (world.intent(key) === undefined) raises.delete(key)
  }

  function fallHolds(process: Process, key: string, before: number, after: number): void {
    const raised = raises.get(key)
    const isRecorded = process.records.some(
      (record) =>
        record.kind === 'effect' && record.effect === 'restore' && record.from === before && record.to === after,
    )
    if (raised?.after !== before || after < raised.before) object('I6', `the minimum of ${key} fell to ${after}`)
    else if (!isRecorded) object('I6', `the minimum of ${key} fell to ${after} without a record`)
    else if (fallen.size === 0 && !isAnyBelow(key, before))
      object('I6', `the minimum of ${key} fell to ${after} with nothing to put back`)
  }

  /** By the number in front, be there what may behind it: below the minimum, nobody can look. */
  function isAnyBelow(key: string, minimum: number): boolean {
    return all().some((sealed) => {
      const { version } = opened(sealed, world.stored(sealed.namespace, sealed.secret))
      return sealed.key === key && version !== undefined && version < minimum
    })
  }

  function raiseHolds(process: Process, key: string, after: number): void {
    for (const sealed of all().filter((one) => one.key === key)) {
      const id = idOf(sealed)
      const { version = 0 } = opened(sealed, world.stored(sealed.namespace, sealed.secret))
      const seen = readAt.get(process)?.get(nameOf(sealed)) ?? -1
      const brokenAt = broken.get(id)
      if (goneSince.has(nameOf(sealed))) {
        if (foundGone.get(process)?.get(`${key} ${nameOf(sealed)}`) === true)
          object('I6', `the minimum of ${key} rose, though ${nameOf(sealed)} was seen to be gone`)
      } else if (brokenAt !== undefined) {
        if (brokenAt < (openedAt.get(process)?.get(idOf(sealed)) ?? -1))
          object('I6', `the minimum of ${key} rose over ${id}, which was seen not to open`)
      } else if (version < after) {
        if ((wroteAt.get(id) ?? -1) > seen) {
          fallen.add(id)
          fellAt.set(id, world.step)
        } else object('I6', `the minimum of ${key} rose to ${after}, over ${id} of version ${version}`)
      }
    }
  }

  /** @param answer of the API server, before anything befell it. */
  function secretRead(process: Process, name: string, answer: number): void {
    const seen = readAt.get(process) ?? new Map<string, number>()
    readAt.set(process, seen.set(name, world.step))
    const gone = readGone.get(process) ?? new Set<string>()
    if (answer === 404) gone.add(name)
    else gone.delete(name)
    readGone.set(process, gone)
  }

  /** What was read is what is opened now. */
  function readsOpened(process: Process, key: string): void {
    const ofKey = all().filter((sealed) => sealed.key === key)
    const reads = ofKey.map((sealed) => [idOf(sealed), readAt.get(process)?.get(nameOf(sealed)) ?? -1] as const)
    openedAt.set(process, new Map([...(openedAt.get(process) ?? []), ...reads]))
    const found = foundGone.get(process) ?? new Map<string, boolean>()
    for (const sealed of ofKey) {
      found.set(`${key} ${nameOf(sealed)}`, readGone.get(process)?.has(nameOf(sealed)) === true)
    }
    foundGone.set(process, found)
  }

  /** What is gone, as far as this process could know, is told key by key. */
  function goneIsTold(process: Process, { keys }: RotationReport): void {
    for (const { key, complete, failure, secrets } of keys) {
      for (const { namespace, name, outcome, code } of secrets) {
        if (foundGone.get(process)?.get(`${key} ${namespace}/${name}`) !== true) continue
        const isTold = outcome === 'blocked' && code === 'SECRET_MISSING'
        if (complete || !(isTold || failure !== undefined)) {
          object('I8', `the report says ${outcome} of ${namespace}/${name} under ${key}, which is gone`)
        }
      }
    }
  }

  return {
    trace,
    object,
    raise() {
      if (first !== undefined) throw first
    },
    leaving(process, call) {
      const canaries = canariesIn(`${call.path} ${call.body}`)
      if (canaries > 0) object('I9', `plaintext leaves with ${titleOf(call)}`)
      if (call.act === 'other') object('I10', `a rotator has no business with ${titleOf(call)}`)
      const wanted = recordOf(call)
      if (wanted !== undefined && !wanted(process.records)) object('I11', `no begin is open for ${titleOf(call)}`)
    },
    took(process, call, status) {
      world.step += 1
      trace.push(`${world.step}. ${titleOf(call)} -> ${status}${lateCalls.has(call) ? ' (late)' : ''}`)
      if (call.act === 'secret-read') secretRead(process, call.about, status)
      if (call.act === 'key-read') {
        const seen = keyReadAt.get(process) ?? new Map<string, number>()
        keyReadAt.set(process, seen.set(call.about, world.step))
      }
      if (call.act === 'rewrap') readsOpened(process, call.about)
      if (status === 200 && call.act === 'rotate') rotateHolds(process, call)
      if (status === 200 && call.act === 'config') minimumHolds(process, call)
      if (call.act === 'lease-write') settleRaises()
      else if (changes(call)) {
        minima = minimaNow()
        secretsHold(call.act === 'secret-write' ? call.about : undefined)
      }
    },
    late(call) {
      lateCalls.add(call)
    },
    recording(call, record) {
      if (canariesIn(JSON.stringify(record)) > 0) object('I9', `plaintext in the record of ${titleOf(call)}`)
    },
    logged(text) {
      if (canariesIn(text) > 0) object('I9', 'plaintext in the log')
    },
    acted(what, on) {
      world.step += 1
      trace.push(`${world.step}. somebody else: ${what}`)
      if (on !== undefined) remember(on)
      minima = minimaNow()
      for (const sealed of all()) {
        // Whoever writes what does not open any more broke it: that is not keyhole's doing.
        const { version } = opened(sealed, world.stored(sealed.namespace, sealed.secret))
        const isTheirs = on !== undefined && nameOf(sealed) === nameOf(on)
        const isTooOld = version !== undefined && version < world.key(sealed.key).minDecryptionVersion
        if (isTheirs && isTooOld && !broken.has(idOf(sealed))) broken.set(idOf(sealed), world.step)
      }
      secretsHold()
    },
    wrote(sealed, value) {
      const id = idOf(sealed)
      broken.delete(id)
      fallen.delete(id)
      wroteAt.set(id, world.step + 1)
      if (goneSince.delete(nameOf(sealed))) goneUntil.set(nameOf(sealed), world.step + 1)
      world.written.set(id, [...(world.written.get(id) ?? []), { step: world.step + 1, value }])
    },
    broke(sealed) {
      broken.set(idOf(sealed), world.step + 1)
    },
    deleted(keeping) {
      const name = nameOf(keeping)
      goneSince.set(name, world.step + 1)
      for (const id of all()
        .filter((sealed) => nameOf(sealed) === name)
        .map(idOf)) {
        broken.delete(id)
        fallen.delete(id)
      }
    },
    tampered() {
      mayBeTwice += 1
    },
    rotatedElsewhere(key) {
      elsewhereAt.set(key, world.step + 1)
      extra.set(key, (extra.get(key) ?? 0) + 1)
    },
    ended(process, report) {
      if (report !== undefined && canariesIn(JSON.stringify(report)) > 0) object('I9', 'plaintext in the report')
      if (!process.hasLostRecords) {
        const effects = process.records.filter((record) => record.kind === 'effect')
        const open = effects.filter(({ phase }) => phase === 'begin').length
        const over = effects.filter(({ phase }) => phase === 'end').length
        if (open !== over) object('I11', `${open} effects began, ${over} ended`)
      }
      if (report !== undefined) goneIsTold(process, report)
      if (report?.complete !== true) return
      for (const id of fallen) object('I6', `${id} was left under a version that does not open`)
      for (const sealed of all()) {
        const isUnder = report.keys.some(({ key }) => key === sealed.key)
        const seen = openedAt.get(process)?.get(idOf(sealed)) ?? -1
        const brokenAt = broken.get(idOf(sealed))
        if (isUnder && brokenAt !== undefined && brokenAt < seen) {
          object('I8', `the report says complete, and ${idOf(sealed)} does not open`)
        }
      }
    },
    added(keeping) {
      keepings.push(keeping)
    },
    extra: (key) => extra.get(key) ?? 0,
    wasShut(sealed, sinceStep) {
      const id = idOf(sealed)
      return broken.has(id) || fallen.has(id) || (fellAt.get(id) ?? -1) >= sinceStep
    },
    wasGone(sealed, sinceStep) {
      const since = goneSince.get(nameOf(sealed))
      if (since !== undefined && since <= sinceStep) return 'always'
      return since !== undefined || (goneUntil.get(nameOf(sealed)) ?? -1) > sinceStep ? 'for a while' : 'never'
    },
    isBroken: (sealed) => broken.has(idOf(sealed)),
    everySealed: all,
  }
}

/** All of a Secret but these data keys. */
function restOf({ data, ...rest }: Stored, without: ReadonlySet<string>): string {
  const others = Object.entries(data)
    .filter(([dataKey]) => !without.has(dataKey))
    .map(([dataKey, bytes]) => [dataKey, bytes.toString('base64')])
  return JSON.stringify([rest, others])
}

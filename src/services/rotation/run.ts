/**
 * Rotations, one at a time. A run is the process's: a caller starts it, watches, and may leave. It has a budget of its own,
 * and ends early, in good order, when the process is told to stop.
 */
import type { Clock } from '../../clock.ts'
import type { KeyReport, Retire, RotationEvent, RotationMode, RotationReport, RotationStatus } from '../../contract.ts'
import { BLOCKED } from '../../contract.ts'
import { asKeyholeError, KeyholeError } from '../../errors.ts'
import type { RotationGrant } from '../authorize.ts'
import type { RotateAll } from './all-keys.ts'
import { droppedOf } from './dropped.ts'
import type { Effects, Rotating } from './effects.ts'
import type { Foresee } from './foresee.ts'
import type { Claim, Found, Journal } from './journal.ts'
import { progressOf } from './journal.ts'
import type { Idempotency, Last, LastKey } from './journal-state.ts'
import { intentFor } from './journal-state.ts'
import type { Keys } from './keys.ts'
import { countsOf, lastOf } from './last.ts'
import { recentForMs } from './plan.ts'
import type { Survey } from './survey.ts'
import { draftOf } from './wanted.ts'

export interface Order {
  readonly mode: RotationMode
  readonly retire: Retire
  readonly dryRun: boolean
  readonly idempotency?: Idempotency | undefined
}

/** A rotation that is ready to begin, and has the Lease; disposing of it gives that back. */
export interface Started extends Disposable {
  readonly grant: RotationGrant
  readonly id: string
  /** It runs already, or is over: this is the same request once more. */
  readonly joined: boolean
  begin(): Run
}

export interface Run {
  readonly id: string
  readonly keys: readonly string[]
  readonly dryRun: boolean
  /** Steps from now on; returns how to stop listening. */
  listen(listener: (event: RotationEvent) => void): () => void
  /** @throws KeyholeError AUDIT_UNAVAILABLE: its end has no record. */
  readonly report: Promise<RotationReport>
}

export interface Rotations {
  /** @throws KeyholeError ROTATION_IN_PROGRESS, ROTATED_RECENTLY, IDEMPOTENCY_KEY_REUSED, LEASE_UNUSABLE, KUBERNETES_UNAVAILABLE. */
  start(grant: RotationGrant, order: Order, signal: AbortSignal): Promise<Started>
  status(grant: RotationGrant, signal: AbortSignal): Promise<RotationStatus>
  /** What has begun is finished; nothing else begins. */
  halt(): void
  /** Halts, and resolves once nothing runs. */
  close(): Promise<void>
}

export interface RotationOptions {
  readonly journal: Journal
  readonly rotateAll: RotateAll
  readonly foresee: Foresee
  readonly keys: Keys
  readonly survey: Survey
  readonly effects: Effects
  readonly clock: Clock
  /** A fresh UUID for a rotation. */
  readonly newId: () => string
  readonly budgetMs: number
  /** Told why a dry run of a key went no further, for the log. */
  readonly failed: (failure: KeyholeError, rotation: string) => void
  readonly halting: AbortController
}

/** Of this process: of each kind one at a time. */
interface Place {
  readonly idempotency: Idempotency | undefined
  run?: Run
  claim?: Claim | undefined
}

interface Held {
  readonly claim: Claim
  readonly id: string
  readonly starting: AbortController
}

export function rotations(options: RotationOptions): Rotations {
  const { journal, keys, survey, effects, clock, halting } = options
  const places = new Map<'real' | 'dry', Place>()
  let finished: Place | undefined

  async function start(grant: RotationGrant, order: Order, signal: AbortSignal): Promise<Started> {
    if (halting.signal.aborted) throw new KeyholeError('OVERLOADED', { why: 'stopping' })
    const slot = order.dryRun ? 'dry' : 'real'
    const taken = places.get(slot)
    // One that is over is told of once more, by the process that remembers it.
    for (const known of [taken, finished]) {
      if (known?.run !== undefined && isSameRequest(order.idempotency, known.idempotency))
        return joining(grant, known.run)
    }
    if (taken !== undefined) throw runsHere(taken)
    // At once: the Lease tells processes apart, not two requests to one.
    const place: Place = { idempotency: order.idempotency }
    places.set(slot, place)
    const leave = () => {
      if (places.get(slot) === place) places.delete(slot)
    }
    try {
      return await prepare(grant, order, place, leave, signal)
    } catch (error) {
      leave()
      throw error
    }
  }

  async function prepare(
    grant: RotationGrant,
    order: Order,
    place: Place,
    leave: () => void,
    signal: AbortSignal,
  ): Promise<Started> {
    const found = await journal.look(signal)
    const { run, last } = found.state
    // Also of one that was killed: another body is refused.
    isSameRequest(order.idempotency, run?.idempotency)
    // A try that came to its end made the version: the rest is looked at again, since what the Lease says is anybody's word.
    // One that did not may have made none, and must not pass for a rotation.
    const isAgain = last !== undefined && isSameRequest(order.idempotency, last.idempotency) && isOver(grant, last)
    const done: Order = isAgain ? { ...order, mode: 'rewrap' } : order
    const ready = (held: Held | undefined) => prepared(grant, done, found, held, place, leave)
    if (order.dryRun) return ready(undefined)
    if (!found.held) await refuseIfRecent(grant, done, found, signal)
    const starting = new AbortController()
    const id = options.newId()
    const total = grant.keys.reduce((sum, { secrets }) => sum + secrets.length, 0)
    const mark = { id, startedAtMs: clock.now(), done: 0, total, idempotency: order.idempotency }
    const claim = await found.claim(mark, starting.signal)
    const started = ready({ claim, id, starting })
    // Whoever gave up meanwhile is told so by the audit envelope, and nobody begins what it prepared.
    if (signal.aborted) started[Symbol.dispose]()
    signal.throwIfAborted()
    return started
  }

  async function refuseIfRecent(
    grant: RotationGrant,
    order: Order,
    { state }: Found,
    signal: AbortSignal,
  ): Promise<void> {
    if (order.mode !== 'rotate' || order.retire === 'now') return
    if (grant.keys.some(({ transitKey }) => intentFor(state, transitKey.name) !== undefined)) return
    const done = new Set(state.last?.keys.filter(({ complete }) => complete).map(({ key }) => key))
    if (!grant.keys.every(({ transitKey }) => done.has(transitKey.name))) return
    const waitsMs = await Promise.all(
      grant.keys.map(async ({ transitKey }) =>
        recentForMs(transitKey, await keys.read(transitKey, signal), clock.now()),
      ),
      // What is wrong with a key is for the report to say.
    ).catch(() => [0])
    if (waitsMs.includes(0)) return
    const retryAfterSeconds = Math.ceil(Math.min(...waitsMs) / 1000)
    throw new KeyholeError('ROTATED_RECENTLY', { why: 'within-min-interval', retryAfterSeconds })
  }

  function prepared(
    grant: RotationGrant,
    order: Order,
    found: Found,
    held: Held | undefined,
    place: Place,
    leave: () => void,
  ): Started {
    const id = held?.id ?? options.newId()
    return {
      grant,
      id,
      joined: false,
      begin() {
        place.claim = held?.claim
        place.run = begin(grant, order, id, (told) =>
          held === undefined ? dryRun(grant, order, id, found, told) : realRun(grant, order, found, held, told),
        )
        // Its outcome is the listeners'.
        void place.run.report.then(
          ({ complete }) => {
            if (complete && held !== undefined) finished = place
            leave()
          },
          () => leave(),
        )
        return place.run
      },
      [Symbol.dispose]() {
        if (place.run !== undefined) return
        void held?.claim.release((state) => state)
        leave()
      },
    }
  }

  function begin(
    grant: RotationGrant,
    { dryRun: isDry }: Order,
    id: string,
    act: (told: (event: RotationEvent) => void) => Promise<RotationReport>,
  ): Run {
    const listeners = new Set<(event: RotationEvent) => void>()
    const report = act((event) => {
      for (const listener of listeners) listener(event)
    })
    return {
      id,
      keys: grant.keys.map(({ transitKey }) => transitKey.name),
      dryRun: isDry,
      report,
      listen(listener) {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    }
  }

  async function realRun(
    grant: RotationGrant,
    order: Order,
    found: Found,
    { claim, id, starting }: Held,
    told: (event: RotationEvent) => void,
  ): Promise<RotationReport> {
    const startedAtMs = clock.now()
    const rotating = rotatingOf(grant, id)
    const transitKeys = grant.keys.map(({ transitKey }) => transitKey.name)
    const cancel = clock.after(options.budgetMs, () =>
      starting.abort(new KeyholeError('ROTATION_INCOMPLETE', { why: 'budget-spent', fix: OVER_BUDGET })),
    )
    let reports: readonly KeyReport[] = []
    try {
      await effects.tell(rotating, { phase: 'begin', transitKeys })
      if (found.garbled) await effects.tell(rotating, { phase: 'discarded', transitKeys: [], why: 'garbled' })
      reports = await options.rotateAll(claim, { grant, order, rotating, told })
      const report = reported(id, order, startedAtMs, reports)
      const secrets = countsOf(reports)
      await effects.tell(rotating, { phase: 'end', transitKeys, complete: report.complete, secrets })
      return report
    } finally {
      cancel()
      survey.outdated()
      // A change that is still on its way must not outlive the Lease that it was asked for under.
      await keys.settled(NEVER)
      const last = lastOf({ id, order, finishedAtMs: clock.now(), reports })
      await claim.release((state) => ({ ...state, last }))
    }
  }

  async function dryRun(
    grant: RotationGrant,
    order: Order,
    id: string,
    { state }: Found,
    told: (event: RotationEvent) => void,
  ): Promise<RotationReport> {
    const startedAtMs = clock.now()
    const ending = new AbortController()
    const cancel = clock.after(options.budgetMs, () => ending.abort(new KeyholeError('ROTATION_INCOMPLETE')))
    const signal = AbortSignal.any([ending.signal, halting.signal])
    const reports: KeyReport[] = []
    for (const key of grant.keys) {
      const draft = draftOf(key.transitKey, key.secrets, told)
      const dropped = droppedOf(state, key.transitKey.name, key.secrets, clock.now())
      const wanted = { rotating: rotatingOf(grant, id), ...key, mode: order.mode, retire: order.retire, by: '', draft }
      try {
        await options.foresee(wanted, dropped, signal)
        reports.push(draft.report())
      } catch (error) {
        const failure = asKeyholeError(error)
        options.failed(failure, id)
        reports.push(draft.report(failure))
      }
    }
    cancel()
    return reported(id, order, startedAtMs, reports)
  }

  function reported(id: string, order: Order, startedAtMs: number, reports: readonly KeyReport[]): RotationReport {
    const { mode, retire, dryRun: isDry } = order
    return {
      type: 'report',
      id,
      mode,
      retire,
      dryRun: isDry,
      complete: reports.every(({ complete }) => complete),
      startedAt: new Date(startedAtMs).toISOString(),
      finishedAt: new Date(clock.now()).toISOString(),
      keys: reports,
    }
  }

  function halt(): void {
    if (halting.signal.aborted) return
    halting.abort(new KeyholeError('ROTATION_INCOMPLETE', { why: 'stopping', fix: STOPPING }))
  }

  return {
    start,
    async status(grant, signal) {
      const [{ state, running }, surveyed] = await Promise.all([journal.look(signal), survey.now(signal)])
      const names = new Set(grant.keys.map(({ transitKey }) => transitKey.name))
      const { run, last } = state
      return {
        running: running && run !== undefined ? { id: run.id, ...progressOf(run) } : null,
        last: last === undefined ? null : told(last, names),
        ledger: [...surveyed.entries.values()].filter(({ key }) => names.has(key)),
        surveyedAt: new Date(surveyed.atMs).toISOString(),
      }
    },
    halt,
    async close() {
      halt()
      await Promise.allSettled([...places.values()].flatMap(({ run }) => run?.report ?? []))
    },
  }
}

const NEVER = new AbortController().signal
const OVER_BUDGET = 'The rotation took longer than its budget. Rotate again: it goes on where this one stopped.'
const STOPPING = 'keyhole was told to stop. Rotate again: it goes on where this one stopped.'

function rotatingOf({ caller, policyHash }: RotationGrant, id: string): Rotating {
  const { namespace, serviceAccount } = caller
  return { id, caller: { namespace, serviceAccount }, policyHash }
}

function runsHere({ claim }: Place): KeyholeError {
  const mark = claim?.state().run
  return new KeyholeError('ROTATION_IN_PROGRESS', {
    why: 'runs-here',
    ...(mark !== undefined && { progress: progressOf(mark) }),
  })
}

/** @throws KeyholeError IDEMPOTENCY_KEY_REUSED: the same word for another request. */
function isSameRequest(asked: Idempotency | undefined, known: Idempotency | undefined): boolean {
  if (asked === undefined || known === undefined || asked.key !== known.key) return false
  if (asked.request !== known.request) throw new KeyholeError('IDEMPOTENCY_KEY_REUSED', { why: 'another-body' })
  return true
}

/** Of every key asked for it closed the intent: nothing was left, but perhaps something blocked. */
function isOver(grant: RotationGrant, last: Last): boolean {
  return grant.keys.every(({ transitKey }) =>
    last.keys.some(
      ({ key, complete, blocked, left }) => key === transitKey.name && (complete || (blocked > 0 && left === 0)),
    ),
  )
}

function joining(grant: RotationGrant, run: Run): Started {
  return { grant, id: run.id, joined: true, begin: () => run, [Symbol.dispose]() {} }
}

/** Only what is about keys that the caller may rotate. */
function told({ id, finishedAtMs, keys, failures }: Last, names: ReadonlySet<string>): RotationStatus['last'] {
  const own = keys.filter(({ key }) => names.has(key))
  if (own.length === 0) return null
  const sum = (of: (one: LastKey) => number) => own.reduce((total, one) => total + of(one), 0)
  return {
    id,
    complete: own.every(({ complete }) => complete),
    finishedAt: new Date(finishedAtMs).toISOString(),
    rewrapped: sum(({ rewrapped }) => rewrapped),
    current: sum(({ current }) => current),
    blocked: sum(({ blocked }) => blocked),
    left: sum(({ left }) => left),
    failures: failures
      .filter(({ key }) => names.has(key))
      .map(({ key, namespace, name, outcome, code }) => ({
        key,
        namespace,
        name,
        outcome,
        ...(code !== undefined && { code, detail: BLOCKED[code] }),
      })),
  }
}

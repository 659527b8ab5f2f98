/** From a request to a run that is ready to begin: what was asked for before, what is too soon, and the Lease. */
import type { Clock } from '../../clock.ts'
import type { RotationEvent, RotationReport } from '../../contract.ts'
import type { KeyholeError } from '../../errors.ts'
import type { RotationGrant } from '../authorize.ts'
import type { Work } from './all-keys.ts'
import type { DryRun } from './dry-run.ts'
import { isSameRequest, refuseReuse } from './idempotency.ts'
import type { Claim, Found, Journal } from './journal.ts'
import { unchanged } from './journal.ts'
import type { JournalState, Last } from './journal-state.ts'
import type { Place } from './places.ts'
import type { RealRun } from './real-run.ts'
import type { Recency } from './recent.ts'
import type { Order, Run, Started } from './run.ts'

/** One request to rotate, with its place in this process. */
export interface Slot {
  readonly grant: RotationGrant
  readonly order: Order
  readonly place: Place
}

/** @throws KeyholeError as Rotations.start; the signal's reason, with nothing left of what was prepared. */
export type Prepare = (slot: Slot, signal: AbortSignal) => Promise<Started>

export interface PrepareOptions {
  readonly journal: Journal
  readonly recency: Recency
  readonly realRun: RealRun
  readonly dryRun: DryRun
  readonly clock: Clock
  readonly newId: () => string
  /** Aborts when there is no time left to give the Lease back. */
  readonly givenUp: AbortSignal
}

/** What is known of a run before it begins. */
interface Ready {
  readonly id: string
  /** Undefined for a dry run. */
  readonly claim?: Claim
  readonly act: (onEvent: (event: RotationEvent) => void) => Promise<RotationReport>
}

export function preparer(options: PrepareOptions): Prepare {
  const { journal, recency, realRun, dryRun, clock, newId, givenUp } = options

  function foreseen(slot: Slot, { state }: Found, refusal: KeyholeError | undefined): Ready {
    const id = newId()
    return { id, act: (onEvent) => dryRun({ state, refusal }, workOf(slot, id, onEvent)) }
  }

  async function claimed(slot: Slot, found: Found): Promise<Ready & { readonly claim: Claim }> {
    const { grant, order } = slot
    const ending = new AbortController()
    const id = newId()
    const total = grant.keys.reduce((sum, { secrets }) => sum + secrets.length, 0)
    const mark = { id, startedAtMs: clock.now(), done: 0, total, idempotency: order.idempotency }
    const claim = await found.claim(mark, ending.signal)
    const held = { claim, ending, garbled: found.garbled }
    return { id, claim, act: (onEvent) => realRun(held, workOf(slot, id, onEvent)) }
  }

  /** @throws KeyholeError IDEMPOTENCY_KEY_REUSED, also of a rotation that was killed. */
  async function orderAfter({ run, last }: JournalState, { grant, order }: Slot, signal: AbortSignal): Promise<Order> {
    for (const known of [run, last]) refuseReuse(order.idempotency, known?.idempotency)
    // An earlier try that came to its end made the version, so only moving is left; Vault is asked too, since anybody who may edit
    // Leases could have written this one. A try that did not may have made none, and with `retire: now` the version that it made may
    // be the compromised one: both count as new rotations.
    const isAgain = last !== undefined && isSameRequest(order.idempotency, last.idempotency) && isOver(grant, last)
    const isMade = isAgain && order.retire !== 'now' && (await recency.areAllRecent(grant, signal))
    return isMade ? { ...order, mode: 'rewrap' } : order
  }

  return async function prepare(asked, signal) {
    const found = await journal.look(signal)
    const slot = { ...asked, order: await orderAfter(found.state, asked, signal) }
    const refusal = found.held ? undefined : await recency.tooSoon(slot.grant, slot.order, found.state, signal)
    if (slot.order.dryRun) return startedIn(slot, foreseen(slot, found, refusal), givenUp)
    if (refusal !== undefined) throw refusal
    const ready = await claimed(slot, found)
    // Whoever gave up meanwhile is told so by the audit envelope, and nobody begins what it prepared.
    if (signal.aborted) await ready.claim.release(unchanged, givenUp)
    signal.throwIfAborted()
    return startedIn(slot, ready, givenUp)
  }
}

/** Of every key asked for it came to its end: nothing was left, but perhaps something blocked, or an old version kept. */
function isOver(grant: RotationGrant, last: Last): boolean {
  return grant.keys.every(({ transitKey }) => {
    const own = last.keys.filter(({ key }) => key === transitKey.name)
    return own.length > 0 && own.every(({ ended = false }) => ended)
  })
}

function workOf({ grant, order }: Slot, id: string, onEvent: Work['onEvent']): Work {
  const { namespace, serviceAccount } = grant.caller
  return {
    grant,
    order,
    onEvent,
    rotating: { id, caller: { namespace, serviceAccount }, policyHash: grant.policyHash },
  }
}

function startedIn({ grant, order, place }: Slot, { id, claim, act }: Ready, givenUp: AbortSignal): Started {
  return {
    grant,
    id,
    joined: false,
    begin() {
      place.claim = claim
      const run = runOf(grant, order, id, act)
      place.run = run
      // Its outcome is the listeners'.
      void run.report.then(
        ({ complete }) => (complete && claim !== undefined ? place.finish() : place.leave()),
        () => place.leave(),
      )
      return run
    },
    [Symbol.dispose]() {
      if (place.run !== undefined) return
      if (claim === undefined) return place.leave()
      // The place is kept until the Lease is back: the next run of this process would find its own name there, and lose it to this release.
      void claim.release(unchanged, givenUp).then(() => place.leave())
    },
  }
}

function runOf(grant: RotationGrant, { dryRun }: Order, id: string, act: Ready['act']): Run {
  const listeners = new Set<(event: RotationEvent) => void>()
  const report = act((event) => {
    for (const listener of listeners) listener(event)
  })
  return {
    id,
    keys: grant.keys.map(({ transitKey }) => transitKey.name),
    dryRun,
    report,
    listen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

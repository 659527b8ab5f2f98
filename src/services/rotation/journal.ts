/**
 * What rotations know of the Lease. Whoever holds it rotates; what it has set out to do is written there before anything
 * changes, so that whoever comes after a crash finds it and goes on.
 *
 * Every write is a compare-and-swap, and there is one writer: renewals and intents go through the same queue. A Lease that
 * somebody else took, or that could not be renewed in time, aborts the claim's signal, and with it all that runs under it.
 */
import type { Clock } from '../../clock.ts'
import { KeyholeError } from '../../errors.ts'
import { raced } from '../joined.ts'
import type { JournalState, RunMark } from './journal-state.ts'
import { EMPTY_STATE, formatState, parseState, STATE_ANNOTATION } from './journal-state.ts'
import { keepLease } from './kept-lease.ts'
import { leaseRefusal } from './lease-refusal.ts'
import type { LeaseName, LeaseRecord, Leases } from './ports.ts'

declare const claimed: unique symbol

/** Of what the Lease remembers. */
export type Change = (state: JournalState) => JournalState

/** The Lease is ours. */
export interface Claim {
  readonly [claimed]: true
  /** Aborts once the Lease is lost or given back, or `signal` of the claim was aborted. */
  readonly signal: AbortSignal
  /** As last written. */
  state(): JournalState
  /** Resolves once the Lease says so. @throws KeyholeError ROTATION_IN_PROGRESS when it is ours no more. */
  write(change: Change): Promise<void>
  /** Makes sure that the Lease is ours, for its whole duration from now, or from `freshMs` ago at most. @throws as `write`. */
  renew(freshMs?: number): Promise<void>
  /** Epoch ms until which nobody else may take it. */
  heldUntilMs(): number
  /** So many Secrets of this key are done. Goes out with the next renewal, and never goes back. */
  progress(key: string, done: number): void
  /**
   * Gives the Lease back, with what is to be remembered. Retried while the Lease is ours; after `givenUp`, tried once. Never
   * rejects: one that cannot be given back runs out.
   */
  release(change: Change, givenUp?: AbortSignal): Promise<void>
}

/** The Lease as it was found. */
export interface Found {
  readonly state: JournalState
  /** Something was there that keyhole did not write: it counts as nothing, and is overwritten. */
  readonly garbled: boolean
  /** Some process rotates, this one included. */
  readonly running: boolean
  /** Another process rotates. */
  readonly held: boolean
  /**
   * Takes the Lease, if it still is as it was found. The Lease tells processes apart: within one, no claim may be made before
   * the one before it is released.
   * @throws KeyholeError ROTATION_IN_PROGRESS, LEASE_UNUSABLE, KUBERNETES_UNAVAILABLE.
   */
  claim(run: RunMark, signal: AbortSignal): Promise<Claim>
}

export interface Journal {
  /** @throws KeyholeError LEASE_UNUSABLE, KUBERNETES_UNAVAILABLE. */
  look(signal: AbortSignal): Promise<Found>
}

/** How far the clocks of two rotators may be apart. */
export const MAX_SKEW_MS = 10_000

export interface JournalOptions {
  readonly leases: Leases
  readonly name: LeaseName
  readonly clock: Clock
  /** Names this process among all that ever were: random. */
  readonly holder: string
  /** How long a Lease holds without being renewed, in ms. */
  readonly durationMs: number
  /** How far two clocks may be apart, in ms: so much longer a Lease is respected. */
  readonly skewMs: number
}

const NEVER_HELD: LeaseRecord = {
  resourceVersion: '',
  holder: '',
  renewedAtMs: 0,
  durationMs: 0,
  transitions: 0,
  labels: new Map(),
  annotations: new Map(),
}

export function journal(options: JournalOptions): Journal {
  const { leases, name, clock, holder } = options

  async function look(signal: AbortSignal): Promise<Found> {
    const record = await read(signal)
    const text = record.annotations.get(STATE_ANNOTATION) ?? ''
    // Whoever held it before left something there.
    const parsed = text === '' && record.transitions > 0 ? undefined : parseState(text)
    const state = parsed ?? { ...EMPTY_STATE, forgotAtMs: clock.now() }
    const runsForMs = respectedUntilMs(record, options) - clock.now()
    const freeInMs = record.holder === holder ? 0 : runsForMs
    return {
      state,
      garbled: parsed === undefined,
      running: runsForMs > 0,
      held: freeInMs > 0,
      async claim(run, signalOfRun) {
        if (freeInMs > 0) throw inProgress(state, freeInMs)
        const mine = { ...state, run }
        const written = await take(record, mine, signalOfRun)
        return hold(options, written, mine, signalOfRun)
      },
    }
  }

  async function read(signal: AbortSignal): Promise<LeaseRecord> {
    return (await leases.readLease(name, signal).catch(refuse)) ?? NEVER_HELD
  }

  async function take(record: LeaseRecord, state: JournalState, signal: AbortSignal) {
    const transitions = record.transitions + 1
    const written = await leases
      .writeLease(name, leaseOf({ ...record, transitions }, state, options), signal)
      .catch(refuse)
    if (written !== 'conflict') return written
    throw inProgress(state, options.durationMs)
  }

  return { look }
}

/** Of another process's Lease, whatever it says. */
const MAX_DURATION_MS = 120_000

/** A renewal from the future is nobody's word: it would keep everybody out for as long as its writer likes. */
function respectedUntilMs({ holder, renewedAtMs, durationMs }: LeaseRecord, { clock, skewMs }: JournalOptions): number {
  if (holder === '' || renewedAtMs > clock.now() + skewMs) return 0
  return renewedAtMs + Math.min(durationMs, MAX_DURATION_MS) + skewMs
}

function leaseOf(record: LeaseRecord, state: JournalState, { holder, clock, durationMs }: JournalOptions): LeaseRecord {
  const annotations = new Map([...record.annotations, [STATE_ANNOTATION, formatState(state, clock.now())]])
  return { ...record, holder, renewedAtMs: clock.now(), durationMs, annotations }
}

type Taken = JournalState & { readonly run: RunMark }

/** @param first the Lease as it was taken, with the state `taken` on it. */
function hold(options: JournalOptions, first: LeaseRecord, taken: Taken, signal: AbortSignal): Claim {
  const { clock, durationMs } = options
  const { run } = taken
  // The failure of a renewal is found again by whoever writes next, and by the expiry.
  const lease = keepLease({ ...options, signal, renew: () => void write(unchanged).catch(() => {}) }, first)
  let state: JournalState = taken
  const doneByKey = new Map<string, number>()
  const turns = oneAfterTheOther()
  let released: Promise<void> | undefined

  function write(change: Change): Promise<void> {
    return turns.next(() => put(change))
  }

  async function put(change: Change): Promise<void> {
    const done = doneByKey.values().reduce((sum, one) => sum + one, run.done)
    const next = { ...change(state), run: { ...run, done: Math.min(done, run.total) } }
    await lease.write((record) => leaseOf(record, next, options))
    state = next
  }

  async function renew(freshMs = 0): Promise<void> {
    lease.signal.throwIfAborted()
    const ageMs = clock.now() - lease.renewedAtMs()
    if (ageMs < 0 || ageMs >= freshMs) await write(unchanged)
  }

  async function giveBack(change: Change, givenUp: AbortSignal): Promise<void> {
    await raced(turns.over(), givenUp).catch(() => {})
    const { run: _, ...rest } = change(state)
    await lease.release((record) => ({ ...leaseOf(record, rest, options), holder: '' }), givenUp)
  }

  return {
    signal: lease.signal,
    state: () => state,
    write,
    renew,
    heldUntilMs: () => lease.renewedAtMs() + durationMs,
    progress(key, done) {
      doneByKey.set(key, Math.max(done, doneByKey.get(key) ?? 0))
    },
    release: (change, givenUp = NEVER) => (released ??= giveBack(change, givenUp)),
  } as Partial<Claim> as Claim
}

const NEVER = new AbortController().signal

export function unchanged(state: JournalState): JournalState {
  return state
}

function oneAfterTheOther() {
  let last: Promise<void> = Promise.resolve()
  return {
    /** Whatever became of the one before. */
    next(act: () => Promise<void>): Promise<void> {
      const acted = last.then(act)
      last = acted.catch(() => {})
      return acted
    },
    /** Resolves once those that there are had their turn. */
    over: () => last,
  }
}

function inProgress({ run }: JournalState, freeInMs: number): KeyholeError {
  return new KeyholeError('ROTATION_IN_PROGRESS', {
    why: 'lease-held',
    retryAfterSeconds: Math.max(1, Math.ceil(freeInMs / 1000)),
    ...(run !== undefined && { progress: progressOf(run) }),
  })
}

export function progressOf({ startedAtMs, done, total }: RunMark): { startedAt: string; done: number; total: number } {
  return { startedAt: new Date(startedAtMs).toISOString(), done, total }
}

function refuse(error: unknown): never {
  throw leaseRefusal(error)
}

/**
 * The one file that knows the Lease. Whoever holds it rotates; what it has set out to do is written there before anything
 * changes, so that whoever comes after a crash finds it and goes on.
 *
 * Every write is a compare-and-swap, and there is one writer: renewals and intents go through the same queue. A Lease that
 * somebody else took, or that could not be renewed in time, aborts the claim's signal, and with it all that runs under it.
 */
import type { Clock } from '../../clock.ts'
import type { UpstreamKind } from '../../errors.ts'
import { KeyholeError, UpstreamError } from '../../errors.ts'
import { kubernetesRefusal } from '../upstream.ts'
import type { JournalState, RunMark } from './journal-state.ts'
import { EMPTY_STATE, formatState, parseState, STATE_ANNOTATION } from './journal-state.ts'
import { isTransient, pause } from './patience.ts'
import type { LeaseName, LeaseRecord, Leases } from './ports.ts'

declare const claimed: unique symbol

/** The Lease is ours. */
export interface Claim {
  readonly [claimed]: true
  /** Aborts once the Lease is lost, or `signal` of the claim was aborted. */
  readonly signal: AbortSignal
  /** As last written. */
  state(): JournalState
  /** Resolves once the Lease says so. @throws KeyholeError ROTATION_IN_PROGRESS when it is ours no more. */
  write(change: (state: JournalState) => JournalState): Promise<void>
  /** Makes sure that the Lease is ours, for its whole duration from now, or from `freshMs` ago at most. @throws as `write`. */
  renew(freshMs?: number): Promise<void>
  /** Epoch ms until which nobody else may take it. */
  heldUntilMs(): number
  /** Told of so many more Secrets that are done; goes out with the next renewal. */
  progress(count: number): void
  /** Gives the Lease back. Never rejects: one that cannot be given back runs out. */
  release(change: (state: JournalState) => JournalState): Promise<void>
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
  /** Takes the Lease, if it still is as it was found. @throws KeyholeError ROTATION_IN_PROGRESS, LEASE_UNUSABLE, KUBERNETES_UNAVAILABLE. */
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
const RETRY_MS = 500

export function journal(options: JournalOptions): Journal {
  const { leases, name, clock, holder } = options

  async function look(signal: AbortSignal): Promise<Found> {
    const record = await read(signal)
    const text = record.annotations.get(STATE_ANNOTATION) ?? ''
    // Whoever held it before left something there.
    const parsed = text === '' && record.transitions > 0 ? undefined : parseState(text)
    const state = parsed ?? { ...EMPTY_STATE, forgotAtMs: clock.now() }
    const runsForMs = respectedUntilMs(record) - clock.now()
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

  /** A renewal from the future is nobody's word: it would keep everybody out for as long as its writer likes. */
  function respectedUntilMs({ holder: other, renewedAtMs, durationMs }: LeaseRecord): number {
    if (other === '' || renewedAtMs > clock.now() + options.skewMs) return 0
    return renewedAtMs + Math.min(durationMs, MAX_DURATION_MS) + options.skewMs
  }

  return { look }
}

/** Of another process's Lease, whatever it says. */
const MAX_DURATION_MS = 120_000

function leaseOf(record: LeaseRecord, state: JournalState, { holder, clock, durationMs }: JournalOptions): LeaseRecord {
  const annotations = new Map([...record.annotations, [STATE_ANNOTATION, formatState(state, clock.now())]])
  return { ...record, holder, renewedAtMs: clock.now(), durationMs, annotations }
}

/** @param first the Lease as it was taken. */
function hold(
  options: JournalOptions,
  first: LeaseRecord,
  taken: JournalState & { readonly run: RunMark },
  signal: AbortSignal,
): Claim {
  const { leases, name, clock, holder, durationMs } = options
  const { run } = taken
  const lost = new AbortController()
  const until = AbortSignal.any([signal, lost.signal])
  let record = first
  let state: JournalState = taken
  let { done } = run
  let queue: Promise<void> = Promise.resolve()
  let over = false
  let cancelRenewal = (): void => {}
  let cancelExpiry = (): void => {}

  function lose(why: string): KeyholeError {
    const error = new KeyholeError('ROTATION_IN_PROGRESS', { why })
    end()
    lost.abort(error)
    return error
  }

  function end(): void {
    over = true
    cancelRenewal()
    cancelExpiry()
  }

  function arm(): void {
    cancelRenewal()
    cancelExpiry()
    if (over) return
    // Its failure is found again by whoever writes next, and by the expiry.
    cancelRenewal = clock.after(durationMs / 3, () => void write((unchanged) => unchanged).catch(() => {}))
    cancelExpiry = clock.after(record.renewedAtMs + durationMs - clock.now(), () => lose('lease-expired'))
  }

  function write(change: (state: JournalState) => JournalState): Promise<void> {
    const written = queue.then(() => put(change))
    queue = written.catch(() => {})
    return written
  }

  /** Until it is written, or ours no more. What was sent and not answered may have been written: it is looked for. */
  async function put(change: (state: JournalState) => JournalState): Promise<void> {
    const next = { ...change(state), run: { ...run, done: Math.min(done, run.total) } }
    for (;;) {
      until.throwIfAborted()
      const written = await attempt(leaseOf(record, next, options))
      if (written !== undefined) {
        record = written
        state = next
        return arm()
      }
      const found = await readAgain()
      if (found?.holder !== holder) throw lose('lease-taken')
      record = found
    }
  }

  /** Undefined where it is not known to be written. */
  async function attempt(lease: LeaseRecord): Promise<LeaseRecord | undefined> {
    try {
      const written = await leases.writeLease(name, lease, until)
      return written === 'conflict' ? undefined : written
    } catch (error) {
      until.throwIfAborted()
      if (!isTransient(error)) return refuse(error)
      await pause(clock, RETRY_MS, until)
      return undefined
    }
  }

  async function readAgain(): Promise<LeaseRecord | undefined> {
    for (;;) {
      try {
        return await leases.readLease(name, until)
      } catch (error) {
        until.throwIfAborted()
        if (!isTransient(error)) return refuse(error)
        await pause(clock, RETRY_MS, until)
      }
    }
  }

  async function release(change: (state: JournalState) => JournalState): Promise<void> {
    await queue
    if (over) return
    end()
    const { run: _, ...rest } = change(state)
    const free = { ...leaseOf(record, rest, options), holder: '' }
    // Not under the run's own signal: what ends because its budget is spent gives the Lease back as well.
    await leases.writeLease(name, free, new AbortController().signal).catch(() => {})
  }

  arm()
  return {
    signal: until,
    state: () => state,
    write,
    async renew(freshMs = 0) {
      until.throwIfAborted()
      const ageMs = clock.now() - record.renewedAtMs
      if (ageMs < 0 || ageMs >= freshMs) await write((unchanged) => unchanged)
    },
    heldUntilMs: () => record.renewedAtMs + durationMs,
    progress(count: number) {
      done += count
    },
    release,
  } as Partial<Claim> as Claim
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
  const known = error instanceof UpstreamError ? UNUSABLE[error.kind] : undefined
  if (known === undefined) throw kubernetesRefusal(error)
  throw new KeyholeError('LEASE_UNUSABLE', { ...known, cause: error })
}

const UNUSABLE: Partial<Record<UpstreamKind, { readonly why: string; readonly fix: string }>> = {
  forbidden: {
    why: 'lease-rbac',
    fix: "grant the rotator's ServiceAccount the verbs get, update and create on its Lease (coordination.k8s.io), by resourceNames",
  },
  'bad-request': {
    why: 'lease-namespace',
    fix: 'create the namespace that KEYHOLE_ROTATION_LEASE names, or name the one that keyhole runs in',
  },
}

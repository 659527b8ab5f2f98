/** How every Transit key and its Secrets stand, without changing or opening anything: the ledger of GET /rotate, and metrics. */
import type { Clock } from '../../clock.ts'
import type { LedgerEntry } from '../../contract.ts'
import { BLOCKED } from '../../contract.ts'
import { asKeyholeError } from '../../errors.ts'
import type { RotatableKey } from '../authorize.ts'
import { raced } from '../joined.ts'
import { CHUNK } from './in-hand.ts'
import type { Inspect, Inspected } from './inspect.ts'
import { isBlocked } from './inspect.ts'
import type { Keys } from './keys.ts'
import type { Gate } from './pool.ts'
import { all, chunks } from './pool.ts'
import type { TransitKeyInfo } from './ports.ts'

export interface Surveyed {
  readonly beganMs: number
  readonly atMs: number
  /** Of the policy that it went by. */
  readonly policyHash: string
  /** By name of the TransitKey. */
  readonly entries: ReadonlyMap<string, LedgerEntry>
}

export interface Survey {
  /**
   * Of all keys of the policy: at most `keepMs` old, and begun after everything that was outdated. Goes on when a caller gives up, for
   * the next one to find.
   */
  recent(signal: AbortSignal): Promise<Surveyed>
  /** One that begins after this call. */
  next(signal: AbortSignal): Promise<Surveyed>
  /** The last one; undefined before the first. */
  last(): Surveyed | undefined
  /** The last one, if that was not outdated since. */
  lastUsable(): Surveyed | undefined
  /** What was seen is so no more, nor what is being looked at: the next caller waits for one that begins after this. */
  outdated(): void
}

export interface SurveyOptions {
  readonly keys: Keys
  readonly inspect: Inspect
  readonly clock: Clock
  readonly gate: Gate
  /** All keys of the policy in force, with their Secrets. */
  readonly inForce: () => readonly RotatableKey[]
  readonly policyHash: () => string
  readonly keepMs: number
  /** Ends it with the process. */
  readonly ending: AbortSignal
}

export function surveyor(options: SurveyOptions): Survey {
  const { keys, inspect, clock, gate, inForce, policyHash, keepMs, ending } = options
  let last: Numbered | undefined
  let running: Promise<Numbered> | undefined
  /** How many have begun. */
  let begun = 0
  /** The number of the newest one that was outdated. */
  let outdatedUpTo = 0

  async function take(): Promise<Numbered> {
    begun += 1
    const about = { number: begun, beganMs: clock.now(), policyHash: policyHash() }
    const entries = new Map<string, LedgerEntry>()
    for (const key of inForce()) entries.set(key.transitKey.name, await entryOf(key))
    last = { ...about, atMs: clock.now(), entries }
    return last
  }

  /** The first with a greater number that comes to its end. */
  async function after(number: number, signal: AbortSignal): Promise<Numbered> {
    let taken: Numbered
    do {
      running ??= take().finally(() => {
        running = undefined
      })
      taken = await raced(running, signal)
    } while (taken.number <= number)
    return taken
  }

  function lastUsable(): Numbered | undefined {
    return last !== undefined && last.number > outdatedUpTo ? last : undefined
  }

  async function entryOf({ transitKey, secrets }: RotatableKey): Promise<LedgerEntry> {
    const key = { key: transitKey.name, mount: transitKey.mount, secrets: secrets.length }
    try {
      const info = await keys.read(transitKey, ending)
      const found: Inspected[] = []
      for (const chunk of chunks(secrets, CHUNK)) {
        found.push(...(await all(chunk, async (secret) => slim(await gate(() => inspect(secret, ending))))))
      }
      return { ...key, ...entryFrom(info, found) }
    } catch (error) {
      const { code, fix, detail } = asKeyholeError(error)
      return { ...key, ...NOTHING, failure: { code, detail: fix ?? detail } }
    }
  }

  return {
    last: () => last,
    lastUsable,
    outdated() {
      outdatedUpTo = begun
    },
    next: (signal) => after(begun, signal),
    async recent(signal) {
      const usable = lastUsable()
      const ageMs = clock.now() - (usable?.atMs ?? Number.NEGATIVE_INFINITY)
      return usable !== undefined && ageMs >= 0 && ageMs < keepMs ? usable : await after(outdatedUpTo, signal)
    },
  }
}

interface Numbered extends Surveyed {
  readonly number: number
}

/** Ciphertexts are not kept: a ledger of thousands of Secrets needs their versions only. */
function slim(one: Inspected): Inspected {
  return isBlocked(one) ? one : { ...one, parts: [] }
}

const NOTHING = { versions: {}, drift: [], gitops: [], blocked: [] } as const

function entryFrom(info: TransitKeyInfo, found: readonly Inspected[]): Omit<LedgerEntry, 'key' | 'mount' | 'secrets'> {
  const { latestVersion, minDecryptionVersion, createdAtMs } = info
  const versions: Record<string, number> = {}
  const drift: LedgerEntry['drift'][number][] = []
  const gitops: LedgerEntry['gitops'][number][] = []
  const blocked: LedgerEntry['blocked'][number][] = []
  let oldest = Number.POSITIVE_INFINITY
  for (const one of found) {
    const name = { namespace: one.secret.namespace, name: one.secret.secret }
    if (one.gitops !== undefined) gitops.push({ ...name, tool: one.gitops })
    if (isBlocked(one)) {
      blocked.push({ ...name, code: one.blocked, detail: BLOCKED[one.blocked] })
    } else if (one.version !== undefined) {
      versions[one.version] = (versions[one.version] ?? 0) + 1
      oldest = Math.min(oldest, one.version)
      if (one.version < latestVersion) drift.push({ ...name, version: one.version })
    }
  }
  return {
    latestVersion,
    minDecryptionVersion,
    ...timeOf('latestCreatedAt', createdAtMs.get(latestVersion)),
    ...timeOf('oldestCreatedAt', createdAtMs.get(oldest)),
    versions,
    drift,
    gitops,
    blocked,
  }
}

function timeOf<N extends string>(name: N, ms: number | undefined): { readonly [K in N]?: string } {
  return (ms === undefined ? {} : { [name]: new Date(ms).toISOString() }) as { readonly [K in N]?: string }
}

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
  /** By name of the TransitKey. */
  readonly entries: ReadonlyMap<string, LedgerEntry>
}

export interface Survey {
  /** Of all keys of the policy, at most `keepMs` old. Goes on when a caller gives up, for the next one to find. */
  now(signal: AbortSignal): Promise<Surveyed>
  /**
   * For a request, which knows how things are by now: as `now`, but never from before another process rotated. Where it takes longer
   * than `patienceMs`, the last one before it, if that fits: the ledger of a large estate, or of one whose API server is slow, is
   * old rather than never told.
   */
  soon(known: Known, signal: AbortSignal): Promise<Surveyed>
  /** The last one; undefined before the first. */
  last(): Surveyed | undefined
  /** What was seen is so no more: the next one looks again. */
  outdated(): void
}

/** What costs little to know: the Lease, and the keys themselves. */
export interface Known {
  readonly keys: readonly KeyNow[]
  /** When the last rotation that the Lease remembers was over. */
  readonly rotatedMs?: number | undefined
}

export interface KeyNow {
  /** Of the TransitKey. */
  readonly name: string
  /** Undefined where Vault does not tell. */
  readonly info: Pick<TransitKeyInfo, 'latestVersion' | 'minDecryptionVersion'> | undefined
}

export interface SurveyOptions {
  readonly keys: Keys
  readonly inspect: Inspect
  readonly clock: Clock
  readonly gate: Gate
  /** All keys of the policy in force, with their Secrets. */
  readonly inForce: () => readonly RotatableKey[]
  readonly keepMs: number
  readonly patienceMs: number
  /** Ends it with the process. */
  readonly ending: AbortSignal
}

export function surveyor(options: SurveyOptions): Survey {
  const { keys, inspect, clock, gate, inForce, keepMs, patienceMs, ending } = options
  let last: Surveyed | undefined
  let isOutdated = true
  let running: Promise<Surveyed> | undefined

  async function take(): Promise<Surveyed> {
    isOutdated = false
    const beganMs = clock.now()
    const entries = new Map<string, LedgerEntry>()
    for (const key of inForce()) entries.set(key.transitKey.name, await entryOf(key))
    last = { beganMs, atMs: clock.now(), entries }
    return last
  }

  async function entryOf({ transitKey, secrets }: RotatableKey): Promise<LedgerEntry> {
    const key = { key: transitKey.name, mount: transitKey.mount, secrets: secrets.length }
    try {
      const info = await keys.read(transitKey, ending)
      const found: Inspected[] = []
      for (const chunk of chunks(secrets, CHUNK)) {
        found.push(...(await all(chunk, async (secret) => slim(await gate(() => inspect(secret, ending))))))
      }
      return { ...key, ...standing(info, found) }
    } catch (error) {
      const { code, fix, detail } = asKeyholeError(error)
      return { ...key, ...NOTHING, failure: { code, detail: fix ?? detail } }
    }
  }

  async function now(signal: AbortSignal): Promise<Surveyed> {
    const ageMs = clock.now() - (last?.atMs ?? Number.NEGATIVE_INFINITY)
    if (!isOutdated && last !== undefined && ageMs >= 0 && ageMs < keepMs) return last
    running ??= take().finally(() => {
      running = undefined
    })
    return await raced(running, signal)
  }

  function isBehind({ beganMs, entries }: Surveyed, { keys: keysNow, rotatedMs }: Known): boolean {
    // Whoever may edit Leases may have written tomorrow.
    if (rotatedMs !== undefined && beganMs < rotatedMs && rotatedMs <= clock.now()) return true
    return keysNow.some(({ name, info }) => {
      const { latestVersion, minDecryptionVersion } = entries.get(name) ?? {}
      if (info === undefined || latestVersion === undefined) return false
      return info.latestVersion !== latestVersion || info.minDecryptionVersion !== minDecryptionVersion
    })
  }

  return {
    now,
    last: () => last,
    outdated() {
      isOutdated = true
    },
    async soon(known, signal) {
      const before = last
      const isJoining = running !== undefined
      if (before !== undefined && isBehind(before, known)) isOutdated = true
      const fresh = now(signal)
      if (before === undefined || isBehind(before, known) || !isComplete(before, known)) {
        const found = await fresh
        if (!isJoining || !isBehind(found, known)) return found
        // It had begun before that was so.
        isOutdated = true
        return await now(signal)
      }
      const late = Promise.withResolvers<Surveyed>()
      const cancel = clock.after(patienceMs, () => late.resolve(before))
      try {
        return await Promise.race([fresh, late.promise])
      } finally {
        cancel()
      }
    },
  }
}

/** Whether it has an entry of each key, and is not about a failure that is over. */
function isComplete({ entries }: Surveyed, { keys }: Known): boolean {
  return keys.every(({ name, info }) => {
    const entry = entries.get(name)
    return entry !== undefined && (entry.failure === undefined || info === undefined)
  })
}

/** Ciphertexts are not kept: a ledger of thousands of Secrets needs their versions only. */
function slim(one: Inspected): Inspected {
  return isBlocked(one) ? one : { ...one, parts: [] }
}

const NOTHING = { versions: {}, drift: [], gitops: [], blocked: [] } as const

function standing(info: TransitKeyInfo, found: readonly Inspected[]): Omit<LedgerEntry, 'key' | 'mount' | 'secrets'> {
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

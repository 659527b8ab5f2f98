/**
 * The keys of one run, one after the other. What an earlier run left unfinished of a key comes first; of keys that nobody
 * asked for now, it waits for whoever may rotate them.
 */
import type { Clock } from '../../clock.ts'
import type { Code, KeyReport, RotationEvent } from '../../contract.ts'
import type { KeyholeError } from '../../errors.ts'
import { asKeyholeError } from '../../errors.ts'
import type { RotatableKey, RotationGrant } from '../authorize.ts'
import type { Effects, Rotating } from './effects.ts'
import { disbelief, LEASE_FULL } from './intend.ts'
import type { Claim } from './journal.ts'
import type { Intent } from './journal-state.ts'
import { intentFor } from './journal-state.ts'
import type { Keys } from './keys.ts'
import { recentForMs } from './plan.ts'
import type { RotateKey } from './rotate-key.ts'
import type { Order } from './run.ts'
import type { Wanted } from './wanted.ts'
import { draftOf } from './wanted.ts'

export interface Work {
  readonly grant: RotationGrant
  readonly order: Order
  readonly rotating: Rotating
  readonly onEvent: (event: RotationEvent) => void
}

/** A key has two reports where something was left unfinished, and more is asked for than to finish it. Never rejects. */
export type RotateAll = (claim: Claim, work: Work) => Promise<readonly KeyReport[]>

export interface RotateAllOptions {
  readonly rotateKey: RotateKey
  readonly keys: Keys
  readonly effects: Effects
  readonly clock: Clock
  readonly halt: AbortSignal
  /** Told why a key went no further, for the log: the report says what to do, not what happened. */
  readonly failed: (failure: KeyholeError, rotation: string) => void
}

/** What is wrong with all keys, or with this process: no reason to try the next one. */
const OF_ALL_KEYS: ReadonlySet<Code> = new Set([
  'ROTATION_IN_PROGRESS',
  'ROTATION_INCOMPLETE',
  'AUDIT_UNAVAILABLE',
  'LEASE_UNUSABLE',
])
function isOfAllKeys({ code, why }: KeyholeError): boolean {
  return OF_ALL_KEYS.has(code) && why !== LEASE_FULL
}

/** One key's Secrets may keep the API server from answering; when two keys' do, it is the server that does not answer. */
const MAX_SILENT_KEYS = 2

export function allKeysRotator({ rotateKey, keys, effects, clock, halt, failed }: RotateAllOptions): RotateAll {
  return async function rotateAll(claim, work) {
    const reports: KeyReport[] = []
    let stopped: KeyholeError | undefined
    let silent = 0
    for (const key of work.grant.keys) {
      const asked = askedOf(work, key)
      let current = asked
      try {
        if (stopped !== undefined) throw stopped
        halt.throwIfAborted()
        const left = await leftOver(claim, work, key)
        if (left !== undefined) {
          current = left
          await rotateKey(claim, left)
          reports.push(left.draft.report())
        }
        if (left === undefined || !(await comesTo(left, asked, () => isRecent(asked, claim.signal)))) {
          current = asked
          await rotateKey(claim, asked)
          reports.push(asked.draft.report())
        }
        silent = 0
      } catch (error) {
        const failure = asKeyholeError(error)
        if (failure !== stopped) failed(failure, work.rotating.id)
        reports.push(current.draft.report(failure))
        silent = failure.retryAfterSeconds === undefined ? 0 : silent + 1
        if (isOfAllKeys(failure) || silent >= MAX_SILENT_KEYS) stopped ??= failure
      }
    }
    return reports
  }

  /** What an earlier rotation of the key left unfinished, with its own options; undefined where there is nothing to believe. */
  async function leftOver(claim: Claim, work: Work, key: RotatableKey): Promise<Wanted | undefined> {
    const { transitKey } = key
    const intent = intentFor(claim.state(), transitKey.name)
    if (intent === undefined) return undefined
    // What is not believed is discarded by the stage that writes the next one.
    if (disbelief(intent, transitKey, await keys.read(transitKey, claim.signal)) !== undefined) return undefined
    const { by, target, retire } = intent
    await effects.tell(work.rotating, {
      phase: 'resumed',
      transitKeys: [transitKey.name],
      resumed: { by, target, retire },
    })
    return wantedOf(work, key, intent)
  }

  async function isRecent({ transitKey }: Wanted, signal: AbortSignal): Promise<boolean> {
    return recentForMs(transitKey, await keys.read(transitKey, signal), clock.now()) > 0
  }
}

/**
 * Whether to finish what was left is what is asked. An intent may be a month old, or somebody's invention: finishing it is a
 * rotation only if Vault has made a version lately. Of a version that is compromised lately is not good enough: it may be the one.
 */
export async function comesTo(left: Wanted, asked: Wanted, isRecent: () => Promise<boolean>): Promise<boolean> {
  if (left.retire !== asked.retire) return false
  if (asked.mode === 'rewrap' || left.draft.known.advance === 'made') return true
  return asked.retire !== 'now' && (await isRecent())
}

export function askedOf(work: Work, key: RotatableKey): Wanted {
  const { caller } = work.grant
  return wantedOf(work, key, { ...work.order, by: `${caller.namespace}/${caller.serviceAccount}` })
}

export function wantedOf(
  { rotating, onEvent }: Work,
  { transitKey, secrets }: RotatableKey,
  { mode, retire, by }: Pick<Intent, 'mode' | 'retire' | 'by'>,
): Wanted {
  return { rotating, transitKey, secrets, mode, retire, by, draft: draftOf(transitKey, secrets, onEvent) }
}

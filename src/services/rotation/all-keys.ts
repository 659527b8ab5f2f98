/**
 * The keys of one run, one after the other. What is unfinished of keys that nobody asked for now waits for whoever may rotate
 * them.
 */
import type { Clock } from '../../clock.ts'
import type { Code, KeyReport, RotationEvent } from '../../contract.ts'
import type { KeyholeError } from '../../errors.ts'
import { asKeyholeError } from '../../errors.ts'
import type { RotatableKey, RotationGrant } from '../authorize.ts'
import type { Rotating } from './effects.ts'
import type { Rotated } from './in-turn.ts'
import { inTurn } from './in-turn.ts'
import { LEASE_FULL } from './intend.ts'
import type { Claim } from './journal.ts'
import { keyReport } from './key-report.ts'
import type { RotateKey } from './rotate-key.ts'
import type { Order } from './run.ts'
import { secretTally } from './secret-tally.ts'
import { stepsOf } from './steps.ts'
import type { Wanted } from './wanted.ts'

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

export function allKeysRotator({ rotateKey, clock, halt, failed }: RotateAllOptions): RotateAll {
  return async function rotateAll(claim, work) {
    const reports: KeyReport[] = []
    let stopped: KeyholeError | undefined
    let silent = 0
    for (const key of work.grant.keys) {
      const turn = async (asked: Wanted) => {
        const stop = stopped ?? (halt.aborted ? asKeyholeError(halt.reason) : undefined)
        return stop === undefined ? await rotateKey(claim, asked) : unbegun(asked, stop)
      }
      const turns = await inTurn(() => wantedOf(work, key), turn, clock.now)
      reports.push(...turns.map(({ report }) => report))
      const failure = turns.at(-1)?.failure
      silent = failure?.retryAfterSeconds === undefined ? 0 : silent + 1
      if (failure === undefined || failure === stopped) continue
      failed(failure, work.rotating.id)
      if (isOfAllKeys(failure) || silent >= MAX_SILENT_KEYS) stopped = failure
    }
    return reports
  }
}

function unbegun(asked: Wanted, failure: KeyholeError): Rotated {
  return { reached: {}, failure, report: keyReport(asked, {}, failure) }
}

/** As asked, with nothing told of its Secrets yet. */
export function wantedOf({ rotating, grant, order, onEvent }: Work, { transitKey, secrets }: RotatableKey): Wanted {
  const { namespace, serviceAccount } = grant.caller
  return {
    rotating,
    transitKey,
    secrets,
    mode: order.mode,
    retire: order.retire,
    by: `${namespace}/${serviceAccount}`,
    steps: stepsOf(transitKey.name, secrets.length, onEvent),
    tally: secretTally(secrets),
  }
}

/**
 * Intended -> Restored. An earlier attempt may have raised the minimum and died before it looked again. What fell below does
 * not open, so the old minimum is put back before anything else.
 */
import type { Intended } from './intend.ts'
import type { RestoreIfFallen, RetirementOutcome } from './raise.ts'
import { raisedEarlier } from './raise.ts'

declare const restored: unique symbol

export interface Restored {
  readonly [restored]: true
  readonly intended: Intended
  /** Something fell below the minimum: nothing is retired this time. */
  readonly fellBack: RetirementOutcome | undefined
}

/** @throws KeyholeError; HalfRetired if something fell below and the old minimum could not be put back. */
export type Restore = (intended: Intended) => Promise<Restored>

export function restorer(restoreIfFallen: RestoreIfFallen): Restore {
  return async function restore(intended) {
    const raise = raisedEarlier(intended, intended.info.minDecryptionVersion)
    const fellBack = raise && (await restoreIfFallen(intended, raise))
    return { intended, fellBack } as Partial<Restored> as Restored
  }
}

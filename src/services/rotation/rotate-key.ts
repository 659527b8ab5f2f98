/**
 * One Transit key to a new version, and every Secret under it. Each stage is an ensure: it looks, and acts only where
 * something is left to do. So a rotation that was killed anywhere is finished by running the same lines again.
 */
import { asKeyholeError } from '../../errors.ts'
import type { Advance, Advanced } from './advance.ts'
import type { Close } from './close.ts'
import type { Rotated } from './in-turn.ts'
import type { Intend, Intended } from './intend.ts'
import type { Claim } from './journal.ts'
import { keyReport } from './key-report.ts'
import type { Move } from './move.ts'
import type { RetirementOutcome } from './raise.ts'
import { HalfRetired } from './raise.ts'
import type { Restore, Restored } from './restore.ts'
import type { Retire } from './retire.ts'
import type { Verified, Verify } from './verify.ts'
import type { Wanted } from './wanted.ts'

export interface Stages {
  readonly intend: Intend
  readonly restore: Restore
  readonly advance: Advance
  readonly move: Move
  readonly verify: Verify
  readonly retire: Retire
  readonly close: Close
}

/** Never rejects. Where it fails, the intent stays, for the next rotation. */
export type RotateKey = (claim: Claim, wanted: Wanted) => Promise<Rotated>

/** Of a Secret that falls behind between being moved and being looked at. */
const MAX_ROUNDS = 3

export function keyRotator({ intend, restore, advance, move, verify, retire, close }: Stages): RotateKey {
  return async function rotateKey(claim, wanted) {
    const reached: Permits = {}
    try {
      reached.intended = await intend(claim, wanted)
      reached.restored = await restore(reached.intended)
      reached.advanced = await advance(reached.restored)
      const retired = await retire(await moveAll(reached.advanced))
      reached.retired = retired
      await close(retired)
      return { reached, report: keyReport(wanted, reached) }
    } catch (error) {
      const isHalf = error instanceof HalfRetired
      if (isHalf) reached.retired = error.reached
      const failure = asKeyholeError(isHalf ? error.cause : error)
      return { reached, failure, report: keyReport(wanted, reached, failure) }
    }
  }

  /** Whatever falls behind before it is verified is moved again, a few times. */
  async function moveAll(advanced: Advanced): Promise<Verified> {
    const { secrets, tally } = advanced.restored.intended.wanted
    let verified = await verify(await move(advanced, secrets))
    for (let round = 1; round < MAX_ROUNDS && verified.astray.length > 0; round += 1) {
      verified = await verify(await move(advanced, verified.astray))
    }
    for (const secret of verified.astray) tally.contended(secret)
    return verified
  }
}

/** As far as it came. */
interface Permits {
  intended?: Intended
  restored?: Restored
  advanced?: Advanced
  retired?: RetirementOutcome
}

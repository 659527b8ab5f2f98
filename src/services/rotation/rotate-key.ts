/**
 * One Transit key to a new version, and every Secret under it. Each stage is an ensure: it looks, and acts only where
 * something is left to do. So a rotation that was killed anywhere is finished by running the same lines again.
 */
import type { Advance } from './advance.ts'
import type { Close } from './close.ts'
import type { Intend } from './intend.ts'
import type { Claim } from './journal.ts'
import type { Move } from './move.ts'
import type { Retire } from './retire.ts'
import type { Verify } from './verify.ts'
import type { Wanted } from './wanted.ts'

export interface Stages {
  readonly intend: Intend
  readonly advance: Advance
  readonly move: Move
  readonly verify: Verify
  readonly retiring: Retire
  readonly close: Close
}

/** What came of it is in the draft of `wanted`. @throws KeyholeError; then the intent stays, for the next rotation. */
export type RotateKey = (claim: Claim, wanted: Wanted) => Promise<void>

/** Of a Secret that falls behind between being moved and being looked at. */
const MAX_ROUNDS = 3

export function keyRotator({ intend, advance, move, verify, retiring, close }: Stages): RotateKey {
  return async function rotateKey(claim, wanted) {
    const intended = await intend(claim, wanted)
    await retiring.lookBack(intended)
    const advanced = await advance(intended)
    let verified = await verify(await move(advanced, wanted.secrets))
    for (let round = 1; round < MAX_ROUNDS && verified.astray.length > 0; round += 1) {
      verified = await verify(await move(advanced, verified.astray))
    }
    for (const secret of verified.astray) wanted.draft.contended(secret)
    await close(await retiring.retire(verified))
  }
}

/** Retired -> Closed. Takes the intent off the Lease, and leaves there which Secrets the policy had. */
import type { Clock } from '../../clock.ts'
import { remembered } from './dropped.ts'
import { withoutIntent } from './journal-state.ts'
import type { Retired } from './retire.ts'

export type Close = (retired: Retired) => Promise<void>

export function closer(clock: Clock): Close {
  return async function close({ verified }) {
    const { wanted, claim } = verified.moved.advanced.restored.intended
    const { transitKey, secrets, steps } = wanted
    await claim.write((found) => {
      const { name } = transitKey
      const state = withoutIntent(found, name)
      const others = state.known.filter(({ key }) => key !== name)
      return { ...state, known: [...others, remembered(state.known, name, secrets, clock.now())] }
    })
    steps.stage('close')
  }
}

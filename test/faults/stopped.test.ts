/** SIGSTOP for longer than the Lease: another takes over and finishes, then the first wakes up with what it had in hand. */
import { describe, test } from 'vitest'
import { LONG, PATIENCE } from './effort.ts'
import type { Stop } from './mishaps.ts'
import { begun, stopped } from './scenarios.ts'

const MOMENTS: readonly Stop[] = ['stop-before', 'stop-after']

describe.each(MOMENTS)('%s of a call', (moment) => {
  test.each([true, false])('whoever wakes up does no harm; timers first: %s', PATIENCE, async (timersFirst) => {
    const { process } = await begun('a clean run', { seed: 0 }).rotate()
    for (const { number, act } of process.calls) {
      const isTelling = act !== 'secret-read' && act !== 'append' && number % 2 === Number(timersFirst)
      if (LONG || isTelling) await stopped({ seed: number }, number, moment, timersFirst)
    }
  })
})

/** Scenario 1: a process dies at every call of a rotation, before, during and after it. */
import { describe, expect, test } from 'vitest'
import type { Call } from './call.ts'
import { changes, titleOf } from './call.ts'
import { LONG, PATIENCE } from './effort.ts'
import type { Crash } from './mishaps.ts'
import { ROTATE } from './scenarios.ts'
import type { Terms } from './story.ts'
import { tell } from './story.ts'

const TERMS: readonly Terms[] = [
  ROTATE,
  { mode: 'rotate', retire: 'never' },
  { mode: 'rotate', retire: 'now' },
  { mode: 'rewrap', retire: 'after-grace' },
]

const MOMENTS: readonly Crash[] = ['crash-before', 'crash-after', 'crash-answered']

/** The calls of a rotation to which nothing happens. */
async function callsOf(terms: Terms, parallel: number): Promise<readonly Call[]> {
  const story = tell({ ...terms, parallel, seed: 0, title: 'a clean run' })
  const { report, process } = await story.rotate()
  expect(report?.complete).toBe(true)
  return process.calls
}

/** One at a time, as by default, and many: what else is on its way when a process dies. */
const PARALLEL = [1, 16]
const CASES = PARALLEL.flatMap((parallel) => TERMS.map((terms) => ({ ...terms, terms, parallel })))

/** Of the variants, in a build, the calls that change something. */
function isTelling(terms: Terms, moment: Crash, call: Call): boolean {
  // What dies with an answer in hand is much like what dies before its next call.
  if (LONG || (terms === ROTATE && (moment !== 'crash-answered' || call.number % 3 === 0))) return true
  return moment === 'crash-after' && changes(call)
}

describe.each(CASES)('mode $mode, retire $retire, $parallel at once', ({ terms, parallel }) => {
  test('a clean run is complete, opens at every step, and the next one changes nothing', PATIENCE, async () => {
    const story = tell({ ...terms, parallel, seed: 0, title: 'a clean run' })
    const { report } = await story.rotate()
    expect(report).toMatchObject({ complete: true })
    await story.converge()
  })

  test.each(MOMENTS)('%s of every call: a rerun finishes what was begun', PATIENCE, async (moment) => {
    const calls = await callsOf(terms, parallel)
    for (const call of calls.filter((one) => isTelling(terms, moment, one))) {
      const { number } = call
      const title = `${moment} at ${titleOf(call)}`
      const story = tell({ ...terms, parallel, seed: number, title })
      const { process } = await story.rotate((one) => (one.number === number ? moment : undefined))
      // The last call answered leaves nothing to die in.
      expect(process.isDead || (moment === 'crash-answered' && number === calls.length), title).toBe(true)
      await story.converge()
    }
  })
})

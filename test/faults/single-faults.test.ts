/** Scenario 2: each thing that can become of one call, at every call of a rotation where it makes sense. */
import { describe, expect, test } from 'vitest'
import type { Act, Call } from './call.ts'
import { titleOf } from './call.ts'
import { LONG, PATIENCE } from './effort.ts'
import type { FaultName } from './mishaps.ts'
import { faultsOf } from './mishaps.ts'
import type { Terms } from './story.ts'
import { tell } from './story.ts'

const ROTATE: Terms = { mode: 'rotate', retire: 'after-grace' }
const TERMS: readonly Terms[] = LONG
  ? [ROTATE, { mode: 'rotate', retire: 'now' }, { mode: 'rewrap', retire: 'after-grace' }]
  : [ROTATE]

async function cleanCalls(terms: Terms): Promise<readonly Call[]> {
  const { process } = await tell({ ...terms, seed: 0, title: 'a clean run' }).rotate()
  return process.calls
}

/** Of calls of one sort about one object, in a build, the first and the last say what the others would. */
function telling(calls: readonly Call[]): readonly Call[] {
  const same = (a: Call) => (b: Call) => a.act === b.act && a.about === b.about
  return calls.filter((call, index) => {
    const isEdge = calls.findIndex(same(call)) === index || calls.findLastIndex(same(call)) === index
    return LONG || isEdge || (call.act === 'lease-write' && call.number % 3 === 0)
  })
}

/** The ten statuses that refuse take turns, where there is no time for each of them at each call. */
function tellingFaults(call: Call): readonly FaultName[] {
  const all = faultsOf(call)
  return all.filter((fault, index) => LONG || Number.isNaN(Number(fault)) || index % 3 === call.number % 3)
}

const ACTS: readonly Act[] = [
  'lease-read',
  'lease-write',
  'login',
  'key-read',
  'rotate',
  'config',
  'rewrap',
  'secret-read',
  'secret-write',
  'append',
]

describe.each(TERMS)('mode $mode, retire $retire', (terms) => {
  // A rewrap makes no version.
  test.each(ACTS.filter((act) => terms.mode === 'rotate' || act !== 'rotate'))(
    'every fault of every %s leaves all in order, and two reruns at most finish',
    PATIENCE,
    async (act) => {
      const calls = telling(await cleanCalls(terms)).filter((call) => call.act === act)
      const cases = calls.flatMap((call) => tellingFaults(call).map((fault) => [call, fault] as const))
      expect(cases.length).toBeGreaterThan(2)
      for (const [call, fault] of cases) await tryOne(terms, call, fault)
    },
  )
})

async function tryOne(terms: Terms, { number, ...call }: Call, fault: FaultName): Promise<void> {
  const title = `${fault} at ${titleOf({ number, ...call })}`
  const story = tell({ ...terms, seed: number, title })
  await story.rotate((one) => (one.number === number ? fault : undefined))
  await story.converge()
}

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

/** Calls to the API server at once: one, as by default, and many. A call has another number with the one than with the other. */
const PARALLEL = [1, 16] as const
type Parallel = (typeof PARALLEL)[number]

interface Case {
  readonly parallel: Parallel
  readonly call: Call
  readonly fault: FaultName
}

async function cleanCalls(terms: Terms, parallel: Parallel): Promise<readonly Call[]> {
  const { process } = await tell({ ...terms, parallel, seed: 0, title: 'a clean run' }).rotate()
  return process.calls
}

/** Of calls of one sort about one object, in a build, the first and the last say what the others would. */
function telling(calls: readonly Call[], act: Act): readonly Call[] {
  const groups = Map.groupBy(
    calls.filter((call) => call.act === act),
    ({ about }) => about,
  )
  return [...groups.keys()].toSorted().flatMap((about) => {
    const group = groups.get(about) ?? []
    const isEdge = (index: number) => index === 0 || index === group.length - 1
    return group.filter((_, index) => LONG || isEdge(index) || (act === 'lease-write' && index % 3 === 0))
  })
}

/** In a build, one at a time and many take turns. */
async function casesOf(terms: Terms, act: Act): Promise<readonly Case[]> {
  const cases: Case[] = []
  for (const [turn, parallel] of PARALLEL.entries()) {
    for (const [place, call] of telling(await cleanCalls(terms, parallel), act).entries()) {
      for (const [index, fault] of faultsOf(call).entries()) {
        if (LONG || (place + index) % 2 === turn) cases.push({ parallel, call, fault })
      }
    }
  }
  return cases
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
      const cases = await casesOf(terms, act)
      expect(cases.length).toBeGreaterThan(2)
      for (const one of cases) await tryOne(terms, one)
    },
  )
})

async function tryOne(terms: Terms, { parallel, call, fault }: Case): Promise<void> {
  const { number } = call
  const title = `${fault} at ${titleOf(call)}, ${parallel} at once`
  const story = tell({ ...terms, parallel, seed: number, title })
  await story.rotate((one) => (one.number === number ? fault : undefined))
  await story.converge()
}

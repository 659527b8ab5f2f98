/** Two things that go wrong, at calls and in runs that chance picks; and the smallest such pair that still objects. */
import type { Random } from '../read-path/random.ts'
import { seeded } from '../read-path/random.ts'
import type { Call } from './call.ts'
import { titleOf } from './call.ts'
import type { Code } from './code.ts'
import type { Crash, Mishap } from './mishaps.ts'
import { faultsOf } from './mishaps.ts'
import type { Story, Terms } from './story.ts'
import { LEASE_OVER_MS, parallelOf, tell } from './story.ts'
import { Objection } from './watch.ts'

export interface Trouble {
  /** 0: the first; 1: its rerun. */
  readonly run: number
  /** Of the call, in that run. */
  readonly number: number
  /** Picks one of what can become of that call. */
  readonly roll: number
}

export interface Pair {
  readonly seed: number
  readonly terms: Terms
  readonly troubles: readonly Trouble[]
  /** The rerun comes at once, rather than when the Lease is over. */
  readonly atOnce: boolean
  /** Calls take time, so that they overtake each other. */
  readonly isSlow: boolean
  /** Calls to the API server at once. */
  readonly parallel: number
}

const TERMS: readonly [Terms, ...Terms[]] = [
  { mode: 'rotate', retire: 'after-grace' },
  { mode: 'rotate', retire: 'after-grace' },
  { mode: 'rotate', retire: 'now' },
  { mode: 'rewrap', retire: 'after-grace' },
  { mode: 'rotate', retire: 'never' },
]
/** About as many calls as a rotation makes. */
const CALLS = 90
const CRASHES: readonly Crash[] = ['crash-before', 'crash-after', 'crash-answered']

export function pairOf(seed: number): Pair {
  const chance = seeded(seed * 7919 + 13)
  // The first few numbers of a small seed are alike.
  for (let skipped = 0; skipped < 8; skipped += 1) chance.whole(2)
  return {
    seed,
    terms: chance.pick(TERMS),
    troubles: [troubleIn(chance), troubleIn(chance)],
    atOnce: chance.whole(2) === 0,
    isSlow: chance.whole(2) === 0,
    parallel: parallelOf(seed),
  }
}

function troubleIn(chance: Random): Trouble {
  return { run: chance.whole(2), number: 1 + chance.whole(CALLS), roll: chance.whole(1_000) }
}

export async function tryPair(pair: Pair, code?: Code): Promise<void> {
  const met: string[] = []
  const title = () => `${JSON.stringify(pair)}: ${met.join(' · ')}`
  const plan = (run: number) => (call: Call) => {
    const trouble = pair.troubles.find((one) => one.run === run && one.number === call.number)
    if (trouble === undefined) return undefined
    const mishap = mishapOf(call, trouble.roll)
    met.push(`run ${run}, ${mishap} at ${titleOf(call)}`)
    return mishap
  }
  const story = tell({
    ...pair.terms,
    seed: pair.seed,
    parallel: pair.parallel,
    title,
    ...(code !== undefined && { code }),
    ...(pair.isSlow && { delayMs: (world) => () => world.chance.whole(20) }),
  })
  await story.rotate(plan(0))
  if (!pair.atOnce) await story.world.time.advance(LEASE_OVER_MS)
  await rerun(story, plan(1))
  await story.converge()
}

async function rerun(story: Story, plan: (call: Call) => Mishap | undefined): Promise<void> {
  await story.rotate(plan)
}

function mishapOf(call: Call, roll: number): Mishap {
  const all: readonly Mishap[] = [...CRASHES, ...faultsOf(call)]
  return all[roll % all.length] ?? 'crash-before'
}

/** Tries a pair and, where it objects, every simpler one; the objection is of the smallest that still does. */
export async function shrunk(pair: Pair, code?: Code): Promise<Objection | undefined> {
  const objection = await objectionTo(pair, code)
  if (objection === undefined) return undefined
  for (const simpler of simplerThan(pair)) {
    const smaller = await shrunk(simpler, code)
    if (smaller !== undefined) return smaller
  }
  return objection
}

async function objectionTo(pair: Pair, code: Code | undefined): Promise<Objection | undefined> {
  try {
    await tryPair(pair, code)
    return undefined
  } catch (error) {
    if (error instanceof Objection) return error
    throw error
  }
}

function* simplerThan(pair: Pair): Generator<Pair> {
  for (const index of pair.troubles.keys()) {
    if (pair.troubles.length > 1) yield { ...pair, troubles: pair.troubles.toSpliced(index, 1) }
  }
  if (pair.isSlow) yield { ...pair, isSlow: false }
  if (pair.parallel > 1) yield { ...pair, parallel: 1 }
  if (pair.atOnce) yield { ...pair, atOnce: false }
}

/** A rotation from its order to its end, by as many processes as that takes, with everybody watching. */
import type { RotationReport } from '../../src/contract.ts'
import { KeyholeError } from '../../src/errors.ts'
import { authorizer } from '../../src/services/authorize.ts'
import type { Order } from '../../src/services/rotation/run.ts'
import type { RotatorParts } from '../../src/wire-rotation.ts'
import { callerOf } from '../services/permits.ts'
import type { Call } from './call.ts'
import { canariesIn } from './canary.ts'
import type { Code } from './code.ts'
import { CODE } from './code.ts'
import { CRON, KEYS } from './estate.ts'
import type { Mishap } from './mishaps.ts'
import type { Process } from './process.ts'
import { LEASE_MS, startProcess } from './process.ts'
import type { Reader } from './reader.ts'
import { startReader } from './reader.ts'
import type { Watch } from './watch.ts'
import { watchOver } from './watch.ts'
import type { World, WorldOptions } from './world.ts'
import { createWorld, keysOf } from './world.ts'

export interface Terms {
  readonly mode: Order['mode']
  readonly retire: Order['retire']
}

export interface StoryOptions extends Terms, Pick<WorldOptions, 'seed'> {
  /** Which case this is, for whoever reads an objection. */
  readonly title: string | (() => string)
  readonly code?: Code
  readonly decorate?: (parts: RotatorParts) => RotatorParts
  /** Default: no time at all. */
  readonly delayMs?: (world: World) => () => number
  /** Calls to the API server at once; default many, which leaves more half done. */
  readonly parallel?: number
}

export type Plan = (call: Call) => Mishap | undefined

/** What became of one order. */
export interface Ending {
  readonly process: Process
  /** Absent: refused, or its process died. */
  readonly report?: RotationReport
  readonly refused?: string
}

export interface Story {
  readonly world: World
  readonly watch: Watch
  /** A process of its own for this order; resolves when it is over, one way or another. */
  rotate(plan?: Plan, terms?: Terms): Promise<Ending>
  /** Orders one, and goes on at once. */
  begin(plan?: Plan, terms?: Terms): Running
  /** Lets time pass until this is so. */
  until(isSo: () => boolean): Promise<void>
  /**
   * I8: with nothing in its way any more, at most so many more orders, by a process each; and the next changes nothing.
   * @param isWithheld something may have been withheld that the first of them only now finds in order.
   */
  converge(reruns?: number, isWithheld?: boolean): Promise<void>
  /** Called after every step of a rotator. */
  onStep(act: (call: Call, process: Process) => void): void
}

export interface Running {
  readonly process: Process
  readonly ending: () => Ending | undefined
}

/** The longest Lease there is, and how far clocks may be apart. */
export const LEASE_OVER_MS = LEASE_MS + 11_000
/** Steps between two calls of whoever reads: from hard on the heels to longer than a whole move. */
const READS_EVERY = [1, 20, 3, 40, 8]
const PATIENCE_MS = 3_600_000

/** One at a time, as by default, and many, which leaves more half done: in turns, each with every other turn of a seed. */
export function parallelOf(seed: number): number {
  return (seed >> 1) % 2 === 0 ? 1 : 16
}

export function tell(options: StoryOptions): Story {
  const { seed, mode, retire, title, code = CODE, parallel = 16 } = options
  const world = createWorld({ seed, behind: mode === 'rewrap' })
  const watch = watchOver(world, typeof title === 'string' ? () => title : title)
  const reader: Reader = startReader(world, watch, code, READS_EVERY[seed % READS_EVERY.length] ?? 1)
  const listeners: ((call: Call, process: Process) => void)[] = []
  const delayMs = options.delayMs?.(world)
  let processes = 0

  /** The watch, with whoever else wants to know. */
  const told: Watch = {
    ...watch,
    took(process, call, status) {
      watch.took(process, call, status)
      reader.stepped()
      for (const listener of listeners) listener(call, process)
    },
  }

  function begin(plan: Plan = () => undefined, terms: Terms = { mode, retire }): Running {
    processes += 1
    const process = startProcess(world, told, {
      name: `rotator-${processes}`,
      code,
      plan,
      delayMs,
      parallel,
      ...(options.decorate !== undefined && { decorate: options.decorate }),
    })
    let ending: Ending | undefined
    void order(process, terms).then((ended) => {
      ending = ended
    })
    return { process, ending: () => (process.isDead ? { process } : ending) }
  }

  async function order(process: Process, terms: Terms): Promise<Ending> {
    try {
      const caller = callerOf({ ...CRON })
      const grant = authorizer(() => world.policy, world.time).rotate(caller)
      const started = await process.rotator.rotations.start(grant, { ...terms, dryRun: false }, NEVER)
      const run = started.begin()
      run.listen((event) => {
        if (canariesIn(JSON.stringify(event)) > 0) watch.object('I9', 'plaintext in the stream')
      })
      const report = await run.report
      watch.ended(process, report)
      return { process, report }
    } catch (error) {
      // By its name: the class is another one in a broken copy.
      if (!(error instanceof Error) || error.name !== KeyholeError.name) throw error
      const { code: refused } = error as KeyholeError
      watch.ended(process)
      return { process, refused }
    }
  }

  async function until(isSo: () => boolean): Promise<void> {
    const endMs = world.time.now() + PATIENCE_MS
    while (!isSo()) {
      const moved = await world.time.next()
      if (isSo()) break
      if (!moved || world.time.now() > endMs) {
        watch.object('I8', 'nothing moves any more')
        break
      }
    }
    watch.raise()
  }

  async function rotate(plan?: Plan, terms?: Terms): Promise<Ending> {
    const running = begin(plan, terms)
    await until(() => running.ending() !== undefined)
    const ending = running.ending()
    if (ending === undefined) throw new Error('it is over, and did not end')
    return ending
  }

  async function converge(reruns = 2, isWithheld = false): Promise<void> {
    let last: Ending | undefined
    for (let rerun = 1; rerun <= reruns && !isDone(last); rerun += 1) {
      await world.time.advance(LEASE_OVER_MS)
      last = await rotate()
    }
    if (!isDone(last)) watch.object('I8', `no rerun was complete: ${shown(last)}`)
    watch.raise()
    // A version that came too late, or twice, is what the next one moves to.
    if (isWithheld || keysOf().some((key) => watch.extra(key) > 0)) await rotate(undefined, { mode: 'rewrap', retire })
    await rested()
    await reader.finish()
    watch.raise()
  }

  async function rested(): Promise<void> {
    const before = keysOf().map((key) => world.key(key))
    const { process, report } = await rotate(undefined, { mode: 'rewrap', retire })
    const changing = process.calls.filter(({ act }) => act === 'rotate' || act === 'config' || act === 'secret-write')
    if (report?.complete !== true) watch.object('I8', 'one more run was not complete')
    if (changing.length > 0) watch.object('I8', `one more run still changed something: ${changing[0]?.act}`)
    for (const [index, key] of keysOf().entries()) minimumRests(key, before[index]?.latestVersion ?? 0)
    watch.raise()
  }

  function minimumRests(key: keyof typeof KEYS, latest: number): void {
    const { minDecryptionVersion } = world.key(key)
    const grace = retire === 'now' ? 0 : KEYS[key].grace
    const wanted = retire === 'never' ? 1 : Math.max(1, latest - grace)
    // Where a version came out of turn, or somebody withheld it, an older one may be what was retired last.
    if (minDecryptionVersion !== wanted && watch.extra(key) === 0) {
      watch.object('I8', `the minimum of ${key} came to rest at ${minDecryptionVersion}, not ${wanted}`)
    }
  }

  return { world, watch: told, rotate, begin, until, converge, onStep: (act) => void listeners.push(act) }
}

const NEVER = new AbortController().signal

/** What was complete a moment ago is not done again. */
export function isDone(ending: Ending | undefined): boolean {
  return ending?.report?.complete === true || ending?.refused === 'ROTATED_RECENTLY'
}

function shown(ending: Ending | undefined): string {
  if (ending?.report === undefined) return ending?.refused ?? 'its process died'
  return JSON.stringify(
    ending.report.keys.map(({ key, complete, failure, secrets }) => ({
      key,
      complete,
      failure: failure?.code,
      secrets: secrets.filter(({ outcome }) => outcome === 'blocked' || outcome === 'left'),
    })),
  )
}

/**
 * Advanced -> Moved. Brings every Secret to the target version, or says why it cannot be. What somebody else writes meanwhile
 * is moved in the next round.
 */
import type { Clock } from '../../clock.ts'
import { pause } from '../../clock.ts'
import type { SecretUnder } from '../../policy/secrets-under.ts'
import type { Advanced } from './advance.ts'
import { CHUNK, inHand } from './in-hand.ts'
import type { Inspect, Inspected, Located } from './inspect.ts'
import { isBlocked, standing } from './inspect.ts'
import type { Gate } from './pool.ts'
import { all, chunks } from './pool.ts'
import type { Reachability } from './reachability.ts'
import { reachability } from './reachability.ts'
import type { Rewrap } from './rewrap.ts'
import type { Change, WriteSecret } from './write-secret.ts'
import { changeOf } from './write-secret.ts'

declare const moved: unique symbol

/** Every Secret was moved, was there already, or is reported as blocked. */
export interface Moved {
  readonly [moved]: true
  readonly advanced: Advanced
  readonly secrets: readonly SecretUnder[]
}

/** @throws KeyholeError; what was moved until then stays moved, and is found so by the next rotation. */
export type Move = (advanced: Advanced, secrets: readonly SecretUnder[]) => Promise<Moved>

export interface MoveOptions {
  readonly inspect: Inspect
  readonly rewrap: Rewrap
  readonly writeSecret: WriteSecret
  readonly clock: Clock
  /** Calls to the API server at once. */
  readonly gate: Gate
  /** Aborts when the process is about to end: what has begun is finished, nothing else begins. */
  readonly halt: AbortSignal
}

/** Of a Secret that somebody else keeps writing. */
const MAX_ROUNDS = 5
const ROUND_PAUSE_MS = 500

/** A Secret to look at again: it was changed meanwhile, or no answer came. */
interface Again {
  readonly secret: SecretUnder
  readonly unanswered?: unknown
}

export function mover({ inspect, rewrap, writeSecret, clock, gate, halt }: MoveOptions): Move {
  return async function move(advanced, secrets) {
    const { wanted, intent } = advanced.restored.intended
    wanted.steps.stage('move', { to: intent.target })
    const server = reachability()
    for (const chunk of chunks(secrets, CHUNK)) await moveAll(advanced, chunk, server)
    return { advanced, secrets } as Partial<Moved> as Moved
  }

  async function moveAll(advanced: Advanced, chunk: readonly SecretUnder[], server: Reachability): Promise<void> {
    const { wanted, claim } = advanced.restored.intended
    let due = chunk
    let again: readonly Again[] = []
    for (let round = 0; round < MAX_ROUNDS && due.length > 0; round += 1) {
      if (round > 0) await pause(clock, round * ROUND_PAUSE_MS, claim.signal)
      again = await moveOnce(advanced, due)
      due = again.map(({ secret }) => secret)
    }
    // It took a write, or needed none.
    if (again.length < chunk.length) server.answered()
    for (const { unanswered } of again) if (unanswered !== undefined) server.silent(unanswered)
    // No answer is not contention. And if it answered for no other Secret, it is down.
    server.mustBeReachable()
    for (const { secret, unanswered } of again) {
      if (unanswered === undefined) wanted.tally.contended(secret)
      else wanted.tally.blocked({ secret, blocked: 'UNANSWERED', gitops: undefined })
    }
    tellDone(advanced)
  }

  /** Answers with those that have to be looked at again. */
  async function moveOnce(advanced: Advanced, due: readonly SecretUnder[]): Promise<readonly Again[]> {
    const { signal } = advanced.restored.intended.claim
    const again: Again[] = []
    const read = async (secret: SecretUnder) => {
      signal.throwIfAborted()
      halt.throwIfAborted()
      return await inspect(secret, signal)
    }
    for await (const found of inHand(due, gate, read)) again.push(...(await moveFound(advanced, found)))
    return again
  }

  async function moveFound(advanced: Advanced, found: readonly Inspected[]): Promise<readonly Again[]> {
    const { claim, wanted, intent } = advanced.restored.intended
    const { tally, transitKey } = wanted
    const behind: Located[] = []
    for (const one of found) {
      if (isBlocked(one)) tally.blocked(one)
      else if (standing(one, intent.target) === 'current') tally.current(one.secret, one.gitops)
      else if (standing(one, intent.target) === 'immutable') tally.blocked({ ...one, blocked: 'IMMUTABLE' })
      else behind.push({ ...one, parts: one.parts.filter(({ keyVersion }) => keyVersion < intent.target) })
    }
    const changes: Change[] = []
    for (const { one, ...outcome } of await rewrap(transitKey, behind, claim.signal)) {
      if ('made' in outcome) changes.push(changeOf(one, outcome.made, intent.target))
      else tally.blocked({ ...one, blocked: outcome.blocked })
    }
    tellDone(advanced)
    const again = await all(changes, (change) => moveOne(advanced, change))
    return again.filter((one) => one !== undefined)
  }

  /** Undefined once there is nothing more to do about this Secret. */
  async function moveOne(advanced: Advanced, change: Change): Promise<Again | undefined> {
    const { claim, wanted } = advanced.restored.intended
    const { secret, gitops } = change.old
    const written = await writeSecret(wanted, change, claim.signal)
    if (written === 'changed') return { secret }
    if (written !== 'written' && 'unanswered' in written) return { secret, ...written }
    if (written === 'written') {
      wanted.tally.rewrapped(secret, gitops)
      wanted.tally.found(change.to)
    } else wanted.tally.blocked({ secret, gitops, ...written })
    tellDone(advanced)
    return undefined
  }
}

function tellDone({ restored }: Advanced): void {
  const { claim, wanted } = restored.intended
  const done = wanted.tally.done()
  wanted.steps.progress('move', done)
  claim.progress(wanted.transitKey.name, done)
}

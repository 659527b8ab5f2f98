/**
 * Advanced -> Moved. Brings every Secret to the target version, or says why it cannot be. The only writer of Secrets: one
 * JSON Patch a Secret, which tests the very ciphertext that was rewrapped, so that whoever wrote meanwhile wins, and their
 * value is moved in the next round.
 */
import type { Clock } from '../../clock.ts'
import { pause } from '../../clock.ts'
import type { BlockedCode } from '../../contract.ts'
import type { UpstreamKind } from '../../errors.ts'
import { KeyholeError, UpstreamError } from '../../errors.ts'
import type { SecretUnder } from '../../policy/secrets-under.ts'
import { kubernetesRefusal } from '../upstream.ts'
import type { Advanced } from './advance.ts'
import type { Begun, Effects } from './effects.ts'
import { CHUNK, inHand } from './in-hand.ts'
import type { Inspect, Inspected, Located } from './inspect.ts'
import { isBlocked } from './inspect.ts'
import { isTransient } from './patience.ts'
import type { Gate } from './pool.ts'
import { all, chunks } from './pool.ts'
import type { DataChange, SecretStore, Unwritten } from './ports.ts'
import type { Made, Rewrap } from './rewrap.ts'

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
  readonly secrets: Pick<SecretStore, 'replaceData'>
  readonly effects: Effects
  readonly clock: Clock
  /** Calls to the API server at once. */
  readonly gate: Gate
  /** Aborts when the process is about to end: what has begun is finished, nothing else begins. */
  readonly halt: AbortSignal
}

/** Of a Secret that somebody else keeps writing. */
const MAX_ROUNDS = 5
const ROUND_PAUSE_MS = 500

export function mover({ inspect, rewrap, secrets, effects, clock, gate, halt }: MoveOptions): Move {
  return async function move(advanced, wantedSecrets) {
    const { wanted, intent, claim } = advanced.restored.intended
    wanted.steps.stage('move', { to: intent.target })
    let done = 0
    const count = (more: number) => {
      if (more === 0) return
      done += more
      wanted.steps.progress('move', done)
      claim.progress(more)
    }
    let isAnswered = false
    for (const chunk of chunks(wantedSecrets, CHUNK)) {
      isAnswered = await moveAll({ advanced, count }, chunk, isAnswered)
    }
    return { advanced, secrets: wantedSecrets } as Partial<Moved> as Moved
  }

  /** Answers whether the API server has taken any write, or needed none, by now. */
  async function moveAll(moving: Moving, chunk: readonly SecretUnder[], isAnswered: boolean): Promise<boolean> {
    const { wanted, claim } = moving.advanced.restored.intended
    let due = chunk
    let again: readonly Again[] = []
    for (let round = 0; round < MAX_ROUNDS && due.length > 0; round += 1) {
      if (round > 0) await pause(clock, round * ROUND_PAUSE_MS, claim.signal)
      again = await moveOnce(moving, due)
      due = again.map(({ secret }) => secret)
    }
    const [unanswered] = again.filter(({ error }) => error !== undefined)
    const isNow = isAnswered || again.length < chunk.length
    // An API server that does not answer is nobody who writes; and where it answers of no other, it does not answer at all.
    if (unanswered !== undefined && !isNow) throw kubernetesRefusal(unanswered.error)
    for (const { secret, error } of again) {
      if (error === undefined) wanted.tally.contended(secret)
      else wanted.tally.blocked({ secret, blocked: 'UNANSWERED', gitops: undefined })
    }
    moving.count(again.length)
    return isNow
  }

  /** Answers with those that have to be looked at again. */
  async function moveOnce(moving: Moving, due: readonly SecretUnder[]): Promise<readonly Again[]> {
    const { signal } = moving.advanced.restored.intended.claim
    const again: Again[] = []
    const few = inHand(due, gate, (secret) => begin(signal, () => inspect(secret, signal)))
    for await (const found of few) again.push(...(await moveFound(moving, found)))
    return again
  }

  async function moveFound({ advanced, count }: Moving, found: readonly Inspected[]): Promise<readonly Again[]> {
    const { claim, wanted, intent } = advanced.restored.intended
    const { tally, transitKey } = wanted
    const old: Old[] = []
    for (const one of found) {
      if (isBlocked(one)) tally.blocked(one)
      else if ((one.version ?? intent.target) >= intent.target) tally.current(one.secret, one.gitops)
      else if (one.immutable) tally.blocked({ ...one, blocked: 'IMMUTABLE' })
      else old.push({ ...one, parts: one.parts.filter(({ keyVersion }) => keyVersion < intent.target) })
    }
    const remade = await rewrap(transitKey, old, claim.signal)
    const changes = remade.flatMap((outcome) => {
      if ('made' in outcome) return [changeOf(outcome.one, outcome.made, intent.target)]
      tally.blocked({ ...outcome.one, blocked: outcome.blocked })
      return []
    })
    // What needs no write, or can have none, is done with.
    count(found.length - changes.length)
    const again = await all(changes, async (change) => {
      const unfinished = await write(advanced, change)
      if (unfinished === undefined) count(1)
      return unfinished
    })
    return again.filter((one) => one !== undefined)
  }

  /** Undefined once there is nothing more to do about this Secret. */
  async function write(advanced: Advanced, change: Change): Promise<Again | undefined> {
    const { claim, wanted } = advanced.restored.intended
    const { secret, gitops } = change.old
    const put = (begun: Begun) => gate(() => begin(claim.signal, () => patch(begun, change, claim.signal)))
    const what = {
      effect: 'move',
      transitKey: wanted.transitKey,
      secret: { namespace: secret.namespace, name: secret.secret },
      dataKeys: change.data.map(({ dataKey }) => dataKey),
      from: change.from,
      to: change.to,
    } as const
    try {
      const unwritten = await effects.record(wanted.rotating, what, put, (result) => result === undefined)
      if (unwritten === 'changed') return { secret }
      if (unwritten === undefined) {
        wanted.tally.rewrapped(secret, gitops)
        wanted.tally.found(change.to)
      } else wanted.tally.blocked({ secret, gitops, blocked: UNWRITTEN[unwritten] })
      return undefined
    } catch (error) {
      claim.signal.throwIfAborted()
      // It may have been written. The next round sees.
      if (isTransient(error)) return { secret, error }
      const blocked = error instanceof UpstreamError ? REFUSED[error.kind] : undefined
      if (blocked === undefined) throw kubernetesRefusal(error)
      wanted.tally.blocked({ secret, gitops, blocked })
      return undefined
    }
  }

  function patch(_begun: Begun, { old, data }: Change, signal: AbortSignal): Promise<Unwritten | undefined> {
    return secrets.replaceData(old.secret, data, signal)
  }

  function begin<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> {
    signal.throwIfAborted()
    halt.throwIfAborted()
    return act()
  }
}

const UNWRITTEN: Readonly<Record<Exclude<Unwritten, 'changed'>, BlockedCode>> = {
  missing: 'SECRET_MISSING',
  immutable: 'IMMUTABLE',
}

interface Moving {
  readonly advanced: Advanced
  /** So many more Secrets are done. */
  readonly count: (more: number) => void
}

/** With only the parts that are below the target. */
type Old = Located

/** A Secret to look at again: it was changed meanwhile, or no answer came. */
interface Again {
  readonly secret: SecretUnder
  readonly error?: unknown
}

/** What one Secret's own guard says; anything else is about the API server. `bad-request`: an admission webhook refuses. */
const REFUSED: Partial<Record<UpstreamKind, BlockedCode>> = {
  forbidden: 'UNWRITABLE',
  'bad-request': 'UNWRITABLE',
  'too-large': 'TOO_LARGE',
}

interface Change {
  readonly old: Old
  readonly data: readonly DataChange[]
  readonly from: number
  readonly to: number
}

/** All of its old data keys. @throws KeyholeError where Vault does not know the target yet: a standby that lags. */
function changeOf(old: Old, made: readonly Made[], target: number): Change {
  if (made.some(({ keyVersion }) => keyVersion < target)) {
    throw new KeyholeError('VAULT_UNAVAILABLE', { why: 'vault-behind' })
  }
  const data = made.map(({ part: { dataKey, stored }, ciphertext }) => ({
    dataKey,
    from: stored,
    to: Buffer.from(ciphertext).toString('base64'),
  }))
  const from = Math.min(...old.parts.map(({ keyVersion }) => keyVersion))
  // The newest that there was: somebody else may have made one after the target.
  return { old, data, from, to: Math.min(...made.map(({ keyVersion }) => keyVersion)) }
}

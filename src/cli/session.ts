/** One invocation's calls of keyhole, each tried until it has an answer or the budget is used up. */
import { ClientError } from '../client/client-error.ts'
import { rotationClient } from '../client/rotation-client.ts'
import type { LedgerEntry, RotateRequest, RotationReport } from '../contract.ts'
import { callFailed } from './call-failed.ts'
import type { Outcome } from './outcome.ts'
import { errorOf } from './outcome.ts'
import type { Ended, Tried } from './persist.ts'
import { persist } from './persist.ts'
import type { Progress } from './progress.ts'
import type { RotateOptions } from './rotate-options.ts'
import { mayGoOn, whyLeft } from './unfinished.ts'
import type { World } from './world.ts'
import { EXIT } from './world.ts'

export interface Session {
  /** Has keyhole rotate, and watches it. Each call is a request of its own, however often it is sent. */
  rotate(request: RotateRequest): Promise<Ended<RotationReport>>
  /** Asks what keyhole knows of the keys, and again for as long as `read` does not have enough of it. */
  ledger<T>(read: (ledger: readonly LedgerEntry[], nowMs: number) => Tried<T>): Promise<Ended<T>>
}

/** Ends `act` when the budget does, or when the process is told to stop. Nothing is shown as progress after it. */
export async function withSession(
  options: Pick<RotateOptions, 'access' | 'budgetMs'>,
  world: World,
  progress: Progress,
  act: (session: Session) => Promise<Outcome>,
): Promise<Outcome> {
  const { clock, random } = world
  const client = rotationClient({ ...options.access, after: clock.after })
  const budget = new AbortController()
  const cancel = clock.after(options.budgetMs, () => budget.abort())
  const signal = AbortSignal.any([world.signal, budget.signal])
  const untilMs = clock.now() + options.budgetMs
  const nextIdempotencyKey = idempotencyKeys(world.newId())
  let mayHaveBegun = false
  let lastFailure: string | undefined

  function say(text: string): void {
    lastFailure = text
    progress.say(text)
  }

  function persistently<T>(call: () => Promise<Tried<T>>): Promise<Ended<T>> {
    return persist(() => call().catch(callFailed), { clock, random, signal, untilMs, say })
  }

  const session: Session = {
    rotate(request) {
      const idempotencyKey = nextIdempotencyKey()
      return persistently(async () => {
        mayHaveBegun = true
        return triedOf(await client.rotate(request, { idempotencyKey, signal, told: progress.told }))
      })
    },
    ledger(read) {
      return persistently(async () => {
        const { ledger } = await client.status(signal)
        return read(ledger, clock.now())
      })
    },
  }

  try {
    return await act(session)
  } catch (error) {
    if (!(error instanceof ClientError) || error.kind !== 'aborted') throw error
    return gaveUp(world.signal.aborted ? 'interrupted' : 'budget', mayHaveBegun, lastFailure)
  } finally {
    cancel()
    progress.end()
  }
}

/** One for each request, which keeps it however often it is sent: that is how keyhole knows it again. */
function idempotencyKeys(id: string): () => string {
  let requests = 0
  return () => {
    requests += 1
    return requests === 1 ? id : `${id}.${requests - 1}`
  }
}

function triedOf(report: RotationReport): Tried<RotationReport> {
  if (report.complete || !mayGoOn(report)) return { done: report }
  const why = `The rotation stopped: ${whyLeft(report)}`
  return { again: { why, waitsFor: 'mending', otherwise: { done: report } } }
}

function gaveUp(code: 'interrupted' | 'budget', mayHaveBegun: boolean, lastFailure: string | undefined): Outcome {
  const why = code === 'interrupted' ? 'Told to stop.' : 'The budget is used up.'
  const where = mayHaveBegun
    ? 'A rotation that has begun goes on in the service; the next keyhole rotate waits for it, or goes on where it stopped.'
    : 'No rotation was asked for.'
  const last = lastFailure === undefined ? '' : ` Last: ${lastFailure}`
  return errorOf({ exit: EXIT.unavailable, code, detail: `${why} ${where}${last}` })
}

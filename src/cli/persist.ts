/**
 * Trying again, for as long as the budget lasts: what may pass by itself is waited for, as long as keyhole asks for or
 * longer and longer; what would be the same again is not.
 */
import { ClientError, Refused } from '../client/client-error.ts'
import type { Clock } from '../clock.ts'
import { pause } from '../clock.ts'
import type { RotationProgress, RotationReport } from '../contract.ts'
import { mayPass } from './codes.ts'
import { waitText } from './durations.ts'
import type { ExitCode } from './world.ts'
import { EXIT } from './world.ts'

export interface Failure {
  readonly exit: ExitCode
  /** A code of keyhole's, or a kind of ClientError. */
  readonly code: string
  readonly detail: string
}

/** How one try went. */
export type Tried<T> =
  | { readonly done: T | Failure }
  | {
      /** What stands if there is no time for another. */
      readonly unless: T | Failure
      readonly why: string
      readonly waitMs?: number | undefined
      /** Waits for somebody else, rather than for something to mend: no longer each time. */
      readonly isQueue?: boolean
    }

export interface Persistence {
  readonly clock: Clock
  readonly random: () => number
  /** Gives up at once. */
  readonly signal: AbortSignal
  /** When the budget is used up, in milliseconds since the epoch. */
  readonly untilMs: number
  /** Told before each wait. */
  readonly say: (text: string) => void
}

/** @throws ClientError aborted, for either signal: the caller knows what was asked by then. */
export async function persist<T>(tries: () => Promise<Tried<T>>, options: Persistence): Promise<T | Failure> {
  const { clock, random, signal, untilMs, say } = options
  for (let failures = 0; ; ) {
    const tried = await tries()
    if ('done' in tried) return tried.done
    const backoffMs = Math.min(FIRST_WAIT_MS * 2 ** failures, LONGEST_WAIT_MS)
    if (tried.isQueue !== true) failures += 1
    // From a half to the whole of it: callers that failed together should not come back together.
    const spreadMs = tried.isQueue === true ? 0 : Math.round((backoffMs * (1 + random())) / 2)
    const waitMs = Math.max(tried.waitMs ?? (tried.isQueue === true ? backoffMs : 0), spreadMs)
    if (clock.now() + waitMs >= untilMs) return tried.unless
    say(`${tried.why} Trying again in ${waitText(waitMs)}.`)
    await wait(clock, waitMs, signal)
  }
}

const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 30_000

/** What to do about whatever a call throws. @throws ClientError aborted; what is no failure of a call. */
export function failed(error: unknown): Tried<never> {
  if (error instanceof Refused) return refused(error)
  if (!(error instanceof ClientError) || error.kind === 'aborted') throw error
  const { kind, message, retryAfterMs } = error
  const isOurs = kind === 'token-file' || kind === 'ca-file'
  const failure = {
    exit: isOurs ? EXIT.usage : EXIT.unavailable,
    code: kind,
    detail: [message, ADVICE[kind]].filter((part) => part !== undefined).join(' '),
  }
  if (!PASSING.has(kind)) return { done: failure }
  return { unless: failure, why: message, waitMs: retryAfterMs }
}

const PASSING: ReadonlySet<ClientError['kind']> = new Set(['unreachable', 'timeout', 'cut', 'unavailable'])

const ADVICE: Partial<Record<ClientError['kind'], string>> = {
  'token-file': 'KEYHOLE_TOKEN_FILE must name a file with a ServiceAccount token of the audience of keyhole.',
  'ca-file': "KEYHOLE_CACERT must name the CA of keyhole's certificate.",
  unreachable: 'KEYHOLE_ADDR must be right, and a NetworkPolicy let this pod reach it.',
  tls: 'KEYHOLE_CACERT must name the CA that signed the certificate of keyhole, and KEYHOLE_ADDR a host that is in it.',
  redirected: 'KEYHOLE_ADDR must be keyhole itself.',
  'not-keyhole': 'KEYHOLE_ADDR must be the origin of keyhole, with no proxy before it that answers in its place.',
}

function refused({ problem, retryAfterMs }: Refused): Tried<never> {
  const { code, detail, retryable, progress, requestId } = problem
  const where = `${HINTS[code] ?? ''}${requestId === undefined ? '' : ` (request id ${requestId})`}`
  if (!retryable || code === 'ROTATED_RECENTLY') {
    return { done: { exit: EXIT.refused, code, detail: `${detail}${where}` } }
  }
  const isQueue = code === 'ROTATION_IN_PROGRESS'
  return {
    unless: { exit: EXIT.unavailable, code, detail: `${detail}${where}` },
    why: isQueue ? othersProgress(progress) : `${code}: ${detail}${where}`,
    waitMs: retryAfterMs,
    isQueue,
  }
}

const HINTS: Readonly<Record<string, string>> = {
  ROTATED_RECENTLY: ' (Here: --rewrap.)',
  ROUTE_UNKNOWN:
    ' This keyhole serves no rotations: KEYHOLE_ADDR must name the Service of the rotators (keyhole-rotate).',
}

function othersProgress(progress: RotationProgress | undefined): string {
  if (progress === undefined) return 'Another rotation runs.'
  const { done, total, startedAt } = progress
  return `Another rotation runs since ${startedAt}: ${done} of ${total} Secrets.`
}

/** Whether a rerun may do more: something was left although nothing is wrong with its key, or what was wrong may pass. */
export function mayGoOn({ keys }: RotationReport): boolean {
  return keys.some(({ failure, secrets }) =>
    failure === undefined
      ? secrets.some(({ outcome }) => outcome === 'left')
      : // To rotate what was rotated a moment ago is never what somebody waits for.
        failure.code !== 'ROTATED_RECENTLY' && mayPass(failure.code),
  )
}

/** @throws ClientError aborted. */
async function wait(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  await pause(clock, ms, signal).catch(() => {
    throw new ClientError('aborted', 'The wait was given up.')
  })
}

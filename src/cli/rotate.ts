/** `keyhole rotate`: has keyhole rotate, watches it, and stays until it is done or the budget is. */
import { ClientError } from '../client/client-error.ts'
import type { RotationClient } from '../client/rotation-client.ts'
import { rotationClient } from '../client/rotation-client.ts'
import type { RotateRequest, RotationReport } from '../contract.ts'
import { didYouMean } from '../words.ts'
import type { Due } from './due.ts'
import { whatIsDue } from './due.ts'
import type { Outcome } from './outcome.ts'
import { tell } from './outcome.ts'
import type { Failure, Persistence, Tried } from './persist.ts'
import { failed, mayGoOn, persist } from './persist.ts'
import { merged, requestsFor, requestsForDue } from './plan.ts'
import type { Progress } from './progress.ts'
import { openProgress } from './progress.ts'
import { ROTATE_HELP } from './rotate-help.ts'
import type { RotateOptions } from './rotate-options.ts'
import { parseRotateOptions } from './rotate-options.ts'
import { openScreen } from './screen.ts'
import type { ExitCode, World } from './world.ts'
import { EXIT } from './world.ts'

export async function rotate(args: readonly string[], world: World): Promise<ExitCode> {
  const asked = parseRotateOptions(args, world.environment)
  if ('help' in asked) {
    world.stdout.write(ROTATE_HELP)
    return EXIT.done
  }
  if ('complaints' in asked) return tell(usage(asked.complaints), asked.output, world)
  const watching = openScreen(asked.output === 'json' ? world.stderr : world.stdout, world.environment)
  const progress = openProgress(watching, world.clock)
  return tell(await carryOut(asked.options, world, progress), asked.output, world)
}

function usage(details: readonly string[]): Outcome {
  const detail = 'Nothing was asked of keyhole. keyhole rotate --help tells more.'
  return { type: 'error', exit: EXIT.usage, code: 'usage', detail, details }
}

/** What is the same for all calls of one invocation. */
interface Calls {
  readonly client: RotationClient
  readonly persistence: Persistence
  readonly progress: Progress
  /** The Idempotency-Key of a request: the same however often it is sent. */
  readonly keyOf: (index: number) => string
  /** Whether a rotation may have begun. */
  hasAsked: boolean
  /** Why what was tried last has to be tried again. */
  lastFailure: string | undefined
}

async function carryOut(options: RotateOptions, world: World, progress: Progress): Promise<Outcome> {
  const { clock, random, newId } = world
  const budget = new AbortController()
  const cancel = clock.after(options.budgetMs, () => budget.abort())
  const signal = AbortSignal.any([world.signal, budget.signal])
  const id = newId()
  const say = (text: string) => {
    calls.lastFailure = text
    progress.say(text)
  }
  const calls: Calls = {
    client: rotationClient({ ...options.access, after: clock.after }),
    persistence: { clock, random, signal, untilMs: clock.now() + options.budgetMs, say },
    progress,
    keyOf: (index) => (index === 0 ? id : `${id}.${index}`),
    hasAsked: false,
    lastFailure: undefined,
  }
  try {
    return options.ifOlderThan === undefined
      ? await rotateAll(calls, requestsFor(options))
      : await rotateDue(calls, options, options.ifOlderThan)
  } catch (error) {
    if (!(error instanceof ClientError) || error.kind !== 'aborted') throw error
    return gaveUp(world.signal.aborted ? 'interrupted' : 'budget', calls)
  } finally {
    cancel()
    progress.end()
  }
}

function gaveUp(code: 'interrupted' | 'budget', { hasAsked, lastFailure }: Calls): Outcome {
  const why = code === 'interrupted' ? 'Told to stop.' : 'The budget is used up.'
  const where = hasAsked
    ? 'A rotation that has begun goes on in the service; the next keyhole rotate waits for it, or goes on where it stopped.'
    : 'No rotation was asked for.'
  const last = lastFailure === undefined ? '' : ` Last: ${lastFailure}`
  return { type: 'error', exit: EXIT.unavailable, code, detail: `${why} ${where}${last}` }
}

async function rotateAll(calls: Calls, requests: readonly RotateRequest[]): Promise<Outcome> {
  const { reports, failure } = await sendAll(calls, requests, () => false)
  const report = merged(reports)
  if (failure !== undefined) return { type: 'error', ...failure, report }
  if (report === undefined) throw new Error('neither a report nor a failure')
  return { type: 'report', report }
}

async function rotateDue(
  calls: Calls,
  options: RotateOptions,
  { text, ms }: NonNullable<RotateOptions['ifOlderThan']>,
): Promise<Outcome> {
  const due = await persist(() => askWhatIsDue(calls, options.keys, ms), calls.persistence)
  if ('exit' in due) return { type: 'error', ...due }
  const isFine = ({ code }: Failure) => code === 'ROTATED_RECENTLY'
  const { reports, failure, passedOver } = await sendAll(calls, requestsForDue(options, due), isFine)
  const report = merged(reports)
  if (failure !== undefined) return { type: 'error', ...failure, report }
  const passed = passedOver && (await lookAgain(calls, options, passedOver))
  if (passed !== undefined) return { ...passed, report }
  if (due.unknown.length > 0) return unknownAges(due, report)
  if (report !== undefined) return { type: 'report', report }
  const recent = [...due.old, ...due.behind]
  const detail = recent.length === 0 ? {} : { detail: `Rotated just now by somebody else: ${recent.join(', ')}.` }
  return { type: 'nothing-due', olderThan: text, keys: due.young, ...detail }
}

/**
 * After ROTATED_RECENTLY: another CronJob was there between the look and the call, and what was wanted is so; or a key may not
 * be rotated as often as it is asked for, or the other one has not come to its end. Undefined where nothing is left.
 */
async function lookAgain(
  calls: Calls,
  { keys, ifOlderThan }: RotateOptions,
  recently: Failure,
): Promise<Extract<Outcome, { readonly type: 'error' }> | undefined> {
  const { ms = 0, text } = ifOlderThan ?? {}
  const due = await persist(() => askWhatIsDue(calls, keys, ms), calls.persistence)
  if ('exit' in due) return { type: 'error', ...due }
  if (due.old.length > 0) {
    const detail = `A key is older than ${text} and may not have a new version yet: its minInterval is longer than that.`
    return { type: 'error', ...recently, detail }
  }
  if (due.unknown.length > 0) return unknownAges(due, undefined)
  if (due.behind.length === 0) return undefined
  const detail = `Somebody else rotated meanwhile, and not every Secret is moved: ${due.behind.join(', ')}. Run it again.`
  return { type: 'error', exit: EXIT.unavailable, code: 'ROTATION_INCOMPLETE', detail }
}

/** One request after the other; the first that fails ends it. What is incomplete is no reason to leave the next. */
async function sendAll(
  calls: Calls,
  requests: readonly RotateRequest[],
  isFine: (failure: Failure) => boolean,
): Promise<{ readonly reports: readonly RotationReport[]; readonly failure?: Failure; readonly passedOver?: Failure }> {
  const reports: RotationReport[] = []
  let passedOver: Failure | undefined
  for (const [index, request] of requests.entries()) {
    const ended = await persist(() => send(calls, request, calls.keyOf(index)), calls.persistence)
    if ('type' in ended) reports.push(ended)
    else if (!isFine(ended)) return { reports, failure: ended }
    else passedOver = ended
  }
  return passedOver === undefined ? { reports } : { reports, passedOver }
}

async function send(calls: Calls, request: RotateRequest, idempotencyKey: string): Promise<Tried<RotationReport>> {
  const { client, persistence, progress } = calls
  try {
    calls.hasAsked = true
    const report = await client.rotate(request, { idempotencyKey, signal: persistence.signal, told: progress.told })
    if (report.complete || !mayGoOn(report)) return { done: report }
    return { unless: report, why: `The rotation stopped: ${whyLeft(report)}` }
  } catch (error) {
    return failed(error)
  }
}

function whyLeft({ keys }: RotationReport): string {
  const failure = keys.find((key) => key.failure !== undefined)?.failure
  if (failure !== undefined) return `${failure.code}: ${failure.detail}`
  const left = keys.flatMap(({ secrets }) => secrets.filter(({ outcome }) => outcome === 'left')).length
  return left === 1 ? '1 Secret is left.' : `${left} Secrets are left.`
}

async function askWhatIsDue(calls: Calls, keys: readonly string[], olderThanMs: number): Promise<Tried<Due>> {
  const { client, persistence } = calls
  try {
    const { ledger } = await client.status(persistence.signal)
    const due = whatIsDue(ledger, keys, olderThanMs, persistence.clock.now())
    const [stranger] = due.strangers
    if (stranger !== undefined)
      return {
        done: notYours(
          stranger,
          ledger.map(({ key }) => key),
        ),
      }
    if (ledger.length === 0) return { done: notYours(undefined, []) }
    const passing = due.unknown.find(({ isPassing }) => isPassing)
    // What is due now does not wait for the rest.
    if (passing === undefined || due.old.length + due.behind.length > 0) return { done: due }
    return { unless: due, why: `The age of ${passing.key} is not known: ${passing.code}: ${passing.detail}` }
  } catch (error) {
    return failed(error)
  }
}

function notYours(key: string | undefined, known: readonly string[]): Failure {
  const what = key === undefined ? 'There is no TransitKey' : `${key} is no TransitKey`
  const meant = key === undefined ? '' : didYouMean(key, known)
  return { exit: EXIT.refused, code: 'NOT_GRANTED', detail: `${what} that this caller may rotate.${meant}` }
}

/** To pass over them in silence would leave a key unrotated for good. */
function unknownAges(
  { unknown }: Due,
  report: RotationReport | undefined,
): Extract<Outcome, { readonly type: 'error' }> {
  return {
    type: 'error',
    exit: unknown.every(({ isPassing }) => isPassing) ? EXIT.unavailable : EXIT.incomplete,
    code: 'AGE_UNKNOWN',
    detail: 'It is not known whether these keys are due, so they were not rotated:',
    details: unknown.map(({ key, code, detail }) => `${key}: ${code}: ${detail}`),
    report,
  }
}

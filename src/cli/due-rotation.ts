/** `--if-older-than`: looks which keys are due, has those rotated, and looks again where keyhole calls one of them recent. */
import type { LedgerEntry, RotateRequest, RotationReport } from '../contract.ts'
import { didYouMean } from '../words.ts'
import type { Due } from './due.ts'
import { whatIsDue } from './due.ts'
import type { Outcome } from './outcome.ts'
import { errorOf } from './outcome.ts'
import type { Failure, Tried } from './persist.ts'
import { merged, requestsForDue } from './plan.ts'
import type { OlderThan, RotateOptions } from './rotate-options.ts'
import type { Session } from './session.ts'
import { EXIT } from './world.ts'

export async function rotateDueKeys(options: RotateOptions, olderThan: OlderThan, session: Session): Promise<Outcome> {
  const look = () => session.ledger((ledger, nowMs) => dueIn(ledger, options.keys, olderThan.ms, nowMs))
  const looked = await look()
  if ('failed' in looked) return errorOf(looked.failed)
  const due = looked.done
  const { report, failure, isAnyRecent } = await sendAll(requestsForDue(options, due), session)
  if (failure !== undefined) return errorOf(failure, report)
  if (isAnyRecent) {
    const again = await look()
    const undone = 'failed' in again ? again.failed : whatIsUndone(again.done, olderThan)
    if (undone !== undefined) return errorOf(undone, report)
  }
  // Told last: it keeps no other key from being rotated.
  const unknown = whatIsUnknown(due)
  if (unknown !== undefined) return errorOf(unknown, report)
  return report === undefined ? nothingDue(due, olderThan) : { type: 'report', report }
}

function dueIn(
  ledger: readonly LedgerEntry[],
  keys: readonly string[],
  olderThanMs: number,
  nowMs: number,
): Tried<Due> {
  const due = whatIsDue(ledger, keys, olderThanMs, nowMs)
  const [stranger] = due.strangers
  if (stranger !== undefined) {
    const known = ledger.map(({ key }) => key)
    const meant = didYouMean(stranger, known)
    return { failed: notGranted(`${stranger} is no TransitKey that this caller may rotate.${meant}`) }
  }
  if (ledger.length === 0) return { failed: notGranted('There is no TransitKey that this caller may rotate.') }
  const passing = due.unknown.find(({ isPassing }) => isPassing)
  // What is due now does not wait for the rest.
  if (passing === undefined || due.old.length + due.behind.length > 0) return { done: due }
  const why = `The age of ${passing.key} is not known: ${passing.code}: ${passing.detail}`
  return { again: { why, waitsFor: 'mending', otherwise: { done: due } } }
}

function notGranted(detail: string): Failure {
  return { exit: EXIT.refused, code: 'NOT_GRANTED', detail }
}

interface Sent {
  /** Of all requests that have one. */
  readonly report: RotationReport | undefined
  /** Of the request that ended it; none was sent after it. */
  readonly failure?: Failure
  /** A request was answered ROTATED_RECENTLY. Perhaps somebody else did what it asks for: the ledger tells. */
  readonly isAnyRecent: boolean
}

/** One after the other. An incomplete report is no reason to leave the next, nor is a key that was rotated recently. */
async function sendAll(requests: readonly RotateRequest[], session: Session): Promise<Sent> {
  const reports: RotationReport[] = []
  let isAnyRecent = false
  for (const request of requests) {
    const ended = await session.rotate(request)
    if ('done' in ended) reports.push(ended.done)
    else if (ended.failed.code === ROTATED_RECENTLY) isAnyRecent = true
    else return { report: merged(reports), failure: ended.failed, isAnyRecent }
  }
  return { report: merged(reports), isAnyRecent }
}

const ROTATED_RECENTLY = 'ROTATED_RECENTLY'

/**
 * After ROTATED_RECENTLY, by a second look. Undefined: another CronJob was there first, and all is as it was asked for.
 * Otherwise a key may not be rotated as often as it is asked for, or the other one has not come to its end.
 */
function whatIsUndone(due: Due, { text }: OlderThan): Failure | undefined {
  if (due.old.length > 0) {
    const detail = `A key is older than ${text} and may not have a new version yet: its minInterval is longer than that.`
    return { exit: EXIT.refused, code: ROTATED_RECENTLY, detail }
  }
  if (due.unknown.length > 0) return whatIsUnknown(due)
  if (due.behind.length === 0) return undefined
  const detail = `Somebody else rotated meanwhile, and not every Secret is moved: ${due.behind.join(', ')}. Run it again.`
  return { exit: EXIT.unavailable, code: 'ROTATION_INCOMPLETE', detail }
}

/** To pass over them in silence would leave a key unrotated for good. */
function whatIsUnknown({ unknown }: Due): Failure | undefined {
  if (unknown.length === 0) return undefined
  return {
    exit: unknown.every(({ isPassing }) => isPassing) ? EXIT.unavailable : EXIT.incomplete,
    code: 'AGE_UNKNOWN',
    detail: 'It is not known whether these keys are due, so they were not rotated:',
    details: unknown.map(({ key, code, detail }) => `${key}: ${code}: ${detail}`),
  }
}

function nothingDue({ old, behind, young }: Due, { text }: OlderThan): Outcome {
  const others = [...old, ...behind]
  const detail = others.length === 0 ? {} : { detail: `Rotated just now by somebody else: ${others.join(', ')}.` }
  return { type: 'nothing-due', olderThan: text, keys: young, ...detail }
}

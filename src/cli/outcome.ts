/** How a rotation ended for whoever asked for it, and how that is told: for a person, or as one JSON document. */
import type { RotationReport } from '../contract.ts'
import type { Aged } from './due.ts'
import { ageText } from './durations.ts'
import type { Failure } from './persist.ts'
import { printReport } from './report-text.ts'
import type { OutputFormat } from './rotate-options.ts'
import { jsonLine, openScreen } from './screen.ts'
import { mayGoOn } from './unfinished.ts'
import type { ExitCode, World } from './world.ts'
import { EXIT } from './world.ts'

export type Outcome = Reported | NothingDue | Failed

interface Reported {
  readonly type: 'report'
  readonly report: RotationReport
}

interface NothingDue {
  readonly type: 'nothing-due'
  readonly olderThan: string
  readonly keys: readonly Aged[]
  readonly detail?: string
}

interface Failed extends Failure {
  readonly type: 'error'
  /** Of what was done before. */
  readonly report?: RotationReport | undefined
}

export function errorOf(failure: Failure, report?: RotationReport): Outcome {
  return { type: 'error', ...failure, report }
}

/** Progress never mixes with the answer of `--output json`. */
export function tell(outcome: Outcome, format: OutputFormat, { stdout, stderr, environment }: World): ExitCode {
  const screen = openScreen(stdout, environment)
  if (format === 'json') stdout.write(jsonLine(documentOf(outcome)))
  else if (outcome.type === 'nothing-due') printNothingDue(outcome)
  else if (outcome.report !== undefined) printReport(screen, outcome.report)
  // People look at stderr, also those who keep the document.
  if (outcome.type === 'error') printError(outcome)
  return exitOf(outcome)

  function printNothingDue({ olderThan, detail, keys }: NothingDue): void {
    screen.line(`Nothing due: no key is older than ${olderThan}.`, 'good')
    if (detail !== undefined) screen.line(detail)
    for (const { key, ageMs, latestCreatedAt } of keys) {
      screen.line(`  ${key}: ${ageText(ageMs)} old, made ${latestCreatedAt}`)
    }
  }

  function printError({ code, detail, details }: Failed): void {
    const errors = openScreen(stderr, environment)
    errors.line(`keyhole rotate: ${code}: ${detail}`, 'bad')
    for (const each of details ?? []) errors.line(`  ${each}`)
  }
}

function documentOf(outcome: Outcome): unknown {
  if (outcome.type === 'report') return outcome.report
  if (outcome.type === 'error') return outcome
  const keys = outcome.keys.map(({ key, latestCreatedAt, ageMs }) => ({
    key,
    latestCreatedAt,
    ageSeconds: Math.floor(ageMs / 1_000),
  }))
  return { ...outcome, keys }
}

function exitOf(outcome: Outcome): ExitCode {
  if (outcome.type === 'error') return outcome.exit
  if (outcome.type === 'nothing-due' || outcome.report.complete) return EXIT.done
  // What may pass by itself is tried again by whoever runs this, as it was here until the budget was used up.
  return mayGoOn(outcome.report) ? EXIT.unavailable : EXIT.incomplete
}

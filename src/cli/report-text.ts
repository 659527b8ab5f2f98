/** A report as a person reads it: per key what it came to, then what a person has to do, then what a rerun does. */
import type { KeyReport, RotationReport, SecretReport } from '../contract.ts'
import { ageText } from './durations.ts'
import type { Screen } from './screen.ts'
import { mayGoOn } from './unfinished.ts'

/** Of each list. The JSON has all. */
const MAX_LISTED = 50

export function printReport(screen: Screen, report: RotationReport): void {
  const { complete, dryRun, id, startedAt, finishedAt } = report
  const what = dryRun ? 'Dry run' : 'Rotation'
  const took = ageText(Date.parse(finishedAt) - Date.parse(startedAt))
  const outcome = dryRun
    ? complete
      ? 'nothing stands in its way'
      : 'not all of it would succeed'
    : outcomeOf(complete)
  screen.line(`${what} ${id}: ${outcome} (${took})`, complete ? 'good' : 'bad')
  if (dryRun) screen.line('Nothing was changed; this is what would be.')
  for (const key of report.keys) printKey(screen, key, dryRun)
  printSecrets(screen, report, 'blocked', 'Blocked, each until somebody has done what it says:')
  printSecrets(
    screen,
    report,
    'left',
    mayGoOn(report) ? 'Left, for a rerun to go on with:' : 'Left. First fix what "failed" says:',
  )
  printGitops(screen, report)
}

function outcomeOf(complete: boolean): string {
  return complete ? 'complete' : 'incomplete'
}

function printKey(screen: Screen, key: KeyReport, dryRun: boolean): void {
  screen.line('')
  screen.line(`${key.key}${key.resumed ? ' (went on with what an earlier rotation began)' : ''}`, 'bold')
  for (const [name, text] of factsOf(key, dryRun)) screen.line(`  ${name.padEnd(NAME_WIDTH)}${text}`)
}

const NAME_WIDTH = 'min_decryption_version  '.length

function* factsOf(report: KeyReport, dryRun: boolean): Generator<readonly [string, string]> {
  const { from, to, advance, minDecryptionVersion: minimum, retirement, failure, secrets } = report
  if (from !== undefined && to !== undefined) {
    const how = advance === undefined ? '' : ` (${ADVANCE[advance] ?? advance})`
    yield ['version', `${arrow(from, to)}${dryRun ? '' : how}`]
  }
  if (minimum !== undefined) yield ['min_decryption_version', arrow(minimum.before, minimum.after)]
  if (retirement !== undefined) yield ['retirement', `${retiredHow(retirement)}: ${retirement.detail}`]
  yield ['secrets', countsOf(secrets, dryRun)]
  if (failure !== undefined) yield ['failed', `${failure.code}: ${failure.detail}`]
}

function retiredHow({ done, why }: NonNullable<KeyReport['retirement']>): string {
  if (done) return 'done'
  return why === 'dry-run' ? 'would be done' : 'not done'
}

const ADVANCE: Readonly<Record<string, string>> = {
  made: 'made',
  there: 'had been made already',
  recent: 'no new one: younger than minInterval',
  'not-asked': 'no new one was asked for',
}

function arrow(before: number, after: number): string {
  return before === after ? String(after) : `${before} -> ${after}`
}

function countsOf(secrets: readonly SecretReport[], dryRun: boolean): string {
  const words = {
    rewrapped: dryRun ? 'to be rewrapped' : 'rewrapped',
    current: 'current',
    blocked: 'blocked',
    left: 'left',
  }
  const counts = Object.entries(words)
    .map(([outcome, word]) => [secrets.filter((secret) => secret.outcome === outcome).length, word] as const)
    .filter(([count]) => count > 0)
  return counts.length === 0 ? 'none to tell of' : counts.map(([count, word]) => `${count} ${word}`).join(', ')
}

function printSecrets(screen: Screen, { keys }: RotationReport, outcome: 'blocked' | 'left', title: string): void {
  const found = keys.flatMap(({ key, secrets }) =>
    secrets.filter((secret) => secret.outcome === outcome).map((secret) => ({ key, secret })),
  )
  printList(
    screen,
    title,
    found.map(({ key, secret: { namespace, name, code, detail } }) => {
      const why = [code, detail].filter((part) => part !== undefined).join(': ')
      return `${namespace}/${name} of ${key}${why === '' ? '' : `: ${why}`}`
    }),
  )
}

function printGitops(screen: Screen, { keys }: RotationReport): void {
  printList(
    screen,
    'Also written by a GitOps tool, whose repository holds the old ciphertext still: commit the new one there.',
    keys.flatMap(({ key, secrets }) =>
      secrets.flatMap(({ namespace, name, gitops }) =>
        gitops === undefined ? [] : [`${namespace}/${name} of ${key}: ${gitops}`],
      ),
    ),
  )
}

function printList(screen: Screen, title: string, lines: readonly string[]): void {
  if (lines.length === 0) return
  screen.line('')
  screen.line(title, 'bold')
  for (const line of lines.slice(0, MAX_LISTED)) screen.line(`  ${line}`)
  if (lines.length > MAX_LISTED) screen.line(`  and ${lines.length - MAX_LISTED} more, which --output json lists`)
}

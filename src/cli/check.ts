/** `keyhole check`: says what an installation lacks, before a caller finds out. */
import type { Finding, Status } from '../check/finding.ts'
import { check as checkAll } from '../check/run.ts'
import { ConfigError, parseConfig } from '../config.ts'
import { wireCheck } from '../wire-check.ts'
import { CHECK_HELP } from './check-help.ts'
import { complain } from './complain.ts'
import type { Flag } from './flags.ts'
import { oneOf, readFlags } from './flags.ts'
import type { Screen, Style } from './screen.ts'
import { jsonLine, openScreen } from './screen.ts'
import { withFix } from './sentence.ts'
import type { ExitCode, World } from './world.ts'
import { EXIT } from './world.ts'

export async function check(args: readonly string[], world: World): Promise<ExitCode> {
  const complaints: string[] = []
  const flags = readFlags(args, FLAGS, complaints)
  if (flags.has('help')) {
    world.stdout.write(CHECK_HELP)
    return EXIT.done
  }
  if (complaints.length > 0) {
    return complain(openScreen(world.stderr, world.environment), 'check', complaints, 'Nothing was looked at.')
  }
  const screen = flags.value('output') === 'json' ? undefined : openScreen(world.stdout, world.environment)
  const findings: Finding[] = []
  for await (const finding of look(world)) {
    findings.push(finding)
    if (screen !== undefined) show(screen, finding)
    if (world.signal.aborted) break
  }
  const status = worstOf(findings)
  if (screen === undefined) world.stdout.write(jsonLine({ type: 'check', status, findings }))
  else screen.line(summary(findings), status === 'ok' ? 'good' : 'bold')
  return exitOf(findings, status, world)
}

const FLAGS = {
  output: { value: 'text|json', check: oneOf(['text', 'json']) },
  help: {},
} as const satisfies Readonly<Record<string, Flag>>

async function* look({ environment, clock, signal }: World): AsyncGenerator<Finding, void, void> {
  try {
    const config = parseConfig(environment)
    yield {
      check: 'configuration',
      status: 'ok',
      detail: `serves ${config.KEYHOLE_SERVE}, realm ${config.KEYHOLE_REALM}`,
    }
    yield* checkAll(wireCheck(config, clock, signal))
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    for (const detail of error.complaints) yield { check: 'configuration', status: 'fix', detail }
  }
}

const STYLES: Readonly<Record<Status, Style>> = { ok: 'good', wait: 'bold', fix: 'bad', skip: 'plain' }

function show(screen: Screen, { check, status, detail, fix }: Finding): void {
  screen.line(`${status.padEnd(4)}  ${check}: ${withFix(detail, fix)}`, STYLES[status])
}

function summary(findings: readonly Finding[]): string {
  const count = (status: Status) => findings.filter((finding) => finding.status === status).length
  return `${count('ok')} ok, ${count('wait')} to wait for, ${count('fix')} to fix, ${count('skip')} not looked at`
}

function worstOf(findings: readonly Finding[]): 'ok' | 'wait' | 'fix' {
  const has = (status: Status) => findings.some((finding) => finding.status === status)
  if (has('fix')) return 'fix'
  return has('wait') ? 'wait' : 'ok'
}

function exitOf(findings: readonly Finding[], status: 'ok' | 'wait' | 'fix', { signal }: World): ExitCode {
  if (findings.some((finding) => finding.check === 'configuration' && finding.status === 'fix')) return EXIT.usage
  if (status === 'fix') return EXIT.incomplete
  return status === 'wait' || signal.aborted ? EXIT.unavailable : EXIT.done
}

/** One story told in series, and whether an alert fires in it; run by promtool against the rules as they are deployed. */
import { stringify } from 'yaml'
import type { Verdict } from './promtool.ts'
import { promtool } from './promtool.ts'
import { ruleFile } from './rules.ts'

export interface AlertCase {
  readonly alert: string
  /** Labels of the rule, where two have the same name. */
  readonly of?: Readonly<Record<string, string>>
  readonly title: string
  /** Values by series, a minute apart, in promtool's notation: `0+6x30` begins at 0 and rises by 6, 30 times. */
  readonly series: Readonly<Record<string, string>>
  /** In this minute it fires, and in the one before it does not; absent: it never does. */
  readonly fires?: number
  /** In this minute it fires no more. */
  readonly ends?: number
  /** How long to look, in minutes, for what never fires; default two hours. */
  readonly minutes?: number
}

const LOOK_EVERY_MINUTES = 1

/** @param rules a rule file; default: what is deployed. */
export function tried(story: AlertCase, rules = ruleFile()): Verdict {
  const { alert, of = {}, series, fires, ends, minutes = 120 } = story
  const matchers = Object.entries({ alertname: alert, alertstate: 'firing', ...of }).map(
    ([name, value]) => `${name}="${value}"`,
  )
  const expr = `max(ALERTS{${matchers.join(',')}})`
  const at = (minute: number, isFiring: boolean) => ({
    expr,
    eval_time: `${minute}m`,
    exp_samples: isFiring ? [{ labels: '{}', value: 1 }] : [],
  })
  const looks =
    fires === undefined ? never(minutes).map((minute) => at(minute, false)) : [at(fires - 1, false), at(fires, true)]
  const test = {
    interval: '1m',
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    promql_expr_test: [...looks, ...(ends === undefined ? [] : [at(ends - 1, true), at(ends, false)])],
  }
  const file = stringify({ rule_files: ['rules.yaml'], evaluation_interval: '1m', tests: [test] })
  return promtool(['test', 'rules'], { 'rules.yaml': rules, 'test.yaml': file }, 'test.yaml')
}

function never(minutes: number): readonly number[] {
  return Array.from(
    { length: Math.floor(minutes / LOOK_EVERY_MINUTES) },
    (_, index) => (index + 1) * LOOK_EVERY_MINUTES,
  )
}

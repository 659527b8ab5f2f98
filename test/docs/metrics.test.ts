/** docs/reference/metrics.md is what /metrics serves: no metric is missing there, and none is made up. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { UPSTREAM_FAILURES } from '../../src/metrics.ts'
import type { ServedMetric } from './metrics-table.ts'
import { metricsIn, servedMetrics, tableOf } from './metrics-table.ts'

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/reference/metrics.md'), 'utf8')

let served: readonly ServedMetric[]
beforeAll(async () => {
  served = await servedMetrics()
})

const rows = (text: string) => text.split('\n').filter((line) => line.startsWith('| `'))

test('the page lists every metric that is served, with its type, labels, help and place, and no other', () => {
  expect(rows(PAGE).toSorted()).toEqual(rows(tableOf(served)).toSorted())
})

test('every one of our own has a help that is a sentence, and a name by the conventions', () => {
  const own = served.filter(({ name }) => name.startsWith('keyhole_'))
  expect(own.length).toBeGreaterThan(20)
  for (const { name, type, help } of own) {
    expect([name, help]).toEqual([name, expect.stringMatching(/^[A-Z0-9].*\.$/)])
    expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter'])
    if (type === 'histogram') expect(name).toMatch(/_seconds$/)
  }
})

test('the page names every outcome without an answer', () => {
  for (const word of UPSTREAM_FAILURES.filter((outcome) => /^[a-z]/.test(outcome)))
    expect(PAGE).toContain(`\`${word}\``)
})

test('the table is made of what is served: type, help and labels', () => {
  const text = [
    '# HELP keyhole_a_seconds How long.',
    '# TYPE keyhole_a_seconds histogram',
    'keyhole_a_seconds_bucket{le="1",route="/x"} 1',
    'keyhole_a_seconds_sum{route="/x"} 1',
    '# HELP keyhole_b_total How often.',
    '# TYPE keyhole_b_total counter',
    'keyhole_b_total{outcome="good",code="X"} 0',
  ].join('\n')
  expect([...metricsIn(text)]).toEqual([
    ['keyhole_a_seconds', { type: 'histogram', labels: ['route'], help: 'How long.' }],
    ['keyhole_b_total', { type: 'counter', labels: ['code', 'outcome'], help: 'How often.' }],
  ])
})

/** The alert rules: Prometheus takes them, each fires in its story and in no other, and each tells where to go on. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { tried } from './case.ts'
import { CASES } from './cases.ts'
import { promtool } from './promtool.ts'
import { RULES, ruleFile } from './rules.ts'

const ROOT = join(import.meta.dirname, '../..')

test('promtool takes the rules', () => {
  expect(promtool(['check', 'rules', '--lint-fatal'], { 'rules.yaml': ruleFile() }, 'rules.yaml')).toEqual({
    ok: true,
    output: expect.stringContaining(`${RULES.length} rules found`),
  })
})

describe.each(RULES.map((rule) => [rule.alert, rule] as const))('%s', (_, rule) => {
  test('has a severity, a summary, what to do, and a runbook that is there', () => {
    expect(rule.labels['severity']).toMatch(/^(?:critical|warning)$/)
    expect(rule.annotations['summary']).toMatch(/\.$/)
    expect(rule.annotations['description']?.length).toBeGreaterThan(100)
    const name = rule.alert.replace(/(?<!^)[A-Z]/g, (letter) => `-${letter}`).toLowerCase()
    expect(rule.annotations['runbook_url']).toBe(`docs/runbooks/${name}.md`)
    expect(existsSync(join(ROOT, rule.annotations['runbook_url'] ?? ''))).toBe(true)
  })

  test('is tried on a story that fires it and on one that does not', () => {
    const about = CASES.filter(
      ({ alert, of = {} }) =>
        alert === rule.alert && Object.entries(of).every(([name, value]) => (rule.labels[name] ?? value) === value),
    )
    expect(about.some(({ fires }) => fires !== undefined)).toBe(true)
    expect(about.some(({ fires }) => fires === undefined)).toBe(true)
  })
})

describe('a story', () => {
  test.each(CASES.map((story) => [story.alert, story.title, story] as const))('%s %s', (_, __, story) => {
    expect(tried(story)).toEqual({ ok: true, output: expect.any(String) })
  })

  test('that says the wrong minute is not believed', () => {
    const [first] = CASES
    if (first?.fires === undefined) throw new Error('the first story fires')
    expect(tried({ ...first, fires: first.fires + 1 }).ok).toBe(false)
    expect(tried({ ...first, fires: first.fires - 1 }).ok).toBe(false)
    const { fires: _, ...never } = first
    expect(tried(never).ok).toBe(false)
  })

  test('is about an alert that there is', () => {
    const names = new Set(RULES.map(({ alert }) => alert))
    for (const { alert } of CASES) expect(names).toContain(alert)
  })
})

test('what the rules say stands in the component', () => {
  const component = readFileSync(join(ROOT, 'deploy/k8s/components/monitoring/kustomization.yaml'), 'utf8')
  expect(component).toContain('rules.yaml')
})

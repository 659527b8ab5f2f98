/** The dashboard as Grafana reads it. That its queries find something is seen with a real Prometheus, in live.test.ts. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { GO_SETS, goSetDirectory } from '../servers/programs.ts'
import type { Panel } from './dashboard.ts'
import { DASHBOARD } from './dashboard.ts'

const MODEL = join(goSetDirectory(GO_SETS.grafanaModel), 'grafana-model')
const PANELS = DASHBOARD.panels.filter(({ type }) => type !== 'row')

/** What Grafana's own model of a dashboard has to say of it. */
function judged(dashboard: unknown): { readonly exitCode: number | null; readonly findings: readonly string[] } {
  const { status, stdout } = spawnSync(MODEL, { input: JSON.stringify(dashboard), encoding: 'utf8' })
  return { exitCode: status, findings: stdout.split('\n').filter((line) => line !== '') }
}

describe("Grafana's model of a dashboard", () => {
  test('has all that ours says, and ours all that it asks for', () => {
    expect(judged(DASHBOARD)).toEqual({ exitCode: 0, findings: [] })
  })

  test.each<[what: string, change: (panel: Panel) => object, finding: RegExp]>([
    ['a panel has a field that there is not', (panel) => ({ ...panel, tilte: 'x' }), /unexpected field 'tilte'/],
    ['a panel has no height', (panel) => ({ ...panel, gridPos: { x: 0, y: 0, w: 4 } }), /gridPos\.h: required/],
    [
      'a panel has options of no such panel',
      (panel) => ({ ...panel, options: { legned: {} } }),
      /unexpected field 'legned'/,
    ],
    [
      'a query is no text',
      (panel) => ({ ...panel, targets: [{ ...panel.targets?.[0], expr: 1 }] }),
      /targets\[0\]\.expr/,
    ],
    ['a unit is no text', (panel) => ({ ...panel, fieldConfig: { defaults: { unit: 1 }, overrides: [] } }), /unit/],
  ])('objects where %s', (_, change, finding) => {
    const panels = DASHBOARD.panels.map((panel, index) => (index === 1 ? change(panel) : panel))
    const { exitCode, findings } = judged({ ...DASHBOARD, panels })
    expect(exitCode).toBe(1)
    expect(findings.join('\n')).toMatch(finding)
  })
})

describe('the dashboard', () => {
  test('asks the data source that is chosen, by variables that there are', () => {
    const variables = DASHBOARD.templating.list.map(({ name }) => name)
    for (const { datasource, targets = [] } of PANELS) {
      expect(datasource?.uid).toBe(`\${datasource}`)
      for (const target of targets) {
        expect(target.datasource.uid).toBe(`\${datasource}`)
        const used = [...target.expr.matchAll(/\$(\w+)/g)].map(([, name]) => name)
        expect(used.filter((name) => name !== '__rate_interval' && !variables.includes(String(name)))).toEqual([])
      }
    }
    expect(DASHBOARD.schemaVersion).toBeGreaterThanOrEqual(39)
  })

  test('lays no panel over another, and gives each an id of its own', () => {
    expect(new Set(DASHBOARD.panels.map(({ id }) => id)).size).toBe(DASHBOARD.panels.length)
    const taken = new Map<string, string>()
    for (const { title, gridPos } of DASHBOARD.panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          expect([title, taken.get(`${x},${y}`)]).toEqual([title, undefined])
          taken.set(`${x},${y}`, title)
        }
      }
    }
  })
})

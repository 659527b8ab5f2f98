/** The runbooks speak of what there is: alerts, codes, metrics, settings, commands and flags, and of every alert one does. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { ROTATE_HELP } from '../../src/cli/rotate-help.ts'
import { SETTINGS } from '../../src/config.ts'
import { BLOCKED, CODES } from '../../src/contract.ts'
import { RULES } from '../monitoring/rules.ts'
import { servedMetrics } from './metrics-table.ts'

const ROOT = join(import.meta.dirname, '../..')
const DIRECTORY = join(ROOT, 'docs/runbooks')
const PAGES = readdirSync(DIRECTORY).map((name) => [name, readFileSync(join(DIRECTORY, name), 'utf8')] as const)
/** What is held to the same words. */
const NEIGHBOURS = ['docs/how-to/upgrade.md', 'docs/reference/sizing.md'].map(
  (path) => [path, readFileSync(join(ROOT, path), 'utf8')] as const,
)
const RUNBOOKS = PAGES.filter(([name]) => name !== 'README.md')
/** Everything that can write a line. */
const SOURCES = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => readFileSync(join(ROOT, 'src', path), 'utf8'))
  .join('')
const ALERTS = [...new Set(RULES.map(({ alert }) => alert))]

const pageOf = (alert: string) => `${alert.replace(/(?<!^)[A-Z]/g, (letter) => `-${letter}`).toLowerCase()}.md`
const found = (text: string, pattern: RegExp) => [...new Set([...text.matchAll(pattern)].map(([, word = '']) => word))]
const errno = /^E[A-Z]+$/
/** What pages call the directory that a reader applies. */
const OVERLAY = 'OVERLAY'

let metrics: ReadonlySet<string>
beforeAll(async () => {
  const names = (await servedMetrics()).flatMap(({ name, type }) =>
    type === 'histogram' ? [name, `${name}_bucket`, `${name}_count`, `${name}_sum`] : [name],
  )
  metrics = new Set(names)
})

test('every alert has a runbook, and every runbook that is named like an alert is about one', () => {
  const names = PAGES.map(([name]) => name)
  expect(ALERTS.map(pageOf).filter((name) => !names.includes(name))).toEqual([])
  const like = names.filter((name) => name.startsWith('keyhole-'))
  expect(like.toSorted()).toEqual(ALERTS.map(pageOf).toSorted())
})

test('the index names every alert with its severities, and links every runbook', () => {
  const index = readFileSync(join(DIRECTORY, 'README.md'), 'utf8')
  for (const alert of ALERTS) {
    const severities = RULES.filter((rule) => rule.alert === alert).map(({ labels }) => labels['severity'] ?? '')
    const told = [...new Set(severities)].toSorted().join(', ')
    expect(index).toContain(`| ${alert} | ${told} | [${pageOf(alert).replace('.md', '')}](${pageOf(alert)}) |`)
  }
  for (const [name] of RUNBOOKS) expect(index).toContain(`(${name})`)
})

describe.each(RUNBOOKS)('%s', (name, text) => {
  test('says what it means, what users see, where to look, what to do, and what comes afterwards', () => {
    expect(found(text, /^## (.+)$/gm)).toEqual(['What it means', 'What users see', 'Look', 'Do', 'Afterwards'])
  })

  test('leads to the function `rotate` where it has somebody call it', () => {
    // `keyhole rotate` is on nobody's path: it runs in a pod.
    expect(found(text, /`(keyhole rotate[^`]*)`/g)).toEqual([])
    const [first] = found(text, /`(rotate(?: --[^`]*)?)`/g)
    if (first !== undefined) expect(text).toContain('`rotate` is [this shell function](../how-to/rotate.md#on-demand)')
  })

  test('bears the name of its alert', () => {
    const title = /^# (.+)$/m.exec(text)?.[1] ?? ''
    if (name.startsWith('keyhole-')) expect(pageOf(title)).toBe(name)
  })
})

describe.each([...PAGES, ...NEIGHBOURS])('%s speaks of', (name, text) => {
  test('alerts that there are', () => {
    expect(found(text, /\b(Keyhole[A-Z]\w+)/g).filter((alert) => !ALERTS.includes(alert))).toEqual([])
  })

  test('codes that there are', () => {
    const words = found(text, /`([A-Z][A-Z_]+[A-Z])`/g).filter((word) => !errno.test(word) && !isSetting(word))
    const codes = words.filter((word) => word !== OVERLAY)
    expect(codes.filter((code) => !Object.hasOwn(CODES, code) && !Object.hasOwn(BLOCKED, code))).toEqual([])
  })

  test('settings that there are', () => {
    const settings = found(text, /\b((?:KEYHOLE|VAULT)_[A-Z_]+)\b/g).filter((word) => !Object.hasOwn(CODES, word))
    expect(settings.filter((setting) => !isSetting(setting))).toEqual([])
  })

  test('metrics that there are', () => {
    const named = found(text, /\b((?:keyhole|process|nodejs)_[a-z0-9_]+)/g)
    expect(named.filter((metric) => !metrics.has(metric))).toEqual([])
  })

  test('commands and flags that there are', () => {
    const verbs = readFileSync(join(ROOT, 'src/cli/main.ts'), 'utf8')
    for (const verb of found(text, /(?:`|-- )keyhole ([a-z]+)/g))
      expect(verbs).toMatch(new RegExp(`'\\./${verb}(?:-[a-z]+)?\\.ts'`))
    const flags = found(text, /(?<![-\w])rotate((?: --?[a-z][^`"\n]*)+)/g).flatMap((rest) =>
      found(rest, /(--[a-z-]+)/g),
    )
    for (const flag of flags) expect(ROTATE_HELP).toContain(`  ${flag} `)
  })

  test('lines of the logs that there are', () => {
    const patterns = found(text, /grep (?:-E )?'([^']+)'/g).flatMap((pattern) => pattern.split(/[|()]/))
    const words = patterns
      .map((pattern) => pattern.trim().replace(/^refused: (\w+)$/, '$1'))
      .filter((pattern) => /^[a-z][a-z :]*[a-z]$/i.test(pattern))
    expect(words.filter((word) => !SOURCES.includes(word))).toEqual([])
  })

  test('pages that there are', () => {
    for (const link of found(text, /\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
      expect([link, existsSync(join(name.includes('/') ? join(ROOT, dirname(name)) : DIRECTORY, link))]).toEqual([
        link,
        true,
      ])
    }
  })
})

function isSetting(word: string): boolean {
  return Object.hasOwn(SETTINGS, word)
}

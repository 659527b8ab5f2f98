/** Names in prose and commands: of codes, settings, metrics, flags, verbs, scripts and files. Each is of something that is there. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { help, verbsIn } from '../../docs.ts'
import packageJson from '../../package.json' with { type: 'json' }
import { SETTINGS } from '../../src/config.ts'
import { BLOCKED, CODES } from '../../src/contract.ts'
import { blocksOf, ROOT, ticked } from './pages.ts'

/** What `keyhole VERB --help` prints, by verb. */
const helpOf = new Map<string, string>()

beforeAll(async () => {
  for (const verb of verbsIn(await help([]))) helpOf.set(verb, await help(verb.split(' ')))
})

/** Names in capitals that are somebody else's. */
const FOREIGN = new Set(['ABANDONED', 'KUBEVAULT', 'MALLOC_PERTURB_', 'OVERLAY', 'PGPASSWORD', 'VAULT_TOKEN'])
/** What whoever works on keyhole sets is read by the tests themselves. */
const TESTS = globSync(['test/seed.ts', 'test/{servers,cluster,faults}/**/*.ts'], { cwd: ROOT }).map((path) =>
  readFileSync(join(ROOT, path), 'utf8'),
)
const ERRNO = /^E[A-Z]+$/
const OF_BENCH = '--quick'

describe('a name in backticks', () => {
  test('in capitals is a code or a variable', () => {
    const environment = [...helpOf.values()].flatMap((text) => text.match(/^ {2}[A-Z][A-Z0-9_]+(?= )/gm) ?? [])
    const known = new Set([
      ...FOREIGN,
      ...Object.keys(CODES),
      ...Object.keys(BLOCKED),
      ...Object.keys(SETTINGS),
      ...environment.map((name) => name.trim()),
    ])
    const strangers = ticked()
      .map(([path, code]) => [path, /^([A-Z][A-Z0-9_]{3,})(?:=[\w./:,-]*)?$/.exec(code)?.[1]] as const)
      .filter(([, name]) => name !== undefined && name !== 'KEYHOLE_' && !ERRNO.test(name) && !known.has(name))
      .filter(
        ([path, name]) => path !== 'CONTRIBUTING.md' || !TESTS.some((text) => new RegExp(`\\b${name}\\b`).test(text)),
      )
    expect(strangers.map(([path, name]) => `${path}: ${name}`)).toEqual([])
  })

  test('that begins with keyhole_ is a metric', () => {
    const sources = globSync('src/**/*.ts', { cwd: ROOT }).map((path) => readFileSync(join(ROOT, path), 'utf8'))
    const metrics = [...new Set(sources.flatMap((text) => text.match(/(?<=')keyhole_[a-z_]+(?=')/g) ?? []))]
    expect(metrics.length).toBeGreaterThan(10)
    const strangers = ticked()
      .flatMap(([path, code]) => (code.match(/\bkeyhole_[a-z_]+\*?/g) ?? []).map((name) => [path, name] as const))
      .filter(([, name]) => {
        const stem = name.replace(/_(?:bucket|sum|count)$/, '')
        return name.endsWith('*') ? !metrics.some((one) => one.startsWith(name.slice(0, -1))) : !metrics.includes(stem)
      })
    expect(strangers.map(([path, name]) => `${path}: ${name}`)).toEqual([])
  })

  test('that begins with -- is a flag of some verb', () => {
    const flags = new Set([OF_BENCH, ...[...helpOf.values()].flatMap((text) => text.match(/--[a-z][a-z-]+/g) ?? [])])
    const strangers = ticked()
      .map(([path, code]) => [path, /^--[a-z][a-z-]+/.exec(code)?.[0]] as const)
      .filter(([, flag]) => flag !== undefined && !flags.has(flag))
    expect(strangers.map(([path, flag]) => `${path}: ${flag}`)).toEqual([])
  })

  test('that begins as a path of this repository is one', () => {
    const strangers = ticked()
      .filter(([, code]) => /^(?:src|test|docs|deploy\/k8s|examples|decisions|bench)\/[\w./-]+$/.test(code))
      .filter(([, code]) => !existsSync(join(ROOT, code)))
    expect(strangers.map(([path, code]) => `${path}: ${code}`)).toEqual([])
  })
})

describe('a command', () => {
  test('of keyhole has a verb that there is, and flags of that verb', () => {
    expect(commands().length).toBeGreaterThan(5)
    expect(commands().flatMap(([where, line]) => flawsOf(line).map((flaw) => `${where}: ${flaw}`))).toEqual([])
  })

  test('of keyhole that is wrong would be found', () => {
    expect(flawsOf('chek')).toEqual(['no verb in "chek"'])
    expect(flawsOf('rotate --if-odler-than=20d')).toEqual(['rotate has no --if-odler-than'])
  })

  test('of npm runs a script that there is', () => {
    const shown = [...blocksOf('sh'), ...ticked()].flatMap(([where, text]) =>
      [...text.matchAll(/\bnpm run (?:--silent )?([a-z:]+)/g)].map(([, script = '']) => [where, script] as const),
    )
    expect(shown.length).toBeGreaterThan(5)
    const strangers = shown.filter(([, script]) => !Object.hasOwn(packageJson.scripts, script))
    expect(strangers.map(([where, script]) => `${where}: ${script}`)).toEqual([])
  })
})

/** What follows the name of the program, wherever a page shows it being run. */
function commands(): readonly (readonly [where: string, rest: string])[] {
  const inBlocks = blocksOf('sh').flatMap(([where, text]) =>
    [...text.replaceAll('\\\n', ' ').matchAll(/(?:-- keyhole|npm run --silent keyhole --) ([^\n|]+)/g)].map(
      ([, rest = '']) => [where, rest] as const,
    ),
  )
  const inProse = ticked()
    // `rotate` is a function of a page, which calls that verb.
    .filter(([, code]) => /^keyhole [a-z]|^rotate --/.test(code))
    .map(([path, code]) => [path, code.replace(/^keyhole /, '')] as const)
  return [...inBlocks, ...inProse]
}

function flawsOf(rest: string): readonly string[] {
  if (/^--(?:help|version)$/.test(rest.trim())) return []
  const verb = [...helpOf.keys()].find((name) => rest === name || rest.startsWith(`${name} `))
  if (verb === undefined) return [`no verb in ${JSON.stringify(rest)}`]
  const flags = rest.slice(verb.length).match(/(?<=^|\s)--[a-z][a-z-]+/g) ?? []
  const known: readonly string[] = helpOf.get(verb)?.match(/--[a-z][a-z-]+/g) ?? []
  return flags.filter((flag) => !known.includes(flag)).map((flag) => `${verb} has no ${flag}`)
}

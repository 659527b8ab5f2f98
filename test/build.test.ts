/** The bundle, and what is said of the image in more places than one; without building the image. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Script } from 'node:vm'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Bundle } from '../build.ts'
import { bundle } from '../build.ts'
import { SERVE_HELP } from '../src/cli/serve.ts'

const ROOT = join(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const manifest = JSON.parse(read('package.json')) as {
  readonly version: string
  readonly description: string
  readonly license: string
  readonly scripts: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}
const dockerfile = read('Dockerfile')
const [, command = '[]'] = /^CMD (.*)$/m.exec(dockerfile) ?? []
const [node, ...rest] = JSON.parse(command) as readonly string[]

describe('the bundle', () => {
  let made: Bundle
  let code: string
  let inputs: readonly string[]
  let packages: ReadonlySet<string>
  beforeAll(async () => {
    made = await bundle()
    code = Buffer.from(made.code).toString('latin1')
    inputs = Object.values(made.metafile.outputs).flatMap((output) => Object.keys(output.inputs))
    packages = new Set(
      inputs.map((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]).filter((name) => name !== undefined),
    )
  })

  test('is at most 4 MB', () => {
    expect(made.code.length).toBeLessThanOrEqual(4_000_000)
  })

  test('is a script that V8 takes, of ASCII, and strict throughout, as modules are', () => {
    expect([...code].filter((character) => character > '\x7f')).toEqual([])
    const run = new Script(code).runInThisContext() as (require: unknown) => void
    expect(run).toBeTypeOf('function')
    expect(code).toMatch(/^\(function\(require\)\{"use strict";/)
    // Both would need what a script has not.
    expect(code).not.toMatch(/\bimport\.meta\b/)
    expect(code).not.toMatch(/[^.\w]import\(/)
  })

  test('holds nothing of ours but the sources, and of those no stand-in and no test world', () => {
    const ours = inputs.filter((path) => !path.includes('node_modules/') && !path.includes(':'))
    expect(ours).toContain('src/wire.ts')
    expect(ours.filter((path) => !/^src\/(?!standins\/|testing\/|dev\.ts|demo\.ts)/.test(path))).toEqual([])
  })

  test('holds no package that only development needs', () => {
    expect(packages).toContain('fastify')
    expect(Object.keys(manifest.devDependencies).filter((name) => packages.has(name))).toEqual([])
  })

  test('holds no HTTP client but the one under Send, and no compiler of schemas', () => {
    expect(packages).toContain('undici')
    const others = ['axios', 'follow-redirects', 'form-data', 'ajv', 'fast-uri', '@fastify/ajv-compiler']
    expect(others.filter((name) => packages.has(name))).toEqual([])
    expect(inputs.filter((path) => /undici\/lib\/(?:api|mock|interceptor)\/|fetch\/index\.js$/.test(path))).toEqual([])
  })

  test('comes with the licence of every package in it', () => {
    const missing = [...packages].filter(
      (name) => !new RegExp(`^${RegExp.escape(name)} \\d\\S*: \\S`, 'm').test(made.licences),
    )
    expect(missing).toEqual([])
    expect(made.licences).toContain('Permission is hereby granted')
  })

  test('is built of files that the context of the build lets in', () => {
    const rules = read('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
    expect(rules[0]).toBe('*')
    const isIn = (path: string) =>
      rules.reduce((so, rule) => {
        const pattern = rule.replace(/^!/, '')
        const matches = pattern === '*' || path === pattern || path.startsWith(`${pattern}/`)
        return matches ? rule.startsWith('!') : so
      }, true)
    const ours = inputs.filter((path) => !path.includes('node_modules/') && !path.includes(':'))
    const needed = [...ours, 'package.json', 'package-lock.json', 'build.ts', ...copied()]
    expect(needed.filter((path) => !isIn(path))).toEqual([])
    const others = ['.git/config', '.npmrc', '.env', 'node_modules/x', 'test/build.test.ts', 'src/testing/sample.ts']
    expect(others.filter(isIn)).toEqual([])
  })
})

/** What the Dockerfile takes from the context, by file. */
function copied(): readonly string[] {
  return [...dockerfile.matchAll(/^COPY (?!--from)(?:--\S+ )*(.*) \S+$/gm)]
    .flatMap(([, sources = '']) => sources.split(' '))
    .filter((path) => path !== 'src')
}

describe('the Dockerfile', () => {
  test('builds on the Node that the project pins, of the Debian that it runs on', () => {
    const [, version, suite] = /^ARG NODE_BASE=\S+\/node:([\d.]+)-(\w+)-slim$/m.exec(dockerfile) ?? []
    const [, major, debian] = /^ARG RUN_BASE=\S+\/nodejs(\d+)-debian(\d+):nonroot$/m.exec(dockerfile) ?? []
    expect(version).toBe(manifest.devDependencies['node'])
    expect(major).toBe(version?.split('.')[0])
    expect([suite, debian]).toEqual(['bookworm', '12'])
    expect(read('test/image/bases.ts')).toContain(`const SUITE = '${suite}'`)
  })

  test('names its bases once, so that they can be replaced', () => {
    const from = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, base = '']) => base)
    expect(from.filter((base) => !/^\$\{(?:NODE|RUN)_BASE\}$/.test(base))).toEqual([])
    expect(new Set(from).size).toBe(2)
  })

  test('labels the image with what package.json says', () => {
    expect(dockerfile).toContain(`\nARG VERSION=${manifest.version}\n`)
    expect(dockerfile).toContain(`image.description="${manifest.description}"`)
    expect(dockerfile).toContain(`image.licenses="${manifest.license}"`)
  })

  test('runs with the flags that npm start, the filling of the cache and the help have, and more only against inspectors', () => {
    const flags = rest.slice(0, -2)
    expect([node, ...rest.slice(-2)]).toEqual(['/nodejs/bin/node', '/app/keyhole.mjs', 'serve'])
    expect(read('deploy/image/warm.mjs')).toContain(`const FLAGS = [${flags.map((flag) => `'${flag}'`).join(', ')}]`)
    expect(SERVE_HELP).toContain(`node ${rest.join(' ')}`)
    const started = manifest.scripts['start']?.split(' ').slice(2, -1)
    expect(flags.filter((flag) => flag !== '--disable-sigusr1')).toEqual(started)
  })
})

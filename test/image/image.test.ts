/** What is in the image, and what it can do: on the image itself, built as the Dockerfile says. */
import { spawnSync } from 'node:child_process'
import { lstatSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { basesOf, buildah, inStore } from './bases.ts'
import { buildImage } from './build.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const BUNDLE_AT_MOST = 4_000_000
const ADDED_AT_MOST = 6_000_000
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  version: string
  devDependencies: Record<string, string>
}

let container = ''
let root = ''
let base = ''
let baseRoot = ''
let config: ImageConfig = { User: '', Cmd: [], Env: [], Labels: {} }

interface ImageConfig {
  readonly User: string
  readonly Entrypoint?: readonly string[]
  readonly Cmd: readonly string[]
  readonly Env: readonly string[]
  readonly Labels: Readonly<Record<string, string>>
}

beforeAll(async () => {
  const { reference } = await buildImage((line) => void process.stdout.write(`image: ${line}\n`))
  container = buildah('from', '--pull-never', reference)
  root = buildah('mount', container)
  base = buildah('from', '--pull-never', basesOf(readFileSync(join(ROOT, 'Dockerfile'), 'utf8')).run)
  baseRoot = buildah('mount', base)
  config = (JSON.parse(buildah('inspect', '--type', 'image', reference)) as { OCIv1: { config: ImageConfig } }).OCIv1
    .config
})

afterAll(() => {
  for (const made of [container, base]) if (made !== '') buildah('rm', made)
})

/** What the image has and its base has not, but for directories that only lead there. */
function added(): readonly string[] {
  return addedPaths().filter((path) => !lstatSync(join(root, path)).isDirectory())
}

function addedPaths(): readonly string[] {
  return pathsOf(root).filter((path) => lstatSync(join(baseRoot, path), { throwIfNoEntry: false }) === undefined)
}

/** Hidden ones, too. */
function pathsOf(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
}

/** In the image, as its user; its root file system is as writable as its permissions allow. */
function inside(...command: readonly string[]) {
  return spawnSync('buildah', [...inStore(), 'run', '--isolation', 'chroot', container, '--', ...command], {
    encoding: 'utf8',
  })
}

describe('the image', () => {
  test('holds the program, its licences, a cache of it and a link, and nothing else', () => {
    const files = added().map((file) => file.replace(/^app\/cache\/\d+$/, 'app/cache/TAG'))
    const expected = ['app/cache/TAG', 'app/keyhole.mjs', 'app/licences.txt', 'app/program.js', 'usr/local/bin/keyhole']
    expect(files.toSorted()).toEqual(expected)
    const changed = pathsOf(baseRoot).filter((file) => {
      const [was, is] = [baseRoot, root].map((at) => lstatSync(join(at, file), { throwIfNoEntry: false }))
      return was?.isFile() === true && (is?.size !== was.size || is.mode !== was.mode || is.uid !== was.uid)
    })
    expect(changed).toEqual([])
  })

  test('is not larger than it has to be', () => {
    const bytes = added().reduce((sum, file) => sum + lstatSync(join(root, file)).size, 0)
    expect(statSync(join(root, 'app/program.js')).size).toBeLessThanOrEqual(BUNDLE_AT_MOST)
    expect(bytes).toBeLessThanOrEqual(ADDED_AT_MOST)
  })

  test('holds no stand-in, no test world and no tool of development', () => {
    const bundle = readFileSync(join(root, 'app/program.js'), 'utf8')
    const words = ['createVaultStandin', 'createKubernetesStandin', 'startKeyhole', 'vitest', 'oxlint']
    expect(words.filter((word) => bundle.includes(word))).toEqual([])
  })

  test('runs as nobody in particular, by number, so that a pod can be held to it', () => {
    expect(config.User).toBe('65532:65532')
  })

  test('has nothing that its user could write, and no setuid program', () => {
    const writable = addedPaths().filter((path) => {
      const stat = lstatSync(join(root, path))
      return stat.uid !== 0 || stat.gid !== 0 || (!stat.isSymbolicLink() && (stat.mode & 0o6022) !== 0)
    })
    expect(writable).toEqual([])
    const { stdout } = spawnSync('find', [root, '-xdev', '-perm', '/6000', '-type', 'f'], { encoding: 'utf8' })
    expect(stdout).toBe('')
  })

  test('has no shell', () => {
    expect(inside('/bin/sh', '-c', 'true').status).not.toBe(0)
    expect(inside('/bin/bash', '-c', 'true').status).not.toBe(0)
  })

  test('bounds its heap and its arenas, opens no inspector on a signal, and serves when it is told nothing', () => {
    expect(config.Entrypoint ?? []).toEqual([])
    expect(config.Cmd).toEqual([
      '/nodejs/bin/node',
      '--max-semi-space-size=4',
      '--max-old-space-size=96',
      '--disable-sigusr1',
      '/app/keyhole.mjs',
      'serve',
    ])
    expect(config.Env).toContain('MALLOC_ARENA_MAX=1')
  })

  test('is built and runs on the Node that the project pins', () => {
    const pinned = `v${manifest.devDependencies['node']}`
    expect(readFileSync(join(ROOT, 'Dockerfile'), 'utf8')).toContain(`node:${pinned.slice(1)}-`)
    expect(inside('/nodejs/bin/node', '--version').stdout.trim()).toBe(pinned)
  })

  test('says what it is, and of which commit', () => {
    expect(config.Labels).toMatchObject({
      'org.opencontainers.image.title': 'keyhole',
      'org.opencontainers.image.version': manifest.version,
      'org.opencontainers.image.licenses': 'Apache-2.0',
      'org.opencontainers.image.revision': expect.stringMatching(/^[0-9a-f]{40}$/),
    })
  })

  test('has the command line by its name', () => {
    expect(inside('keyhole', '--version').stdout).toBe(`keyhole ${manifest.version}\n`)
    expect(inside('keyhole', 'rotate', '--help').stdout).toContain('keyhole rotate')
  })

  test('refuses a verb that there is not, and an environment that is not enough, in a few lines', () => {
    const verb = inside('keyhole', 'rotat')
    expect(verb.status).toBe(1)
    expect(verb.stderr).toContain('rotate')
    const serve = inside('keyhole', 'serve')
    expect(serve.status).toBe(1)
    expect(serve.stderr).toContain('KEYHOLE_REALM is required')
    expect(serve.stderr).not.toContain('    at ')
  })

  test('says when it was built', () => {
    const created = Date.parse(config.Labels['org.opencontainers.image.created'] ?? '')
    expect(created).toBeGreaterThan(Date.UTC(2026, 0, 1))
    expect(created).toBeLessThanOrEqual(Date.now())
  })

  test("has V8's cache of its program, for the flags that it runs with and for none, and V8 takes it", () => {
    for (const flags of [config.Cmd.slice(1, -2), []]) {
      const ran = inside('/nodejs/bin/node', ...flags, '--input-type=module', '-e', TAKEN)
      expect(ran.stderr).toBe('')
      const { rejected, cacheBytes, unrunBytes } = JSON.parse(ran.stdout) as Readonly<Record<string, number>>
      expect(rejected).toBe(false)
      // What V8 would say of the program before it has run: the cache has what a start compiles, too.
      expect(cacheBytes).toBeGreaterThan(3 * (unrunBytes ?? Number.NaN))
    }
  })
})

/** Run in the image. */
const TAKEN = `
  import { readFileSync } from 'node:fs'
  import { cachedDataVersionTag } from 'node:v8'
  import { Script } from 'node:vm'
  const filename = '/app/program.js'
  const source = readFileSync(filename, 'latin1')
  const unrunBytes = new Script(source, { filename: '/another.js' }).createCachedData().length
  const cachedData = readFileSync('/app/cache/' + cachedDataVersionTag())
  const rejected = new Script(source, { filename, cachedData }).cachedDataRejected
  console.log(JSON.stringify({ rejected, cacheBytes: cachedData.length, unrunBytes }))
`

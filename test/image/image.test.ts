/** What is in the image, and what it can do: on the image itself, built as the Dockerfile says. */
import { execFileSync, spawnSync } from 'node:child_process'
import { globSync, lstatSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { basesOf, buildah } from './bases.ts'
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

/** Files that the image has and its base has not. */
function added(): readonly string[] {
  return globSync('**/*', { cwd: root }).filter((file) => {
    const isInBase = lstatSync(join(baseRoot, file), { throwIfNoEntry: false }) !== undefined
    return !isInBase && !lstatSync(join(root, file)).isDirectory()
  })
}

/** In the image, as its user; its root file system is as writable as its permissions allow. */
function inside(...command: readonly string[]) {
  return spawnSync('buildah', ['run', '--isolation', 'chroot', container, '--', ...command], { encoding: 'utf8' })
}

describe('the image', () => {
  test('holds the bundle, its licences, its compile cache and a link, and nothing else', () => {
    const kinds = new Set(added().map((file) => (file.startsWith('app/cache/') ? 'app/cache/' : file)))
    expect(kinds).toEqual(new Set(['app/keyhole.mjs', 'app/licences.txt', 'app/cache/', 'usr/local/bin/keyhole']))
  })

  test('is not larger than it has to be', () => {
    const bytes = added().reduce((sum, file) => sum + lstatSync(join(root, file)).size, 0)
    expect(statSync(join(root, 'app/keyhole.mjs')).size).toBeLessThanOrEqual(BUNDLE_AT_MOST)
    expect(bytes).toBeLessThanOrEqual(ADDED_AT_MOST)
  })

  test('holds no stand-in, no test world and no tool of development', () => {
    const bundle = readFileSync(join(root, 'app/keyhole.mjs'), 'utf8')
    const words = ['createVaultStandin', 'createKubernetesStandin', 'startKeyhole', 'vitest', 'oxlint']
    expect(words.filter((word) => bundle.includes(word))).toEqual([])
  })

  test('runs as nobody in particular, by number, so that a pod can be held to it', () => {
    expect(config.User).toBe('65532:65532')
  })

  test('has nothing that its user could write, and no setuid program', () => {
    const writable = added().filter((file) => {
      const { uid, gid, mode } = lstatSync(join(root, file))
      const isLink = lstatSync(join(root, file)).isSymbolicLink()
      return !isLink && (uid !== 0 || gid !== 0 || (mode & 0o6022) !== 0)
    })
    expect(writable).toEqual([])
    const { stdout } = spawnSync('find', [root, '-xdev', '-perm', '/6000', '-type', 'f'], { encoding: 'utf8' })
    expect(stdout).toBe('')
  })

  test('has no shell', () => {
    expect(inside('/bin/sh', '-c', 'true').status).not.toBe(0)
    expect(inside('/bin/bash', '-c', 'true').status).not.toBe(0)
  })

  test('bounds its heap, opens no inspector on a signal, and serves when it is told nothing', () => {
    expect(config.Entrypoint ?? []).toEqual([])
    expect(config.Cmd).toEqual([
      '/nodejs/bin/node',
      '--max-semi-space-size=4',
      '--max-old-space-size=96',
      '--disable-sigusr1',
      '/app/keyhole.mjs',
      'serve',
    ])
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

  test('starts from its compile cache, which it does not write to', () => {
    const before = globSync('**/*', { cwd: join(root, 'app/cache') }).toSorted()
    const ran = spawnSync(
      'buildah',
      [
        ...['run', '--isolation', 'chroot', '--env', 'NODE_DEBUG_NATIVE=COMPILE_CACHE', container],
        ...['--', 'keyhole', 'rotate', '--help'],
      ],
      { encoding: 'utf8' },
    )
    const said = `${ran.stdout}${ran.stderr}`.split('\n').filter((line) => line.startsWith('[compile cache]'))
    expect(said.filter((line) => /denied|failed|rejected|not initialized/.test(line))).toEqual([])
    expect(said.some((line) => line.includes('/app/keyhole.mjs') && line.includes('accepted'))).toBe(true)
    expect(globSync('**/*', { cwd: join(root, 'app/cache') }).toSorted()).toEqual(before)
  })
})

describe('the context of the build', () => {
  test('is a list of what is let in, and has no secret of whoever builds', () => {
    const ignored = readFileSync(join(ROOT, '.dockerignore'), 'utf8')
    const [first, ...rest] = ignored.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    expect(first).toBe('*')
    expect(rest.filter((line) => line.startsWith('!')).map((line) => line.slice(1))).toEqual([
      'package.json',
      'package-lock.json',
      'build.ts',
      'src',
      'deploy/image/warm.mjs',
    ])
    expect(execFileSync('git', ['ls-files', '*.npmrc'], { cwd: ROOT, encoding: 'utf8' })).toBe('')
  })
})

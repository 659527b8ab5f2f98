/** The house rules that a reader relies on, held against the sources themselves. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { describe, expect, test } from 'vitest'
import { HOUSE, roomNameOf } from './house.ts'

const SRC = join(import.meta.dirname, '../src')

interface Source {
  readonly path: string
  readonly text: string
  /** Of this project, relative to src; type-only imports left out when `typesToo` is false, and `import()` when `lazyToo` is. */
  imports(typesToo: boolean, lazyToo?: boolean): readonly string[]
  readonly packages: readonly string[]
}

const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map(read)

function read(path: string): Source {
  const text = readFileSync(join(SRC, path), 'utf8')
  const found = [
    ...text.matchAll(
      /^(?:import|export)(\s+type)?\s[^'"]*?from\s+'([^']+)'|^import\s+'([^']+)'|\bimport\('([^']+)'\)/gm,
    ),
  ].map(([, type, from, bare, lazy]) => ({
    type: type !== undefined,
    lazy: lazy !== undefined,
    target: from ?? bare ?? lazy ?? '',
  }))
  return {
    path,
    text,
    imports: (typesToo, lazyToo = true) =>
      found
        .filter(({ target, type, lazy }) => target.startsWith('.') && (typesToo || !type) && (lazyToo || !lazy))
        .map(({ target }) => normalize(join(dirname(path), target))),
    packages: found.filter(({ target }) => !target.startsWith('.')).map(({ target }) => target),
  }
}

/** The room of a file: its folder, or itself at the top. */
function roomOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : path
}

describe('imports', () => {
  test('every file is in a room of DESIGN.md, and every room that it names is there', () => {
    expect(sources.filter(({ path }) => roomNameOf(path) === undefined)).toEqual([])
    const named = HOUSE.flatMap(({ names, knows, knowsTypesOf }) => [...names, ...knows, ...knowsTypesOf])
    const inhabited = new Set(sources.map(({ path }) => roomNameOf(path)))
    expect(named.filter((name) => !inhabited.has(name))).toEqual([])
  })

  for (const { names, knows, knowsTypesOf } of HOUSE) {
    test.each(names)('%s knows only what DESIGN.md says that it may', (room) => {
      const strays = sources
        .filter(({ path }) => roomNameOf(path) === room)
        .flatMap(({ path, imports }) => {
          const isStray = (allowed: readonly string[]) => (target: string) =>
            ![room, ...allowed].includes(String(roomNameOf(target)))
          const found = [
            ...imports(false).filter(isStray(knows)),
            ...imports(true).filter(isStray([...knows, ...knowsTypesOf])),
          ]
          return [...new Set(found)].map((target) => `${path} -> ${target}`)
        })
      expect(strays).toEqual([])
    })
  }

  test('what rotates reaches nothing that decrypts', () => {
    const rotating = sources.filter(({ path }) => path.startsWith('services/rotation/'))
    const reached = rotating.flatMap(({ path }) => reachedFrom(path))
    expect(reached).toContain('services/rotation/run.ts')
    expect(reached.filter((path) => ['services/decrypt.ts', 'services/open.ts'].includes(path))).toEqual([])
  })

  test('only what makes its clients, and what they are made with, sees external/', () => {
    const seers = sources.filter(
      ({ path, imports }) =>
        roomOf(path) !== 'external' && imports(true).some((target) => roomOf(target) === 'external'),
    )
    expect(seers.map(({ path }) => path).toSorted()).toEqual([
      'own-files.ts',
      'surroundings.ts',
      'wire-check.ts',
      'wire-upstreams.ts',
      'wire-vault-setup.ts',
    ])
  })

  test('only external/ knows the SDKs and undici', () => {
    const knows = sources.filter(({ packages }) =>
      packages.some((name) => /^(?:@kubernetes\/client-node|node-vault|undici)(?:\/|$)/.test(name)),
    )
    expect([...new Set(knows.map(({ path }) => roomOf(path)))]).toEqual(['external'])
  })

  test('only the HTTP side knows Fastify', () => {
    const knows = sources.filter(({ packages }) => packages.some((name) => /^(?:fastify|@fastify\/)/.test(name)))
    expect([...new Set(knows.map(({ path }) => roomOf(path)))].sort()).toEqual(['app.ts', 'http', 'routes', 'serve.ts'])
  })

  test.each(['main.ts', 'cli/main.ts'])('nothing that %s reaches is a stand-in or a test world', (entry) => {
    const reached = reachedFrom(entry)
    expect(reached).toContain('wire.ts')
    expect(reached.filter((path) => ['standins', 'testing'].includes(roomOf(path)))).toEqual([])
  })

  test('the service does not load what verifies an audit log', () => {
    const reached = reachedFrom('main.ts')
    expect(reached).toContain('audit-log/verify-line.ts')
    expect(reached.filter((path) => /^audit-log\/verify(?!-line)/.test(path))).toEqual([])
  })

  test('the command line loads a verb when it is asked for, and the service for no other verb than serve', () => {
    const atOnce = ['contract.ts', 'words.ts', 'told.ts', 'version.ts', 'cli/world.ts', 'cli/main.ts']
    expect(reachedFrom('cli/main.ts', false).filter((path) => !atOnce.includes(path))).toEqual([])
    const loads = sources.filter(({ imports }) => imports(true).includes('service-process.ts'))
    expect(loads.map(({ path }) => path).toSorted()).toEqual(['cli/serve.ts', 'main.ts'])
  })
})

describe('brands', () => {
  const brands = sources.flatMap(({ text }) =>
    [...text.matchAll(/^declare const (\w+): unique symbol/gm)].map(([, name]) => String(name)),
  )

  test('every permit has one, and none is exported', () => {
    expect(brands.toSorted()).toEqual([
      'advanced',
      'begun',
      'claimed',
      'clear',
      'decided',
      'fetched',
      'intended',
      'moved',
      'recorded',
      'restored',
      'retired',
      'reviewed',
      'verified',
    ])
    for (const { text } of sources) expect(text).not.toMatch(/export (?:declare )?const \w+: unique symbol/)
  })

  for (const [type, home] of Object.entries({
    Caller: 'services/authenticate.ts',
    Grant: 'services/authorize.ts',
    Sealed: 'services/ciphertext.ts',
    Opened: 'services/open.ts',
    Disclosed: 'services/disclose.ts',
    Recorded: 'services/draft.ts',
    RotationGrant: 'services/authorize.ts',
    Claim: 'services/rotation/journal.ts',
    Begun: 'services/rotation/effects.ts',
    Intended: 'services/rotation/intend.ts',
    Restored: 'services/rotation/restore.ts',
    Advanced: 'services/rotation/advance.ts',
    Moved: 'services/rotation/move.ts',
    Verified: 'services/rotation/verify.ts',
    Retired: 'services/rotation/retire.ts',
  })) {
    test(`only ${home} casts to ${type}`, () => {
      const casts = sources.filter(({ text }) => new RegExp(`\\bas (?:\\w+<)*${type}\\b`).test(text))
      expect(casts.map(({ path }) => path)).toEqual([home])
    })
  }
})

describe('what is passed in rather than taken', () => {
  const OWN = new Set(['clock.ts', 'main.ts', 'serve.ts', 'dev.ts', 'demo.ts', 'cli/main.ts'])

  test('only an entry reads the environment', () => {
    const readers = sources.filter(({ text }) => /process\.env/.test(text))
    // A child process needs a PATH.
    expect(readers.map(({ path }) => path).toSorted()).toEqual(['cli/main.ts', 'main.ts', 'testing/keyhole-process.ts'])
  })

  test('time comes from the clock', () => {
    const takers = sources.filter(
      ({ path, text }) =>
        !OWN.has(path) && /\b(?:Date\.now|performance\.now|setTimeout|setInterval|new Date\(\))/.test(text),
    )
    expect(takers.map(({ path }) => path)).toEqual([])
  })

  test('nothing is kept in module state', () => {
    const keepers = sources.filter(({ text }) => /^(?:export )?(?:let|var) /m.test(text))
    expect(keepers.map(({ path }) => path)).toEqual([])
  })
})

function reachedFrom(entry: string, lazyToo = true): readonly string[] {
  const reached = new Set<string>()
  const visit = (path: string): void => {
    if (reached.has(path)) return
    reached.add(path)
    sources
      .find((source) => source.path === path)
      ?.imports(false, lazyToo)
      .forEach(visit)
  }
  visit(entry)
  return [...reached]
}

test('sources are found from where the tests lie', () => {
  expect(relative(process.cwd(), SRC)).toBe('src')
})

/** package.json and its lock, as far as a fresh machine depends on them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

interface Lock {
  readonly packages: Readonly<
    Record<string, { readonly resolved?: string; readonly optionalDependencies?: Readonly<Record<string, string>> }>
  >
}

const ROOT = join(import.meta.dirname, '..')
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Readonly<
  Record<'dependencies' | 'devDependencies' | 'scripts', Readonly<Record<string, string>>>
>
const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as Lock

describe('package.json', () => {
  test('pins every dependency exactly', () => {
    const loose = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).filter(
      ([, version]) => !/^\d+\.\d+\.\d+$/.test(version),
    )
    expect(loose).toEqual([])
  })

  test('writes down the reason for every dependency', () => {
    const reasons = readFileSync(join(ROOT, 'decisions/20261122-dependencies.md'), 'utf8')
    const unexplained = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }).filter(
      (name) => !name.startsWith('@types/') && !reasons.includes(name),
    )
    expect(unexplained).toEqual([])
  })

  test('has the scripts that a person would guess', () => {
    expect(Object.keys(manifest.scripts)).toEqual(
      expect.arrayContaining(['dev', 'demo', 'start', 'test', 'test:real', 'check', 'fix', 'build', 'bench']),
    )
  })
})

describe('package-lock.json', () => {
  test('names every platform of a package that has several, or npm ci stops on a fresh machine', () => {
    const missing = Object.values(lock.packages)
      .flatMap(({ optionalDependencies }) => Object.keys(optionalDependencies ?? {}))
      .filter((name) => !Object.keys(lock.packages).some((path) => path.endsWith(`node_modules/${name}`)))
    expect(missing).toEqual([])
  })

  test('says from no host where packages come', () => {
    expect(Object.values(lock.packages).filter(({ resolved }) => resolved !== undefined)).toEqual([])
  })
})

/** `keyhole manifests` in this process, on policy files of a test's own. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { manifestsRbac } from '../../src/cli/manifests-rbac.ts'
import { manifestsVault } from '../../src/cli/manifests-vault.ts'
import type { RbacObject } from '../../src/cli/rbac.ts'
import type { Verb } from '../../src/cli/world.ts'
import { virtualClock } from '../virtual-clock.ts'
import { expectHarmless } from './world.ts'

export interface Generated {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
}

export interface Files extends Disposable {
  readonly directory: string
  path(name: string): string
}

/** @param files by path below a directory that is gone afterwards; the policy lies in `policy/`. */
export function filesOf(files: Readonly<Record<string, string>>): Files {
  const directory = mkdtempSync(join(tmpdir(), 'keyhole-manifests-'))
  const path = (name: string) => join(directory, name)
  mkdirSync(path('policy'))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(path(name)), { recursive: true })
    writeFileSync(path(name), text)
  }
  return { directory, path, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) }
}

export function generate(...args: readonly string[]): Promise<Generated> {
  return run(manifestsRbac, args)
}

export function generateVault(...args: readonly string[]): Promise<Generated> {
  return run(manifestsVault, args)
}

async function run(verb: Verb, args: readonly string[]): Promise<Generated> {
  const printed = { stdout: '', stderr: '' }
  const to = (name: 'stdout' | 'stderr') => ({
    write(text: string) {
      printed[name] += text
    },
  })
  const clock = virtualClock(0)
  const exit = await verb(args, {
    environment: {},
    stdout: to('stdout'),
    stderr: to('stderr'),
    clock,
    random: () => 0,
    newId: () => '',
    signal: new AbortController().signal,
  })
  if (clock.timers() !== 0) throw new Error('a timer would keep the process alive')
  expectHarmless(printed.stdout + printed.stderr)
  return { exit, ...printed }
}

/** What `kubectl` would read: it takes YAML 1.1, where more words are no text. */
export function objectsIn(text: string, version: '1.1' | '1.2' = '1.1'): readonly RbacObject[] {
  return parseAllDocuments(text, { version }).flatMap((document) => {
    const [error] = document.errors
    if (error !== undefined) throw error
    const object: unknown = document.toJS()
    return object === null ? [] : [object as RbacObject]
  })
}

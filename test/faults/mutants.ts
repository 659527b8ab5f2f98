/**
 * The code under test, broken on purpose: a copy of src in a directory of its own, with a few lines changed. What no longer
 * finds its line fails, so that a mutant cannot become the real code unnoticed.
 */
import { randomBytes } from 'node:crypto'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Code } from './code.ts'
import { SOURCES } from './code.ts'

export interface Edit {
  /** Below src. */
  readonly file: string
  readonly from: string
  readonly to: string
}

export interface Mutated extends Disposable {
  readonly code: Code
}

const SRC = join(import.meta.dirname, '../../src')

export async function mutated(edits: readonly Edit[]): Promise<Mutated> {
  // Within the project, where packages are found from.
  const directory = join(import.meta.dirname, `.mutant-${randomBytes(4).toString('hex')}`)
  const dispose = () => rmSync(directory, { recursive: true, force: true })
  try {
    cpSync(SRC, directory, {
      recursive: true,
      filter: (path) => !/\/src\/(?:standins|testing|cli|client)\b/.test(path),
    })
    for (const edit of edits) apply(directory, edit)
    const parts = await Promise.all(
      SOURCES.map((file): Promise<Partial<Code>> => import(pathToFileURL(join(directory, file)).href)),
    )
    return { code: Object.assign({}, ...parts) as Code, [Symbol.dispose]: dispose }
  } catch (error) {
    dispose()
    throw error
  }
}

function apply(directory: string, { file, from, to }: Edit): void {
  const path = join(directory, file)
  const text = readFileSync(path, 'utf8')
  if (text.split(from).length !== 2) throw new Error(`${file} holds this not exactly once: ${from}`)
  writeFileSync(
    path,
    text.replace(from, () => to),
  )
}

/** Files that a verb reads and writes, with the errno of what did not work in place of an exception. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'

export type Attempt<T> = { readonly done: T } | { readonly errno: string }

export function readText(file: string): Attempt<string> {
  return attempt(() => readFileSync(file, 'utf8'))
}

/** Beside it first, then in its place: whoever reads it meanwhile gets the one or the other. */
export function replaceText(file: string, text: string): Attempt<void> {
  const beside = `${file}.new`
  const done = attempt(() => {
    writeFileSync(beside, text)
    renameSync(beside, file)
  })
  if ('errno' in done) attempt(() => rmSync(beside, { force: true }))
  return done
}

function attempt<T>(act: () => T): Attempt<T> {
  try {
    return { done: act() }
  } catch (error) {
    if (error instanceof Error && 'code' in error) return { errno: String(error.code) }
    throw error
  }
}

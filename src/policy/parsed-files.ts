/** Parses the files of a directory, but only those that are new or changed: the rest is remembered. */
import { setImmediate } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { ParsedFile, PolicyFile } from './parse.ts'
import { parseFile } from './parse.ts'
import { namespaceOf } from './places.ts'

/** How many YAML tokens all files of one place may have. 100,000 are about 700 grants and take about half a second. */
const MAX_TOKENS = { subdirectory: 100_000, top: 1_000_000 }

/** Gives requests a turn between two files, because a whole directory may take long. */
export function fileParser(): (files: readonly PolicyFile[]) => Promise<readonly ParsedFile[]> {
  let known = new Map<string, { readonly file: PolicyFile; readonly parsed: ParsedFile }>()
  return async (files) => {
    const next: typeof known = new Map()
    const left = new Map<string | undefined, number>()
    for (const found of files) {
      const place = namespaceOf(found.path)
      const room = left.get(place) ?? MAX_TOKENS[place === undefined ? 'top' : 'subdirectory']
      const file = 'text' in found && room <= 0 ? tooMuch(found.path) : found
      const last = known.get(file.path)
      const same = last !== undefined && isDeepStrictEqual(last.file, file)
      const entry = same ? last : { file, parsed: parseFile(file) }
      next.set(file.path, entry)
      left.set(place, room - entry.parsed.tokens)
      if (!same) await setImmediate()
    }
    known = next
    return [...next.values()].map(({ parsed }) => parsed)
  }
}

function tooMuch(path: string): PolicyFile {
  const unreadable = 'The files before this one hold all that a directory may hold: shorten them.'
  return { path, unreadable, tree: false }
}

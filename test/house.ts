/** The table of DESIGN.md that says which rooms src has, and what each may know. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** One row. A name is a folder of src or a file at its top; `*` stands for any part of one. */
export interface Room {
  readonly names: readonly string[]
  readonly knows: readonly string[]
  /** What it may import with `import type` only. */
  readonly knowsTypesOf: readonly string[]
}

export const HOUSE = roomsIn(readFileSync(join(import.meta.dirname, '../DESIGN.md'), 'utf8'))

function roomsIn(markdown: string): readonly Room[] {
  const [, table = ''] = /^## The house\n\n((?:\|.*\n)+)/m.exec(markdown) ?? []
  const above: string[] = []
  return table
    .split('\n')
    .slice(2, -1)
    .map((row) => {
      const [rooms = '', , mayKnow = ''] = row.split('|').slice(1)
      const names = namesIn(rooms)
      const [whole = '', types = ''] = mayKnow.split('types of')
      const knows = [
        ...namesIn(whole),
        ...(whole.includes('everything above') ? above : []),
        ...(whole.includes('each other') ? names : []),
      ]
      above.push(...names)
      return { names, knows, knowsTypesOf: namesIn(types) }
    })
}

function namesIn(cell: string): readonly string[] {
  return [...cell.matchAll(/`(?:src\/)?([^`]+)`/g)].map(([, name]) => String(name))
}

/** The room that a file below src is in, by the name that fits it most closely: of a room within a room, its own. */
export function roomNameOf(path: string): string | undefined {
  const fitting = HOUSE.flatMap(({ names }) => names.filter((name) => fits(path, name)))
  return fitting.toSorted((a, b) => b.length - a.length)[0]
}

function fits(path: string, name: string): boolean {
  if (!name.includes('*')) return path === name || path.startsWith(`${name}/`)
  const [before = '', after = ''] = name.split('*')
  return path.startsWith(before) && path.endsWith(after)
}

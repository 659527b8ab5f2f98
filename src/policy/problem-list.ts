/**
 * The problems of a whole policy, bounded. Each place, the top level and every subdirectory, has its share: a team
 * that writes thousands must neither hide another's nor cost more than the few that are shown.
 */
import { namespaceOf } from './places.ts'
import type { PolicyProblem } from './problems.ts'
import { inOrder, problemAt } from './problems.ts'
import { START } from './yaml.ts'

export interface ProblemList {
  /** @param make called only for a problem that is shown. */
  add(file: string, make: () => PolicyProblem): void
  /** In the order of reading, and at the end how many there are beside them. */
  shown(): readonly PolicyProblem[]
}

const MAX_SHOWN = 200

export function problemList(): ProblemList {
  const places = new Map<string | undefined, (() => PolicyProblem)[]>()
  let added = 0
  return {
    add(file, make) {
      added += 1
      const place = namespaceOf(file)
      const kept = places.get(place) ?? []
      places.set(place, kept)
      if (kept.length < MAX_SHOWN) kept.push(make)
    },
    shown() {
      const chosen = inTurns([...places.values()], MAX_SHOWN).map((make) => make())
      const more = added - chosen.length
      if (more === 0) return inOrder(chosen)
      return [...inOrder(chosen), problemAt('.', START, `And ${more} more problems, which are not shown.`)]
    },
  }
}

/** The first of each, then the second of each, and so on. */
function inTurns<T>(lists: readonly (readonly T[])[], max: number): readonly T[] {
  const taken: T[] = []
  const longest = Math.max(0, ...lists.map(({ length }) => length))
  for (let turn = 0; turn < longest && taken.length < max; turn++) {
    taken.push(...lists.flatMap((list) => list.slice(turn, turn + 1)))
  }
  return taken.slice(0, max)
}

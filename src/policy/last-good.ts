/**
 * What is in force after these files were read. A document that is broken, or that appears twice, changes nothing: its
 * last good version stays in force, and if there is none the document is denied. A document that has disappeared is no
 * longer in force, unless something that cannot be read may still hold it.
 *
 * The rule behind each choice: breaking a document must never have the effect of writing one. See
 * decisions/20261122-policy-last-good.md. The words for all this are in last-good-problems.ts.
 */
import type { PolicyDocument } from './in-force.ts'
import type { ParsedFile } from './parse.ts'
import type { Home, Sighting, Sightings } from './sightings.ts'
import { homeOf, positionOf, sightingsIn, sightingsInLost } from './sightings.ts'

/** All that is remembered between two looks at the directory. */
export interface LastGood {
  /** What is in force, by id. */
  readonly documents: ReadonlyMap<string, PolicyDocument>
  /** By the path of each file. */
  readonly homes: ReadonlyMap<string, Home>
}

export interface NextInForce extends LastGood {
  /** One for each document that any file shows or may hide. */
  readonly verdicts: readonly Verdict[]
}

/** Either the version in the files is taken, or the last good one is kept, or there is none and the document is denied. */
export type Verdict =
  | { readonly id: string; readonly outcome: 'taken'; readonly document: PolicyDocument }
  | { readonly id: string; readonly outcome: 'kept'; readonly document: PolicyDocument; readonly sightings: Sighted }
  | { readonly id: string; readonly outcome: 'denied'; readonly sightings: Sighted }

/** One for each file that shows the document or may hide it. */
type Sighted = readonly [Sighting, ...Sighting[]]

export function nextInForce(previous: LastGood, files: readonly ParsedFile[]): NextInForce {
  const seen = files.flatMap((file) => seenIn(file, previous))
  const verdicts = [...byId(seen)].map(([id, sightings]) => verdictOn(id, sightings, previous.documents.get(id)))
  return {
    documents: new Map(verdicts.flatMap((each) => (each.outcome === 'denied' ? [] : [[each.id, each.document]]))),
    homes: new Map(seen.map(([path, sightings]) => [path, homeOf(sightings)])),
    verdicts,
  }
}

type SeenInFile = readonly [path: string, Sightings]

function seenIn(file: ParsedFile, { homes }: LastGood): readonly SeenInFile[] {
  if (file.kind !== 'lost-tree') return [[file.path, sightingsIn(file, homes.get(file.path))]]
  return homesUnder(file.path, homes).map(([path, home]) => [path, sightingsInLost(path, home)])
}

/** The files that were last seen in a part of the directory. If it cannot be listed now, each may still be there. */
export function homesUnder(tree: string, homes: LastGood['homes']): readonly (readonly [path: string, Home])[] {
  return [...homes].filter(([path]) => tree === '.' || path.startsWith(`${tree}/`))
}

function byId(seen: readonly SeenInFile[]): ReadonlyMap<string, Sighted> {
  const all = new Map<string, [Sighting, ...Sighting[]]>()
  for (const [, sightings] of seen) {
    for (const [id, sighting] of sightings) {
      const known = all.get(id)
      if (known === undefined) all.set(id, [sighting])
      else known.push(sighting)
    }
  }
  return all
}

function verdictOn(id: string, sightings: Sighted, last: PolicyDocument | undefined): Verdict {
  const document = onlyOne(sightings)
  if (document !== undefined) return { id, outcome: 'taken', document }
  if (last === undefined) return { id, outcome: 'denied', sightings }
  return { id, outcome: 'kept', document: movedTo(sightings[0], last), sightings }
}

/** The document, if there is exactly one copy, it is sound, and no file may hide another. */
function onlyOne([first, ...others]: Sighted): PolicyDocument | undefined {
  return first.hidden === 0 && others.length === 0 ? first.document : undefined
}

/** Problems point to where the document is now, not to where its last good version was. */
function movedTo(sighting: Sighting, last: PolicyDocument): PolicyDocument {
  const moved = { file: sighting.file, position: positionOf(sighting) }
  return last.kind === 'SecretGrant' ? { ...last, ...moved, transitKeyPosition: moved.position } : { ...last, ...moved }
}

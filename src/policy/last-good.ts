/**
 * What is in force once these files are read. A document that is not sound, or that is there twice, changes nothing:
 * its last good version stays, and where there was none it is denied. A document that is no longer there is gone,
 * unless it may be hidden in something that cannot be read.
 *
 * The rule behind each choice: to break a document must never take effect as if somebody had written one. See
 * decisions/20261122-policy-last-good.md. What is said about it is in last-good-problems.ts.
 */
import type { PolicyDocument } from './in-force.ts'
import type { ParsedFile } from './parse.ts'
import type { Home, Sighting, Sightings } from './sightings.ts'
import { homeOf, positionOf, sightingsIn, sightingsInLost } from './sightings.ts'

/** All that is remembered from one look at the directory to the next. */
export interface LastGood {
  /** What is in force, by id. */
  readonly documents: ReadonlyMap<string, PolicyDocument>
  /** By path of the file. */
  readonly homes: ReadonlyMap<string, Home>
}

export interface NextInForce extends LastGood {
  /** One for each document that any file shows or may hide. */
  readonly verdicts: readonly Verdict[]
}

/** On one document: this version is taken, its last good one is kept, or there is none and it is denied. */
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

/** The files that were in a part of the directory. If it cannot be looked into, each may still be there. */
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

/** The document, if it is there once and sound, and nothing may hide another one. */
function onlyOne([first, ...others]: Sighted): PolicyDocument | undefined {
  return first.hidden === 0 && others.length === 0 ? first.document : undefined
}

/** Problems are shown where the document is now, not where its last good version once was. */
function movedTo(sighting: Sighting, last: PolicyDocument): PolicyDocument {
  const moved = { file: sighting.file, position: positionOf(sighting) }
  return last.kind === 'SecretGrant' ? { ...last, ...moved, transitKeyPosition: moved.position } : { ...last, ...moved }
}

/**
 * Where documents are seen. A file shows some, and one that cannot be read in full may hide those that it held before.
 * Nothing is decided here: see last-good.ts.
 */
import type { PolicyDocument } from './in-force.ts'
import type { BrokenFile, Named, ReadFile } from './parse.ts'
import type { Position } from './yaml.ts'
import { START } from './yaml.ts'

/** One document, as one file shows it or may hide it. */
export interface Sighting {
  readonly file: string
  /** Wherever the file shows it. */
  readonly positions: readonly Position[]
  /** How much more often the file held it before, if it cannot be read in full. */
  readonly hidden: number
  /** Only if it is shown once, and is sound. */
  readonly document?: PolicyDocument
}

/** By id. */
export type Sightings = ReadonlyMap<string, Sighting>

/** How often a file shows or may hide each document, by id. */
export type Home = ReadonlyMap<string, number>

/** @param before what the file was the home of when it was last looked at. */
export function sightingsIn(file: ReadFile | BrokenFile, before: Home = NO_HOME): Sightings {
  return sightings(file.path, shownIn(file), isReadInFull(file) ? NO_HOME : before)
}

/** In a file that cannot be looked for: whatever it held may still be there. */
export function sightingsInLost(path: string, before: Home): Sightings {
  return sightings(path, [], before)
}

/** Where a problem of the document is shown: the first place, or the beginning of the file that hides it. */
export function positionOf({ positions: [first] }: Sighting): Position {
  return first ?? START
}

export function homeOf(seen: Sightings): Home {
  return new Map([...seen].map(([id, { positions, hidden }]) => [id, positions.length + hidden]))
}

interface Shown {
  readonly id: string
  readonly position: Position
  /** Undefined: it is not sound, or its file is broken. */
  readonly document: PolicyDocument | undefined
}

/** The documents in the file that tell which they are, sound or not. */
export function shownIn(file: ReadFile | BrokenFile): readonly Shown[] {
  if (file.kind === 'broken') return file.named.map(withoutDocument)
  const sound = file.documents.map((document) => ({ id: document.id, position: document.position, document }))
  return [...sound, ...file.unsound.map(withoutDocument)]
}

function withoutDocument({ id, position }: Named): Shown {
  return { id, position, document: undefined }
}

/** A document that does not tell which one it is may be any that the file held. */
function isReadInFull(file: ReadFile | BrokenFile): boolean {
  return file.kind === 'read' && file.nameless.length === 0
}

function sightings(file: string, shown: readonly Shown[], held: Home): Sightings {
  const shownById = Map.groupBy(shown, ({ id }) => id)
  // What it held goes first: else a file that is kept broken, with other documents every time, would pile them up.
  const ids = [...new Set([...held.keys(), ...shownById.keys()])].slice(0, MAX_HELD)
  return new Map(ids.map((id) => [id, sighting(file, shownById.get(id) ?? [], held.get(id) ?? 0)]))
}

/** As many as a file may hold that can be read. */
export const MAX_HELD = 1000

function sighting(file: string, shown: readonly Shown[], held: number): Sighting {
  const document = shown.length === 1 ? shown[0]?.document : undefined
  return {
    file,
    positions: shown.map(({ position }) => position),
    // Counted, since of a document that was there twice one copy must not win by the other's losing its name.
    hidden: Math.max(0, held - shown.length),
    ...(document !== undefined && { document }),
  }
}

const NO_HOME: Home = new Map()

/**
 * Which documents each file shows, and which it may hide: a file that cannot be read in full may still hold whatever it
 * held before. What follows from that is decided in last-good.ts.
 */
import type { PolicyDocument } from './in-force.ts'
import type { BrokenFile, Named, ReadFile } from './parse.ts'
import type { Position } from './yaml.ts'
import { START } from './yaml.ts'

/** One document in one file. */
export interface Sighting {
  readonly file: string
  /** Each place where the file shows it; none if the file may only hide it. */
  readonly positions: readonly Position[]
  /** How many more copies the file held before and may still hold, since it cannot be read in full. */
  readonly hidden: number
  /** Present only if the file shows exactly one copy and that copy is sound. */
  readonly document?: PolicyDocument
}

/** By id. */
export type Sightings = ReadonlyMap<string, Sighting>

/** How many copies of each document a file shows or may hide, by id. */
export type Home = ReadonlyMap<string, number>

/** @param before the file's home after the previous look. */
export function sightingsIn(file: ReadFile | BrokenFile, before: Home = NO_HOME): Sightings {
  return sightings(file.path, shownIn(file), isReadInFull(file) ? NO_HOME : before)
}

/** For a file in a directory that cannot be listed: whatever it held may still be there. */
export function sightingsInLost(path: string, before: Home): Sightings {
  return sightings(path, [], before)
}

/** Where to point a reader: the first copy, or the start of the file if no copy shows. */
export function positionOf({ positions: [first] }: Sighting): Position {
  return first ?? START
}

export function homeOf(seen: Sightings): Home {
  return new Map([...seen].map(([id, { positions, hidden }]) => [id, positions.length + hidden]))
}

interface Shown {
  readonly id: string
  readonly position: Position
  /** Undefined if it is not sound, or its file is broken. */
  readonly document: PolicyDocument | undefined
}

/** Every document in the file that can be identified, sound or not. */
export function shownIn(file: ReadFile | BrokenFile): readonly Shown[] {
  if (file.kind === 'broken') return file.named.map(withoutDocument)
  const sound = file.documents.map((document) => ({ id: document.id, position: document.position, document }))
  return [...sound, ...file.unsound.map(withoutDocument)]
}

function withoutDocument({ id, position }: Named): Shown {
  return { id, position, document: undefined }
}

/** A document that cannot be identified may be any of those that the file held. */
function isReadInFull(file: ReadFile | BrokenFile): boolean {
  return file.kind === 'read' && file.nameless.length === 0
}

function sightings(file: string, shown: readonly Shown[], held: Home): Sightings {
  const shownById = Map.groupBy(shown, ({ id }) => id)
  // What it held comes first. Otherwise a file that stays broken, with new documents each time, would pile them up.
  const ids = [...new Set([...held.keys(), ...shownById.keys()])].slice(0, MAX_HELD)
  return new Map(ids.map((id) => [id, sighting(file, shownById.get(id) ?? [], held.get(id) ?? 0)]))
}

/** The most documents that a readable file may hold. */
export const MAX_HELD = 1000

function sighting(file: string, shown: readonly Shown[], held: number): Sighting {
  const document = shown.length === 1 ? shown[0]?.document : undefined
  return {
    file,
    positions: shown.map(({ position }) => position),
    // Copies are counted: if a document was there twice, one copy must not win because the other can no longer be identified.
    hidden: Math.max(0, held - shown.length),
    ...(document !== undefined && { document }),
  }
}

const NO_HOME: Home = new Map()

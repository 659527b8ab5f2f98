/** What the authors of a policy are told about the verdicts of last-good.ts. Nothing is decided here. */
import { didYouMean, listed, quoted } from '../words.ts'
import type { Condition } from './conditions.ts'
import { conditionOf } from './conditions.ts'
import type { Policy, PolicyDocument } from './in-force.ts'
import { emplace } from './in-force.ts'
import type { LastGood, NextInForce, Verdict } from './last-good.ts'
import { homesUnder } from './last-good.ts'
import type { ParsedFile, ReadFile } from './parse.ts'
import { problemList } from './problem-list.ts'
import type { PolicyProblem } from './problems.ts'
import { problemAt } from './problems.ts'
import type { SecretGrant } from './schema.ts'
import type { Sighting } from './sightings.ts'
import { MAX_HELD, positionOf, shownIn } from './sightings.ts'
import type { Position } from './yaml.ts'
import { START } from './yaml.ts'

/** There may be thousands of problems. Only the few that are shown get written. */
interface Unwritten {
  readonly file: string
  readonly write: () => PolicyProblem
}

/** @param before the homes that `next` was computed from. @param policy made from the documents of `next`. */
export function problemsOf(
  files: readonly ParsedFile[],
  before: LastGood['homes'],
  next: NextInForce,
  policy: Policy,
): readonly PolicyProblem[] {
  const keptUnseen = unseenIn(next.verdicts)
  const problems = problemList()
  for (const { file, write } of [
    ...files.flatMap((file) => [...ownOf(file), ...untakenOf(file, before, next, keptUnseen)]),
    ...next.verdicts.flatMap(refusalOf),
    ...emptinessOf(next),
    ...unservableIn(policy, next.documents.values()),
  ]) {
    problems.add(file, write)
  }
  return problems.shown()
}

/** By path, the ids of documents that stay in force because the file may hide them. */
type Unseen = ReadonlyMap<string, readonly string[]>

function unseenIn(verdicts: readonly Verdict[]): Unseen {
  const unseen = new Map<string, string[]>()
  for (const verdict of verdicts) {
    if (verdict.outcome !== 'kept') continue
    for (const { file, positions } of verdict.sightings) {
      if (positions.length === 0) emplace(unseen, file, () => []).push(verdict.id)
    }
  }
  return unseen
}

function ownOf({ path, problems }: ParsedFile): readonly Unwritten[] {
  return problems.map((problem) => ({ file: path, write: () => problem }))
}

/** What is not taken from a file, apart from documents that can be identified: those have verdicts. */
function untakenOf(
  file: ParsedFile,
  before: LastGood['homes'],
  { homes }: NextInForce,
  keptUnseen: Unseen,
): readonly Unwritten[] {
  switch (file.kind) {
    case 'read':
      return [...overfull(file, homes), ...nameless(file, keptUnseen)]
    case 'broken':
      return [unread(file.path, keptUnseen)]
    case 'lost-tree':
      return homesUnder(file.path, before).map(([path]) => unread(path, keptUnseen))
  }
}

/** Some of what it shows was cut off: see MAX_HELD. */
function overfull(file: ReadFile, homes: LastGood['homes']): readonly Unwritten[] {
  if (shownIn(file).every(({ id }) => homes.get(file.path)?.has(id))) return []
  const message = `Since this file could last be read in full it has held more than ${MAX_HELD} documents. What came last is not taken.`
  return [{ file: file.path, write: () => problemAt(file.path, START, message) }]
}

function nameless({ path, nameless }: ReadFile, keptUnseen: Unseen): readonly Unwritten[] {
  const message = `This document is not taken, and does not tell which one it is.${staying(path, keptUnseen)}`
  return nameless.map((position) => ({ file: path, write: () => problemAt(path, position, message) }))
}

function unread(path: string, keptUnseen: Unseen): Unwritten {
  const message = `Nothing of this file is taken.${staying(path, keptUnseen)}`
  return { file: path, write: () => problemAt(path, START, message) }
}

/** Begins with a space, so that it can follow any sentence. */
function staying(path: string, keptUnseen: Unseen): string {
  const ids = keptUnseen.get(path)
  if (ids === undefined) return ''
  return ` What it held before stays in force, even if it was to be removed: ${listed(ids.toSorted(), MAX_LISTED)}.`
}

const MAX_LISTED = 10

/** One problem in each file that shows the document. */
function refusalOf(verdict: Verdict): readonly Unwritten[] {
  if (verdict.outcome === 'taken') return []
  const { id, outcome, sightings } = verdict
  const consequence = CONSEQUENCES[outcome]
  const times = sightings.reduce((total, { positions, hidden }) => total + positions.length + hidden, 0)
  const places = firstPlaces(sightings)
  return sightings
    .filter(({ positions }) => positions.length > 0)
    .map((sighting) => ({
      file: sighting.file,
      write() {
        const position = positionOf(sighting)
        const own = inFile(sighting.file, position)
        const others = places.filter((place) => place !== own).slice(0, MAX_PLACES)
        const reason = times === 1 ? 'This version is not taken.' : alsoAt(others, times - 1)
        return problemAt(sighting.file, position, `${reason} ${consequence}`, { document: id })
      },
    }))
}

const CONSEQUENCES = {
  kept: 'Its last good version stays in force.',
  denied: 'There is no good version of it: it is denied.',
}

/** How many other places a problem names. If each of n copies named all the others, that would be n² names. */
const MAX_PLACES = 3

function alsoAt(places: readonly string[], others: number): string {
  const more = others > places.length ? `, and ${others - places.length} times more` : ''
  return `It is also ${places.join(', and ')}${more}: ${others === 1 ? 'neither' : 'none'} is taken.`
}

/** Enough for any problem: the most that it names, and the place that it is about. */
function firstPlaces(sightings: readonly Sighting[]): readonly string[] {
  const places: string[] = []
  for (const { file, positions, hidden } of sightings) {
    places.push(...positions.slice(0, MAX_PLACES + 1).map((position) => inFile(file, position)))
    if (hidden > 0) places.push(`what ${file} held before it became unreadable`)
    if (places.length > MAX_PLACES) break
  }
  return places
}

function inFile(file: string, { line, column }: Position): string {
  return `in ${file}:${line}:${column}`
}

function emptinessOf({ documents }: NextInForce): readonly Unwritten[] {
  if (documents.size > 0) return []
  const message = 'No document is in force: nobody may read anything.'
  return [{ file: '.', write: () => problemAt('.', START, message, { level: 'warning' }) }]
}

/** Grants that are in force but cannot be served because of their Transit key. */
function unservableIn(policy: Policy, documents: Iterable<PolicyDocument>): readonly Unwritten[] {
  const guess = boundedGuesses(policy.transitKeys.keys())
  return [...documents].flatMap((document) => {
    if (document.kind !== 'SecretGrant') return []
    const { file, transitKeyPosition, grant, id } = document
    const condition = conditionOf(policy, grant)
    if (typeof condition !== 'string') return []
    const write = () => {
      const message = `${unservable(condition, grant, guess)} Until then the grant cannot be served.`
      return problemAt(file, transitKeyPosition, message, { level: 'warning', document: id })
    }
    return [{ file, write }]
  })
}

function unservable(condition: Condition, grant: SecretGrant, guess: (word: string) => string): string {
  const key = quoted(grant.transitKey)
  switch (condition) {
    case 'transit-key-undefined':
      return `There is no TransitKey ${key}.${guess(grant.transitKey)}`
    case 'namespace-not-allowed':
      return `TransitKey ${key} does not list the namespace ${quoted(grant.namespace)} in spec.namespaces.`
    case 'transplant':
      return `TransitKey ${key} has binding none and serves more than one Secret, or namespace, whose ciphertexts could be exchanged. Use a key of its own for each, binding place, or allowTransplant: true.`
  }
}

const MAX_GUESSES = 20

/** Guesses what was meant, for the first few words only: when a key's document breaks, thousands of grants may miss it. */
function boundedGuesses(candidates: Iterable<string>): (word: string) => string {
  const names = [...candidates]
  const known = new Map<string, string>()
  return (word) => {
    const guess = known.get(word) ?? (known.size < MAX_GUESSES ? didYouMean(word, names) : '')
    known.set(word, guess)
    return guess
  }
}

/**
 * What is in force once these files are read. A document that is not good, or that is there twice, changes nothing:
 * its last good version stays, and where there was none it is denied. A document that is no longer there is gone,
 * unless it may be hidden in something that cannot be read.
 *
 * The rule behind each choice: to break a document must never take effect as if somebody had written one. See
 * decisions/20261122-policy-last-good.md.
 */

import { didYouMean, listed, quoted } from '../words.ts'
import type { Condition } from './conditions.ts'
import { conditionOf } from './conditions.ts'
import type { Policy, PolicyDocument } from './in-force.ts'
import { emplace, policyOf } from './in-force.ts'
import type { ParsedFile } from './parse.ts'
import type { ProblemList } from './problem-list.ts'
import { problemList } from './problem-list.ts'
import type { PolicyProblem } from './problems.ts'
import { problemAt } from './problems.ts'
import type { SecretGrant } from './schema.ts'
import type { Position } from './yaml.ts'
import { START } from './yaml.ts'

export interface InForce {
  readonly policy: Policy
  /** By id. */
  readonly documents: ReadonlyMap<string, PolicyDocument>
  /** By path, the ids that the file named or may still hold, and how many times. */
  readonly homes: ReadonlyMap<string, ReadonlyMap<string, number>>
  readonly problems: readonly PolicyProblem[]
  readonly refused: Refused
}

/** Documents that are not taken as they are written now. */
export interface Refused {
  /** Their last good version is in force. */
  readonly kept: number
  /** There is no good version of them. */
  readonly denied: number
}

export const NOTHING_IN_FORCE: InForce = {
  policy: policyOf([]),
  documents: new Map(),
  homes: new Map(),
  problems: [],
  refused: { kept: 0, denied: 0 },
}

/** One file's word that it holds a document. */
interface Claim {
  readonly file: string
  /** The first few places that show it. */
  readonly positions: readonly Position[]
  /** How often the file shows it. */
  readonly shown: number
  /** How much more often it held it before, being a file that cannot be read in full. */
  readonly hidden: number
  /** Only if it is shown once, and good. */
  readonly document?: PolicyDocument
}

export function settle(previous: InForce, read: readonly ParsedFile[]): InForce {
  const files = read.flatMap((file) => (file.tree ? [file, ...lostFiles(previous, file.path)] : [file]))
  const homes = new Map<string, ReadonlyMap<string, number>>()
  const claims = new Map<string, Claim[]>()
  const problems = problemList()
  for (const file of files) {
    const made = claimsOf(previous, file)
    homes.set(file.path, new Map([...made].map(([id, { shown, hidden }]) => [id, shown + hidden])))
    for (const [id, claim] of made) emplace(claims, id, () => []).push(claim)
    for (const problem of file.problems) problems.add(file.path, () => problem)
    tellNotTaken(previous, file, problems)
  }
  const documents = new Map<string, PolicyDocument>()
  const refused = { kept: 0, denied: 0 }
  for (const [id, made] of claims) {
    const [first, ...others] = made
    if (first?.document !== undefined && first.hidden === 0 && others.length === 0) {
      documents.set(id, first.document)
      continue
    }
    const last = previous.documents.get(id)
    if (first !== undefined && last !== undefined) documents.set(id, movedTo(first, last))
    refused[last === undefined ? 'denied' : 'kept'] += 1
    tellRefused(id, made, last !== undefined, problems)
  }
  if (documents.size === 0) {
    const message = 'No document is in force: nobody may read anything.'
    problems.add('.', () => problemAt('.', START, message, { level: 'warning' }))
  }
  const policy = policyOf(documents.values())
  tellUnservable(policy, documents.values(), problems)
  return { policy, documents, homes, problems: problems.shown(), refused }
}

/** Files of a part of the directory that cannot be looked into: each may still be there. */
function lostFiles(previous: InForce, tree: string): readonly ParsedFile[] {
  return [...previous.homes.keys()]
    .filter((path) => tree === '.' || path.startsWith(`${tree}/`))
    .map((path) => ({
      path,
      readable: false,
      tree: false,
      tokens: 0,
      documents: [],
      named: [],
      nameless: [],
      problems: [],
    }))
}

function claimsOf(previous: InForce, file: ParsedFile): ReadonlyMap<string, Claim> {
  const shown = new Map<string, { readonly positions: Position[]; count: number; readonly document?: PolicyDocument }>()
  for (const { id, position, document } of shownIn(file)) {
    const seen = shown.get(id)
    if (seen === undefined) shown.set(id, { positions: [position], count: 1, ...(document && { document }) })
    else {
      seen.count += 1
      if (seen.positions.length <= MAX_PLACES) seen.positions.push(position)
    }
  }
  const held = mayHide(file) ? homeOf(previous, file) : NO_HOME
  const claims = new Map<string, Claim>()
  // What it held goes first: else a file that is kept broken, with other documents every time, would pile them up.
  for (const id of [...new Set([...held.keys(), ...shown.keys()])].slice(0, MAX_HELD)) {
    const { positions, count, document } = shown.get(id) ?? NOT_SHOWN
    // Each time: of a document that was there twice, one copy must not win by the other's losing its name.
    const hidden = Math.max(0, (held.get(id) ?? 0) - count)
    claims.set(id, { file: file.path, positions, shown: count, hidden, ...(document && count === 1 && { document }) })
  }
  return claims
}

/** As many as a file may hold that can be read. */
const MAX_HELD = 1000

const NOT_SHOWN = { positions: [], count: 0, document: undefined }
const NO_HOME: ReadonlyMap<string, number> = new Map()

function shownIn(file: ParsedFile): readonly { id: string; position: Position; document?: PolicyDocument }[] {
  return [
    ...file.documents.map((document) => ({ id: document.id, position: document.position, document })),
    ...file.named,
  ]
}

function homeOf(previous: InForce, { path }: ParsedFile): ReadonlyMap<string, number> {
  return previous.homes.get(path) ?? NO_HOME
}

function mayHide(file: ParsedFile): boolean {
  return !file.readable || file.nameless.length > 0
}

/** Problems are shown where the document is now, not where its last good version once was. */
function movedTo(claim: Claim, last: PolicyDocument): PolicyDocument {
  const moved = { file: claim.file, position: firstOf(claim) }
  return last.kind === 'SecretGrant' ? { ...last, ...moved, transitKeyPosition: moved.position } : { ...last, ...moved }
}

function firstOf({ positions: [first] }: Claim): Position {
  return first ?? START
}

function tellNotTaken(previous: InForce, file: ParsedFile, problems: ProblemList): void {
  if (!mayHide(file) || file.tree) return
  const shown = new Set(shownIn(file).map(({ id }) => id))
  const hidden = [...homeOf(previous, file).keys()].filter((id) => previous.documents.has(id) && !shown.has(id))
  const stays =
    hidden.length === 0
      ? ''
      : ` What it held before stays in force, even if it was to be removed: ${listed(hidden.toSorted(), MAX_LISTED)}.`
  if (!file.readable) {
    problems.add(file.path, () => problemAt(file.path, START, `Nothing of this file is taken.${stays}`))
    return
  }
  if (new Set([...homeOf(previous, file).keys(), ...shown]).size > MAX_HELD) {
    const message = `Since this file could last be read in full it has held more than ${MAX_HELD} documents. What came last is not taken.`
    problems.add(file.path, () => problemAt(file.path, START, message))
  }
  const message = `This document is not taken, and does not tell which one it is.${stays}`
  for (const position of file.nameless) problems.add(file.path, () => problemAt(file.path, position, message))
}

const MAX_LISTED = 10

/** Other places that a problem names. Each of n copies naming each other one would be n² of them. */
const MAX_PLACES = 3

function tellRefused(id: string, claims: readonly Claim[], hasLast: boolean, problems: ProblemList): void {
  const consequence = hasLast
    ? 'Its last good version stays in force.'
    : 'There is no good version of it: it is denied.'
  const times = claims.reduce((total, { shown, hidden }) => total + shown + hidden, 0)
  const places = firstPlaces(claims)
  for (const claim of claims) {
    if (claim.shown === 0) continue
    problems.add(claim.file, () => {
      const own = inFile(claim.file, firstOf(claim))
      const others = places.filter((place) => place !== own).slice(0, MAX_PLACES)
      const message = times === 1 ? 'This version is not taken.' : alsoIn(others, times - 1)
      return problemAt(claim.file, firstOf(claim), `${message} ${consequence}`, { document: id })
    })
  }
}

function alsoIn(named: readonly string[], others: number): string {
  const more = others > named.length ? `, and ${others - named.length} times more` : ''
  return `It is also ${named.join(', and ')}${more}: ${others === 1 ? 'neither' : 'none'} is taken.`
}

/** As many as any problem may name, and the one that it is about. */
function firstPlaces(claims: readonly Claim[]): readonly string[] {
  const places: string[] = []
  for (const { file, positions, hidden } of claims) {
    places.push(...positions.map((position) => inFile(file, position)))
    if (hidden > 0) places.push(`what ${file} held before it became unreadable`)
    if (places.length > MAX_PLACES) break
  }
  return places
}

function inFile(file: string, { line, column }: Position): string {
  return `in ${file}:${line}:${column}`
}

function tellUnservable(policy: Policy, documents: Iterable<PolicyDocument>, problems: ProblemList): void {
  const hint = hints(policy.transitKeys.keys())
  for (const document of documents) {
    if (document.kind !== 'SecretGrant') continue
    const condition = conditionOf(policy, document.grant)
    if (typeof condition !== 'string') continue
    const { file, transitKeyPosition, grant, id } = document
    problems.add(file, () => {
      const message = `${unservable(condition, grant, hint)} Until then the grant cannot be served.`
      return problemAt(file, transitKeyPosition, message, { level: 'warning', document: id })
    })
  }
}

function unservable(condition: Condition, grant: SecretGrant, hint: (word: string) => string): string {
  const key = quoted(grant.transitKey)
  switch (condition) {
    case 'transit-key-undefined':
      return `There is no TransitKey ${key}.${hint(grant.transitKey)}`
    case 'namespace-not-allowed':
      return `TransitKey ${key} does not list the namespace ${quoted(grant.namespace)} in spec.namespaces.`
    case 'transplant':
      return `TransitKey ${key} has binding none and serves more than one Secret, or namespace, whose ciphertexts could be exchanged. Use a key of its own for each, binding place, or allowTransplant: true.`
  }
}

const MAX_HINTS = 20

/** Guesses at a bounded number of names: when a key's document breaks, thousands of grants may miss it at once. */
function hints(candidates: Iterable<string>): (word: string) => string {
  const names = [...candidates]
  const known = new Map<string, string>()
  return (word) => {
    const hint = known.get(word) ?? (known.size < MAX_HINTS ? didYouMean(word, names) : '')
    known.set(word, hint)
    return hint
  }
}

/**
 * What is in force once these files are read. A document that is not good, or that is there twice, changes nothing:
 * its last good version stays, and where there was none it is denied. A document that is no longer there is gone,
 * unless it may be hidden in something that cannot be read.
 *
 * The rule behind each choice: to break a document must never take effect as if somebody had written one. See
 * decisions/20261122-policy-last-good.md.
 */
import { conditionOf } from './conditions.ts'
import type { Policy, PolicyDocument } from './in-force.ts'
import { policyOf } from './in-force.ts'
import type { ParsedFile } from './parse.ts'
import type { PolicyProblem } from './problems.ts'
import { inOrder, problemAt } from './problems.ts'
import { didYouMean, quoted } from './words.ts'
import type { Position } from './yaml.ts'
import { START } from './yaml.ts'

export interface InForce {
  readonly policy: Policy
  /** By id. */
  readonly documents: ReadonlyMap<string, PolicyDocument>
  /** By path, the ids that the file named or may still hold, and how many times. */
  readonly homes: ReadonlyMap<string, ReadonlyMap<string, number>>
  readonly problems: readonly PolicyProblem[]
}

export const NOTHING_IN_FORCE: InForce = { policy: policyOf([]), documents: new Map(), homes: new Map(), problems: [] }

/** One file's word that it holds a document. */
interface Claim {
  readonly file: string
  readonly position: Position
  /** Only if it is good. */
  readonly document?: PolicyDocument
  /** The file does not show it, but held it before and cannot be read in full. */
  readonly hidden: boolean
}

export function settle(previous: InForce, read: readonly ParsedFile[]): InForce {
  const files = read.flatMap((file) => (file.tree ? [file, ...lostFiles(previous, file.path)] : [file]))
  const homes = new Map<string, ReadonlyMap<string, number>>()
  const claims = new Map<string, Claim[]>()
  for (const file of files) {
    const made = claimsOf(previous, file)
    homes.set(file.path, new Map([...made].map(([id, some]) => [id, some.length])))
    for (const [id, some] of made) claims.set(id, [...(claims.get(id) ?? []), ...some])
  }
  const documents = new Map<string, PolicyDocument>()
  const problems = files.flatMap((file) => [...file.problems, ...notTaken(previous, file)])
  for (const [id, made] of claims) {
    const [first, ...others] = made
    if (first?.document !== undefined && others.length === 0) {
      documents.set(id, first.document)
      continue
    }
    const last = previous.documents.get(id)
    if (first !== undefined && last !== undefined) documents.set(id, movedTo(first, last))
    problems.push(...refusals(id, made, last !== undefined))
  }
  if (documents.size === 0) {
    problems.push(problemAt('.', START, 'No document is in force: nobody may read anything.', { level: 'warning' }))
  }
  const policy = policyOf(documents.values())
  problems.push(...warnings(policy, documents.values()))
  return { policy, documents, homes, problems: inOrder(problems) }
}

/** Files of a part of the directory that cannot be looked into: each may still be there. */
function lostFiles(previous: InForce, tree: string): readonly ParsedFile[] {
  return [...previous.homes.keys()]
    .filter((path) => tree === '.' || path.startsWith(`${tree}/`))
    .map((path) => ({ path, readable: false, tree: false, documents: [], named: [], nameless: [], problems: [] }))
}

function claimsOf(previous: InForce, file: ParsedFile): ReadonlyMap<string, readonly Claim[]> {
  const claims = new Map<string, Claim[]>()
  const claim = (id: string, made: Omit<Claim, 'file'>) => {
    claims.set(id, [...(claims.get(id) ?? []), { ...made, file: file.path }])
  }
  for (const document of file.documents) claim(document.id, { position: document.position, document, hidden: false })
  for (const { id, position } of file.named) claim(id, { position, hidden: false })
  for (const [id, times] of mayHide(file) ? homeOf(previous, file) : []) {
    // Each time: of a document that was there twice, one copy must not win by the other's losing its name.
    for (let shown = claims.get(id)?.length ?? 0; shown < times; shown++) claim(id, { position: START, hidden: true })
  }
  return claims
}

function homeOf(previous: InForce, { path }: ParsedFile): ReadonlyMap<string, number> {
  return previous.homes.get(path) ?? new Map()
}

function mayHide(file: ParsedFile): boolean {
  return !file.readable || file.nameless.length > 0
}

/** Problems are shown where the document is now, not where its last good version once was. */
function movedTo({ file, position }: Claim, last: PolicyDocument): PolicyDocument {
  const moved = { file, position }
  return last.kind === 'SecretGrant' ? { ...last, ...moved, transitKeyPosition: position } : { ...last, ...moved }
}

function notTaken(previous: InForce, file: ParsedFile): readonly PolicyProblem[] {
  if (!mayHide(file) || file.tree) return []
  const shown = new Set([...file.documents, ...file.named].map(({ id }) => id))
  const hidden = [...homeOf(previous, file).keys()].filter((id) => previous.documents.has(id) && !shown.has(id))
  const stays =
    hidden.length === 0 ? '' : ` What it held before stays in force, even if it was to be removed: ${listed(hidden)}.`
  if (!file.readable) return [problemAt(file.path, START, `Nothing of this file is taken.${stays}`)]
  return file.nameless.map((position) =>
    problemAt(file.path, position, `This document is not taken, and does not tell which one it is.${stays}`),
  )
}

const MAX_LISTED = 10

function listed(ids: readonly string[]): string {
  const more = ids.length > MAX_LISTED ? ` and ${ids.length - MAX_LISTED} more` : ''
  return ids.toSorted().slice(0, MAX_LISTED).join(', ') + more
}

function refusals(id: string, claims: readonly Claim[], hasLast: boolean): readonly PolicyProblem[] {
  const consequence = hasLast
    ? 'Its last good version stays in force.'
    : 'There is no good version of it: it is denied.'
  return claims.flatMap((claim) => {
    if (claim.hidden) return []
    const others = claims.filter((other) => other !== claim)
    const message =
      others.length === 0
        ? 'This version is not taken.'
        : `It is also ${others.map(placeOf).join(', and ')}: neither is taken.`
    return problemAt(claim.file, claim.position, `${message} ${consequence}`, { document: id })
  })
}

function placeOf({ file, position, hidden }: Claim): string {
  return hidden ? `what ${file} held before it became unreadable` : `in ${file}:${position.line}:${position.column}`
}

function warnings(policy: Policy, documents: Iterable<PolicyDocument>): readonly PolicyProblem[] {
  const hint = hints(policy.transitKeys.keys())
  return [...documents].flatMap((document): readonly PolicyProblem[] => {
    if (document.kind !== 'SecretGrant') return []
    const condition = conditionOf(policy, document.grant)
    if (typeof condition !== 'string') return []
    const { namespace, transitKey } = document.grant
    const key = quoted(transitKey)
    const message = {
      'transit-key-undefined': `There is no TransitKey ${key}.${hint(transitKey)}`,
      'namespace-not-allowed': `TransitKey ${key} does not list the namespace ${quoted(namespace)} in spec.namespaces.`,
      transplant: `TransitKey ${key} has binding none and serves more than one Secret, whose ciphertexts could be exchanged. Use a key of its own for each, binding place, or allowTransplant: true.`,
    }[condition]
    const options = { level: 'warning', document: document.id } as const
    return [
      problemAt(
        document.file,
        document.transitKeyPosition,
        `${message} Until then the grant cannot be served.`,
        options,
      ),
    ]
  })
}

const MAX_HINTS = 100

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

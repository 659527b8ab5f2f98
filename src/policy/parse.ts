/**
 * Files -> documents and problems. Nothing here throws over what a file holds: what is not good is a problem, and
 * is not taken.
 */

import { didYouMean, quoted } from '../words.ts'
import type { Complaint, Findings } from './explain.ts'
import { check } from './explain.ts'
import type { Policy, PolicyDocument } from './in-force.ts'
import { NOTHING_IN_FORCE, settle } from './last-good.ts'
import type { Identified } from './places.ts'
import { misplaced } from './places.ts'
import type { PolicyProblem } from './problems.ts'
import { inOrder, problemAt } from './problems.ts'
import { field } from './relations.ts'
import type { Kind } from './schema.ts'
import { KINDS, secretGrantDocument, secretGrantOf, transitKeyDocument, transitKeyOf } from './schema.ts'
import type { Path, Position, YamlDocument } from './yaml.ts'
import { readYaml, START } from './yaml.ts'

/** A file of the policy directory, or what is known of it: why it, or a whole part of the directory (`tree`), is not read. */
export type PolicyFile =
  | { readonly path: string; readonly text: string }
  | { readonly path: string; readonly ignored: string }
  | { readonly path: string; readonly unreadable: string; readonly tree: boolean }

/** What a file says, and what it fails to say, without regard to other files or to what was there before. */
export interface ParsedFile {
  readonly path: string
  /** False: nothing of it may be taken, and it may hold documents that do not show. */
  readonly readable: boolean
  readonly tree: boolean
  /** How much parsing it cost. */
  readonly tokens: number
  readonly documents: readonly PolicyDocument[]
  /** Documents that are not good, or not to be trusted, but tell which they are. */
  readonly named: readonly { readonly id: string; readonly position: Position }[]
  /** Where documents lie that do not even tell that. */
  readonly nameless: readonly Position[]
  readonly problems: readonly PolicyProblem[]
}

/** What the files mean to a keyhole that starts with them. */
export function parsePolicy(files: readonly PolicyFile[]): {
  readonly policy: Policy
  readonly documents: readonly PolicyDocument[]
  readonly problems: readonly PolicyProblem[]
} {
  const { policy, documents, problems } = settle(NOTHING_IN_FORCE, files.map(parseFile))
  return { policy, documents: [...documents.values()], problems }
}

/** Parsing holds up everything else meanwhile: about 0.1 s for the worst file within these. */
const BOUNDS = { maxTokens: 20_000, maxDocuments: 1000 }
const MAX_PROBLEMS = 50

export function parseFile(file: PolicyFile): ParsedFile {
  if ('unreadable' in file) {
    return {
      ...EMPTY,
      path: file.path,
      readable: false,
      tree: file.tree,
      problems: [problemAt(file.path, START, file.unreadable)],
    }
  }
  if ('ignored' in file) {
    return { ...EMPTY, path: file.path, problems: [problemAt(file.path, START, file.ignored, { level: 'warning' })] }
  }
  const { path, text } = file
  const yaml = readYaml(text, BOUNDS)
  const readable = yaml.broken.length === 0
  const all = yaml.documents.map((document) => readDocument(path, document))
  // What may not lie here is as if it did not: it neither takes nor holds up what it names.
  const read = all.filter((each) => !each.misplaced)
  const problems = readable
    ? all.flatMap((each) => each.problems)
    : yaml.broken.map(({ position, message }) => problemAt(path, position, message))
  return {
    path,
    readable,
    tree: false,
    tokens: yaml.tokens,
    documents: readable ? read.flatMap(({ document }) => document ?? []) : [],
    named: read.flatMap(({ id, position, document }) =>
      id === undefined || (readable && document) ? [] : { id, position },
    ),
    nameless: read.flatMap(({ id, position }) => (id === undefined ? position : [])),
    problems: bounded(path, problems, readable ? sum(all.map(({ untold }) => untold)) : 0),
  }
}

const EMPTY = { readable: true, tree: false, tokens: 0, documents: [], named: [], nameless: [] }

function bounded(path: string, problems: readonly PolicyProblem[], untold: number): readonly PolicyProblem[] {
  const first = inOrder(problems).slice(0, MAX_PROBLEMS)
  const last = first.at(-1)
  const more = problems.length - first.length + untold
  if (last === undefined || more === 0) return first
  return [...first, problemAt(path, last, `And ${more} more problems in this file.`)]
}

interface ReadDocument {
  readonly position: Position
  /** Absent: it does not tell which document it is. */
  readonly id?: string
  /** Absent: it is not good. */
  readonly document?: PolicyDocument
  /** It is good for nothing in this file, whatever else it says. */
  readonly misplaced?: true
  readonly problems: readonly PolicyProblem[]
  /** Problems beside these. */
  readonly untold: number
}

function readDocument(path: string, yaml: YamlDocument): ReadDocument {
  const position = yaml.at([], 'value')
  const kind = kindOf(yaml.value)
  const which = kind && identify(kind, yaml)
  const wrongPlace = which && misplaced(path, which)
  if (wrongPlace !== undefined) {
    return {
      position,
      misplaced: true,
      problems: [problemAt(path, position, wrongPlace, { document: which?.id })],
      untold: 0,
    }
  }
  const document = which?.id
  const flaws = yaml.flaws
    .slice(0, MAX_PROBLEMS)
    .map((flaw) => problemAt(path, flaw.position, flaw.message, { document }))
  const told = ({ complaints, more }: Findings) => ({
    problems: [
      ...flaws,
      ...complaints
        .filter((complaint) => !yaml.flaws.some((flaw) => flaw.path.length > 0 && isWithin(complaint.path, flaw.path)))
        .map(({ path: at, part, message }) => problemAt(path, yaml.at(at, part), message, { document })),
    ],
    untold: yaml.flaws.length - flaws.length + more,
  })
  const identified = { position, ...(document !== undefined && { id: document }) }
  if (kind === undefined) return { ...identified, ...told({ complaints: [kindComplaint(yaml.value)], more: 0 }) }
  const checked = kind === 'SecretGrant' ? grantDocument(path, yaml) : keyDocument(path, yaml)
  if ('complaints' in checked) return { ...identified, ...told(checked) }
  if (flaws.length > 0) return { ...identified, ...told({ complaints: [], more: 0 }) }
  return { ...identified, ...checked, untold: 0 }
}

type Checked = { readonly document: PolicyDocument; readonly problems: readonly PolicyProblem[] } | Findings

function grantDocument(file: string, yaml: YamlDocument): Checked {
  const checked = check(secretGrantDocument, 'SecretGrant', yaml.value)
  if ('complaints' in checked) return checked
  const grant = secretGrantOf(checked)
  const id = `SecretGrant ${grant.namespace}/${grant.name}`
  const problems = grant.readers.flatMap(({ serviceAccount, allowDefault }, index) => {
    if (serviceAccount !== 'default' || allowDefault) return []
    const at = yaml.at(['spec', 'readers', index, 'serviceAccount'], 'value')
    const message =
      'Every pod that names no ServiceAccount runs as "default", so this entry grants nothing without allowDefault: true. Better, give the workload a ServiceAccount of its own.'
    return problemAt(file, at, message, { level: 'warning', document: id })
  })
  const position = yaml.at([], 'value')
  const transitKeyPosition = yaml.at(['spec', 'transitKey'], 'value')
  return { document: { kind: 'SecretGrant', id, file, position, transitKeyPosition, grant }, problems }
}

function keyDocument(file: string, yaml: YamlDocument): Checked {
  const checked = check(transitKeyDocument, 'TransitKey', yaml.value)
  if ('complaints' in checked) return checked
  const transitKey = transitKeyOf(checked)
  const id = `TransitKey ${transitKey.name}`
  const message =
    'allowTransplant says nothing about a key with binding place, whose ciphertext cannot be moved: remove it.'
  const at = yaml.at(['spec', 'allowTransplant'], 'key')
  const idle = transitKey.allowTransplant && transitKey.binding === 'place'
  const problems = idle ? [problemAt(file, at, message, { level: 'warning', document: id })] : []
  return { document: { kind: 'TransitKey', id, file, position: yaml.at([], 'value'), transitKey }, problems }
}

function kindOf(value: unknown): Kind | undefined {
  return KINDS.find((kind) => kind === field(value, 'kind'))
}

/** Which document this is, as far as that is beyond doubt, however wrong the rest of it may be. */
function identify(kind: Kind, { value, flaws }: YamlDocument): Identified | undefined {
  if (flaws.some(({ path }) => path.length === 0 || path[0] === 'kind' || path[0] === 'metadata')) return undefined
  const metadata = field(value, 'metadata')
  if (kind === 'TransitKey') {
    const name = transitKeyDocument.shape.metadata.shape.name.safeParse(field(metadata, 'name')).data
    return name === undefined ? undefined : { kind, id: `${kind} ${name}` }
  }
  const names = secretGrantDocument.shape.metadata.strip().safeParse(metadata).data
  return names && { kind, id: `${kind} ${names.namespace}/${names.name}`, namespace: names.namespace }
}

function kindComplaint(value: unknown): Complaint {
  const kind = field(value, 'kind')
  const kinds = KINDS.map((each) => quoted(each)).join(' or ')
  const hint = typeof kind === 'string' ? didYouMean(kind, KINDS) : ''
  return {
    path: kind === undefined ? [] : ['kind'],
    part: 'value',
    message: `A document of a policy is a mapping whose kind is ${kinds}.${hint}`,
  }
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}

function isWithin(path: Path, outer: Path): boolean {
  return outer.every((step, depth) => path[depth] === step)
}

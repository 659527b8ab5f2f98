/**
 * Files -> documents and problems. Nothing here throws, whatever a file holds: what is wrong becomes a problem and is
 * not taken.
 */
import { didYouMean, quoted } from '../words.ts'
import type { Complaint, Findings } from './explain.ts'
import { check } from './explain.ts'
import type { PolicyDocument } from './in-force.ts'
import type { Identified } from './places.ts'
import { misplaced } from './places.ts'
import type { PolicyProblem } from './problems.ts'
import { inOrder, problemAt } from './problems.ts'
import { field } from './relations.ts'
import type { Kind } from './schema.ts'
import { KINDS, secretGrantDocument, secretGrantOf, transitKeyDocument, transitKeyOf } from './schema.ts'
import type { Path, Position, YamlDocument } from './yaml.ts'
import { readYaml, START } from './yaml.ts'

/** A file of the policy directory, or the reason why it, or a whole part of the directory (`tree`), was not read. */
export type PolicyFile =
  | { readonly path: string; readonly text: string }
  | { readonly path: string; readonly ignored: string }
  | { readonly path: string; readonly unreadable: string; readonly tree: boolean }

/** What one file says, regardless of other files and of what was there before. */
export type ParsedFile = ReadFile | BrokenFile | LostTree

interface Parsed {
  readonly path: string
  /** How much parsing it cost. */
  readonly tokens: number
  readonly problems: readonly PolicyProblem[]
}

export interface ReadFile extends Parsed {
  readonly kind: 'read'
  readonly documents: readonly PolicyDocument[]
  /** Documents that are wrong but can be identified. */
  readonly unsound: readonly Named[]
  /** Where there are documents that cannot even be identified. */
  readonly nameless: readonly Position[]
}

/** Nothing in it may be taken, and it may hold documents that do not show. */
export interface BrokenFile extends Parsed {
  readonly kind: 'broken'
  /** The documents that it appears to hold. */
  readonly named: readonly Named[]
}

/** A part of the directory that cannot be listed; `.` is all of it. */
export interface LostTree extends Parsed {
  readonly kind: 'lost-tree'
}

export interface Named {
  readonly id: string
  readonly position: Position
}

/** Parsing blocks everything else: for about 0.1 s in the worst case within these bounds. */
const BOUNDS = { maxTokens: 20_000, maxDocuments: 1000 }
const MAX_PROBLEMS = 50

export function parseFile(file: PolicyFile): ParsedFile {
  const { path } = file
  if ('text' in file) return parseText(path, file.text)
  if ('ignored' in file) {
    const problems = [problemAt(path, START, file.ignored, { level: 'warning' })]
    return { kind: 'read', path, tokens: 0, documents: [], unsound: [], nameless: [], problems }
  }
  const problems = [problemAt(path, START, file.unreadable)]
  return file.tree
    ? { kind: 'lost-tree', path, tokens: 0, problems }
    : { kind: 'broken', path, tokens: 0, named: [], problems }
}

function parseText(path: string, text: string): ReadFile | BrokenFile {
  const yaml = readYaml(text, BOUNDS)
  const { tokens } = yaml
  const read = yaml.documents.map((document) => readDocument(path, document))
  if (yaml.broken.length > 0) {
    const problems = yaml.broken.map(({ position, message }) => problemAt(path, position, message))
    const named = read.filter((each) => each.kind === 'sound' || each.kind === 'unsound').map(nameOf)
    return { kind: 'broken', path, tokens, named, problems: bounded(path, problems, 0) }
  }
  const problems = read.flatMap((each) => each.problems)
  const untold = read.reduce((total, each) => total + each.untold, 0)
  return {
    kind: 'read',
    path,
    tokens,
    documents: read.flatMap((each) => (each.kind === 'sound' ? each.document : [])),
    unsound: read.filter((each) => each.kind === 'unsound').map(nameOf),
    nameless: read.flatMap((each) => (each.kind === 'nameless' ? each.position : [])),
    problems: bounded(path, problems, untold),
  }
}

function nameOf({ id, position }: Named): Named {
  return { id, position }
}

function bounded(path: string, problems: readonly PolicyProblem[], untold: number): readonly PolicyProblem[] {
  const first = inOrder(problems).slice(0, MAX_PROBLEMS)
  const last = first.at(-1)
  const more = problems.length - first.length + untold
  if (last === undefined || more === 0) return first
  return [...first, problemAt(path, last, `And ${more} more problems in this file.`)]
}

type ReadDocument = Told &
  (
    | { readonly kind: 'sound'; readonly id: string; readonly document: PolicyDocument }
    | { readonly kind: 'unsound'; readonly id: string }
    /** It cannot be identified. */
    | { readonly kind: 'nameless' }
    /** It may not be in this file, so it counts as absent: it neither changes nor holds up what it names. */
    | { readonly kind: 'misplaced' }
  )

interface Told {
  readonly position: Position
  readonly problems: readonly PolicyProblem[]
  /** How many more problems there are. */
  readonly untold: number
}

function readDocument(path: string, yaml: YamlDocument): ReadDocument {
  const position = yaml.at([], 'value')
  const kind = kindOf(yaml.value)
  const which = kind && identify(kind, yaml)
  const wrongPlace = which && misplaced(path, which)
  if (wrongPlace !== undefined) {
    const problem = problemAt(path, position, wrongPlace, { document: which?.id })
    return { kind: 'misplaced', position, problems: [problem], untold: 0 }
  }
  const checked = checkDocument(path, kind, yaml)
  if ('document' in checked && yaml.flaws.length === 0) {
    return { kind: 'sound', id: checked.document.id, position, ...checked, untold: 0 }
  }
  const told = { position, ...explained(path, yaml, which?.id, 'document' in checked ? NOTHING_FOUND : checked) }
  return which === undefined ? { kind: 'nameless', ...told } : { kind: 'unsound', id: which.id, ...told }
}

/** Flaws of the YAML, then complaints; a complaint about what a flaw already covers is left out. */
function explained(file: string, yaml: YamlDocument, document: string | undefined, { complaints, more }: Findings) {
  const flaws = yaml.flaws.slice(0, MAX_PROBLEMS)
  const own = complaints.filter(
    (complaint) => !yaml.flaws.some(({ path }) => path.length > 0 && isWithin(complaint.path, path)),
  )
  return {
    problems: [
      ...flaws.map(({ position, message }) => problemAt(file, position, message, { document })),
      ...own.map(({ path, part, message }) => problemAt(file, yaml.at(path, part), message, { document })),
    ],
    untold: yaml.flaws.length - flaws.length + more,
  }
}

const NOTHING_FOUND: Findings = { complaints: [], more: 0 }

type Checked = { readonly document: PolicyDocument; readonly problems: readonly PolicyProblem[] } | Findings

function checkDocument(file: string, kind: Kind | undefined, yaml: YamlDocument): Checked {
  if (kind === undefined) return { complaints: [kindComplaint(yaml.value)], more: 0 }
  return kind === 'SecretGrant' ? grantDocument(file, yaml) : keyDocument(file, yaml)
}

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

/** Which document this is, if there is no doubt about that, however wrong the rest may be. */
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

function isWithin(path: Path, outer: Path): boolean {
  return outer.every((step, depth) => path[depth] === step)
}

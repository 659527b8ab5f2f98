/**
 * Files -> documents and problems. Nothing here throws over what a file holds: what is not good is a problem, and
 * is not taken.
 */
import type { Complaint } from './explain.ts'
import { check } from './explain.ts'
import type { Policy, PolicyDocument } from './in-force.ts'
import { NOTHING_IN_FORCE, settle } from './last-good.ts'
import type { PolicyProblem } from './problems.ts'
import { inOrder, problemAt } from './problems.ts'
import { field } from './relations.ts'
import type { Kind } from './schema.ts'
import { KINDS, secretGrantDocument, secretGrantOf, transitKeyDocument, transitKeyOf } from './schema.ts'
import { didYouMean, quoted } from './words.ts'
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

/** Parsing takes at most about a second for the worst file within these. */
const BOUNDS = { maxTokens: 100_000, maxDocuments: 1000 }
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
  const read = yaml.documents.map((document) => readDocument(path, document))
  const problems = readable
    ? read.flatMap((each) => each.problems)
    : yaml.broken.map(({ position, message }) => problemAt(path, position, message))
  return {
    path,
    readable,
    tree: false,
    documents: readable ? read.flatMap(({ document }) => document ?? []) : [],
    named: read.flatMap(({ id, position, document }) =>
      id === undefined || (readable && document) ? [] : { id, position },
    ),
    nameless: read.flatMap(({ id, position }) => (id === undefined ? position : [])),
    problems: bounded(path, problems),
  }
}

const EMPTY = { readable: true, tree: false, documents: [], named: [], nameless: [] }

function bounded(path: string, problems: readonly PolicyProblem[]): readonly PolicyProblem[] {
  const first = inOrder(problems).slice(0, MAX_PROBLEMS)
  const last = first.at(-1)
  if (last === undefined || first.length === problems.length) return first
  return [...first, problemAt(path, last, `And ${problems.length - first.length} more after this.`)]
}

interface ReadDocument {
  readonly position: Position
  /** Absent: it does not tell which document it is. */
  readonly id?: string
  /** Absent: it is not good. */
  readonly document?: PolicyDocument
  readonly problems: readonly PolicyProblem[]
}

function readDocument(path: string, yaml: YamlDocument): ReadDocument {
  const position = yaml.at([], 'value')
  const kind = kindOf(yaml.value)
  const id = kind === undefined ? undefined : idOf(kind, yaml)
  const flaws = yaml.flaws.map((flaw) => problemAt(path, flaw.position, flaw.message, { document: id }))
  const told = (complaints: readonly Complaint[]) =>
    complaints
      .filter((complaint) => !yaml.flaws.some((flaw) => flaw.path.length > 0 && isWithin(complaint.path, flaw.path)))
      .map(({ path: at, part, message }) => problemAt(path, yaml.at(at, part), message, { document: id }))
  const identified = { position, ...(id !== undefined && { id }) }
  if (kind === undefined) return { ...identified, problems: [...flaws, ...told([kindComplaint(yaml.value)])] }
  const checked = kind === 'SecretGrant' ? grantDocument(path, yaml) : keyDocument(path, yaml)
  if ('complaints' in checked) return { ...identified, problems: [...flaws, ...told(checked.complaints)] }
  if (flaws.length > 0) return { ...identified, problems: flaws }
  return { ...identified, ...checked }
}

type Checked =
  | { readonly document: PolicyDocument; readonly problems: readonly PolicyProblem[] }
  | { readonly complaints: readonly Complaint[] }

function grantDocument(file: string, yaml: YamlDocument): Checked {
  const checked = check(secretGrantDocument, 'SecretGrant', yaml.value)
  if (!('metadata' in checked)) return { complaints: checked }
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
  if (!('metadata' in checked)) return { complaints: checked }
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
function idOf(kind: Kind, { value, flaws }: YamlDocument): string | undefined {
  if (flaws.some(({ path }) => path.length === 0 || path[0] === 'kind' || path[0] === 'metadata')) return undefined
  const metadata = field(value, 'metadata')
  if (kind === 'TransitKey') {
    const name = transitKeyDocument.shape.metadata.shape.name.safeParse(field(metadata, 'name')).data
    return name && `${kind} ${name}`
  }
  const names = secretGrantDocument.shape.metadata.strip().safeParse(metadata).data
  return names && `${kind} ${names.namespace}/${names.name}`
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

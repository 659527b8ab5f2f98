/**
 * Text -> plain values that remember where they were written. Reads the part of YAML 1.2 that says one thing only:
 * no anchors, aliases, tags or merge keys, no key twice, text for keys.
 */

import type { Document, ErrorCode, Node, ParsedNode } from 'yaml'
import { isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, parseAllDocuments } from 'yaml'
import { quoted } from '../words.ts'

export interface Position {
  /** From 1. */
  readonly line: number
  /** From 1, in UTF-16 code units. */
  readonly column: number
}

export type Path = readonly (string | number)[]

/** Something YAML permits and a policy does not. */
export interface Flaw {
  readonly path: Path
  readonly position: Position
  readonly message: string
}

export interface YamlDocument {
  /** Objects have own properties only, also for keys such as `__proto__`. */
  readonly value: unknown
  readonly flaws: readonly Flaw[]
  /** Where the value at `path` is written, or its key; of what is absent, the nearest thing around it. */
  at(path: Path, part: 'key' | 'value'): Position
}

export interface YamlFile {
  /** How many there are; at most one more than allowed. */
  readonly tokens: number
  readonly documents: readonly YamlDocument[]
  /** Not YAML: where its documents begin and end is then a guess, and nothing may be taken from any. */
  readonly broken: readonly Flaw[]
}

export interface YamlBounds {
  /** Bounds the time that parsing takes, which depends on tokens rather than bytes. */
  readonly maxTokens: number
  readonly maxDocuments: number
}

/** Never throws. Documents of a broken file are given as far as they could be read. */
export function readYaml(text: string, { maxTokens, maxDocuments }: YamlBounds): YamlFile {
  const tokens = tokensOf(text, maxTokens)
  if (tokens > maxTokens) return tooLarge(tokens, `This file has more than ${maxTokens} YAML tokens`)
  const lines = new LineCounter()
  const position = (offset: number): Position => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  const parsed = documentsOf(text, lines)
  const documents = parsed.filter(({ contents }) => !isNothing(contents))
  if (documents.length > maxDocuments) return tooLarge(tokens, `This file has more than ${maxDocuments} documents`)
  return {
    tokens,
    documents: documents.map((document) => readDocument(document, position)),
    broken: parsed.flatMap(({ errors }) =>
      errors.map(({ code, pos }) => ({ path: [], position: position(pos[0]), message: sentence(code) })),
    ),
  }
}

function tooLarge(tokens: number, what: string): YamlFile {
  const message = `${what}: split it into several files.`
  return { tokens, documents: [], broken: [{ path: [], position: START, message }] }
}

export const START: Position = { line: 1, column: 1 }

/** Stops one past `max`. */
function tokensOf(text: string, max: number): number {
  let count = 0
  for (const _ of new Lexer().lex(text)) if (++count > max) break
  return count
}

function documentsOf(text: string, lineCounter: LineCounter): Document.Parsed[] {
  return withoutStacks(() =>
    parseAllDocuments(text, {
      version: '1.2',
      schema: 'core',
      merge: false,
      // Its own check compares each key with each: quadratic. `plain` below finds the same in one pass.
      uniqueKeys: false,
      // Pretty errors quote the text.
      prettyErrors: false,
      logLevel: 'silent',
      lineCounter,
    }),
  )
}

/** The parser makes an Error for every mistake, and thousands of stacks that nobody reads take most of its time. */
function withoutStacks<T>(parse: () => T): T {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return parse()
  } finally {
    Error.stackTraceLimit = limit
  }
}

function isNothing(contents: ParsedNode | null): boolean {
  return contents === null || (isScalar(contents) && contents.source === '' && contents.tag === undefined)
}

function readDocument(document: Document.Parsed, position: (offset: number) => Position): YamlDocument {
  const flaws: Flaw[] = []
  const flaw = (path: Path, node: Node | null, message: string): undefined => {
    flaws.push({ path, position: position(offsetOf(node)), message })
  }
  const directed = document.warnings.some(({ code }) => code === 'BAD_DIRECTIVE')
  if (directed || document.directives.yaml.version !== '1.2') {
    flaw([], document.contents, 'Leave out lines that begin with "%": a policy is YAML 1.2.')
  }
  return {
    value: plain(document.contents, [], flaw),
    flaws,
    at: (path, part) => position(offsetAt(document.contents, path, part)),
  }
}

const MAX_DEPTH = 32

/** No document has as many; what follows looks fields up one by one. */
const MAX_FIELDS = 1000

function plain(
  node: Node | null,
  path: Path,
  flaw: (path: Path, node: Node | null, message: string) => undefined,
): unknown {
  if (isAlias(node)) return flaw(path, node, 'Aliases are not taken: write the value out.')
  if (path.length > MAX_DEPTH)
    return flaw(path, node, `Nothing in a policy is nested more than ${MAX_DEPTH} levels deep.`)
  if ((isMap(node) || isSeq(node) || isScalar(node)) && node.anchor !== undefined) {
    flaw(path, node, 'Anchors are not taken: write the value out where it is needed.')
  }
  if (node?.tag !== undefined) flaw(path, node, 'Tags are not taken: remove what begins with "!".')
  if (isSeq<Node | null>(node)) return node.items.map((item, index) => plain(item, [...path, index], flaw))
  if (!isMap<Node | null, Node | null>(node)) return isScalar(node) ? node.value : null
  if (node.items.length > MAX_FIELDS) return flaw(path, node, `A mapping has at most ${MAX_FIELDS} fields.`)
  const entries = new Map<string, unknown>()
  for (const { key, value } of node.items) {
    if (!isScalar(key) || typeof key.value !== 'string') {
      flaw(path, key, 'A field name must be text.')
      continue
    }
    const at = [...path, key.value]
    if (key.tag !== undefined || key.anchor !== undefined) flaw(at, key, 'A field name has no tag and no anchor.')
    if (entries.has(key.value)) flaw(at, key, `${quoted(key.value)} is here twice.`)
    else entries.set(key.value, plain(value, at, flaw))
  }
  // fromEntries defines own properties: `__proto__` is a key like any other.
  return Object.fromEntries(entries)
}

function offsetAt(contents: Node | null, path: Path, part: 'key' | 'value'): number {
  let node = contents
  let offset = offsetOf(node)
  for (const [depth, step] of path.entries()) {
    const { key, value } = stepInto(node, step)
    const wanted = part === 'key' && depth === path.length - 1 ? (key ?? value) : (value ?? key)
    if (wanted === null) break
    offset = offsetOf(wanted)
    node = value
  }
  return offset
}

function stepInto(
  node: Node | null,
  step: string | number,
): { readonly key: Node | null; readonly value: Node | null } {
  if (isSeq<Node | null>(node)) return { key: null, value: node.items[Number(step)] ?? null }
  if (!isMap<Node | null, Node | null>(node)) return { key: null, value: null }
  return node.items.find(({ key }) => isScalar(key) && key.value === step) ?? { key: null, value: null }
}

/** 0 for what has no place. */
function offsetOf(node: Node | null): number {
  return Number(node?.range?.[0]) | 0
}

/** The parser's own messages may quote the text. */
function sentence(code: ErrorCode): string {
  return SENTENCES[code] ?? 'This is not YAML.'
}

const SENTENCES: Partial<Record<ErrorCode, string>> = {
  BAD_INDENT: 'The indentation is wrong here, or a bracket is not closed.',
  TAB_AS_INDENT: 'Tabs may not indent: use spaces.',
  MISSING_CHAR: 'A quote, bracket, comma or colon is missing here.',
  BLOCK_AS_IMPLICIT_KEY: 'A field cannot begin here: put it on its own line, or quote a value that holds ": ".',
  BAD_DQ_ESCAPE: 'This is no escape sequence of a double-quoted text.',
  BAD_SCALAR_START: 'A text cannot begin with this character: quote it.',
  MULTILINE_IMPLICIT_KEY: 'A field name must be on one line, with ":" after it.',
  RESOURCE_EXHAUSTION: 'This is nested too deeply.',
}

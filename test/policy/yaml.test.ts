import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readYaml } from '../../src/policy/yaml.ts'

const BOUNDS = { maxTokens: 100_000, maxDocuments: 1000 }

function read(text: string) {
  return readYaml(text, BOUNDS)
}

function flaws(text: string): string[] {
  const { documents, broken } = read(text)
  return [...broken, ...documents.flatMap((document) => document.flaws)].map(
    ({ position, message }) => `${position.line}:${position.column} ${message}`,
  )
}

describe('what a policy is read from', () => {
  it('is several documents of YAML, without the empty ones', () => {
    const { documents, broken } = read('# a\n---\n---\na: 1\n---\n# only a comment\n---\nb: [x, {c: ~}]\n...\n')
    expect(broken).toEqual([])
    expect(documents.map(({ value }) => value)).toEqual([{ a: 1 }, { b: ['x', { c: null }] }])
  })

  it('is JSON as well, indented by tabs or not', () => {
    expect(read('{\n\t"a": [\n\t\t1,\n\t\t"b"\n\t]\n}').documents.map(({ value }) => value)).toEqual([{ a: [1, 'b'] }])
  })

  it('reads YAML 1.2: "yes" and a time are text', () => {
    expect(read('a: yes\nb: 2026-12-31T00:00:00Z').documents[0]?.value).toEqual({ a: 'yes', b: '2026-12-31T00:00:00Z' })
  })

  it('has __proto__ as a key like any other', () => {
    const value = read('__proto__: {admin: true}\nconstructor: 1').documents[0]?.value
    expect(Object.keys(value as object)).toEqual(['__proto__', 'constructor'])
    expect((value as { admin?: boolean }).admin).toBeUndefined()
  })

  it('may be empty', () => {
    expect(read('')).toEqual({ tokens: 0, documents: [], broken: [] })
    expect(read('\ufeff')).toMatchObject({ documents: [], broken: [] })
  })
})

describe('what a policy may not use', () => {
  it.each([
    ['an anchor', 'a: &x 1', '1:7 Anchors are not taken: write the value out where it is needed.'],
    ['an anchor on a mapping', 'a: &x {b: 1}', '1:7 Anchors are not taken: write the value out where it is needed.'],
    ['an alias', 'b: *x', '1:4 Aliases are not taken: write the value out.'],
    ['an alias as a field name', '*x : 1', '1:1 A field name must be text.'],
    ['a tag of its own', 'a: !secret x', '1:12 Tags are not taken: remove what begins with "!".'],
    ['a tag of YAML', 'a: !!str 1', '1:10 Tags are not taken: remove what begins with "!".'],
    ['a tagged set', 'a: !!set {x}', '1:10 Tags are not taken: remove what begins with "!".'],
    ['the tag that says nothing', 'a: ! 12', '1:6 Tags are not taken: remove what begins with "!".'],
    ['a tag on an empty document', '!x', '1:3 Tags are not taken: remove what begins with "!".'],
    ['a tag on a field name', '!!str a: 1', '1:7 A field name has no tag and no anchor.'],
    ['an anchor on a field name', '&x a: 1', '1:4 A field name has no tag and no anchor.'],
    ['a number for a field name', '1: 2', '1:1 A field name must be text.'],
    ['nothing for a field name', ': 2', '1:1 A field name must be text.'],
    ['a list for a field name', '? [a]\n: 3', '1:3 A field name must be text.'],
    ['a field twice', 'a: 1\nb: 2\na: 3', '3:1 "a" is here twice.'],
    ['a field twice, once in quotes', 'x: {a: 1, "a": 3}', '1:11 "a" is here twice.'],
    ['YAML 1.1', '%YAML 1.1\n---\na: yes', '3:1 Leave out lines that begin with "%": a policy is YAML 1.2.'],
    ['YAML 1.3', '%YAML 1.3\n---\na: yes', '3:1 Leave out lines that begin with "%": a policy is YAML 1.2.'],
    ['an unknown directive', '%FOO x\n---\na: yes', '3:1 Leave out lines that begin with "%": a policy is YAML 1.2.'],
  ])('refuses %s', (_, text, flaw) => {
    expect(flaws(text)).toContain(flaw)
  })

  it('keeps the first of two fields of one name, and does not merge', () => {
    expect(read('a: 1\na: 2').documents[0]?.value).toEqual({ a: 1 })
    expect(read('<<: {a: 1}').documents[0]?.value).toEqual({ '<<': { a: 1 } })
  })

  it('refuses to nest more than 32 levels deep', () => {
    expect(flaws('['.repeat(33) + ']'.repeat(33))).toEqual([])
    expect(flaws('['.repeat(34) + ']'.repeat(34))).toEqual([
      '1:34 Nothing in a policy is nested more than 32 levels deep.',
    ])
  })

  it('does not multiply what an alias stands for', () => {
    const bomb = 'a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: &d [*c, *c]'
    const none = [undefined, undefined]
    expect(read(bomb).documents[0]?.value).toEqual({ a: ['x', 'x'], b: none, c: none, d: none })
  })
})

describe('what is not YAML', () => {
  it.each([
    ['a bracket that is not closed', 'a: [1', '1:6 The indentation is wrong here, or a bracket is not closed.'],
    ['a tab that indents', 'a:\n\t- b', '2:1 Tabs may not indent: use spaces.'],
    ['a quote that is not closed', 'a: "x', '1:6 A quote, bracket, comma or colon is missing here.'],
    [
      'two fields on a line',
      'a: b: c',
      '1:4 A field cannot begin here: put it on its own line, or quote a value that holds ": ".',
    ],
    ['an escape that is none', 'a: "\\q"', '1:5 This is no escape sequence of a double-quoted text.'],
    ['a reserved character', 'a: @b', '1:4 A text cannot begin with this character: quote it.'],
    ['a field name over two lines', 'a\nb: c', '1:1 A field name must be on one line, with ":" after it.'],
    ['junk after the end', '--- a\n... junk', '2:5 This is not YAML.'],
    ['a thousand levels, many times over', '['.repeat(5000), '1:1251 This is nested too deeply.'],
  ])('is told by its place: %s', (_, text, flaw) => {
    const { broken } = read(text)
    const told = broken.map(({ position, message }) => `${position.line}:${position.column} ${message}`)
    if (text.length === 5000) expect(broken.map(({ message }) => message)).toContain('This is nested too deeply.')
    else expect(told).toContain(flaw)
  })

  it('never has its text in a message', () => {
    for (const text of [
      'a: *canary',
      'a: "\\canary"',
      'canary canary: [}',
      '!<canary>',
      '%canary',
      '&canary &canary a',
      '"canary',
    ]) {
      expect(flaws(text).join()).not.toContain('canary')
    }
  })
})

describe('bounds', () => {
  it('reads no file with too many tokens', () => {
    expect(readYaml('[1,1]', { maxTokens: 100, maxDocuments: 1 }).broken).toEqual([])
    const { documents, broken } = readYaml(`[${'1,'.repeat(60)}]`, { maxTokens: 100, maxDocuments: 1 })
    expect(documents).toEqual([])
    expect(broken.map(({ message }) => message)).toEqual([
      'This file has more than 100 YAML tokens: split it into several files.',
    ])
  })

  it('reads no file with too many documents', () => {
    expect(readYaml('a\n---\nb\n', { maxTokens: 100, maxDocuments: 2 }).broken).toEqual([])
    const { documents, broken } = readYaml('a\n---\nb\n', { maxTokens: 100, maxDocuments: 1 })
    expect(documents).toEqual([])
    expect(broken.map(({ message }) => message)).toEqual([
      'This file has more than 1 documents: split it into several files.',
    ])
  })
})

describe('bounds of a document', () => {
  const fields = (count: number) => Array.from({ length: count }, (_, index) => `k${index}`).join()

  it('are a thousand fields of one mapping, whatever else it holds', () => {
    expect(flaws(`{a: {${fields(1000)}}}`)).toEqual([])
    expect(flaws(`{a: {${fields(1001)}}, b: 1, b: 2}`)).toEqual([
      '1:5 A mapping has at most 1000 fields.',
      expect.stringContaining('"b" is here twice.'),
    ])
    expect(read(`{a: {${fields(1001)}}, b: 1}`).documents[0]?.value).toEqual({ a: undefined, b: 1 })
  })

  it('leave the errors of others their stacks: only those of the parser have none', () => {
    const before = Error.stackTraceLimit
    read(']'.repeat(10))
    expect(Error.stackTraceLimit).toBe(before)
  })

  it('count the tokens of a file, and stop one past the bound', () => {
    expect(readYaml('[1,1]', { maxTokens: 100, maxDocuments: 1 }).tokens).toBe(8)
    expect(readYaml(`[${','.repeat(1000)}`, { maxTokens: 100, maxDocuments: 1 }).tokens).toBe(101)
  })
})

describe('positions', () => {
  const [document] = read('# one\na:\n  - b: x\n    c: 1\n  -\nd:\ne: {f: }').documents
  it.each([
    [[], 'value', 2, 1],
    [['a'], 'key', 2, 1],
    [['a'], 'value', 3, 3],
    [['a', 0], 'key', 3, 5],
    [['a', 0, 'c'], 'value', 4, 8],
    [['a', 0, 'c'], 'key', 4, 5],
    [['a', 0, 'absent'], 'value', 3, 5],
    [['a', 0, 'absent', 'below'], 'key', 3, 5],
    [['a', 9], 'value', 3, 3],
    [['a', 'no-list'], 'value', 3, 3],
    [['e', 'f'], 'key', 7, 5],
    [['a', 0, 'c', 'in a scalar'], 'value', 4, 8],
  ] as const)('finds %j (%s) at %d:%d, or what is around it', (path, part, line, column) => {
    expect(document?.at(path, part)).toEqual({ line, column })
  })

  it('are at the start for a document that holds nothing', () => {
    expect(read('!x').documents[0]?.at([], 'value').line).toBe(1)
  })
})

describe('any text', () => {
  const fragments = fc.constantFrom(
    'a',
    ': ',
    '- ',
    '\n',
    '  ',
    '\t',
    '[',
    ']',
    '{',
    '}',
    ',',
    '&x ',
    '*x',
    '!!str ',
    '!t ',
    '"',
    "'",
    '|',
    '>',
    '#',
    '? ',
    '---\n',
    '...\n',
    '%YAML 1.1\n',
    '<<: ',
    '\u0000',
    '\ud800',
    '\r',
  )

  it('never throws', () => {
    const anything = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(fragments, { maxLength: 60 }).map((parts) => parts.join('')),
    )
    fc.assert(
      fc.property(anything, (text) => {
        const { documents } = read(text)
        for (const document of documents) document.at(['a', 0, 'x'], 'value')
      }),
      { seed: 20261122, numRuns: 600 },
    )
  })
})

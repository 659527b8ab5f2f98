import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nextInForce } from '../../src/policy/last-good.ts'
import type { ParsedFile, PolicyFile, ReadFile } from '../../src/policy/parse.ts'
import { parseFile } from '../../src/policy/parse.ts'
import type { PolicyState } from '../../src/policy/state.ts'
import { NOTHING_IN_FORCE, nextState } from '../../src/policy/state.ts'
import { grant, lines, reader, text, transitKey } from './documents.ts'

type Files = Readonly<Record<string, string | Exclude<PolicyFile, { readonly text: string }>>>

/** What is in force after the directory held each of these in turn. */
function inTurn(...states: readonly Files[]): PolicyState {
  return states.reduce((previous, files) => nextState(previous, parsedFrom(files)), NOTHING_IN_FORCE)
}

function parsedFrom(files: Files): readonly ParsedFile[] {
  return Object.entries(files).map(([path, file]) => parseFile(typeof file === 'string' ? { path, text: file } : file))
}

/** Which version of each grant is in force, by the key its reader is granted. */
function versions({ policy }: PolicyState): Record<string, unknown> {
  return Object.fromEntries([...policy.grants].map(([id, { readers }]) => [id, readers[0]?.keys.toString()]))
}

function version(keys: string, name = 'db'): Readonly<Record<string, unknown>> {
  return grant({ readers: [reader({ keys: [keys] })] }, name)
}

function messages({ problems }: PolicyState): readonly string[] {
  return lines(problems.filter(({ level }) => level === 'error'))
}

const BROKEN = { ...version('bad'), extra: 1 }
const NAMELESS = { kind: 'SecretGrant' }
const NOT_YAML = 'a: [\n'
const LOST = { path: 'a', unreadable: 'This cannot be read (EIO).', tree: false }

describe('the verdict on a document', () => {
  const of = (before: PolicyState, files: Files) =>
    nextInForce(before, parsedFrom(files)).verdicts.map(({ id, outcome }) => `${id} ${outcome}`)
  const before = inTurn({ a: text(version('1')) })

  it.each<[situation: string, files: Files, outcome: 'taken' | 'kept' | undefined]>([
    ['there once, and good', { a: text(version('2')) }, 'taken'],
    ['there once, and good, in another file', { b: text(version('2')) }, 'taken'],
    ['there, and broken', { a: text(BROKEN) }, 'kept'],
    ['there twice in one file', { a: text(version('1'), version('1')) }, 'kept'],
    ['there twice in two files', { a: text(version('1')), b: text(version('1')) }, 'kept'],
    ['not there', { a: '' }, undefined],
    ['not there, beside one that does not tell which it is', { a: text(NAMELESS) }, 'kept'],
    ['not there, in a file that is not YAML', { a: NOT_YAML }, 'kept'],
    ['there, in a file that is not YAML', { a: `${text(version('2'))}---\n${NOT_YAML}` }, 'kept'],
    ['not there, in a file that cannot be read', { a: LOST }, 'kept'],
    ['nowhere, since the directory is gone', { '.': { path: '.', unreadable: 'Gone.', tree: true } }, 'kept'],
    ['in the subdirectory of another namespace', { 'bi/a': text(version('2')) }, undefined],
  ])('is as the decision has it: %s', (_, files, outcome) => {
    expect(of(before, files)).toEqual(outcome === undefined ? [] : [`SecretGrant payments/db ${outcome}`])
    // Whatever would keep a version denies where there is none; what only a file's past could show is not seen then.
    for (const verdict of of(NOTHING_IN_FORCE, files)) {
      expect(verdict).toBe(`SecretGrant payments/db ${outcome === 'kept' ? 'denied' : outcome}`)
    }
  })
})

describe('a broken document', () => {
  it('keeps its last good version, and the rest of its file is taken', () => {
    const state = inTurn({ a: text(version('1'), version('1', 'mail')) }, { a: text(BROKEN, version('2', 'mail')) })
    expect(versions(state)).toEqual({ 'payments/db': '1', 'payments/mail': '2' })
    expect(messages(state)).toEqual([
      'a:1:1: error: SecretGrant payments/db: This version is not taken. Its last good version stays in force.',
      expect.stringContaining('There is no field "extra" here.'),
    ])
  })

  it('is denied alone when keyhole starts with it', () => {
    const state = inTurn({ a: text(BROKEN, version('1', 'mail')) })
    expect(versions(state)).toEqual({ 'payments/mail': '1' })
    expect(messages(state)[0]).toContain('There is no good version of it: it is denied.')
  })

  it('is mended by its next good version', () => {
    const state = inTurn({ a: text(version('1')) }, { a: text(BROKEN) }, { a: text(version('2')) })
    expect(versions(state)).toEqual({ 'payments/db': '2' })
    expect(messages(state)).toEqual([])
  })

  it('keeps the last good version through several broken ones', () => {
    expect(
      versions(inTurn({ a: text(version('1')) }, { a: text(BROKEN) }, { a: text({ ...BROKEN, more: 1 }) })),
    ).toEqual({ 'payments/db': '1' })
  })

  it('is denied after it was gone, and does not come back to life', () => {
    expect(versions(inTurn({ a: text(version('1')) }, { a: '' }, { a: text(BROKEN) }))).toEqual({})
  })

  it('may be broken while it moves to another file', () => {
    expect(versions(inTurn({ a: text(version('1')), b: '' }, { a: '', b: text(BROKEN) }))).toEqual({
      'payments/db': '1',
    })
  })

  it('does not bring what is said of another namespace', () => {
    const other = grant({ readers: 'broken' }, 'db', 'bi')
    expect(versions(inTurn({ a: text(version('1')) }, { a: text(version('2'), other) }))).toEqual({
      'payments/db': '2',
    })
  })

  it('that is a Transit key keeps the grants of its last good version', () => {
    const state = inTurn({ a: text(transitKey(), grant()) }, { a: text(transitKey({ mount: '/x' }), grant()) })
    expect(state.policy.transitKeys.get('payments')?.mount).toBe('transit')
    expect(state.policy.grants.size).toBe(1)
  })

  it('has its warnings where it is now, not where its last good version was', () => {
    const state = inTurn({ a: `# one line\n${text(version('1'))}` }, { b: text({}, BROKEN) })
    expect(lines(state.problems).find((line) => line.includes('There is no TransitKey'))).toMatch(
      /^b:3:1: warning: SecretGrant payments\/db/,
    )
  })
})

describe('a document that is gone', () => {
  it('is not in force any more', () => {
    expect(
      versions(inTurn({ a: text(version('1'), version('1', 'mail')) }, { a: text(version('1', 'mail')) })),
    ).toEqual({ 'payments/mail': '1' })
  })

  it('is not in force any more when its file is empty, or gone, or has another name now', () => {
    expect(versions(inTurn({ a: text(version('1')) }, { a: '' }))).toEqual({})
    expect(versions(inTurn({ a: text(version('1')) }, {}))).toEqual({})
    expect(versions(inTurn({ a: text(version('1')) }, { 'a.bak': { path: 'a.bak', ignored: 'Not read.' } }))).toEqual(
      {},
    )
  })

  it('is not kept by another file that is broken', () => {
    expect(versions(inTurn({ a: text(version('1')), b: text(version('1', 'mail')) }, { b: NOT_YAML }))).toEqual({
      'payments/mail': '1',
    })
  })

  it('is not kept by a document beside it that is broken but tells which one it is', () => {
    expect(versions(inTurn({ a: text(version('1'), version('1', 'mail')) }, { a: text(BROKEN) }))).toEqual({
      'payments/db': '1',
    })
  })

  it('may move to another file', () => {
    expect(versions(inTurn({ a: text(version('1')) }, { b: text(version('2')) }))).toEqual({ 'payments/db': '2' })
  })
})

describe('a document that cannot be named', () => {
  const state = inTurn(
    { a: text(version('1'), version('1', 'mail'), version('1', 'gone')) },
    { a: text(version('2'), NAMELESS) },
  )

  it('keeps whatever else its file held, since it may be any of it; what the file shows is taken', () => {
    expect(versions(state)).toEqual({ 'payments/db': '2', 'payments/mail': '1', 'payments/gone': '1' })
  })

  it('says so, for one of them may have been meant to go', () => {
    expect(messages(state)).toContain(
      'a:3:1: error: This document is not taken, and does not tell which one it is. What it held before stays in force, even if it was to be removed: SecretGrant payments/gone, SecretGrant payments/mail.',
    )
  })

  it('does not count what the file shows among what it may hide', () => {
    const shown = inTurn({ a: text(version('1'), version('1', 'mail')) }, { a: text(BROKEN, NAMELESS) })
    expect(versions(shown)).toEqual({ 'payments/db': '1', 'payments/mail': '1' })
    expect(messages(shown)).toContainEqual(expect.stringMatching(/was to be removed: SecretGrant payments\/mail\.$/))
  })

  it('keeps nothing that its file did not hold', () => {
    expect(versions(inTurn({ b: text(version('1')) }, { a: text(NAMELESS) }))).toEqual({})
  })

  it('keeps nothing any more once it can be named', () => {
    const files = { a: text(version('2'), BROKEN, version('2', 'mail')) }
    expect(versions(inTurn({ a: text(version('1'), version('1', 'gone')) }, { a: text(NAMELESS) }, files))).toEqual({
      'payments/db': '1',
      'payments/mail': '2',
    })
  })
})

describe('a file that is kept broken, with other documents every time', () => {
  const many = (from: number, count: number) =>
    Array.from({ length: count }, (_, index) => ({ ...grant({}, `g${from + index}`), spec: {} }))

  it('holds no more than it could if it were not: what comes last is neither taken nor in the way', () => {
    const last = {
      a: text(...many(500, 498), NAMELESS, version('2')),
      b: text(version('1', 'g997'), version('1', 'g998')),
    }
    const state = inTurn({ a: text(...many(0, 499), version('1')) }, { a: text(NAMELESS, ...many(500, 498)) }, last)
    expect(state.homes.get('a')?.size).toBe(998)
    expect(versions(state)).toEqual({ 'payments/db': '2', 'payments/g998': '1' })
    const more = inTurn({ a: text(...many(0, 499), version('1')) }, { a: text(...many(1000, 600), NAMELESS) })
    expect(more.homes.get('a')?.size).toBe(1000)
    expect(versions(more)).toEqual({ 'payments/db': '1' })
    expect(messages(more)).toContain(
      'a:1:1: error: Since this file could last be read in full it has held more than 1000 documents. What came last is not taken.',
    )
  })
})

describe('a file that is not YAML, or cannot be read', () => {
  it.each([
    ['not YAML', `${text(version('2'))}---\n${NOT_YAML}`],
    ['not to be read', LOST],
  ])('keeps all it held, and nothing new of it is taken: %s', (_, a) => {
    const state = inTurn(
      { a: text(version('1'), version('1', 'mail')), b: text(version('1', 'other')) },
      { a, b: text(version('2', 'other')) },
    )
    expect(versions(state)).toEqual({ 'payments/db': '1', 'payments/mail': '1', 'payments/other': '2' })
    expect(messages(state).find((line) => line.includes('Nothing of this file'))).toContain(
      'even if it was to be removed: SecretGrant payments/',
    )
  })

  it('keeps it for as long as it stays so', () => {
    expect(versions(inTurn({ a: text(version('1')) }, { a: LOST }, { a: NOT_YAML }, { a: LOST }))).toEqual({
      'payments/db': '1',
    })
  })

  it('keeps nothing once it is gone', () => {
    expect(versions(inTurn({ a: text(version('1')) }, { a: LOST }, {}))).toEqual({})
  })

  it('grants nothing when keyhole starts with it', () => {
    const state = inTurn({ a: `${text(version('1'))}---\n${NOT_YAML}`, b: LOST })
    expect(versions(state)).toEqual({})
    expect(messages(state)).toContain('a:1:1: error: Nothing of this file is taken.')
  })

  it('lists no more than ten of what it keeps', () => {
    const many = Array.from({ length: 12 }, (_, index) => version('1', `g${10 + index}`))
    expect(messages(inTurn({ a: text(...many) }, { a: LOST }))).toContainEqual(
      expect.stringMatching(/payments\/g10, .*payments\/g19 and 2 more\.$/),
    )
  })
})

describe('a part of the directory that cannot be looked into', () => {
  const held = {
    'payments/a': text(version('1')),
    'payments/b': text(version('1', 'mail')),
    'payments-2/c': text(grant({ readers: [reader({ keys: ['1'] })] }, 'other', 'payments-2')),
    d: text(version('1', 'top')),
  }

  it('keeps what its files held, and no other', () => {
    const state = inTurn(held, {
      payments: { path: 'payments', unreadable: 'This directory cannot be read (EIO).', tree: true },
    })
    expect(versions(state)).toEqual({ 'payments/db': '1', 'payments/mail': '1' })
    expect(messages(state)[0]).toBe('payments:1:1: error: This directory cannot be read (EIO).')
  })

  it('is no file of which one could say that nothing is taken', () => {
    const lost = (code: string): Files => ({ '.': { path: '.', unreadable: `It is lost (${code}).`, tree: true } })
    expect(messages(inTurn({ d: '' }, lost('EIO'), lost('EACCES')))).toEqual([
      '.:1:1: error: It is lost (EACCES).',
      'd:1:1: error: Nothing of this file is taken.',
    ])
  })

  it('may be all of it', () => {
    const gone: Files = { '.': { path: '.', unreadable: 'The policy directory does not exist.', tree: true } }
    expect(versions(inTurn(held, gone, gone))).toEqual(versions(inTurn(held)))
    expect(versions(inTurn(held, gone, { d: text(version('2', 'top')) }))).toEqual({ 'payments/top': '2' })
  })

  it('still knows which file held what when one of them comes back broken', () => {
    const lost: Files = {
      payments: { path: 'payments', unreadable: 'This directory cannot be read (EIO).', tree: true },
    }
    expect(versions(inTurn(held, lost, { 'payments/a': NOT_YAML, 'payments/b': '' }))).toEqual({ 'payments/db': '1' })
  })
})

describe('a document that is there twice', () => {
  it('is denied when keyhole starts with it, both places being named', () => {
    const state = inTurn({ a: text(version('1')), b: `\n${text(version('2'))}` })
    expect(versions(state)).toEqual({})
    expect(messages(state)).toEqual([
      'a:1:1: error: SecretGrant payments/db: It is also in b:2:1: neither is taken. There is no good version of it: it is denied.',
      'b:2:1: error: SecretGrant payments/db: It is also in a:1:1: neither is taken. There is no good version of it: it is denied.',
    ])
  })

  it('keeps its last good version', () => {
    expect(versions(inTurn({ a: text(version('1')) }, { a: text(version('2')), b: text(version('3')) }))).toEqual({
      'payments/db': '1',
    })
  })

  it('is ambiguous also when both say the same', () => {
    expect(versions(inTurn({ a: text(version('1'), version('1')) }))).toEqual({})
  })

  it('is ambiguous also when one of the two is broken', () => {
    expect(versions(inTurn({ a: text(version('1')), b: text(BROKEN) }))).toEqual({})
    expect(versions(inTurn({ a: text(version('1')) }, { a: text(version('2'), BROKEN) }))).toEqual({
      'payments/db': '1',
    })
  })

  it('is ambiguous also when one of the two is in a file that is not YAML', () => {
    expect(versions(inTurn({ a: `${text(version('1'))}---\n${NOT_YAML}`, b: text(version('2')) }))).toEqual({})
  })

  it('is not taken over while the file that held it cannot be read', () => {
    const state = inTurn({ a: text(version('1')) }, { a: LOST, b: text(version('2')) })
    expect(versions(state)).toEqual({ 'payments/db': '1' })
    expect(messages(state)).toContain(
      'b:1:1: error: SecretGrant payments/db: It is also what a held before it became unreadable: neither is taken. Its last good version stays in force.',
    )
  })

  it('is not clear when one of the two loses its name: to break one must not be to choose the other', () => {
    expect(versions(inTurn({ a: text(version('1'), version('2')) }, { a: text(version('1'), NAMELESS) }))).toEqual({})
    expect(
      versions(inTurn({ a: text(version('1')), b: text(version('2')) }, { a: text(version('1')), b: text(NAMELESS) })),
    ).toEqual({})
  })

  it('is clear again once one of the two is gone', () => {
    const both = { a: text(version('1')), b: text(version('2')) }
    expect(versions(inTurn(both, { b: both.b }))).toEqual({ 'payments/db': '2' })
  })

  it('has one problem in each file, which names three other places and counts the rest', () => {
    const copies = Array.from({ length: 6 }, () => version('1'))
    const state = inTurn({ a: text(...copies), b: text(version('1')), c: text(version('1'), BROKEN) })
    const others = 'none is taken. There is no good version of it: it is denied.'
    expect(messages(state).filter((line) => line.includes('It is also'))).toEqual([
      `a:1:1: error: SecretGrant payments/db: It is also in a:3:1, and in a:5:1, and in a:7:1, and 5 times more: ${others}`,
      `b:1:1: error: SecretGrant payments/db: It is also in a:1:1, and in a:3:1, and in a:5:1, and 5 times more: ${others}`,
      `c:1:1: error: SecretGrant payments/db: It is also in a:1:1, and in a:3:1, and in a:5:1, and 5 times more: ${others}`,
    ])
  })

  it('costs little however often it is there: no copy names all the others', () => {
    const copies = '{kind: SecretGrant, metadata: {name: a, namespace: b}}\n---\n'.repeat(600)
    const { problems } = inTurn({ x: copies, y: copies, z: copies })
    expect(problems.filter(({ message }) => message.includes('and 1796 times more'))).toHaveLength(3)
    expect(JSON.stringify(problems).length).toBeLessThan(100_000)
  })

  it('is ambiguous for a Transit key as well', () => {
    const state = inTurn({ a: text(transitKey()), b: text(transitKey({ namespaces: ['evil'] })) })
    expect(state.policy.transitKeys.size).toBe(0)
  })

  it('is not confused with another kind of that name, or another namespace', () => {
    expect(inTurn({ a: text(transitKey({}, 'db'), version('1'), grant({}, 'db', 'bi')) }).documents.size).toBe(3)
  })
})

describe('warnings', () => {
  const warned = (...documents: readonly unknown[]) => lines(inTurn({ a: text(...documents) }).problems)

  it('name a Transit key that is not there, and the nearest one', () => {
    expect(warned(grant({ transitKey: 'paymens' }), transitKey())).toEqual([
      'a:1:184: warning: SecretGrant payments/db: There is no TransitKey "paymens". Did you mean "payments"? Until then the grant cannot be served.',
    ])
  })

  it('guess at twenty names and no more, since thousands may be wrong at once', () => {
    const wrong = Array.from({ length: 21 }, (_, index) => grant({ transitKey: `payments${100 + index}` }, `g${index}`))
    const told = warned(...wrong, grant({ transitKey: 'payments100' }, 'again'), transitKey({}, 'payments'))
    expect(told).toHaveLength(22)
    expect(told.filter((line) => line.includes('Did you mean "payments"?'))).toHaveLength(21)
  })

  it('name a namespace that the Transit key does not admit', () => {
    expect(warned(grant(), transitKey({ namespaces: ['bi'] }))).toEqual([
      'a:1:184: warning: SecretGrant payments/db: TransitKey "payments" does not list the namespace "payments" in spec.namespaces. Until then the grant cannot be served.',
    ])
  })

  it('name every grant of an unbound key that serves two Secrets', () => {
    const other = grant({ secretRef: { name: 'other', key: 'k' } }, 'other')
    expect(warned(grant(), other, transitKey({ binding: 'none' })).map((line) => line.slice(0, 75))).toEqual([
      'a:1:184: warning: SecretGrant payments/db: TransitKey "payments" has bindin',
      'a:3:170: warning: SecretGrant payments/other: TransitKey "payments" has bin',
    ])
  })

  it('say when nothing at all is in force', () => {
    expect(warned()).toEqual(['.:1:1: warning: No document is in force: nobody may read anything.'])
  })
})

describe('whatever happens to the files', () => {
  type Piece = { readonly name: string; readonly keys: string; readonly state: 'good' | 'broken' | 'nameless' }
  type Sheet = { readonly pieces: readonly Piece[]; readonly state: 'good' | 'not YAML' | 'lost' }
  type Directory = Readonly<Record<string, Sheet>>

  const piece: fc.Arbitrary<Piece> = fc.record({
    name: fc.constantFrom('db', 'mail', 'ftp'),
    keys: fc.constantFrom('1', '2'),
    state: fc.constantFrom('good', 'good', 'good', 'broken', 'nameless'),
  })
  const sheet: fc.Arbitrary<Sheet> = fc.record({
    pieces: fc.array(piece, { maxLength: 3 }),
    state: fc.constantFrom('good', 'good', 'good', 'not YAML', 'lost'),
  })
  const directory: fc.Arbitrary<Directory> = fc.dictionary(fc.constantFrom('a', 'b', 'c'), sheet)

  // Every piece is parsed once, and files are put together of what came out: parsing has tests of its own.
  const parsed = new Map<string, ReadFile>()
  function pieceOf(path: string, { name, keys, state }: Piece): ReadFile {
    const document = { good: version(keys, name), broken: { ...version(keys, name), extra: 1 }, nameless: NAMELESS }[
      state
    ]
    const whole = text(document)
    const known = parsed.get(path + whole) ?? (parseFile({ path, text: whole }) as ReadFile)
    parsed.set(path + whole, known)
    return known
  }
  function files(written: Directory): ParsedFile[] {
    return Object.entries(written).map(([path, { pieces, state }]) => {
      if (state === 'lost') return parseFile({ ...LOST, path })
      const made = pieces.map((each) => pieceOf(path, each))
      const documents = made.flatMap((each) => each.documents)
      const unsound = made.flatMap((each) => each.unsound)
      const nameless = made.flatMap((each) => each.nameless)
      const file = { path, tokens: 0, problems: [] }
      return state === 'good'
        ? { ...file, kind: 'read', documents, unsound, nameless }
        : { ...file, kind: 'broken', named: [...documents, ...unsound] }
    })
  }
  const run = (states: readonly Directory[]) =>
    states.reduce((previous, written) => nextState(previous, files(written)), NOTHING_IN_FORCE)
  const RUNS = { seed: 20261122, numRuns: 1000 }

  it('in force is a version that is there, once and good, or the one that was in force before', () => {
    fc.assert(
      fc.property(fc.array(directory, { maxLength: 3 }), directory, (past, now) => {
        const before = versions(run(past))
        const current = versions(nextState(run(past), files(now)))
        const readable = Object.values(now)
          .filter(({ state }) => state === 'good')
          .flatMap(({ pieces }) => pieces)
        for (const [id, keys] of Object.entries(current)) {
          const there = readable.filter(({ name, state }) => `payments/${name}` === id && state !== 'nameless')
          const taken = there.length === 1 && there[0]?.state === 'good' && there[0].keys === keys
          expect(taken || keys === before[id]).toBe(true)
        }
        // What is whole, and there once among files that are whole, is never held up.
        const whole = Object.values(now).every(
          ({ state, pieces }) => state === 'good' && pieces.every((each) => each.state === 'good'),
        )
        if (!whole) return
        for (const { name, keys } of readable) {
          if (readable.filter((each) => each.name === name).length === 1) expect(current[`payments/${name}`]).toBe(keys)
        }
        for (const id of Object.keys(current)) expect(readable.map(({ name }) => `payments/${name}`)).toContain(id)
      }),
      RUNS,
    )
  })

  it('to break things, and nothing else, changes nothing; neither does to mend them', () => {
    const damage = fc.array(
      fc.tuple(
        fc.constantFrom('a', 'b', 'c'),
        fc.nat({ max: 2 }),
        fc.constantFrom('broken', 'nameless', 'not YAML', 'lost'),
      ),
      { minLength: 1, maxLength: 3 },
    )
    fc.assert(
      fc.property(fc.array(directory, { maxLength: 2 }), directory, damage, (past, now, done) => {
        const state = nextState(run(past), files(now))
        const broken = nextState(state, files(done.reduce(damaged, now)))
        expect(versions(broken)).toEqual(versions(state))
        expect(versions(nextState(broken, files(now)))).toEqual(versions(state))
      }),
      RUNS,
    )
  })

  it('to look again changes nothing, and the order of files is nothing', () => {
    fc.assert(
      fc.property(fc.array(directory, { maxLength: 2 }), directory, (past, now) => {
        const state = nextState(run(past), files(now))
        const again = nextState(state, files(now))
        expect(again.policy.hash).toBe(state.policy.hash)
        expect(nextState(run(past), files(now).reverse()).policy.hash).toBe(state.policy.hash)
      }),
      RUNS,
    )
  })

  function damaged(written: Directory, [path, index, how]: readonly [string, number, string]): Directory {
    const sheet = written[path]
    if (sheet === undefined) return written
    if (how === 'not YAML' || how === 'lost') return { ...written, [path]: { ...sheet, state: how } }
    const state: Piece['state'] = how === 'broken' ? 'broken' : 'nameless'
    // What is nameless already stays so: to give it its name back would be to mend it.
    const pieces = sheet.pieces.map((each, place) =>
      place === index && each.state !== 'nameless' ? { ...each, state } : each,
    )
    return { ...written, [path]: { ...sheet, pieces } }
  }
})

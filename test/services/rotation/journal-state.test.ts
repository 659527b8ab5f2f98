import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BLOCKED } from '../../../src/contract.ts'
import type { Failure, Intent, JournalState, Known, Last } from '../../../src/services/rotation/journal-state.ts'
import {
  EMPTY_STATE,
  formatState,
  hasRoom,
  MAX_STATE_BYTES,
  parseState,
  withIntent,
} from '../../../src/services/rotation/journal-state.ts'

const name = fc.oneof(
  fc.constantFrom('payments', '__proto__', 'constructor', 'toString', 'é'.repeat(200)),
  fc.string({ minLength: 1, maxLength: 253, unit: 'grapheme-ascii' }),
)
const id = fc.uuid()
const count = fc.nat()
const time = fc.integer({ min: 0, max: 8.64e15 })
const version = fc.integer({ min: 1, max: 1_000_000 })
const mode = fc.constantFrom('rotate', 'rewrap')
const retire = fc.constantFrom('after-grace', 'now', 'never')
const digest = fc.stringMatching(/^[A-Za-z0-9_-]{43}$/)
const idempotency = fc.option(fc.record({ key: digest, request: digest }), { nil: undefined })
const NOW = 5_000
const bare = { noNullPrototype: true }

const intent = fc.record(
  {
    id,
    key: name,
    mount: name,
    from: version,
    target: version,
    mode,
    retire,
    by: fc.string({ minLength: 3, maxLength: 400 }),
    startedAtMs: time,
    raising: fc.option(fc.record({ before: version, after: version }, bare), { nil: undefined }),
  },
  bare,
)

const run = fc.record({ id, startedAtMs: time, done: count, total: count, idempotency }, bare)

const failure: fc.Arbitrary<Failure> = fc.record(
  {
    key: name,
    namespace: name,
    name,
    outcome: fc.constantFrom('blocked', 'left'),
    code: fc.option(fc.constantFrom(...(Object.keys(BLOCKED) as (keyof typeof BLOCKED)[])), { nil: undefined }),
  },
  bare,
)

const last: fc.Arbitrary<Last> = fc.record(
  {
    id,
    finishedAtMs: time,
    failures: fc.array(failure, { maxLength: 50 }),
    keys: fc.array(
      fc.record(
        { key: name, complete: fc.boolean(), rewrapped: count, current: count, blocked: count, left: count },
        bare,
      ),
      { maxLength: 40 },
    ),
    idempotency,
  },
  bare,
)

const digests = fc.array(fc.stringMatching(/^[A-Za-z0-9_-]{10}$/), { maxLength: 6_000 }).map((all) => all.join(''))
const known: fc.Arbitrary<Known> = fc.record(
  {
    key: name,
    secrets: fc.option(fc.oneof({ weight: 3, arbitrary: digests.map((text) => text.slice(0, 70)) }, digests), {
      nil: null,
    }),
    dropped: fc.dictionary(fc.stringMatching(/^[A-Za-z0-9_-]{10}$/), time, { maxKeys: 5, ...bare }),
  },
  bare,
)

const state: fc.Arbitrary<JournalState> = fc.record(
  {
    intents: fc.uniqueArray(intent, { maxLength: 3, selector: ({ key }) => key }),
    forgotAtMs: fc.option(time, { nil: undefined }),
    run: fc.option(run, { nil: undefined }),
    last: fc.option(last, { nil: undefined }),
    known: fc.uniqueArray(known, { maxLength: 12, selector: ({ key }) => key }),
  },
  bare,
)

/** As JSON has it: what is undefined is not there. */
function written(of: JournalState): JournalState {
  return JSON.parse(JSON.stringify(of))
}

describe('formatState and parseState', () => {
  test('keep any state that fits, and never more than 192 KiB', () => {
    fc.assert(
      fc.property(state, (given) => {
        const text = formatState(given, NOW)
        expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MAX_STATE_BYTES)
        const found = parseState(text)
        // Whatever had to go: what is to be finished did not, and a key that was known is not taken for a new one.
        expect(found?.intents).toEqual(written(given).intents)
        expect(found?.forgotAtMs).toEqual(given.forgotAtMs)
        expect(found?.run).toEqual(written(given).run)
        expect(found?.known.map(({ key }) => key).toSorted()).toEqual(given.known.map(({ key }) => key).toSorted())
        // A few bytes more than this has it, for the times.
        if (Buffer.byteLength(JSON.stringify(given)) <= MAX_STATE_BYTES - 2_000) expect(found).toEqual(written(given))
      }),
    )
  })

  const secrets = (key: string, bytes: number) => ({ key, secrets: 'x'.repeat(bytes - (bytes % 10)), dropped: {} })
  const [told] = fc.sample(last, { numRuns: 1, seed: 1 })
  const failures = Array.from({ length: 50 }, (): Failure => {
    return { key: 'payments', namespace: 'n'.repeat(200), name: 's'.repeat(200), outcome: 'left' }
  })
  const ending: Last = {
    ...(told as Last),
    failures,
    keys: [{ key: 'payments', complete: true, rewrapped: 1, current: 0, blocked: 0, left: 50 }],
  }

  test('forget the failures before anything else', () => {
    const given = { intents: [], last: ending, known: [secrets('a', 180_000)] }
    expect(parseState(formatState(given, NOW))).toEqual(written({ ...given, last: { ...ending, failures: [] } }))
  })

  test('forget the last rotation before what is known of a key', () => {
    const given = { intents: [], last: ending, known: [secrets('a', 196_400)] }
    expect(parseState(formatState(given, NOW))).toEqual({ intents: [], known: given.known })
  })

  test('forget of keys the longest first, and only so many as they must', () => {
    const given = {
      intents: [],
      known: [secrets('a', 60_000), secrets('b', 90_000), secrets('c', 30_000), secrets('d', 75_000)],
    }
    expect(parseState(formatState(given, NOW))?.known.toSorted((one, other) => (one.key < other.key ? -1 : 1))).toEqual(
      given.known.map((one) => (one.key === 'b' ? { key: 'b', secrets: null, dropped: {} } : one)),
    )
  })

  test('forget what is known of one key, and not that nothing is known of another', () => {
    const given = { intents: [], known: [{ key: 'a', secrets: null, dropped: {} }, secrets('b', 200_000)] }
    expect(parseState(formatState(given, NOW))?.known).toEqual([
      { key: 'b', secrets: null, dropped: {} },
      { key: 'a', secrets: null, dropped: {} },
    ])
  })

  test('keep the intent even where the names of all keys are too many', () => {
    const [begun] = fc.sample(intent, { numRuns: 1, seed: 1 })
    const names = Array.from({ length: 900 }, (_, index) => `${index}`.padEnd(250, 'k'))
    const known = names.map((one) => secrets(one, 70))
    expect(parseState(formatState({ intents: [begun as Intent], known }, NOW))).toEqual(
      // That something was forgotten is not: until it is long ago, nothing is retired.
      written({ intents: [begun as Intent], known: [], forgotAtMs: NOW }),
    )
  })

  test('remember 19,000 Secrets, also when all of them leave at once', () => {
    const digests = Array.from({ length: 19_000 }, (_, index) => `${index}`.padStart(10, 'x'))
    const here = { key: 'payments', secrets: digests.join(''), dropped: {} }
    const gone = { key: 'payments', secrets: '', dropped: Object.fromEntries(digests.map((one) => [one, NOW])) }
    for (const known of [here, gone])
      expect(parseState(formatState({ intents: [], known: [known] }, NOW))?.known).toEqual([known])
  })

  test('keep every intent for as long as there is room, also once each is about to raise', () => {
    const [first] = fc.sample(intent, { numRuns: 1, seed: 1 }) as [Intent]
    const begun = (index: number): Intent => ({
      ...first,
      key: `payments-${index}`,
      mount: 'transit',
      by: 'keyhole/keyhole-cron',
      raising: undefined,
    })
    let full = EMPTY_STATE
    for (let next = withIntent(full, begun(0)); hasRoom(next); next = withIntent(full, begun(full.intents.length)))
      full = next
    expect(full.intents.length).toBeGreaterThan(600)
    const raising = { before: 1_000_000, after: 1_000_001 }
    const run = { id: first.id, startedAtMs: NOW, done: 1_000_000, total: 1_000_000 }
    const raised = { ...full, run, intents: full.intents.map((one) => ({ ...one, raising })) }
    expect(parseState(formatState(raised, NOW))?.intents).toEqual(raised.intents)
  })

  test('an empty annotation is an empty state', () => {
    expect(parseState('')).toEqual(EMPTY_STATE)
  })
})

describe('what somebody else wrote is no state', () => {
  const begun = {
    id: '0a',
    key: 'payments',
    mount: 'transit',
    from: 1,
    target: 2,
    mode: 'rotate',
    retire: 'never',
    by: 'keyhole/cron',
    startedAtMs: 1,
  }
  const failed = { key: 'payments', namespace: 'payments', name: 'db', outcome: 'left' }
  const known = { key: 'payments', secrets: 'abcdefghij', dropped: [{ sinceMs: 1, secrets: 'abcdefghijABCDEFGHIJ' }] }
  const over = { id: '0a', finishedAtMs: 1, failures: [failed], keys: [] }
  const good = { intents: [begun], last: over, known: [known] }
  const but = (change: object) => JSON.stringify({ ...good, ...change })
  const butBegun = (change: object) => but({ intents: [{ ...begun, ...change }] })
  const butKnown = (change: object) => but({ known: [{ ...known, ...change }] })

  test('this one is, but for what each case changes', () => {
    const dropped = { abcdefghij: 1, ABCDEFGHIJ: 1 }
    expect(parseState(but({}))).toEqual({ ...good, known: [{ ...known, dropped }] })
  })

  test.each<[string, string]>([
    ['no JSON', but({}).slice(0, -1)],
    ['null', 'null'],
    ['a list', '[]'],
    ['no member', '{}'],
    ['a member more', but({ admin: true })],
    ['a member of the prototype', but({}).replace('{', '{"__proto__":{"run":1},')],
    ['one intent instead of a list', but({ intents: begun })],
    ['a member of the intent more', butBegun({ force: true })],
    ['an intent without a target', butBegun({ target: undefined })],
    ['a target of zero', butBegun({ target: 0 })],
    ['a target between two', butBegun({ target: 1.5 })],
    ['a target beyond all counting', butBegun({ target: 1e308 })],
    ['a target in words', butBegun({ target: '2' })],
    ['another mode', butBegun({ mode: 'delete' })],
    ['an id that would speak to a terminal', butBegun({ id: '\u001b[2J' })],
    ['a time that no Date holds', butBegun({ startedAtMs: 1e300 })],
    ['a key without a name', butBegun({ key: '' })],
    ['a raise to no version', butBegun({ raising: { before: 1, after: 0 } })],
    ['digests that are cut', butKnown({ secrets: 'abc' })],
    ['a digest in other characters', butKnown({ secrets: 'abcd efghi' })],
    ['keys by name', but({ known: { payments: known } })],
    ['what was dropped, digest by digest', butKnown({ dropped: { abcdefghij: 1 } })],
    ['what was dropped, cut', butKnown({ dropped: [{ sinceMs: 1, secrets: 'abc' }] })],
    ['more than 192 KiB', butKnown({ secrets: 'x'.repeat(200_000) })],
    ['more than 192 KiB of blanks', `${' '.repeat(MAX_STATE_BYTES)}${but({})}`],
    ['more failures than it keeps', but({ last: { ...over, failures: Array(51).fill(failed) } })],
    ['a reason that is none', but({ last: { ...over, failures: [{ ...failed, code: 'constructor' }] } })],
    ['ten thousand brackets', '['.repeat(10_000)],
  ])('%s', (_, text) => {
    expect(parseState(text)).toBeUndefined()
  })

  test('any text at all is read or refused, never thrown over', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(() => parseState(text)).not.toThrow()
      }),
    )
  })
})

/** dictionary.ts held against JSON.parse, which reads the same language and knows nothing of its code. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Bounds, Flaw } from '../src/dictionary.ts'
import { DictionaryError, elements, find, members, pick } from '../src/dictionary.ts'

const BOUNDS: Bounds = { maxBytes: 1 << 20, maxDepth: 1_000 }
const SEED = 20_251_122

// Thousands of documents in one test: on a busy machine that is more than a default for waiting allows.
const ODD_KEYS = [
  '',
  '__proto__',
  'constructor',
  'toString',
  '0',
  'a',
  'A',
  '"',
  '\\',
  '/',
  '\n',
  '\0',
  ' ',
  'é',
  'e\u0301',
  '€',
]

const key = fc.oneof(
  fc.constantFrom(...ODD_KEYS, '😀', '\ud83d', '\ude00', '\ufeff', '\u2028'),
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 4 }).map((units) => String.fromCharCode(...units)),
)

const value = fc.oneof(
  fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' }).map((json) => JSON.stringify(json)),
  fc.constantFrom(
    '12345678901234567890',
    '1.0',
    '-0',
    '1E400',
    '{"a":1,"a":2}',
    '"\\/\\u0041\\ud83d"',
    '{"__proto__":null}',
  ),
)

interface Written {
  readonly bytes: Buffer
  readonly parts: readonly { readonly key: string; readonly writtenKey: string; readonly value: string }[]
}

/** An object as some other program might write it: any spelling of its names, any white space. */
const written: fc.Arbitrary<Written> = fc
  .record({
    entries: fc.uniqueArray(fc.tuple(key, value), { selector: ([name]) => name, maxLength: 8 }),
    choices: fc.array(fc.nat(), { minLength: 1, maxLength: 50 }),
  })
  .map(({ entries, choices }) => {
    const choose = chooser(choices)
    const space = () => ['', '', '', ' ', '\n', '\t', '\r\n  '][choose(7)] ?? ''
    const parts = entries.map(([name, json]) => ({
      key: name,
      writtenKey: spelled(name, choose),
      value: tokens(json).reduce((text, token) => text + space() + token),
    }))
    const inner = parts.map((part) => `${part.writtenKey}${space()}:${space()}${part.value}`)
    const text = `${space()}{${space()}${inner.join(`${space()},${space()}`)}${space()}}${space()}`
    return { bytes: Buffer.from(text), parts }
  })

const FRAGMENTS = [
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '"',
  '\\',
  '\\u',
  '0',
  '-',
  '.',
  'e',
  'NaN',
  'null',
  ' ',
  '\t',
  '\0',
  '"a":1,',
  '{}',
  'é',
  '\ufeff',
]

/** One thing going wrong with a document. */
const mutation: fc.Arbitrary<(bytes: Buffer) => Buffer> = fc
  .record({
    kind: fc.constantFrom('replace', 'insert', 'fragment', 'delete', 'cut', 'repeat', 'swap', 'list', 'twice'),
    at: fc.nat(),
    length: fc.integer({ min: 1, max: 20 }),
    byte: fc.nat({ max: 255 }),
    fragment: fc.constantFrom(...FRAGMENTS).map((text) => Buffer.from(text)),
  })
  .map(({ kind, at, length, byte, fragment }) => (bytes) => {
    const start = at % (bytes.length + 1)
    const [before, slice, after] = [
      bytes.subarray(0, start),
      bytes.subarray(start, start + length),
      bytes.subarray(start),
    ]
    switch (kind) {
      case 'replace':
        return Buffer.concat([before, Buffer.from([byte]), after.subarray(1)])
      case 'insert':
        return Buffer.concat([before, Buffer.from([byte]), after])
      case 'fragment':
        return Buffer.concat([before, fragment, after])
      case 'delete':
        return Buffer.concat([before, after.subarray(length)])
      case 'cut':
        return before
      case 'repeat':
        return Buffer.concat([before, slice, after])
      case 'swap':
        return Buffer.concat([after, before])
      case 'list':
        return Buffer.from(`[${bytes},0]`)
      default:
        return Buffer.from(`{"a":${bytes},"\\u0061":0}`)
    }
  })

describe('members', () => {
  test('agrees with whoever wrote the object on every key and every value', () => {
    check(written, ({ bytes, parts }) => {
      const found = members(bytes, BOUNDS).map((member) => ({
        key: member.key,
        writtenKey: bytes.toString('utf8', member.keyStart, member.keyEnd),
        value: bytes.toString('utf8', member.valueStart, member.valueEnd),
      }))
      expect(found).toEqual(parts)
    })
  })

  test('agrees with JSON.parse on every key and every value', () => {
    // Lone surrogates apart: JSON.stringify escapes them, and of those JSON.parse is no judge (see the next test).
    const name = key.map((units) => units.toWellFormed().replaceAll(/["\\\p{Cc}]/gu, '_'))
    const entries = fc.uniqueArray(fc.tuple(name, fc.jsonValue({ maxDepth: 4, stringUnit: 'binary' })), {
      selector: ([key]) => key,
    })
    check(fc.tuple(entries, fc.nat({ max: 4 })), ([pairs, indent]) => {
      const json = JSON.stringify(Object.fromEntries(pairs), null, indent)
      const parsed: Record<string, unknown> = JSON.parse(json)
      const bytes = Buffer.from(json)
      const found = members(bytes, BOUNDS)
      expect(found.map((member) => member.key)).toEqual(Object.keys(parsed))
      for (const member of found) {
        const value: unknown = JSON.parse(bytes.toString('utf8', member.valueStart, member.valueEnd))
        expect(value).toEqual(Object.getOwnPropertyDescriptor(parsed, member.key)?.value)
      }
    })
  })

  test('reads a name that JSON.parse misreads once it has seen a backslash for a name (nodejs/node#63785)', () => {
    JSON.parse('{"\\\\":0}')
    for (const name of ['€', '"', '\n', '\ud83d']) {
      const unit = name.charCodeAt(0).toString(16).padStart(4, '0')
      expect(members(Buffer.from(`{"\\u${unit}":0}`), BOUNDS)[0]?.key).toBe(name)
    }
  })

  test('tells the same of an object that lies inside other bytes', () => {
    const around = fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes))
    check(fc.tuple(around, written, around), ([before, { bytes }, after]) => {
      const shift = before.length
      const inside = members(Buffer.concat([before, bytes, after]), BOUNDS, { start: shift, end: shift + bytes.length })
      const moved = members(bytes, BOUNDS).map((member) => ({
        key: member.key,
        keyStart: member.keyStart + shift,
        keyEnd: member.keyEnd + shift,
        valueStart: member.valueStart + shift,
        valueEnd: member.valueEnd + shift,
      }))
      expect(inside).toEqual(moved)
    })
  })

  test('accepts mutated bytes exactly when JSON.parse finds an object and no key is there twice', () => {
    const seen = new Map<Verdict, number>()
    check(
      fc.tuple(written, fc.array(mutation, { minLength: 1, maxLength: 3 })),
      ([{ bytes }, mutations]) => {
        const mutated = mutations.reduce((before, mutate) => mutate(before), bytes)
        const verdict = verdictOf(() => members(mutated, BOUNDS))
        expect(verdict).toBe(expectedVerdict(mutated))
        seen.set(verdict, (seen.get(verdict) ?? 0) + 1)
      },
      4_000,
    )
    // Runs that never met one of the four would prove nothing of it.
    for (const count of [
      seen.get('accepted'),
      seen.get('duplicate-key'),
      seen.get('not-an-object'),
      seen.get('refused'),
    ]) {
      expect(count).toBeGreaterThan(20)
    }
  })

  test('accepts any bytes exactly when JSON.parse does', () => {
    check(fc.uint8Array({ maxLength: 12 }), (bytes) => {
      expect(disagreement(Buffer.from(bytes))).toBeUndefined()
    })
  })

  test('accepts a document of up to four characters exactly when JSON.parse does, for every such document', () => {
    expect(disagreements(words('{}[]",: 1n\ufeff', 4))).toEqual([])
  })

  test('accepts a value of up to four characters exactly when JSON.parse does, for every such value', () => {
    expect(disagreements(words('{}[]",:0-a\\/', 4).map((text) => `{"a":${text}}`))).toEqual([])
  })

  test('accepts a number of up to five characters exactly when JSON.parse does, for every such number', () => {
    expect(disagreements(words('-+01.eE', 5).map((text) => `{"a":${text}}`))).toEqual([])
  })

  test('accepts a byte exactly when JSON.parse does, for every byte in every place of a string and around it', () => {
    const places = [
      ['{"a":"', '"}'],
      ['{"a":"\\', '"}'],
      ['{"a":"\\u', '000"}'],
      ['{"a":"\\u00', '0"}'],
      ['{"a":"\\u000', '"}'],
      ['{"', '":1}'],
      ['{"\\', '":1}'],
      ['{"\\u000', '":1}'],
      ['{"a":', '1}'],
      ['{"a":1', '}'],
      ['{"a":', '}'],
      ['{"a"', ':1}'],
      ['{"a":1}', ''],
      ['', '{"a":1}'],
    ] as const
    const documents = places.flatMap(([before, after]) =>
      Array.from({ length: 256 }, (_, byte) =>
        Buffer.concat([Buffer.from(before), Buffer.from([byte]), Buffer.from(after)]),
      ),
    )
    expect(disagreements(documents)).toEqual([])
  })

  test('takes bytes for UTF-8 exactly when they are, for every first byte and each bound of those that follow', () => {
    const following = [[], [0x22], [0x7f], [0x80], [0x8f], [0x90], [0x9f], [0xa0], [0xbf], [0xc0], [0xff]]
    const tails = [[], [0x80], [0xbf], [0x80, 0x80], [0xbf, 0xbf], [0x7f, 0x80]]
    const wrong = following
      .flatMap((second) => tails.map((tail) => [...second, ...tail]))
      .flatMap((rest) => Array.from({ length: 256 }, (_, first) => Buffer.from([first, ...rest])))
      .filter((bytes) => {
        const sound = bytes.equals(Buffer.from(bytes.toString()))
        return sound !== (flawOf(() => elements(bytes, BOUNDS)) !== 'not-utf8')
      })
    expect(wrong).toEqual([])
  })

  test('calls every cut of a document truncated, or cut inside a character, and never takes one', () => {
    const cut = fc.tuple(written, fc.nat()).map(([{ bytes }, at]) => {
      const document = Buffer.from(bytes.toString().trim())
      return document.subarray(0, 1 + (at % (document.length - 1)))
    })
    check(cut, (bytes) => {
      expect(['truncated', 'not-utf8']).toContain(flawOf(() => members(bytes, BOUNDS)))
    })
  })

  test('refuses every object that names one key twice, however it is spelled', () => {
    const choices = fc.array(fc.nat(), { minLength: 1, maxLength: 9 })
    check(fc.tuple(written, key, value, value, choices), ([{ parts }, name, first, second, numbers]) => {
      const choose = chooser(numbers)
      const others = parts.filter((part) => part.key !== name).map((part) => `${part.writtenKey}:${part.value}`)
      others.splice(choose(others.length + 1), 0, `${spelled(name, choose)}:${first}`)
      others.splice(choose(others.length + 1), 0, `${spelled(name, choose)}:${second}`)
      expect(flawOf(() => members(Buffer.from(`{${others.join(',')}}`), BOUNDS))).toBe('duplicate-key')
    })
  })

  test('holds to the bounds whatever it reads', () => {
    check(fc.tuple(written, fc.nat({ max: 200 }), fc.nat({ max: 6 })), ([{ bytes }, maxBytes, maxDepth]) => {
      const flaw = flawOf(() => members(bytes, { maxBytes, maxDepth }))
      if (bytes.length > maxBytes) expect(flaw).toBe('too-large')
      else expect(flaw).toBe(depthOf(bytes.toString()) > maxDepth ? 'too-deep' : undefined)
    })
  })
})

describe('pick', () => {
  test('never yields a key outside the grant, and accounts for every granted one', () => {
    check(fc.tuple(written, fc.array(key), fc.array(fc.nat())), ([{ bytes, parts }, strangers, indexes]) => {
      const own = indexes.flatMap((index) => parts[index % Math.max(1, parts.length)]?.key ?? [])
      const grant = new Set([...strangers, ...own])
      const { picked, missing } = pick(bytes, grant, BOUNDS)
      const keys = picked.map((member) => member.key)
      expect(keys).toEqual(parts.map((part) => part.key).filter((name) => grant.has(name)))
      expect(new Set([...keys, ...missing])).toEqual(grant)
      expect(keys.length + missing.length).toBe(grant.size)
    })
  })

  test('refuses exactly what members refuses, whatever is granted', () => {
    check(fc.tuple(written, mutation, fc.uniqueArray(key)), ([{ bytes }, mutate, grant]) => {
      const mutated = mutate(bytes)
      const seen = flawOf(() => pick(mutated, new Set(grant), BOUNDS))
      expect(seen).toBe(flawOf(() => members(mutated, BOUNDS)))
    })
  })
})

describe('find and elements', () => {
  test('find each value at the path that leads to it, and nothing beside it', () => {
    check(fc.tuple(written, key, key, fc.array(value, { maxLength: 4 })), ([{ bytes, parts }, outer, middle, list]) => {
      const answer = Buffer.from(
        `{${JSON.stringify(outer)}:{${JSON.stringify(middle)}:[${[bytes.toString(), ...list].join(' , ')}]}}`,
      )
      const found = elements(answer, BOUNDS, find(answer, [outer, middle], BOUNDS))
      expect(found.map((span) => answer.toString('utf8', span.start, span.end))).toEqual([
        bytes.toString().trim(),
        ...list,
      ])
      for (const part of parts) {
        const span = find(answer, [part.key], BOUNDS, found[0])
        expect(answer.toString('utf8', span?.start, span?.end)).toBe(part.value)
      }
      expect(find(answer, [outer, `${middle}x`], BOUNDS)).toBeUndefined()
    })
  })
})

function check<T>(arbitrary: fc.Arbitrary<T>, holds: (generated: T) => void, numRuns = 1_000): void {
  fc.assert(fc.property(arbitrary, holds), { seed: SEED, numRuns })
}

/** Deals out generated numbers, over and over. */
function chooser(numbers: readonly number[]): (below: number) => number {
  let next = 0
  return (below) => {
    next += 1
    return (numbers[next % numbers.length] ?? 0) % below
  }
}

/** Every text of up to `length` characters of an alphabet. */
function words(alphabet: string, length: number): string[] {
  if (length === 0) return ['']
  const shorter = words(alphabet, length - 1)
  const longest = shorter.filter((word) => word.length === length - 1)
  return [...shorter, ...longest.flatMap((word) => [...alphabet].map((letter) => word + letter))]
}

/** A name as JSON, each character raw where that is allowed or escaped in any of its spellings. */
function spelled(name: string, choose: (below: number) => number): string {
  const short: Record<string, string> = {
    '"': '"',
    '\\': '\\',
    '/': '/',
    '\b': 'b',
    '\f': 'f',
    '\n': 'n',
    '\r': 'r',
    '\t': 't',
  }
  const letters = [...name].map((character) => {
    const units = Array.from({ length: character.length }, (_, at) =>
      character.charCodeAt(at).toString(16).padStart(4, '0'),
    )
    const spellings = [units.map((hex) => `\\u${hex}`).join(''), units.map((hex) => `\\u${hex.toUpperCase()}`).join('')]
    if (short[character] !== undefined) spellings.push(`\\${short[character]}`)
    if (JSON.stringify(character) === `"${character}"`) spellings.push(character, character, character)
    return spellings[choose(spellings.length)]
  })
  return `"${letters.join('')}"`
}

/** The tokens of valid JSON, found without knowing how they nest. */
function tokens(json: string): string[] {
  return json.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs) ?? []
}

function depthOf(json: string): number {
  let depth = 0
  let deepest = 0
  for (const token of tokens(json)) {
    if (token === '{' || token === '[') depth += 1
    if (token === '}' || token === ']') depth -= 1
    deepest = Math.max(deepest, depth)
  }
  return deepest
}

/** The names of the outermost object of valid JSON, each as often as it is there. */
function outermostKeys(json: string): string[] {
  const keys: string[] = []
  let depth = 0
  const all = tokens(json)
  for (const [index, token] of all.entries()) {
    if (token === '{' || token === '[') depth += 1
    if (token === '}' || token === ']') depth -= 1
    if (depth === 1 && all[index + 1] === ':') keys.push(JSON.parse(token))
  }
  return keys
}

type Verdict = 'accepted' | 'duplicate-key' | 'not-an-object' | 'refused'

/** What JSON.parse makes of the same bytes. */
function expectedVerdict(bytes: Buffer): Verdict {
  let text: string
  let parsed: unknown
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    parsed = JSON.parse(text)
  } catch {
    return 'refused'
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return 'not-an-object'
  const keys = outermostKeys(text)
  return new Set(keys).size === keys.length ? 'accepted' : 'duplicate-key'
}

function verdictOf(act: () => unknown): Verdict {
  const flaw = flawOf(act)
  if (flaw === undefined) return 'accepted'
  return flaw === 'duplicate-key' || flaw === 'not-an-object' ? flaw : 'refused'
}

function flawOf(act: () => unknown): Flaw | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    if (error instanceof DictionaryError) return error.flaw
    throw error
  }
}

function disagreements(documents: readonly (string | Buffer)[]): string[] {
  return documents.flatMap((document) => disagreement(Buffer.from(document)) ?? [])
}

function disagreement(bytes: Buffer): string | undefined {
  const [ours, theirs] = [verdictOf(() => members(bytes, BOUNDS)), expectedVerdict(bytes)]
  return ours === theirs ? undefined : `${bytes.toString('latin1')}: ${ours}, where JSON.parse says ${theirs}`
}

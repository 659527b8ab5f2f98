import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openChain, sha256 } from '../../src/audit-log/chain.ts'
import type { Head } from '../../src/audit-log/record.ts'
import type { Verification } from '../../src/audit-log/verify.ts'
import { verify } from '../../src/audit-log/verify.ts'
import { decision, NOW_MS, start } from './records.ts'

const SEED = { seed: 20261122 }

/** One chain: a start, so many decisions, and a stop if asked. */
function chainOf(instance: string, decisions: number, options: { previous?: Head; stop?: boolean } = {}): string[] {
  const chain = openChain(instance)
  const lines = [chain.next(start({ previous: options.previous }))]
  for (let index = 0; index < decisions; index += 1) lines.push(chain.next(decision({ requestId: `r-${index}` })))
  if (options.stop) lines.push(chain.next({ kind: 'stop', timeMs: NOW_MS }))
  return lines
}

function headOf(lines: readonly string[]): Head {
  const last = lines.at(-1) ?? ''
  const { instance, seq } = JSON.parse(last).chain
  return { instance, seq, sha256: sha256(last) }
}

function at<T>(list: readonly T[], index: number): T {
  const found = list[index]
  if (found === undefined) throw new Error(`nothing at ${index}`)
  return found
}

function sound(result: Verification): boolean {
  return result.broken === undefined && result.tornTail === 0
}

/** Three runs on one file, each quoting the one before. */
function threeRuns(): string[] {
  const first = chainOf('i-1', 3, { stop: true })
  const second = chainOf('i-2', 2, { previous: headOf(first) })
  const third = chainOf('i-3', 4, { previous: headOf(second) })
  return [...first, ...second, ...third]
}

describe('chains that hold', () => {
  it('follows a file of restarts, and says which ended in good order', () => {
    const lines = threeRuns()
    const result = verify(lines)
    expect(result).toMatchObject({ broken: undefined, lines: lines.length, tornTail: 0 })
    expect(result.chains.map(({ head, stopped }) => [head.instance, head.seq, stopped])).toEqual([
      ['i-1', 4, true],
      ['i-2', 2, false],
      ['i-3', 4, false],
    ])
  })

  it('follows instances that interleave, each by itself', () => {
    const one = chainOf('i-1', 5)
    const other = chainOf('i-2', 5, { previous: headOf(one.slice(0, 2)) })
    const mixed = [at(one, 0), at(one, 1), ...one.slice(2).flatMap((line, index) => [line, at(other, index)])]
    expect(verify([...mixed, ...other.slice(4)]).broken).toBeUndefined()
  })

  it('takes a file that begins by quoting a line of the file before it', () => {
    const before = chainOf('i-1', 2)
    expect(verify(chainOf('i-2', 2, { previous: headOf(before) })).broken).toBeUndefined()
  })

  it('takes bytes as well as text, and nothing at all', () => {
    expect(verify(threeRuns().map((line) => Buffer.from(line))).broken).toBeUndefined()
    expect(verify([])).toEqual({ broken: undefined, lines: 0, chains: [], tornTail: 0 })
  })

  it('asks no quotes of lines collected from standard output', () => {
    const collected = ['i-1', 'i-2'].flatMap((instance) => [openChain(instance).next(start({ sink: 'stdout' }))])
    expect(verify(collected).broken).toBeUndefined()
  })
})

describe('tampering', () => {
  const lines = threeRuns()
  /** The newest line of the file has no successor to vouch for it. */
  const guarded = fc.nat({ max: lines.length - 2 })

  it('finds any edit of a line', () => {
    fc.assert(
      fc.property(guarded, fc.nat(), fc.integer({ min: 1, max: 94 }), (index, position, shift) => {
        const line = at(lines, index)
        const where = position % line.length
        const other = String.fromCharCode(0x20 + ((line.charCodeAt(where) - 0x20 + shift) % 95))
        expect(sound(verify(lines.with(index, line.slice(0, where) + other + line.slice(where + 1))))).toBe(false)
      }),
      { ...SEED, numRuns: 2000 },
    )
  })

  it('finds any deletion but that of the tail', () => {
    fc.assert(
      fc.property(guarded, fc.integer({ min: 1, max: lines.length }), (index, length) => {
        fc.pre(index + length < lines.length)
        expect(sound(verify(lines.toSpliced(index, length)))).toBe(index === 0 && beginsAChain(at(lines, length)))
      }),
      { ...SEED, numRuns: 1000 },
    )
  })

  it('finds any two lines swapped', () => {
    fc.assert(
      fc.property(fc.nat({ max: lines.length - 1 }), fc.nat({ max: lines.length - 1 }), (one, other) => {
        fc.pre(one !== other)
        const swapped = lines.with(one, at(lines, other)).with(other, at(lines, one))
        expect(sound(verify(swapped))).toBe(false)
      }),
      SEED,
    )
  })

  it('finds any line put in: a copy, a line of another file, or anything else', () => {
    const foreign = chainOf('i-9', 3)
    const inserted = fc.oneof(
      fc.constantFrom(...lines, ...foreign),
      fc.string(),
      fc.json(),
      fc.constantFrom('', '{}', 'null', '{"chain":{}}'),
    )
    fc.assert(
      fc.property(fc.integer({ min: 1, max: lines.length }), inserted, (index, line) => {
        expect(sound(verify(lines.toSpliced(index, 0, line)))).toBe(false)
      }),
      { ...SEED, numRuns: 1000 },
    )
  })

  it('cannot see a tail cut off a last chain, unless a head was kept elsewhere', () => {
    const kept = headOf(lines)
    for (let length = 1; length < 5; length += 1) {
      const cut = lines.slice(0, -length)
      expect(sound(verify(cut))).toBe(true)
      expect(verify(cut, [kept]).broken).toEqual({ line: cut.length + 1, flaw: 'head', instance: 'i-3' })
    }
    expect(verify(lines, [kept]).broken).toBeUndefined()
  })

  it('finds a file rewritten from end to end by a head that was kept elsewhere', () => {
    const kept = headOf(lines)
    const rewritten = [...lines.slice(0, -1), at(lines, lines.length - 1).replace('10.1.2.3', '10.1.2.4')]
    expect(sound(verify(rewritten))).toBe(true)
    expect(verify(rewritten, [kept]).broken).toEqual({ line: lines.length, flaw: 'head', instance: 'i-3' })
    expect(verify([], [kept]).broken).toEqual({ line: 1, flaw: 'head', instance: 'i-3' })
  })
})

function beginsAChain(line: string): boolean {
  return JSON.parse(line).kind === 'start'
}

describe('the first break is named', () => {
  it.each([
    ['a line of no chain', ['garbage', ...chainOf('i-1', 1)], { line: 1, flaw: 'not-a-record' }],
    ['a chain without its start', chainOf('i-1', 2).slice(1), { line: 1, flaw: 'no-start' }],
    ['a line missing', chainOf('i-1', 3).toSpliced(2, 1), { line: 3, flaw: 'out-of-sequence' }],
    [
      'a line changed',
      chainOf('i-1', 3).map((line, index) => (index === 1 ? line.replace('r-0', 'r-9') : line)),
      { line: 3, flaw: 'other-predecessor' },
    ],
    [
      'a start that is not the first of its chain',
      [at(chainOf('i-1', 0), 0).replace('"seq":0', '"seq":3')],
      { line: 1, flaw: 'out-of-sequence' },
    ],
    [
      'a start with something before it',
      [at(chainOf('i-1', 0), 0).replace('"prev":"0', '"prev":"1')],
      { line: 1, flaw: 'other-predecessor' },
    ],
    ['a start twice', [...chainOf('i-1', 0), ...chainOf('i-1', 0)], { line: 2, flaw: 'out-of-sequence' }],
    [
      'a line after the stop',
      (() => {
        const chain = openChain('i-1')
        const stopped = [chain.next(start()), chain.next({ kind: 'stop', timeMs: NOW_MS })]
        return [...stopped, chain.next(decision())]
      })(),
      { line: 3, flaw: 'after-stop' },
    ],
    ['a start that quotes nothing', [...chainOf('i-1', 1), ...chainOf('i-2', 1)], { line: 3, flaw: 'quote' }],
    [
      'a start that quotes an unknown chain',
      [...chainOf('i-1', 1), ...chainOf('i-2', 1, { previous: headOf(chainOf('i-0', 1)) })],
      { line: 3, flaw: 'quote' },
    ],
    [
      'a start that quotes a line cut off since',
      [...chainOf('i-1', 1), ...chainOf('i-2', 1, { previous: headOf(chainOf('i-1', 4)) })],
      { line: 3, flaw: 'quote' },
    ],
    [
      'a start that quotes another line',
      [
        ...chainOf('i-1', 1),
        ...chainOf('i-2', 1, { previous: { ...headOf(chainOf('i-1', 1)), sha256: 'f'.repeat(64) } }),
      ],
      { line: 3, flaw: 'quote' },
    ],
  ])('%s', (_, lines, expected) => {
    expect(verify(lines).broken).toMatchObject(expected)
  })

  it('and lines after it are only counted', () => {
    const lines = ['garbage', ...threeRuns(), 'garbage']
    expect(verify(lines)).toMatchObject({ broken: { line: 1 }, lines: lines.length })
  })
})

describe('torn lines', () => {
  const before = chainOf('i-1', 2)
  function owning(torn: { bytes: number; sha256?: string }, sink: 'file' | 'stdout' = 'file'): string {
    return openChain('i-2').next(start({ sink, previous: headOf(before), torn }))
  }

  it('are tolerated at the end, and told of', () => {
    expect(verify([...before, '{"time":"2026-'])).toMatchObject({ broken: undefined, tornTail: 1 })
  })

  it('are tolerated where the next start owns to exactly these bytes', () => {
    const torn = '{"time":"20'
    const owned = owning({ bytes: torn.length, sha256: sha256(torn) })
    expect(verify([...before, torn, owned])).toMatchObject({ broken: undefined, tornTail: 0 })
    const twice = owning({ bytes: torn.length * 2 + 1, sha256: sha256(`${torn}\n${torn}`) })
    expect(verify([...before, torn, torn, twice]).broken).toBeUndefined()
  })

  it.each([
    ['changed', ['{"time":"21']],
    ['longer', ['{"time":"200']],
    ['gone', []],
    ['joined by another', ['{"time":"20', 'x']],
  ])('are not when they were %s since', (_, torn) => {
    const owned = owning({ bytes: 11, sha256: sha256('{"time":"20') })
    expect(verify([...before, ...torn, owned]).broken).toEqual({ line: 4, flaw: 'not-a-record' })
  })

  it('are not before a line that is no start', () => {
    expect(verify(before.toSpliced(2, 0, 'x')).broken).toEqual({ line: 3, flaw: 'not-a-record' })
  })

  it('of standard output are bounded by what was being written', () => {
    expect(verify([...before, 'x'.repeat(9), owning({ bytes: 9 }, 'stdout')]).broken).toBeUndefined()
    expect(verify([...before, owning({ bytes: 9 }, 'stdout')]).broken).toBeUndefined()
    expect(verify([...before, 'x'.repeat(10), owning({ bytes: 9 }, 'stdout')]).broken).toMatchObject({ line: 4 })
  })
})

describe('lines of other makes', () => {
  const line = at(chainOf('i-1', 0), 0)
  it.each([
    ['a number', '1'],
    ['null', 'null'],
    ['no chain', '{"kind":"stop"}'],
    ['no kind', line.replace('"kind":"start",', '')],
    ['an instance that is no string', line.replace('"i-1"', '1')],
    ['a number that is none', line.replace('"seq":0', '"seq":"0"')],
    ['a negative number', line.replace('"seq":0', '"seq":-1')],
    ['half a number', line.replace('"seq":0', '"seq":0.5')],
    ['a hash that is none', line.replace('"prev":"0', '"prev":"x')],
    ['text after it', `${line} {}`],
  ])('are no records: %s', (_, other) => {
    expect(verify([other])).toMatchObject({ chains: [], tornTail: 1 })
  })

  it.each([
    ['previous', { previous: { instance: 1, seq: 0, sha256: 'f'.repeat(64) } }],
    ['previous', { previous: { instance: 'i-0', seq: 'x', sha256: 'f'.repeat(64) } }],
    ['previous', { previous: { instance: 'i-0', seq: 0, sha256: 'f' } }],
    ['torn', { torn: { bytes: 'many' } }],
  ])('have no %s that is malformed', (_, fields) => {
    const malformed = JSON.stringify({ ...JSON.parse(line), ...fields })
    expect(verify([...chainOf('i-0', 0), malformed]).broken).toMatchObject({ line: 2, flaw: 'quote' })
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openChain, sha256 } from '../../src/audit-log/chain.ts'
import type { Head } from '../../src/audit-log/record.ts'
import { openVerifier, verify } from '../../src/audit-log/verify.ts'
import type { Finding } from '../../src/audit-log/verify-finding.ts'
import { decision, NOW_MS, start } from './records.ts'

const SEED = { seed: 20261122 }
const TIME = new Date(NOW_MS).toISOString()

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

function sound(result: { readonly findings: readonly Finding[] }): boolean {
  return result.findings.length === 0
}

/** A finding with its lines as numbers. */
function inShort({ at, until, by, ...finding }: Finding) {
  return {
    ...finding,
    ...(at && { at: at.line }),
    ...(until && until.line !== at?.line && { until: until.line }),
    ...(by && { by: by.line }),
  }
}

function findingsOf(lines: readonly string[], kept: readonly Head[] = []) {
  return verify(lines, kept).findings.map(inShort)
}

function records(from: number, to = from) {
  return { from, to }
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
    expect(result).toMatchObject({ broken: undefined, findings: [], lines: lines.length, torn: 0 })
    expect(result.chains.map(({ head, stopped }) => [head.instance, head.seq, stopped])).toEqual([
      ['i-1', 4, true],
      ['i-2', 2, false],
      ['i-3', 4, false],
    ])
  })

  it('follows instances that interleave, each by itself', () => {
    const one = chainOf('i-1', 5)
    const other = chainOf('i-2', 5, { previous: headOf(one.slice(0, 3)) })
    const mixed = [at(one, 0), at(one, 1), ...one.slice(2).flatMap((line, index) => [line, at(other, index)])]
    expect(verify([...mixed, ...other.slice(4)]).broken).toBeUndefined()
  })

  it('takes a file that begins by quoting a line of the file before it', () => {
    const before = chainOf('i-1', 2)
    expect(verify(chainOf('i-2', 2, { previous: headOf(before) })).broken).toBeUndefined()
  })

  it('takes bytes as well as text, and nothing at all', () => {
    expect(verify(threeRuns().map((line) => Buffer.from(line))).broken).toBeUndefined()
    expect(verify([])).toMatchObject({ broken: undefined, lines: 0, records: 0, chains: [] })
  })

  it('says of each chain when and why it began, what it continues, and how it is known to be whole at its end', () => {
    const [one, two, three] = verify(threeRuns(), [headOf(threeRuns())]).chains
    expect(one).toMatchObject({ firstSeq: 0, records: 5, cause: 'process', continues: undefined, end: 'stopped' })
    expect(two).toMatchObject({ firstTime: TIME, lastTime: TIME, continues: { isHere: true }, end: 'continued' })
    expect([two?.firstAt.line, two?.lastAt.line]).toEqual([6, 8])
    expect(three).toMatchObject({ end: 'kept' })
    expect(verify(threeRuns()).chains.at(-1)).toMatchObject({ end: 'open' })
    expect(verify(threeRuns().slice(5)).chains.at(0)).toMatchObject({ continues: { isHere: false } })
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
      expect(verify(cut, [kept]).broken).toEqual({ flaw: 'head', sha256: kept.sha256 })
    }
    expect(verify(lines, [kept]).broken).toBeUndefined()
  })

  it('finds a file rewritten from end to end by a head that was kept elsewhere', () => {
    const kept = headOf(lines)
    const rewritten = [...lines.slice(0, -1), at(lines, lines.length - 1).replace('10.1.2.3', '10.1.2.4')]
    expect(sound(verify(rewritten))).toBe(true)
    expect(verify(rewritten, [kept]).broken).toEqual({ flaw: 'head', sha256: kept.sha256 })
    expect(verify([], [kept]).broken).toEqual({ flaw: 'head', sha256: kept.sha256 })
  })
})

function beginsAChain(line: string): boolean {
  return JSON.parse(line).kind === 'start'
}

describe('what is wrong is named', () => {
  const chain = chainOf('i-1', 5)
  const altered = (index: number, lines: readonly string[] = chain) =>
    lines.with(index, at(lines, index).replace('10.1.2.3', '10.1.2.4'))
  const relinked = (index: number) =>
    chain.with(
      index,
      at(chain, index).replace(/"prev":"(.)/, (_, digit) => `"prev":"${digit === '0' ? '1' : '0'}`),
    )
  const instance = 'i-1'
  const stopped = chainOf('i-1', 1, { stop: true })
  const beyond = openChain('i-1')
  for (const kind of [start(), decision(), decision()]) beyond.next(kind)
  const next = chainOf('i-2', 2, { previous: headOf(chain) })

  it.each([
    ['a line of no chain', ['garbage', ...chain], [{ flaw: 'not-a-record', at: 1, lines: 1, instance: undefined }]],
    ['a chain without its start', chain.slice(1), [{ flaw: 'missing', instance, records: records(0), by: 1 }]],
    ['a record missing', chain.toSpliced(2, 1), [{ flaw: 'missing', instance, records: records(2), at: 2, by: 3 }]],
    ['records missing', chain.toSpliced(2, 3), [{ flaw: 'missing', instance, records: records(2, 4), at: 2, by: 3 }]],
    ['a record altered', altered(2), [{ flaw: 'altered', instance, records: records(2), at: 3, by: 4 }]],
    [
      'a record whose hash of the one before was altered',
      relinked(2),
      [{ flaw: 'altered', instance, records: records(2), at: 3, by: 4 }],
    ],
    [
      'neighbours altered, each of them',
      altered(3, altered(2)),
      [{ flaw: 'altered', instance, records: records(3), at: 4, by: 5 }],
    ],
    [
      'the last but one altered, or the last',
      altered(4),
      [{ flaw: 'unlinked', instance, records: records(4, 5), at: 5, by: 6 }],
    ],
    [
      'the last but one altered, where the start behind it vouches for the last',
      [...altered(4), ...next],
      [{ flaw: 'altered', instance, records: records(4), at: 5, by: 6 }],
    ],
    [
      'the last altered, of which the start behind it has another hash',
      [...altered(5), ...next],
      [{ flaw: 'altered', instance, records: records(5), at: 6, by: 7 }],
    ],
    [
      'the last two altered',
      [...altered(5, altered(4)), ...next],
      [{ flaw: 'altered', instance, records: records(5), at: 6, by: 7 }],
    ],
    [
      'one altered before a hole',
      altered(2).toSpliced(4, 1),
      [
        { flaw: 'unlinked', instance, records: records(2, 3), at: 3, by: 4 },
        { flaw: 'missing', instance, records: records(4), at: 4, by: 5 },
      ],
    ],
    [
      'neighbours swapped',
      chain.with(2, at(chain, 3)).with(3, at(chain, 2)),
      [{ flaw: 'moved', instance, records: records(2), at: 4, by: 3 }],
    ],
    [
      'records moved behind',
      [...chain.toSpliced(1, 3), ...chain.slice(1, 4)],
      [{ flaw: 'moved', instance, records: records(1, 3), at: 4, until: 6, by: 2 }],
    ],
    [
      'records moved behind, in another order',
      [...chain.toSpliced(1, 3), at(chain, 3), at(chain, 1), at(chain, 2)],
      [
        { flaw: 'moved', instance, records: records(3), at: 4, by: 2 },
        { flaw: 'moved', instance, records: records(1, 2), at: 5, until: 6, by: 4 },
      ],
    ],
    [
      'a record moved and altered',
      [...chain.toSpliced(2, 1), at(altered(2), 2)],
      [
        { flaw: 'unlinked', instance, records: records(2, 3), at: 6, by: 3 },
        { flaw: 'moved', instance, records: records(2), at: 6, by: 3 },
      ],
    ],
    [
      'a record moved, and the one before it altered',
      [...altered(1).toSpliced(2, 1), at(chain, 2)],
      [
        { flaw: 'unlinked', instance, records: records(1, 2), at: 2, by: 6 },
        { flaw: 'moved', instance, records: records(2), at: 6, by: 3 },
      ],
    ],
    [
      'records twice, with others between',
      [...chain.slice(0, 4), at(chain, 1), at(chain, 4), at(chain, 2), at(chain, 5)],
      [
        { flaw: 'repeated', instance, records: records(1), at: 5 },
        { flaw: 'repeated', instance, records: records(2), at: 7 },
      ],
    ],
    [
      'a chain that stands behind the one that continues it, in the midst of a log',
      [
        ...chain,
        ...chainOf('i-3', 1, { previous: headOf(chainOf('i-2', 1, { previous: headOf(chain) })) }),
        ...chainOf('i-2', 1, { previous: headOf(chain) }),
      ],
      [{ flaw: 'moved', instance: 'i-2', records: records(0, 1), at: 9, until: 10, by: 7 }],
    ],
    [
      'a record twice',
      chain.toSpliced(2, 0, at(chain, 1)),
      [{ flaw: 'repeated', instance, records: records(1), at: 3 }],
    ],
    [
      'records twice',
      [...chain, ...chain.slice(1, 4)],
      [{ flaw: 'repeated', instance, records: records(1, 3), at: 7, until: 9 }],
    ],
    ['a start twice', [at(chain, 0), ...chain], [{ flaw: 'repeated', instance, records: records(0), at: 2 }]],
    [
      'a start that is not the first of its chain',
      [at(chain, 0).replace('"seq":0', '"seq":3')],
      [
        { flaw: 'altered', instance, records: records(3), at: 1 },
        { flaw: 'missing', instance, records: records(0, 2), by: 1 },
      ],
    ],
    [
      'a start with something before it',
      [at(chain, 0).replace('"prev":"0', '"prev":"1')],
      [{ flaw: 'altered', instance, records: records(0), at: 1 }],
    ],
    [
      'a start that is none any more, once',
      chain.with(0, at(chain, 0).replace('"kind":"start"', '"kind":"other"')),
      [{ flaw: 'altered', instance, records: records(0), at: 1 }],
    ],
    [
      'a record behind the stop',
      [...stopped, beyond.next(decision())],
      [
        { flaw: 'after-stop', instance, records: records(3), at: 4, by: 3 },
        { flaw: 'unlinked', instance, records: records(2, 3), at: 3, by: 4 },
      ],
    ],
    ['a start that quotes nothing', [...chain, ...chainOf('i-2', 1)], [{ flaw: 'unquoted', instance: 'i-2', at: 7 }]],
    [
      'a start that quotes a chain of which nothing is there',
      [...chain, ...chainOf('i-2', 1, { previous: headOf(chainOf('i-0', 1)) })],
      [{ flaw: 'missing', instance: 'i-0', records: records(0, 1), by: 7 }],
    ],
    [
      'a start that quotes a line cut off since',
      [...chain.slice(0, 4), ...next],
      [{ flaw: 'missing', instance, records: records(4, 5), at: 4, by: 5 }],
    ],
    [
      'a chain that stands behind the one that continues it',
      [...next, ...chain],
      [
        { flaw: 'unquoted', instance, at: 4 },
        { flaw: 'moved', instance, records: records(0, 5), at: 4, until: 9, by: 1 },
      ],
    ],
    [
      'a last line that stands behind the start that quotes it',
      [...chain.slice(0, 5), ...next, at(chain, 5)],
      [{ flaw: 'moved', instance, records: records(5), at: 9, by: 6 }],
    ],
    [
      'a last line that stands behind the start that quotes it, and is another',
      [...chain.slice(0, 5), ...next, at(altered(5), 5)],
      [
        { flaw: 'altered', instance, records: records(5), at: 9, by: 6 },
        { flaw: 'moved', instance, records: records(5), at: 9, by: 6 },
      ],
    ],
  ])('%s', (_, lines, expected) => {
    const byFlaw = (one: { flaw: string; at?: number }, other: { flaw: string; at?: number }) =>
      (one.at ?? 0) - (other.at ?? 0) || one.flaw.localeCompare(other.flaw)
    expect(findingsOf(lines).toSorted(byFlaw)).toEqual(expected.toSorted(byFlaw))
  })

  it('of a chain whose beginning comes late, which still begins with it', () => {
    expect(verify([...chain.slice(2), ...chain.slice(0, 2)]).chains).toMatchObject([{ firstSeq: 0, records: 6 }])
  })

  it('of a chain that ends otherwise than the next one says, whose end is not known', () => {
    expect(verify([...altered(5), ...next]).chains.at(0)).toMatchObject({ end: 'open' })
  })

  it('with its holes, of which some at a time may still be filled', () => {
    const long = chainOf('i-1', 200)
    const odd = long.filter((_, index) => index % 2 === 1)
    const { findings } = verify([...long.filter((_, index) => index % 2 === 0), ...odd])
    const counted = Object.entries(Object.groupBy(findings, ({ flaw }) => flaw)).map(([flaw, of]) => [flaw, of?.length])
    expect(Object.fromEntries(counted)).toEqual({ moved: 64, missing: 36, repeated: 36 })
  })

  it('in the order of the log, whatever was found first', () => {
    const other = altered(1, chainOf('i-2', 4, { previous: headOf(chain.slice(0, 3)) }))
    const lines = [...chain.slice(0, 3), ...other, ...chain.slice(4)]
    expect(findingsOf(lines).map(({ at }) => at)).toEqual([3, 5])
  })

  it('in every line, up to a bound beyond which findings are only counted', () => {
    const { findings, omitted } = verify(Array.from({ length: 2_500 }, () => at(chain, 0)))
    expect([findings.length, omitted]).toEqual([1_000, 1_499])
    const holes = chainOf('i-1', 3_000).filter((_, index) => index % 3 !== 1)
    expect(verify(holes).findings.length + verify(holes).omitted).toBe(1_000)
  })

  it('also where there are more chains than are followed', () => {
    const verifier = openVerifier()
    const line = openChain('i-1').next(start({ sink: 'stdout' }))
    for (let index = 0; index <= 50_001; index += 1) verifier.line(Buffer.from(line.replace('i-1', `${index}`)))
    const { findings, chains, records: counted } = verifier.end()
    expect([chains.length, counted]).toEqual([50_000, 50_002])
    expect(findings.map(inShort)).toEqual([{ flaw: 'too-many-chains', at: 50_001 }])
  })
})

describe('torn lines', () => {
  const before = chainOf('i-1', 2)
  function owning(torn: { bytes: number; sha256?: string }, sink: 'file' | 'stdout' = 'file'): string {
    return openChain('i-2').next(start({ sink, previous: headOf(before), torn }))
  }

  it('are told of at the end, where no start owns to them yet', () => {
    expect(findingsOf([...before, '{"time":"2026-'])).toEqual([{ flaw: 'torn', instance: 'i-1', at: 4, lines: 1 }])
  })

  it('are tolerated where the next start owns to exactly these bytes, and counted with the chain before', () => {
    const torn = '{"time":"20'
    const owned = owning({ bytes: torn.length, sha256: sha256(torn) })
    expect(verify([...before, torn, owned])).toMatchObject({
      findings: [],
      torn: 1,
      chains: [{ torn: 1 }, { torn: 0 }],
    })
    const twice = owning({ bytes: torn.length * 2 + 1, sha256: sha256(`${torn}\n${torn}`) })
    expect(verify([...before, torn, torn, twice])).toMatchObject({ findings: [], torn: 2 })
  })

  it.each([
    ['changed', ['{"time":"21'], { at: 4 }],
    ['longer', ['{"time":"200'], { at: 4 }],
    ['gone', [], {}],
    ['joined by another', ['{"time":"20', 'x'], { at: 4, until: 5 }],
  ])('are not when they were %s since', (_, torn, where) => {
    const owned = owning({ bytes: 11, sha256: sha256('{"time":"20') })
    const by = before.length + torn.length + 1
    expect(findingsOf([...before, ...torn, owned])).toEqual([
      { flaw: 'torn-altered', instance: 'i-2', ...where, by, lines: torn.length },
    ])
  })

  it('are not when they were nothing but a newline, and that is gone', () => {
    const owned = owning({ bytes: 0, sha256: sha256('') })
    expect(findingsOf([...before, '', owned])).toEqual([])
    expect(findingsOf([...before, owned])).toMatchObject([{ flaw: 'torn-altered' }])
  })

  it('of a pipe may be of any process, and are of no chain', () => {
    const lines = [openChain('i-1').next(start({ sink: 'stdout' })), '{"time":"2026-']
    expect(findingsOf(lines)).toEqual([{ flaw: 'torn', instance: undefined, at: 2, lines: 1 }])
  })

  it('are not before a line that is no start', () => {
    expect(findingsOf(before.toSpliced(2, 0, 'x'))).toEqual([
      { flaw: 'not-a-record', instance: 'i-1', at: 3, lines: 1 },
    ])
  })

  it('of standard output are bounded by what was being written', () => {
    expect(findingsOf([...before, 'x'.repeat(9), owning({ bytes: 9 }, 'stdout')])).toEqual([])
    expect(findingsOf([...before, owning({ bytes: 9 }, 'stdout')])).toEqual([])
    expect(findingsOf([...before, 'x'.repeat(10), owning({ bytes: 9 }, 'stdout')])).toMatchObject([{ at: 4 }])
  })
})

describe('a container log', () => {
  const lines = chainOf('i-1', 2)
  function read(...all: readonly string[]) {
    const verifier = openVerifier()
    for (const line of all) verifier.line(Buffer.from(line))
    return verifier.end()
  }

  it.each([
    ['of its own log', '{"level":"info","time":"2026-11-22T12:30:15.007Z","msg":"audit head"}'],
    ['of its own log that has a kind', '{"level":"info","kind":"tls","msg":"refused"}'],
    ['of another program, which begins with a time, too', '{"time":"2026-11-22T12:30:15Z","msg":"hello"}'],
    ['of a stack', '    at main (file:///app/keyhole.mjs:1:1)'],
    ['of nothing', ''],
    ['of a bracket', '{'],
  ])('has lines %s, which are passed over and counted', (_, line) => {
    expect(read(line, ...lines.flatMap((one) => [one, line]))).toMatchObject({ findings: [], foreign: 4, records: 3 })
  })

  it.each([
    ['cut short', at(lines, 1).slice(0, 40)],
    ['cut to a few letters', '{"ti'],
    ['that no longer parses', at(lines, 1).replace('"kind":', '"kind"')],
    ['whose kind is gone', at(lines, 1).replace('"kind"', '"kinx"')],
    ['whose chain is gone', at(lines, 1).replace('"chain"', '"chaim"')],
    ['with something before it', `[pod/keyhole-0/keyhole] ${at(lines, 1)}`],
  ])('has no record %s', (_, line) => {
    expect(read(...lines.with(1, line)).findings.map(({ flaw }) => flaw)).toEqual(['missing', 'not-a-record'])
  })
})

describe('several files', () => {
  const chain = chainOf('i-1', 5)
  function read(files: Readonly<Record<string, readonly string[]>>) {
    const verifier = openVerifier()
    for (const [name, lines] of Object.entries(files)) {
      verifier.file(name)
      for (const line of lines) verifier.line(Buffer.from(line))
    }
    return verifier.end().findings
  }

  it('are one log in the order given, and each line is named by its own', () => {
    expect(read({ old: chain.slice(0, 3), new: chain.slice(3) })).toEqual([])
    expect(read({ old: chain.slice(0, 3), new: chain.slice(4) })).toEqual([
      {
        flaw: 'missing',
        instance: 'i-1',
        records: records(3),
        at: { file: 'old', line: 3 },
        by: { file: 'new', line: 1 },
      },
    ])
  })

  it('in another order are found to be', () => {
    expect(read({ new: chain.slice(3), old: chain.slice(0, 3) })).toMatchObject([
      { flaw: 'moved', records: records(0, 2), at: { file: 'old', line: 1 }, by: { file: 'new', line: 1 } },
    ])
  })

  it('may begin anew: a start that quotes nothing is the first of its file', () => {
    expect(read({ old: chain, new: chainOf('i-2', 1) })).toEqual([])
  })

  it('lack one where a start quotes a line of none of them, and it is not the first', () => {
    const lost = chainOf('i-2', 1, { previous: headOf(chain) })
    expect(read({ old: chain, new: chainOf('i-3', 1, { previous: headOf(lost) }) })).toMatchObject([
      { flaw: 'missing', instance: 'i-2', records: records(0, 1) },
    ])
  })

  it('end each with its own torn line', () => {
    expect(read({ old: [...chain, '{"time'], new: chainOf('i-2', 1, { previous: headOf(chain) }) })).toMatchObject([
      { flaw: 'torn', instance: 'i-1', at: { file: 'old', line: 7 } },
    ])
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
    ['an instance longer than any', line.replace('i-1', 'i'.repeat(301))],
    ['a number that is none', line.replace('"seq":0', '"seq":"0"')],
    ['a negative number', line.replace('"seq":0', '"seq":-1')],
    ['half a number', line.replace('"seq":0', '"seq":0.5')],
    ['a hash that is none', line.replace('"prev":"0', '"prev":"x')],
    ['text after it', `${line} {}`],
  ])('are no records: %s', (_, other) => {
    expect(verify([other])).toMatchObject({ chains: [], broken: { flaw: 'torn', lines: 1 } })
  })

  it('have no cause that is no word: it is printed', () => {
    expect(verify([line]).chains).toMatchObject([{ cause: 'process' }])
    expect(verify([line.replace('"process"', '"PGPASSWORD=x"')]).chains).toMatchObject([{ cause: undefined }])
  })

  it.each([
    ['previous', { previous: { instance: 1, seq: 0, sha256: 'f'.repeat(64) } }],
    ['previous', { previous: { instance: 'i-0', seq: 'x', sha256: 'f'.repeat(64) } }],
    ['previous', { previous: { instance: 'i-0', seq: 0, sha256: 'f' } }],
    ['torn', { torn: { bytes: 'many' } }],
  ])('have no %s that is malformed', (_, fields) => {
    const malformed = JSON.stringify({ ...JSON.parse(line), ...fields })
    expect(findingsOf([...chainOf('i-0', 0), malformed])).toMatchObject([{ at: 2, flaw: 'unquoted' }])
  })
})

/** Histories that somebody rewrote with every hash right: what other chains name of them, and where they stand, tells. */
import { describe, expect, it } from 'vitest'
import { openChain } from '../../src/audit-log/chain.ts'
import type { Head, Start } from '../../src/audit-log/record.ts'
import { openVerifier } from '../../src/audit-log/verify.ts'
import { decision, NOW_MS, start } from './records.ts'

interface Made {
  readonly lines: readonly string[]
  readonly head: Head
}

/** A start and so many decisions of one peer. */
function made(
  instance: string,
  decisions: number,
  {
    peer = '10.1.2.3',
    stop = false,
    ...over
  }: Partial<Start> & { readonly peer?: string; readonly stop?: boolean } = {},
): Made {
  const chain = openChain(instance)
  const lines = [chain.next(start(over))]
  for (let index = 0; index < decisions; index += 1) lines.push(chain.next(decision({ peer })))
  if (stop) lines.push(chain.next({ kind: 'stop', timeMs: NOW_MS }))
  const head = chain.head()
  if (head === undefined) throw new Error('there is no line')
  return { lines, head }
}

/** Each argument is a file. */
function read(heads: readonly string[], ...files: readonly (readonly string[])[]) {
  const verifier = openVerifier({ heads })
  for (const [index, lines] of files.entries()) {
    verifier.file(`f-${index}`)
    for (const line of lines) verifier.line(Buffer.from(line))
  }
  return verifier.end()
}

function flawsIn(...files: readonly (readonly string[])[]) {
  return read([c.head.sha256], ...files).findings.map(({ flaw, instance }) => `${flaw} ${instance}`)
}

const a = made('a', 2, { stop: true })
const b = made('b', 3, { stop: true, previous: a.head })
const c = made('c', 1, { previous: b.head })

describe('a chain that others continue', () => {
  const longer = made('b', 4, { stop: true, previous: a.head, peer: '10.9.9.9' })

  it('is not whole where it was rewritten, and is longer than the next one says', () => {
    expect(flawsIn([...a.lines, ...b.lines, ...c.lines])).toEqual([])
    expect(flawsIn([...a.lines, ...longer.lines, ...c.lines])).toEqual(['altered b', 'after-quote b'])
    const far = made('b', 9_000, { previous: a.head, peer: '10.9.9.9' })
    expect(flawsIn([...a.lines, ...far.lines, ...c.lines])).toEqual(['after-quote b'])
  })

  it('is not continued by what names another record of its number', () => {
    const { chains } = read([], [...a.lines, ...longer.lines, ...c.lines])
    expect(chains.at(-1)?.continues).toMatchObject({ isHere: false })
  })

  it('is not whole where records were added behind the one that the next one names', () => {
    const short = made('b', 3, { previous: a.head })
    const next = made('c', 1, { previous: short.head })
    const { findings } = read([], [...a.lines, ...made('b', 5, { previous: a.head }).lines, ...next.lines])
    expect(findings).toMatchObject([
      { flaw: 'after-quote', records: { from: 4, to: 5 }, at: { line: 10 }, by: { line: 11 } },
    ])
  })

  it('may have records that its process, whose sink failed, did not know to be written, but no altered ones', () => {
    const mended = made('m', 1, { cause: 'mended', sink: 'stdout', previous: made('l', 2, { sink: 'stdout' }).head })
    const lines = (peer?: string) => [...made('l', 4, { sink: 'stdout', ...(peer && { peer }) }).lines, ...mended.lines]
    expect(read([], lines()).findings).toEqual([])
    expect(read([], lines('10.9.9.9')).findings).toMatchObject([
      { flaw: 'altered', instance: 'l' },
      { flaw: 'after-quote' },
    ])
  })

  it('has no mended one besides in its midst where another names its last', () => {
    const early = made('a', 1)
    const forged = made('f', 1, { cause: 'mended', sink: 'stdout', previous: early.head })
    expect(flawsIn([...a.lines, ...forged.lines, ...b.lines, ...c.lines])).toContain('after-quote a')
  })
})

describe('a chain put into the past', () => {
  const quoting = made('f', 1, { stop: true, previous: a.head })

  it('is found where it names the same record as another', () => {
    expect(flawsIn([...a.lines, ...quoting.lines, ...b.lines, ...c.lines])).toEqual([
      'quoted-twice f',
      'quoted-twice b',
    ])
  })

  it('is none where a start failed, was written all the same, and was tried again', () => {
    const failed = made('f', 0, { cause: 'mended', sink: 'stdout', previous: a.head })
    const again = made('g', 1, { cause: 'mended', sink: 'stdout', previous: a.head })
    expect(read([], [...a.lines, ...failed.lines, ...again.lines]).findings).toEqual([])
    const more = made('f', 1, { cause: 'mended', sink: 'stdout', previous: a.head })
    expect(read([], [...a.lines, ...more.lines, ...again.lines]).findings).toMatchObject([
      { flaw: 'quoted-twice', instance: 'f' },
      { flaw: 'quoted-twice', instance: 'g' },
    ])
  })

  it('is found in a file where it claims to be of standard output', () => {
    const claiming = made('f', 1, { stop: true, sink: 'stdout' })
    expect(flawsIn([...a.lines, ...claiming.lines, ...b.lines, ...c.lines])).toEqual(['unquoted f'])
  })

  it('is found at the beginning of a file that continues the one before', () => {
    expect(flawsIn(a.lines, [...b.lines, ...c.lines])).toEqual([])
    expect(flawsIn(a.lines, [...made('f', 1).lines, ...b.lines, ...c.lines])).toEqual(['unquoted b'])
  })
})

describe('files', () => {
  it('named newest first do not hide that one between is missing', () => {
    const later = made('c', 1, { previous: b.head, timeMs: NOW_MS + 1_000 })
    expect(read([], later.lines, a.lines).findings).toMatchObject([{ flaw: 'missing', instance: 'b' }])
    expect(read([], later.lines, made('d', 1, { timeMs: NOW_MS + 2_000 }).lines).findings).toEqual([])
  })

  it('without any record are told of, unless they are empty, or none has any', () => {
    expect(read([], ['\u001f\u008bx', 'y'], a.lines, []).findings).toEqual([
      { flaw: 'no-record', at: { file: 'f-0', line: 1 } },
    ])
    expect(read([], [], a.lines).findings).toEqual([])
    expect(read([], ['x'], ['y']).findings).toEqual([])
  })
})

describe('a line of the kind of a record', () => {
  it.each(['decision', 'stop'])('is no line of another program, whatever level it has: %s', (kind) => {
    const fake = JSON.stringify({ level: 'info', time: new Date(NOW_MS).toISOString(), kind, keys: ['framed'] })
    expect(flawsIn([...a.lines, fake, ...b.lines, ...c.lines])).toEqual(['not-a-record a'])
  })
})

describe('what is kept', () => {
  const line = (instance: number, seq: number) =>
    Buffer.from(`{"kind":"x","chain":{"instance":"${instance}","seq":${seq},"prev":"${'a'.repeat(64)}"}}`)

  it('of holes is bounded over all chains, beyond which they are told of as they are found', () => {
    const verifier = openVerifier()
    for (let chain = 0; chain < 1_000; chain += 1)
      for (let hole = 0; hole < 60; hole += 1) verifier.line(line(chain, 1 + 2 * hole))
    verifier.line(line(999, 2))
    expect(verifier.end().omitted).toBe(60_000 - 1_000 + 1)
  })

  it('of one hole that is filled in bits is bounded, too', () => {
    const verifier = openVerifier()
    verifier.line(line(0, 1_000))
    for (let seq = 998; seq > 0; seq -= 2) verifier.line(line(0, seq))
    // Of a hole that was told of at once, nothing is kept: what comes for it is not known to fit.
    for (let seq = 1; seq < 1_000; seq += 10) verifier.line(line(0, seq))
    const { findings } = verifier.end()
    expect(findings.some(({ flaw }) => flaw === 'repeated')).toBe(true)
  })

  it('of findings is bounded, but no chain with one beyond is called whole', () => {
    const last = made('z', 3, { sink: 'stdout' })
    const { chains } = read(
      [],
      [...Array.from({ length: 1_100 }, () => String(a.lines[0])), ...last.lines.toSpliced(2, 1)],
    )
    expect(chains.map(({ isWhole }) => isWhole)).toEqual([false, false])
  })
})

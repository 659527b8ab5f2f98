/**
 * Of a random log of several chains, unaltered, `keyhole audit verify` says that it is whole; and whatever is done to one line of
 * it, that it is not. The newest line of a chain has nothing behind it that vouches for it, so a head of each is kept.
 */
import { Readable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openChain, sha256 } from '../../src/audit-log/chain.ts'
import type { Head } from '../../src/audit-log/record.ts'
import { parseLine } from '../../src/audit-log/verify-line.ts'
import { decision, effect, NOW_MS, rotation, start } from '../audit-log/records.ts'
import { auditVerifyOf, expectNoContents, textOf } from './audit-verify-world.ts'

const SEED = { seed: 20261128 }

interface Log {
  readonly lines: readonly string[]
  /** Of every chain. */
  readonly heads: readonly Head[]
}

interface Run {
  readonly records: readonly ('decision' | 'effect' | 'rotation')[]
  readonly stops: boolean
  /** What a crash leaves behind its last record, of which the next start finds so much. */
  readonly torn: number
}

const MAKE = { decision, effect, rotation }

const run: fc.Arbitrary<Run> = fc.record({
  records: fc.array(fc.constantFrom('decision', 'effect', 'rotation'), { maxLength: 6 }),
  stops: fc.boolean(),
  torn: fc.nat({ max: 60 }),
})

/** One process after the other on one file: each start names the record before it, and what is torn. */
const onFile: fc.Arbitrary<Log> = fc.array(run, { minLength: 2, maxLength: 5 }).map((runs) => {
  const lines: string[] = []
  const heads: Head[] = []
  let torn: string | undefined
  for (const [index, { records, stops, torn: length }] of runs.entries()) {
    const chain = openChain(`file-${index}`)
    const found = torn === undefined ? undefined : { bytes: torn.length, sha256: sha256(torn) }
    if (torn !== undefined) lines.push(torn)
    lines.push(chain.next(start({ previous: heads.at(-1), torn: found })), ...written(chain, records))
    if (stops) lines.push(chain.next({ kind: 'stop', timeMs: NOW_MS }))
    const head = chain.head()
    if (head !== undefined) heads.push(head)
    torn = stops || length === 0 ? undefined : String(lines.at(-1)).slice(0, length)
  }
  return { lines, heads }
})

/** Processes side by side on their standard outputs, collected as it comes, with keyhole's own log and others between. */
const collected: fc.Arbitrary<Log> = fc
  .record({
    runs: fc.array(run, { minLength: 2, maxLength: 4 }),
    order: fc.infiniteStream(fc.nat()),
    between: fc.array(
      fc.constantFrom('', '{"level":"info","msg":"audit head"}', '(node:1) Warning: x', '{"time":"now","msg":"x"}'),
      { minLength: 1, maxLength: 4 },
    ),
  })
  .map(({ runs, order, between }) => {
    const chains = runs.map(({ records, stops }, index) => {
      const chain = openChain(`pipe-${index}`)
      const lines = [chain.next(start({ sink: 'stdout' })), ...written(chain, records)]
      if (stops) lines.push(chain.next({ kind: 'stop', timeMs: NOW_MS }))
      return { lines, head: chain.head() }
    })
    const left = chains.map(({ lines }) => [...lines])
    const lines: string[] = []
    for (const pick of order) {
      const some = left.filter((one) => one.length > 0)
      const line = some[pick % some.length]?.shift()
      if (line === undefined) break
      lines.push(line, ...between.slice(pick % (between.length + 1)))
    }
    return { lines, heads: chains.flatMap(({ head }) => head ?? []) }
  })

function written(chain: ReturnType<typeof openChain>, records: Run['records']): readonly string[] {
  return records.map((kind, index) => chain.next({ ...MAKE[kind](), timeMs: NOW_MS + index }))
}

const anyLog = fc.oneof(onFile, collected)

function verifying({ lines, heads }: Log, ...args: readonly string[]) {
  return auditVerifyOf([...args, ...heads.map(({ sha256: hash }) => `--head=${hash}`)], { stdin: textOf(lines) })
}

/** The lines of each chain, in their order. A line that is none is among them, if it once was. */
function byChain(lines: readonly string[]): string {
  const ours = lines.flatMap((line) => ({ line, instance: parseLine(Buffer.from(line))?.instance }))
  const groups = Map.groupBy(ours, ({ instance }) => instance)
  groups.delete(undefined)
  return JSON.stringify([...groups].toSorted(([a], [b]) => String(a).localeCompare(String(b))))
}

function isRecord(line: string): boolean {
  return parseLine(Buffer.from(line)) !== undefined
}

/** Where the records stand. */
function recordsOf({ lines }: Log): readonly number[] {
  return lines.flatMap((line, index) => (isRecord(line) ? [index] : []))
}

function pick<T>(list: readonly T[], at: number): T {
  const found = list[at % list.length]
  if (found === undefined) throw new Error('there is nothing to pick from')
  return found
}

describe('a random log of several chains', () => {
  test('unaltered is whole, with heads and without, and nothing of its records is told but their chain', async () => {
    await fc.assert(
      fc.asyncProperty(anyLog, async (log) => {
        for (const heads of [[], log.heads]) {
          const { exit, stdout } = await verifying({ ...log, heads })
          expect([exit, stdout.match(/not whole|Not whole/)]).toEqual([0, null])
          expectNoContents(stdout)
        }
      }),
      { ...SEED, numRuns: 200 },
    )
  })

  test('unaltered is whole however it is cut into pieces of a stream', async () => {
    await fc.assert(
      fc.asyncProperty(anyLog, fc.integer({ min: 1, max: 500 }), async (log, size) => {
        const bytes = Buffer.from(textOf(log.lines))
        const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
          bytes.subarray(index * size, (index + 1) * size),
        )
        const { exit } = await auditVerifyOf([], { stdin: Readable.from(pieces) })
        expect(exit).toBe(0)
      }),
      { ...SEED, numRuns: 50 },
    )
  })

  const n = fc.nat()
  const mutants: Readonly<Record<string, fc.Arbitrary<(log: Log) => readonly string[]>>> = {
    altered: fc.tuple(n, n, fc.integer({ min: 1, max: 94 })).map(([at, position, shift]) => (log) => {
      const index = pick(recordsOf(log), at)
      const line = pick(log.lines, index)
      const where = position % line.length
      const other = String.fromCharCode(0x20 + ((line.charCodeAt(where) - 0x20 + shift) % 95))
      return log.lines.with(index, line.slice(0, where) + other + line.slice(where + 1))
    }),
    removed: n.map((at) => (log) => log.lines.toSpliced(pick(recordsOf(log), at), 1)),
    swapped: fc.tuple(n, n).map(([one, other]) => (log) => {
      const [a, b] = [pick(recordsOf(log), one), pick(recordsOf(log), other)]
      return log.lines.with(a, pick(log.lines, b)).with(b, pick(log.lines, a))
    }),
    duplicated: fc.tuple(n, n).map(([at, to]) => (log) => {
      const line = pick(log.lines, pick(recordsOf(log), at))
      return log.lines.toSpliced(to % (log.lines.length + 1), 0, line)
    }),
    truncated: fc.tuple(n, n).map(([at, length]) => (log) => {
      const index = pick(recordsOf(log), at)
      const line = pick(log.lines, index)
      return log.lines.with(index, line.slice(0, length % line.length))
    }),
  }

  test.each(Object.entries(mutants))('with any one record %s is not', async (_, mutant) => {
    await fc.assert(
      fc.asyncProperty(anyLog, mutant, async (log, mutate) => {
        const lines = mutate(log)
        // Between chains that are collected side by side there is no order.
        fc.pre(byChain(lines) !== byChain(log.lines))
        const { exit, stdout } = await verifying({ ...log, lines })
        expect([exit, stdout.includes('Not whole: ')]).toEqual([3, true])
        expectNoContents(stdout)
      }),
      { ...SEED, numRuns: 400 },
    )
  })

  test.each(['altered', 'removed', 'truncated'] as const)(
    'with any one record %s is not, and no head is needed where another record of its chain follows',
    async (how) => {
      await fc.assert(
        fc.asyncProperty(anyLog, mutants[how] ?? fc.constant(() => []), async (log, mutate) => {
          const lines = mutate(log)
          const changed = log.lines.find((line, index) => lines[index] !== line) ?? ''
          const link = parseLine(Buffer.from(changed))
          fc.pre(
            link !== undefined && log.heads.every(({ instance, seq }) => instance !== link.instance || seq > link.seq),
          )
          expect((await verifying({ lines, heads: [] })).exit).toBe(3)
        }),
        { ...SEED, numRuns: 200 },
      )
    },
  )

  test('with any torn line of a file altered, cut or removed is not', async () => {
    await fc.assert(
      fc.asyncProperty(onFile, n, fc.constantFrom('!', '', undefined), async (log, at, put) => {
        const torn = log.lines.flatMap((line, index) => (isRecord(line) ? [] : [index]))
        fc.pre(torn.length > 0)
        const index = pick(torn, at)
        const line = pick(log.lines, index)
        const lines =
          put === undefined ? log.lines.toSpliced(index, 1) : log.lines.with(index, `${line.slice(0, -1)}${put}`)
        expect((await verifying({ ...log, lines })).exit).toBe(3)
      }),
      { ...SEED, numRuns: 200 },
    )
  })

  test('with its last lines cut off is not, where a head was kept', async () => {
    await fc.assert(
      fc.asyncProperty(anyLog, n, async (log, length) => {
        const lines = log.lines.slice(0, length % log.lines.length)
        fc.pre(byChain(lines) !== byChain(log.lines))
        expect((await verifying({ ...log, lines })).exit).toBe(3)
      }),
      { ...SEED, numRuns: 200 },
    )
  })
})

/** `keyhole audit verify`: what is refused, what is found, how it is told, and with which exit code. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { sha256 } from '../../src/audit-log/chain.ts'
import { AUDIT_VERIFY_HELP } from '../../src/cli/audit-verify-help.ts'
import { virtualClock } from '../virtual-clock.ts'
import type { Setting } from './audit-verify-world.ts'
import { auditVerifyOf, expectNoContents, headOf, textOf, writtenBy } from './audit-verify-world.ts'
import type { Files } from './manifests-world.ts'
import { filesOf } from './manifests-world.ts'

const OWN_LOG = '{"level":"info","time":"2026-11-22T12:30:15.007Z","msg":"audit head"}'

let files: Files
beforeEach(() => {
  files = filesOf({})
})
afterEach(() => files[Symbol.dispose]())

/** Paths in what is printed are relative. */
async function verifying(args: readonly string[], setting?: Setting) {
  const { exit, stdout, stderr } = await auditVerifyOf(args, setting)
  const relative = (text: string) => text.replaceAll(`${files.directory}/`, '')
  return { exit, stdout: relative(stdout), stderr: relative(stderr) }
}

function file(name: string, lines: readonly string[]): string {
  writeFileSync(files.path(name), textOf(lines))
  return files.path(name)
}

function reading(lines: readonly string[], ...args: readonly string[]) {
  return verifying(args, { stdin: textOf(lines) })
}

describe('the command line is refused', () => {
  test.each([
    ['for a flag that there is not', ['--haed=x'], '"--haed" is no flag of this verb. Did you mean "--head"?'],
    ['for a head without its hash', ['--head'], '--head needs a value: --head HASH.'],
    [
      'for a head that is too short',
      ['--head=abc'],
      '--head must be a SHA-256 in hex: the sha256 of an "audit head" line.',
    ],
    [
      'for a head that is not hex',
      ['--head', `${'a'.repeat(63)}g`],
      '--head must be a SHA-256 in hex: the sha256 of an "audit head" line.',
    ],
    ['for an output that there is not', ['--output=xml'], '--output must be text or json.'],
    ['for a file that is not there', ['/nowhere/audit.log'], '/nowhere/audit.log cannot be read (ENOENT).'],
    ['for a file that is given twice', ['-', '-'], '- is given twice.'],
    [
      'for a name that a terminal would obey, which it is not shown',
      ['audit\u001b[2J.log'],
      'audit\\u001b[2J.log cannot be read (ENOENT).',
    ],
  ])('%s', async (_, args, complaint) => {
    const { exit, stdout, stderr } = await verifying(args)
    expect([exit, stdout]).toEqual([1, ''])
    expect(stderr).toBe(
      `keyhole audit verify: ${complaint}\nNothing was verified. keyhole audit verify --help tells more.\n`,
    )
  })

  test('for a directory in place of a file', async () => {
    mkdirSync(files.path('logs'))
    expect(await verifying([files.path('logs')])).toMatchObject({
      exit: 1,
      stderr: expect.stringContaining('keyhole audit verify: logs cannot be read (EISDIR).\n'),
    })
  })

  test('without a file where standard input is a terminal, which would wait for somebody to type a log', async () => {
    expect(await verifying([], { isTTY: true })).toMatchObject({
      exit: 1,
      stderr: expect.stringContaining('name a FILE, or give the log on standard input.'),
    })
    expect(await verifying(['-'], { isTTY: true })).toMatchObject({ exit: 3 })
  })

  test('with all that is wrong at once, before anything is read', async () => {
    const { stderr } = await verifying(['/nowhere/a', '--head=x', '--output=xml'])
    expect(stderr.match(/^keyhole audit verify: /gm)).toHaveLength(3)
  })
})

describe('--help', () => {
  test.each([[['--help']], [['-h', '--frob', '/nowhere']]])('is printed for %j, and exit 0', async (args) => {
    expect(await verifying(args)).toEqual({ exit: 0, stdout: AUDIT_VERIFY_HELP, stderr: '' })
  })

  test('lists every flag that is read', async () => {
    const flags = [...AUDIT_VERIFY_HELP.matchAll(/^ {2}(--[a-z-]+)/gm)].map(([, flag]) => String(flag))
    expect(flags).toEqual(['--head', '--output', '--help'])
    for (const flag of flags) expect((await verifying([`${flag}=x`])).stderr).not.toContain('is no flag')
  })
})

describe('a whole log', () => {
  const first = writtenBy('i-1', 3)
  const second = writtenBy('i-2', 2, { previous: headOf(first), cause: 'mended', stop: true })
  const lines = [...first.lines, ...second.lines]

  test('is told chain by chain, with what is known of each', async () => {
    const { exit, stdout, stderr } = await reading(lines)
    expect([exit, stderr]).toEqual([0, ''])
    expect(stdout.split('\n')).toEqual([
      'chain i-1: whole',
      '  records       0 to 3, 4 in all, stdin:1 to stdin:4',
      '  time          2026-11-22T12:30:15.007Z to 2026-11-22T12:30:18.007Z',
      '  began         a process started; it names no record before it',
      '  ended         without a stop; the chain that continues it names its last record',
      `  head          ${headOf(first).sha256}`,
      '',
      'chain i-2: whole',
      '  records       0 to 3, 4 in all, stdin:5 to stdin:8',
      '  time          2026-11-22T12:30:15.007Z to 2026-11-22T12:30:18.007Z',
      '  began         its log could be written again after a failure; it continues i-1 after record 3',
      '  ended         in good order',
      `  head          ${headOf(second).sha256}`,
      '',
      'Whole: 8 records in 2 chains.',
      '',
    ])
    expectNoContents(stdout)
  })

  test('that began for a cause that this version does not know says no more of it', async () => {
    const { exit, stdout } = await reading([String(first.lines[0]).replace('"process"', '"constructor"')])
    expect(exit).toBe(0)
    expect(stdout).toContain('  began         a reason that this version does not know; it names no record before it\n')
  })

  test('is read from files, of which each line is named by its own', async () => {
    const { exit, stdout } = await verifying([
      file('audit.log.1', lines.slice(0, 6)),
      file('audit.log', lines.slice(6)),
    ])
    expect(exit).toBe(0)
    expect(stdout).toContain('4 in all, audit.log.1:5 to audit.log:2\n')
  })

  test('is read from files and standard input in the order given', async () => {
    const args = ['-', file('audit.log', lines.slice(2))]
    expect(await verifying(args, { stdin: textOf(lines.slice(0, 2)) })).toMatchObject({ exit: 0 })
  })

  test('may lack its last newline, and come in pieces of any size', async () => {
    const bytes = Buffer.from(textOf(lines).slice(0, -1))
    for (const size of [1, 7, 700, 1_000_000]) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      )
      expect((await verifying([], { stdin: Readable.from(pieces) })).stdout).toContain('Whole: 8 records')
    }
  })

  test("is found between the lines of keyhole's own log, which are counted", async () => {
    const { exit, stdout } = await reading([OWN_LOG, ...lines.flatMap((line) => [line, OWN_LOG]), ''])
    expect([exit, stdout.split('\n').at(-2)]).toEqual([0, 'Whole: 8 records in 2 chains; 10 other lines skipped.'])
  })

  test('is found next to lines of any length', async () => {
    const { exit } = await verifying([], {
      stdin: `${'x'.repeat(3_000_000)}\n${textOf(lines)}${'y'.repeat(3_000_000)}`,
    })
    expect(exit).toBe(0)
  })

  test('is whole as far as is known, where its end is open', async () => {
    const { exit, stdout } = await reading(first.lines)
    expect(exit).toBe(0)
    expect(stdout).toContain(
      '  ended         without a stop: the process is still running, or was killed, or records were cut',
    )
    expect(stdout).toMatch(/^Whether the end of 1 chain was cut off is not known: see --head in the help\.\n$/m)
  })

  test('may begin where an older file ended, and says so', async () => {
    const { exit, stdout } = await reading(second.lines)
    expect(exit).toBe(0)
    expect(stdout).toContain('it continues i-1 after record 3, which is not in this log\n')
  })

  test('may hold a torn line that the next start accounts for', async () => {
    const torn = '{"time":"2026'
    const owning = { previous: headOf(first), torn: { bytes: torn.length, sha256: sha256(torn) } }
    const { exit, stdout } = await reading([...first.lines, torn, ...writtenBy('i-3', 1, owning).lines])
    expect(exit).toBe(0)
    expect(stdout).toContain('its last record; behind it 1 torn line, which the next start accounts for\n')
    expect(stdout).toContain('in 2 chains; 1 torn line accounted for.\n')
  })

  test('of many chains lists those of late, and all of those that are not whole', async () => {
    const chains = Array.from({ length: 80 }, (_, index) => writtenBy(`i-${index}`, 1, { sink: 'stdout' }).lines)
    const { stdout } = await reading([...chains.flat(), ...(chains[3] ?? [])])
    expect(stdout.match(/^chain /gm)).toHaveLength(51)
    expect(stdout).toMatch(/^chain i-3: not whole$/m)
    expect(stdout).toContain('\n29 older chains are whole, which --output json lists\n')
  })
})

describe('a head that was kept', () => {
  const written = writtenBy('i-1', 5)
  const head = headOf(written)

  test.each([
    ['as it is logged', head.sha256],
    ['in capitals', head.sha256.toUpperCase()],
  ])('proves the end of the log, %s', async (_, hash) => {
    const { exit, stdout } = await reading(written.lines, '--head', hash)
    expect(exit).toBe(0)
    expect(stdout).toContain('  ended         without a stop; a --head is its last record\n')
    expect(stdout).toContain(`\nhead ${head.sha256}: record 5 of i-1, stdin:6\n`)
    expect(stdout).toMatch(/Whole: 6 records in 1 chain\.\n$/)
  })

  test.each([
    ['cut off', written.lines.slice(0, -1)],
    ['altered', written.lines.with(5, String(written.lines[5]).replace('r-5', 'r-6'))],
    ['rewritten with all that is before it', writtenBy('i-1', 4).lines],
  ])('is missed where its record was %s', async (_, lines) => {
    const { exit, stdout } = await reading(lines, '--head', head.sha256)
    expect(exit).toBe(3)
    expect(stdout).toContain(
      `  head          no record has the hash ${head.sha256}: records were cut off, or this one was altered\n`,
    )
  })

  test('may be one of several, of which each must be there', async () => {
    const other = headOf(writtenBy('i-2', 1)).sha256
    const { exit, stdout } = await reading(written.lines, '--head', head.sha256, '--head', other)
    expect(exit).toBe(3)
    expect(stdout).toContain(`no record has the hash ${other}`)
    expect(stdout).not.toContain(`no record has the hash ${head.sha256}`)
  })
})

describe('a log is not whole, which is told with file and line, and is exit 3,', () => {
  const chain = writtenBy('i-1', 6).lines
  const altered = (index: number, lines = chain) =>
    lines.with(index, String(lines[index]).replace('10.1.2.3', '10.1.2.4'))
  const at = (index: number) => String(chain[index])
  const next = writtenBy('i-2', 1, { previous: headOf(writtenBy('i-1', 6)) }).lines
  const stopped = writtenBy('i-1', 5, { stop: true }).lines

  test.each([
    [
      'where a record is missing',
      chain.toSpliced(2, 1),
      'missing       record 2 is missing between stdin:2 and stdin:3: removed, or not collected',
    ],
    [
      'where its beginning is missing',
      chain.slice(3),
      'missing       records 0 to 2 are missing before stdin:1: removed, or not collected',
    ],
    [
      'where its end is missing, which the next start names',
      [...chain.slice(0, 4), ...next],
      'missing       records 4 to 6 are missing between stdin:4 and stdin:5: removed, or not collected',
    ],
    [
      'where a record was altered',
      altered(2),
      'altered       record 2 (stdin:3) was altered: stdin:4 has another hash of it',
    ],
    [
      'where a record is like none that keyhole writes',
      chain.with(0, at(0).replace('"start"', '"other"')),
      'altered       record 0 (stdin:1) was altered: keyhole writes no such record',
    ],
    [
      'where one of the last two was altered',
      altered(5),
      'unlinked      record 5 (stdin:6) or 6 (stdin:7) was altered: they do not fit together',
    ],
    [
      'where records are in another order',
      [...chain.slice(3), ...chain.slice(0, 3)],
      'moved         records 0 to 2 are at stdin:5 to stdin:7, after stdin:1: moved, or the files are not in order',
    ],
    [
      'where a record is there twice',
      [...chain, at(4)],
      'repeated      record 4 is there again at stdin:8: copied, or collected twice',
    ],
    [
      'where a record stands behind the stop',
      [...stopped, writtenBy('i-1', 7).lines[7] ?? ''],
      'after-stop    record 7 (stdin:8) comes after the stop (stdin:7): added',
    ],
    [
      'where a chain begins in the midst of a file and names no record before it',
      [...chain, ...writtenBy('i-2', 1).lines],
      'unquoted      begins at stdin:8 in the middle of a file and names no record before it there: of another file, or added',
    ],
    [
      'where a start continues a chain of which nothing is there',
      [...chain, ...writtenBy('i-3', 1, { previous: { instance: 'i-2', seq: 4, sha256: 'a'.repeat(64) } }).lines],
      'missing       chain i-2: records 0 to 4 are missing before stdin:8: removed, or not collected',
    ],
    [
      'where a line was a record',
      chain.with(3, at(3).slice(0, 50)),
      'not-a-record  stdin:4 is not a whole record: damaged or altered',
    ],
    [
      'where lines were records',
      chain.with(3, at(3).slice(0, 50)).with(4, at(4).slice(0, 50)),
      'not-a-record  2 lines from stdin:4 to stdin:5 are not whole records: damaged or altered',
    ],
    [
      'where its last line is torn',
      [...chain, '{"time":"2026'],
      'torn          stdin:8 is not a whole record, and none follows: torn by a crash or a full disk, or cut off',
    ],
    [
      'where a torn line is another than the start found',
      [...chain, '{"time":"2027', ...writtenBy('i-2', 1, { torn: { bytes: 13, sha256: sha256('x') } }).lines],
      'torn-altered  stdin:9 found a torn line before it, and stdin:8 is something else: altered or removed',
    ],
    [
      'where a torn line is gone',
      [...chain, ...writtenBy('i-2', 1, { torn: { bytes: 13, sha256: sha256('x') } }).lines],
      'torn-altered  stdin:8 found a torn line before it, and nothing stands there: altered or removed',
    ],
  ])('%s', async (_, lines, told) => {
    const { exit, stdout } = await reading(lines)
    expect(exit).toBe(3)
    expect(stdout).toContain(`\n  ${told}\n`)
    expect(stdout).toMatch(/^Not whole: \d+ findings?\. \d+ records in \d chains?/m)
    expectNoContents(stdout)
  })

  test('where there are more chains than are followed', async () => {
    const line = String(writtenBy('i-1', 0, { sink: 'stdout' }).lines[0])
    const { exit, stdout } = await reading(
      Array.from({ length: 50_001 }, (_, index) => line.replace('i-1', `${index}`)),
    )
    expect(exit).toBe(3)
    expect(stdout).toContain('from stdin:50001 on there are more chains than are followed: not verified\n')
  })

  test('where files are named newest first', async () => {
    const args = [file('audit.log', chain.slice(3)), file('audit.log.1', chain.slice(0, 3))]
    const { exit, stdout } = await verifying(args)
    expect(exit).toBe(3)
    expect(stdout).toContain(
      '  moved         records 0 to 2 are at audit.log.1:1 to audit.log.1:3, after audit.log:1: moved, or the files',
    )
  })

  test('where a file has no record', async () => {
    const args = [file('audit.log.1.gz', ['\u001f\u008b']), file('audit.log', chain)]
    const { exit, stdout } = await verifying(args)
    expect(exit).toBe(3)
    expect(stdout).toContain(
      '  no-record     audit.log.1.gz holds no record: the wrong file, or compressed; give the output of zcat for it, as "-"\n',
    )
  })

  test('where an older chain was written anew, or one was added', async () => {
    const longer = writtenBy('i-1', 7).lines
    expect((await reading([...longer, ...next])).stdout).toContain(
      '  after-quote   record 7 is behind the one that stdin:9 names as the newest, up to stdin:8: added\n',
    )
    const added = writtenBy('i-9', 1, { previous: headOf(writtenBy('i-1', 6)) }).lines
    expect((await reading([...chain, ...added, ...next])).stdout).toContain(
      '  quoted-twice  stdin:10 names the same record 6 before it as stdin:8: one of the two was added\n',
    )
  })

  test('where there is more wrong than is listed, which is counted', async () => {
    const { stdout } = await reading(Array.from({ length: 99 }, () => at(0)))
    expect(stdout).toContain('  repeated      record 0 is there again at stdin:2')
    expect(stdout.match(/^ {2}repeated/gm)).toHaveLength(50)
    expect(stdout).toContain('\nand 48 more findings, of which --output json lists up to 1000\nNot whole: 98 findings.')
  })

  test.each([
    ['nothing', ''],
    ["keyhole's own log", `${OWN_LOG}\n`],
    ['a compressed file', Buffer.from([0x1f, 0x8b, 0x08, 0x00, 0x0a, 0xff])],
    ['a log with a prefix', chain.map((line) => `[pod/keyhole-0/keyhole] ${line}\n`).join('')],
  ])('where there is no record at all, but %s', async (_, stdin) => {
    const { exit, stdout } = await verifying([], { stdin })
    expect(exit).toBe(3)
    expect(stdout).toMatch(/^There is no audit record here/m)
    expect(stdout).toContain('not compressed, and from kubectl logs without --prefix and --timestamps.\n')
  })

  test('where a record holds what a terminal obeys, which is printed as harmless text', async () => {
    const hostile = JSON.parse(at(0))
    const line = JSON.stringify({ ...hostile, chain: { ...hostile.chain, instance: '\u001b[2J\nchain i-1: whole' } })
    const { exit, stdout } = await reading([line, line, at(0).replace(/"time":"[^"]*"/, '"time":"\\u001b]0;x"')])
    expect(exit).toBe(3)
    expect(stdout).toContain('chain \\u001b[2J\\u000achain i-1: whole: not whole\n')
    expect(stdout).toContain('  time          unknown to unknown\n')
  })
})

describe('--output json', () => {
  const written = writtenBy('i-1', 3)

  test('is one document with all of it, and nothing of a record but its chain', async () => {
    const { exit, stdout, stderr } = await reading(
      [...written.lines.toSpliced(2, 1), OWN_LOG],
      '--output=json',
      '--head',
      headOf(written).sha256,
    )
    expect([exit, stderr]).toEqual([3, ''])
    const place = (line: number) => ({ file: 'stdin', line })
    expect(JSON.parse(stdout)).toEqual({
      type: 'audit-verify',
      status: 'broken',
      lines: 4,
      records: 3,
      foreign: 1,
      torn: 0,
      chains: [
        {
          head: headOf(written),
          isWhole: false,
          records: 3,
          firstSeq: 0,
          firstAt: place(1),
          lastAt: place(3),
          firstTime: '2026-11-22T12:30:15.007Z',
          lastTime: '2026-11-22T12:30:18.007Z',
          cause: 'process',
          stopped: false,
          end: 'kept',
          torn: 0,
        },
      ],
      heads: [{ sha256: headOf(written).sha256, found: { instance: 'i-1', seq: 3, at: place(3) } }],
      findings: [
        {
          flaw: 'missing',
          instance: 'i-1',
          records: { from: 2, to: 2 },
          at: place(2),
          by: place(3),
          detail: 'record 2 is missing between stdin:2 and stdin:3: removed, or not collected',
        },
      ],
    })
    expectNoContents(stdout)
  })

  test.each([
    ['whole', written.lines, 0],
    ['broken', written.lines.slice(1), 3],
    ['empty', [], 3],
  ])('has the status %s', async (status, lines, wanted) => {
    const { exit, stdout } = await reading(lines, '--output', 'json')
    expect([exit, JSON.parse(stdout).status]).toEqual([wanted, status])
  })

  test('counts what is beyond the bound', async () => {
    const { stdout } = await reading(
      Array.from({ length: 1_500 }, () => String(written.lines[0])),
      '--output=json',
    )
    const { findings, findingsOmitted } = JSON.parse(stdout)
    expect([findings.length, findingsOmitted]).toEqual([1_000, 499])
  })
})

describe('a long log', () => {
  const lines = writtenBy('i-1', 20, { stop: true }).lines

  function slow(clock: ReturnType<typeof virtualClock>, lineMs = 1_000, firstMs = 0) {
    return Readable.from(
      (async function* () {
        await clock.advance(firstMs)
        for (const line of lines) {
          await clock.advance(lineMs)
          yield Buffer.from(`${line}\n`)
        }
      })(),
    )
  }

  test('shows on a terminal how far it is, after two seconds', async () => {
    const clock = virtualClock(0)
    const { exit, stderr } = await verifying(['-'], { stdin: slow(clock), clock, isTTY: true })
    expect(exit).toBe(0)
    const shown = stderr.split('\r').slice(1)
    expect(shown).toHaveLength(lines.length - 1)
    expect(shown[0]).toMatch(/^Read 0\.0 MiB, 2 records/)
    expect(shown.at(-1)).toMatch(/^Read 0\.0 MiB, 22 records.*\n$/)
  })

  test('is redrawn at most ten times a second', async () => {
    const clock = virtualClock(0)
    const { stderr } = await verifying(['-'], { stdin: slow(clock, 60, 2_000), clock, isTTY: true })
    // 22 lines, one every 60 ms after the first.
    expect(stderr.split('\r').slice(1)).toHaveLength(11)
  })

  test('of files says of how much', async () => {
    let now = 0
    const clock = { ...virtualClock(0), now: () => (now += 3_000) }
    const { stderr } = await verifying([file('audit.log', lines)], { clock, isTTY: true })
    expect(stderr).toContain('Read 0.0 of 0.0 MiB, 22 records')
  })

  test('shows nothing elsewhere, or where it is soon over', async () => {
    const clock = virtualClock(0)
    expect((await verifying(['-'], { stdin: slow(clock), clock })).stderr).toBe('')
    expect((await verifying(['-'], { stdin: textOf(lines), isTTY: true })).stderr).toBe('')
  })

  test('that somebody stops is exit 2, and nothing is said of what was read', async () => {
    const stopping = new AbortController()
    const waiting = new Readable({
      read() {
        setImmediate(() => stopping.abort())
      },
    })
    expect(await verifying([], { stdin: waiting, signal: stopping.signal })).toEqual({
      exit: 2,
      stdout: '',
      stderr: 'keyhole audit verify: stopped before the end.\n',
    })
  })

  test('that cannot be read to its end is exit 1, whatever was read of it', async () => {
    const broken = Readable.from(
      (async function* () {
        yield Buffer.from(textOf(lines))
        throw Object.assign(new Error('canary of a message'), { code: 'EIO' })
      })(),
    )
    expect(await verifying([], { stdin: broken })).toEqual({
      exit: 1,
      stdout: '',
      stderr: 'keyhole audit verify: stdin cannot be read to its end (EIO).\n',
    })
  })
})

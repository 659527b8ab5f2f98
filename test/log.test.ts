import { Writable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Code } from '../src/contract.ts'
import { CODES } from '../src/contract.ts'
import { KeyholeError, UpstreamError } from '../src/errors.ts'
import type { Level, LogFields } from '../src/log.ts'
import { boundedDestination, describeCause, openLog, refusalLog } from '../src/log.ts'
import { token } from '../src/opaque.ts'
import { virtualClock } from './virtual-clock.ts'

const CANARY = 'canary-in-an-error'
const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error']

function logging(level: Level = 'debug') {
  const lines: string[] = []
  const clock = virtualClock(Date.UTC(2026, 0, 2))
  const log = openLog(level, { write: (line: string) => void lines.push(line) }, clock)
  return {
    log,
    refused: refusalLog(log, clock),
    lines,
    last: () => JSON.parse(lines.at(-1) ?? '{}') as Record<string, unknown>,
  }
}

describe('a line of the log', () => {
  test('has its level, the time of the clock, its fields and its message, and nothing of the machine', () => {
    const { log, lines } = logging()
    log.info('serving', { url: 'https://0.0.0.0:8443', replicas: 2 })
    expect(lines).toEqual([
      '{"level":"info","time":"2026-01-02T00:00:00.000Z","url":"https://0.0.0.0:8443","replicas":2,"msg":"serving"}\n',
    ])
  })

  test.each(LEVELS)('is written from the level %s up', (level) => {
    const { log, lines } = logging(level)
    for (const name of LEVELS) log[name]('said')
    expect(lines.map((line) => JSON.parse(line).level)).toEqual(LEVELS.slice(LEVELS.indexOf(level)))
  })

  test('is one line whatever it says', () => {
    const { log, lines } = logging()
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (message, value) => {
        log.warn(message, { value })
        expect(lines.at(-1)?.slice(0, -1)).not.toMatch(/[\n\r]/)
        expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ value: value.toWellFormed() })
      }),
      { seed: 7, numRuns: 200 },
    )
  })

  test('shows the label of a token that was put there by mistake', () => {
    const { log, lines } = logging()
    log.error('mistaken', { token: token(CANARY) } as unknown as LogFields)
    expect(lines.join()).not.toContain(CANARY)
    expect(lines.join()).toContain('[token]')
  })
})

describe('a refusal in the log', () => {
  const silent = Object.entries(CODES).filter(([, { status }]) => status < 500)
  const told = Object.entries(CODES).filter(([, { status }]) => status >= 500)

  test.each(silent)('%s is the caller’s own affair, unless there is something to mend', (code) => {
    const { refused, lines, last } = logging()
    refused(new KeyholeError(code as Code, { why: 'a-guard' }), 'id')
    expect(lines).toEqual([])
    refused(new KeyholeError(code as Code, { why: 'a-guard', fix: 'Mend that.' }), 'id')
    expect(last()).toMatchObject({
      level: 'warn',
      msg: `refused: ${code}`,
      why: 'a-guard',
      fix: 'Mend that.',
      requestId: 'id',
    })
  })

  test.each(told)('%s is told under the id that its reply has', (code) => {
    const { refused, last } = logging()
    refused(new KeyholeError(code as Code), 'id')
    expect(last()).toMatchObject({
      level: code === 'OVERLOADED' ? 'warn' : 'error',
      msg: `refused: ${code}`,
      requestId: 'id',
    })
  })

  test('has of its cause where it came from, and no text', () => {
    const { refused, lines, last } = logging()
    refused(new KeyholeError('INTERNAL', { why: 'defect', cause: new RangeError(CANARY) }), 'id')
    expect(last()).toMatchObject({
      cause: 'RangeError',
      at: expect.arrayContaining([expect.stringContaining('log.test.ts')]),
    })
    expect(lines.join()).not.toContain(CANARY)
  })
})

describe('what is said of a cause', () => {
  test('is nothing when there is none', () => {
    expect(describeCause(undefined)).toEqual({})
  })

  test('is upstream, kind and status', () => {
    expect(describeCause(new UpstreamError('vault', 'sealed', 503))).toEqual({
      upstream: 'vault',
      kind: 'sealed',
      status: 503,
    })
  })

  test('is the code and the guard of a refusal, and what is below it', () => {
    const below = new KeyholeError('VAULT_SEALED', {
      why: 'vault-sealed',
      cause: new UpstreamError('vault', 'sealed', 503),
    })
    expect(describeCause(below)).toEqual({
      cause: 'VAULT_SEALED',
      why: 'vault-sealed',
      upstream: 'vault',
      kind: 'sealed',
      status: 503,
    })
  })

  test.each<readonly [what: string, thrown: unknown, said: string]>([
    ['a string', CANARY, 'string'],
    ['null', null, 'object'],
    ['an object', { message: CANARY }, 'object'],
  ])('is the type of %s', (_what, thrown, said) => {
    expect(describeCause(thrown)).toEqual({ cause: said })
  })

  test.each<readonly [what: string, error: Error]>([
    ['its message', new SyntaxError(`Unexpected token in ${CANARY}`)],
    ['a message that looks like a frame', new Error(`failed\n    at ${CANARY} (file:1:1)`)],
    ['its properties', Object.assign(new Error('x'), { body: CANARY, config: { headers: CANARY } })],
    ['its cause', new Error('x', { cause: CANARY })],
    ['a message that was changed later', Object.assign(new Error(`\n    at ${CANARY}`), { message: 'other' })],
    ['a name of its own', Object.assign(new Error('x'), { name: CANARY })],
    ['a stack of its own', Object.assign(new Error('x'), { stack: `Error: y\n    at ${CANARY}` })],
  ])('is not %s', (_what, error) => {
    expect(JSON.stringify(describeCause(error))).not.toContain(CANARY)
  })

  test('is at most a dozen frames', () => {
    function deep(left: number): Error {
      return left === 0 ? new Error('x') : deep(left - 1)
    }
    const limit = Error.stackTraceLimit
    Error.stackTraceLimit = 50
    const { at } = describeCause(deep(40))
    Error.stackTraceLimit = limit
    expect(at).toHaveLength(12)
  })

  test('is without frames when there are none', () => {
    const error = new Error('x')
    delete error.stack
    expect(describeCause(error)).toEqual({ cause: 'Error', at: [] })
  })
})

describe('a log that nobody reads', () => {
  function blocked() {
    const taken: string[] = []
    let free: (() => void) | undefined
    const stream = new Writable({
      decodeStrings: false,
      highWaterMark: 1,
      write(chunk: string, _encoding, done) {
        taken.push(chunk)
        free = done
      },
    })
    const drain = async () => {
      while (stream.writableLength > 0) {
        free?.()
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    return { stream, taken, drain }
  }

  test('is kept up to its backlog; then lines are dropped, counted, and the count is told when somebody reads again', async () => {
    const { stream, taken, drain } = blocked()
    const destination = boundedDestination(stream, 10)
    for (const line of ['one-\n', 'two-\n', 'three\n', 'four\n', 'five\n']) destination.write(line)
    await drain()
    expect(taken).toEqual(['one-\n', 'two-\n', 'three\n'])
    for (const line of ['six\n', 'seven\n']) {
      destination.write(line)
      await drain()
    }
    expect(taken.slice(3)).toEqual(['{"level":"warn","lines":2,"msg":"log lines dropped"}\n', 'six\n', 'seven\n'])
  })

  test('may be gone: that is no error of keyhole’s', () => {
    const stream = new Writable({ write: (_chunk, _encoding, done) => done(new Error('EPIPE')) })
    const destination = boundedDestination(stream)
    expect(() => destination.write('line\n')).not.toThrow()
    expect(() => stream.emit('error', new Error('EPIPE'))).not.toThrow()
  })
})

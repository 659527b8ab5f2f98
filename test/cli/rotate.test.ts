/** Every exit code of `keyhole rotate`, and what is tried again. */
import { rmSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { Code } from '../../src/contract.ts'
import type { Answer } from '../client/samples.ts'
import {
  BLOCKED_ONLY,
  EVENTS,
  HTML,
  incomplete,
  LEFT,
  raw,
  refuses,
  report,
  secretReport,
  streams,
} from '../client/samples.ts'
import { settled } from '../virtual-clock.ts'
import { run, start, TOKEN, waits } from './world.ts'

const DONE = streams(...EVENTS, report())
const CUT = streams(...EVENTS)
const GONE: Answer = (reply) => reply.destroy()

const bodies = (ran: { readonly seen: readonly { readonly body: string }[] }) =>
  ran.seen.map(({ body }) => JSON.parse(body) as unknown)
const keysOf = (ran: { readonly seen: readonly { readonly headers: Readonly<Record<string, unknown>> }[] }) =>
  ran.seen.map(({ headers }) => headers['idempotency-key'])

describe('exit 0', () => {
  test('when the report is complete, which is printed', async () => {
    const ran = await run('', [DONE])
    expect(ran).toMatchObject({ exit: 0, stderr: '' })
    expect(ran.stdout).toBe(
      `${[
        'Rotation 7f3c2a9e of key payments',
        'payments: advance, version 4 -> 5',
        'payments: close',
        'Rotation 7f3c2a9e: complete (42 s)',
        '',
        'payments',
        '  version                 4 -> 5 (made)',
        '  min_decryption_version  3 -> 4',
        '  retirement              done: Older versions do not open any more.',
        '  secrets                 1 rewrapped, 1 current',
      ].join('\n')}\n`,
    )
    expect(bodies(ran)).toEqual([{ mode: 'rotate', dryRun: false, retire: 'after-grace' }])
  })

  test('with every flag, each of which is asked for', async () => {
    const ran = await run('--key payments --key=billing --key payments --rewrap --dry-run --retire never', [DONE])
    expect(bodies(ran)).toEqual([{ keys: ['payments', 'billing'], mode: 'rewrap', dryRun: true, retire: 'never' }])
  })

  test('for a dry run that found nothing blocked', async () => {
    const ran = await run('--dry-run', [streams(report({ dryRun: true }))])
    expect(ran.exit).toBe(0)
    expect(ran.stdout).toContain('Dry run 7f3c2a9e: nothing stands in its way')
    expect(ran.stdout).toContain('1 to be rewrapped, 1 current')
  })
})

describe('exit 3', () => {
  test('when Secrets are blocked, each with what to do, at once', async () => {
    const ran = await run('', [streams(BLOCKED_ONLY)])
    expect(ran).toMatchObject({ exit: 3, stderr: '' })
    expect(ran.stdout).toContain('Rotation 7f3c2a9e: incomplete')
    expect(ran.stdout).toContain('  payments/gone of payments: SECRET_MISSING: Create it.\n')
    expect(waits(ran)).toEqual([])
  })

  test('for a dry run that found something blocked', async () => {
    expect(await run('--dry-run', [streams({ ...BLOCKED_ONLY, dryRun: true })])).toMatchObject({ exit: 3 })
  })

  test('when a key failed in a way that stays', async () => {
    const failure = { code: 'KEY_UNUSABLE', detail: 'The Transit key is missing.' }
    const ran = await run('', [streams(incomplete({ failure, secrets: [secretReport('db', 'left')] }))])
    expect(ran.exit).toBe(3)
    expect(ran.stdout).toContain('  failed                  KEY_UNUSABLE: The Transit key is missing.\n')
    expect(waits(ran)).toEqual([])
  })

  test('as JSON is the report', async () => {
    const ran = await run('--output json', [streams(...EVENTS, BLOCKED_ONLY)])
    expect(ran.exit).toBe(3)
    expect(JSON.parse(ran.stdout)).toEqual(BLOCKED_ONLY)
    expect(ran.stderr).toContain('payments: advance')
  })
})

describe('what may pass by itself', () => {
  test('is exit 2 when something that a rerun may move was still left as the budget ended', async () => {
    const ran = await run('--budget 10s', [streams(LEFT)])
    expect(ran.exit).toBe(2)
    expect(ran.stdout).toContain('Left, for a rerun to go on with:\n  payments/tls of payments\n')
    // The next would be 8 s, beyond the ten.
    expect(waits(ran)).toEqual([1, 2, 4])
  })

  test('is not a dry run that says that a rotation would come too early: exit 3, at once', async () => {
    const failure = { code: 'ROTATED_RECENTLY' as const, detail: 'It may at 04:00.' }
    const ran = await run('--dry-run', [streams({ ...incomplete({ failure, secrets: [] }), dryRun: true })])
    expect(ran.exit).toBe(3)
    expect(waits(ran)).toEqual([])
    expect(ran.stdout).toContain('ROTATED_RECENTLY: It may at 04:00.')
  })

  test('is named where the budget ended before anything was asked for', async () => {
    const ran = await run('--if-older-than 20d --budget 5s', [refuses('VAULT_SEALED', { detail: 'Vault is sealed.' })])
    expect(ran.exit).toBe(2)
    expect(ran.stderr).toContain('VAULT_SEALED')
  })
})

describe('exit 4, without a second try', () => {
  const HINTS: Partial<Record<Code, string>> = {
    ROTATED_RECENTLY: ' (Here: --rewrap.)',
    ROUTE_UNKNOWN:
      ' This keyhole serves no rotations: KEYHOLE_ADDR must name the Service of the rotators (keyhole-rotate).',
  }
  const CODES: readonly Code[] = [
    'TOKEN_MISSING',
    'TOKEN_REJECTED',
    'TOKEN_AUDIENCE',
    'NOT_GRANTED',
    'MALFORMED_REQUEST',
    'ROUTE_UNKNOWN',
    'IDEMPOTENCY_KEY_REUSED',
    'LEASE_UNUSABLE',
    'INTERNAL',
    'ROTATED_RECENTLY',
  ]
  test.each(CODES)('for %s', async (code) => {
    const ran = await run('', [refuses(code, { detail: 'What to do.', requestId: 'r-1' })])
    expect(ran).toMatchObject({ exit: 4, stdout: '' })
    expect(ran.stderr).toBe(`keyhole rotate: ${code}: What to do.${HINTS[code] ?? ''} (request id r-1)\n`)
    expect(ran.seen).toHaveLength(1)
  })

  test('as a JSON document, where that is asked for', async () => {
    const ran = await run('--output json', [refuses('NOT_GRANTED', { detail: 'No.' })])
    expect(JSON.parse(ran.stdout)).toEqual({ type: 'error', exit: 4, code: 'NOT_GRANTED', detail: 'No.' })
  })
})

describe('exit 2, without a second try', () => {
  test.each([
    ['redirected', raw(307, 'text/html', HTML, { location: 'https://elsewhere.example/' })],
    ['not-keyhole', raw(200, 'text/html', HTML)],
    ['garbage', raw(200, 'application/x-ndjson', 'hello\n')],
    ['too-large', raw(200, 'application/x-ndjson', 'x'.repeat(16 * 1024 * 1024 + 1))],
  ])('for an answer that is %s', async (kind, answer) => {
    const ran = await run('', [answer])
    expect(ran).toMatchObject({ exit: 2, stdout: '' })
    expect(ran.stderr).toMatch(new RegExp(`^keyhole rotate: ${kind}: `))
    expect(ran.stderr).not.toContain('elsewhere')
    expect(ran.seen).toHaveLength(1)
  })
})

describe('what may pass is tried again, as the same request', () => {
  test.each([
    ['a broken connection', GONE],
    ['a stream without its report', CUT],
    ['a gateway without keyhole', raw(503, 'text/html', HTML)],
    ['Secrets that were left', streams(LEFT)],
    [
      'a key that failed in a way that may pass',
      streams(incomplete({ failure: { code: 'VAULT_UNAVAILABLE', detail: 'Try again.' } })),
    ],
    [
      'a key that failed in a way that is not known here',
      streams(incomplete({ failure: { code: 'NEWER_THAN_THIS', detail: 'Try again.' } })),
    ],
    [
      'what is left beside what is blocked',
      streams(incomplete({ secrets: [secretReport('a', 'blocked'), secretReport('b', 'left')] })),
    ],
  ])('after %s', async (_, answer) => {
    const ran = await run('--key payments', [answer, answer, DONE])
    expect(ran.exit).toBe(0)
    expect(waits(ran)).toEqual([1, 2])
    expect(keysOf(ran)).toEqual(['invocation-1', 'invocation-1', 'invocation-1'])
    expect(new Set(ran.seen.map(({ body }) => body)).size).toBe(1)
  })

  const PASSING: readonly Code[] = [
    'VAULT_SEALED',
    'VAULT_UNAVAILABLE',
    'KUBERNETES_UNAVAILABLE',
    'AUDIT_UNAVAILABLE',
    'OVERLOADED',
    'DEADLINE',
    'RATE_LIMITED',
  ]
  test.each(PASSING)('after %s, once as much time has passed as keyhole asks for', async (code) => {
    const ran = await run('', [refuses(code, {}, 9), DONE])
    expect(ran.exit).toBe(0)
    expect(waits(ran)).toEqual([9])
    expect(ran.stdout).toContain(`${code}: `)
  })

  test('after longer and longer waits, up to half a minute, until it is exit 2', async () => {
    const ran = await run('--budget 2m', [GONE])
    expect(ran.exit).toBe(2)
    expect(waits(ran)).toEqual([1, 2, 4, 8, 16, 30, 30])
    expect(ran.stderr).toMatch(/^keyhole rotate: cut: The connection broke \(ECONNRESET\)\.\n$/)
  })

  test('not by all callers at the same time', async () => {
    expect(waits(await run('--budget 30s', [GONE], { random: 0 }))).toEqual([1, 1, 2, 4, 8])
  })

  test('not where keyhole asks for a wait that is longer than the budget', async () => {
    const ran = await run('', [refuses('VAULT_SEALED', {}, 3_600)])
    expect(ran.exit).toBe(2)
    expect(waits(ran)).toEqual([])
    expect(ran.stderr).toMatch(/^keyhole rotate: VAULT_SEALED: /)
  })

  test('with whatever the token file holds by then', async () => {
    const ran = await run('', [GONE, DONE], { waiting: ({ tokenFile }) => writeFileSync(tokenFile, 'renewed\n') })
    expect(ran.seen.map(({ headers }) => headers.authorization)).toEqual([`Bearer ${TOKEN}`, 'Bearer renewed'])
  })

  test('not without the token file, if that is gone by then: exit 1', async () => {
    const ran = await run('', [GONE, DONE], { waiting: ({ tokenFile }) => rmSync(tokenFile) })
    expect(ran).toMatchObject({ exit: 1 })
    expect(ran.stderr).toMatch(/^keyhole rotate: token-file: The token file cannot be read: there is no such file\./)
  })
})

describe('another rotation', () => {
  const progress = { startedAt: '2026-01-15T00:00:00.000Z', done: 34, total: 120 }

  test('is waited for, with how far it is, and for no longer each time', async () => {
    const busy = refuses('ROTATION_IN_PROGRESS', { progress }, 10)
    const ran = await run('', [busy, busy, busy, refuses('ROTATION_IN_PROGRESS', {}, 10), DONE])
    expect(ran.exit).toBe(0)
    expect(waits(ran)).toEqual([10, 10, 10, 10])
    expect(ran.stdout).toContain(
      'Another rotation runs since 2026-01-15T00:00:00.000Z: 34 of 120 Secrets. Trying again in 10 s.\n',
    )
    expect(ran.stdout).toContain('Another rotation runs. Trying again in 10 s.\n')
  })

  test('that outlasts the budget is exit 2', async () => {
    const ran = await run('--budget 1m', [refuses('ROTATION_IN_PROGRESS', { progress }, 25)])
    expect(ran.exit).toBe(2)
    expect(waits(ran)).toEqual([25, 25])
    expect(ran.stderr).toMatch(/^keyhole rotate: ROTATION_IN_PROGRESS: /)
  })
})

describe('giving up', () => {
  const RUNS: Answer = (reply) => {
    reply.writeHead(200, { 'content-type': 'application/x-ndjson' })
    reply.write(`${JSON.stringify(EVENTS[0])}\n`)
  }

  test('when told to stop says that the rotation goes on, and is exit 2', async () => {
    await using running = await start('', [RUNS])
    await running.peer.request(0)
    running.stopping.abort()
    expect(await running.exit).toBe(2)
    expect(running.stderr()).toMatch(
      /^keyhole rotate: interrupted: Told to stop\. A rotation that has begun goes on in the service; /,
    )
  })

  test('while it waits is at once', async () => {
    const ran = await run('', [GONE], { waiting: ({ stopping }) => stopping.abort() })
    expect(ran).toMatchObject({ exit: 2 })
    expect(ran.stderr).toContain('interrupted: ')
    expect(ran.stderr).toContain(' Last: The connection broke (ECONNRESET). Trying again in 1 s.\n')
    expect(ran.seen).toHaveLength(1)
  })

  test('before anything was asked for says that, too', async () => {
    await using running = await start('--if-older-than 20d', [() => {}])
    await running.peer.request(0)
    running.stopping.abort()
    expect(await running.exit).toBe(2)
    expect(running.stderr()).toContain('No rotation was asked for.')
  })

  test('when the budget ends while it runs is exit 2', async () => {
    await using running = await start('--budget 5s --output json', [RUNS])
    await running.peer.request(0)
    while (!running.stderr().includes('Rotation')) await settled()
    await running.clock.advance(5_000)
    expect(await running.exit).toBe(2)
    expect(JSON.parse(running.stdout())).toMatchObject({ type: 'error', exit: 2, code: 'budget' })
  })
})

describe('what a peer says', () => {
  const EVIL = '\x1b]0;owned\x07\x9b2J\r\n\u202e\u{1f511}'

  test('moves no cursor, forges no line and colours nothing, as text and as JSON', async () => {
    const key = `pay${EVIL}`
    const evil = incomplete({
      key,
      retirement: { done: false, why: 'gitops', detail: EVIL },
      failure: { code: `C${EVIL}`, detail: EVIL },
      secrets: [secretReport(EVIL, 'blocked', { detail: EVIL, gitops: EVIL }), secretReport('b', 'left')],
    })
    const events = EVENTS.map((event) => (event.type === 'started' ? { ...event, id: EVIL } : { ...event, key }))
    const answers = [refuses('VAULT_SEALED', { detail: EVIL, requestId: EVIL }), streams(...events, evil)]
    for (const setting of [{}, { isTTY: true }, { isTTY: true, columns: 10 }]) {
      const ran = await run('--budget 20s', answers, setting)
      // Its failure has a code that is not known, and so may pass.
      expect(ran.exit).toBe(2)
      expect(ran.stdout.split('\n').filter((line) => line.startsWith('owned'))).toEqual([])
    }
    const ran = await run('--budget 20s --output json', answers)
    expect(ran.stdout.trimEnd().split('\n')).toHaveLength(1)
    expect(JSON.parse(ran.stdout)).toEqual(evil)
    await run('', [refuses('NOT_GRANTED', { detail: EVIL })])
  })
})

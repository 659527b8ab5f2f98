import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatRecord, MAX_LIST_BYTES } from '../../src/audit-log/format-record.ts'
import type { AuditRecord } from '../../src/audit-log/record.ts'
import { anyRecord, decision, effect, NOW_MS, refusal, rotation, start, started } from './records.ts'

const LINK = { instance: 'i-1', seq: 7, prev: 'p'.repeat(64) }
const CANARY = 'canary-91ab'
const SEED = { seed: 20261122 }

function parsed(record: AuditRecord): Record<string, unknown> {
  return JSON.parse(formatRecord(record, LINK))
}

/** Every path of a record's fields, e.g. `caller.pod.name`; array elements as `[]`. */
function paths(value: unknown, at = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((one) => paths(one, `${at}[]`))
  if (typeof value !== 'object' || value === null) return [at]
  return Object.entries(value).flatMap(([name, one]) => paths(one, at === '' ? name : `${at}.${name}`))
}

const WHITELIST = new RegExp(
  `^(?:${[
    'time|kind|chain\\.(?:instance|seq|prev)',
    'requestId|action|outcome|code|why|otherKeys|listed|policyHash|etag|rotation|durationMs|peer',
    'caller\\.(?:namespace|serviceAccount|uid|credentialId|pod\\.(?:name|uid))',
    'secret\\.(?:namespace|name)',
    'transitKey\\.(?:mount|name|versions\\[\\])',
    'phase|effect|complete|resumed\\.(?:by|target|retire)|secrets\\.(?:rewrapped|current|blocked|left)',
    '(?:keys|documents|rotates|dataKeys|transitKeys)(?:\\[\\]|Omitted|Sha256)',
    'since|untold|problems|from|to|cause|sink|refusedAppends',
    'peers\\.(?:distinct|untold|top\\[\\]\\.(?:peer|count))',
    'callers\\[\\]\\.(?:namespace|serviceAccount)',
    'versions\\.(?:keyhole|node)',
    'previous\\.(?:instance|seq|sha256)',
    'torn\\.(?:bytes|sha256)',
  ].join('|')})$`,
)

describe('a line', () => {
  it('says what a decision came to, field by field', () => {
    expect(parsed(decision())).toEqual({
      time: '2026-11-22T12:30:15.007Z',
      kind: 'decision',
      requestId: 'r-1',
      action: 'read',
      outcome: 'disclosed',
      caller: {
        namespace: 'payments',
        serviceAccount: 'api',
        uid: 'uid-1',
        pod: { name: 'api-0', uid: 'pod-1' },
        credentialId: 'JTI=1',
      },
      secret: { namespace: 'payments', name: 'db' },
      keys: ['PGHOST', 'PGUSER'],
      otherKeys: 1,
      policyHash: 'hash-1',
      transitKey: { mount: 'transit', name: 'payments', versions: [3] },
      etag: '"tag"',
      durationMs: 12,
      peer: '10.1.2.3',
      chain: LINK,
    })
  })

  it('says why a request was refused, and of which keys nothing was disclosed', () => {
    const line = parsed(refusal())
    expect(line).toMatchObject({ outcome: 'refused', code: 'NOT_GRANTED', why: 'not-a-reader', keys: [] })
    expect(line).not.toHaveProperty('etag')
  })

  it('says of a rotation which one was started, and of which keys', () => {
    expect(parsed(started({ rotates: ['ledger', 'payments'] }))).toMatchObject({
      action: 'rotate',
      outcome: 'started',
      rotation: '0a-1',
      rotates: ['ledger', 'payments'],
    })
    expect(parsed(decision())).not.toHaveProperty('rotates')
  })

  it('says what changes outside of keyhole, and what a rotation comes to, field by field', () => {
    const caller = { namespace: 'keyhole', serviceAccount: 'cron' }
    const frame = { time: '2026-11-22T12:30:15.007Z', rotation: '0a-1', caller, chain: LINK }
    expect(parsed(effect())).toEqual({
      ...frame,
      kind: 'effect',
      phase: 'end',
      effect: 'move',
      transitKey: { mount: 'transit', name: 'payments' },
      secret: { namespace: 'payments', name: 'db' },
      dataKeys: ['secrets.json'],
      from: 1,
      to: 2,
      outcome: 'done',
    })
    const { outcome: _, ...unended } = effect({ effect: 'advance', secret: undefined, dataKeys: undefined })
    expect(parsed({ ...unended, phase: 'begin' })).toEqual({
      ...frame,
      kind: 'effect',
      phase: 'begin',
      effect: 'advance',
      transitKey: { mount: 'transit', name: 'payments' },
      from: 1,
      to: 2,
    })
    expect(parsed(rotation())).toEqual({
      ...frame,
      kind: 'rotation',
      phase: 'end',
      transitKeys: ['payments'],
      policyHash: 'hash-1',
      complete: true,
      secrets: { rewrapped: 3, current: 2, blocked: 1, left: 0 },
    })
    const { complete, secrets, ...unfinished } = rotation()
    const common = { ...frame, kind: 'rotation', transitKeys: ['payments'], policyHash: 'hash-1' }
    expect(parsed({ ...unfinished, phase: 'begin' })).toEqual({ ...common, phase: 'begin' })
    const resumed = { by: 'keyhole/other', target: 3, retire: 'now' }
    expect(parsed({ ...unfinished, phase: 'resumed', resumed })).toEqual({ ...common, phase: 'resumed', resumed })
    expect(parsed({ ...unfinished, phase: 'discarded', why: 'eyJhbGciOiJSUzI1NiJ9' })).toEqual({
      ...common,
      phase: 'discarded',
      why: 'unnamed',
    })
  })

  it('says what was counted, started, stopped and changed', () => {
    const counts = new Map([['TOKEN_MISSING' as const, 3]])
    const previous = { instance: 'i-0', seq: 4, sha256: 'a'.repeat(64) }
    expect(
      [
        {
          kind: 'refusals' as const,
          timeMs: NOW_MS,
          sinceMs: NOW_MS - 1000,
          counts,
          peers: { distinct: 2, untold: 0, top: [{ peer: '10.0.0.1', count: 2 }] },
        },
        {
          kind: 'throttled' as const,
          timeMs: NOW_MS,
          sinceMs: NOW_MS - 1000,
          callers: [{ namespace: 'a', serviceAccount: 'b', counts }],
          untold: 1,
        },
        start({ previous, torn: { bytes: 3, sha256: 'b' }, policyHash: 'h', refusedAppends: 2 }),
        { kind: 'stop' as const, timeMs: NOW_MS },
        { kind: 'policy' as const, timeMs: NOW_MS, from: 'h1', to: 'h2', documents: ['SecretGrant a/b'], problems: 1 },
      ].map((record) => {
        const { time, chain, ...rest } = parsed(record)
        return rest
      }),
    ).toEqual([
      {
        kind: 'refusals',
        since: '2026-11-22T12:30:14.007Z',
        counts: { TOKEN_MISSING: 3 },
        peers: { distinct: 2, untold: 0, top: [{ peer: '10.0.0.1', count: 2 }] },
      },
      {
        kind: 'throttled',
        since: '2026-11-22T12:30:14.007Z',
        callers: [{ namespace: 'a', serviceAccount: 'b', counts: { TOKEN_MISSING: 3 } }],
        untold: 1,
      },
      {
        kind: 'start',
        cause: 'process',
        sink: 'file',
        versions: { keyhole: '0.1.0', node: 'v24' },
        policyHash: 'h',
        previous,
        torn: { bytes: 3, sha256: 'b' },
        refusedAppends: 2,
      },
      { kind: 'stop' },
      { kind: 'policy', from: 'h1', to: 'h2', documents: ['SecretGrant a/b'], problems: 1 },
    ])
  })

  it('is one line of printable ASCII, valid JSON, bounded, and holds no field that is not named', () => {
    fc.assert(
      fc.property(anyRecord(CANARY), (record) => {
        const line = formatRecord(record, LINK)
        expect(line).toMatch(/^[\x20-\x7e]+$/)
        expect(line.length).toBeLessThan(96 * 1024)
        expect(line).not.toContain(CANARY)
        const { counts, callers, ...rest } = JSON.parse(line)
        const named = callers?.map(({ counts: _, ...caller }: { counts: unknown }) => caller)
        for (const path of paths({ ...rest, callers: named ?? [] })) expect(path).toMatch(WHITELIST)
      }),
      { ...SEED, numRuns: 500 },
    )
  })

  it('means what was put in, for every character that had to be escaped', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 100 }), (peer) => {
        expect(parsed(decision({ peer }))['peer']).toBe(peer)
      }),
      SEED,
    )
  })

  it.each(['requestId', 'peer', 'policyHash', 'etag'] as const)(
    'cannot be ended, nor another begun, through %s',
    (field) => {
      const injected = '"}\r\n{"kind":"stop"}\u2028\u0085'
      const line = formatRecord(decision({ [field]: injected }), LINK)
      expect(line.split(/[\r\n\u2028\u2029\u0085\v\f]/u)).toHaveLength(1)
      expect(JSON.parse(line)).toMatchObject({ kind: 'decision', [field]: injected })
    },
  )
})

describe('names', () => {
  it.each([
    'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln',
    '..',
    'a'.repeat(64),
    'Db',
    'db\n',
    '',
    'd\u0431',
    '-db',
    'db-',
    'db.payments',
  ])('leaves out a secret that is no name: %j', (name) => {
    expect(parsed(decision({ secret: { namespace: 'payments', name } }))).not.toHaveProperty('secret')
    expect(parsed(decision({ secret: { namespace: name, name: 'db' } }))).not.toHaveProperty('secret')
  })

  it.each(['d', 'db', '0-db', 'a'.repeat(63)])('keeps the name %s', (name) => {
    expect(parsed(decision({ secret: { name } }))['secret']).toEqual({ name })
  })

  it.each(['Bearer eyJhbGciOi', 'upstream said: no', 'a'.repeat(65), '', 'x\n'])(
    'calls a reason that is none of our words unnamed: %j',
    (why) => {
      expect(parsed(refusal({ why }))['why']).toBe('unnamed')
    },
  )

  it('cuts what is longer than any name', () => {
    const peer = parsed(decision({ peer: 'p'.repeat(10_000) }))['peer']
    expect(peer).toBe(`${'p'.repeat(256)}...`)
  })
})

describe('long lists', () => {
  it('keeps the names that fit, counts the others, and vouches for all of them by a digest', () => {
    const keys = Array.from({ length: 5000 }, (_, index) => `KEY_${index}`)
    const record = parsed(decision({ keys }))
    const kept = record['keys'] as string[]
    expect(kept).toEqual(keys.slice(0, kept.length))
    expect(JSON.stringify(kept).length).toBeLessThanOrEqual(MAX_LIST_BYTES + 2)
    expect(kept.length).toBeGreaterThan(1000)
    expect(record['keysOmitted']).toBe(5000 - kept.length)
    expect(record['keysSha256']).toBe(createHash('sha256').update(JSON.stringify(keys)).digest('hex'))
  })

  it('never shortens a name: it would be the name of another key', () => {
    const record = parsed(decision({ keys: ['A', 'x'.repeat(257)] }))
    expect(record).toMatchObject({ keys: ['A'], keysOmitted: 1 })
  })

  it('names what comes after a name too long: whoever writes a Secret must not choose what its record shows', () => {
    const record = parsed(decision({ keys: ['x'.repeat(257), 'PGPASSWORD', 'PGHOST'] }))
    expect(record).toMatchObject({ keys: ['PGPASSWORD', 'PGHOST'], keysOmitted: 1 })
  })

  it('counts the bytes that escapes cost', () => {
    const keys = Array.from({ length: 100 }, () => '\u{1f511}'.repeat(120))
    expect(formatRecord(decision({ keys }), LINK).length).toBeLessThan(MAX_LIST_BYTES + 2048)
  })

  it('names at most sixteen versions', () => {
    const versions = Array.from({ length: 250 }, (_, index) => index)
    const transitKey = parsed(decision({ transitKey: { mount: 'm', name: 'n', versions } }))['transitKey']
    expect(transitKey).toHaveProperty('versions', versions.slice(0, 16))
  })
})

describe('numbers', () => {
  it.each([
    [Number.NaN, 0],
    [Number.POSITIVE_INFINITY, 0],
    [-3, 0],
    [1.4, 1],
  ])('writes the count %d as %d', (durationMs, written) => {
    expect(parsed(decision({ durationMs }))['durationMs']).toBe(written)
  })
})

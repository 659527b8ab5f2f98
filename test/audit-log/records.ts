/** Records as the log is given them, and arbitrary ones with hostile text in every field. */
import fc from 'fast-check'
import type { AuditRecord, Decision, Effect, Rotation, Start } from '../../src/audit-log/record.ts'

export const NOW_MS = Date.UTC(2026, 10, 22, 12, 30, 15, 7)

export function decision(over: Partial<Decision> = {}): Decision {
  return {
    kind: 'decision',
    timeMs: NOW_MS,
    requestId: 'r-1',
    action: 'read',
    peer: '10.1.2.3',
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
    outcome: 'disclosed',
    policyHash: 'hash-1',
    transitKey: { mount: 'transit', name: 'payments', versions: [3] },
    etag: '"tag"',
    durationMs: 12,
    ...over,
  }
}

export function start(over: Partial<Start> = {}): Start {
  return {
    kind: 'start',
    timeMs: NOW_MS,
    cause: 'process',
    sink: 'file',
    versions: { keyhole: '0.1.0', node: 'v24' },
    refusedAppends: 0,
    ...over,
  }
}

export function effect(over: Partial<Effect> = {}): Effect {
  return {
    kind: 'effect',
    phase: 'end',
    timeMs: NOW_MS,
    effect: 'move',
    rotation: '0a-1',
    caller: { namespace: 'keyhole', serviceAccount: 'cron' },
    transitKey: { mount: 'transit', name: 'payments' },
    secret: { namespace: 'payments', name: 'db' },
    dataKeys: ['secrets.json'],
    from: 1,
    to: 2,
    outcome: 'done',
    ...over,
  }
}

export function rotation(over: Partial<Rotation> = {}): Rotation {
  return {
    kind: 'rotation',
    phase: 'end',
    timeMs: NOW_MS,
    rotation: '0a-1',
    caller: { namespace: 'keyhole', serviceAccount: 'cron' },
    transitKeys: ['payments'],
    policyHash: 'hash-1',
    complete: true,
    secrets: { rewrapped: 3, current: 2, blocked: 1, left: 0 },
    ...over,
  }
}

/** Text as nobody well-meaning sends it: newlines of every kind, quotes, JSON, lone surrogates, escapes, length. */
const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    '\n',
    '\r\n',
    '\u2028\u2029\u0085',
    '"}\n{"kind":"start"',
    '\ud800',
    '\u001b[2J',
    '\u0000',
    '__proto__',
  ),
  fc.string({ minLength: 250, maxLength: 600 }),
)
const number = fc.oneof(fc.nat(), fc.double(), fc.constantFrom(Number.NaN, -1, Infinity))
const timeMs = fc.integer({ min: 0, max: 4_102_444_800_000 })
const counts = fc.dictionary(hostile, number, { maxKeys: 4 }).map((from) => new Map(Object.entries(from)))
const head = fc.record({ instance: hostile, seq: number, sha256: hostile })
const option = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined })

const kinds: Record<AuditRecord['kind'], fc.Arbitrary<unknown>> = {
  decision: fc.record({
    kind: fc.constant('decision'),
    timeMs,
    requestId: hostile,
    action: hostile,
    peer: hostile,
    caller: option(
      fc.record({
        namespace: hostile,
        serviceAccount: hostile,
        uid: hostile,
        pod: option(fc.record({ name: hostile, uid: hostile })),
        credentialId: option(hostile),
      }),
    ),
    secret: option(fc.record({ namespace: option(hostile), name: hostile })),
    keys: fc.array(hostile, { maxLength: 400 }),
    otherKeys: number,
    listed: option(number),
    outcome: hostile,
    code: option(hostile),
    why: option(hostile),
    policyHash: option(hostile),
    transitKey: option(fc.record({ mount: hostile, name: hostile, versions: fc.array(number) })),
    etag: option(hostile),
    rotation: option(hostile),
    rotates: option(fc.array(hostile, { maxLength: 400 })),
    durationMs: number,
  }),
  refusals: fc.record({
    kind: fc.constant('refusals'),
    timeMs,
    sinceMs: timeMs,
    counts,
    peers: fc.record({
      distinct: number,
      untold: number,
      top: fc.array(fc.record({ peer: hostile, count: number }), { maxLength: 5 }),
    }),
  }),
  throttled: fc.record({
    kind: fc.constant('throttled'),
    timeMs,
    sinceMs: timeMs,
    callers: fc.array(fc.record({ namespace: hostile, serviceAccount: hostile, counts }), { maxLength: 4 }),
    untold: number,
  }),
  start: fc.record({
    kind: fc.constant('start'),
    timeMs,
    cause: hostile,
    sink: hostile,
    versions: fc.record({ keyhole: hostile, node: hostile }),
    policyHash: option(hostile),
    previous: option(head),
    torn: option(fc.record({ bytes: number, sha256: option(hostile) })),
    refusedAppends: number,
  }),
  stop: fc.record({ kind: fc.constant('stop'), timeMs }),
  policy: fc.record({
    kind: fc.constant('policy'),
    timeMs,
    from: option(hostile),
    to: hostile,
    documents: fc.array(hostile, { maxLength: 400 }),
    problems: number,
  }),
  effect: fc.record({
    kind: fc.constant('effect'),
    phase: hostile,
    timeMs,
    effect: hostile,
    rotation: hostile,
    caller: fc.record({ namespace: hostile, serviceAccount: hostile }),
    transitKey: fc.record({ mount: hostile, name: hostile }),
    secret: option(fc.record({ namespace: hostile, name: hostile })),
    dataKeys: option(fc.array(hostile, { maxLength: 400 })),
    from: number,
    to: number,
    outcome: option(hostile),
  }),
  rotation: fc.record({
    kind: fc.constant('rotation'),
    phase: hostile,
    timeMs,
    rotation: hostile,
    caller: fc.record({ namespace: hostile, serviceAccount: hostile }),
    transitKeys: fc.array(hostile, { maxLength: 400 }),
    policyHash: hostile,
    why: option(hostile),
    resumed: option(fc.record({ by: hostile, target: number, retire: hostile })),
    complete: option(fc.boolean()),
    secrets: option(fc.record({ rewrapped: number, current: number, blocked: number, left: number })),
  }),
}

/** Of every kind, with every field there is, and what a careless caller would leave on it. */
export function anyRecord(smuggled: string): fc.Arbitrary<AuditRecord> {
  return fc.oneof(...Object.values(kinds)).map((record) => smuggle(record, smuggled) as AuditRecord)
}

/** Every object in it, however deep, gets a field that no record has. */
function smuggle(value: unknown, smuggled: string): unknown {
  if (value instanceof Map || typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((one) => smuggle(one, smuggled))
  const entries = Object.entries(value).map(([name, one]) => [name, smuggle(one, smuggled)])
  return { ...Object.fromEntries(entries), token: smuggled, value: { data: smuggled }, toJSON: undefined }
}

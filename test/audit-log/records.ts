/** Records as the log is given them, and arbitrary ones with hostile text in every field. */
import fc from 'fast-check'
import type { AuditRecord, Decision, Effect, Rotation, Start } from '../../src/audit-log/record.ts'

export const NOW_MS = Date.UTC(2026, 10, 22, 12, 30, 15, 7)

const SECRET = { namespace: 'payments', name: 'db' }
const COMMON = {
  kind: 'decision',
  timeMs: NOW_MS,
  requestId: 'r-1',
  peer: '10.1.2.3',
  caller: {
    namespace: 'payments',
    serviceAccount: 'api',
    uid: 'uid-1',
    pod: { name: 'api-0', uid: 'pod-1' },
    credentialId: 'JTI=1',
  },
  otherKeys: 1,
  policyHash: 'hash-1',
  durationMs: 12,
} as const

type Answered = Extract<Decision, { readonly action: 'read'; readonly etag: string }>
type Refused = Extract<Decision, { readonly action: 'read'; readonly outcome: 'refused' }>
type Started = Extract<Decision, { readonly rotation: string }>

/** Of a read that disclosed something. */
export function decision(over: Partial<Answered> = {}): Answered {
  return {
    ...COMMON,
    action: 'read',
    secret: SECRET,
    keys: ['PGHOST', 'PGUSER'],
    outcome: 'disclosed',
    transitKey: { mount: 'transit', name: 'payments', versions: [3] },
    etag: '"tag"',
    ...over,
  }
}

export function refusal(over: Partial<Refused> = {}): Refused {
  return {
    ...COMMON,
    action: 'read',
    secret: SECRET,
    keys: [],
    outcome: 'refused',
    code: 'NOT_GRANTED',
    why: 'not-a-reader',
    ...over,
  }
}

export function started(over: Partial<Started> = {}): Started {
  return { ...COMMON, action: 'rotate', outcome: 'started', rotation: '0a-1', rotates: ['payments'], ...over }
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

type EffectEnd = Extract<Effect, { readonly phase: 'end' }>
type RotationEnd = Extract<Rotation, { readonly phase: 'end' }>

export function effect(over: Partial<EffectEnd> = {}): EffectEnd {
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

export function rotation(over: Partial<RotationEnd> = {}): RotationEnd {
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

/** One of these sets of fields, besides those that all have. */
function variants(common: Fields, ...of: readonly Fields[]): fc.Arbitrary<unknown> {
  return fc.oneof(...of.map((own) => fc.record({ ...common, ...own })))
}

type Fields = Readonly<Record<string, fc.Arbitrary<unknown>>>

const names = fc.array(hostile, { maxLength: 400 })
const caller = fc.record({ namespace: hostile, serviceAccount: hostile })
const refused = { outcome: fc.constant('refused'), code: hostile, why: option(hostile) }
const abandoned = { outcome: fc.constant('abandoned') }
const read = {
  action: fc.constant('read'),
  secret: fc.record({ namespace: option(hostile), name: hostile }),
  keys: names,
  transitKey: option(fc.record({ mount: hostile, name: hostile, versions: fc.array(number) })),
}
const listed = { outcome: fc.constant('listed'), listed: number }
const rotate = { action: fc.constant('rotate'), rotates: option(names) }

const kinds: Record<AuditRecord['kind'], fc.Arbitrary<unknown>> = {
  decision: variants(
    {
      kind: fc.constant('decision'),
      timeMs,
      requestId: hostile,
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
      otherKeys: number,
      policyHash: option(hostile),
      durationMs: number,
    },
    { ...read, ...refused },
    { ...read, ...abandoned },
    { ...read, outcome: fc.constantFrom('disclosed', 'unchanged'), etag: hostile },
    { action: fc.constant('list'), ...refused },
    { action: fc.constant('list'), ...listed },
    { ...rotate, ...refused },
    { ...rotate, outcome: fc.constantFrom('started', 'joined'), rotation: hostile },
    { ...rotate, action: fc.constant('survey'), ...listed },
    // Of an action and an outcome that no type allows.
    { action: hostile, outcome: hostile },
  ),
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
    documents: names,
    problems: number,
  }),
  effect: variants(
    {
      kind: fc.constant('effect'),
      timeMs,
      effect: hostile,
      rotation: hostile,
      caller,
      transitKey: fc.record({ mount: hostile, name: hostile }),
      secret: option(fc.record({ namespace: hostile, name: hostile })),
      dataKeys: option(names),
      from: number,
      to: number,
    },
    { phase: fc.constant('begin') },
    { phase: hostile, outcome: hostile },
  ),
  rotation: variants(
    { kind: fc.constant('rotation'), timeMs, rotation: hostile, caller, transitKeys: names, policyHash: hostile },
    { phase: fc.constant('begin') },
    { phase: hostile, why: hostile },
    { phase: hostile, resumed: fc.record({ by: hostile, target: number, retire: hostile }) },
    {
      phase: hostile,
      complete: fc.boolean(),
      secrets: fc.record({ rewrapped: number, current: number, blocked: number, left: number }),
    },
  ),
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

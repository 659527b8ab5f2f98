/**
 * Puts a record on a line. There is no other way into the log.
 *
 * A line is built field by field: what is not named here cannot get in, whatever object is handed over. It is ASCII
 * (everything else is escaped), so that no name can end a line, start another, or speak to a terminal, and its length
 * is bounded, so that no Secret with a million keys can fill the disk in one request.
 */
import { createHash } from 'node:crypto'
import { LABEL } from '../label.ts'
import { ascii } from '../words.ts'
import type {
  AuditedCaller,
  AuditRecord,
  Decision,
  Effect,
  Head,
  Link,
  PolicyChanged,
  ReadDecision,
  Refusals,
  Resumed,
  Rotation,
  SecretCounts,
  Start,
  Throttled,
  Unauthenticated,
} from './record.ts'

/** At most so many bytes of names in one list of a record; a name costs at most six times its own bound. */
export const MAX_LIST_BYTES = 16 * 1024
const MAX_STRING_CHARS = 256

/** One line, without its newline. */
export function formatRecord(record: AuditRecord, link: Link): string {
  return ascii(JSON.stringify({ time: time(record.timeMs), ...body(record), chain: formatLink(link) }))
}

type Fields = Readonly<Record<string, unknown>>

function body(record: AuditRecord): Fields {
  switch (record.kind) {
    case 'decision':
      return decision(record)
    case 'refusals':
      return refusals(record)
    case 'throttled':
      return throttled(record)
    case 'start':
      return start(record)
    case 'stop':
      return { kind: 'stop' }
    case 'policy':
      return policyChanged(record)
    case 'effect':
      return effect(record)
    case 'rotation':
      return rotation(record)
  }
}

function decision(record: Decision): Fields {
  return {
    kind: 'decision',
    requestId: text(record.requestId),
    action: text(record.action),
    outcome: text(record.outcome),
    ...('code' in record && { code: text(record.code), why: word(record.why) }),
    caller: caller(record.caller),
    ...('secret' in record && { secret: secret(record.secret) }),
    ...list('keys', 'keys' in record ? record.keys : []),
    otherKeys: count(record.otherKeys),
    ...('listed' in record && { listed: count(record.listed) }),
    policyHash: text(record.policyHash),
    ...('transitKey' in record && { transitKey: transitKey(record.transitKey) }),
    ...('etag' in record && { etag: text(record.etag) }),
    ...('rotation' in record && { rotation: text(record.rotation) }),
    ...('rotates' in record && record.rotates !== undefined && list('rotates', record.rotates)),
    durationMs: count(record.durationMs),
    peer: text(record.peer),
  }
}

function refusals(record: Refusals): Fields {
  return {
    kind: 'refusals',
    since: time(record.sinceMs),
    counts: counts(record.counts),
    peers: {
      distinct: count(record.peers.distinct),
      untold: count(record.peers.untold),
      top: record.peers.top.map(({ peer, count: refused }) => ({ peer: text(peer), count: count(refused) })),
    },
  }
}

function throttled(record: Throttled): Fields {
  return {
    kind: 'throttled',
    since: time(record.sinceMs),
    callers: record.callers.map((one) => ({
      namespace: text(one.namespace),
      serviceAccount: text(one.serviceAccount),
      counts: counts(one.counts),
    })),
    untold: count(record.untold),
  }
}

function start(record: Start): Fields {
  return {
    kind: 'start',
    cause: text(record.cause),
    sink: text(record.sink),
    versions: { keyhole: text(record.versions.keyhole), node: text(record.versions.node) },
    policyHash: text(record.policyHash),
    previous: record.previous && formatHead(record.previous),
    torn: record.torn && { bytes: count(record.torn.bytes), sha256: text(record.torn.sha256) },
    refusedAppends: count(record.refusedAppends),
  }
}

function policyChanged(record: PolicyChanged): Fields {
  return {
    kind: 'policy',
    from: text(record.from),
    to: text(record.to),
    ...list('documents', record.documents),
    problems: count(record.problems),
  }
}

function effect(record: Effect): Fields {
  return {
    kind: 'effect',
    phase: text(record.phase),
    effect: text(record.effect),
    rotation: text(record.rotation),
    caller: account(record.caller),
    transitKey: { mount: text(record.transitKey.mount), name: text(record.transitKey.name) },
    secret: record.secret && { namespace: text(record.secret.namespace), name: text(record.secret.name) },
    ...(record.dataKeys !== undefined && list('dataKeys', record.dataKeys)),
    from: count(record.from),
    to: count(record.to),
    ...('outcome' in record && { outcome: text(record.outcome) }),
  }
}

function rotation(record: Rotation): Fields {
  return {
    kind: 'rotation',
    phase: text(record.phase),
    rotation: text(record.rotation),
    caller: account(record.caller),
    ...list('transitKeys', record.transitKeys),
    policyHash: text(record.policyHash),
    ...('why' in record && { why: word(record.why) }),
    ...('resumed' in record && { resumed: resumed(record.resumed) }),
    ...('complete' in record && { complete: record.complete, secrets: secretCounts(record.secrets) }),
  }
}

function resumed(from: Resumed): Fields {
  return { by: text(from.by), target: count(from.target), retire: word(from.retire) }
}

function secretCounts(from: SecretCounts): Fields {
  return {
    rewrapped: count(from.rewrapped),
    current: count(from.current),
    blocked: count(from.blocked),
    left: count(from.left),
  }
}

function account(from: Effect['caller']): Fields {
  return { namespace: text(from.namespace), serviceAccount: text(from.serviceAccount) }
}

function caller(from: AuditedCaller | undefined): Fields | undefined {
  return (
    from && {
      namespace: text(from.namespace),
      serviceAccount: text(from.serviceAccount),
      uid: text(from.uid),
      pod: from.pod && { name: text(from.pod.name), uid: text(from.pod.uid) },
      credentialId: text(from.credentialId),
    }
  )
}

/** Checked here again: a path segment may be a token pasted in the wrong place, and must not become a record. */
function secret(from: ReadDecision['secret']): Fields | undefined {
  if (!LABEL.test(from.name)) return undefined
  if (from.namespace !== undefined && !LABEL.test(from.namespace)) return undefined
  return { namespace: from.namespace, name: from.name }
}

function transitKey(from: ReadDecision['transitKey']): Fields | undefined {
  return from && { mount: text(from.mount), name: text(from.name), versions: from.versions.slice(0, 16).map(count) }
}

function counts(from: ReadonlyMap<Unauthenticated, number>): Fields {
  return Object.fromEntries([...from].map(([code, refused]) => [code, count(refused)]))
}

function formatLink(link: Link): Fields {
  return { instance: text(link.instance), seq: link.seq, prev: text(link.prev) }
}

function formatHead(head: Head): Fields {
  return { instance: text(head.instance), seq: count(head.seq), sha256: text(head.sha256) }
}

/**
 * A list of names within its bound. What does not fit is counted, and a digest of the whole list is added: whoever
 * knows the names can still prove that they are exactly those of the list.
 */
function list(name: string, from: readonly string[]): Fields {
  const fitting: string[] = []
  let bytes = 0
  for (const one of from) {
    // Skipped, and the rest still listed: whoever writes a Secret must not choose what its record shows.
    if (one.length > MAX_STRING_CHARS) continue
    bytes += ascii(JSON.stringify(one)).length + 1
    if (bytes > MAX_LIST_BYTES) break
    fitting.push(one)
  }
  if (fitting.length === from.length) return { [name]: fitting }
  return {
    [name]: fitting,
    [`${name}Omitted`]: from.length - fitting.length,
    [`${name}Sha256`]: createHash('sha256').update(JSON.stringify(from)).digest('hex'),
  }
}

function text(from: string | undefined): string | undefined {
  return from === undefined || from.length <= MAX_STRING_CHARS ? from : `${from.slice(0, MAX_STRING_CHARS)}...`
}

/** Reasons are words of ours. Anything else came from outside, and must not get in. */
function word(from: string | undefined): string | undefined {
  return from === undefined || /^[a-z0-9-]{1,64}$/.test(from) ? from : 'unnamed'
}

function count(from: number): number {
  return Number.isFinite(from) ? Math.max(0, Math.round(from)) : 0
}

function time(ms: number): string {
  return new Date(ms).toISOString()
}

/** What the envelope's tests are made of: permits as the stages would hand them on, and a ledger that remembers. */
import type { Decision, Unauthenticated } from '../../src/audit-log/record.ts'
import type { RotationStatus } from '../../src/contract.ts'
import { KeyholeError } from '../../src/errors.ts'
import type { Attempt } from '../../src/services/attempt.ts'
import type { Ledger } from '../../src/services/audit.ts'
import type { Caller } from '../../src/services/authenticate.ts'
import type { Grant, Listing, RotationGrant } from '../../src/services/authorize.ts'
import type { Sealed } from '../../src/services/ciphertext.ts'
import type { Disclosed } from '../../src/services/disclose.ts'
import type { ReadAsked } from '../../src/services/entry.ts'
import type { Started } from '../../src/services/rotation/run.ts'

export const CANARY = 'canary-7d1f0c'

export function attempt(over: Partial<Attempt> = {}): Attempt {
  return {
    requestId: 'r-1',
    peer: '10.1.2.3',
    gone: new AbortController().signal,
    ...over,
  }
}

/** What a request to read asks for: all keys of `db`. */
export const DB: ReadAsked = { secret: { name: 'db' } }

export function caller(over: Partial<Caller> = {}): Caller {
  return { namespace: 'payments', serviceAccount: 'api', uid: 'uid-1', ...over } as Caller
}

export function grant(of: Caller, over: Partial<Grant> = {}): Grant {
  return {
    caller: of,
    name: 'db',
    secret: { namespace: 'payments', name: 'db' },
    selection: undefined,
    transitKey: { mount: 'transit', name: 'payments' },
    policyHash: 'hash-1',
    ...over,
  } as unknown as Grant
}

export function sealed(under: Grant, keyVersions: readonly number[] = [3]): Sealed {
  const parts = keyVersions.map((keyVersion) => ({ keyVersion, ciphertext: `vault:v${keyVersion}:${CANARY}` }))
  return { grant: under, etag: '"tag"', parts } as unknown as Sealed
}

export interface Wiped {
  wiped: number
}

export function disclosed(under: Grant, keys: readonly string[] = ['PGHOST']): Disclosed & Wiped {
  const body = Buffer.from(CANARY)
  return {
    grant: under,
    keys,
    missing: [],
    body,
    contentType: 'application/json; charset=utf-8',
    etag: '"tag"',
    keyVersions: [3],
    wiped: 0,
    [Symbol.dispose]() {
      this.wiped += 1
      body.fill(0)
    },
  }
}

export function listing(names: readonly string[]): Listing {
  return { policyHash: 'hash-1', secrets: names.map((name) => ({ name, keys: [], all: true })) }
}

/** To rotate these keys. */
export function rotationGrant(of: Caller, names: readonly string[] = ['payments']): RotationGrant {
  const keys = names.map((name) => ({ transitKey: { mount: 'transit', name }, secrets: [] }))
  return { caller: of, keys, policyHash: 'hash-1' } as unknown as RotationGrant
}

export interface Disposed {
  disposed: number
}

export function started(under: RotationGrant, joined = false): Started & Disposed {
  return {
    grant: under,
    id: 'rotation-1',
    joined,
    begin: () => {
      throw new Error('the envelope begins nothing')
    },
    disposed: 0,
    [Symbol.dispose]() {
      this.disposed += 1
    },
  }
}

export function rotationStatus(keys: number): RotationStatus {
  const entry = { key: 'k', mount: 'transit', secrets: 0, versions: {}, drift: [], gitops: [], blocked: [] }
  const ledger = Array.from({ length: keys }, () => entry)
  return { running: null, last: null, ledger, surveyedAt: '2026-01-15T00:00:00.000Z' }
}

export interface TestLedger extends Ledger {
  readonly records: Decision[]
  readonly unauthenticated: { code: Unauthenticated; peer: string }[]
  readonly throttled: { caller: Caller; code: Unauthenticated }[]
  /** Replaces what `append` does after the record was seen. */
  appending: () => Promise<void>
  unhealthy: boolean
  limited: boolean
}

export function ledger(): TestLedger {
  const made: TestLedger = {
    records: [],
    unauthenticated: [],
    throttled: [],
    unhealthy: false,
    limited: false,
    appending: () => Promise.resolve(),
    append(record) {
      made.records.push(record)
      return made.appending()
    },
    refusedUnauthenticated: (code, peer) => void made.unauthenticated.push({ code, peer }),
    overLimit(of, code) {
      if (made.limited) made.throttled.push({ caller: of, code })
      return made.limited
    },
    healthy: () => !made.unhealthy,
  }
  return made
}

export function full(): Promise<void> {
  return Promise.reject(new KeyholeError('AUDIT_UNAVAILABLE', { why: 'audit-sink-failed' }))
}

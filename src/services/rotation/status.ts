/** What GET /rotate tells: what runs, what the last rotation came to, and how every Secret stands. */
import type { RotationStatus } from '../../contract.ts'
import { BLOCKED } from '../../contract.ts'
import type { RotationGrant } from '../authorize.ts'
import { glances } from './glances.ts'
import type { Found, Journal } from './journal.ts'
import { progressOf } from './journal.ts'
import type { Failure, Last, LastKey } from './journal-state.ts'
import type { Keys } from './keys.ts'
import type { Ledger } from './ledger.ts'

/**
 * Only what is about keys that the caller may rotate.
 * @throws KeyholeError LEASE_UNUSABLE, KUBERNETES_UNAVAILABLE, VAULT_UNAVAILABLE, VAULT_SEALED.
 */
export type StatusFor = (grant: RotationGrant, signal: AbortSignal) => Promise<RotationStatus>

export interface StatusOptions {
  readonly journal: Journal
  readonly ledger: Ledger
  readonly keys: Pick<Keys, 'glance'>
}

export function statusTeller({ journal, ledger, keys }: StatusOptions): StatusFor {
  return async function statusFor(grant, signal) {
    const [found, infos] = await Promise.all([
      journal.look(signal),
      // A survey waits for a Vault that is away, and longer than this request may.
      glances(keys, grant.keys, signal),
    ])
    const facts = {
      policyHash: grant.policyHash,
      keys: grant.keys.map(({ transitKey }, index) => ({ name: transitKey.name, info: infos[index] })),
      lastRotation: found.state.last?.id,
    }
    const surveyed = await ledger(facts, signal)
    const own = new Set(grant.keys.map(({ transitKey }) => transitKey.name))
    return {
      running: runningIn(found),
      last: lastFor(own, found.state.last),
      ledger: [...surveyed.entries.values()].filter(({ key }) => own.has(key)),
      surveyedAt: new Date(surveyed.atMs).toISOString(),
    }
  }
}

function runningIn({ running, state: { run } }: Found): RotationStatus['running'] {
  return running && run !== undefined ? { id: run.id, ...progressOf(run) } : null
}

function lastFor(names: ReadonlySet<string>, last: Last | undefined): RotationStatus['last'] {
  const own = last?.keys.filter(({ key }) => names.has(key)) ?? []
  if (last === undefined || own.length === 0) return null
  const sum = (of: (one: LastKey) => number) => own.reduce((total, one) => total + of(one), 0)
  return {
    id: last.id,
    complete: own.every(({ complete }) => complete),
    finishedAt: new Date(last.finishedAtMs).toISOString(),
    rewrapped: sum(({ rewrapped }) => rewrapped),
    current: sum(({ current }) => current),
    blocked: sum(({ blocked }) => blocked),
    left: sum(({ left }) => left),
    failures: last.failures.filter(({ key }) => names.has(key)).map(withDetail),
  }
}

function withDetail({ key, namespace, name, outcome, code }: Failure) {
  return { key, namespace, name, outcome, ...(code !== undefined && { code, detail: BLOCKED[code] }) }
}

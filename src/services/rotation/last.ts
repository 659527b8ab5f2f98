/** What the Lease has room for of a rotation that is over. */
import type { KeyReport } from '../../contract.ts'
import type { Counts, Failure, Last } from './journal-state.ts'
import { MAX_FAILURES } from './journal-state.ts'
import type { Order } from './run.ts'

export interface Ended {
  readonly id: string
  readonly order: Order
  readonly finishedAtMs: number
  readonly reports: readonly KeyReport[]
}

export function lastOf({ id, order, finishedAtMs, reports }: Ended): Last {
  const failures = lastTurns(reports).flatMap(({ key, secrets }) =>
    secrets.flatMap(({ namespace, name, outcome, code }): Failure[] =>
      outcome === 'blocked' || outcome === 'left' ? [{ key, namespace, name, outcome, code }] : [],
    ),
  )
  return {
    id,
    finishedAtMs,
    keys: [...turnsByKey(reports)].map(([key, turns]) => ({
      key,
      complete: turns.every(({ complete }) => complete),
      ended: turns.every(({ failure }) => failure === undefined),
      ...countsOf(turns),
    })),
    failures: failures.slice(0, MAX_FAILURES),
    idempotency: order.idempotency,
  }
}

/** Each Secret once: a key has two reports where something of it had been left unfinished. */
export function countsOf(reports: readonly KeyReport[]): Counts {
  const counts = { rewrapped: 0, current: 0, blocked: 0, left: 0 }
  for (const { secrets } of lastTurns(reports)) for (const { outcome } of secrets) counts[outcome] += 1
  return counts
}

function lastTurns(reports: readonly KeyReport[]): readonly KeyReport[] {
  return [...turnsByKey(reports).values()].flatMap((turns) => turns.slice(-1))
}

function turnsByKey(reports: readonly KeyReport[]): ReadonlyMap<string, readonly KeyReport[]> {
  return Map.groupBy(reports, ({ key }) => key)
}

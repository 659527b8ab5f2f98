/** The real servers as conformance cases see them. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Environment } from '../conformance/environment.ts'
import { operatorOf } from './operator.ts'
import { ISSUER } from './processes.ts'
import type { Connection } from './start.ts'

export function realEnvironment(connection: Connection): Environment {
  const { ca, kubernetes, vault } = connection
  return {
    kubernetes: { url: kubernetes.origin, ca },
    vault: { url: vault.origin, ca },
    issuer: ISSUER,
    operator: operatorOf(connection),
    now: () => Date.now(),
    elapse: (ms) => sleep(ms),
  }
}

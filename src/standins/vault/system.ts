/** sys/health and sys/seal-status. */
import type { StandinReply } from '../server.ts'
import { errors, json } from './answers.ts'
import type { VaultState } from './core.ts'

/** The two that answer without a token, and sealed. */
export function systemStatus(path: string, method: string, state: VaultState): StandinReply | undefined {
  const { sealed, clock } = state
  const cluster = sealed
    ? {}
    : { cluster_name: 'vault-cluster-standin', cluster_id: '00000000-0000-4000-8000-000000000000' }
  if (path === 'sys/health') {
    if (method !== 'GET' && method !== 'HEAD') return errors(405)
    return json(sealed ? 503 : 200, {
      initialized: true,
      sealed,
      standby: sealed,
      performance_standby: false,
      replication_performance_mode: sealed ? 'unknown' : 'disabled',
      replication_dr_mode: sealed ? 'unknown' : 'disabled',
      server_time_utc: Math.floor(clock.now() / 1000),
      version: '1.21.0',
      enterprise: false,
      ...cluster,
      echo_duration_ms: 0,
      clock_skew_ms: 0,
      replication_primary_canary_age_ms: 0,
    })
  }
  if (path !== 'sys/seal-status') return undefined
  return json(200, {
    type: 'shamir',
    initialized: true,
    sealed,
    t: 1,
    n: 1,
    progress: 0,
    nonce: '',
    version: '1.21.0',
    migration: false,
    ...cluster,
    recovery_seal: false,
    storage_type: 'inmem',
  })
}

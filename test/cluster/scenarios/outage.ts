/** Vault is away for two minutes: clear answers, no restart, and back at once. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { podsOf, restartsOf } from '../installation.ts'
import type { Counts } from '../probe.ts'
import { load } from '../probe.ts'
import type { ClusterWorld } from '../world.ts'

const AWAY_MS = 120_000
const RECOVERY_MS = 2_000

export function outage(world: () => ClusterWorld): void {
  describe('without Vault for two minutes', () => {
    test('keyhole answers 503, restarts nothing, stays in its Service, and serves within two seconds of its return', async () => {
      const { kubectl, outage: vault } = world()
      const before = await podsOf(kubectl)
      await using reading = await load(world(), { namespace: 'payments', serviceAccount: 'api' })
      await vault.begin()
      await sleep(AWAY_MS)
      const during = await reading.counts()
      const pods = await podsOf(kubectl)
      await vault.end()
      const backMs = Date.now()
      await sleep(10_000)
      const after = await reading.counts()

      expect(failuresOf(during)).toBeGreaterThan(1_000)
      // A connection that is lost on a busy machine is no finding; a kind of failure is.
      expect(failuresOf(during, isOther), JSON.stringify(during.failed)).toBeLessThan(0.002 * failuresOf(during))
      // All but those that were under way when Vault went are told at once, with 503 and why.
      expect(during.statuses['503'] ?? 0).toBeGreaterThan(0.98 * failuresOf(during))
      expect(missedVault(during)).toBeGreaterThan(0.98 * failuresOf(during))
      expect(restartsOf(pods)).toBe(restartsOf(before))
      expect(pods.map(({ metadata }) => metadata.uid).toSorted()).toEqual(
        before.map(({ metadata }) => metadata.uid).toSorted(),
      )
      expect(pods.every(({ status }) => status.containerStatuses?.every(({ ready }) => ready))).toBe(true)
      expect(after.ok).toBeGreaterThan(during.ok)
      expect(after.lastFailureMs - backMs).toBeLessThan(RECOVERY_MS)
    })
  })
}

function missedVault({ failed }: Counts): number {
  return (failed['VAULT_UNAVAILABLE'] ?? 0) + (failed['VAULT_SEALED'] ?? 0)
}

/** DEADLINE is what a request says that was under way when Vault went. */
function isOther(code: string): boolean {
  return !['VAULT_UNAVAILABLE', 'VAULT_SEALED', 'DEADLINE', 'OVERLOADED'].includes(code)
}

function failuresOf({ failed }: Counts, counts: (code: string) => boolean = () => true): number {
  return Object.entries(failed).reduce((sum, [code, count]) => (counts(code) ? sum + count : sum), 0)
}

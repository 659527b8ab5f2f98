/**
 * How long a token outlives its reason. The API server keeps what it accepted for 10 s and keyhole for another 10 s; a pod that
 * is being deleted has its grace and 60 s more. The bounds are the sums, with 20 s for looking.
 */
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import type { World } from './world.ts'
import { JOB, startWorld } from './world.ts'

const CACHES_MS = 20_000
const LOOKING_MS = 20_000
const GRACE_MS = 2_000
const POD_LEEWAY_MS = 60_000

let world: World
beforeAll(async () => {
  world = await startWorld(inject('connection'))
})
afterAll(() => world[Symbol.asyncDispose]())

// The waits are independent of each other, so they share their time.
describe.concurrent('a token that was just used is refused', () => {
  test('at most 20 s after its ServiceAccount was deleted', async () => {
    const account = { namespace: 'payments', name: 'migrator' }
    const token = await used({ namespace: 'payments', serviceAccount: 'migrator' })
    await world.operator.kubernetes.remove(`/api/v1/namespaces/payments/serviceaccounts/${account.name}`)
    await refused('ServiceAccount deleted', token, CACHES_MS)
  })

  test('at most 20 s after its pod was deleted without grace', async () => {
    const token = await used({ namespace: 'payments', serviceAccount: 'api' })
    await world.operator.kubernetes.remove('/api/v1/namespaces/payments/pods/api-0')
    await refused('pod deleted without grace', token, CACHES_MS)
  })

  test('at most its grace and 80 s after its pod began to end', async () => {
    const token = await used(JOB)
    const path = '/api/v1/namespaces/payments/pods/job-0'
    await world.operator.kubernetes.call('DELETE', path, { gracePeriodSeconds: GRACE_MS / 1_000 })
    await refused('pod deleted with a grace of 2 s', token, GRACE_MS + POD_LEEWAY_MS + CACHES_MS)
    // No kubelet ends it here.
    await world.operator.kubernetes.remove(path)
  })

  test('at once when it was never seen', async () => {
    const workload = { namespace: 'payments', serviceAccount: 'brief' }
    await world.operator.kubernetes.createServiceAccount({ namespace: 'payments', name: 'brief' })
    const token = await world.tokenOf(workload)
    await world.operator.kubernetes.deleteServiceAccount({ namespace: 'payments', name: 'brief' })
    expect((await world.get('/secrets/db', token)).answer).toBe('401 TOKEN_REJECTED')
  })
})

async function used(workload: { namespace: string; serviceAccount: string }): Promise<string> {
  const token = await world.tokenOf(workload)
  expect((await world.get('/secrets/db', token)).answer).toBe('200')
  return token
}

async function refused(what: string, token: string, withinMs: number): Promise<void> {
  const patience = { withinMs: withinMs + LOOKING_MS }
  const tookMs = await world.untilAnswered('/secrets/db', async () => token, '401 TOKEN_REJECTED', patience)
  process.stdout.write(`measured: ${what}, its token refused after ${(tookMs / 1_000).toFixed(1)} s\n`)
}

/** Connections to upstreams: as many as the pool has places, however many ask. */
import { Agent } from 'node:http'
import { describe, expect, test } from 'vitest'
import { startKeyholeProcess } from '../../src/testing/keyhole-process.ts'
import { connectionsTo } from '../../src/testing/process-state.ts'
import { startStandins } from '../../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../../src/testing/unbounded.ts'
import { get } from './world.ts'

const GETS = 2_000
const CLIENTS = 64
const POOL = 8

describe('two thousand replies', () => {
  test('leave no more connections than the pool has, and took no more', async () => {
    await using standins = await startStandins()
    const settings = { ...UNBOUNDED, KEYHOLE_UPSTREAM_CONNECTIONS: String(POOL), KEYHOLE_REVIEW_KEEP_MS: '0' }
    await using keyhole = await startKeyholeProcess(standins.upstreams, { settings })
    const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS })
    const token = standins.tokenOf('api')
    const ports = [standins.kubernetes, standins.vault].map(({ url }) => Number(new URL(url).port))
    const most = ports.map(() => 0)
    let left = GETS

    async function look(): Promise<void> {
      const open = await Promise.all(ports.map((port) => connectionsTo(keyhole.pid, port)))
      for (const [index, count] of open.entries()) most[index] = Math.max(most[index] ?? 0, count)
    }

    async function client(): Promise<void> {
      while (left > 0) {
        left -= 1
        expect((await get(`${keyhole.url}/secrets/db`, { token, agent })).status).toBe(200)
        if (left % 100 === 0) await look()
      }
    }

    await Promise.all(Array.from({ length: CLIENTS }, client))
    await look()
    agent.destroy()
    expect(Math.max(...most)).toBeLessThanOrEqual(POOL)
    expect(Math.min(...most)).toBeGreaterThan(1)
    // 2,000 reviews, 2,000 Secrets and 2,000 decrypts, over as many connections as were ever open.
    expect(standins.vault.requests.count('POST', /decrypt/)).toBeGreaterThanOrEqual(GETS)
  })
})

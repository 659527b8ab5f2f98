import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openHealth } from '../../src/health.ts'
import { openMetrics } from '../../src/metrics.ts'
import { buildManagement } from '../../src/routes/management.ts'
import { dial, exchange, get } from '../http/line.ts'
import { ask } from './ask.ts'
import type { World } from './world.ts'
import { forgetCalls, startWorld, upstreamCalls } from './world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

async function shown(path: string, from = world): Promise<readonly [status: number, text: string]> {
  const { status, body } = await exchange(from.managementUrl, get(path))
  return [status, body.toString()]
}

describe('probes', () => {
  it('answer without an upstream call', async () => {
    forgetCalls(world)
    for (const path of ['/livez', '/readyz', '/readyz?verbose', '/metrics']) expect((await shown(path))[0]).toBe(200)
    expect([...world.kubernetes.requests.entries(), ...world.vault.requests.entries()]).toEqual([])
  })

  it('say only that keyhole lives and is ready', async () => {
    expect(await shown('/livez')).toEqual([200, 'ok\n'])
    expect(await shown('/readyz')).toEqual([200, 'ready\n'])
  })

  it('tell of components when asked: states and counts, in words of ours', async () => {
    const [, text] = await shown('/readyz?verbose')
    const hash = world.serving.wired.policy.current().hash
    expect(text.split('\n')).toEqual([
      '[+] serving: ok',
      expect.stringMatching(/^\[\+\] kubernetes: (answers|not asked yet)$/),
      '[+] vault: answers',
      '[+] audit: ok',
      `[-] policy: ${hash}, 13 grants, 1 problems (does not affect readiness)`,
      '[-] transit-keys: 1 of 2 proven (does not affect readiness)',
      'ready',
      '',
    ])
  })

  it('stay ready while Kubernetes and Vault are away, and say so', async () => {
    await using lonely = await startWorld()
    await lonely.vault.stop()
    await lonely.kubernetes.stop()
    await ask(lonely.url, '/secrets', { token: lonely.tokenOf('api') })
    const [status, text] = await shown('/readyz?verbose', lonely)
    expect(status).toBe(200)
    expect(text).toMatch(/^\[-\] kubernetes: last call: \w+ \(does not affect readiness\)$/m)
  })

  it('are not ready once the audit sink fails', async () => {
    await using mute = await startWorld()
    const file = join(mute.directory, 'audit.log')
    await rm(file)
    await mkdir(file)
    await ask(mute.url, '/secrets', { token: mute.tokenOf('api') })
    const [status, text] = await shown('/readyz?verbose', mute)
    expect([status, text.split('\n').at(-2)]).toEqual([503, 'not ready'])
    expect(text).toContain('[-] audit: failed\n')
    expect(await shown('/livez', mute)).toEqual([200, 'ok\n'])
  })

  it('are not ready from the moment that the drain begins, and answer to its end', async () => {
    const drained = await startWorld()
    await using probe = await dial(drained.managementUrl)
    probe.send(get('/readyz'))
    expect((await probe.answer()).status).toBe(200)
    probe.send(get('/readyz?verbose'))
    const stopped = drained.stop()
    const { status, body } = await probe.answer()
    expect([status, body.toString()]).toEqual([503, expect.stringContaining('[-] serving: draining\n')])
    await stopped
  })
})

describe('metrics', () => {
  it('have labels of closed sets alone, whatever came by', async () => {
    const canaries = [
      'canary-name',
      'CANARY_KEY',
      'canary-agent',
      'canary-namespace',
      'payments',
      'PGHOST',
      'api-7d4b9',
      'stranger',
    ]
    const token = world.tokenOf('api')
    const headers = { 'User-Agent': 'canary-agent', 'X-Forwarded-For': '203.0.113.77' }
    const paths = [
      '/secrets/canary-name',
      '/secrets/db.canary-namespace',
      '/secrets/db?key=CANARY_KEY',
      '/canary-name',
      '/secrets/db',
      '/%zz',
    ]
    for (const path of paths) await ask(world.url, path, { token, headers })
    await ask(world.url, '/secrets/db', { token: 'canary-name', headers })
    const [, text] = await shown('/metrics')
    for (const canary of [...canaries, '203.0.113.77', '127.0.0.1', token]) expect(text).not.toContain(canary)
    const labels = [...text.matchAll(/^keyhole_\w+\{([^}]*)\}/gm)].map(([, found]) => found ?? '')
    expect(new Set(labels.flatMap((found) => [...found.matchAll(/(\w+)="/g)].map(([, name]) => name)))).toEqual(
      new Set(['route', 'status', 'code', 'upstream', 'outcome', 'le', 'serves', 'version', 'node']),
    )
    const routes = new Set([...text.matchAll(/route="([^"]*)"/g)].map(([, route]) => route))
    expect(routes).toEqual(new Set(['/secrets', '/secrets/:name', '/rotate', 'unknown']))
  })

  it('count what happened', async () => {
    const [, text] = await shown('/metrics')
    expect(text).toMatch(/^keyhole_replies_total\{route="\/secrets\/:name",status="200"\} [1-9]/m)
    expect(text).toMatch(/^keyhole_refusals_total\{code="NOT_GRANTED"\} [1-9]/m)
    expect(text).toMatch(/^keyhole_upstream_calls_total\{upstream="kubernetes",outcome="20[01]"\} [1-9]/m)
    expect(text).toMatch(/^keyhole_requests_in_flight 0$/m)
    expect(text).toMatch(/^keyhole_audit_healthy 1$/m)
    expect(text).toMatch(/^process_cpu_seconds_total /m)
  })

  it('come as Prometheus reads them', async () => {
    const { headers } = await exchange(world.managementUrl, get('/metrics'))
    expect(headers['content-type']).toMatch(/^text\/plain; version=/)
  })
})

describe('everything else on the management port', () => {
  it.each([
    '/',
    '/secrets',
    '/secrets/db',
    '/livez/',
    '/%zz',
    '/..%2fmetrics',
    '/metrics/canary',
    `/${'a'.repeat(500)}`,
  ])('is 404, without an echo: %s', async (path) => {
    const [status, text] = await shown(path)
    expect([status, text]).toEqual([404, 'livez, readyz[?verbose], metrics\n'])
  })

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PURGE'])(
    'is refused by %s, with a body or without',
    async (method) => {
      for (const headers of [{}, { 'Content-Length': '2', 'Content-Type': 'application/json' }]) {
        const text = get('/metrics', headers, method) + ('Content-Length' in headers ? '{}' : '')
        const { status, body } = await exchange(world.managementUrl, text)
        expect([status, body.toString()]).toEqual([404, 'livez, readyz[?verbose], metrics\n'])
      }
    },
  )

  it.each([
    ['nonsense', 'nonsense\r\n\r\n'],
    ['headers of 20 KiB', get('/livez', { Padding: 'x'.repeat(20_000) })],
  ])('ends the connection for %s', async (_what, text) => {
    await using line = await dial(world.managementUrl)
    line.send(text)
    expect(await line.closed()).toBe('')
  })

  it('hides a defect behind 500', async () => {
    const health = openHealth()
    health.watch(() => {
      throw new TypeError('canary')
    })
    const app = await buildManagement(health, openMetrics())
    const url = await app.listen({ host: '127.0.0.1', port: 0 })
    const { status, body } = await exchange(url, get('/readyz'))
    expect([status, body.toString()]).toEqual([500, 'internal error\n'])
    await app.close()
  })

  it('is bounded in time and number', async () => {
    const { server, ...app } = await buildManagement(openHealth(), openMetrics())
    expect([server.headersTimeout, server.requestTimeout, server.maxConnections]).toEqual([5_000, 5_000, 256])
    await app.close()
  })
})

it('the service asks upstream for nothing on behalf of a probe, before it and behind it', async () => {
  forgetCalls(world)
  await ask(world.url, '/livez')
  expect(upstreamCalls(world)).toEqual([])
})

/**
 * The rules and the dashboard on what keyhole really serves: a process of its own with TLS, scraped by a real Prometheus. No
 * expression names a metric, or a value of a label, that there is not.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { KeyholeProcess } from '../../src/testing/keyhole-process.ts'
import { startKeyholeProcess } from '../../src/testing/keyhole-process.ts'
import type { Standins } from '../../src/testing/start-keyhole.ts'
import { startStandins } from '../../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../../src/testing/unbounded.ts'
import { createAuthority } from '../certificates.ts'
import { get, until } from '../process/world.ts'
import { asked, DASHBOARD } from './dashboard.ts'
import { metricsOf, selectorsOf } from './expressions.ts'
import type { Prometheus } from './prometheus.ts'
import { startPrometheus } from './prometheus.ts'
import { RULES } from './rules.ts'

const PANELS = DASHBOARD.panels.filter(({ type }) => type !== 'row')
const QUERIES = PANELS.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr, refId }) => [`${title} ${refId}`, asked(expr)] as const),
)
const EXPRESSIONS = [...RULES.map(({ alert, expr }) => [alert, expr] as const), ...QUERIES]

let standins: Standins
let keyhole: KeyholeProcess
let prometheus: Prometheus
let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'keyhole-monitoring-'))
  const [certFile, keyFile] = [join(directory, 'tls.crt'), join(directory, 'tls.key')]
  const authority = createAuthority()
  const { cert, key } = authority.issue()
  await writeFile(certFile, cert)
  await writeFile(keyFile, key)
  standins = await startStandins()
  keyhole = await startKeyholeProcess(standins.upstreams, {
    settings: {
      ...UNBOUNDED,
      KEYHOLE_SERVE: 'read,rotate',
      KEYHOLE_TLS_CERT_FILE: certFile,
      KEYHOLE_TLS_KEY_FILE: keyFile,
    },
  })
  prometheus = await startPrometheus(keyhole.managementUrl)
  await use(authority.ca)
})
afterAll(async () => {
  await prometheus?.[Symbol.asyncDispose]()
  await keyhole?.[Symbol.asyncDispose]()
  await standins?.[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

/** An ordinary day: reads, one refusal, and a rotation. */
async function use(ca: string): Promise<void> {
  const url = keyhole.url.replace('127.0.0.1', 'localhost')
  const token = standins.tokenOf('api')
  for (let read = 0; read < 20; read += 1) expect((await get(`${url}/secrets/db`, { token, ca })).status).toBe(200)
  expect((await get(`${url}/secrets/none`, { token, ca })).status).toBe(403)
  await rotate(url, ca)
  // Asking for the ledger looks at all Secrets again.
  expect((await get(`${url}/rotate`, { token: standins.tokenOf('rotator'), ca })).status).toBe(200)
  const seen = (expr: string) => until(async () => (await prometheus.query(expr)).length > 0)
  await seen('keyhole_rotation_last_success_timestamp_seconds > 0')
  await seen('keyhole_transit_key_age_seconds < 3600')
}

async function rotate(url: string, ca: string): Promise<void> {
  const { request } = await import('node:https')
  const headers = { authorization: `Bearer ${standins.tokenOf('rotator')}`, 'content-type': 'application/json' }
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>()
  request(`${url}/rotate`, { method: 'POST', ca, headers }, (answer) => {
    answer.resume().on('end', () => resolve(answer.statusCode))
  })
    .on('error', reject)
    .end('{}')
  expect(await promise).toBe(200)
}

/**
 * Looks until it holds: a scrape that fails leaves nothing to be seen before the next. What never does is told a minute before
 * the test's own time is over, which would tell nothing of it.
 */
const comes = <T>(look: () => Promise<T>) => expect.poll(look, { interval: 250, timeout: 120_000 })

describe('every expression', () => {
  test.each(EXPRESSIONS)('of %s names only metrics that keyhole serves', async (_, expr) => {
    const names = await prometheus.metricNames()
    expect(metricsOf(expr).filter((name) => !names.has(name))).toEqual([])
    expect(metricsOf(expr).length).toBeGreaterThan(0)
  })

  test.each(EXPRESSIONS)('of %s selects series that keyhole has, failures at 0 included', async (_, expr) => {
    await comes(async () => {
      const empty: string[] = []
      for (const selector of selectorsOf(expr)) {
        if ((await prometheus.query(selector)).length === 0) empty.push(selector)
      }
      return empty
    }).toEqual([])
  })
})

describe('every panel', () => {
  test.each(QUERIES)('%s has data', async (_, expr) => {
    await comes(async () => (await prometheus.query(expr)).length).toBeGreaterThan(0)
  })
})

describe('the dashboard', () => {
  test('shows every metric of our own', async () => {
    const own = [...(await prometheus.metricNames())].filter(
      (name) => /^keyhole_/.test(name) && !/_(?:sum|count)$/.test(name),
    )
    const shown = new Set(QUERIES.flatMap(([, expr]) => metricsOf(expr)))
    expect(own.filter((name) => !shown.has(name))).toEqual([])
  })
})

test('Prometheus evaluates every rule without an error, and an ordinary day fires none', async () => {
  const rules = await prometheus.rules()
  expect(rules.map(({ name }) => name).toSorted()).toEqual(RULES.map(({ alert }) => alert).toSorted())
  for (const { name, health, lastError } of rules) expect([name, health, lastError]).toEqual([name, 'ok', undefined])
  await comes(async () => {
    const active = (await prometheus.rules()).filter(({ state }) => state !== 'inactive')
    // The certificate of this test ends in a day.
    return active.map(({ name }) => name).filter((name) => name !== 'KeyholeCertificateExpiring')
  }).toEqual([])
})

describe('what an expression speaks of', () => {
  test('is found among functions, labels, matchers and ranges', () => {
    const expr =
      'histogram_quantile(0.99, sum by (le, a_label) (rate(x_bucket{code=~"5..|a_word"}[5m]))) > 1e3 and on (pod) y == bool z'
    expect(metricsOf(expr)).toEqual(['x_bucket', 'y', 'z'])
    expect(selectorsOf(expr)).toEqual(['x_bucket{code=~"5..|a_word"}', 'x_bucket', 'y', 'z'])
  })

  test('is not missed for being misspelt', () => {
    expect(metricsOf('rate(keyhol_replies[5m]) offset 1h')).toEqual(['keyhol_replies'])
  })
})

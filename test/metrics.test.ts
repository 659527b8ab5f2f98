/** What /metrics shows: every label from a closed set, so that neither a caller nor a Secret can be read off it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Code, LedgerEntry } from '../src/contract.ts'
import { CODES } from '../src/contract.ts'
import { openMetrics, showTransitKeys } from '../src/metrics.ts'
import { cut, garbage, status } from '../src/standins/faults.ts'
import type { KeyholeOnStandins } from '../src/testing/start-keyhole.ts'
import { startKeyhole } from '../src/testing/start-keyhole.ts'
import { get } from './process/world.ts'
import { virtualClock } from './virtual-clock.ts'

/** Samples of keyhole's own metrics, without their values. */
function samplesOf(text: string): readonly { name: string; labels: Readonly<Record<string, string>>; value: number }[] {
  return [...text.matchAll(/^(keyhole_\w+)(?:\{([^}]*)\})? (\S+)$/gm)].map(([, name = '', labels = '', value]) => ({
    name,
    labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', text = '']) => [key, text])),
    value: Number(value),
  }))
}

describe('counters', () => {
  test('count replies by route and status, refusals by code, calls by upstream and outcome', async () => {
    const metrics = openMetrics()
    metrics.replied('/secrets/:name', 200, 12)
    metrics.replied('/secrets/:name', 200, 40)
    metrics.refused('NOT_GRANTED')
    metrics.asked('vault', '200', 3)
    metrics.asked('kubernetes', 'timeout', 2_000)
    metrics.gauge('keyhole_example', 'An example.', () => 7)
    const samples = samplesOf(await metrics.render())
    const sampled = (name: string, labels: Record<string, string> = {}) =>
      samples.find((sample) => sample.name === name && JSON.stringify(sample.labels) === JSON.stringify(labels))?.value
    expect(sampled('keyhole_replies_total', { route: '/secrets/:name', status: '200' })).toBe(2)
    expect(sampled('keyhole_reply_duration_seconds_sum', { route: '/secrets/:name' })).toBeCloseTo(0.052)
    expect(sampled('keyhole_refusals_total', { code: 'NOT_GRANTED' })).toBe(1)
    expect(sampled('keyhole_upstream_calls_total', { upstream: 'kubernetes', outcome: 'timeout' })).toBe(1)
    expect(sampled('keyhole_upstream_duration_seconds_sum', { upstream: 'vault' })).toBeCloseTo(0.003)
    expect(sampled('keyhole_example')).toBe(7)
  })

  test('of two keyholes in one process have nothing to do with each other', async () => {
    const [one, other] = [openMetrics(), openMetrics()]
    one.refused('DEADLINE')
    expect(samplesOf(await other.render()).filter(({ name }) => name === 'keyhole_refusals_total')).toEqual([])
  })

  test('show several values under one label, and forget those that are not read any more', async () => {
    const metrics = openMetrics()
    const values = new Map([
      ['a', 1],
      ['b', 2],
    ])
    metrics.gauges('keyhole_example', 'An example.', 'letter', () => values)
    expect(samplesOf(await metrics.render()).filter(({ name }) => name === 'keyhole_example')).toEqual([
      { name: 'keyhole_example', labels: { letter: 'a' }, value: 1 },
      { name: 'keyhole_example', labels: { letter: 'b' }, value: 2 },
    ])
    values.delete('a')
    values.set('b', 3)
    expect(samplesOf(await metrics.render()).filter(({ name }) => name === 'keyhole_example')).toEqual([
      { name: 'keyhole_example', labels: { letter: 'b' }, value: 3 },
    ])
  })

  test('read gauges when they are asked for, and not before', async () => {
    const metrics = openMetrics()
    let value = 0
    metrics.gauge('keyhole_example', 'An example.', () => value)
    value = 3
    expect(await metrics.render()).toMatch(/^keyhole_example 3$/m)
  })
})

describe('what is shown of Transit keys', () => {
  const clock = virtualClock()
  const ago = (seconds: number) => new Date(clock.now() - seconds * 1000).toISOString()
  const secret = { namespace: 'payments', name: 'canary-db' }
  const blocked = { ...secret, code: 'FOREIGN', detail: '' } as const
  const entries: readonly LedgerEntry[] = [
    {
      ...{
        key: 'canary-a',
        mount: 'transit',
        latestVersion: 3,
        minDecryptionVersion: 1,
        secrets: 4,
        versions: { 1: 1 },
      },
      ...{ latestCreatedAt: ago(100), oldestCreatedAt: ago(900), drift: [{ ...secret, version: 1 }], blocked: [] },
      gitops: [{ ...secret, tool: 'Flux' }],
    },
    {
      ...{ key: 'canary-b', mount: 'transit', latestVersion: 1, minDecryptionVersion: 1, secrets: 2, versions: {} },
      ...{ latestCreatedAt: ago(500), drift: [], gitops: [], blocked: [blocked, blocked] },
    },
    {
      ...{ key: 'canary-c', mount: 'transit', secrets: 1, versions: {}, drift: [], gitops: [], blocked: [] },
      failure: { code: 'KEY_UNUSABLE', detail: '' },
    },
  ]

  async function shown(withNames: boolean, surveyed = entries) {
    const metrics = openMetrics()
    const last =
      surveyed.length === 0
        ? undefined
        : { atMs: clock.now() - 30_000, entries: new Map(surveyed.map((entry) => [entry.key, entry])) }
    showTransitKeys({ metrics, clock, survey: { last: () => last }, withNames })
    const text = await metrics.render()
    const samples = samplesOf(text).filter(({ name }) => /^keyhole_(?:transit|survey)_/.test(name))
    return { text, samples }
  }

  test('without names is one value for all keys, and no name of one', async () => {
    const { text, samples } = await shown(false)
    expect(text).not.toContain('canary')
    expect(Object.fromEntries(samples.map(({ name, value }) => [name, value]))).toEqual({
      keyhole_transit_key_age_seconds: 500,
      keyhole_transit_oldest_version_age_seconds: 900,
      keyhole_transit_secrets: 7,
      keyhole_transit_secrets_behind: 1,
      keyhole_transit_secrets_blocked: 2,
      keyhole_transit_secrets_gitops: 1,
      keyhole_transit_key_unreadable: 1,
      keyhole_survey_timestamp_seconds: (clock.now() - 30_000) / 1000,
    })
  })

  test('with names is one value a key, and no name of a Secret', async () => {
    const { text, samples } = await shown(true)
    expect(text).not.toContain('canary-db')
    const of = (name: string) =>
      samples.filter((sample) => sample.name === name).map(({ labels, value }) => [labels['transit_key'], value])
    expect(of('keyhole_transit_key_age_seconds')).toEqual([
      ['canary-a', 100],
      ['canary-b', 500],
      ['canary-c', 0],
    ])
    expect(of('keyhole_transit_secrets_blocked')).toEqual([
      ['canary-a', 0],
      ['canary-b', 2],
      ['canary-c', 0],
    ])
    expect(of('keyhole_transit_key_unreadable')).toEqual([
      ['canary-a', 0],
      ['canary-b', 0],
      ['canary-c', 1],
    ])
  })

  test('before Secrets were looked at is nothing, under the same names', async () => {
    const { samples } = await shown(false, [])
    expect(samples).toHaveLength(8)
    expect(samples.every(({ value }) => value === 0)).toBe(true)
    expect((await shown(true, [])).samples).toEqual([
      { name: 'keyhole_survey_timestamp_seconds', labels: {}, value: 0 },
    ])
  })
})

describe('/metrics after everything went well and wrong', () => {
  const CANARY = 'canary-of-a-name'
  let keyhole: KeyholeOnStandins
  let text = ''

  beforeAll(async () => {
    keyhole = await startKeyhole({ settings: { KEYHOLE_REVIEW_KEEP_MS: '0' } })
    const ask = (path: string, headers: Record<string, string> = {}, token = keyhole.tokenOf('api')) =>
      get(keyhole.url + path, { token, headers })
    await ask('/secrets/db')
    await ask('/secrets')
    await ask(`/secrets/${CANARY}`)
    await ask(`/secrets/db.${CANARY}`)
    await ask(`/secrets/db?key=${CANARY}`)
    await ask(`/${CANARY}`)
    await ask(`/%zz${CANARY}`)
    await ask('/secrets/db', {}, CANARY)
    await ask('/secrets/db', { accept: CANARY })
    for (const fault of [status(599), status(418), cut('reset'), garbage()]) {
      const injected = keyhole.kubernetes.faults.inject({ path: /tokenreviews/ }, fault)
      await ask('/secrets/db')
      injected.remove()
    }
    const reply = await get(`${keyhole.managementUrl}/metrics`)
    expect([reply.status, reply.headers['content-type']]).toEqual([
      200,
      expect.stringMatching(/^text\/plain; version=/),
    ])
    text = reply.body
  })
  afterAll(() => keyhole.stop())

  test('names no caller, no Secret, no key and no path', () => {
    for (const name of [CANARY, 'payments', 'PGHOST', '%zz', '"db"', 'api-7d4b9']) expect(text).not.toContain(name)
  })

  test('has labels from closed sets only', () => {
    const routes = ['/secrets', '/secrets/:name', 'unknown']
    const words = ['aborted', 'timeout', 'refused', 'reset', 'unreachable', 'tls', 'too-large', 'protocol', 'path']
    const sets: Readonly<Record<string, (value: string) => boolean>> = {
      route: (value) => routes.includes(value),
      status: (value) => /^[2-5]\d\d$/.test(value),
      code: (value) => Object.hasOwn(CODES, value as Code),
      upstream: (value) => ['kubernetes', 'vault'].includes(value),
      outcome: (value) => /^[1-5]\d\d$/.test(value) || words.includes(value),
      le: (value) => value === '+Inf' || Number(value) > 0,
    }
    const samples = samplesOf(text)
    expect(new Set(samples.flatMap(({ labels }) => Object.keys(labels)))).toEqual(new Set(Object.keys(sets)))
    for (const { labels } of samples) {
      for (const [name, value] of Object.entries(labels))
        expect([name, value, sets[name]?.(value)]).toEqual([name, value, true])
    }
  })

  test('counts each refusal once, under its code', () => {
    const counts = Object.fromEntries(
      samplesOf(text)
        .filter(({ name }) => name === 'keyhole_refusals_total')
        .map(({ labels, value }) => [labels['code'], value]),
    )
    expect(counts).toEqual({
      NOT_GRANTED: 3,
      ROUTE_UNKNOWN: 1,
      MALFORMED_REQUEST: 1,
      TOKEN_REJECTED: 1,
      NOT_ACCEPTABLE: 1,
      KUBERNETES_UNAVAILABLE: 4,
    })
  })

  test.each([
    'keyhole_audit_healthy 1',
    'keyhole_policy_grants 2',
    'keyhole_policy_problems 0',
    'keyhole_transit_keys_proven 1',
    'keyhole_transit_keys_unusable 0',
    'keyhole_requests_in_flight 0',
    'keyhole_requests_waiting 0',
    'keyhole_reviews_in_flight 0',
  ])('shows %s', (line) => {
    expect(text).toMatch(new RegExp(`^${line}$`, 'm'))
  })
})

describe('/readyz?verbose', () => {
  test('shows the state of every component, in counts and words', async () => {
    await using keyhole = await startKeyhole()
    await get(`${keyhole.url}/secrets/db`, { token: keyhole.tokenOf('api') })
    const { status: ready, body } = await get(`${keyhole.managementUrl}/readyz?verbose`)
    expect([ready, body.split('\n')]).toEqual([
      200,
      [
        '[+] kubernetes: answers',
        '[+] vault: answers',
        '[+] audit: ok',
        expect.stringMatching(/^\[\+\] policy: sha256:[0-9a-f]{64}, 2 grants, 0 problems$/),
        '[+] transit-keys: 1 of 1 proven',
        '[+] serving: ok',
        'ready',
        '',
      ],
    ])
  })

  test('shows what is wrong by component and count only, and stays ready for all but its own faults', async () => {
    await using keyhole = await startKeyhole()
    keyhole.vault.transit().deleteKey('payments')
    await keyhole.writePolicy({
      'broken.yaml': 'kind: SecretGrant\nmetadata: { name: canary }\n',
      'key.yaml':
        'apiVersion: keyhole.dev/v1alpha1\nkind: TransitKey\nmetadata: { name: canary }\nspec: { namespaces: [payments] }\n',
    })
    await keyhole.serving.wired.checkKeys()
    await keyhole.kubernetes.stop()
    await get(`${keyhole.url}/secrets/db`, { token: keyhole.tokenOf('api') })
    const { status: ready, body } = await get(`${keyhole.managementUrl}/readyz?verbose`)
    expect(ready).toBe(200)
    expect(body).toMatch(/^\[-\] kubernetes: last call: (?:refused|reset) \(does not affect readiness\)$/m)
    expect(body).toMatch(/^\[-\] policy: sha256:[0-9a-f]{64}, 0 grants, \d+ problems \(does not affect readiness\)$/m)
    expect(body).toMatch(/^\[-\] transit-keys: 0 of 1 proven \(does not affect readiness\)$/m)
    expect(body).not.toContain('canary')
  })
})

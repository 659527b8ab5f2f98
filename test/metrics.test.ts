/** What /metrics shows: every label from a closed set, so that neither a caller nor a Secret can be read off it. */
import { Writable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Code, LedgerEntry } from '../src/contract.ts'
import { CODES } from '../src/contract.ts'
import type { SendErrorCode } from '../src/external/send.ts'
import { openMetrics, showTransitKeys, UPSTREAM_FAILURES } from '../src/metrics.ts'
import { cut, garbage, status } from '../src/standins/faults.ts'
import { SAMPLE_POLICY } from '../src/testing/sample.ts'
import type { Keyhole, KeyholeOnStandins } from '../src/testing/start-keyhole.ts'
import { startKeyhole, startKeyholeOn, startStandins } from '../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../src/testing/unbounded.ts'
import { VERSION } from '../src/version.ts'
import { get, until } from './process/world.ts'
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
    const refusals = samplesOf(await other.render()).filter(({ name }) => name === 'keyhole_refusals_total')
    expect(refusals.filter(({ value }) => value !== 0)).toEqual([])
  })

  test('are there before their first event, so that Prometheus sees it', async () => {
    const samples = samplesOf(await openMetrics(['/secrets/:name']).render())
    const zeros = (name: string, label: string) =>
      samples.filter((one) => one.name === name && one.value === 0).map(({ labels }) => labels[label])
    expect(zeros('keyhole_refusals_total', 'code')).toEqual(Object.keys(CODES))
    expect(zeros('keyhole_replies_total', 'status')).toEqual(['200', '500', '503', '504'])
    expect(zeros('keyhole_reply_duration_seconds_count', 'route')).toEqual(['/secrets/:name'])
    expect(zeros('keyhole_upstream_calls_total', 'outcome')).toEqual([...UPSTREAM_FAILURES, ...UPSTREAM_FAILURES])
    expect(zeros('keyhole_upstream_duration_seconds_count', 'upstream')).toEqual(['kubernetes', 'vault'])
  })

  test('know every way in which a call ends without an answer, but for that of a caller who left', () => {
    const words: Readonly<Record<Exclude<SendErrorCode, 'aborted'>, true>> = {
      ...{ timeout: true, refused: true, reset: true, unreachable: true, tls: true, 'too-large': true },
      ...{ protocol: true, path: true },
    }
    expect(UPSTREAM_FAILURES.filter((outcome) => /^[a-z]/.test(outcome)).toSorted()).toEqual(
      Object.keys(words).toSorted(),
    )
  })

  test('of one label begin at 0 for each of its values', async () => {
    const metrics = openMetrics()
    const count = metrics.counter('keyhole_example_total', 'An example.', 'outcome', ['good', 'bad'])
    count('bad')
    count('bad')
    expect(samplesOf(await metrics.render()).filter(({ name }) => name === 'keyhole_example_total')).toEqual([
      { name: 'keyhole_example_total', labels: { outcome: 'good' }, value: 0 },
      { name: 'keyhole_example_total', labels: { outcome: 'bad' }, value: 2 },
    ])
  })

  test('are told with what does not change as labels', async () => {
    const metrics = openMetrics()
    metrics.info('keyhole_example_info', 'An example.', { version: '1.2.3' })
    expect(await metrics.render()).toMatch(/^keyhole_example_info\{version="1\.2\.3"\} 1$/m)
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

  async function shown(withNames: boolean, surveyed = entries, isRotated: (key: string) => boolean = () => true) {
    const metrics = openMetrics()
    const last =
      surveyed.length === 0
        ? undefined
        : { atMs: clock.now() - 30_000, entries: new Map(surveyed.map((entry) => [entry.key, entry])) }
    showTransitKeys({ metrics, clock, survey: { last: () => last }, isRotated, withNames })
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

  test('is no age of a key that nobody may rotate: it would only grow', async () => {
    const ages = (samples: Awaited<ReturnType<typeof shown>>['samples']) =>
      samples.filter(({ name }) => name === 'keyhole_transit_key_age_seconds').map(({ value }) => value)
    expect(ages((await shown(false, entries, (key) => key === 'canary-a')).samples)).toEqual([100])
    expect(ages((await shown(true, entries, (key) => key === 'canary-a')).samples)).toEqual([100])
    expect(ages((await shown(false, entries, () => false)).samples)).toEqual([0])
    expect(ages((await shown(true, entries, () => false)).samples)).toEqual([])
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
    keyhole = await startKeyhole({ settings: { ...UNBOUNDED, KEYHOLE_REVIEW_KEEP_MS: '0' } })
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
    const routes = ['/secrets', '/secrets/:name', '/rotate', 'unknown']
    const words = [...UPSTREAM_FAILURES, 'aborted', 'written', 'failed', 'complete', 'incomplete']
    const sets: Readonly<Record<string, (value: string) => boolean>> = {
      route: (value) => routes.includes(value),
      status: (value) => /^[2-5]\d\d$/.test(value),
      code: (value) => Object.hasOwn(CODES, value as Code),
      upstream: (value) => ['kubernetes', 'vault'].includes(value),
      outcome: (value) => /^[1-5]\d\d$/.test(value) || words.includes(value),
      le: (value) => value === '+Inf' || Number(value) > 0,
      serves: (value) => ['read', 'rotate'].includes(value),
      version: (value) => value === VERSION,
      node: (value) => value === process.version,
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
        .filter(({ name, value }) => name === 'keyhole_refusals_total' && value > 0)
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
    'keyhole_ready\\{serves="read"\\} 1',
    'keyhole_ready\\{serves="rotate"\\} 1',
    `keyhole_build_info\\{version="${VERSION}",node="${process.version}"\\} 1`,
    'keyhole_audit_healthy 1',
    'keyhole_audit_writes_total\\{outcome="written"\\} [1-9]\\d*',
    'keyhole_audit_writes_total\\{outcome="failed"\\} 0',
    'keyhole_policy_grants 2',
    'keyhole_policy_problems 0',
    'keyhole_policy_documents_kept 0',
    'keyhole_policy_documents_denied 0',
    'keyhole_rotations_total\\{outcome="complete"\\} 0',
    'keyhole_rotation_last_success_timestamp_seconds 0',
    'keyhole_transit_keys_proven 1',
    'keyhole_transit_keys_unusable 0',
    'keyhole_requests_in_flight 0',
    'keyhole_requests_waiting 0',
    'keyhole_reviews_in_flight 0',
  ])('shows %s', (line) => {
    expect(text).toMatch(new RegExp(`^${line}$`, 'm'))
  })
})

describe('/metrics', () => {
  const SECOND = 1_000
  const BROKEN = 'apiVersion: keyhole.dev/v1alpha1\nkind: SecretGrant\nmetadata: { name: db, namespace: payments }\n'
  const sampled = async (keyhole: Keyhole, name: string) => {
    const { body } = await get(`${keyhole.managementUrl}/metrics`)
    return Object.fromEntries(
      samplesOf(body)
        .filter((sample) => sample.name === name)
        .map(({ labels, value }) => [Object.values(labels).join(), value]),
    )
  }

  test('of who serves one thing shows that only', async () => {
    await using keyhole = await startKeyhole({ settings: { ...UNBOUNDED, KEYHOLE_SERVE: 'read' } })
    const { body } = await get(`${keyhole.managementUrl}/metrics`)
    expect(await sampled(keyhole, 'keyhole_ready')).toEqual({ read: 1 })
    expect(body).not.toMatch(/rotat|survey|transit_secrets/)
  })

  test('tells documents whose last good version is kept from those that are denied, and policies apart', async () => {
    const clock = virtualClock()
    await using keyhole = await startKeyhole({ clock })
    const before = await sampled(keyhole, 'keyhole_policy_hash')
    await clock.advance(60 * SECOND)
    await keyhole.writePolicy({
      ...SAMPLE_POLICY,
      'payments.yaml': SAMPLE_POLICY['payments.yaml'].replace('readers:', 'raeders:'),
      'new.yaml': BROKEN.replace('name: db', 'name: new'),
    })
    expect(await sampled(keyhole, 'keyhole_policy_documents_kept')).toEqual({ '': 1 })
    expect(await sampled(keyhole, 'keyhole_policy_documents_denied')).toEqual({ '': 1 })
    expect(await sampled(keyhole, 'keyhole_policy_grants')).toEqual({ '': 2 })
    expect(await sampled(keyhole, 'keyhole_policy_hash')).toEqual(before)
    expect(await sampled(keyhole, 'keyhole_policy_changed_timestamp_seconds')).toEqual({
      '': clock.now() / SECOND - 60,
    })
    await keyhole.writePolicy({})
    expect(await sampled(keyhole, 'keyhole_policy_grants')).toEqual({ '': 0 })
    expect(await sampled(keyhole, 'keyhole_policy_documents_kept')).toEqual({ '': 0 })
    expect(await sampled(keyhole, 'keyhole_policy_hash')).not.toEqual(before)
    expect(await sampled(keyhole, 'keyhole_policy_changed_timestamp_seconds')).toEqual({ '': clock.now() / SECOND })
  })

  test('counts writes of the audit log that fail', async () => {
    let failing = false
    const stdout = new Writable({
      write: (_chunk, _encoding, done) => done(failing ? Object.assign(new Error(), { code: 'EPIPE' }) : null),
    })
    stdout.destroy = () => stdout
    const settings = { ...UNBOUNDED, KEYHOLE_AUDIT: 'stdout' }
    await using keyhole = await startKeyhole({ settings, surroundings: { stdout } })
    failing = true
    expect((await get(`${keyhole.url}/secrets`, { token: keyhole.tokenOf('api') })).status).toBe(503)
    expect((await sampled(keyhole, 'keyhole_audit_writes_total'))['failed']).toBeGreaterThan(0)
    expect(await sampled(keyhole, 'keyhole_audit_healthy')).toEqual({ '': 0 })
    expect(await sampled(keyhole, 'keyhole_ready')).toEqual({ read: 0, rotate: 0 })
    failing = false
  })

  test('counts rotations, and knows of the last good one of another process', async () => {
    await using standins = await startStandins()
    await using keyhole = await startKeyholeOn(standins.upstreams, { settings: UNBOUNDED })
    const rotate = async (body: Readonly<Record<string, unknown>>) => {
      const headers = { authorization: `Bearer ${standins.tokenOf('rotator')}`, 'content-type': 'application/json' }
      const answer = await fetch(`${keyhole.url}/rotate`, { method: 'POST', headers, body: JSON.stringify(body) })
      await answer.text()
      return answer.status
    }
    expect(await rotate({ dryRun: true })).toBe(200)
    expect(await sampled(keyhole, 'keyhole_rotations_total')).toEqual({ complete: 0, incomplete: 0 })
    expect(await rotate({})).toBe(200)
    expect(await sampled(keyhole, 'keyhole_rotations_total')).toEqual({ complete: 1, incomplete: 0 })
    const { '': last } = await sampled(keyhole, 'keyhole_rotation_last_success_timestamp_seconds')
    expect(last).toBeGreaterThan(0)
    await using next = await startKeyholeOn(standins.upstreams, { settings: UNBOUNDED })
    // It asks the Lease by itself, soon after it serves.
    const known = await until(
      async () => (await sampled(next, 'keyhole_rotation_last_success_timestamp_seconds'))[''] || undefined,
    )
    expect(Math.abs(known - Number(last))).toBeLessThan(1)

    standins.kubernetes.putSecret({ namespace: 'payments', name: 'payments-db', data: { 'secrets.json': 'garbage' } })
    expect(await rotate({ mode: 'rewrap' })).toBe(500)
    expect(await sampled(keyhole, 'keyhole_rotations_total')).toEqual({ complete: 1, incomplete: 1 })
    expect(await sampled(keyhole, 'keyhole_rotation_last_success_timestamp_seconds')).toEqual({ '': last })
  })

  test('takes no word of a rotation that ends tomorrow', async () => {
    await using standins = await startStandins()
    const state = (finishedAtMs: number) =>
      JSON.stringify({ intents: [], known: [], last: { id: 'a', finishedAtMs, failures: [], keys: [] } })
    const lastSuccess = async (finishedAtMs: number) => {
      standins.kubernetes.putLease({
        ...{ namespace: 'keyhole', name: 'keyhole-rotation' },
        annotations: { 'keyhole.dev/rotation': state(finishedAtMs) },
      })
      await using keyhole = await startKeyholeOn(standins.upstreams, { settings: UNBOUNDED })
      await keyhole.serving.wired.takeSurvey()
      return (await sampled(keyhole, 'keyhole_rotation_last_success_timestamp_seconds'))['']
    }
    const now = Date.now()
    expect(await lastSuccess(now - 60 * SECOND)).toBe((now - 60 * SECOND) / SECOND)
    expect(await lastSuccess(now + 24 * 3600 * SECOND)).toBe(0)
  })
})

describe('/readyz?verbose', () => {
  test('shows the state of every component, in counts and words', async () => {
    await using keyhole = await startKeyhole({ settings: UNBOUNDED })
    await get(`${keyhole.url}/secrets/db`, { token: keyhole.tokenOf('api') })
    const { status: ready, body } = await get(`${keyhole.managementUrl}/readyz?verbose`)
    expect([ready, body.split('\n')]).toEqual([
      200,
      [
        '[+] serving: ok',
        '[+] kubernetes: answers',
        '[+] vault: answers',
        '[+] audit: ok',
        expect.stringMatching(/^\[\+\] policy: sha256:[0-9a-f]{64}, 2 grants, 0 problems$/),
        '[+] transit-keys: 1 of 1 proven',
        'ready',
        '',
      ],
    ])
  })

  test('shows what is wrong by component and count only, and stays ready for all but its own faults', async () => {
    await using keyhole = await startKeyhole({ settings: UNBOUNDED })
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

/** keyhole's own credentials, as the kubelet renews them while it runs. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { KeyholeProcess } from '../../src/testing/keyhole-process.ts'
import { startKeyholeProcess } from '../../src/testing/keyhole-process.ts'
import { KEYHOLE } from '../../src/testing/sample.ts'
import type { Standins } from '../../src/testing/start-keyhole.ts'
import { startStandins } from '../../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../../src/testing/unbounded.ts'
import { get, parsed, until } from './world.ts'

describe('keyhole’s own tokens', () => {
  const own = { namespace: KEYHOLE.namespace, name: 'keyhole-0' }
  let standins: Standins
  let keyhole: KeyholeProcess

  beforeAll(async () => {
    standins = await startStandins()
    keyhole = await startKeyholeProcess(standins.upstreams, { settings: { ...UNBOUNDED, KEYHOLE_REVIEW_KEEP_MS: '0' } })
  })
  beforeEach(async () => void (await until(async () => (await ask()).status === 200)))
  afterAll(async () => {
    await keyhole[Symbol.asyncDispose]()
    await standins[Symbol.asyncDispose]()
  })

  const ask = () => get(`${keyhole.url}/secrets/db`, { token: standins.tokenOf('api') })

  /** Another pod by the same name: what was bound to the first is refused from now on. */
  function revoke(): void {
    standins.kubernetes.deletePod(own)
    standins.kubernetes.putPod({ ...own, serviceAccount: KEYHOLE.serviceAccount })
  }

  function shown(): readonly string[] {
    const { kubernetes, vault } = standins.upstreams
    return [kubernetes.tokenFile, vault.tokenFile].map((file) => readFileSync(file, 'utf8'))
  }

  test('are shown to no one but their own servers', () => {
    const [toKubernetes = '', toVault = ''] = shown()
    const places = (token: string) =>
      [...standins.kubernetes.requests.sightings(token), ...standins.vault.requests.sightings(token)].map(
        ({ where, path }) => `${where} ${path.replace(/\/[^/]*$/, '')}`,
      )
    expect(new Set(places(toKubernetes))).toEqual(
      new Set(['authorization /apis/authentication.k8s.io/v1', 'authorization /api/v1/namespaces/payments/secrets']),
    )
    // Vault reviews what it was shown.
    expect(new Set(places(toVault))).toEqual(
      new Set(['body /v1/auth/kubernetes', 'body /apis/authentication.k8s.io/v1']),
    )
  })

  test('are read again as they are renewed: the request that meets the old one revoked is answered all the same', async () => {
    const before = shown()
    revoke()
    await standins.renewCredentials()
    expect((await ask()).status).toBe(200)
    const [toKubernetes = ''] = shown()
    expect(standins.kubernetes.requests.sightings(toKubernetes).length).toBeGreaterThan(0)
    expect(shown()).not.toEqual(before)
    expect((await ask()).status).toBe(200)
  })

  test('that are revoked and not renewed are a 503 and a line in the log, until they are', async () => {
    const since = keyhole.logLines.length
    revoke()
    const reply = await ask()
    expect([reply.status, JSON.parse(reply.body).code]).toEqual([503, 'KUBERNETES_UNAVAILABLE'])
    // A reply and a line take two ways to us.
    const said = () => parsed(keyhole.logLines.slice(since))
    const id = reply.headers['x-request-id']
    const refused = await until(() =>
      said().find(({ msg, requestId }) => /^refused/.test(String(msg)) && requestId === id),
    )
    expect(refused).toMatchObject({
      level: 'error',
      upstream: 'kubernetes',
      kind: 'unauthorized',
      fix: expect.any(String),
    })
    await until(() => said().find(({ msg, state }) => msg === 'upstream fails' && state === 'last call: 401'))
    const ready = await get(`${keyhole.managementUrl}/readyz?verbose`)
    expect([ready.status, ready.body]).toEqual([200, expect.stringContaining('[-] kubernetes: last call: 401')])
    await standins.renewCredentials()
    await until(async () => (await ask()).status === 200)
    expect((await get(`${keyhole.managementUrl}/readyz?verbose`)).body).toContain('[+] kubernetes: answers')
  })
})

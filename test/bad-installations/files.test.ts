/** Files that are missing or wrong: a pod that waits, alive and not ready, and goes on by itself once they are mended. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { SAMPLE_POLICY } from '../../src/testing/sample.ts'
import { until } from '../process/world.ts'
import type { Installation } from './world.ts'
import { authority, certificate, install, stranger } from './world.ts'

const NOT_THERE = 'ENOENT (no such file or directory)'
const TLS_FIX =
  'put a certificate that is valid now and its key into the Secret that is mounted there, as tls.crt and tls.key'
const VAULT_CA_FIX = "put the PEM of the CA that signed Vault's certificate into the ConfigMap that is mounted there"

let installation: Installation
beforeAll(async () => {
  installation = await install()
})
afterAll(() => installation[Symbol.asyncDispose]())
beforeEach(async () => {
  await installation.mount('policy', SAMPLE_POLICY)
  await installation.mount('ca', { 'ca.crt': authority.ca })
  await installation.mount('tls', { 'tls.crt': certificate.cert, 'tls.key': certificate.key })
})

describe('a pod', () => {
  test('without its TLS Secret and without CAs waits for all of them at once, and serves as soon as they are there', async () => {
    await installation.mount('tls', {})
    await installation.mount('ca', {})
    await using pod = await installation.start()
    await pod.said('waiting to start')
    const waits = () => pod.log().filter(({ msg }) => msg === 'waiting to start')
    await until(() => waits().length === 3)
    expect(new Set(waits())).toEqual(
      new Set([
        {
          level: 'error',
          setting: 'KEYHOLE_TLS_CERT_FILE',
          problem: `cannot read /tls/tls.crt: ${NOT_THERE}`,
          fix: TLS_FIX,
          msg: 'waiting to start',
        },
        {
          level: 'error',
          setting: 'KEYHOLE_KUBERNETES_CACERT',
          problem: `cannot use /ca/ca.crt: ${NOT_THERE}`,
          fix: 'mount ca.crt of the ConfigMap kube-root-ca.crt there',
          msg: 'waiting to start',
        },
        {
          level: 'error',
          setting: 'VAULT_CACERT',
          problem: `cannot use /ca/ca.crt: ${NOT_THERE}`,
          fix: VAULT_CA_FIX,
          msg: 'waiting to start',
        },
      ]),
    )
    expect(await pod.livez()).toBe(200)
    expect(await pod.readyz()).toMatchObject({
      status: 503,
      body: '[-] serving: waits for KEYHOLE_KUBERNETES_CACERT, KEYHOLE_TLS_CERT_FILE, VAULT_CACERT\nnot ready\n',
    })
    const { exit, lines } = await installation.check()
    expect(exit).toBe(2)
    expect(lines).toEqual(
      expect.arrayContaining([
        `wait  kubernetes-ca: KEYHOLE_KUBERNETES_CACERT: cannot use /ca/ca.crt: ${NOT_THERE}. Mount ca.crt of the ConfigMap kube-root-ca.crt there`,
        `wait  vault-ca: VAULT_CACERT: cannot use /ca/ca.crt: ${NOT_THERE}. P${VAULT_CA_FIX.slice(1)}`,
        `wait  serving-certificate: KEYHOLE_TLS_CERT_FILE: cannot read /tls/tls.crt: ${NOT_THERE}. P${TLS_FIX.slice(1)}`,
        'skip  kubernetes: not looked at before kubernetes-ca is well',
        'skip  vault: not looked at before vault-ca is well',
      ]),
    )

    await installation.mount('ca', { 'ca.crt': authority.ca })
    await installation.mount('tls', { 'tls.crt': certificate.cert, 'tls.key': certificate.key })
    await pod.said('serving')
    expect(pod.log().filter(({ msg }) => msg === 'no longer waiting')).toHaveLength(3)
    expect((await pod.readyz()).status).toBe(200)
    expect((await pod.get('/secrets/db', 'api')).status).toBe(200)
    // Whoever looks while files appear one by one may say twice what a setting lacks.
    expect(new Set(waits().map(({ setting }) => setting))).toEqual(
      new Set(['KEYHOLE_TLS_CERT_FILE', 'KEYHOLE_KUBERNETES_CACERT', 'VAULT_CACERT']),
    )
  })

  test('with files of the wrong content says what is wrong with each, waits for better ones, and never quotes them', async () => {
    await installation.mount('tls', { 'tls.crt': certificate.cert, 'tls.key': authority.issue().key })
    await installation.mount('ca', { 'ca.crt': 'canary of a CA' })
    await using pod = await installation.start()
    const said = () => pod.log().flatMap(({ msg, problem }) => (msg === 'waiting to start' ? [problem] : []))
    await until(() => said().length === 3)
    expect(new Set(said())).toEqual(
      new Set([
        '/tls/tls.key does not hold the private key of /tls/tls.crt',
        'cannot use /ca/ca.crt: it holds no certificate in PEM',
      ]),
    )
    expect(await pod.livez()).toBe(200)
    const { exit, lines, stdout } = await installation.check()
    expect(exit).toBe(3)
    expect(lines).toEqual(
      expect.arrayContaining([
        `fix   vault-ca: VAULT_CACERT: cannot use /ca/ca.crt: it holds no certificate in PEM. P${VAULT_CA_FIX.slice(1)}`,
        `fix   serving-certificate: KEYHOLE_TLS_CERT_FILE: /tls/tls.key does not hold the private key of /tls/tls.crt. P${TLS_FIX.slice(1)}`,
      ]),
    )
    expect(stdout + JSON.stringify(pod.log())).not.toContain('canary')
    await installation.mount('ca', { 'ca.crt': authority.ca })
    await installation.mount('tls', { 'tls.crt': certificate.cert, 'tls.key': certificate.key })
    await pod.said('serving')
  })

  test('whose policy and tokens are not mounted waits, and ends with 0 when it is told to stop', async () => {
    const nowhere = { KEYHOLE_POLICY_DIR: '/nowhere/policy', KEYHOLE_VAULT_TOKEN_FILE: '/nowhere/token' }
    await using pod = await installation.start(nowhere)
    const said = () => pod.log().flatMap(({ msg, problem }) => (msg === 'waiting to start' ? [problem] : []))
    await until(() => said().length === 2)
    expect(new Set(said())).toEqual(
      new Set([
        `cannot use /nowhere/token: ${NOT_THERE}`,
        'The policy directory /nowhere/policy does not exist. Mount the ConfigMap with the TransitKey and SecretGrant documents there, or name the directory that holds them. An empty one will do: it grants nothing.',
      ]),
    )
    pod.process.kill('SIGTERM')
    expect(await pod.exited).toBe(0)
    const { exit, lines } = await installation.check(nowhere)
    expect([exit, lines.filter((line) => line.startsWith('wait')).map((line) => line.split(':')[0])]).toEqual([
      2,
      ['wait  vault-token', 'wait  policy'],
    ])
  })

  test('that trusts another CA than its upstreams have is not ready, says whom not to trust, and is mended without a restart', async () => {
    await installation.mount('ca', { 'ca.crt': stranger.ca })
    // A rotator would look at its Secrets again and again; of a reader nobody asks anything.
    await using pod = await installation.start({ KEYHOLE_SERVE: 'read' })
    const fails = () => pod.log().filter(({ msg }) => msg === 'upstream fails')
    await until(() => fails().length === 2)
    const fix = (who: string, ca: string, address: string) =>
      `${who} shows a certificate that is not trusted: ${ca} must hold the CA that signed it, and the host of ${address} must be one of its names`
    expect(new Set(fails())).toEqual(
      new Set([
        {
          level: 'warn',
          upstream: 'kubernetes',
          state: 'last call: tls',
          fix: fix('the API server', 'KEYHOLE_KUBERNETES_CACERT', 'KEYHOLE_KUBERNETES_URL'),
          msg: 'upstream fails',
        },
        {
          level: 'warn',
          upstream: 'vault',
          state: 'last call: tls',
          fix: fix('Vault', 'VAULT_CACERT', 'VAULT_ADDR'),
          msg: 'upstream fails',
        },
      ]),
    )
    await pod.said('serving')
    const { status, body } = await pod.readyz()
    expect([status, body]).toEqual([
      503,
      expect.stringContaining('[-] kubernetes: last call: tls\n[-] vault: last call: tls\n'),
    ])
    expect(JSON.parse((await pod.get('/secrets/db', 'api')).body)).toMatchObject({ code: 'KUBERNETES_UNAVAILABLE' })
    const { exit, lines } = await installation.check()
    expect(exit).toBe(3)
    expect(lines).toEqual(
      expect.arrayContaining([
        expect.stringMatching(
          /^fix {3}kubernetes: the API server is not trusted: another CA than the one given signed its certificate\. The API server shows/,
        ),
        expect.stringMatching(
          /^fix {3}vault: Vault is not trusted: another CA than the one given signed its certificate\. Vault shows/,
        ),
      ]),
    )
    await installation.mount('ca', { 'ca.crt': authority.ca })
    await until(async () => (await pod.readyz()).status === 200)
    expect((await pod.get('/secrets/db', 'api')).status).toBe(200)
  })
})

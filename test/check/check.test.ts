/** keyhole check on an installation that is well, and on one that lacks one thing at a time. Rights and files are test/bad-installations'. */
import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CHECKS } from '../../src/check/finding.ts'
import { systemClock } from '../../src/clock.ts'
import { change, silence, status } from '../../src/standins/faults.ts'
import { KEYHOLE, SAMPLE_POLICY } from '../../src/testing/sample.ts'
import type { Installation, Settings } from '../bad-installations/world.ts'
import { install } from '../bad-installations/world.ts'
import { virtualClock } from '../virtual-clock.ts'

let installation: Installation
beforeEach(async () => {
  installation = await install()
})
afterEach(() => installation[Symbol.asyncDispose]())

/** What is not well. */
async function told(settings: Settings = {}): Promise<readonly string[]> {
  return unwell((await installation.check(settings)).lines)
}

const unwell = (lines: readonly string[]) => lines.filter((line) => /^(?:wait|fix)/.test(line))
const names = (lines: readonly string[]) => [...new Set(lines.map((line) => /^\w+ +([a-z-]+): /.exec(line)?.[1]))]

/** Puts a token of keyhole's into a file of its own, and names it. */
async function withToken(setting: string, token: string): Promise<Settings> {
  const path = join(installation.directory, setting)
  await writeFile(path, token)
  return { [setting]: path }
}

describe('an installation that is well', () => {
  test('has a line for every check, in their order, and exit 0', async () => {
    const { exit, lines, summary, stderr } = await installation.check()
    expect([exit, stderr, unwell(lines)]).toEqual([0, '', []])
    expect(names(lines)).toEqual(Object.keys(CHECKS))
    expect(lines.every((line) => line.startsWith('ok    '))).toBe(true)
    expect(summary).toBe(`${lines.length} ok, 0 to wait for, 0 to fix, 0 not looked at`)
  })

  test.each([
    ['read', ['lease-rights', 'lease', 'wide-vault-rights', 'other-rotators']],
    ['rotate', []],
  ])('that serves %s alone is asked for what that needs', async (serves, without) => {
    const { exit, lines } = await installation.check({ KEYHOLE_SERVE: serves })
    expect(exit).toBe(0)
    expect(names(lines)).toEqual(Object.keys(CHECKS).filter((name) => !without.includes(name)))
    const verbs = serves === 'read' ? 'get' : 'get, patch'
    expect(lines).toContainEqual(`ok    secret-rights: may ${verbs} 2 Secrets`)
  })

  test('is one document as JSON', async () => {
    const { exit, stdout } = await installation.check({}, ['--output=json'])
    const { type, status: state, findings } = JSON.parse(stdout)
    expect([exit, type, state, stdout.trimEnd().includes('\n')]).toEqual([0, 'check', 'ok', false])
    expect(findings[0]).toEqual({ check: 'configuration', status: 'ok', detail: 'serves read,rotate, realm sample' })
    expect(new Set(findings.map(({ check }: { check: string }) => check))).toEqual(new Set(Object.keys(CHECKS)))
  })

  test('is as it was: nothing but questions was asked, and no plaintext came', async () => {
    const { kubernetes, vault } = installation.standins
    kubernetes.requests.clear()
    vault.requests.clear()
    await installation.check()
    const asked = [...kubernetes.requests.entries(), ...vault.requests.entries()]
    const shapes = new Set(asked.map(({ method, path, status: answer }) => `${method} ${path} ${answer}`))
    expect([...shapes].filter((shape) => !HARMLESS.some((pattern) => pattern.test(shape)))).toEqual([])
    expect(shapes.size).toBeGreaterThan(10)
  })
})

/** What cannot change anything, and what Vault refuses for what it was asked about. */
const HARMLESS = [
  /^POST \/apis\/authorization\.k8s\.io\/v1\/selfsubjectaccessreviews 201$/,
  /^POST \/apis\/authentication\.k8s\.io\/v1\/(?:selfsubject|token)reviews 201$/,
  /^GET \/api\/v1\/namespaces\/payments\/secrets\/[a-z-]+ 200$/,
  /^GET \/apis\/coordination\.k8s\.io\/v1\/namespaces\/keyhole\/leases\/keyhole-rotation 404$/,
  /^GET \/v1\/sys\/health 200$/,
  /^POST \/v1\/auth\/kubernetes\/login (?:200|403)$/,
  /^GET \/v1\/transit\/keys\/payments 200$/,
  /^POST \/v1\/transit\/decrypt\/payments 40[03]$/,
  // Of what is no ciphertext.
  /^POST \/v1\/transit\/rewrap\/payments (?:200|400)$/,
]

describe('the command', () => {
  test('tells how it is used, and of a flag that there is not', async () => {
    const help = await installation.check({}, ['--help'])
    expect([help.exit, help.stderr]).toEqual([0, ''])
    for (const [name, what] of Object.entries(CHECKS))
      expect(help.stdout).toMatch(new RegExp(`^ {2}${name} +${what}$`, 'm'))
    const wrong = await installation.check({}, ['--output=yaml', '--quiet'])
    expect([wrong.exit, wrong.stdout]).toEqual([1, ''])
    expect(wrong.stderr).toMatch(
      /^keyhole check: --output must be text or json\.\nkeyhole check: "--quiet" is no flag of this verb\.\nNothing was looked at\. keyhole check --help tells more\.\n$/,
    )
  })

  test('exits with 1 for an environment that is wrong, with every complaint, and looks at nothing else', async () => {
    const { exit, lines, stdout } = await installation.check({
      KEYHOLE_REALM: 'canary/of a realm',
      KEYHOLE_REALMS: 'canary',
    })
    expect(exit).toBe(1)
    expect(lines).toEqual([
      'fix   configuration: KEYHOLE_REALM must be a DNS name: it is part of every Transit context',
      'fix   configuration: KEYHOLE_REALMS is not a setting. Did you mean "KEYHOLE_REALM"?',
    ])
    expect(stdout).not.toContain('canary')
    expect(installation.standins.kubernetes.requests.entries()).toEqual([])
  })

  test('is a process like any other: its own timers keep it alive, and nothing but them', async () => {
    const main = join(import.meta.dirname, '../../src/cli/main.ts')
    const child = spawn(process.execPath, [main, 'check'], {
      env: { ...installation.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const exited = new Promise((resolve) => child.once('close', resolve))
    const [exit, stdout, stderr] = await Promise.all([exited, text(child.stdout), text(child.stderr)])
    expect([exit, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/\n\d+ ok, 0 to wait for, 0 to fix, 0 not looked at\n$/)
    installation.expectHarmless(stdout)
  })

  test('that is told to stop ends with 2', async () => {
    const { exit, lines } = await installation.check({}, [], { signal: AbortSignal.abort() })
    expect([exit, lines.length]).toEqual([2, 1])
  })
})

describe('a token', () => {
  const issue = (order: object) =>
    installation.standins.kubernetes.issueToken({ ...KEYHOLE, audiences: ['vault'], ...order })

  test('that is good for both servers is not for Vault', async () => {
    const both = issue({ audiences: ['vault', installation.standins.kubernetes.issuer] })
    expect(await told(await withToken('KEYHOLE_VAULT_TOKEN_FILE', both))).toEqual([
      'fix   vault-token: it is good for the API server, too: with it, whoever holds Vault could act as keyhole there. Mount a projected serviceAccountToken of its own audience, e.g. vault, and name that on the Vault roles',
    ])
  })

  test('that lives a year is not what keyhole should hold', async () => {
    const long = issue({ audiences: [], expirationSeconds: 31_536_000 })
    expect(await told(await withToken('KEYHOLE_KUBERNETES_TOKEN_FILE', long))).toEqual([
      'fix   kubernetes-token: it lives 365 days. Mount a projected serviceAccountToken with expirationSeconds of at most 3600, and automountServiceAccountToken: false',
    ])
  })

  test('of another audience is refused by the API server', async () => {
    const token = issue({ audiences: ['somewhere-else'] })
    const lines = await told(await withToken('KEYHOLE_KUBERNETES_TOKEN_FILE', token))
    expect(lines).toEqual([
      "fix   kubernetes: the API server answers 401. The API server refuses keyhole's own token: check KEYHOLE_KUBERNETES_TOKEN_FILE and its audience",
    ])
  })

  test('of somebody else is not taken for keyhole’s', async () => {
    installation.standins.kubernetes.putServiceAccount({ namespace: 'keyhole', name: 'other' })
    const other = issue({ serviceAccount: 'other' })
    const lines = await told({ ...(await withToken('KEYHOLE_VAULT_TOKEN_FILE', other)), KEYHOLE_SERVE: 'read' })
    expect(lines.slice(0, 1)).toEqual([
      'fix   identity: the token for the API server is of system:serviceaccount:keyhole:keyhole, the one for Vault of system:serviceaccount:keyhole:other. Mount both tokens in the pod of one ServiceAccount',
    ])
    const admin = await withToken('KEYHOLE_KUBERNETES_TOKEN_FILE', installation.standins.kubernetes.adminToken)
    const { lines: asAdmin } = await installation.check(admin)
    expect(asAdmin).toEqual(
      expect.arrayContaining([
        'skip  kubernetes-token: it is no JWT: only the server that it is for can tell',
        'fix   identity: the API server calls this token admin. Give keyhole a token of its own ServiceAccount',
        expect.stringMatching(
          /^fix {3}wide-rights: may get, list, watch, create, update, patch, delete any Secret in the whole cluster/,
        ),
      ]),
    )
  })
})

describe('time', () => {
  const later = (ms: number) => ({ clock: { ...systemClock, now: () => systemClock.now() + ms } })

  /** Both servers tell this time in every answer, to the second, and our clock stands so much later: calls take none. */
  function apart(ms: number) {
    const nowMs = Math.floor(Date.now() / 1000) * 1000
    const date = new Date(nowMs).toUTCString()
    const { kubernetes, vault } = installation.standins
    for (const { faults } of [kubernetes, vault]) {
      faults.inject(
        {},
        change((reply) => ({ ...reply, headers: { ...reply.headers, date } })),
      )
    }
    // Whoever reads a Date takes it for the middle of its second.
    return { clock: { ...systemClock, now: () => nowMs + 500 + ms } }
  }

  test('that is not the servers’ is told, and by how much', async () => {
    const { exit, lines } = await installation.check({}, [], apart(75_000))
    expect(exit).toBe(3)
    const fix = 'Have the nodes keep time (NTP): tokens are judged, and Leases held, by these clocks'
    expect(unwell(lines)).toEqual([
      `fix   kubernetes-clock: this clock is 75 s ahead. ${fix}`,
      `fix   vault-clock: this clock is 75 s ahead. ${fix}`,
    ])
    const { lines: behind } = await installation.check({}, [], apart(-20_000))
    expect(unwell(behind)[1]).toBe(`fix   kubernetes-clock: this clock is 20 s behind. ${fix}`)
  })

  test('that has passed is told of tokens that were not renewed, and of certificates that should have been', async () => {
    const { lines } = await installation.check({}, [], later(22 * 3_600_000))
    expect(unwell(lines)).toEqual([
      expect.stringMatching(
        /^wait {2}kubernetes-token: expired since 20\S+Z\. The kubelet renews it: if it does not, see its log/,
      ),
      expect.stringMatching(/^wait {2}vault-token: expired since /),
      expect.stringMatching(
        /^fix {3}serving-certificate: localhost, 127\.0\.0\.1, \S+; 1 h left\. See why whoever issues it/,
      ),
    ])
    const { lines: over } = await installation.check({}, [], later(30 * 3_600_000))
    expect(unwell(over)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^fix {3}kubernetes-ca: every certificate in it has expired\. Mount ca\.crt/),
        expect.stringMatching(/^fix {3}vault-ca: every certificate in it has expired\. Put the PEM/),
        expect.stringMatching(/^fix {3}serving-certificate: KEYHOLE_TLS_CERT_FILE: \/tls\/tls\.crt has expired on 20/),
      ]),
    )
  })
})

describe('a server', () => {
  test('that is away is waited for, and the other is looked at all the same', async () => {
    const { exit, lines } = await installation.check({ KEYHOLE_KUBERNETES_URL: 'https://127.0.0.1:1' })
    expect(exit).toBe(2)
    expect(unwell(lines)).toEqual([
      'wait  kubernetes: no answer from the API server: refused. See that the API server runs, that KEYHOLE_KUBERNETES_URL is its origin, and that NetworkPolicies let keyhole reach it',
    ])
    expect(lines).toEqual(
      expect.arrayContaining([
        'skip  secret-rights: not looked at before kubernetes is well',
        'ok    transit-keys: transit/payments may be read with, and is derived',
      ]),
    )
  })

  test('that is sealed is waited for', async () => {
    installation.standins.vault.seal()
    const { exit, lines } = await installation.check()
    const url = installation.standins.vault.url
    expect([exit, unwell(lines)]).toEqual([2, [`wait  vault: ${url} is sealed. Unseal it: vault operator unseal`]])
  })

  test.each([
    [
      'standby',
      { initialized: true, sealed: false, standby: true, version: '1.21.0' },
      429,
      /^ok {4}vault: \S+ answers, version 1\.21\.0, a standby that forwards$/,
    ],
    [
      'not initialized',
      { initialized: false, sealed: true, standby: true, version: '1.21.0' },
      501,
      /^fix {3}vault: \S+ is not initialized\. Initialize and unseal it/,
    ],
    ['no Vault at all', '<html>canary</html>', 200, /^fix {3}vault: Vault answers 200\. See the log of Vault for why$/],
  ])('that is %s is told', async (_what, body, code, line) => {
    installation.standins.vault.faults.inject({ path: '/v1/sys/health' }, status(code, body))
    const { lines, stdout } = await installation.check()
    expect(lines.find((one) => / vault: /.test(one))).toMatch(line)
    expect(stdout).not.toContain('canary')
  })

  test('that does not answer costs its time, and no more', async () => {
    const { faults, requests } = installation.standins.vault
    const asked = Promise.withResolvers<void>()
    const silent = silence()
    faults.inject({ path: /./ }, (...call) => {
      asked.resolve()
      return silent(...call)
    })
    requests.clear()
    // Time passes for timers alone, and not before Vault was asked: the API server answers as slowly as it likes.
    const { after, advance, timers } = virtualClock()
    const clock = { now: systemClock.now, after }
    const checked = installation.check({ KEYHOLE_UPSTREAM_TIMEOUT_MS: '20000' }, [], { clock })
    await asked.promise
    await advance(19_999)
    expect(timers()).toBeGreaterThan(0)
    await advance(1)
    expect(timers()).toBe(0)
    expect(unwell((await checked).lines)).toEqual([
      expect.stringMatching(/^wait {2}vault: no answer from Vault: timeout\./),
    ])
    expect(requests.entries()).toHaveLength(1)
  })

  test('that fails half-way is waited for, by what it was asked', async () => {
    const { kubernetes, vault } = installation.standins
    kubernetes.faults.inject({ path: /selfsubjectaccessreviews/ }, status(503, {}))
    vault.faults.inject({ path: /login/ }, status(503, { errors: ['Vault is sealed'] }))
    expect(await told()).toEqual([
      'wait  review-right: the API server answers 503',
      'wait  secret-rights: the API server answers 503',
      'wait  lease-rights: the API server answers 503',
      'wait  wide-rights: the API server answers 503',
      ...Array<string>(2)
        .fill('wait  vault-login: Vault answers 503')
        .flatMap((line) => [line, line.replace('login', 'audience')]),
    ])
  })
})

describe('what the policy says', () => {
  test('is told as it would be of a start: by file, line and column, and how many are denied', async () => {
    const broken = SAMPLE_POLICY['payments.yaml'].replace('transitKey: payments', 'transitKeys: payments')
    await installation.mount('policy', { ...SAMPLE_POLICY, 'payments.yaml': broken })
    const { exit, lines } = await installation.check()
    expect(exit).toBe(3)
    const fix = ' Fix the document: until then it is not in force as it is written'
    expect(unwell(lines)).toEqual([
      `fix   policy: payments.yaml:1:1: error: SecretGrant payments/db: This version is not taken. There is no good version of it: it is denied.${fix}`,
      `fix   policy: payments.yaml:5:3: error: SecretGrant payments/db: "transitKey" is missing.${fix}`,
      `fix   policy: payments.yaml:6:3: error: SecretGrant payments/db: There is no field "transitKeys" here. Did you mean "transitKey"?${fix}`,
    ])
    expect(lines).toContainEqual(
      expect.stringMatching(/^ok {4}policy: 1 TransitKey and 1 SecretGrant in force, 1 denied, sha256:/),
    )
  })

  test('of Secrets is looked at in each', async () => {
    const { kubernetes } = installation.standins
    kubernetes.putSecret({
      namespace: 'payments',
      name: 'payments-db',
      data: { other: 'canary', 'secrets.json': 'canary in the clear' },
    })
    kubernetes.deleteSecret({ namespace: 'payments', name: 'payments-tls' })
    const { lines, stdout } = await installation.check()
    expect(unwell(lines)).toEqual([
      'fix   secrets: Secret payments/payments-db, data key secrets.json: MALFORMED. It does not hold Transit ciphertext. Its owner must encrypt it again.',
      'fix   secrets: Secret payments/payments-tls: SECRET_MISSING. The policy names it, but it does not exist. Create it, or take its grant out of the policy.',
    ])
    expect(stdout).not.toContain('canary')
    kubernetes.putSecret({ namespace: 'payments', name: 'payments-db', data: { other: 'canary' } })
    expect((await told())[0]).toMatch(
      /^fix {3}secrets: Secret payments\/payments-db, data key secrets\.json: DATA_KEY_MISSING\. /,
    )
  })

  test('that grants nothing leaves nothing to look at, and says so', async () => {
    await installation.mount('policy', {})
    const { exit, lines } = await installation.check()
    expect([exit, unwell(lines).length > 0]).toEqual([3, true])
    expect(lines).toEqual(
      expect.arrayContaining([
        'ok    secrets: the policy has no TransitKey, so there are none',
        'ok    transit-keys: the policy has none',
      ]),
    )
  })

  test('of a key without binding is held against Vault', async () => {
    const loose = SAMPLE_POLICY['platform.yaml'].replace('exclusive: true', 'binding: none\n  allowTransplant: true')
    await installation.mount('policy', { ...SAMPLE_POLICY, 'platform.yaml': loose })
    expect(await told()).toEqual([
      'fix   transit-keys: transit/payments: derived. The Transit key is derived, and its TransitKey says binding: none: take that off',
      'fix   transit-keys: transit/payments: derived. The Transit key is derived, and its TransitKey says binding: none: take that off',
    ])
  })
})

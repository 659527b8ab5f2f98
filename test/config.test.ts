import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ConfigError, isLoopback, parseConfig, SETTINGS } from '../src/config.ts'

type Environment = Readonly<Record<string, string | undefined>>

const NAMES = Object.keys(SETTINGS)

/** The least that starts. */
const LEAST: Environment = {
  KEYHOLE_REALM: 'prod-eu1',
  KEYHOLE_KUBERNETES_URL: 'https://10.96.0.1',
  VAULT_ADDR: 'https://vault.vault:8200',
  KEYHOLE_LISTEN: '127.0.0.1:8443',
}

const CANARY = 'eyJhbGciOiJSUzI1NiJ9.canary.signature'

function complaintsOf(environment: Environment): readonly string[] {
  try {
    parseConfig(environment)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.complaints
    throw error
  }
}

/** What is complained of when these differ from an environment that starts. */
function complaints(difference: Environment): readonly string[] {
  return complaintsOf({ ...LEAST, ...difference })
}

describe('an environment that is as it should be', () => {
  test('needs four variables on loopback, and has every bound by default', () => {
    expect(parseConfig(LEAST)).toMatchObject({
      kubernetesUrl: 'https://10.96.0.1',
      VAULT_ADDR: 'https://vault.vault:8200',
      KEYHOLE_LISTEN: { host: '127.0.0.1', port: 8443 },
      KEYHOLE_MANAGEMENT_LISTEN: { host: '0.0.0.0', port: 8081 },
      KEYHOLE_AUDIENCE: 'keyhole',
      KEYHOLE_DEADLINE_MS: 5_000,
      KEYHOLE_UPSTREAM_TIMEOUT_MS: 2_000,
      KEYHOLE_REVIEW_KEEP_MS: 10_000,
      KEYHOLE_VAULT_TOKEN_MAX_MS: 10_000,
      KEYHOLE_TLS_MIN_VERSION: 'TLSv1.2',
      tls: undefined,
    })
  })

  test('serves reads, and nothing of rotation, unless it is told to', () => {
    const serves = (roles: string) => parseConfig({ ...LEAST, KEYHOLE_SERVE: roles }).serves
    expect(parseConfig(LEAST)).toMatchObject({
      serves: { read: true, rotate: false },
      KEYHOLE_VAULT_ROTATE_ROLE: 'keyhole-rotate',
      KEYHOLE_ROTATION_LEASE: 'keyhole/keyhole-rotation',
      KEYHOLE_LEASE_MS: 30_000,
      KEYHOLE_ROTATION_BUDGET_MS: 900_000,
      KEYHOLE_METRICS_KEY_NAMES: 'hide',
    })
    expect(serves('read')).toEqual({ read: true, rotate: false })
    expect(serves('rotate')).toEqual({ read: false, rotate: true })
    expect(serves('read,rotate')).toEqual({ read: true, rotate: true })
    expect(serves('rotate,read')).toEqual({ read: true, rotate: true })
  })

  test('finds the API server where the kubelet says', () => {
    const inPod = (host: string) =>
      parseConfig({
        ...LEAST,
        KEYHOLE_KUBERNETES_URL: undefined,
        KUBERNETES_SERVICE_HOST: host,
        KUBERNETES_SERVICE_PORT: '443',
      }).kubernetesUrl
    expect(inPod('10.96.0.1')).toBe('https://10.96.0.1:443')
    expect(inPod('fd00::1')).toBe('https://[fd00::1]:443')
    expect(inPod('kubernetes.default.svc')).toBe('https://kubernetes.default.svc:443')
  })

  test('takes KEYHOLE_KUBERNETES_URL before what the kubelet says', () => {
    const given = { ...LEAST, KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' }
    expect(parseConfig({ ...given, KEYHOLE_KUBERNETES_URL: 'https://api.example:6443/' }).kubernetesUrl).toBe(
      'https://api.example:6443',
    )
  })

  test('may say nothing in an empty variable', () => {
    const empty = Object.fromEntries(NAMES.filter((name) => !(name in LEAST)).map((name) => [name, '']))
    expect(parseConfig({ ...LEAST, ...empty })).toEqual(parseConfig(LEAST))
  })

  test('may hold anything that is not for keyhole', () => {
    expect(
      complaints({ PATH: '/bin', VAULT_TOKEN: CANARY, HTTPS_PROXY: 'http://proxy', KEYHOL: 'x', keyhole_realm: 'x' }),
    ).toEqual([])
  })
})

describe('an environment that is wrong', () => {
  test('lacks what is required: every variable is named, with what it is for', () => {
    expect(complaintsOf({})).toEqual([
      'KEYHOLE_KUBERNETES_URL is required outside a pod, where no KUBERNETES_SERVICE_HOST is set',
      'KEYHOLE_REALM is required: the name of this cluster, part of every Transit context',
      'KEYHOLE_TLS_CERT_FILE and KEYHOLE_TLS_KEY_FILE are required where KEYHOLE_LISTEN is not a loopback address (KEYHOLE_PLAIN_HTTP=allow serves in the clear)',
      'VAULT_ADDR is required: the origin of Vault, e.g. https://vault.vault:8200',
    ])
  })

  test('is complained of at once, by name, in order, and without a word of what it holds', () => {
    const wrong = Object.fromEntries(NAMES.map((name) => [name, `${CANARY} ${name.toLowerCase()}`]))
    const all = complaintsOf({ ...wrong, KEYHOLE_REALMS: CANARY })
    const free = ['KUBERNETES_SERVICE_HOST', 'KUBERNETES_SERVICE_PORT']
    expect(all.map((line) => line.slice(0, line.indexOf(' ')))).toEqual(
      [...NAMES, 'KEYHOLE_REALMS'].filter((name) => !free.includes(name)).sort(),
    )
    expect(all.join()).not.toContain('canary')
  })

  for (const name of NAMES) {
    test(`is not quoted when a token was pasted into ${name}`, () => {
      const pasted = { ...LEAST, KEYHOLE_KUBERNETES_URL: undefined, [name]: ` ${CANARY}\n` }
      const error = (() => {
        try {
          return parseConfig(pasted)
        } catch (thrown) {
          return thrown
        }
      })()
      expect(error).toBeInstanceOf(ConfigError)
      const { message, stack, cause } = error as ConfigError
      expect(`${message}${stack}${JSON.stringify(error)}${String(cause)}`).not.toContain('canary')
    })
  }

  test('says which words there are, in the same voice as the rest', () => {
    const said = complaints({
      KEYHOLE_LOG_LEVEL: 'trace',
      KEYHOLE_TLS_MIN_VERSION: 'TLSv1.1',
      KEYHOLE_PLAIN_HTTP: 'yes',
    })
    expect(said).toEqual([
      'KEYHOLE_LOG_LEVEL must be debug or info or warn or error',
      'KEYHOLE_PLAIN_HTTP must be "allow" or absent',
      'KEYHOLE_TLS_MIN_VERSION must be TLSv1.2 or TLSv1.3',
    ])
  })

  test('is not one with the longest names that there are', () => {
    const longest: Environment = {
      KEYHOLE_REALM: 'a'.repeat(253),
      KEYHOLE_VAULT_ROLE: 'a'.repeat(128),
      KEYHOLE_VAULT_AUTH_MOUNT: `teams/${'a'.repeat(250)}`,
      KEYHOLE_ROTATION_LEASE: `${'a'.repeat(63)}/${'b'.repeat(253)}`,
    }
    expect(complaints(longest)).toEqual([])
  })

  const REFUSED: readonly (readonly [name: keyof typeof SETTINGS, value: string, complaint: RegExp])[] = [
    ['KEYHOLE_REALM', 'Prod', /DNS name/],
    ['KEYHOLE_REALM', 'prod/other', /DNS name/],
    ['KEYHOLE_REALM', 'prod\n', /DNS name/],
    ['KEYHOLE_REALM', 'a'.repeat(254), /DNS name/],
    ['KEYHOLE_REALM', 'prod..eu1', /DNS name/],
    ['KEYHOLE_REALM', 'prod.-eu1', /DNS name/],
    ['KEYHOLE_AUDIENCE', 'two words', /printable/],
    ['KEYHOLE_LISTEN', '8443', /ADDRESS:PORT/],
    ['KEYHOLE_LISTEN', 'localhost:8443', /ADDRESS:PORT/],
    ['KEYHOLE_LISTEN', '0.0.0.0:65536', /ADDRESS:PORT/],
    ['KEYHOLE_LISTEN', '0.0.0.256:8443', /ADDRESS:PORT/],
    ['KEYHOLE_LISTEN', '127.1:8443', /ADDRESS:PORT/],
    ['KEYHOLE_LISTEN', '[:::1]:8443', /ADDRESS:PORT/],
    ['KEYHOLE_LISTEN', '::1:8443', /ADDRESS:PORT/],
    ['KEYHOLE_MANAGEMENT_LISTEN', '0.0.0.0', /ADDRESS:PORT/],
    ['KEYHOLE_POLICY_DIR', 'policy', /absolute/],
    ['KEYHOLE_AUDIT', 'stderr', /stdout.*file:/],
    ['KEYHOLE_AUDIT', 'file:audit.log', /stdout.*file:/],
    ['KEYHOLE_AUDIT', 'file:/', /stdout.*file:/],
    ['VAULT_ADDR', 'vault:8200', /https:\/\/HOST/],
    ['VAULT_ADDR', 'ftp://vault', /https:\/\/HOST/],
    ['VAULT_ADDR', 'https://', /https:\/\/HOST/],
    ['VAULT_ADDR', 'https://vault/v1', /no path/],
    ['VAULT_ADDR', 'https://vault/?namespace=a', /no path/],
    ['VAULT_ADDR', 'https://vault/#a', /no path/],
    ['VAULT_ADDR', 'https://user:pass@vault', /no credentials/],
    ['VAULT_ADDR', 'https://user@vault', /no credentials/],
    ['VAULT_ADDR', 'http://vault:8200', /unless it is on loopback/],
    ['VAULT_ADDR', 'http://127.0.0.1.example.com:8200', /unless it is on loopback/],
    ['VAULT_ADDR', 'http://localhost.example.com', /unless it is on loopback/],
    ['VAULT_ADDR', 'http://0.0.0.0:8200', /unless it is on loopback/],
    ['KEYHOLE_KUBERNETES_URL', 'http://10.96.0.1', /unless it is on loopback/],
    ['KEYHOLE_KUBERNETES_URL', 'data:text/plain,x', /https:\/\/HOST/],
    ['KEYHOLE_VAULT_AUTH_MOUNT', '/kubernetes', /must be a path such as/],
    ['KEYHOLE_VAULT_AUTH_MOUNT', 'kubernetes/', /must be a path such as/],
    ['KEYHOLE_VAULT_AUTH_MOUNT', 'a/../../sys', /must be a path such as/],
    ['KEYHOLE_VAULT_AUTH_MOUNT', '-kubernetes', /must be a path such as/],
    ['KEYHOLE_VAULT_ROLE', 'a//b', /must be 1 to 128 letters/],
    ['KEYHOLE_VAULT_ROLE', 'team/keyhole', /must be 1 to 128 letters/],
    ['KEYHOLE_VAULT_ROLE', 'a..b', /must be 1 to 128 letters/],
    ['KEYHOLE_VAULT_ROLE', 'keyhole-', /must be 1 to 128 letters/],
    ['KEYHOLE_VAULT_ROLE', 'a'.repeat(129), /must be 1 to 128 letters/],
    ['KEYHOLE_VAULT_AUTH_MOUNT', 'teams-/kubernetes', /must be a path such as/],
    ['KEYHOLE_VAULT_AUTH_MOUNT', 'a'.repeat(257), /must be a path such as/],
    ['KEYHOLE_SERVE', 'write', /"read", "rotate" or "read,rotate"/],
    ['KEYHOLE_SERVE', 'read, rotate', /"read", "rotate" or "read,rotate"/],
    ['KEYHOLE_SERVE', 'read,read', /"read", "rotate" or "read,rotate"/],
    ['KEYHOLE_SERVE', 'rotate,', /"read", "rotate" or "read,rotate"/],
    ['KEYHOLE_SERVE', 'READ', /"read", "rotate" or "read,rotate"/],
    ['KEYHOLE_SERVE', 'read\n', /"read", "rotate" or "read,rotate"/],
    ['KEYHOLE_VAULT_ROTATE_ROLE', 'team/rotate', /must be 1 to 128 letters/],
    ['KEYHOLE_ROTATION_LEASE', 'keyhole-rotation', /NAMESPACE\/NAME/],
    ['KEYHOLE_ROTATION_LEASE', '/keyhole-rotation', /NAMESPACE\/NAME/],
    ['KEYHOLE_ROTATION_LEASE', 'keyhole/', /NAMESPACE\/NAME/],
    ['KEYHOLE_ROTATION_LEASE', 'keyhole/a/b', /NAMESPACE\/NAME/],
    ['KEYHOLE_ROTATION_LEASE', 'keyhole/../secrets', /NAMESPACE\/NAME/],
    ['KEYHOLE_ROTATION_LEASE', 'keyhole/a..b', /NAMESPACE\/NAME/],
    ['KEYHOLE_ROTATION_LEASE', 'a.b/rotation', /NAMESPACE\/NAME/],
    ['KEYHOLE_ROTATION_LEASE', `keyhole/${'a'.repeat(254)}`, /NAMESPACE\/NAME/],
    ['KEYHOLE_ROTATION_LEASE', 'Keyhole/rotation', /NAMESPACE\/NAME/],
    ['KEYHOLE_ROTATION_LEASE', `${'a'.repeat(64)}/rotation`, /NAMESPACE\/NAME/],
    ['KEYHOLE_METRICS_KEY_NAMES', 'yes', /show or hide/],
    ['VAULT_NAMESPACE', '..', /must be a path such as/],
    ['KEYHOLE_DRAIN_MS', '-1', /whole number/],
    ['KEYHOLE_DRAIN_MS', '1e3', /whole number/],
    ['KEYHOLE_DRAIN_MS', '0x10', /whole number/],
    ['KEYHOLE_DRAIN_MS', '25s', /whole number/],
    ['KEYHOLE_DRAIN_MS', '1'.repeat(13), /whole number/],
  ]
  test.each(REFUSED)('refuses %s=%j', (name, value, complaint) => {
    expect(complaints({ [name]: value })).toEqual([expect.stringMatching(new RegExp(`^${name} .*${complaint.source}`))])
  })

  test('names no place for the API server that is one', () => {
    const inPod = (host: string, port: string) =>
      complaints({ KEYHOLE_KUBERNETES_URL: undefined, KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port })
    const complaint = ['KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be a host and a port']
    expect(inPod('10.96.0.1', '99999')).toEqual(complaint)
    expect(inPod('10.96.0.1', 'https')).toEqual(complaint)
    expect(inPod('user@host', '443')).toEqual(complaint)
    expect(inPod('host/path', '443')).toEqual(complaint)
    expect(inPod('1:2:3', '443')).toEqual(complaint)
  })
})

describe('bounds', () => {
  const BOUNDS = Object.entries({
    KEYHOLE_LEASE_MS: [15_000, 120_000],
    KEYHOLE_ROTATION_BUDGET_MS: [10_000, 14_400_000],
    KEYHOLE_ROTATION_PARALLEL: [1, 256],
    KEYHOLE_SURVEY_MS: [10_000, 86_400_000],
    KEYHOLE_DEADLINE_MS: [100, 60_000],
    KEYHOLE_UPSTREAM_TIMEOUT_MS: [50, 30_000],
    KEYHOLE_UPSTREAM_CONNECTIONS: [1, 1_024],
    KEYHOLE_UPSTREAM_MAX_BYTES: [65_536, 67_108_864],
    KEYHOLE_MAX_HEADER_BYTES: [4_096, 65_536],
    KEYHOLE_MAX_URL_BYTES: [256, 8_192],
    KEYHOLE_MAX_TOKEN_BYTES: [1_024, 16_384],
    KEYHOLE_MAX_TOKEN_LIFETIME_MS: [600_000, 31_622_400_000],
    KEYHOLE_REVIEW_KEEP_MS: [0, 10_000],
    KEYHOLE_REVIEWS_IN_FLIGHT: [1, 1_024],
    KEYHOLE_REQUESTS_IN_FLIGHT: [1, 10_000],
    KEYHOLE_REQUESTS_WAITING: [1, 10_000],
    KEYHOLE_MAX_CONNECTIONS: [16, 65_536],
    KEYHOLE_MAX_DICTIONARY_BYTES: [1_024, 1_048_576],
    KEYHOLE_MAX_DICTIONARY_DEPTH: [1, 512],
    KEYHOLE_VAULT_TOKEN_MAX_MS: [3_000, 60_000],
    KEYHOLE_AUDIT_TIMEOUT_MS: [50, 10_000],
    KEYHOLE_AUDIT_QUEUE: [16, 65_536],
    KEYHOLE_REFUSALS_PER_SECOND: [1, 1_000],
    KEYHOLE_REFUSALS_BURST: [1, 10_000],
    KEYHOLE_REPLY_TIMEOUT_MS: [1_000, 120_000],
    KEYHOLE_POLICY_RECHECK_MS: [100, 60_000],
    KEYHOLE_RENEWAL_CHECK_MS: [100, 60_000],
    KEYHOLE_DRAIN_MS: [0, 300_000],
  } satisfies Partial<Record<keyof typeof SETTINGS, readonly [number, number]>>)

  test('are all listed here', () => {
    const numbers = NAMES.filter((name) => typeof parseConfig(LEAST)[name as keyof typeof SETTINGS] === 'number')
    expect(BOUNDS.map(([name]) => name)).toEqual(numbers)
  })

  test.each(BOUNDS)('%s is good at both edges and refused beyond them', (name, [min, max]) => {
    expect(complaints({ [name]: String(min) })).toEqual([])
    expect(complaints({ [name]: String(max) })).toEqual([])
    expect(complaints({ [name]: String(max + 1) })).toEqual([`${name} must be at most ${max}`])
    const below = min === 0 ? `${name} must be a whole number` : `${name} must be at least ${min}`
    expect(complaints({ [name]: String(min - 1) })).toEqual([below])
  })
})

describe('TLS', () => {
  const PAIR = { KEYHOLE_TLS_CERT_FILE: '/tls/tls.crt', KEYHOLE_TLS_KEY_FILE: '/tls/tls.key' }
  const REQUIRED = [expect.stringMatching(/^KEYHOLE_TLS_CERT_FILE and KEYHOLE_TLS_KEY_FILE are required/)]

  test('is served from a pair of files', () => {
    expect(parseConfig({ ...LEAST, ...PAIR, KEYHOLE_LISTEN: '0.0.0.0:8443' }).tls).toEqual({
      certFile: '/tls/tls.crt',
      keyFile: '/tls/tls.key',
    })
  })

  test.each(Object.entries(PAIR))('is refused with %s alone, even on loopback', (name, file) => {
    expect(complaints({ [name]: file })).toEqual(['KEYHOLE_TLS_CERT_FILE and KEYHOLE_TLS_KEY_FILE go together'])
  })

  test.each(['0.0.0.0:8443', '[::]:8443', '10.0.0.1:80', '[0:0:0:0:0:ffff:7f00:1]:80'])(
    'is required on %s, unless plain HTTP is allowed',
    (address) => {
      expect(complaints({ KEYHOLE_LISTEN: address })).toEqual(REQUIRED)
      expect(complaints({ KEYHOLE_LISTEN: address, KEYHOLE_PLAIN_HTTP: 'allow' })).toEqual([])
      expect(complaints({ KEYHOLE_LISTEN: address, KEYHOLE_PLAIN_HTTP: 'true' })).toHaveLength(2)
    },
  )

  test.each(['127.0.0.1:0', '127.8.9.10:80', '[::1]:8443'])('is not required on %s', (address) => {
    expect(complaints({ KEYHOLE_LISTEN: address })).toEqual([])
  })

  test.each(['localhost', '127.0.0.1', '127.255.255.254', '::1', '[::1]'])('%s is loopback', (host) => {
    expect(isLoopback(host)).toBe(true)
  })

  test.each(['0.0.0.0', '::', '128.0.0.1', '1127.0.0.1', '127.0.0.1.nip.io', 'localhost.', 'x.localhost', ''])(
    '%j is not loopback',
    (host) => {
      expect(isLoopback(host)).toBe(false)
    },
  )

  test.each(['http://127.0.0.1:8200', 'http://localhost:8200', 'http://[::1]:8200', 'http://2130706433:8200'])(
    'is not required of an upstream at %s',
    (url) => {
      expect(complaints({ VAULT_ADDR: url, KEYHOLE_KUBERNETES_URL: url })).toEqual([])
    },
  )
})

describe('names', () => {
  /** What the kubelet puts into every pod of a Service's namespace. */
  function injectedBy(service: string, ports: Readonly<Record<string, number>>): Record<string, string> {
    const prefix = service.toUpperCase().replaceAll('-', '_')
    const host = '10.96.17.4'
    const entries = Object.entries(ports).flatMap(([name, port]): [string, string][] => [
      [`SERVICE_PORT_${name.toUpperCase().replaceAll('-', '_')}`, String(port)],
      [`PORT_${port}_TCP`, `tcp://${host}:${port}`],
      [`PORT_${port}_TCP_PROTO`, 'tcp'],
      [`PORT_${port}_TCP_PORT`, String(port)],
      [`PORT_${port}_TCP_ADDR`, host],
    ])
    const [first = 0] = Object.values(ports)
    entries.push(['SERVICE_HOST', host], ['SERVICE_PORT', String(first)], ['PORT', `tcp://${host}:${first}`])
    return Object.fromEntries(entries.map(([name, value]) => [`${prefix}_${name}`, value]))
  }

  test.each(['keyhole', 'keyhole-management', 'keyhole-audit', 'keyhole-tls-key'])(
    'that a Service called %s injects neither matter nor stop the start',
    (service) => {
      const injected = injectedBy(service, { https: 8443, 'management-ms': 8081 })
      expect(Object.keys(injected)).toHaveLength(13)
      expect(parseConfig({ ...LEAST, ...injected })).toEqual(parseConfig(LEAST))
    },
  )

  test('of settings are none that a Service injects', () => {
    const own = NAMES.filter((name) => name.startsWith('KEYHOLE_'))
    expect(own.filter((name) => /_PORT(?:_|$)|_SERVICE_|^KEYHOLE_SERVICE/.test(name))).toEqual([])
  })

  test('that are no settings are refused, with the one that was meant', () => {
    expect(complaints({ KEYHOLE_REAML: 'prod' })).toEqual([
      'KEYHOLE_REAML is not a setting. Did you mean "KEYHOLE_REALM"?',
    ])
    expect(complaints({ KEYHOLE_DEADLINE: '5s' })).toEqual([
      'KEYHOLE_DEADLINE is not a setting. Did you mean "KEYHOLE_DEADLINE_MS"?',
    ])
    expect(complaints({ KEYHOLE_: 'x' })).toEqual(['KEYHOLE_ is not a setting.'])
  })

  test('that are long or would break a line are shown as one short line', () => {
    const [said = ''] = complaints({ [`KEYHOLE_\n\u001b[31m${'A'.repeat(500)}`]: 'x' })
    expect(said).toMatch(/^KEYHOLE_\\n\\u001b\[31mA+… is not a setting\.$/)
    expect(said.length).toBeLessThan(100)
  })
})

describe('whatever the environment holds', () => {
  const value = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.webUrl({ withQueryParameters: true, withFragments: true }),
    fc.ipV6().map((address) => `[${address}]:1`),
    fc.integer().map(String),
    fc.constantFrom('https://', 'http://[', 'https://%', 'http://127.0.0.1:99999', 'file:', '__proto__', 'allow'),
  )
  const name = fc.oneof(
    fc.constantFrom(...NAMES),
    fc.string().map((text) => `KEYHOLE_${text}`),
    fc.string(),
  )
  const environment = fc.dictionary(name, value, { maxKeys: 8 })

  test('it is a configuration or a ConfigError of single lines', () => {
    fc.assert(
      fc.property(environment, (difference) => {
        for (const line of complaints(difference)) expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
      }),
      { seed: 7, numRuns: 300 },
    )
  })

  test('where it starts, every upstream is an origin', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('VAULT_ADDR', 'KEYHOLE_KUBERNETES_URL'),
        fc.webUrl({ size: 'small' }),
        (name, url) => {
          if (complaints({ [name]: url }).length > 0) return
          const { VAULT_ADDR: vault, kubernetesUrl } = parseConfig({ ...LEAST, [name]: url })
          for (const origin of [vault, kubernetesUrl]) expect(new URL(origin).origin).toBe(origin)
        },
      ),
      { seed: 7, numRuns: 200 },
    )
  })
})

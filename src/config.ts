/**
 * The environment, read once and only here. All complaints come together, and none quotes a value: somebody may have
 * pasted a token there.
 *
 * No setting ends in `_PORT` or begins with `KEYHOLE_SERVICE`: a Service named `keyhole` puts such variables into every
 * pod of its namespace, and they must neither mean anything here nor prevent the start.
 */
import { isIP } from 'node:net'
import * as z from 'zod'
import { namespacedName, SUBDOMAIN, VAULT_NAME, VAULT_NAME_RULE, VAULT_PATH, VAULT_PATH_RULE } from './label.ts'
import { didYouMean, quoted } from './words.ts'

const ms = (initial: number, min: number, max: number) => whole(initial, min, max)

const oneOf = <const T extends readonly string[]>(words: T) => z.enum(words, { error: `must be ${words.join(' or ')}` })

function whole(initial: number, min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,12}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`))
    .default(initial)
}

const address = z
  .string()
  .transform((text) => /^(?:\[([0-9a-fA-F:]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text))
  .refine(
    (match) => match !== null && isIP(match[1] ?? match[2] ?? '') !== 0 && Number(match[3]) <= 65_535,
    'must be ADDRESS:PORT, e.g. 0.0.0.0:8443 or [::]:8443',
  )
  .transform((match): Listen => ({ host: match?.[1] ?? match?.[2] ?? '', port: Number(match?.[3]) }))

const origin = z
  .url({ protocol: /^https?$/, error: 'must be https://HOST[:PORT], or http:// on loopback' })
  .transform((text) => new URL(text))
  .refine((url) => url.pathname === '/' && url.search === '' && url.hash === '', 'must have no path')
  .refine((url) => url.username === '' && url.password === '', 'must hold no credentials')
  .refine((url) => url.protocol === 'https:' || isLoopback(url.hostname), 'must be https:// unless it is on loopback')
  .transform((url) => url.origin)

const file = z.string().startsWith('/', 'must be an absolute path')
// The same rules as in policy documents and in external/: a role that every login would refuse must fail at start.
const vaultName = z.string().regex(VAULT_NAME, VAULT_NAME_RULE)
const vaultPath = z.string().regex(VAULT_PATH, VAULT_PATH_RULE)

const SERVICE_ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount'

/** Every variable: how it is read, its default, and what it is for. docs/reference/configuration.md is generated from this. */
export const SETTINGS = {
  KEYHOLE_REALM: z
    .string({ error: 'is required: the name of this cluster, part of every Transit context' })
    .regex(SUBDOMAIN, 'must be a DNS name: it is part of every Transit context')
    .describe(
      "The cluster's name. Part of every Transit context: ciphertext made for one realm does not open in another.",
    ),
  KEYHOLE_SERVE: z
    .string()
    .regex(/^(?:read|rotate|read,rotate|rotate,read)$/, 'must be "read", "rotate" or "read,rotate"')
    .default('read')
    .describe('What this process serves: `read`, `rotate`, or `read,rotate`. Each needs its own rights.'),
  KEYHOLE_AUDIENCE: z
    .string()
    .regex(/^[\x21-\x7e]{1,253}$/, 'must be printable ASCII without blanks')
    .default('keyhole')
    .describe("The audience that callers' tokens must name, and the only one."),
  KEYHOLE_LISTEN: address.prefault('0.0.0.0:8443').describe('Where the service listens.'),
  KEYHOLE_MANAGEMENT_LISTEN: address
    .prefault('0.0.0.0:8081')
    .describe('Where probes and metrics are served, over plain HTTP.'),
  KEYHOLE_TLS_CERT_FILE: file.optional().describe('PEM certificate chain of the service; re-read as it is renewed.'),
  KEYHOLE_TLS_KEY_FILE: file.optional().describe('PEM private key of the certificate.'),
  KEYHOLE_TLS_MIN_VERSION: oneOf(['TLSv1.2', 'TLSv1.3']).default('TLSv1.2').describe('Oldest TLS version to accept.'),
  KEYHOLE_PLAIN_HTTP: z
    .literal('allow', { error: 'must be "allow" or absent' })
    .optional()
    .describe(
      '`allow` serves without TLS on other than loopback addresses. Tokens and secrets then cross the network in the clear.',
    ),
  KEYHOLE_POLICY_DIR: file
    .default('/etc/keyhole/policy')
    .describe('Directory of TransitKey and SecretGrant documents.'),
  KEYHOLE_AUDIT: z
    .string()
    .regex(/^(?:stdout|file:\/.+)$/, 'must be "stdout" or "file:/absolute/path"')
    .default('stdout')
    .describe('Where audit records go: `stdout`, or `file:/absolute/path`.'),
  KEYHOLE_LOG_LEVEL: oneOf(['debug', 'info', 'warn', 'error'])
    .default('info')
    .describe("Least level of keyhole's own log, on stderr."),
  KUBERNETES_SERVICE_HOST: z.string().optional().describe('Set by the kubelet: host of the API server.'),
  KUBERNETES_SERVICE_PORT: z.string().optional().describe('Set by the kubelet: port of the API server.'),
  KEYHOLE_KUBERNETES_URL: origin.optional().describe('Origin of the API server, in place of what the kubelet set.'),
  KEYHOLE_KUBERNETES_TOKEN_FILE: file
    .default(`${SERVICE_ACCOUNT_DIR}/token`)
    .describe("keyhole's own token for the API server; re-read as the kubelet renews it."),
  KEYHOLE_KUBERNETES_CACERT: file
    .default(`${SERVICE_ACCOUNT_DIR}/ca.crt`)
    .describe("PEM of the API server's CA; re-read as it is renewed."),
  VAULT_ADDR: z
    .string({ error: 'is required: the origin of Vault, e.g. https://vault.vault:8200' })
    .pipe(origin)
    .describe('Origin of Vault.'),
  VAULT_CACERT: file.optional().describe("PEM of Vault's CA; without it the system's CAs are trusted."),
  VAULT_NAMESPACE: vaultPath.optional().describe('Vault namespace (Enterprise, OpenBao).'),
  KEYHOLE_VAULT_TOKEN_FILE: file
    .default('/var/run/secrets/keyhole/vault/token')
    .describe(
      "keyhole's own projected token of the audience that the Vault role asks for; re-read as the kubelet renews it.",
    ),
  KEYHOLE_VAULT_AUTH_MOUNT: vaultPath.default('kubernetes').describe("Mount of Vault's Kubernetes auth method."),
  KEYHOLE_VAULT_ROLE: vaultName.default('keyhole').describe('Vault role to read with, for TransitKeys that name none.'),
  KEYHOLE_VAULT_ROTATE_ROLE: vaultName
    .default('keyhole-rotate')
    .describe('Vault role to rotate with, for TransitKeys that name none.'),
  KEYHOLE_ROTATION_LEASE: z
    .string()
    .refine((text) => namespacedName(text) !== undefined, 'must be NAMESPACE/NAME, e.g. keyhole/keyhole-rotation')
    .default('keyhole/keyhole-rotation')
    .describe('The Lease that whoever rotates must hold, and that remembers what is unfinished.'),
  KEYHOLE_LEASE_MS: ms(30_000, 15_000, 120_000).describe(
    'How long the Lease holds without being renewed; the same in every process, and longer than a Vault token lives.',
  ),
  KEYHOLE_ROTATION_BUDGET_MS: ms(900_000, 10_000, 14_400_000).describe(
    'Longest rotation; the next one goes on with it.',
  ),
  KEYHOLE_ROTATION_PARALLEL: whole(1, 1, 256).describe(
    'Calls to the API server at once, of a rotation, of dry runs and of a survey each. More are faster; with one, readers hardly notice.',
  ),
  KEYHOLE_SURVEY_MS: ms(3_600_000, 10_000, 86_400_000).describe(
    'How often all Secrets are looked at, for metrics about versions in use; only where rotations are served.',
  ),
  KEYHOLE_METRICS_KEY_NAMES: oneOf(['show', 'hide'])
    .default('hide')
    .describe('Whether metrics about Transit keys carry their names.'),
  KEYHOLE_DEADLINE_MS: ms(5_000, 100, 60_000).describe('Deadline of one request, all upstream calls included.'),
  KEYHOLE_UPSTREAM_TIMEOUT_MS: ms(2_000, 50, 30_000).describe('Longest single upstream call.'),
  KEYHOLE_UPSTREAM_CONNECTIONS: whole(64, 1, 1_024).describe('Connections per upstream.'),
  KEYHOLE_UPSTREAM_MAX_BYTES: whole(4_194_304, 65_536, 67_108_864).describe('Longest upstream answer.'),
  KEYHOLE_MAX_HEADER_BYTES: whole(16_384, 4_096, 65_536).describe('All headers of a request.'),
  KEYHOLE_MAX_URL_BYTES: whole(2_048, 256, 8_192).describe('Path and query of a request.'),
  KEYHOLE_MAX_TOKEN_BYTES: whole(8_192, 1_024, 16_384).describe("A caller's token."),
  KEYHOLE_MAX_TOKEN_LIFETIME_MS: ms(86_400_000, 600_000, 31_622_400_000).describe(
    "Longest life of a caller's token, from issue to expiry.",
  ),
  KEYHOLE_REVIEW_KEEP_MS: ms(10_000, 0, 10_000).describe('How long a positive token review is kept; 0 turns it off.'),
  KEYHOLE_REVIEWS_IN_FLIGHT: whole(32, 1, 1_024).describe(
    'Token reviews in flight; one peer address has at most a quarter.',
  ),
  KEYHOLE_REQUESTS_IN_FLIGHT: whole(256, 1, 10_000).describe('Requests in flight; one peer address has at most half.'),
  KEYHOLE_REQUESTS_WAITING: whole(256, 1, 10_000).describe('Requests that wait for their turn, before 503.'),
  KEYHOLE_MAX_CONNECTIONS: whole(2_048, 16, 65_536).describe(
    'Open connections to the service; one peer address has at most half.',
  ),
  KEYHOLE_MAX_DICTIONARY_BYTES: whole(786_432, 1_024, 1_048_576).describe('A decrypted dictionary.'),
  KEYHOLE_MAX_DICTIONARY_DEPTH: whole(64, 1, 512).describe('Nesting of a decrypted dictionary.'),
  KEYHOLE_VAULT_TOKEN_MAX_MS: ms(10_000, 3_000, 60_000).describe("Longest use of one of keyhole's own Vault tokens."),
  KEYHOLE_AUDIT_TIMEOUT_MS: ms(1_000, 50, 10_000).describe('Longest write of an audit record.'),
  KEYHOLE_AUDIT_QUEUE: whole(1_024, 16, 65_536).describe('Audit records that may wait to be written.'),
  KEYHOLE_REFUSALS_PER_SECOND: whole(10, 1, 1_000).describe(
    'Refusals of one caller with a record of their own; what is beyond is answered 429 and counted.',
  ),
  KEYHOLE_REFUSALS_BURST: whole(20, 1, 10_000).describe('Refusals of one caller at once, before that rate counts.'),
  KEYHOLE_REPLY_TIMEOUT_MS: ms(15_000, 1_000, 120_000).describe(
    'A reply that its reader has not taken by then is cut off.',
  ),
  KEYHOLE_POLICY_RECHECK_MS: ms(10_000, 100, 60_000).describe('How often the policy directory is hashed again.'),
  KEYHOLE_RENEWAL_CHECK_MS: ms(10_000, 100, 60_000).describe('How often the serving certificate is looked at again.'),
  KEYHOLE_DRAIN_MS: ms(25_000, 0, 300_000).describe(
    'After SIGTERM, time for what is in flight; a fifth of it for one more request on each kept-alive connection.',
  ),
} as const satisfies Record<string, z.ZodType>

export interface Listen {
  readonly host: string
  readonly port: number
}

export interface Config extends Readonly<z.infer<typeof Settings>> {
  readonly serves: { readonly read: boolean; readonly rotate: boolean }
  readonly kubernetesUrl: string
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined
}

const Settings = z.object(SETTINGS)

export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly complaints: readonly string[]

  constructor(complaints: readonly string[]) {
    super(`keyhole cannot start with this environment:\n${complaints.map((line) => `  ${line}`).join('\n')}`)
    this.complaints = complaints
  }
}

/** @throws ConfigError with everything that is wrong. */
export function parseConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  )
  const parsed = Settings.safeParse(given)
  const complaints = [
    ...unknownNames(Object.keys(given)),
    ...(parsed.error?.issues ?? []).map((issue) => `${String(issue.path[0])} ${issue.message}`),
  ]
  const kubernetesUrl = kubernetesUrlOf(given, complaints)
  const tls = tlsOf(given, complaints)
  if (parsed.data === undefined || kubernetesUrl === undefined || complaints.length > 0) {
    throw new ConfigError(complaints.sort())
  }
  const roles = parsed.data.KEYHOLE_SERVE.split(',')
  return {
    ...parsed.data,
    serves: { read: roles.includes('read'), rotate: roles.includes('rotate') },
    kubernetesUrl,
    tls,
  }
}

/** What the kubelet injects for a Service whose name begins with `keyhole`. */
const INJECTED =
  /^KEYHOLE(?:_[A-Z0-9_]+)?_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/

function unknownNames(names: readonly string[]): string[] {
  const known = Object.keys(SETTINGS)
  return names
    .filter((name) => name.startsWith('KEYHOLE_') && !known.includes(name) && !INJECTED.test(name))
    .map((name) => `${printable(name)} is not a setting.${didYouMean(name, known)}`)
}

/** A name may hold anything but `=`. Whatever was pasted as one is cut short and stays on one line. */
function printable(name: string): string {
  return quoted(name).slice(1, -1)
}

type Given = Readonly<Record<string, string | undefined>>

function kubernetesUrlOf(given: Given, complaints: string[]): string | undefined {
  const url = given['KEYHOLE_KUBERNETES_URL']
  // If it is malformed, there is a complaint about it already.
  if (url !== undefined) return URL.parse(url)?.origin
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = given
  if (host === undefined || port === undefined) {
    complaints.push('KEYHOLE_KUBERNETES_URL is required outside a pod, where no KUBERNETES_SERVICE_HOST is set')
    return undefined
  }
  const made = `https://${host.includes(':') ? `[${host}]` : host}:${port}`
  if (/^[0-9a-zA-Z.:-]+$/.test(host) && /^\d+$/.test(port) && URL.canParse(made)) return made
  complaints.push('KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be a host and a port')
  return undefined
}

function tlsOf(given: Given, complaints: string[]): Config['tls'] {
  const { KEYHOLE_TLS_CERT_FILE: certFile, KEYHOLE_TLS_KEY_FILE: keyFile, KEYHOLE_PLAIN_HTTP: plain } = given
  if (certFile !== undefined && keyFile !== undefined) return { certFile, keyFile }
  if (certFile !== undefined || keyFile !== undefined) {
    complaints.push('KEYHOLE_TLS_CERT_FILE and KEYHOLE_TLS_KEY_FILE go together')
    return undefined
  }
  const { data: listen } = SETTINGS.KEYHOLE_LISTEN.safeParse(given['KEYHOLE_LISTEN'])
  if (plain !== 'allow' && listen !== undefined && !isLoopback(listen.host)) {
    complaints.push(
      'KEYHOLE_TLS_CERT_FILE and KEYHOLE_TLS_KEY_FILE are required where KEYHOLE_LISTEN is not a loopback address ' +
        '(KEYHOLE_PLAIN_HTTP=allow serves in the clear)',
    )
  }
  return undefined
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host)
}

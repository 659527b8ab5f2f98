/**
 * From a request to its handler, in the real server's order, which decides what a caller learns: body, seal, path, token,
 * policy, and only then whether the mount, the path in it and the operation exist.
 */
import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import type { Clock } from '../../clock.ts'
import type { Random, StandinReply, StandinRequest } from '../server.ts'
import type { PolicyRule, VaultRole } from '../vault.ts'
import { errors, json, wrapped } from './answers.ts'
import type { Keyring } from './keyring.ts'
import { login } from './login.ts'
import type { Capability } from './policies.ts'
import { allows } from './policies.ts'
import type { ReviewToken } from './review.ts'
import type { Tokens } from './tokens.ts'
import { decrypt, encrypt, newKeyring } from './transit.ts'

export interface VaultState {
  readonly clock: Clock
  readonly random: Random
  sealed: boolean
  readonly policies: Map<string, readonly PolicyRule[]>
  readonly tokens: Tokens
  /** Auth mount, then lower-case role name. */
  readonly roles: Map<string, Map<string, VaultRole>>
  /** Secrets mount, then key name. */
  readonly transit: Map<string, Map<string, Keyring>>
  readonly review: ReviewToken
}

const MAX_BODY_BYTES = 32 * 1024 * 1024
const MAX_STRING_CHARACTERS = 1024 * 1024
const MAX_ARRAY_ELEMENTS = 10_000

export async function handle(request: StandinRequest, state: VaultState): Promise<StandinReply> {
  const route = routeOf(request.path)
  if (typeof route !== 'string') return route
  const body = parse(request.body)
  if ('refused' in body) return body.refused
  const status = systemStatus(route, request.method, state)
  if (status !== undefined) return status
  if (state.sealed) return errors(503, 'Vault is sealed')
  if ('unusable' in body) return errors(400, `error parsing JSON: failed to parse JSON input: ${body.unusable}`)
  const operation = operationOf(request)
  if (typeof operation !== 'string') return operation
  if (operation === 'update' && route.endsWith('/')) return errors(400, "cannot write to a path ending in '/'")

  const loginMount = /^auth\/(.+)\/login$/.exec(route)?.[1]
  const roles = loginMount === undefined ? undefined : state.roles.get(loginMount)
  if (roles !== undefined) {
    if (operation !== 'update') return errors(405, 'unsupported operation')
    return login(body.fields, { ...state, roles, entityOf }, request.signal)
  }
  return authorized(request, route, operation, body.fields, state)
}

/** The path below /v1/, decoded. A path that is not clean, or not below /v1/, is answered by a redirect. */
function routeOf(path: string): string | StandinReply {
  const clean = posix.normalize(path).replace(/(.)\/$/, '$1')
  if (path !== clean && path !== `${clean}/`) return { status: 307, headers: { location: clean } }
  if (!path.startsWith('/v1/')) {
    const headers = { location: '/ui/', 'content-type': 'text/html; charset=utf-8' }
    return { status: 307, headers, body: '<a href="/ui/">Temporary Redirect</a>.\n\n' }
  }
  try {
    return decodeURIComponent(path.slice('/v1/'.length))
  } catch {
    return { status: 400, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: '400 Bad Request' }
  }
}

type Fields = Readonly<Record<string, unknown>>

/**
 * `refused` is said at once, by Vault's guard against JSON bombs, which reads only what looks like an object or array;
 * `unusable` only after the seal was looked at.
 */
function parse(
  bytes: Buffer,
): { readonly fields: Fields } | { readonly refused: StandinReply } | { readonly unusable: string } {
  if (bytes.length > MAX_BODY_BYTES) return { refused: errors(413, 'http: request body too large') }
  const text = bytes.toString().trim()
  if (text === '' || text === 'null') return { fields: {} }
  const guarded = text.startsWith('{') || text.startsWith('[')
  try {
    const value: unknown = JSON.parse(text, (_key, member: unknown) => bounded(member))
    const type = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value
    if (type === 'object') return { fields: value as Fields }
    return { unusable: `json: cannot unmarshal ${type} into Go value of type map[string]interface {}` }
  } catch (thrown) {
    if (!guarded) return { unusable: `invalid character '${text.charAt(0)}' looking for beginning of value` }
    const flaw =
      thrown instanceof RangeError
        ? thrown.message
        : `malformed JSON, unclosed ${inString(text) ? 'string' : 'containers'}`
    return { refused: errors(500, flaw) }
  }
}

function bounded(member: unknown): unknown {
  if (typeof member === 'string' && member.length > MAX_STRING_CHARACTERS) {
    throw new RangeError('JSON string value exceeds allowed length')
  }
  if (Array.isArray(member) && member.length > MAX_ARRAY_ELEMENTS) {
    throw new RangeError('JSON array exceeds allowed element count')
  }
  return member
}

function inString(text: string): boolean {
  return text.replaceAll(/\\./g, '').split('"').length % 2 === 0
}

/** The three that answer without a token, and sealed. */
function systemStatus(path: string, method: string, state: VaultState): StandinReply | undefined {
  const { sealed, clock } = state
  const cluster = sealed
    ? {}
    : { cluster_name: 'vault-cluster-standin', cluster_id: '00000000-0000-4000-8000-000000000000' }
  if (path === 'sys/health') {
    if (method !== 'GET' && method !== 'HEAD') return errors(405)
    return json(sealed ? 503 : 200, {
      initialized: true,
      sealed,
      standby: sealed,
      performance_standby: false,
      replication_performance_mode: sealed ? 'unknown' : 'disabled',
      replication_dr_mode: sealed ? 'unknown' : 'disabled',
      server_time_utc: Math.floor(clock.now() / 1000),
      version: '1.21.0',
      enterprise: false,
      ...cluster,
      echo_duration_ms: 0,
      clock_skew_ms: 0,
      replication_primary_canary_age_ms: 0,
    })
  }
  if (path !== 'sys/seal-status') return undefined
  return json(200, {
    type: 'shamir',
    initialized: true,
    sealed,
    t: 1,
    n: 1,
    progress: 0,
    nonce: '',
    version: '1.21.0',
    migration: false,
    ...cluster,
    recovery_seal: false,
    storage_type: 'inmem',
  })
}

type Operation = Exclude<Capability, 'sudo' | 'deny' | 'create'>

function operationOf({ method, query, headers }: StandinRequest): Operation | StandinReply {
  if (method === 'GET') return query.get('list') === 'true' ? 'list' : 'read'
  if (method === 'HEAD') return 'read'
  if (method === 'POST' || method === 'PUT') return 'update'
  if (method === 'DELETE') return 'delete'
  if (method === 'LIST') return 'list'
  if (method !== 'PATCH') return errors(405)
  const provided = String(headers['content-type'] ?? '')
  return errors(415, `PATCH requires Content-Type of application/merge-patch+json, provided ${provided}`)
}

/** The same answer for every login of one ServiceAccount, as an entity is. */
function entityOf(uid: string): string {
  const hex = createHash('sha256').update(uid).digest('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-')
}

function authorized(
  request: StandinRequest,
  path: string,
  operation: Operation,
  fields: Readonly<Record<string, unknown>>,
  state: VaultState,
): StandinReply {
  const token = tokenOf(request)
  if (token === undefined) return errors(403, 'permission denied')
  const corrupt = token.startsWith('hvb.') ? corruptAt(token.slice('hvb.'.length)) : undefined
  if (corrupt !== undefined) {
    return errors(500, `error performing token check: illegal base64 data at input byte ${corrupt}`)
  }
  const policies = state.tokens.policiesOf(token)
  if (policies === undefined) return wrapped(403, 'permission denied', 'invalid token')
  const mount = [...state.transit.keys()].find((name) => path.startsWith(`${name}/`))
  const [verb, name, ...rest] = mount === undefined ? [] : path.slice(mount.length + 1).split('/')
  const keys = state.transit.get(mount ?? '')
  // Encrypting under a key that is not there makes it, which asks for another capability.
  const creates = verb === 'encrypt' && operation === 'update' && name !== undefined && !keys?.has(name)
  const rules = policies.flatMap((policy) => state.policies.get(policy) ?? [])
  const permitted = policies.includes('root') || allows(rules, path, creates ? 'create' : operation)
  if (!permitted) return wrapped(403, 'permission denied')

  if (keys === undefined) {
    if (/^(sys|auth|identity|cubbyhole)(\/|$)/.test(path)) return notServed()
    return errors(404, `no handler for route "${path}". route entry not found.`)
  }
  const wellFormed = /^\w(?:[\w.-]*\w)?$/.test(name ?? '') && rest.length === 0
  if (name === undefined || !wellFormed || (verb !== 'decrypt' && verb !== 'encrypt')) {
    return REAL_TRANSIT_PATHS.has(verb ?? '') ? notServed() : wrapped(404, 'unsupported path')
  }
  if (operation === 'list') return wrapped(404, 'unsupported path')
  if (operation !== 'update') return wrapped(405, 'unsupported operation')
  if (verb === 'decrypt') return decrypt(fields, keys.get(name))
  return encrypt(fields, (derived) => {
    const key = keys.get(name) ?? newKeyring(derived, state.random)
    keys.set(name, key)
    return key
  })
}

/** A batch token is opened, not looked up: one that is not base64url is an internal error, not an unknown token. */
function corruptAt(content: string): number | undefined {
  const alien = content.search(/[^\w-]/)
  if (alien >= 0) return alien
  return content.length % 4 === 1 ? content.length - 1 : undefined
}

function tokenOf({ headers }: StandinRequest): string | undefined {
  const own = headers['x-vault-token']
  if (typeof own === 'string' && own !== '') return own
  return /^bearer +(\S+)/i.exec(String(headers['authorization'] ?? ''))?.[1]
}

const REAL_TRANSIT_PATHS = new Set(
  'keys rewrap datakey random hash hmac sign verify export backup restore trim cache-config wrapping_key config'.split(
    ' ',
  ),
)

/** The stand-in's own word, where the real server would do something: a loud gap beats a false answer. */
function notServed(): StandinReply {
  return errors(501, 'the stand-in does not serve this path of the real Vault')
}

/**
 * From a request to its handler, in the real server's order, which decides what a caller learns: body, seal, path, token,
 * policy, and only then whether the mount, the path in it and the operation exist.
 */
import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import type { Clock } from '../../clock.ts'
import type { Random, StandinReply, StandinRequest } from '../server.ts'
import type { PolicyRule, VaultRole } from '../vault.ts'
import { errors, wrapped } from './answers.ts'
import type { Fields } from './body.ts'
import { parseBody } from './body.ts'
import type { Keyring } from './keyring.ts'
import { login } from './login.ts'
import { allows } from './policies.ts'
import type { ReviewToken } from './review.ts'
import { systemStatus } from './system.ts'
import type { Tokens } from './tokens.ts'
import type { Operation } from './transit-route.ts'
import { notServed, targetOf, transit } from './transit-route.ts'

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
  /** The largest body that is read. */
  readonly maxRequestBytes: number
}

export async function handle(request: StandinRequest, state: VaultState): Promise<StandinReply> {
  const route = routeOf(request.path)
  if (typeof route !== 'string') return route
  const body = parseBody(request.body, state.maxRequestBytes)
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

function operationOf({ method, query, headers }: StandinRequest): Operation | StandinReply {
  if (method === 'GET') return query.get('list') === 'true' ? 'list' : 'read'
  if (method === 'HEAD') return 'header'
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
  fields: Fields,
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
  const target = targetOf(path, state.transit)
  // Encrypting under a key that is not there makes it, which asks for another capability.
  const creates = operation === 'update' && target?.verb === 'encrypt' && !target.keys.has(target.name)
  const rules = policies.flatMap((policy) => state.policies.get(policy) ?? [])
  const data = operation === 'update' ? fields : Object.fromEntries(request.query)
  const permits = (at: string) => allows(rules, at, creates ? 'create' : operation, data)
  // A list is of what lies below a slash, which the rule may have or not.
  const permitted = policies.includes('root') || permits(path) || (operation === 'list' && permits(`${path}/`))
  if (!permitted) return wrapped(403, 'permission denied')
  if (target !== undefined) return transit(target, operation, fields, state)
  if (/^(sys|auth|identity|cubbyhole)(\/|$)/.test(path)) return notServed()
  return errors(404, `no handler for route "${path}". route entry not found.`)
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

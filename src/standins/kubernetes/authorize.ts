/** What a request asks for, and whether its user may: RBAC without roles, rules given to subjects directly. */
import type { Right } from '../kubernetes.ts'
import type { StandinReply, StandinRequest } from '../server.ts'
import { refusal } from './answers.ts'
import type { User } from './authenticate.ts'

/** A request as the API server's authorizer sees it. */
export type Asked =
  | {
      readonly resource: string
      readonly subresource: string | undefined
      readonly group: string
      readonly version: string
      readonly namespace: string | undefined
      readonly name: string | undefined
      readonly verb: string
    }
  | { readonly path: string; readonly verb: string }

/** @param path decoded. */
export function asked(request: StandinRequest, path: string): Asked {
  const [root, ...rest] = path.replace(/^\/|\/$/g, '').split('/')
  const group = root === 'apis' ? rest.shift() : root === 'api' ? '' : undefined
  const version = rest.shift()
  const namespace = rest[0] === 'namespaces' && rest.length > 2 ? rest.splice(0, 2)[1] : undefined
  const [resource, name, ...sub] = rest
  if (group === undefined || version === undefined || resource === undefined) {
    return { path, verb: request.method.toLowerCase() }
  }
  const subresource = sub.length === 0 ? undefined : sub.join('/')
  return { group, version, namespace, resource, name, subresource, verb: verbOf(request.method, name) }
}

function verbOf(method: string, name: string | undefined): string {
  if (method === 'GET' || method === 'HEAD') return name === undefined ? 'list' : 'get'
  if (method === 'POST') return 'create'
  if (method === 'PUT') return 'update'
  if (method === 'DELETE') return name === undefined ? 'deletecollection' : 'delete'
  return method.toLowerCase()
}

/** Open to everyone, signed in or not. */
const PUBLIC_PATHS = new Set(['/healthz', '/livez', '/readyz', '/version', '/version/'])

/** The answer that refuses, or undefined: go on. */
export function forbidden(what: Asked, user: User, rights: readonly Right[]): StandinReply | undefined {
  if (user.groups.includes('system:masters')) return undefined
  if ('path' in what) {
    if (what.verb === 'get' && PUBLIC_PATHS.has(what.path)) return undefined
    return denied(`forbidden: User "${user.username}" cannot ${what.verb} path "${what.path}"`, {})
  }
  const resource = what.subresource === undefined ? what.resource : `${what.resource}/${what.subresource}`
  if (rights.some((right) => permits(right, what, resource))) return undefined
  const kind = what.group === '' ? what.resource : `${what.resource}.${what.group}`
  const subject = what.name === undefined ? kind : `${kind} "${what.name}"`
  const scope = what.namespace === undefined ? 'at the cluster scope' : `in the namespace "${what.namespace}"`
  const details = {
    ...(what.name === undefined ? {} : { name: what.name }),
    ...(what.group === '' ? {} : { group: what.group }),
    kind: what.resource,
  }
  const sentence = `User "${user.username}" cannot ${what.verb} resource "${resource}" in API group "${what.group}" ${scope}`
  return denied(`${subject} is forbidden: ${sentence}`, details)
}

function permits(right: Right, what: Exclude<Asked, { path: string }>, resource: string): boolean {
  if (right.namespace !== undefined && right.namespace !== what.namespace) return false
  if (!right.verbs.includes('*') && !right.verbs.includes(what.verb)) return false
  if (right.group !== what.group || right.resource !== resource) return false
  return right.names === undefined || (what.name !== undefined && right.names.includes(what.name))
}

function denied(message: string, details: object): StandinReply {
  const reply = refusal(403, 'Forbidden', message, details)
  return { ...reply, headers: { ...reply.headers, 'x-content-type-options': 'nosniff' } }
}

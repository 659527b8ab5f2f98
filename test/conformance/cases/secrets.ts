/** GET of one Secret, and what the API server says to those who may not. */
import type { Case, Expected } from '../case.ts'
import type { Right } from '../environment.ts'
import { bearer, METHOD_NOT_ALLOWED, status, UNAUTHORIZED, UNKNOWN_RESOURCE } from './kubernetes-words.ts'

interface Asked {
  readonly path?: (namespace: string) => string
  readonly method?: string
  /** Who asks; default: the administrator. `reader` is ServiceAccount `<unique>/reader` with `rights`. */
  readonly as?: 'reader' | 'anonymous' | 'unknown'
  readonly rights?: (namespace: string) => Right
  readonly deleted?: boolean
}

/** A namespace with the Secret `db` in it, asked for. */
function asked(title: string, expected: Expected, how: Asked = {}): Case {
  return {
    title,
    server: 'kubernetes',
    expected,
    async arrange({ operator: { kubernetes } }, unique) {
      const place = { namespace: unique, name: 'db' }
      const { uid, resourceVersion } = await kubernetes.putSecret({
        ...place,
        data: { 'secrets.json': 'vault:v1:AAAA' },
      })
      if (how.deleted === true) await kubernetes.deleteSecret(place)
      let headers: Record<string, string> = how.as === 'anonymous' ? {} : bearer(kubernetes.adminToken)
      if (how.as === 'unknown') headers = bearer('unknown')
      if (how.as === 'reader') {
        const reader = { namespace: unique, name: 'reader' }
        await kubernetes.createServiceAccount(reader)
        if (how.rights !== undefined) await kubernetes.allow(reader, how.rights(unique))
        headers = bearer(await kubernetes.issueToken({ namespace: unique, serviceAccount: 'reader' }))
      }
      const path = how.path?.(unique) ?? `/api/v1/namespaces/${unique}/secrets/db`
      return { method: how.method ?? 'GET', path, headers, fill: { namespace: unique, uid, resourceVersion } }
    },
  }
}

const FOUND: Expected = {
  status: 200,
  headers: { 'content-type': 'application/json', 'cache-control': 'no-cache, private' },
  json: {
    kind: 'Secret',
    apiVersion: 'v1',
    metadata: {
      name: 'db',
      namespace: '{namespace}',
      uid: '{uid}',
      resourceVersion: '{resourceVersion}',
      creationTimestamp: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
    },
    data: { 'secrets.json': 'dmF1bHQ6djE6QUFBQQ==' },
    type: 'Opaque',
  },
}

function missing(name: string): Expected {
  return status(404, 'NotFound', `secrets "${name}" not found`, { name, kind: 'secrets' })
}

function forbidden(name: string, user: string, namespace = '{namespace}'): Expected {
  return status(
    403,
    'Forbidden',
    `secrets "${name}" is forbidden: User "${user}" cannot get resource "secrets" in API group "" in the namespace "${namespace}"`,
    { name, kind: 'secrets' },
  )
}

const READER = 'system:serviceaccount:{namespace}:reader'
const named = (namespace: string): Right => ({
  verbs: ['get'],
  group: '',
  resource: 'secrets',
  namespace,
  names: ['db'],
})

export const secretCases: readonly Case[] = [
  asked('a Secret is answered with its uid, resourceVersion and data in base64', FOUND),
  asked('a right by name opens that Secret', FOUND, { as: 'reader', rights: named }),
  asked('a right in the namespace opens each of its Secrets', FOUND, {
    as: 'reader',
    rights: (namespace) => ({ verbs: ['get'], group: '', resource: 'secrets', namespace }),
  }),
  asked('a right by name opens no other Secret', forbidden('other', READER), {
    as: 'reader',
    rights: named,
    path: (namespace) => `/api/v1/namespaces/${namespace}/secrets/other`,
  }),
  asked('a right in one namespace opens nothing in another', forbidden('db', READER, 'default'), {
    as: 'reader',
    rights: named,
    path: () => '/api/v1/namespaces/default/secrets/db',
  }),
  asked('a right to list is no right to get', forbidden('db', READER), {
    as: 'reader',
    rights: (namespace) => ({ verbs: ['list'], group: '', resource: 'secrets', namespace }),
  }),
  asked('without a right a Secret is forbidden', forbidden('db', READER), { as: 'reader' }),
  asked('without a right a missing Secret is forbidden just the same', forbidden('none', READER), {
    as: 'reader',
    path: (namespace) => `/api/v1/namespaces/${namespace}/secrets/none`,
  }),
  asked('without a token one is the anonymous user, and forbidden', forbidden('db', 'system:anonymous'), {
    as: 'anonymous',
  }),
  asked('with an unknown token one is unauthorized', UNAUTHORIZED, { as: 'unknown' }),
  asked('a missing Secret is not found', missing('none'), {
    path: (namespace) => `/api/v1/namespaces/${namespace}/secrets/none`,
  }),
  asked('a Secret in a missing namespace is not found', missing('db'), {
    path: (namespace) => `/api/v1/namespaces/${namespace}-none/secrets/db`,
  }),
  asked('a Secret that was deleted is not found', missing('db'), { deleted: true }),
  asked('a right by name says that a missing Secret is missing', missing('db'), {
    as: 'reader',
    rights: named,
    deleted: true,
  }),
  asked(
    'a name of two dots is a bad request',
    status(400, 'BadRequest', `Name parameter invalid: "..": may not be '..'`),
    {
      path: (namespace) => `/api/v1/namespaces/${namespace}/secrets/%2e%2e`,
    },
  ),
  asked('an encoded slash in a name is a slash', UNKNOWN_RESOURCE, {
    path: (namespace) => `/api/v1/namespaces/${namespace}/secrets/d%2fb`,
  }),
  asked('a name that no Secret can have is not found', missing('UPPER_CASE'), {
    path: (namespace) => `/api/v1/namespaces/${namespace}/secrets/UPPER_CASE`,
  }),
  asked('HEAD is not allowed', { status: 405 }, { method: 'HEAD' }),
  asked('POST to a name is not allowed', METHOD_NOT_ALLOWED, { method: 'POST' }),
  asked(
    'a right by name is no right to list',
    status(
      403,
      'Forbidden',
      `secrets is forbidden: User "${READER}" cannot list resource "secrets" in API group "" in the namespace "{namespace}"`,
      { kind: 'secrets' },
    ),
    { as: 'reader', rights: named, path: (namespace) => `/api/v1/namespaces/${namespace}/secrets` },
  ),
]

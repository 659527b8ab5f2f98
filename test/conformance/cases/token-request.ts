/** TokenRequest: how a pod comes by its tokens. */
import type { Case, Expected } from '../case.ts'
import type { Environment } from '../environment.ts'
import { bearer, JSON_TYPE, METHOD_NOT_ALLOWED, status } from './kubernetes-words.ts'

/** Orders a token for ServiceAccount `<unique>/api` as the administrator. */
function ordered(
  title: string,
  expected: Expected,
  spec: (world: Environment, namespace: string) => object | Promise<object>,
  options: { serviceAccount?: string; method?: string } = {},
): Case {
  return {
    title,
    server: 'kubernetes',
    expected,
    async arrange(world, unique) {
      const { kubernetes } = world.operator
      const { uid } = await kubernetes.createServiceAccount({ namespace: unique, name: 'api' })
      const body = JSON.stringify({ spec: await spec(world, unique) })
      return {
        method: options.method ?? 'POST',
        path: `/api/v1/namespaces/${unique}/serviceaccounts/${options.serviceAccount ?? 'api'}/token`,
        headers: { ...JSON_TYPE, ...bearer(kubernetes.adminToken) },
        ...(options.method === 'GET' ? {} : { body }),
        fill: { namespace: unique, uid, issuer: world.issuer },
      }
    },
  }
}

function invalid(message: string): Expected {
  return status(
    422,
    'Invalid',
    `TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: ${message}`,
    {
      group: 'authentication.k8s.io',
      kind: 'TokenRequest',
      causes: [{ reason: 'FieldValueInvalid', message, field: 'spec.expirationSeconds' }],
    },
  )
}

async function podOf(world: Environment, namespace: string, serviceAccount: string): Promise<{ uid: string }> {
  return world.operator.kubernetes.createPod({ namespace, name: 'api-0', serviceAccount })
}

const bound = (extra: object = {}) => ({
  audiences: ['keyhole'],
  boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'api-0', ...extra },
})

export const tokenRequestCases: readonly Case[] = [
  ordered(
    'a token is issued for the audiences and the life asked for',
    {
      status: 201,
      headers: { 'content-type': 'application/json' },
      json: {
        kind: 'TokenRequest',
        apiVersion: 'authentication.k8s.io/v1',
        metadata: { name: 'api', namespace: '{namespace}', uid: '{uid}' },
        spec: { audiences: ['keyhole'], expirationSeconds: 600, boundObjectRef: null },
        status: {
          token: /^[\w-]+\.[\w-]+\.[\w-]+$/,
          expirationTimestamp: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
        },
      },
    },
    () => ({ audiences: ['keyhole'], expirationSeconds: 600 }),
  ),
  ordered(
    "a token that asks for nothing has the API server's audience and an hour",
    { status: 201, json: { spec: { audiences: ['{issuer}'], expirationSeconds: 3600, boundObjectRef: null } } },
    () => ({}),
  ),
  ordered(
    'a token is bound to a pod of its ServiceAccount',
    { status: 201, json: { spec: { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'api-0' } } } },
    async (world, namespace) => {
      await podOf(world, namespace, 'api')
      return bound()
    },
  ),
  ordered(
    'a token cannot live less than ten minutes',
    invalid('Invalid value: 599: may not specify a duration less than 10 minutes'),
    () => ({ audiences: ['keyhole'], expirationSeconds: 599 }),
  ),
  ordered(
    'a token cannot live longer than 2^32 seconds',
    invalid('Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds'),
    () => ({ expirationSeconds: 4294967297 }),
  ),
  ordered(
    'a missing ServiceAccount gets no token',
    status(404, 'NotFound', 'serviceaccounts "none" not found', { name: 'none', kind: 'serviceaccounts' }),
    () => ({}),
    { serviceAccount: 'none' },
  ),
  ordered(
    'a token cannot be bound to a missing pod',
    status(404, 'NotFound', 'pods "api-0" not found', { name: 'api-0', kind: 'pods' }),
    () => bound(),
  ),
  ordered(
    'a token cannot be bound to a pod of another ServiceAccount',
    status(
      400,
      'BadRequest',
      'cannot bind token for serviceaccount "api" to pod running with different serviceaccount name.',
    ),
    async (world, namespace) => {
      await podOf(world, namespace, 'other')
      return bound()
    },
  ),
  ordered(
    'a token cannot be bound to a pod under a uid that it has not',
    status(
      409,
      'Conflict',
      'Operation cannot be fulfilled on Pod "api-0": the UID in the bound object reference (other) does not match the UID in record. The object might have been deleted and then recreated',
      { name: 'api-0', kind: 'Pod' },
    ),
    async (world, namespace) => {
      await podOf(world, namespace, 'api')
      return bound({ uid: 'other' })
    },
  ),
  ordered(
    'a token cannot be bound to just anything',
    status(400, 'BadRequest', 'cannot bind token to object of type /v1, Kind=Foo'),
    () => bound({ kind: 'Foo' }),
  ),
  ordered('tokens cannot be read', METHOD_NOT_ALLOWED, () => ({}), { method: 'GET' }),
  {
    title: 'a ServiceAccount may not order tokens by itself',
    server: 'kubernetes',
    expected: status(
      403,
      'Forbidden',
      'serviceaccounts "api" is forbidden: User "system:serviceaccount:{namespace}:api" cannot create resource "serviceaccounts/token" in API group "" in the namespace "{namespace}"',
      { name: 'api', kind: 'serviceaccounts' },
    ),
    async arrange({ operator: { kubernetes } }, unique) {
      await kubernetes.createServiceAccount({ namespace: unique, name: 'api' })
      const own = await kubernetes.issueToken({ namespace: unique, serviceAccount: 'api' })
      return {
        method: 'POST',
        path: `/api/v1/namespaces/${unique}/serviceaccounts/api/token`,
        headers: { ...JSON_TYPE, ...bearer(own) },
        body: '{}',
        fill: { namespace: unique },
      }
    },
  },
]

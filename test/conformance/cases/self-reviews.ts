/** Who am I, and what may I: what `keyhole check` asks of the API server, with no right of its own. */
import type { Case, Expected } from '../case.ts'
import type { Environment, Right } from '../environment.ts'
import { bearer, JSON_TYPE, status, UNAUTHORIZED } from './kubernetes-words.ts'

const SUBJECT = '/apis/authentication.k8s.io/v1/selfsubjectreviews'
const ACCESS = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'

/** What ServiceAccount `<unique>/api` is told, with a token of the API server's own audience unless said otherwise. */
function asked(
  title: string,
  expected: Expected,
  path: string,
  body: (unique: string) => object,
  more: { right?: (unique: string) => Right; audiences?: readonly string[]; method?: string } = {},
): Case {
  return {
    title,
    server: 'kubernetes',
    expected,
    async arrange(world: Environment, unique) {
      const { kubernetes } = world.operator
      const account = { namespace: unique, name: 'api' }
      const { uid } = await kubernetes.createServiceAccount(account)
      if (more.right !== undefined) await kubernetes.allow(account, more.right(unique))
      const order = { namespace: unique, serviceAccount: 'api', audiences: more.audiences ?? [] }
      const method = more.method ?? 'POST'
      return {
        method,
        path,
        headers: { ...JSON_TYPE, ...bearer(await kubernetes.issueToken(order)) },
        ...(method === 'POST' && { body: JSON.stringify(body(unique)) }),
        fill: { namespace: unique, uid },
      }
    },
  }
}

const review = () => ({ apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' })

const may =
  (verb: string, name?: string, group = '', resource = 'secrets', isNamespaced = true) =>
  (unique: string) => ({
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: { verb, group, resource, name, ...(isNamespaced && { namespace: unique }) } },
  })

const getOne = (unique: string): Right => ({
  verbs: ['get'],
  group: '',
  resource: 'secrets',
  namespace: unique,
  names: ['db'],
})

const answered = (allowed: boolean): Expected => ({
  status: 201,
  headers: { 'content-type': 'application/json' },
  json: { kind: 'SelfSubjectAccessReview', apiVersion: 'authorization.k8s.io/v1', status: { allowed } },
})

export const selfReviewCases: readonly Case[] = [
  asked(
    'whoever asks who it is is told its name, its uid and its groups',
    {
      status: 201,
      headers: { 'content-type': 'application/json' },
      json: {
        kind: 'SelfSubjectReview',
        apiVersion: 'authentication.k8s.io/v1',
        status: {
          userInfo: {
            username: 'system:serviceaccount:{namespace}:api',
            uid: '{uid}',
            groups: ['system:serviceaccounts', 'system:serviceaccounts:{namespace}', 'system:authenticated'],
          },
        },
      },
    },
    SUBJECT,
    review,
  ),
  asked('a token of another audience is refused, whoever it asks about', UNAUTHORIZED, SUBJECT, review, {
    audiences: ['vault'],
  }),
  asked(
    'who one is cannot be listed',
    status(
      403,
      'Forbidden',
      'selfsubjectreviews.authentication.k8s.io is forbidden: User "system:serviceaccount:{namespace}:api" cannot list resource "selfsubjectreviews" in API group "authentication.k8s.io" at the cluster scope',
    ),
    SUBJECT,
    review,
    { method: 'GET' },
  ),
  asked('a right to one Secret by name is a right to that Secret', answered(true), ACCESS, may('get', 'db'), {
    right: getOne,
  }),
  asked('a right to one Secret by name is none to another', answered(false), ACCESS, may('get', 'other'), {
    right: getOne,
  }),
  asked('a right to one Secret by name is none to all of them', answered(false), ACCESS, may('get'), { right: getOne }),
  asked('a right to get is none to list', answered(false), ACCESS, may('list'), { right: getOne }),
  asked('without a right nothing is allowed', answered(false), ACCESS, may('get', 'db')),
  asked(
    'a right in the whole cluster is seen without a namespace',
    answered(true),
    ACCESS,
    may('create', undefined, 'authentication.k8s.io', 'tokenreviews', false),
    { right: () => ({ verbs: ['create'], group: 'authentication.k8s.io', resource: 'tokenreviews' }) },
  ),
]

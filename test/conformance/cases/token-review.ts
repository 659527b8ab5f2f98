/** TokenReview: a token that is refused is a call that succeeds. */
import type { Case, Expected } from '../case.ts'
import type { Environment } from '../environment.ts'
import {
  bearer,
  goodClaims,
  JSON_TYPE,
  METHOD_NOT_ALLOWED,
  reviewRequest,
  status,
  UNAUTHORIZED,
} from './kubernetes-words.ts'

const PATH = '/apis/authentication.k8s.io/v1/tokenreviews'
const ANYTHING = /^/

function accepted(user: object, audiences: readonly unknown[]): Expected {
  return {
    status: 201,
    headers: { 'content-type': 'application/json' },
    json: {
      kind: 'TokenReview',
      apiVersion: 'authentication.k8s.io/v1',
      spec: { token: ANYTHING },
      status: { authenticated: true, error: undefined, user, audiences },
    },
  }
}

function refused(text: string): Expected {
  return {
    status: 201,
    headers: { 'content-type': 'application/json' },
    json: {
      kind: 'TokenReview',
      status: { authenticated: undefined, audiences: undefined, user: { username: undefined }, error: text },
    },
  }
}

const ACCOUNT = {
  username: 'system:serviceaccount:{namespace}:api',
  uid: '{uid}',
  groups: ['system:serviceaccounts', 'system:serviceaccounts:{namespace}', 'system:authenticated'],
}

/** Reviews a token whose claims a case bends, for audience `keyhole`. */
function bent(
  title: string,
  expected: Expected,
  bend: (claims: Record<string, unknown>, seconds: number, namespace: string) => object | Promise<object>,
  options: { key?: 'cluster' | 'stranger'; audiences?: string[] } = {},
): Case {
  return {
    title,
    server: 'kubernetes',
    expected,
    async arrange(world, unique) {
      const claims = await goodClaims(world, unique)
      const changed = await bend(claims, Math.floor(world.now() / 1000), unique)
      const signed = await world.operator.kubernetes.signToken({ ...claims, ...changed }, options.key ?? 'cluster')
      const request = reviewRequest(signed, options.audiences ?? ['keyhole'], world.operator.kubernetes.adminToken)
      return { ...request, fill: { namespace: unique, uid: claims.uid, issuer: world.issuer } }
    },
  }
}

/** Reviews a token that the cluster issued. */
function issued(
  title: string,
  expected: Expected,
  audiences: { of: string[]; asked: string[] | undefined },
  after: (
    world: Environment,
    namespace: string,
    uid: string,
  ) => Promise<Record<string, string> | undefined> = async () => undefined,
): Case {
  return {
    title,
    server: 'kubernetes',
    expected,
    async arrange(world, unique) {
      const { kubernetes } = world.operator
      const { uid } = await kubernetes.createServiceAccount({ namespace: unique, name: 'api' })
      const token = await kubernetes.issueToken({ namespace: unique, serviceAccount: 'api', audiences: audiences.of })
      const fill = await after(world, unique, uid)
      const request = reviewRequest(token, audiences.asked, kubernetes.adminToken)
      return { ...request, fill: { namespace: unique, uid, issuer: world.issuer, ...fill } }
    },
  }
}

/** Reviews a token bound to a pod. */
function podBound(
  title: string,
  expected: Expected,
  after: (world: Environment, namespace: string) => Promise<Record<string, string> | undefined>,
): Case {
  return {
    title,
    server: 'kubernetes',
    expected,
    async arrange(world, unique) {
      const { kubernetes } = world.operator
      const { uid } = await kubernetes.createServiceAccount({ namespace: unique, name: 'api' })
      const pod = await kubernetes.createPod({ namespace: unique, name: 'api-0', serviceAccount: 'api' })
      const token = await kubernetes.issueToken({
        namespace: unique,
        serviceAccount: 'api',
        audiences: ['keyhole'],
        pod: { name: 'api-0', uid: pod.uid },
      })
      const fill = await after(world, unique)
      const request = reviewRequest(token, ['keyhole'], kubernetes.adminToken)
      return { ...request, fill: { namespace: unique, uid, pod: pod.uid, ...fill } }
    },
  }
}

const KEYHOLE = { of: ['keyhole'], asked: ['keyhole'] }

const serviceAccountCases: readonly Case[] = [
  issued(
    'a review names the ServiceAccount, its uid, groups, credential and the audience that was asked for',
    accepted({ ...ACCOUNT, extra: { 'authentication.kubernetes.io/credential-id': [/^JTI=[0-9a-f-]{36}$/] } }, [
      'keyhole',
    ]),
    KEYHOLE,
  ),
  podBound(
    'a review of a pod-bound token names pod and node',
    accepted(
      {
        ...ACCOUNT,
        extra: {
          'authentication.kubernetes.io/pod-name': ['api-0'],
          'authentication.kubernetes.io/pod-uid': ['{pod}'],
          'authentication.kubernetes.io/node-name': ['worker'],
        },
      },
      ['keyhole'],
    ),
    async () => undefined,
  ),
  issued(
    'a token for another audience is refused by a call that succeeds',
    refused('[invalid bearer token, token audiences ["vault"] is invalid for the target audiences ["keyhole"]]'),
    { of: ['vault'], asked: ['keyhole'] },
  ),
  issued(
    'a refusal lists all audiences of the token and all that were asked for',
    refused(
      '[invalid bearer token, token audiences ["vault" "bank"] is invalid for the target audiences ["keyhole" "x"]]',
    ),
    { of: ['vault', 'bank'], asked: ['keyhole', 'x'] },
  ),
  issued('of two audiences asked for, only the one that the token has is answered', accepted(ACCOUNT, ['keyhole']), {
    of: ['keyhole'],
    asked: ['vault', 'keyhole'],
  }),
  issued('of two audiences of a token, only the one that was asked for is answered', accepted(ACCOUNT, ['keyhole']), {
    of: ['keyhole', 'vault'],
    asked: ['keyhole'],
  }),
  issued(
    "a review that asks for no audience asks for the API server's own",
    refused('[invalid bearer token, token audiences ["keyhole"] is invalid for the target audiences ["{issuer}"]]'),
    { of: ['keyhole'], asked: undefined },
  ),
  issued("a token that asked for no audience has the API server's own", accepted(ACCOUNT, ['{issuer}']), {
    of: [],
    asked: undefined,
  }),
  issued(
    'a token of a ServiceAccount that was deleted is refused',
    refused('[invalid bearer token, serviceaccounts "api" not found]'),
    KEYHOLE,
    async (world, namespace) => {
      await world.operator.kubernetes.deleteServiceAccount({ namespace, name: 'api' })
      return undefined
    },
  ),
  issued(
    'a token of a ServiceAccount that was deleted and made again is refused by its uid',
    refused('[invalid bearer token, service account UID ({now}) does not match claim ({uid})]'),
    KEYHOLE,
    async (world, namespace) => {
      await world.operator.kubernetes.deleteServiceAccount({ namespace, name: 'api' })
      const { uid } = await world.operator.kubernetes.createServiceAccount({ namespace, name: 'api' })
      return { now: uid }
    },
  ),
  podBound(
    'a token of a pod that was deleted is refused',
    refused('[invalid bearer token, service account token has been invalidated]'),
    async (world, namespace) => {
      await world.operator.kubernetes.deletePod({ namespace, name: 'api-0' })
      return undefined
    },
  ),
  podBound(
    'a token of a pod that was deleted and made again is refused by its uid',
    refused('[invalid bearer token, pod UID ({now}) does not match service account pod ref claim ({pod})]'),
    async (world, namespace) => {
      await world.operator.kubernetes.deletePod({ namespace, name: 'api-0' })
      const pod = await world.operator.kubernetes.createPod({ namespace, name: 'api-0', serviceAccount: 'api' })
      return { now: pod.uid }
    },
  ),
]

const claimCases: readonly Case[] = [
  bent('claims signed by the cluster are believed', accepted(ACCOUNT, ['keyhole']), () => ({})),
  bent(
    'a token signed by a stranger is refused',
    refused('[invalid bearer token, go-jose/go-jose: error in cryptographic primitive]'),
    () => ({}),
    { key: 'stranger' },
  ),
  bent(
    'the signature is looked at before the audience',
    refused('[invalid bearer token, go-jose/go-jose: error in cryptographic primitive]'),
    () => ({ aud: ['vault'] }),
    { key: 'stranger' },
  ),
  bent(
    'a token that expired more than a minute ago is refused',
    refused('[invalid bearer token, service account token has expired]'),
    (_, seconds) => ({ exp: seconds - 65 }),
  ),
  bent(
    'a token that expired less than a minute ago is still accepted',
    accepted(ACCOUNT, ['keyhole']),
    (_, seconds) => ({
      exp: seconds - 50,
    }),
  ),
  bent('a token without expiry is accepted', accepted(ACCOUNT, ['keyhole']), () => ({ exp: undefined })),
  bent(
    'a token that is not valid for another minute is refused',
    refused('[invalid bearer token, service account token is not valid yet]'),
    (_, seconds) => ({ nbf: seconds + 90 }),
  ),
  bent(
    'a token issued in the future is refused',
    refused('[invalid bearer token, service account token is issued in the future]'),
    (_, seconds) => ({ iat: seconds + 90 }),
  ),
  bent(
    'the audience is looked at before the expiry',
    refused('[invalid bearer token, token audiences ["vault"] is invalid for the target audiences ["keyhole"]]'),
    (_, seconds) => ({ aud: ['vault'], exp: seconds - 300 }),
  ),
  bent(
    'the expiry is looked at before the ServiceAccount',
    refused('[invalid bearer token, service account token has expired]'),
    (_, seconds, namespace) => ({
      exp: seconds - 300,
      'kubernetes.io': { namespace, serviceaccount: { name: 'gone', uid: 'u' } },
    }),
  ),
  bent(
    'a token of a ServiceAccount that never was is refused',
    refused('[invalid bearer token, serviceaccounts "gone" not found]'),
    (_, __, namespace) => ({ 'kubernetes.io': { namespace, serviceaccount: { name: 'gone', uid: 'u' } } }),
  ),
  bent(
    'the uid in the claims must be the living one',
    refused('[invalid bearer token, service account UID ({uid}) does not match claim (other)]'),
    (_, __, namespace) => ({ 'kubernetes.io': { namespace, serviceaccount: { name: 'api', uid: 'other' } } }),
  ),
  bent('who it is comes from the private claims, not from sub', accepted(ACCOUNT, ['keyhole']), () => ({
    sub: 'system:serviceaccount:kube-system:admin',
  })),
  bent('an audience that is a string is an audience', accepted(ACCOUNT, ['keyhole']), () => ({ aud: 'keyhole' })),
  bent(
    "a token without audience has the API server's own",
    refused('[invalid bearer token, token audiences ["{issuer}"] is invalid for the target audiences ["keyhole"]]'),
    () => ({ aud: undefined }),
  ),
  bent('a token of another issuer is nobody', refused('invalid bearer token'), () => ({ iss: 'https://elsewhere' })),
  bent(
    'a token without the private claims names no ServiceAccount',
    refused('[invalid bearer token, resource name may not be empty]'),
    () => ({ 'kubernetes.io': undefined }),
  ),
  bent(
    'a pod in the claims must exist',
    refused('[invalid bearer token, service account token has been invalidated]'),
    (claims) => ({ 'kubernetes.io': { ...(claims['kubernetes.io'] as object), pod: { name: 'none', uid: 'u' } } }),
  ),
]

/** Reviews a fixed token as the administrator. */
function literal(
  title: string,
  expected: Expected,
  token: (world: Environment) => string,
  audiences: (world: Environment) => string[] | undefined,
): Case {
  return {
    title,
    server: 'kubernetes',
    expected,
    arrange: async (world) => ({
      ...reviewRequest(token(world), audiences(world), world.operator.kubernetes.adminToken),
      fill: { issuer: world.issuer },
    }),
  }
}

const otherUsers: readonly Case[] = [
  literal(
    "a person is authenticated too, for the API server's own audience",
    accepted({ username: 'ada', uid: 'ada-uid', groups: ['developers', 'system:authenticated'] }, ['{issuer}']),
    (world) => world.operator.kubernetes.userToken,
    () => undefined,
  ),
  literal(
    'a person is refused for another audience',
    refused('invalid bearer token'),
    (world) => world.operator.kubernetes.userToken,
    () => ['keyhole'],
  ),
  literal(
    'a person is authenticated when one of the audiences is the own one of the API server',
    accepted({ username: 'ada' }, ['{issuer}']),
    (world) => world.operator.kubernetes.userToken,
    (world) => ['keyhole', world.issuer],
  ),
  literal(
    'a node is authenticated too',
    accepted({ username: 'system:node:worker', uid: 'node-uid', groups: ['system:nodes', 'system:authenticated'] }, [
      '{issuer}',
    ]),
    (world) => world.operator.kubernetes.nodeToken,
    () => undefined,
  ),
  literal(
    'what is no token at all is refused without a reason',
    refused('invalid bearer token'),
    () => 'garbage',
    () => ['keyhole'],
  ),
  literal(
    'an unsigned token is nobody',
    refused('invalid bearer token'),
    () => 'a.b.c',
    () => ['keyhole'],
  ),
  literal(
    'an empty token is a bad request',
    status(400, 'BadRequest', 'token is required for TokenReview in authentication'),
    () => '',
    () => ['keyhole'],
  ),
]

const FORBIDDEN_REVIEW =
  'cannot create resource "tokenreviews" in API group "authentication.k8s.io" at the cluster scope'
const REVIEW_DETAILS = { group: 'authentication.k8s.io', kind: 'tokenreviews' }

const reviewerCases: readonly Case[] = [
  {
    title: 'a reviewer without a token is the anonymous user, and forbidden',
    server: 'kubernetes',
    expected: status(
      403,
      'Forbidden',
      `tokenreviews.authentication.k8s.io is forbidden: User "system:anonymous" ${FORBIDDEN_REVIEW}`,
      REVIEW_DETAILS,
    ),
    arrange: async () => ({ method: 'POST', path: PATH, headers: JSON_TYPE, body: '{"spec":{"token":"x"}}' }),
  },
  {
    title: 'a reviewer with an unknown token is unauthorized',
    server: 'kubernetes',
    expected: UNAUTHORIZED,
    arrange: async () => reviewRequest('x', ['keyhole'], 'unknown'),
  },
  {
    title: 'a reviewer whose own token names another audience is unauthorized',
    server: 'kubernetes',
    expected: UNAUTHORIZED,
    async arrange(world, unique) {
      const { kubernetes } = world.operator
      await kubernetes.createServiceAccount({ namespace: unique, name: 'reader' })
      const own = await kubernetes.issueToken({ namespace: unique, serviceAccount: 'reader', audiences: ['vault'] })
      return reviewRequest('x', ['keyhole'], own)
    },
  },
  {
    title: 'a reviewer without the right is forbidden',
    server: 'kubernetes',
    expected: status(
      403,
      'Forbidden',
      `tokenreviews.authentication.k8s.io is forbidden: User "system:serviceaccount:{namespace}:reader" ${FORBIDDEN_REVIEW}`,
      REVIEW_DETAILS,
    ),
    async arrange(world, unique) {
      const { kubernetes } = world.operator
      await kubernetes.createServiceAccount({ namespace: unique, name: 'reader' })
      const own = await kubernetes.issueToken({ namespace: unique, serviceAccount: 'reader' })
      return { ...reviewRequest('x', ['keyhole'], own), fill: { namespace: unique } }
    },
  },
  {
    title: 'a reviewer with the right to create tokenreviews gets its review',
    server: 'kubernetes',
    expected: refused('invalid bearer token'),
    async arrange(world, unique) {
      const { kubernetes } = world.operator
      const reader = { namespace: unique, name: 'reader' }
      await kubernetes.createServiceAccount(reader)
      await kubernetes.allow(reader, { verbs: ['create'], group: 'authentication.k8s.io', resource: 'tokenreviews' })
      const own = await kubernetes.issueToken({ namespace: unique, serviceAccount: 'reader' })
      return reviewRequest('x', ['keyhole'], own)
    },
  },
  {
    title: 'a review that is cut short is a bad request',
    server: 'kubernetes',
    expected: status(
      400,
      'BadRequest',
      "the object provided is unrecognized (must be of type TokenReview): couldn't get version/kind; json parse error: unexpected end of JSON input ({)",
    ),
    arrange: async ({ operator }) => ({
      method: 'POST',
      path: PATH,
      headers: { ...JSON_TYPE, ...bearer(operator.kubernetes.adminToken) },
      body: '{',
    }),
  },
  {
    title: 'a review in an unknown format is refused',
    server: 'kubernetes',
    expected: status(
      415,
      'UnsupportedMediaType',
      'the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf',
    ),
    arrange: async ({ operator }) => ({
      method: 'POST',
      path: PATH,
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...bearer(operator.kubernetes.adminToken) },
      body: 'token=x',
    }),
  },
  {
    title: 'reviews cannot be read',
    server: 'kubernetes',
    expected: METHOD_NOT_ALLOWED,
    arrange: async ({ operator }) => ({ method: 'GET', path: PATH, headers: bearer(operator.kubernetes.adminToken) }),
  },
]

export const tokenReviewCases: readonly Case[] = [
  ...serviceAccountCases,
  ...claimCases,
  ...otherUsers,
  ...reviewerCases,
]

/** Login by the Kubernetes auth method: the claims first, then the API server's word. */
import type { Case, Expected, RawRequest } from '../case.ts'
import type { Environment, VaultRole } from '../environment.ts'
import { goodClaims } from './kubernetes-words.ts'
import { errors, post } from './vault-words.ts'

const PATH = '/v1/auth/kubernetes/login'
const DENIED_OUTRIGHT = errors(403, 'permission denied')
const BASE64URL = '[A-Za-z0-9_-]'

function loggedIn(auth: object = {}, rest: object = {}): Expected {
  return {
    status: 200,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    json: {
      request_id: /^[0-9a-f-]{36}$/,
      lease_id: '',
      lease_duration: 0,
      renewable: false,
      data: null,
      warnings: null,
      auth: {
        client_token: new RegExp(`^hvb\\.AAAAAQ${BASE64URL}+$`),
        accessor: '',
        policies: ['{role}'],
        token_policies: ['{role}'],
        metadata: {
          role: '{role}',
          service_account_name: 'api',
          service_account_namespace: '{namespace}',
          service_account_secret_name: '',
          service_account_uid: '{uid}',
        },
        lease_duration: 10,
        renewable: false,
        entity_id: /^[0-9a-f-]{36}$/,
        token_type: 'batch',
        orphan: true,
        num_uses: 0,
        ...auth,
      },
      ...rest,
    },
  }
}

interface Arranged {
  readonly world: Environment
  readonly unique: string
  /** Name of the role: audience `vault`, ServiceAccount `<unique>/api`, a policy of the role's own name, 10 s, batch. */
  readonly role: string
  /** A token of `<unique>/api` for audience `vault`. */
  readonly jwt: string
}

function login(
  title: string,
  expected: Expected,
  ask: (arranged: Arranged) => RawRequest | Promise<RawRequest>,
  change: (role: VaultRole) => VaultRole = (role) => role,
): Case {
  return {
    title,
    server: 'vault',
    expected,
    async arrange(world, unique) {
      const { kubernetes, vault } = world.operator
      const { uid } = await kubernetes.createServiceAccount({ namespace: unique, name: 'api' })
      const role = `role-${unique}`
      await vault.putPolicy(role, [{ path: 'transit/decrypt/none', capabilities: ['update'] }])
      const usual = {
        name: role,
        audience: 'vault',
        serviceAccountNames: ['api'],
        serviceAccountNamespaces: [unique],
        policies: [role],
        tokenTtlSeconds: 10,
        tokenType: 'batch' as const,
      }
      await vault.putRole(change(usual))
      const jwt = await kubernetes.issueToken({ namespace: unique, serviceAccount: 'api', audiences: ['vault'] })
      const request = await ask({ world, unique, role, jwt })
      return { ...request, fill: { namespace: unique, uid, role } }
    },
  }
}

/** Logs in with claims that a case bends. */
function bent(
  title: string,
  expected: Expected,
  bend: (claims: Record<string, unknown>, seconds: number, namespace: string) => object,
  key: 'cluster' | 'stranger' = 'cluster',
): Case {
  return login(title, expected, async ({ world, unique, role }) => {
    const claims = { ...(await goodClaims(world, unique)), aud: ['vault'] }
    const changed = { ...claims, ...bend(claims, Math.floor(world.now() / 1000), unique) }
    return post(PATH, undefined, { role, jwt: await world.operator.kubernetes.signToken(changed, key) })
  })
}

const anyone = (namespace: string, name: string, uid: string) => ({
  'kubernetes.io': { namespace, serviceaccount: { name, uid } },
})

/** No credential at all: what `keyhole check` shows to learn whether a role asks for an audience. */
const nobody = {
  aud: ['nowhere'],
  'kubernetes.io': { namespace: 'nowhere', serviceaccount: { name: 'nobody', uid: 'none' } },
}

export const vaultLoginCases: readonly Case[] = [
  login('a login answers with a batch token of ten seconds', loggedIn(), ({ role, jwt }) =>
    post(PATH, undefined, { role, jwt }),
  ),
  login('PUT is as good as POST for a login', loggedIn(), ({ role, jwt }) => ({
    ...post(PATH, undefined, { role, jwt }),
    method: 'PUT',
  })),
  login(
    'a role may give service tokens',
    loggedIn({ client_token: /^hvs\.[\w-]+$/, accessor: /^\w+$/, renewable: true, token_type: 'service' }),
    ({ role, jwt }) => post(PATH, undefined, { role, jwt }),
    (role) => ({ ...role, tokenType: 'service' }),
  ),
  login(
    'a role without an audience takes a token of any',
    loggedIn(),
    async ({ world, unique, role }) => {
      const order = { namespace: unique, serviceAccount: 'api', audiences: ['keyhole'] }
      return post(PATH, undefined, { role, jwt: await world.operator.kubernetes.issueToken(order) })
    },
    ({ audience: _, ...role }) => role,
  ),
  login(
    'a name of a ServiceAccount may be a pattern',
    loggedIn(),
    ({ role, jwt }) => post(PATH, undefined, { role, jwt }),
    (role) => ({ ...role, serviceAccountNames: ['a*'] }),
  ),
  login(
    'an unknown field of a login is a warning',
    loggedIn({}, { warnings: ['Endpoint ignored these unrecognized parameters: [foo]'] }),
    ({ role, jwt }) => post(PATH, undefined, { role, jwt, foo: 'bar' }),
  ),
  login('a role is found whatever its case', loggedIn({ metadata: { role: /^ROLE-/ } }), ({ role, jwt }) =>
    post(PATH, undefined, { role: role.toUpperCase(), jwt }),
  ),
  login('a role that does not exist is named', errors(400, 'invalid role name "none"'), ({ jwt }) =>
    post(PATH, undefined, { role: 'none', jwt }),
  ),
  login(
    'a role that was deleted does not exist',
    errors(400, 'invalid role name "{role}"'),
    async ({ world, role, jwt }) => {
      await world.operator.vault.deleteRole(role)
      return post(PATH, undefined, { role, jwt })
    },
  ),
  login('a login without a role is refused', errors(400, 'missing role'), ({ jwt }) => post(PATH, undefined, { jwt })),
  login('a login without a JWT is refused', errors(400, 'missing jwt'), ({ role }) => post(PATH, undefined, { role })),
  login('the JWT is missed before the role', errors(400, 'missing jwt'), () => post(PATH, undefined, { role: 'none' })),
  login('an empty login misses the role', errors(400, 'missing role'), () => post(PATH, undefined, '')),
  login('a login cannot be read', errors(405, 'unsupported operation'), () => ({ method: 'GET', path: PATH })),
  login('a login at a mount that is not there is denied', DENIED_OUTRIGHT, ({ role, jwt }) =>
    post('/v1/auth/elsewhere/login', undefined, { role, jwt }),
  ),
  login(
    'a token for another audience is told so',
    errors(403, 'invalid audience (aud) claim: audience claim does not match any expected audience'),
    async ({ world, unique, role }) => {
      const order = { namespace: unique, serviceAccount: 'api', audiences: ['keyhole'] }
      return post(PATH, undefined, { role, jwt: await world.operator.kubernetes.issueToken(order) })
    },
  ),
  login(
    'another ServiceAccount is told so',
    errors(403, 'service account name not authorized'),
    ({ role, jwt }) => post(PATH, undefined, { role, jwt }),
    (role) => ({ ...role, serviceAccountNames: ['other'] }),
  ),
  login(
    'another namespace is told so',
    errors(403, 'namespace not authorized'),
    ({ role, jwt }) => post(PATH, undefined, { role, jwt }),
    (role) => ({ ...role, serviceAccountNamespaces: ['other'] }),
  ),
  login(
    'a token of a ServiceAccount that was deleted is denied',
    DENIED_OUTRIGHT,
    async ({ world, unique, role, jwt }) => {
      await world.operator.kubernetes.deleteServiceAccount({ namespace: unique, name: 'api' })
      return post(PATH, undefined, { role, jwt })
    },
  ),
  login('what is no JWT is denied', DENIED_OUTRIGHT, ({ role }) => post(PATH, undefined, { role, jwt: 'garbage' })),
  login('a person is denied', DENIED_OUTRIGHT, ({ world, role }) =>
    post(PATH, undefined, { role, jwt: world.operator.kubernetes.userToken }),
  ),
  bent('a token signed by a stranger is denied', DENIED_OUTRIGHT, () => ({}), 'stranger'),
  bent(
    'a token that expired more than a minute ago is told so',
    errors(403, 'invalid expiration time (exp) claim: token is expired'),
    (_, seconds) => ({ exp: seconds - 65 }),
  ),
  bent('a token that expired less than a minute ago still logs in', loggedIn(), (_, seconds) => ({
    exp: seconds - 50,
  })),
  bent(
    'a token that is not valid yet is told so',
    errors(403, 'invalid not before (nbf) claim: token not yet valid'),
    (_, seconds) => ({ nbf: seconds + 90 }),
  ),
  bent(
    'a token issued in the future is told so',
    errors(403, 'invalid issued at (iat) claim: token issued in the future'),
    (_, seconds) => ({ iat: seconds + 90 }),
  ),
  bent(
    'the audience is looked at before the expiry, in a login too',
    errors(403, 'invalid audience (aud) claim: audience claim does not match any expected audience'),
    (_, seconds) => ({ aud: ['keyhole'], exp: seconds - 300 }),
  ),
  bent(
    'a token of nobody, signed by a stranger, for no audience is told of the audience first',
    errors(403, 'invalid audience (aud) claim: audience claim does not match any expected audience'),
    () => nobody,
    'stranger',
  ),
  login(
    'at a role without an audience a token of nobody, signed by a stranger, is told of its name',
    errors(403, 'service account name not authorized'),
    async ({ world, role }) =>
      post(PATH, undefined, { role, jwt: await world.operator.kubernetes.signToken(nobody, 'stranger') }),
    ({ audience: _, ...role }) => role,
  ),
  bent(
    'a token without a uid is an internal error',
    errors(500, 'could not parse UID from claims'),
    (_, __, namespace) => ({
      'kubernetes.io': { namespace, serviceaccount: { name: 'api' } },
    }),
  ),
  bent('a token with another uid is denied', DENIED_OUTRIGHT, (_, __, namespace) => anyone(namespace, 'api', 'other')),
]

/** Tokens, policies, paths and the seal: what Vault answers before an engine is asked. */
import type { Case, Expected, RawRequest } from '../case.ts'
import type { Environment, PolicyRule } from '../environment.ts'
import { DENIED, data, errors, HELLO, INVALID_TOKEN, post, TOO_SHORT, withKeys } from './vault-words.ts'

const UNSUPPORTED_PATH = errors(404, '1 error occurred:\n\t* unsupported path\n\n')
const UNSUPPORTED_OPERATION = errors(405, '1 error occurred:\n\t* unsupported operation\n\n')
const SEALED = errors(503, 'Vault is sealed')
const PROBE = { ciphertext: 'vault:v1:AAAA' }

/** A request of the administrator. */
function asRoot(title: string, expected: Expected, request: Omit<RawRequest, 'fill' | 'tidy'>): Case {
  return {
    title,
    server: 'vault',
    expected,
    arrange: async ({ operator }) => ({
      ...request,
      headers: { 'content-type': 'application/json', 'x-vault-token': operator.vault.rootToken, ...request.headers },
    }),
  }
}

/** A decryption under `<unique>-plain` by a token with these rules; reaching the engine shows as "too short". */
function ruled(
  title: string,
  expected: Expected,
  rules: (key: string) => readonly PolicyRule[],
  options: { method?: string; type?: 'batch' | 'service' } = {},
): Case {
  return withKeys(title, expected, async ({ world, plain }) => {
    await world.operator.vault.putPolicy(plain, rules(plain))
    const order = { policies: [plain], ttlSeconds: 600, type: options.type ?? ('batch' as const) }
    const token = await world.operator.vault.createToken(order)
    const { body, ...request } = post(`/v1/transit/decrypt/${plain}`, token, PROBE)
    return options.method === undefined
      ? { ...request, ...(body === undefined ? {} : { body }) }
      : { ...request, method: options.method }
  })
}

const updates = (path: string): PolicyRule => ({ path, capabilities: ['update'] })

const policyCases: readonly Case[] = [
  ruled('a rule for the path lets through', TOO_SHORT, (key) => [updates(`transit/decrypt/${key}`)]),
  ruled('a service token is as good as a batch token', TOO_SHORT, (key) => [updates(`transit/decrypt/${key}`)], {
    type: 'service',
  }),
  ruled('a rule for a prefix lets through', TOO_SHORT, () => [updates('transit/decrypt/*')]),
  ruled('a rule for any segment lets through', TOO_SHORT, (key) => [updates(`transit/+/${key}`)]),
  ruled('a rule for another key denies', DENIED, (key) => [updates(`transit/decrypt/${key}-other`)]),
  ruled('a rule with another capability denies', DENIED, (key) => [
    { path: `transit/decrypt/${key}`, capabilities: ['read', 'create'] },
  ]),
  ruled('a denial for the path beats a permission for the prefix', DENIED, (key) => [
    updates('transit/decrypt/*'),
    { path: `transit/decrypt/${key}`, capabilities: ['deny'] },
  ]),
  ruled('a permission for the path beats a denial for the prefix', TOO_SHORT, (key) => [
    { path: 'transit/decrypt/*', capabilities: ['deny'] },
    updates(`transit/decrypt/${key}`),
  ]),
  ruled('a permission for any segment beats a denial for a prefix as long', TOO_SHORT, () => [
    { path: 'transit/decrypt/*', capabilities: ['deny'] },
    updates('transit/decrypt/+'),
  ]),
  ruled('a permission with fewer wildcards beats a denial with more', TOO_SHORT, (key) => [
    { path: 'transit/+/+', capabilities: ['deny'] },
    updates(`transit/+/${key}`),
  ]),
  ruled('a policy is asked before the method', DENIED, (key) => [updates(`transit/decrypt/${key}`)], { method: 'GET' }),
  withKeys('a token whose policy is not there is denied', DENIED, async ({ world, plain }) => {
    const token = await world.operator.vault.createToken({
      policies: [`${plain}-none`],
      ttlSeconds: 600,
      type: 'batch',
    })
    return post(`/v1/transit/decrypt/${plain}`, token, PROBE)
  }),
  withKeys('a policy is asked before the mount', DENIED, async ({ world, plain }) => {
    const token = await world.operator.vault.createToken({
      policies: [`${plain}-none`],
      ttlSeconds: 600,
      type: 'batch',
    })
    return post('/v1/nowhere/decrypt/x', token, PROBE)
  }),
]

function expired(title: string, type: 'batch' | 'service'): Case {
  return withKeys(title, INVALID_TOKEN, async ({ world, plain }) => {
    await world.operator.vault.putPolicy(plain, [updates(`transit/decrypt/${plain}`)])
    const token = await world.operator.vault.createToken({ policies: [plain], ttlSeconds: 1, type })
    await world.elapse(2_000)
    return post(`/v1/transit/decrypt/${plain}`, token, PROBE)
  })
}

const tokenCases: readonly Case[] = [
  withKeys('without a token one is denied', errors(403, 'permission denied'), async ({ plain }) =>
    post(`/v1/transit/decrypt/${plain}`, undefined, PROBE),
  ),
  withKeys('an unknown token is invalid', INVALID_TOKEN, async ({ plain }) =>
    post(`/v1/transit/decrypt/${plain}`, 'unknown', PROBE),
  ),
  withKeys('what only looks like a batch token is invalid', INVALID_TOKEN, async ({ plain }) =>
    post(`/v1/transit/decrypt/${plain}`, 'hvb.AAAAAQnope', PROBE),
  ),
  withKeys(
    'a batch token that is not even base64 is an internal error',
    errors(500, 'error performing token check: illegal base64 data at input byte 12'),
    async ({ plain }) => post(`/v1/transit/decrypt/${plain}`, 'hvb.AAAAAQunknown', PROBE),
  ),
  expired('a batch token that expired is invalid', 'batch'),
  expired('a service token that expired is invalid', 'service'),
  withKeys('a token may come as a bearer', TOO_SHORT, async ({ plain, root }) => ({
    ...post(`/v1/transit/decrypt/${plain}`, undefined, PROBE),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${root}` },
  })),
  withKeys('a namespace is ignored', data({ plaintext: HELLO }), async ({ plain, root, encrypt }) => {
    const request = post(`/v1/transit/decrypt/${plain}`, root, { ciphertext: await encrypt(plain) })
    return { ...request, headers: { ...request.headers, 'x-vault-namespace': 'team' } }
  }),
]

const pathCases: readonly Case[] = [
  asRoot(
    'a mount that is not there has no handler',
    errors(404, 'no handler for route "nowhere/decrypt/x". route entry not found.'),
    {
      method: 'POST',
      path: '/v1/nowhere/decrypt/x',
      body: '{}',
    },
  ),
  asRoot('a path that the engine has not is unsupported', UNSUPPORTED_PATH, {
    method: 'POST',
    path: '/v1/transit/nope/x',
    body: '{}',
  }),
  asRoot('a key name with a slash is unsupported', UNSUPPORTED_PATH, {
    method: 'POST',
    path: '/v1/transit/decrypt/a%2fb',
    body: '{}',
  }),
  asRoot('a key name of two dots is unsupported', UNSUPPORTED_PATH, {
    method: 'POST',
    path: '/v1/transit/decrypt/%2e%2e',
    body: '{}',
  }),
  asRoot('a key name that ends in a dot is unsupported', UNSUPPORTED_PATH, {
    method: 'POST',
    path: '/v1/transit/decrypt/a.',
    body: '{}',
  }),
  asRoot('a missing key name is unsupported', UNSUPPORTED_PATH, {
    method: 'POST',
    path: '/v1/transit/decrypt',
    body: '{}',
  }),
  asRoot('a path that ends in a slash cannot be written', errors(400, "cannot write to a path ending in '/'"), {
    method: 'POST',
    path: '/v1/transit/decrypt/',
    body: '{}',
  }),
  asRoot('decrypt cannot be read', UNSUPPORTED_OPERATION, { method: 'GET', path: '/v1/transit/decrypt/x' }),
  asRoot('decrypt cannot be deleted', UNSUPPORTED_OPERATION, { method: 'DELETE', path: '/v1/transit/decrypt/x' }),
  asRoot('decrypt cannot be listed', UNSUPPORTED_PATH, { method: 'GET', path: '/v1/transit/decrypt/x?list=true' }),
  asRoot('HEAD of decrypt is not allowed', { status: 405 }, { method: 'HEAD', path: '/v1/transit/decrypt/x' }),
  asRoot(
    'PATCH needs a patch',
    errors(415, 'PATCH requires Content-Type of application/merge-patch+json, provided application/json'),
    { method: 'PATCH', path: '/v1/transit/decrypt/x', body: '{}' },
  ),
  asRoot('an invented method is not allowed', errors(405), { method: 'PROPFIND', path: '/v1/transit/decrypt/x' }),
  asRoot(
    'dots in a path are resolved by a redirect',
    { status: 307, headers: { location: '/v1/transit/encrypt/x' }, text: '' },
    {
      method: 'POST',
      path: '/v1/transit/decrypt/../encrypt/x',
      body: '{}',
    },
  ),
  asRoot(
    'doubled slashes are resolved by a redirect',
    { status: 307, headers: { location: '/v1/transit/decrypt/x' } },
    {
      method: 'POST',
      path: '/v1/transit//decrypt/x',
      body: '{}',
    },
  ),
  asRoot(
    'what is not below /v1/ is for the browser',
    { status: 307, headers: { location: '/ui/' } },
    { method: 'GET', path: '/' },
  ),
  asRoot(
    'a path with a broken escape is a bad request',
    { status: 400, text: '400 Bad Request' },
    { method: 'GET', path: '/v1/%zz' },
  ),
  asRoot(
    'the health of an open Vault is 200',
    { status: 200, json: { initialized: true, sealed: false, standby: false, version: /^1\.21\./ } },
    {
      method: 'GET',
      path: '/v1/sys/health',
    },
  ),
  asRoot('the health cannot be written', errors(405), { method: 'POST', path: '/v1/sys/health', body: '{}' }),
  asRoot(
    'the seal of an open Vault is open',
    { status: 200, json: { type: 'shamir', initialized: true, sealed: false } },
    {
      method: 'GET',
      path: '/v1/sys/seal-status',
    },
  ),
]

function whileSealed(title: string, expected: Expected, ask: (world: Environment) => RawRequest): Case {
  return {
    title,
    server: 'vault',
    expected,
    async arrange(world) {
      await world.operator.vault.seal()
      return { ...ask(world), tidy: () => world.operator.vault.unseal() }
    },
  }
}

const sealedCases: readonly Case[] = [
  whileSealed('a sealed Vault decrypts nothing', SEALED, ({ operator }) =>
    post('/v1/transit/decrypt/x', operator.vault.rootToken, PROBE),
  ),
  whileSealed('a sealed Vault says so before it asks for a token', SEALED, () =>
    post('/v1/transit/decrypt/x', undefined, PROBE),
  ),
  whileSealed('a sealed Vault lets nobody log in', SEALED, () =>
    post('/v1/auth/kubernetes/login', undefined, { role: 'x', jwt: 'y' }),
  ),
  whileSealed('a sealed Vault says so of any path', SEALED, ({ operator }) =>
    post('/v1/nowhere/x', operator.vault.rootToken, {}),
  ),
  whileSealed(
    'a sealed Vault still minds a body that is cut short first',
    errors(500, 'malformed JSON, unclosed containers'),
    ({ operator }) => post('/v1/transit/decrypt/x', operator.vault.rootToken, '{'),
  ),
  whileSealed(
    'the health of a sealed Vault is 503',
    { status: 503, json: { initialized: true, sealed: true, standby: true } },
    () => ({
      method: 'GET',
      path: '/v1/sys/health',
    }),
  ),
  whileSealed('the seal of a sealed Vault is told with 200', { status: 200, json: { sealed: true } }, () => ({
    method: 'GET',
    path: '/v1/sys/seal-status',
  })),
  withKeys(
    'a Vault that was sealed and unsealed decrypts what it encrypted before',
    data({ plaintext: HELLO }),
    async ({ world, plain, root, encrypt }) => {
      const ciphertext = await encrypt(plain)
      await world.operator.vault.seal()
      await world.operator.vault.unseal()
      return post(`/v1/transit/decrypt/${plain}`, root, { ciphertext })
    },
  ),
]

export const vaultPathCases: readonly Case[] = [...policyCases, ...tokenCases, ...pathCases, ...sealedCases]

/** transit/keys: what there is, what a key tells, and adding a version to it. */
import type { Case, Expected } from '../case.ts'
import type { PolicyRule } from '../environment.ts'
import { send } from '../run.ts'
import type { Keys } from './vault-words.ts'
import { configure, DENIED, data, errors, get, inSeconds, post, rotated, tokenFor, withKeys } from './vault-words.ts'

const UNSUPPORTED_PATH = errors(404, '1 error occurred:\n\t* unsupported path\n\n')
const UNSUPPORTED_OPERATION = errors(405, '1 error occurred:\n\t* unsupported operation\n\n')
/** No text at all, which is how a read of nothing differs from every other 404. */
const NOTHING = errors(404)

const LISTED: Expected = { status: 200, json: { data: { keys: isSorted } } }

function isSorted(value: unknown): boolean {
  if (!Array.isArray(value) || value.length < 2) return false
  const names = value.map(String)
  return names.every((name, index) => index === 0 || (names[index - 1] ?? '') < name)
}

const FRESH = {
  type: 'aes256-gcm96',
  derived: false,
  latest_version: 1,
  min_decryption_version: 1,
  min_encryption_version: 0,
  min_available_version: 0,
  deletion_allowed: false,
  exportable: false,
  allow_plaintext_backup: false,
  supports_encryption: true,
  supports_decryption: true,
  supports_signing: false,
  supports_derivation: true,
  auto_rotate_period: 0,
  imported_key: false,
  kdf: undefined,
  keys: { 1: inSeconds, 2: undefined },
}

/** A GET of the plain key, after something was done to it. */
function read(title: string, told: object, change: (keys: Keys) => Promise<unknown> = async () => {}): Case {
  return withKeys(title, data(told), async (keys) => {
    await change(keys)
    return get(`/v1/transit/keys/${keys.plain}`, keys.root)
  })
}

function path(title: string, expected: Expected, ask: (keys: Keys) => { method: string; path: string }): Case {
  return withKeys(title, expected, async (keys) => {
    const { method, path } = ask(keys)
    const request = post(path, keys.root, {})
    return method === 'POST' ? request : { method, path, headers: { 'x-vault-token': keys.root } }
  })
}

const readCases: readonly Case[] = [
  read('a key tells its versions, and when each was made, in seconds', FRESH),
  withKeys(
    'a derived key tells how it derives',
    data({ ...FRESH, derived: true, kdf: 'hkdf_sha256', convergent_encryption: false, kdf_mode: undefined }),
    async ({ derived, root }) => get(`/v1/transit/keys/${derived}`, root),
  ),
  withKeys('a key tells its name', { status: 200, json: { data: { name: '{name}' } } }, async ({ plain, root }) => ({
    ...get(`/v1/transit/keys/${plain}`, root),
    fill: { name: plain },
  })),
  read(
    'a rotated key tells of both versions',
    { latest_version: 2, min_decryption_version: 1, keys: { 1: inSeconds, 2: inSeconds, 3: undefined } },
    (keys) => rotated(keys, 1),
  ),
  read(
    'a key does not tell of versions below its minimum',
    { latest_version: 3, min_decryption_version: 3, keys: { 1: undefined, 2: undefined, 3: inSeconds } },
    async (keys) => {
      await rotated(keys, 2)
      await configure(keys, { min_decryption_version: 3 })
    },
  ),
  read(
    'a key tells of them again once its minimum is lowered',
    { latest_version: 3, min_decryption_version: 1, keys: { 1: inSeconds, 2: inSeconds, 3: inSeconds } },
    async (keys) => {
      await rotated(keys, 2)
      await configure(keys, { min_decryption_version: 3 })
      await configure(keys, { min_decryption_version: 1 })
    },
  ),
  read(
    'a trimmed key tells from where it goes on',
    { latest_version: 3, min_available_version: 2, min_decryption_version: 2, keys: { 1: undefined, 2: inSeconds } },
    async (keys) => {
      await rotated(keys, 2)
      await configure(keys, { min_decryption_version: 2, min_encryption_version: 2 })
      await keys.world.operator.vault.trimTransitKey(keys.plain, 2)
    },
  ),
  withKeys('of a missing key nothing is said', NOTHING, async ({ plain, root }) =>
    get(`/v1/transit/keys/${plain}-none`, root),
  ),
  withKeys(
    'of a missing mount it is said that there is none',
    errors(404, 'no handler for route "nowhere/keys/x". route entry not found.'),
    async ({ root }) => get('/v1/nowhere/keys/x', root),
  ),
  path('a key name that ends in a dot is no name', UNSUPPORTED_PATH, () => ({
    method: 'GET',
    path: '/v1/transit/keys/a.',
  })),
  path('a key name with an escaped slash is no name', UNSUPPORTED_PATH, () => ({
    method: 'GET',
    path: '/v1/transit/keys/a%2fb',
  })),
  path('a key with a slash behind is no key', UNSUPPORTED_PATH, ({ plain }) => ({
    method: 'GET',
    path: `/v1/transit/keys/${plain}/`,
  })),
  path('a key cannot be listed', UNSUPPORTED_PATH, ({ plain }) => ({
    method: 'GET',
    path: `/v1/transit/keys/${plain}?list=true`,
  })),
  path('HEAD of a key is not allowed', { status: 405 }, ({ plain }) => ({
    method: 'HEAD',
    path: `/v1/transit/keys/${plain}`,
  })),
  path('the keys cannot be read', UNSUPPORTED_OPERATION, () => ({ method: 'GET', path: '/v1/transit/keys' })),
  path('the keys can be listed', LISTED, () => ({
    method: 'GET',
    path: '/v1/transit/keys?list=true',
  })),
]

const rotateCases: readonly Case[] = [
  withKeys(
    'a rotation answers with the key as it is then',
    data({ ...FRESH, latest_version: 2, keys: { 1: inSeconds, 2: inSeconds } }),
    async ({ plain, root }) => post(`/v1/transit/keys/${plain}/rotate`, root, {}),
  ),
  read(
    'each rotation adds a version',
    { latest_version: 4, keys: { 1: inSeconds, 2: inSeconds, 3: inSeconds, 4: inSeconds } },
    async ({ world, plain, root }) => {
      for (let time = 0; time < 3; time += 1) {
        await send(world.vault, post(`/v1/transit/keys/${plain}/rotate`, root, {}))
      }
    },
  ),
  withKeys('a rotation needs no body', data({ latest_version: 2 }), async ({ plain, root }) => ({
    method: 'POST',
    path: `/v1/transit/keys/${plain}/rotate`,
    headers: { 'x-vault-token': root },
  })),
  withKeys(
    'a rotation leaves the minimum where it is',
    data({ latest_version: 3, min_decryption_version: 2, keys: { 1: undefined, 2: inSeconds, 3: inSeconds } }),
    async (keys) => {
      await rotated(keys, 1)
      await configure(keys, { min_decryption_version: 2 })
      return post(`/v1/transit/keys/${keys.plain}/rotate`, keys.root, {})
    },
  ),
  withKeys('a missing key is not rotated', errors(400, 'key not found'), async ({ plain, root }) =>
    post(`/v1/transit/keys/${plain}-none/rotate`, root, {}),
  ),
  read('a missing key is not made by a rotation', { latest_version: 1 }, async ({ world, plain, root }) => {
    const none = `${plain}-none`
    await send(world.vault, post(`/v1/transit/keys/${none}/rotate`, root, {}))
    const answer = await send(world.vault, get(`/v1/transit/keys/${none}`, root))
    if (answer.status !== 404) throw new Error('a rotation made a key')
  }),
  ...['GET', 'DELETE'].map((method) =>
    path(`${method} does not rotate`, UNSUPPORTED_OPERATION, ({ plain }) => ({
      method,
      path: `/v1/transit/keys/${plain}/rotate`,
    })),
  ),
  path('a rotation cannot be listed', UNSUPPORTED_PATH, ({ plain }) => ({
    method: 'GET',
    path: `/v1/transit/keys/${plain}/rotate?list=true`,
  })),
  path('nothing else is done to a key', UNSUPPORTED_PATH, ({ plain }) => ({
    method: 'POST',
    path: `/v1/transit/keys/${plain}/nope`,
  })),
  path('a rotation of something below a key is none', UNSUPPORTED_PATH, ({ plain }) => ({
    method: 'POST',
    path: `/v1/transit/keys/${plain}/x/rotate`,
  })),
]

/** A request for the plain key by a token with these rules. */
function ruled(
  title: string,
  expected: Expected,
  rules: (key: string) => readonly PolicyRule[],
  ask: { readonly method?: 'GET' | 'HEAD'; readonly below?: string; readonly body?: unknown },
): Case {
  return withKeys(title, expected, async (keys) => {
    const token = await tokenFor(keys, rules(keys.plain))
    const path = `/v1/transit/keys/${keys.plain}${ask.below ?? ''}`
    return ask.method === undefined
      ? post(path, token, ask.body ?? {})
      : { method: ask.method, path, headers: { 'x-vault-token': token } }
  })
}

const ROTATOR = (key: string): readonly PolicyRule[] => [
  { path: `transit/keys/${key}`, capabilities: ['read'] },
  { path: `transit/keys/${key}/rotate`, capabilities: ['update'] },
  {
    path: `transit/keys/${key}/config`,
    capabilities: ['update'],
    allowedParameters: { min_decryption_version: [] },
  },
]

const rightCases: readonly Case[] = [
  ruled('a right to read a key is enough to read it', data({ latest_version: 1 }), ROTATOR, { method: 'GET' }),
  ruled('a right to rotate is enough to rotate', data({ latest_version: 2 }), ROTATOR, { below: '/rotate' }),
  ruled('a right to configure is enough to configure', data({ min_decryption_version: 1 }), ROTATOR, {
    below: '/config',
    body: { min_decryption_version: 1 },
  }),
  ruled('HEAD needs a right that no policy gives', { status: 403 }, ROTATOR, { method: 'HEAD' }),
  ruled('a right to read a key is none to list it', DENIED, ROTATOR, {
    method: 'GET',
    below: '?list=true',
  }),
  ruled('a right to update a key is none to read it', DENIED, (key) => updates(`transit/keys/${key}`), {
    method: 'GET',
  }),
  ruled('a right to a key is none to rotate it', DENIED, (key) => updates(`transit/keys/${key}`), { below: '/rotate' }),
  ruled('a right to rotate is none to configure', DENIED, (key) => updates(`transit/keys/${key}/rotate`), {
    below: '/config',
  }),
  ruled('a right to create is none to rotate', DENIED, (key) => rule(`transit/keys/${key}/rotate`, ['create']), {
    below: '/rotate',
  }),
  withKeys('whether a key is there is not told to who may not read it', DENIED, async (keys) => {
    const token = await tokenFor(keys, ROTATOR(keys.plain))
    return get(`/v1/transit/keys/${keys.plain}-none`, token)
  }),
  ...['transit/keys', 'transit/keys/', 'transit/keys/*'].map((path) =>
    withKeys(`a right to list ${path} is enough to list`, LISTED, async (keys) => {
      const token = await tokenFor(keys, rule(path, ['list']))
      return get('/v1/transit/keys?list=true', token)
    }),
  ),
]

function rule(path: string, capabilities: PolicyRule['capabilities']): readonly PolicyRule[] {
  return [{ path, capabilities }]
}

function updates(path: string): readonly PolicyRule[] {
  return rule(path, ['update'])
}

export const transitKeyCases: readonly Case[] = [...readCases, ...rotateCases, ...rightCases]

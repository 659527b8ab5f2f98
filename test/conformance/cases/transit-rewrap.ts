/** POST transit/rewrap/:key. Its batch is a 200 whatever became of the items: each says for itself. */
import type { Case, Expected } from '../case.ts'
import type { PolicyRule } from '../environment.ts'
import type { Keys } from './vault-words.ts'
import {
  DENIED,
  data,
  ELSEWHERE,
  errors,
  HELLO,
  HERE,
  MISSING_CONTEXT,
  NOT_AUTHENTIC,
  NOT_BASE64,
  post,
  TOO_NEW,
  TOO_OLD,
  tokenFor,
  withKeys,
} from './vault-words.ts'

const SECOND = { ciphertext: /^vault:v2:[A-Za-z0-9+/]+=*$/, key_version: 2 }
const TOO_LARGE = errors(413, 'http: request body too large')
const BATCH_DECODING = '1 error occurred:\n\t* failed to parse batch input: '

/** A ciphertext of version 1, of a key that has a second one since. */
async function aged({ world, encrypt }: Keys, key: string, context?: string): Promise<string> {
  const ciphertext = await encrypt(key, context)
  await world.operator.vault.rotateTransitKey(key)
  return ciphertext
}

/** What one ciphertext under the derived key, in its context, is answered with. */
function single(title: string, ciphertext: string, expected: Expected): Case {
  return withKeys(title, expected, async ({ derived, root }) =>
    post(`/v1/transit/rewrap/${derived}`, root, { ciphertext, context: HERE }),
  )
}

/** Posts this body to the plain key, which has one version. */
function body(title: string, sent: unknown, expected: Expected): Case {
  return withKeys(title, expected, async ({ plain, root }) => post(`/v1/transit/rewrap/${plain}`, root, sent))
}

/** The outcomes of a batch. */
function results(...outcomes: readonly object[]): Expected {
  return data({ batch_results: outcomes })
}

const refused = (error: string | RegExp, reference = '') => ({
  error,
  reference,
  ciphertext: undefined,
  key_version: undefined,
})

const singleCases: readonly Case[] = [
  withKeys('a ciphertext is re-wrapped under the latest version', data(SECOND), async (keys) =>
    post(`/v1/transit/rewrap/${keys.plain}`, keys.root, { ciphertext: await aged(keys, keys.plain) }),
  ),
  withKeys('a ciphertext in a context is re-wrapped in it', data(SECOND), async (keys) => {
    const ciphertext = await aged(keys, keys.derived, HERE)
    return post(`/v1/transit/rewrap/${keys.derived}`, keys.root, { ciphertext, context: HERE })
  }),
  withKeys('what was re-wrapped decrypts to what it was', data({ plaintext: HELLO }), async (keys) => {
    const ciphertext = await keys.rewrapped(keys.derived, await aged(keys, keys.derived, HERE), HERE)
    return post(`/v1/transit/decrypt/${keys.derived}`, keys.root, { ciphertext, context: HERE })
  }),
  withKeys('a ciphertext of the latest version is re-wrapped all the same', data(SECOND), async (keys) => {
    const ciphertext = await keys.rewrapped(keys.plain, await aged(keys, keys.plain))
    return post(`/v1/transit/rewrap/${keys.plain}`, keys.root, { ciphertext })
  }),
  withKeys('a plain key ignores the context of a re-wrap', data(SECOND), async (keys) =>
    post(`/v1/transit/rewrap/${keys.plain}`, keys.root, { ciphertext: await aged(keys, keys.plain), context: HERE }),
  ),
  withKeys(
    'a re-wrap under an older version is made when asked for',
    data({ ciphertext: /^vault:v1:/, key_version: 1 }),
    async (keys) => {
      const ciphertext = await aged(keys, keys.plain)
      return post(`/v1/transit/rewrap/${keys.plain}`, keys.root, { ciphertext, key_version: 1 })
    },
  ),
  withKeys(
    'a re-wrap under a version that is not there is refused',
    errors(400, 'requested version for encryption is higher than the latest key version'),
    async (keys) =>
      post(`/v1/transit/rewrap/${keys.plain}`, keys.root, {
        ciphertext: await keys.encrypt(keys.plain),
        key_version: 2,
      }),
  ),
  withKeys('a re-wrap under a derived key needs a context', MISSING_CONTEXT, async (keys) =>
    post(`/v1/transit/rewrap/${keys.derived}`, keys.root, { ciphertext: await keys.encrypt(keys.derived, HERE) }),
  ),
  withKeys('a re-wrap in another context is not authentic', NOT_AUTHENTIC, async (keys) => {
    const ciphertext = await keys.encrypt(keys.derived, HERE)
    return post(`/v1/transit/rewrap/${keys.derived}`, keys.root, { ciphertext, context: ELSEWHERE })
  }),
  withKeys('a re-wrap of a ciphertext below the minimum is too old', TOO_OLD, async (keys) => {
    const ciphertext = await aged(keys, keys.derived, HERE)
    await keys.world.operator.vault.configureTransitKey(keys.derived, { minDecryptionVersion: 2 })
    return post(`/v1/transit/rewrap/${keys.derived}`, keys.root, { ciphertext, context: HERE })
  }),
  single('a re-wrap of a version to come is too new', 'vault:v2:AAAA', TOO_NEW),
  single('a re-wrap of what has no prefix is refused', 'hello', errors(400, 'invalid ciphertext: no prefix')),
  single('a re-wrap of what is no base64 is refused', 'vault:v1:!!!', NOT_BASE64),
  single('a re-wrap of nothing is refused', '', errors(400, 'missing ciphertext to decrypt')),
  body('a re-wrap without a ciphertext is refused', {}, errors(400, 'missing ciphertext to decrypt')),
  withKeys(
    'a re-wrap says of fields that it does not know that it ignored them',
    {
      status: 200,
      json: { data: SECOND, warnings: ['Endpoint ignored these unrecognized parameters: [reference x]'] },
    },
    async (keys) =>
      post(`/v1/transit/rewrap/${keys.plain}`, keys.root, {
        ciphertext: await aged(keys, keys.plain),
        reference: 'r',
        x: 1,
      }),
  ),
  withKeys('a re-wrap under a missing key is refused', errors(400, 'encryption key not found'), async (keys) =>
    post(`/v1/transit/rewrap/${keys.plain}-none`, keys.root, { ciphertext: 'vault:v1:AAAA' }),
  ),
]

const batchCases: readonly Case[] = [
  withKeys(
    'a batch is re-wrapped in its order, with its references',
    results({ ...SECOND, reference: 'first' }, { ...SECOND, reference: '' }, { ...SECOND, reference: 'third' }),
    async (keys) => {
      const item = { ciphertext: await aged(keys, keys.derived, HERE), context: HERE }
      return post(`/v1/transit/rewrap/${keys.derived}`, keys.root, {
        batch_input: [{ ...item, reference: 'first' }, item, { ...item, reference: 'third' }],
      })
    },
  ),
  withKeys(
    'a batch of which items failed is a 200 that says so of each',
    results(
      { ...SECOND, reference: 'good' },
      refused('cipher: message authentication failed', 'elsewhere'),
      refused('invalid ciphertext length', 'short'),
      refused('ciphertext or signature version is disallowed by policy (too old)', 'old'),
      refused('invalid ciphertext: version is too new', 'new'),
      refused('invalid ciphertext: no prefix', 'text'),
      refused('invalid ciphertext: could not decode base64', 'base64'),
      refused('missing ciphertext to decrypt', 'empty'),
      refused('missing ciphertext to decrypt', 'none'),
      refused('illegal base64 data at input byte 0', 'context'),
      { ...SECOND, reference: '9' },
    ),
    async (keys) => {
      const old = await aged(keys, keys.derived, HERE)
      const ciphertext = await keys.rewrapped(keys.derived, old, HERE)
      await keys.world.operator.vault.configureTransitKey(keys.derived, { minDecryptionVersion: 2 })
      return post(`/v1/transit/rewrap/${keys.derived}`, keys.root, {
        batch_input: [
          { ciphertext, context: HERE, reference: 'good' },
          { ciphertext, context: ELSEWHERE, reference: 'elsewhere' },
          { ciphertext: 'vault:v2:AAAA', context: HERE, reference: 'short' },
          { ciphertext: old, context: HERE, reference: 'old' },
          { ciphertext: 'vault:v3:AAAA', context: HERE, reference: 'new' },
          { ciphertext: 'hello', context: HERE, reference: 'text' },
          { ciphertext: 'vault:v2:!!!', context: HERE, reference: 'base64' },
          { ciphertext: '', context: HERE, reference: 'empty' },
          { context: HERE, reference: 'none' },
          { ciphertext, context: '!', reference: 'context' },
          { ciphertext, context: HERE, reference: 9 },
        ],
      })
    },
  ),
  withKeys(
    'a batch of one bad item is a 200 when it is re-wrapped',
    results(refused('invalid ciphertext length')),
    async ({ derived, root }) =>
      post(`/v1/transit/rewrap/${derived}`, root, { batch_input: [{ ciphertext: 'vault:v1:AAAA', context: HERE }] }),
  ),
  withKeys(
    'a batch without contexts says of each item of a derived key that it misses it',
    results(refused(/^missing 'context' for key derivation; /), refused(/^missing 'context' for key derivation; /)),
    async (keys) => {
      const item = { ciphertext: await keys.encrypt(keys.derived, HERE) }
      return post(`/v1/transit/rewrap/${keys.derived}`, keys.root, { batch_input: [item, { ...item, context: '' }] })
    },
  ),
  withKeys(
    'a batch to re-wrap must have a context in all items or in none',
    errors(400, 'context should be set either in all the request blocks or in none'),
    async (keys) => {
      const item = { ciphertext: await keys.encrypt(keys.derived, HERE) }
      return post(`/v1/transit/rewrap/${keys.derived}`, keys.root, { batch_input: [{ ...item, context: HERE }, item] })
    },
  ),
  withKeys(
    'an item may ask for a version of its own',
    results({ ciphertext: /^vault:v1:/, key_version: 1 }, SECOND),
    async (keys) => {
      const item = { ciphertext: await aged(keys, keys.plain) }
      return post(`/v1/transit/rewrap/${keys.plain}`, keys.root, { batch_input: [{ ...item, key_version: 1 }, item] })
    },
  ),
  withKeys(
    'a batch under a missing key is not re-wrapped at all',
    errors(400, 'encryption key not found'),
    async ({ plain, root }) =>
      post(`/v1/transit/rewrap/${plain}-none`, root, { batch_input: [{ ciphertext: 'vault:v1:AAAA' }] }),
  ),
  body('an empty batch is not re-wrapped', { batch_input: [] }, errors(400, 'missing batch input to process')),
  body('null for a batch is none', { batch_input: null }, errors(400, 'missing ciphertext to decrypt')),
  body(
    'a number for a ciphertext is its digits',
    { batch_input: [{ ciphertext: 5 }, null] },
    results(refused('invalid ciphertext: no prefix'), refused('missing ciphertext to decrypt')),
  ),
  ...Object.entries({ string: 'x', map: {}, bool: true }).map(([kind, sent]) =>
    body(
      `a ${kind} for a batch to re-wrap is an internal error`,
      { batch_input: sent },
      errors(500, `${BATCH_DECODING}'': source data must be an array or slice, got ${kind}\n\n`),
    ),
  ),
  body(
    'items to re-wrap that are no objects are an internal error',
    { batch_input: ['x', [], true] },
    errors(
      500,
      `${BATCH_DECODING}3 error(s) decoding:\n\n* '[0]' expected a map, got 'string'\n* '[1]' expected a map, got 'slice'\n* '[2]' expected a map, got 'bool'\n\n`,
    ),
  ),
  body(
    'a version in quotes is an internal error',
    { batch_input: [{ ciphertext: 'x', key_version: '1' }] },
    errors(
      500,
      `${BATCH_DECODING}1 error(s) decoding:\n\n* '[0].key_version' expected type 'int', got unconvertible type 'string', value: '1'\n\n`,
    ),
  ),
  body(
    'a batch does not ask for another status when it is re-wrapped',
    { batch_input: [{ ciphertext: 'x' }], partial_failure_response_code: 202 },
    {
      status: 200,
      json: {
        data: { batch_results: [refused('invalid ciphertext: no prefix')] },
        warnings: ['Endpoint ignored these unrecognized parameters: [partial_failure_response_code]'],
      },
    },
  ),
]

const LARGE = 'A'.repeat(150_000)

const sizeCases: readonly Case[] = [
  body(
    'a batch of 37 MB is too large',
    { batch_input: Array.from({ length: 250 }, () => ({ ciphertext: LARGE })) },
    TOO_LARGE,
  ),
  withKeys('a body is too large before a token is asked for', TOO_LARGE, async ({ plain }) =>
    post(`/v1/transit/rewrap/${plain}`, undefined, { batch_input: Array.from({ length: 250 }, () => LARGE) }),
  ),
  body(
    'a ciphertext of 1 MiB is looked at',
    { ciphertext: 'A'.repeat(1024 * 1024) },
    errors(400, 'invalid ciphertext: no prefix'),
  ),
  body(
    'a ciphertext of one byte more is too long, by a 500',
    { ciphertext: 'A'.repeat(1024 * 1024 + 1) },
    errors(500, 'JSON string value exceeds allowed length'),
  ),
  body(
    'a batch of more than 10,000 items is too long, by a 500',
    { batch_input: Array.from({ length: 10_001 }, () => ({})) },
    errors(500, 'JSON array exceeds allowed element count'),
  ),
]

function ruled(title: string, expected: Expected, rules: (key: string) => readonly PolicyRule[]): Case {
  return withKeys(title, expected, async (keys) => {
    const token = await tokenFor(keys, rules(keys.plain))
    return post(`/v1/transit/rewrap/${keys.plain}`, token, { ciphertext: await aged(keys, keys.plain) })
  })
}

const rightCases: readonly Case[] = [
  ruled('a right to re-wrap is enough to re-wrap', data(SECOND), (key) => [
    { path: `transit/rewrap/${key}`, capabilities: ['update'] },
  ]),
  ruled('rights to encrypt and to decrypt are none to re-wrap', DENIED, (key) => [
    { path: `transit/encrypt/${key}`, capabilities: ['update'] },
    { path: `transit/decrypt/${key}`, capabilities: ['update'] },
  ]),
  ruled('a right to re-wrap under another key is none', DENIED, (key) => [
    { path: `transit/rewrap/${key}-other`, capabilities: ['update'] },
  ]),
  withKeys('a right to re-wrap is none to decrypt', DENIED, async (keys) => {
    const token = await tokenFor(keys, [{ path: `transit/rewrap/${keys.plain}`, capabilities: ['update'] }])
    return post(`/v1/transit/decrypt/${keys.plain}`, token, { ciphertext: await keys.encrypt(keys.plain) })
  }),
  withKeys('whether a key is there is not told to who may not re-wrap', DENIED, async (keys) => {
    const token = await tokenFor(keys, [{ path: `transit/rewrap/${keys.plain}`, capabilities: ['update'] }])
    return post(`/v1/transit/rewrap/${keys.plain}-none`, token, { ciphertext: 'vault:v1:AAAA' })
  }),
  ...['GET', 'DELETE'].map((method) =>
    withKeys(
      `${method} does not re-wrap`,
      errors(405, '1 error occurred:\n\t* unsupported operation\n\n'),
      async ({ plain, root }) => ({ method, path: `/v1/transit/rewrap/${plain}`, headers: { 'x-vault-token': root } }),
    ),
  ),
]

export const transitRewrapCases: readonly Case[] = [...singleCases, ...batchCases, ...sizeCases, ...rightCases]

/** POST transit/decrypt/:key, one ciphertext. The order in which it complains is what keyhole reads a key's state from. */
import type { Case, Expected } from '../case.ts'
import {
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
  TOO_SHORT,
  withKeys,
} from './vault-words.ts'

/** Decrypts a fixed text under the derived key, in its context unless said otherwise. */
function literal(title: string, ciphertext: string, expected: Expected, context: string | undefined = HERE): Case {
  return withKeys(title, expected, async ({ derived, root }) =>
    post(`/v1/transit/decrypt/${derived}`, root, { ciphertext, ...(context === '' ? {} : { context }) }),
  )
}

export const transitDecryptCases: readonly Case[] = [
  withKeys('a derived key decrypts in its context', data({ plaintext: HELLO }), async ({ derived, root, encrypt }) =>
    post(`/v1/transit/decrypt/${derived}`, root, { ciphertext: await encrypt(derived, HERE), context: HERE }),
  ),
  withKeys('a plain key decrypts', data({ plaintext: HELLO }), async ({ plain, root, encrypt }) =>
    post(`/v1/transit/decrypt/${plain}`, root, { ciphertext: await encrypt(plain) }),
  ),
  withKeys('a plain key ignores a context', data({ plaintext: HELLO }), async ({ plain, root, encrypt }) =>
    post(`/v1/transit/decrypt/${plain}`, root, { ciphertext: await encrypt(plain), context: HERE }),
  ),
  withKeys('PUT is as good as POST', data({ plaintext: HELLO }), async ({ plain, root, encrypt }) => ({
    ...post(`/v1/transit/decrypt/${plain}`, root, { ciphertext: await encrypt(plain) }),
    method: 'PUT',
  })),
  withKeys('a line break in the base64 is ignored', data({ plaintext: HELLO }), async ({ plain, root, encrypt }) => {
    const ciphertext = await encrypt(plain)
    return post(`/v1/transit/decrypt/${plain}`, root, {
      ciphertext: `${ciphertext.slice(0, 20)}\n${ciphertext.slice(20)}`,
    })
  }),
  withKeys('a derived key needs a context', MISSING_CONTEXT, async ({ derived, root, encrypt }) =>
    post(`/v1/transit/decrypt/${derived}`, root, { ciphertext: await encrypt(derived, HERE) }),
  ),
  withKeys('an empty context is none', MISSING_CONTEXT, async ({ derived, root, encrypt }) =>
    post(`/v1/transit/decrypt/${derived}`, root, { ciphertext: await encrypt(derived, HERE), context: '' }),
  ),
  withKeys('a ciphertext in another context is not authentic', NOT_AUTHENTIC, async ({ derived, root, encrypt }) =>
    post(`/v1/transit/decrypt/${derived}`, root, { ciphertext: await encrypt(derived, HERE), context: ELSEWHERE }),
  ),
  withKeys('a ciphertext of another key is not authentic', NOT_AUTHENTIC, async ({ plain, derived, root, encrypt }) =>
    post(`/v1/transit/decrypt/${plain}`, root, { ciphertext: await encrypt(derived, HERE) }),
  ),
  withKeys('a ciphertext with one bit changed is not authentic', NOT_AUTHENTIC, async ({ plain, root, encrypt }) => {
    const [prefix, version, content = ''] = (await encrypt(plain)).split(':')
    const bytes = Buffer.from(content, 'base64')
    bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20)
    return post(`/v1/transit/decrypt/${plain}`, root, {
      ciphertext: [prefix, version, bytes.toString('base64')].join(':'),
    })
  }),
  literal(
    'a context that is not base64 is refused',
    'vault:v1:AAAA',
    errors(400, 'illegal base64 data at input byte 0'),
    '!!!',
  ),
  literal(
    'a context that is cut short is refused',
    'vault:v1:AAAA',
    errors(400, 'illegal base64 data at input byte 4'),
    'AAAAYQ',
  ),
  literal('a missing ciphertext is refused', '', errors(400, 'missing ciphertext to decrypt')),
  literal('a text without the prefix is refused', 'hello', errors(400, 'invalid ciphertext: no prefix')),
  literal('a space before the prefix is refused', ' vault:v1:AAAA', errors(400, 'invalid ciphertext: no prefix')),
  literal('a prefix without a body is refused', 'vault:v1', errors(400, 'invalid ciphertext: wrong number of fields')),
  literal(
    'a version that is no number is refused',
    'vault:vx:AAAA',
    errors(400, 'invalid ciphertext: version number could not be decoded'),
  ),
  literal('a version that does not exist yet is too new', 'vault:v99:AAAA', TOO_NEW),
  literal('a negative version is too old', 'vault:v-1:AAAA', TOO_OLD),
  literal('version 0 is version 1', 'vault:v0:AAAA', TOO_SHORT),
  literal('a body that is not base64 is refused', 'vault:v1:!!!', NOT_BASE64),
  literal('a body in base64url is refused', 'vault:v1:__--', NOT_BASE64),
  literal('an empty body is too short', 'vault:v1:', TOO_SHORT),
  literal('a body shorter than a nonce is too short', 'vault:v1:AAAA', TOO_SHORT),
  literal('a body of nothing but a nonce is not authentic', `vault:v1:${'A'.repeat(16)}`, NOT_AUTHENTIC),
  literal('the base64 is looked at before the context', 'vault:v1:!!!', NOT_BASE64, ''),
  literal('the version is looked at before the context', 'vault:v99:AAAA', TOO_NEW, ''),
  literal('the context is missed before the length', 'vault:v1:AAAA', MISSING_CONTEXT, ''),
  withKeys('a missing key is said to be missing', errors(400, 'encryption key not found'), async ({ plain, root }) =>
    post(`/v1/transit/decrypt/${plain}-none`, root, { ciphertext: 'vault:v1:AAAA' }),
  ),
  withKeys('the key is missed before the prefix', errors(400, 'encryption key not found'), async ({ plain, root }) =>
    post(`/v1/transit/decrypt/${plain}-none`, root, { ciphertext: 'hello', context: '!!!' }),
  ),
  withKeys(
    'a key that was deleted is missing',
    errors(400, 'encryption key not found'),
    async ({ world, plain, root, encrypt }) => {
      const ciphertext = await encrypt(plain)
      await world.operator.vault.deleteTransitKey(plain)
      return post(`/v1/transit/decrypt/${plain}`, root, { ciphertext })
    },
  ),
  withKeys(
    'a field that is unknown is a warning',
    {
      status: 200,
      json: { data: { plaintext: HELLO }, warnings: ['Endpoint ignored these unrecognized parameters: [place]'] },
    },
    async ({ plain, root, encrypt }) =>
      post(`/v1/transit/decrypt/${plain}`, root, { ciphertext: await encrypt(plain), place: 'x' }),
  ),
  withKeys(
    'a body that is cut short is an internal error',
    errors(500, 'malformed JSON, unclosed containers'),
    async ({ plain, root }) => post(`/v1/transit/decrypt/${plain}`, root, '{'),
  ),
  withKeys(
    'an empty body misses the ciphertext',
    errors(400, 'missing ciphertext to decrypt'),
    async ({ plain, root }) => post(`/v1/transit/decrypt/${plain}`, root, ''),
  ),
  withKeys(
    'a body that is an array is refused',
    errors(
      400,
      'error parsing JSON: failed to parse JSON input: json: cannot unmarshal array into Go value of type map[string]interface {}',
    ),
    async ({ plain, root }) => post(`/v1/transit/decrypt/${plain}`, root, '[]'),
  ),
  withKeys(
    'a ciphertext of more than a MiB is an internal error',
    errors(500, 'JSON string value exceeds allowed length'),
    async ({ plain, root }) =>
      post(`/v1/transit/decrypt/${plain}`, root, { ciphertext: `vault:v1:${'A'.repeat(1024 * 1024)}` }),
  ),
  withKeys('a ciphertext of a MiB is read', errors(400, 'invalid ciphertext: no prefix'), async ({ plain, root }) =>
    post(`/v1/transit/decrypt/${plain}`, root, { ciphertext: 'x'.repeat(1024 * 1024) }),
  ),
  withKeys(
    'a batch of more than 10,000 is an internal error',
    errors(500, 'JSON array exceeds allowed element count'),
    async ({ plain, root }) =>
      post(`/v1/transit/decrypt/${plain}`, root, { batch_input: Array.from({ length: 10_001 }, () => ({})) }),
  ),
  withKeys(
    'a body of more than 10,000 members is an internal error',
    errors(500, 'JSON object exceeds allowed entry count'),
    async ({ plain, root }) =>
      post(
        `/v1/transit/decrypt/${plain}`,
        root,
        Object.fromEntries(Array.from({ length: 10_001 }, (_, index) => [`k${index}`, 1])),
      ),
  ),
  withKeys(
    'a body nested deeper than 300 is an internal error',
    errors(500, 'JSON input exceeds allowed nesting depth'),
    async ({ plain, root }) => post(`/v1/transit/decrypt/${plain}`, root, `{"a":${'['.repeat(300)}${']'.repeat(300)}}`),
  ),
]

/**
 * POST transit/keys/:key/config. It takes a lower minimum as gladly as a higher one, and settings that cannot be taken back:
 * what a rotator may set is for its policy to say, by parameters.
 */
import type { Case, Expected } from '../case.ts'
import type { PolicyRule } from '../environment.ts'
import { send } from '../run.ts'
import {
  configure,
  DENIED,
  data,
  errors,
  get,
  HERE,
  inSeconds,
  MISSING_CONTEXT,
  post,
  rotated,
  tokenFor,
  withKeys,
} from './vault-words.ts'

/** Posts to its config, when the plain key has versions 1 to 3. */
function configured(title: string, sent: unknown, expected: Expected, ...before: readonly object[]): Case {
  return withKeys(title, expected, async (keys) => {
    await rotated(keys, 2)
    for (const config of before) await configure(keys, config)
    return post(`/v1/transit/keys/${keys.plain}/config`, keys.root, sent)
  })
}

const NOT_AN_INTEGER = (what: string) =>
  errors(
    400,
    `Field validation failed: error converting input for field "min_decryption_version": cannot parse '' as int: strconv.ParseInt: parsing "${what}": invalid syntax`,
  )

const configCases: readonly Case[] = [
  configured('a raised minimum is told', { min_decryption_version: 2 }, data({ min_decryption_version: 2 })),
  configured(
    'the minimum may be the latest version',
    { min_decryption_version: 3 },
    data({ min_decryption_version: 3 }),
  ),
  configured(
    'a lowered minimum is taken',
    { min_decryption_version: 1 },
    data({ min_decryption_version: 1, keys: { 1: inSeconds } }),
    { min_decryption_version: 3 },
  ),
  configured('the minimum that it has is taken', { min_decryption_version: 1 }, data({ min_decryption_version: 1 })),
  configured(
    'a minimum beyond the latest version is refused',
    { min_decryption_version: 4 },
    errors(400, 'cannot set min decryption version of 4, latest key version is 3'),
  ),
  configured(
    'a negative minimum is refused',
    { min_decryption_version: -1 },
    errors(400, 'min decryption version cannot be negative'),
  ),
  configured(
    'a minimum of zero is 1, with a warning',
    { min_decryption_version: 0 },
    {
      status: 200,
      json: {
        data: { min_decryption_version: 1 },
        warnings: ['since Vault 0.3, transit key numbering starts at 1; forcing minimum to 1'],
      },
    },
  ),
  configured('a minimum in quotes is taken', { min_decryption_version: '2' }, data({ min_decryption_version: 2 })),
  configured('a minimum in words is refused', { min_decryption_version: 'two' }, NOT_AN_INTEGER('two')),
  configured('half a version is refused', { min_decryption_version: 2.5 }, NOT_AN_INTEGER('2.5')),
  configured(
    'a list for a minimum is refused',
    { min_decryption_version: [2] },
    errors(
      400,
      `Field validation failed: error converting input for field "min_decryption_version": '' expected type 'int', got unconvertible type '[]interface {}', value: '[2]'`,
    ),
  ),
  configured(
    'a minimum above the one for encryption is refused',
    { min_decryption_version: 2 },
    errors(
      400,
      'cannot set min encryption/decryption values; min encryption version of 1 must be greater than or equal to min decryption version of 2',
    ),
    { min_encryption_version: 1 },
  ),
  configured(
    'both minimums may be raised at once',
    { min_decryption_version: 2, min_encryption_version: 3 },
    data({ min_decryption_version: 2, min_encryption_version: 3 }),
  ),
  configured(
    'a minimum for encryption beyond the latest version is refused',
    { min_encryption_version: 4 },
    errors(400, 'cannot set min encryption version of 4, latest key version is 3'),
  ),
  configured(
    'a negative minimum for encryption is refused',
    { min_encryption_version: -1 },
    errors(400, 'min encryption version cannot be negative'),
  ),
  configured('a key may be made exportable', { exportable: true }, data({ exportable: true })),
  configured(
    'what is exportable stays so',
    { exportable: false, allow_plaintext_backup: false },
    data({ exportable: true, allow_plaintext_backup: true }),
    { exportable: true, allow_plaintext_backup: true },
  ),
  configured(
    'exportable is yes or no',
    { exportable: 'perhaps' },
    errors(
      400,
      `Field validation failed: error converting input for field "exportable": cannot parse '' as bool: strconv.ParseBool: parsing "perhaps": invalid syntax`,
    ),
  ),
  configured('deletion may be allowed', { deletion_allowed: true }, data({ deletion_allowed: true })),
  configured('a key may rotate by itself', { auto_rotate_period: '1h30m' }, data({ auto_rotate_period: 5400 })),
  configured(
    'a key does not rotate by itself more often than every hour',
    { auto_rotate_period: 5 },
    errors(400, 'auto rotate period must be 0 to disable or at least an hour'),
  ),
  withKeys(
    'a refused configuration changes nothing, not in part either',
    data({ min_decryption_version: 1, exportable: false }),
    async (keys) => {
      await send(
        keys.world.vault,
        post(`/v1/transit/keys/${keys.plain}/config`, keys.root, { min_decryption_version: 9, exportable: true }),
      )
      return get(`/v1/transit/keys/${keys.plain}`, keys.root)
    },
  ),
  configured('an empty configuration answers with the key', {}, data({ latest_version: 3, min_decryption_version: 1 })),
  configured(
    'fields that it does not know are ignored, with a warning',
    { min_decryption_version: 2, y: 1, x: 1 },
    {
      status: 200,
      json: {
        data: { min_decryption_version: 2 },
        warnings: ['Endpoint ignored these unrecognized parameters: [x y]'],
      },
    },
  ),
  withKeys(
    'a missing key is not configured',
    errors(400, 'no existing key named {name} could be found'),
    async ({ plain, root }) => ({
      ...post(`/v1/transit/keys/${plain}-none/config`, root, { min_decryption_version: 1 }),
      fill: { name: `${plain}-none` },
    }),
  ),
  withKeys(
    'a configuration that is no object is refused',
    errors(
      400,
      'error parsing JSON: failed to parse JSON input: json: cannot unmarshal array into Go value of type map[string]interface {}',
    ),
    async ({ plain, root }) => post(`/v1/transit/keys/${plain}/config`, root, []),
  ),
  withKeys('what was below the minimum decrypts again once it is lowered', MISSING_CONTEXT, async (keys) => {
    const { world, derived, root } = keys
    await keys.encrypt(derived, HERE)
    await world.operator.vault.rotateTransitKey(derived)
    for (const version of [2, 1]) {
      await world.operator.vault.configureTransitKey(derived, { minDecryptionVersion: version })
    }
    return post(`/v1/transit/decrypt/${derived}`, root, { ciphertext: 'vault:v1:AAAA' })
  }),
  ...['GET', 'DELETE'].map((method) =>
    withKeys(
      `${method} does not configure`,
      errors(405, '1 error occurred:\n\t* unsupported operation\n\n'),
      async ({ plain, root }) => ({ ...get(`/v1/transit/keys/${plain}/config`, root), method }),
    ),
  ),
]

type Parameters = Readonly<Record<string, readonly unknown[]>>

/** Posts to the config of the plain key, which has two versions, by a token with one policy for each of the rules. */
function ruled(
  title: string,
  expected: Expected,
  rules: readonly Omit<PolicyRule, 'path' | 'capabilities'>[],
  sent: unknown,
): Case {
  return withKeys(title, expected, async (keys) => {
    await rotated(keys, 1)
    const path = `transit/keys/${keys.plain}/config`
    const policies = rules.map((rule): readonly PolicyRule[] => [{ path, capabilities: ['update'], ...rule }])
    return post(`/v1/${path}`, await tokenFor(keys, ...policies), sent)
  })
}

const TAKEN = data({ latest_version: 2 })
const MINIMUM_ONLY = [{ allowedParameters: { min_decryption_version: [] } }]
const allowing = (allowedParameters: Parameters) => [{ allowedParameters }]
const denying = (deniedParameters: Parameters) => [{ deniedParameters }]

const parameterCases: readonly Case[] = [
  ruled('an allowed parameter passes', data({ min_decryption_version: 2 }), MINIMUM_ONLY, {
    min_decryption_version: 2,
  }),
  ruled('an allowed parameter passes lowered, too', TAKEN, MINIMUM_ONLY, { min_decryption_version: 1 }),
  ruled('any other parameter is denied', DENIED, MINIMUM_ONLY, { exportable: true }),
  ruled('any other parameter is denied beside an allowed one', DENIED, MINIMUM_ONLY, {
    min_decryption_version: 2,
    allow_plaintext_backup: true,
  }),
  ruled('a parameter that Vault does not know is denied as well', DENIED, MINIMUM_ONLY, { x: 1 }),
  ruled('a denied parameter is denied whatever its value', DENIED, MINIMUM_ONLY, { exportable: null }),
  ruled('no parameters pass, whatever is allowed', TAKEN, MINIMUM_ONLY, {}),
  ruled(
    'the name of a parameter is the same in capitals, and then ignored',
    {
      status: 200,
      json: {
        data: { min_decryption_version: 1 },
        warnings: ['Endpoint ignored these unrecognized parameters: [MIN_DECRYPTION_VERSION]'],
      },
    },
    MINIMUM_ONLY,
    { MIN_DECRYPTION_VERSION: 2 },
  ),
  ruled('an allowed value passes', TAKEN, allowing({ min_decryption_version: ['1', '2'] }), {
    min_decryption_version: '2',
  }),
  ruled('another value is denied', DENIED, allowing({ min_decryption_version: ['1'] }), {
    min_decryption_version: '2',
  }),
  ruled('a number is no allowed text', DENIED, allowing({ min_decryption_version: ['2'] }), {
    min_decryption_version: 2,
  }),
  ruled('a number is not even an allowed number', DENIED, allowing({ min_decryption_version: [2] }), {
    min_decryption_version: 2,
  }),
  ruled('an allowed yes passes', data({ exportable: true }), allowing({ exportable: [true] }), { exportable: true }),
  ruled('a no is not an allowed yes', DENIED, allowing({ exportable: [true] }), { exportable: false }),
  ruled('an allowed value may end in anything', TAKEN, allowing({ min_decryption_version: ['0*'] }), {
    min_decryption_version: '01',
  }),
  ruled('everything may be allowed', TAKEN, allowing({ '*': [] }), {
    min_decryption_version: 2,
    deletion_allowed: true,
  }),
  ruled('everything may be allowed but for the values of one', DENIED, allowing({ '*': [], exportable: [false] }), {
    exportable: true,
  }),
  ruled('what is not the one passes', TAKEN, allowing({ '*': [], exportable: [false] }), {
    exportable: false,
    min_decryption_version: 2,
  }),
  ruled('a denied parameter is denied', DENIED, denying({ exportable: [] }), { exportable: false }),
  ruled('what is not denied passes', TAKEN, denying({ exportable: [] }), { min_decryption_version: 2 }),
  ruled('a denied value is denied', DENIED, denying({ exportable: [true] }), { exportable: true }),
  ruled('a value that is not denied passes', TAKEN, denying({ exportable: [true] }), { exportable: false }),
  ruled('a denied yes does not deny the word', data({ exportable: true }), denying({ exportable: [true] }), {
    exportable: 'true',
  }),
  ruled('everything may be denied', DENIED, denying({ '*': [] }), { min_decryption_version: 2 }),
  ruled('where everything is denied, no parameters pass', TAKEN, denying({ '*': [] }), {}),
  ruled(
    'a denial beats a permission',
    DENIED,
    [{ allowedParameters: { exportable: [] }, deniedParameters: { exportable: [] } }],
    { exportable: true },
  ),
  ruled('a second policy without parameters lifts nothing', DENIED, [...MINIMUM_ONLY, {}], { exportable: true }),
  ruled('of two policies the allowed parameters add up', TAKEN, [...MINIMUM_ONLY, ...allowing({ exportable: [] })], {
    min_decryption_version: 2,
    exportable: false,
  }),
  ruled(
    'of two policies the allowed values add up',
    TAKEN,
    [...allowing({ min_decryption_version: ['1'] }), ...allowing({ min_decryption_version: ['2'] })],
    { min_decryption_version: '2' },
  ),
]

export const transitKeyConfigCases: readonly Case[] = [...configCases, ...parameterCases]

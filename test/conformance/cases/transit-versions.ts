/**
 * What a version says of a key. `vault:vN:AAAA` without a context tells a derived key from a plain one only while N lies
 * between the minimum and the latest version: below, both say "too old", above, both say "too new".
 */
import type { Case, Expected } from '../case.ts'
import type { Keys } from './vault-words.ts'
import {
  data,
  errors,
  HELLO,
  HERE,
  MISSING_CONTEXT,
  NOT_BASE64,
  post,
  TOO_NEW,
  TOO_OLD,
  TOO_SHORT,
  withKeys,
} from './vault-words.ts'

type Which = 'derived' | 'plain'

/** Asks a key that has versions 1 to 3, of which 2 is the oldest that may be decrypted. */
function probe(title: string, which: Which, ciphertext: string, expected: Expected): Case {
  return withKeys(title, expected, async (keys) => {
    await retired(keys, which)
    return post(`/v1/transit/decrypt/${keys[which]}`, keys.root, { ciphertext })
  })
}

async function retired({ world, ...keys }: Keys, which: Which): Promise<void> {
  await world.operator.vault.rotateTransitKey(keys[which])
  await world.operator.vault.rotateTransitKey(keys[which])
  await world.operator.vault.configureTransitKey(keys[which], { minDecryptionVersion: 2 })
}

export const transitVersionCases: readonly Case[] = [
  withKeys('asked without a context, a fresh derived key misses it', MISSING_CONTEXT, async ({ derived, root }) =>
    post(`/v1/transit/decrypt/${derived}`, root, { ciphertext: 'vault:v1:AAAA' }),
  ),
  withKeys('asked without a context, a fresh plain key finds the body too short', TOO_SHORT, async ({ plain, root }) =>
    post(`/v1/transit/decrypt/${plain}`, root, { ciphertext: 'vault:v1:AAAA' }),
  ),
  probe(
    'asked below its minimum, a derived key says too old, not that a context is missing',
    'derived',
    'vault:v1:AAAA',
    TOO_OLD,
  ),
  probe('asked below its minimum, a plain key says too old', 'plain', 'vault:v1:AAAA', TOO_OLD),
  probe('version 0 is as old as version 1', 'derived', 'vault:v0:AAAA', TOO_OLD),
  probe('asked at its minimum, a derived key misses the context', 'derived', 'vault:v2:AAAA', MISSING_CONTEXT),
  probe('asked at its minimum, a plain key finds the body too short', 'plain', 'vault:v2:AAAA', TOO_SHORT),
  probe('asked at its latest version, a derived key misses the context', 'derived', 'vault:v3:AAAA', MISSING_CONTEXT),
  probe('asked at its latest version, a plain key finds the body too short', 'plain', 'vault:v3:AAAA', TOO_SHORT),
  probe('asked above its latest version, a derived key says too new', 'derived', 'vault:v4:AAAA', TOO_NEW),
  probe('asked far above its latest version, a plain key says too new', 'plain', 'vault:v99:AAAA', TOO_NEW),
  probe('the minimum is looked at before the base64', 'derived', 'vault:v1:!!!', TOO_OLD),
  probe('the base64 is looked at before the context, at the latest version too', 'derived', 'vault:v3:!!!', NOT_BASE64),
  withKeys('a good ciphertext below the minimum is too old', TOO_OLD, async (keys) => {
    const ciphertext = await keys.encrypt(keys.derived, HERE)
    await retired(keys, 'derived')
    return post(`/v1/transit/decrypt/${keys.derived}`, keys.root, { ciphertext, context: HERE })
  }),
  withKeys('a good ciphertext of an older version is decrypted', data({ plaintext: HELLO }), async (keys) => {
    const ciphertext = await keys.encrypt(keys.derived, HERE)
    await keys.world.operator.vault.rotateTransitKey(keys.derived)
    return post(`/v1/transit/decrypt/${keys.derived}`, keys.root, { ciphertext, context: HERE })
  }),
  withKeys('a lowered minimum revives an old ciphertext', data({ plaintext: HELLO }), async (keys) => {
    const ciphertext = await keys.encrypt(keys.derived, HERE)
    await retired(keys, 'derived')
    await keys.world.operator.vault.configureTransitKey(keys.derived, { minDecryptionVersion: 1 })
    return post(`/v1/transit/decrypt/${keys.derived}`, keys.root, { ciphertext, context: HERE })
  }),
  withKeys('a version that was trimmed is too old', TOO_OLD, async (keys) => {
    const ciphertext = await keys.encrypt(keys.derived, HERE)
    await retired(keys, 'derived')
    await keys.world.operator.vault.configureTransitKey(keys.derived, { minEncryptionVersion: 2 })
    await keys.world.operator.vault.trimTransitKey(keys.derived, 2)
    return post(`/v1/transit/decrypt/${keys.derived}`, keys.root, { ciphertext, context: HERE })
  }),
  withKeys(
    'a rotated key encrypts under its latest version',
    data({ ciphertext: /^vault:v2:[A-Za-z0-9+/]+=*$/, key_version: 2 }),
    async ({ world, plain, root }) => {
      await world.operator.vault.rotateTransitKey(plain)
      return post(`/v1/transit/encrypt/${plain}`, root, { plaintext: HELLO })
    },
  ),
  withKeys(
    'a key encrypts under an older version when asked to',
    data({ ciphertext: /^vault:v1:/, key_version: 1 }),
    async ({ world, plain, root }) => {
      await world.operator.vault.rotateTransitKey(plain)
      return post(`/v1/transit/encrypt/${plain}`, root, { plaintext: HELLO, key_version: 1 })
    },
  ),
  withKeys(
    'a key does not encrypt under a version that it has not',
    errors(400, 'requested version for encryption is higher than the latest key version'),
    async ({ plain, root }) => post(`/v1/transit/encrypt/${plain}`, root, { plaintext: HELLO, key_version: 2 }),
  ),
  withKeys(
    'a key does not encrypt below its minimum',
    errors(400, 'requested version for encryption is less than the minimum encryption key version'),
    async ({ world, plain, root }) => {
      await world.operator.vault.rotateTransitKey(plain)
      await world.operator.vault.configureTransitKey(plain, { minEncryptionVersion: 2 })
      return post(`/v1/transit/encrypt/${plain}`, root, { plaintext: HELLO, key_version: 1 })
    },
  ),
]

/** POST transit/encrypt/:key, and what a policy lets one do with it. */
import type { Case } from '../case.ts'
import type { PolicyRule } from '../environment.ts'
import type { Keys } from './vault-words.ts'
import { DENIED, data, errors, HELLO, HERE, MISSING_CONTEXT, post, withKeys } from './vault-words.ts'

const CIPHERTEXT = data({ ciphertext: /^vault:v1:[A-Za-z0-9+/]+=*$/, key_version: 1 })

async function tokenWith(
  { world, plain }: Keys,
  path: string,
  capabilities: PolicyRule['capabilities'],
): Promise<string> {
  await world.operator.vault.putPolicy(plain, [{ path, capabilities }])
  return world.operator.vault.createToken({ policies: [plain], ttlSeconds: 600, type: 'batch' })
}

export const transitEncryptCases: readonly Case[] = [
  withKeys('a plain key encrypts', CIPHERTEXT, async ({ plain, root }) =>
    post(`/v1/transit/encrypt/${plain}`, root, { plaintext: HELLO }),
  ),
  withKeys('a derived key encrypts in a context', CIPHERTEXT, async ({ derived, root }) =>
    post(`/v1/transit/encrypt/${derived}`, root, { plaintext: HELLO, context: HERE }),
  ),
  withKeys('an empty plaintext may be encrypted', CIPHERTEXT, async ({ plain, root }) =>
    post(`/v1/transit/encrypt/${plain}`, root, { plaintext: '' }),
  ),
  withKeys('a derived key does not encrypt without a context', MISSING_CONTEXT, async ({ derived, root }) =>
    post(`/v1/transit/encrypt/${derived}`, root, { plaintext: HELLO }),
  ),
  withKeys('a missing plaintext is refused', errors(400, 'missing plaintext to encrypt'), async ({ plain, root }) =>
    post(`/v1/transit/encrypt/${plain}`, root, { context: HERE }),
  ),
  withKeys(
    'a plaintext that is not base64 is refused',
    errors(400, 'illegal base64 data at input byte 1'),
    async ({ plain, root }) => post(`/v1/transit/encrypt/${plain}`, root, { plaintext: 'a!bc' }),
  ),
  withKeys('a missing key is made by who may create it', CIPHERTEXT, async (keys) => {
    const token = await tokenWith(keys, `transit/encrypt/${keys.plain}-new`, ['create'])
    return post(`/v1/transit/encrypt/${keys.plain}-new`, token, { plaintext: HELLO })
  }),
  withKeys('a missing key is not made by who may only update it', DENIED, async (keys) => {
    const token = await tokenWith(keys, `transit/encrypt/${keys.plain}-new`, ['update'])
    return post(`/v1/transit/encrypt/${keys.plain}-new`, token, { plaintext: HELLO })
  }),
  withKeys('a key that is there needs the right to update', DENIED, async (keys) => {
    const token = await tokenWith(keys, `transit/encrypt/${keys.plain}`, ['create'])
    return post(`/v1/transit/encrypt/${keys.plain}`, token, { plaintext: HELLO })
  }),
  withKeys('a right to encrypt is no right to decrypt', DENIED, async (keys) => {
    const token = await tokenWith(keys, `transit/encrypt/${keys.plain}`, ['update'])
    return post(`/v1/transit/decrypt/${keys.plain}`, token, { ciphertext: 'vault:v1:AAAA' })
  }),
]

/** What a test or an operator sets up in Vault, past the wire. */
import type { TransitSeed, VaultRole, VaultSeed } from '../vault.ts'
import type { VaultState } from './core.ts'
import type { Keyring } from './keyring.ts'
import { createKeyring } from './keyring.ts'

export function seeding(state: VaultState): Omit<VaultSeed, 'rootToken'> {
  return {
    seal() {
      state.sealed = true
    },
    unseal() {
      state.sealed = false
    },
    putPolicy(name, rules) {
      state.policies.set(name, rules)
    },
    deletePolicy(name) {
      state.policies.delete(name)
    },
    putRole(role) {
      const mount = role.mount ?? 'kubernetes'
      const roles = state.roles.get(mount) ?? new Map<string, VaultRole>()
      state.roles.set(mount, roles.set(role.name.toLowerCase(), role))
    },
    deleteRole(name, mount = 'kubernetes') {
      state.roles.get(mount)?.delete(name.toLowerCase())
    },
    createToken({ policies, ttlSeconds, type = 'batch' }) {
      return state.tokens.issue({ policies, ttlSeconds, type })
    },
    transit(mount = 'transit') {
      const keys = state.transit.get(mount) ?? new Map<string, Keyring>()
      state.transit.set(mount, keys)
      return transitSeed(keys, state)
    },
  }
}

function transitSeed(keys: Map<string, Keyring>, { clock, random }: VaultState): TransitSeed {
  function key(name: string): Keyring {
    const found = keys.get(name)
    if (found === undefined) throw new Error(`no Transit key ${name}: put it first`)
    return found
  }
  return {
    putKey(name, { derived = false, createdAtMs } = {}) {
      if (!keys.has(name)) keys.set(name, createKeyring({ derived, clock, random, createdAtMs }))
    },
    deleteKey(name) {
      keys.delete(name)
    },
    rotateKey: (name) => key(name).rotate(),
    configureKey: (name, config) => key(name).configure(config),
    trimKey: (name, minAvailableVersion) => key(name).trim(minAvailableVersion),
    key: (name) => keys.get(name)?.state,
    encrypt: (name, plaintext, { context, keyVersion = 0 } = {}) =>
      key(name).encrypt(Buffer.from(plaintext), context, keyVersion).ciphertext,
    decrypt: (name, ciphertext, { context } = {}) => key(name).decrypt(ciphertext, context),
    rewrap: (name, ciphertext, { context } = {}) =>
      key(name).encrypt(key(name).decrypt(ciphertext, context), context, 0).ciphertext,
  }
}

/** Vault's administrator: everything that the tests change in Vault, by raw HTTPS with the root token. */
import type { PolicyRule, VaultOperator, VaultRole } from '../conformance/environment.ts'
import type { Call } from './call.ts'
import { caller, expectStatus } from './call.ts'
import { unseal } from './initialise-vault.ts'
import type { Connection } from './start.ts'

export interface RealVaultOperator extends VaultOperator {
  readonly call: Call
  /** @param context base64, for a derived key. */
  encrypt(key: string, plaintext: string | Buffer, context?: string): Promise<string>
  deletePolicy(name: string): Promise<void>
}

interface Ciphertext {
  readonly data: { readonly ciphertext: string }
}

export function vaultOperator({ ca, vault }: Connection): RealVaultOperator {
  const call = caller({ origin: vault.origin, ca, headers: { 'x-vault-token': vault.rootToken } })
  const write = (path: string, body: unknown = {}): Promise<unknown> => expectStatus(call('POST', `/v1/${path}`, body))
  const remove = (path: string): Promise<unknown> => expectStatus(call('DELETE', `/v1/${path}`))

  return {
    rootToken: vault.rootToken,
    call,
    async putPolicy(name: string, rules: readonly PolicyRule[]) {
      await write(`sys/policies/acl/${name}`, { policy: rules.map(stanza).join('\n') })
    },
    async deletePolicy(name) {
      await remove(`sys/policies/acl/${name}`)
    },
    async putRole(role: VaultRole) {
      await write(`auth/kubernetes/role/${role.name}`, {
        audience: role.audience ?? '',
        bound_service_account_names: role.serviceAccountNames,
        bound_service_account_namespaces: role.serviceAccountNamespaces,
        token_policies: role.policies,
        token_ttl: role.tokenTtlSeconds,
        token_type: role.tokenType,
        token_no_default_policy: true,
      })
    },
    async deleteRole(name) {
      await remove(`auth/kubernetes/role/${name}`)
    },
    async createToken({ policies, ttlSeconds, type }) {
      const order = { policies, ttl: `${ttlSeconds}s`, type, no_default_policy: true }
      const made = call<{ auth: { client_token: string } }>('POST', '/v1/auth/token/create', order)
      return (await expectStatus(made)).auth.client_token
    },
    async createTransitKey({ name, derived }) {
      await write(`transit/keys/${name}`, { type: 'aes256-gcm96', derived })
    },
    async rotateTransitKey(name) {
      await write(`transit/keys/${name}/rotate`)
    },
    async configureTransitKey(name, { minDecryptionVersion, minEncryptionVersion }) {
      await write(`transit/keys/${name}/config`, {
        min_decryption_version: minDecryptionVersion,
        min_encryption_version: minEncryptionVersion,
      })
    },
    async trimTransitKey(name, minAvailableVersion) {
      await write(`transit/keys/${name}/trim`, { min_available_version: minAvailableVersion })
    },
    async deleteTransitKey(name) {
      await write(`transit/keys/${name}/config`, { deletion_allowed: true })
      await remove(`transit/keys/${name}`)
    },
    async seal() {
      await write('sys/seal')
    },
    unseal: () => unseal(vault, ca),
    async encrypt(key, plaintext, context) {
      const order = { plaintext: Buffer.from(plaintext).toString('base64'), context }
      return (await expectStatus(call<Ciphertext>('POST', `/v1/transit/encrypt/${key}`, order))).data.ciphertext
    },
  }
}

/** HCL, whose values are JSON here. Not JSON as a whole, of which Vault drops the booleans in the lists of parameters. */
function stanza({ path, capabilities, allowedParameters, deniedParameters }: PolicyRule): string {
  const lines = Object.entries({
    capabilities,
    allowed_parameters: allowedParameters,
    denied_parameters: deniedParameters,
  }).map(([field, value]) => (value === undefined ? '' : `  ${field} = ${hcl(value)}\n`))
  return `path ${JSON.stringify(path)} {\n${lines.join('')}}`
}

function hcl(value: object): string {
  if (Array.isArray(value)) return JSON.stringify(value)
  return `{ ${Object.entries(value)
    .map(([name, values]) => `${JSON.stringify(name)} = ${JSON.stringify(values)}`)
    .join(', ')} }`
}

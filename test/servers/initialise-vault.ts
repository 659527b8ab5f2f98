/** What Vault needs before it is of use: initialisation, unsealing, and the plugin of the Kubernetes auth method. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { caller, expectStatus } from './call.ts'
import type { Layout } from './processes.ts'
import { VAULT_PLUGIN } from './programs.ts'
import type { Connection } from './start.ts'
import { until } from './until.ts'

/** Initialises, unseals, and registers the Kubernetes auth plugin by its checksum. */
export async function initialiseVault(
  { programs, authority }: Pick<Layout, 'programs' | 'authority'>,
  origin: string,
): Promise<Connection['vault']> {
  const target = { origin, ca: authority.ca }
  const anyone = caller(target)
  const shares = { secret_shares: 1, secret_threshold: 1 }
  const made = await expectStatus(anyone<{ keys: [string]; root_token: string }>('PUT', '/v1/sys/init', shares))
  const vault = { origin: target.origin, rootToken: made.root_token, unsealKey: made.keys[0] }
  await unseal(vault, authority.ca)
  const root = caller({ ...target, headers: { 'x-vault-token': vault.rootToken } })
  const plugin = readFileSync(join(programs.vaultPluginDirectory, VAULT_PLUGIN))
  const sha256 = createHash('sha256').update(plugin).digest('hex')
  const path = `/v1/sys/plugins/catalog/auth/${VAULT_PLUGIN}`
  await expectStatus(root('PUT', path, { sha256, command: VAULT_PLUGIN }))
  return vault
}

/** Resolves once Vault serves: between unsealing and serving it elects itself leader. */
export async function unseal({ origin, unsealKey }: Connection['vault'], ca: string): Promise<void> {
  const call = caller({ origin, ca })
  await expectStatus(call('PUT', '/v1/sys/unseal', { key: unsealKey }))
  await until('Vault serves', async () => (await call('GET', '/v1/sys/health')).status === 200)
}

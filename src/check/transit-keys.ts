/** The Transit keys, each by the role that uses it; and whether every Secret still opens, as far as its version tells. */
import type { TransitKey } from '../policy/schema.ts'
import type { Located } from '../services/rotation/inspect.ts'
import type { TransitKeyInfo } from '../services/rotation/ports.ts'
import { probeCiphertext } from '../services/transit-ciphertext.ts'
import { listed } from '../words.ts'
import { failed } from './failures.ts'
import type { Checking, Finding } from './finding.ts'
import { ok, skipped, toFix } from './finding.ts'
import type { Checked } from './policy.ts'
import { pathOf } from './policy.ts'
import type { CheckParts, VaultPort } from './ports.ts'
import type { Found } from './secrets.ts'
import { step } from './step.ts'
import type { OpenedVault } from './vault.ts'

/** What Vault tells of each key to whoever rotates, by its name. */
export type Infos = ReadonlyMap<string, TransitKeyInfo>

export async function* transitKeys(
  parts: CheckParts,
  vault: OpenedVault | undefined,
  policy: Checked | undefined,
  found: Found,
): Checking<Infos> {
  const infos = new Map<string, TransitKeyInfo>()
  const { serves } = parts.config
  if (vault === undefined || policy === undefined) {
    const because = policy === undefined ? 'policy' : 'vault'
    yield* skipped(because, 'transit-keys', 'key-versions', ...(serves.rotate ? (['wide-vault-rights'] as const) : []))
    return infos
  }
  const { port, roles } = vault
  for (const { transitKey } of policy.keys) {
    const [readRole, rotateRole] = usedBy(parts, transitKey)
    if (serves.read) {
      if (!roles.has(readRole)) yield* skipped('vault-login', 'transit-keys')
      else if (yield* reads(parts, port, transitKey)) yield* opens(parts, port, transitKey, found)
    }
    if (serves.rotate) {
      if (!roles.has(rotateRole)) yield* skipped('vault-login', 'transit-keys', 'wide-vault-rights')
      else {
        const info = yield* rotates(parts, port, transitKey, found)
        if (info !== undefined) infos.set(transitKey.name, info)
        yield* onlyRotates(parts, port, transitKey)
      }
    }
  }
  if (policy.keys.length === 0) yield ok('transit-keys', 'the policy has none')
  return infos
}

function usedBy({ config }: CheckParts, { vaultRoles }: TransitKey): readonly [read: string, rotate: string] {
  return [vaultRoles.read ?? config.KEYHOLE_VAULT_ROLE, vaultRoles.rotate ?? config.KEYHOLE_VAULT_ROTATE_ROLE]
}

async function* reads(parts: CheckParts, port: VaultPort, key: TransitKey): Checking<boolean> {
  try {
    await step(parts, (signal) => port.provenForReading(key, signal))
    yield ok('transit-keys', `${pathOf(key)} may be read with${key.binding === 'place' ? ', and is derived' : ''}`)
    return true
  } catch (error) {
    yield withName(key, failed('transit-keys', error))
    return false
  }
}

function withName<F extends { readonly detail: string }>(key: TransitKey, finding: F): F {
  return { ...finding, detail: `${pathOf(key)}: ${finding.detail}` }
}

/** By the version alone: Vault is asked about a ciphertext of that version that cannot be one. */
async function* opens(parts: CheckParts, port: VaultPort, key: TransitKey, found: Found): Checking {
  const check = 'key-versions'
  const byVersion = versionsOf(found.get(key.name) ?? [])
  const flaws: Finding[] = []
  try {
    for (const [version, inIt] of byVersion) {
      const kind = await step(parts, (signal) => port.readerRefusal(key, probeCiphertext(version), signal))
      if (kind === 'too-old') flaws.push(belowMinimum(key, version, inIt))
      if (kind === 'too-new') {
        const detail = `${secretsText(inIt)}: version ${version}, which ${pathOf(key)} does not have`
        const why = 'Vault was restored from a backup, or a standby lags, or somebody wrote it by hand'
        flaws.push(toFix(check, detail, `find out which: ${why}. Else its owner must encrypt it again`))
      }
    }
    yield* flaws
    if (flaws.length === 0) yield ok(check, `${pathOf(key)} opens every version that its Secrets have`)
  } catch (error) {
    yield withName(key, failed(check, error))
  }
}

function versionsOf(located: readonly Located[]): ReadonlyMap<number, readonly Part[]> {
  return Map.groupBy(partsOf(located), ({ version }) => version)
}

interface Part {
  readonly secret: string
  readonly version: number
}

function partsOf(located: readonly Located[]): readonly Part[] {
  return located.flatMap(({ secret, parts }) =>
    parts.map(({ keyVersion }) => ({ secret: `${secret.namespace}/${secret.secret}`, version: keyVersion })),
  )
}

function secretsText(parts: readonly Part[]): string {
  const names = [...new Set(parts.map(({ secret }) => secret))]
  return `${names.length === 1 ? 'Secret' : 'Secrets'} ${listed(names)}`
}

function belowMinimum(key: TransitKey, version: number, inIt: readonly Part[]): Finding {
  const detail = `${secretsText(inIt)}: version ${version}, which ${pathOf(key)} opens no more`
  const fix = `an older Secret was put back, or was not in the policy when the key was rotated. Until it is encrypted again: vault write ${key.mount}/keys/${key.name}/config min_decryption_version=${version}`
  return toFix('key-versions', detail, fix)
}

async function* rotates(
  parts: CheckParts,
  port: VaultPort,
  key: TransitKey,
  found: Found,
): Checking<TransitKeyInfo | undefined> {
  try {
    const info = await step(parts, (signal) => port.readKeyForRotating(key, signal))
    const versions = `versions ${info.minDecryptionVersion} to ${info.latestVersion} open`
    // A key that nobody may rotate is looked at for the ledger, and needs no more.
    if (key.rotation.admins.length === 0) {
      yield ok('transit-keys', `${pathOf(key)} may be read about, and nobody may rotate it; ${versions}`)
    } else if ((await step(parts, (signal) => port.rewrapRefusal(key, signal))) === 'forbidden') {
      yield toFix(
        'transit-keys',
        `${pathOf(key)} may be read about, and not rewrapped`,
        `give the Vault role that rotates "update" on ${key.mount}/rewrap/${key.name}`,
      )
    } else yield ok('transit-keys', `${pathOf(key)} may be rewrapped; ${versions}`)
    // Where reads are served they tell.
    if (!parts.config.serves.read) {
      const below = [...versionsOf(found.get(key.name) ?? [])].filter(
        ([version]) => version < info.minDecryptionVersion,
      )
      for (const [version, inIt] of below) yield belowMinimum(key, version, inIt)
      if (below.length === 0) yield ok('key-versions', `${pathOf(key)} opens every version that its Secrets have`)
    }
    return info
  } catch (error) {
    yield withName(key, failed('transit-keys', error))
    return undefined
  }
}

async function* onlyRotates(parts: CheckParts, port: VaultPort, key: TransitKey): Checking {
  const check = 'wide-vault-rights'
  try {
    const kind = await step(parts, (signal) => port.rotatorDecryptRefusal(key, signal))
    if (kind === 'forbidden') return yield ok(check, `the role that rotates ${pathOf(key)} may not decrypt with it`)
    const fix = `take ${key.mount}/decrypt/${key.name} off the policies of the role that rotates`
    yield toFix(check, `the role that rotates ${pathOf(key)} may decrypt with it`, fix)
  } catch (error) {
    yield withName(key, failed(check, error))
  }
}

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
import type { CheckParts } from './ports.ts'
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
  for (const { transitKey: key } of policy.keys) {
    const one = { parts, vault, key, inUse: versionsIn(found.get(key.name) ?? []) }
    if (serves.read) yield* forReading(one)
    if (serves.rotate) {
      const info = yield* forRotating(one)
      if (info !== undefined) infos.set(key.name, info)
    }
  }
  if (policy.keys.length === 0) yield ok('transit-keys', 'the policy has none')
  return infos
}

/** One key, and all that it takes to look at it. */
interface KeyUnderCheck {
  readonly parts: CheckParts
  readonly vault: OpenedVault
  readonly key: TransitKey
  readonly inUse: VersionsInUse
}

/** Of a key: its versions that Secrets have ciphertext of, with the names of these Secrets. */
type VersionsInUse = ReadonlyMap<number, readonly string[]>

function versionsIn(located: readonly Located[]): VersionsInUse {
  const inUse = new Map<number, readonly string[]>()
  for (const { secret, parts } of located) {
    const name = `${secret.namespace}/${secret.secret}`
    for (const { keyVersion } of parts) inUse.set(keyVersion, [...(inUse.get(keyVersion) ?? []), name])
  }
  return inUse
}

async function* forReading(one: KeyUnderCheck): Checking {
  const { parts, vault, key } = one
  const role = key.vaultRoles.read ?? parts.config.KEYHOLE_VAULT_ROLE
  if (!vault.roles.has(role)) yield* skipped('vault-login', 'transit-keys')
  else if (yield* reads(one)) yield* opens(one)
}

async function* reads({ parts, vault, key }: KeyUnderCheck): Checking<boolean> {
  try {
    await step(parts, (signal) => vault.port.provenForReading(key, signal))
    yield ok('transit-keys', `${pathOf(key)} may be read with${key.binding === 'place' ? ', and is derived' : ''}`)
    return true
  } catch (error) {
    yield withName(key, failed('transit-keys', error))
    return false
  }
}

/** By the version alone: Vault is asked about a ciphertext of that version that cannot be one. */
async function* opens({ parts, vault, key, inUse }: KeyUnderCheck): Checking {
  const check = 'key-versions'
  const flaws: Finding[] = []
  try {
    for (const [version, secrets] of inUse) {
      const kind = await step(parts, (signal) => vault.port.readerRefusal(key, probeCiphertext(version), signal))
      if (kind === 'too-old') flaws.push(belowMinimum(key, version, secrets))
      if (kind === 'too-new') flaws.push(aboveLatest(key, version, secrets))
    }
    yield* flaws
    if (flaws.length === 0) yield opensAll(key)
  } catch (error) {
    yield withName(key, failed(check, error))
  }
}

async function* forRotating(one: KeyUnderCheck): Checking<TransitKeyInfo | undefined> {
  const { parts, vault, key } = one
  const role = key.vaultRoles.rotate ?? parts.config.KEYHOLE_VAULT_ROTATE_ROLE
  if (!vault.roles.has(role)) {
    yield* skipped('vault-login', 'transit-keys', 'wide-vault-rights')
    return undefined
  }
  const info = yield* rotates(one)
  yield* onlyRotates(one)
  return info
}

async function* rotates(one: KeyUnderCheck): Checking<TransitKeyInfo | undefined> {
  const { parts, vault, key, inUse } = one
  try {
    const info = await step(parts, (signal) => vault.port.readKeyForRotating(key, signal))
    yield await rewraps(one, info)
    // Where reads are served they tell.
    if (!parts.config.serves.read) {
      const below = [...inUse].filter(([version]) => version < info.minDecryptionVersion)
      for (const [version, secrets] of below) yield belowMinimum(key, version, secrets)
      if (below.length === 0) yield opensAll(key)
    }
    return info
  } catch (error) {
    yield withName(key, failed('transit-keys', error))
    return undefined
  }
}

/** @throws UpstreamError */
async function rewraps({ parts, vault, key }: KeyUnderCheck, info: TransitKeyInfo): Promise<Finding> {
  const check = 'transit-keys'
  const versions = `versions ${info.minDecryptionVersion} to ${info.latestVersion} open`
  // A key that nobody may rotate is looked at for the ledger, and needs no more.
  if (key.rotation.admins.length === 0) {
    return ok(check, `${pathOf(key)} may be read about, and nobody may rotate it; ${versions}`)
  }
  const refused = await step(parts, (signal) => vault.port.rewrapRefusal(key, signal))
  if (refused !== 'forbidden') return ok(check, `${pathOf(key)} may be rewrapped; ${versions}`)
  return toFix(
    check,
    `${pathOf(key)} may be read about, and not rewrapped`,
    `give the Vault role that rotates "update" on ${key.mount}/rewrap/${key.name}`,
  )
}

async function* onlyRotates({ parts, vault, key }: KeyUnderCheck): Checking {
  const check = 'wide-vault-rights'
  try {
    const kind = await step(parts, (signal) => vault.port.rotatorDecryptRefusal(key, signal))
    if (kind === 'forbidden') return yield ok(check, `the role that rotates ${pathOf(key)} may not decrypt with it`)
    const fix = `take ${key.mount}/decrypt/${key.name} off the policies of the role that rotates`
    yield toFix(check, `the role that rotates ${pathOf(key)} may decrypt with it`, fix)
  } catch (error) {
    yield withName(key, failed(check, error))
  }
}

function opensAll(key: TransitKey): Finding {
  return ok('key-versions', `${pathOf(key)} opens every version that its Secrets have`)
}

function belowMinimum(key: TransitKey, version: number, secrets: readonly string[]): Finding {
  const detail = `${secretsText(secrets)}: version ${version}, which ${pathOf(key)} opens no more`
  const fix = `an older Secret was put back, or was not in the policy when the key was rotated. Until it is encrypted again: vault write ${key.mount}/keys/${key.name}/config min_decryption_version=${version}`
  return toFix('key-versions', detail, fix)
}

function aboveLatest(key: TransitKey, version: number, secrets: readonly string[]): Finding {
  const detail = `${secretsText(secrets)}: version ${version}, which ${pathOf(key)} does not have`
  const why = 'Vault was restored from a backup, or a standby lags, or somebody wrote it by hand'
  return toFix('key-versions', detail, `find out which: ${why}. Else its owner must encrypt it again`)
}

function secretsText(secrets: readonly string[]): string {
  const names = [...new Set(secrets)]
  return `${names.length === 1 ? 'Secret' : 'Secrets'} ${listed(names)}`
}

function withName(key: TransitKey, finding: Finding): Finding {
  return { ...finding, detail: `${pathOf(key)}: ${finding.detail}` }
}

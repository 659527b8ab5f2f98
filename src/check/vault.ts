/** Vault: whether it is there and open, and whether its roles let keyhole in, and nobody else. */
import type { Config } from '../config.ts'
import { listed } from '../words.ts'
import type { Trusted } from './certificates.ts'
import { clock } from './clocks.ts'
import { failed, unreached } from './failures.ts'
import type { Checking, Finding } from './finding.ts'
import { ok, skipped, toFix, wait } from './finding.ts'
import type { Checked } from './policy.ts'
import type { CheckParts, LoginRefused, LoginTold, VaultPort } from './ports.ts'
import { step } from './step.ts'
import type { OwnToken, OwnTokens } from './tokens.ts'

/** A Vault that let us in by some role. Whoever gets it closes it. */
export interface OpenedVault {
  readonly port: VaultPort
  /** Roles that work. */
  readonly roles: ReadonlySet<string>
  close(): Promise<void>
}

export async function* vault(
  parts: CheckParts,
  own: OwnTokens,
  trusted: Trusted,
  policy: Checked | undefined,
): Checking<OpenedVault | undefined> {
  if (own.vault === undefined || trusted.vault === undefined) {
    const because = own.vault === undefined ? 'vault-token' : 'vault-ca'
    yield* skipped(because, 'vault', 'vault-clock', 'vault-login', 'vault-audience')
    return undefined
  }
  const port = parts.vault(own.vault.token, trusted.vault.pem)
  if (!(yield* isOpen(parts, port))) {
    await port.close()
    yield* skipped('vault', 'vault-clock', 'vault-login', 'vault-audience')
    return undefined
  }
  yield* clock('vault-clock', port)
  const roles = new Set<string>()
  for (const role of rolesOf(parts.config, policy)) {
    if (yield* letsIn(parts, port, role, own.vault)) roles.add(role.name)
    yield* asksForAudience(parts, port, role.name)
  }
  return { port, roles, close: port.close }
}

async function* isOpen(parts: CheckParts, port: VaultPort): Checking<boolean> {
  const { VAULT_ADDR: address } = parts.config
  try {
    const { initialized, sealed, standby, version } = await step(parts, port.health)
    if (!initialized)
      yield toFix('vault', `${address} is not initialized`, 'initialize and unseal it: vault operator init')
    else if (sealed) yield wait('vault', `${address} is sealed`, 'unseal it: vault operator unseal')
    else yield ok('vault', `${address} answers, version ${version}${standby ? ', a standby that forwards' : ''}`)
    return initialized && !sealed
  } catch (error) {
    yield await unreached('vault', error, port, parts.signal)
    return false
  }
}

interface Role {
  readonly name: string
  /** Longest life of its tokens, and why. */
  readonly maxSeconds: number
}

/** Of every TransitKey, its own or the configured one. */
function rolesOf(config: Config, policy: Checked | undefined): readonly Role[] {
  const { KEYHOLE_VAULT_ROLE: read, KEYHOLE_VAULT_ROTATE_ROLE: rotate, KEYHOLE_VAULT_TOKEN_MAX_MS: useMs } = config
  const named = policy?.keys.map(({ transitKey }) => transitKey.vaultRoles) ?? []
  // Without a policy there is still a role to be asked about.
  const roles = named.length === 0 ? [{ read, rotate }] : named.map((one) => ({ read, rotate, ...one }))
  const names = [
    ...(config.serves.read ? roles.map((one) => one.read) : []),
    ...(config.serves.rotate ? roles.map((one) => one.rotate) : []),
  ]
  return [...new Set(names)].map((name) => ({ name, maxSeconds: useMs / 1000 }))
}

async function* letsIn(
  parts: CheckParts,
  port: VaultPort,
  { name, maxSeconds }: Role,
  own: OwnToken,
): Checking<boolean> {
  try {
    const answer = await step(parts, (signal) => port.tryLogin(name, signal))
    yield 'refused' in answer ? refusal(parts, name, answer, own) : welcome(name, answer, maxSeconds)
    return !('refused' in answer)
  } catch (error) {
    yield failed('vault-login', error)
    return false
  }
}

function refusal({ config }: CheckParts, role: string, { refused }: LoginRefused, own: OwnToken): Finding {
  const at = `auth/${config.KEYHOLE_VAULT_AUTH_MOUNT}/role/${role}`
  const account = own.subject?.replace(/^system:serviceaccount:/, '').replace(':', '/') ?? 'this ServiceAccount'
  const [detail, fix] = {
    'role-missing': [`there is no role ${role}`, `create ${at}: keyhole vault setup does`],
    audience: [
      `role ${role} asks for another audience than ${listed(own.audiences)}`,
      `let audience= of ${at} and the projected token name the same`,
    ],
    account: [`role ${role} is not bound to ${account}`, `add it to bound_service_account_names of ${at}`],
    namespace: [
      `role ${role} is not bound to the namespace of ${account}`,
      `add it to bound_service_account_namespaces of ${at}`,
    ],
    untimely: [
      `role ${role} takes this token for expired, or for not valid yet`,
      'have the nodes and Vault keep time (NTP)',
    ],
    denied: [
      `role ${role} is denied`,
      `enable the Kubernetes auth method at auth/${config.KEYHOLE_VAULT_AUTH_MOUNT}, and see that Vault can have this cluster's API server review tokens: kubernetes_host, its CA, and the reviewer's rights`,
    ],
  }[refused] as [string, string]
  return toFix('vault-login', detail, fix)
}

function welcome(role: string, { leaseSeconds, type, policies }: LoginTold, maxSeconds: number): Finding {
  const flaws: (readonly [what: string, fix: string])[] = []
  if (policies.includes('root')) flaws.push(['the policy root', 'token_policies without root'])
  if (policies.includes('default')) flaws.push(['the policy default', 'token_no_default_policy=true'])
  if (type !== 'batch') flaws.push([`tokens of type ${type}`, 'token_type=batch'])
  if (leaseSeconds > maxSeconds) flaws.push([`tokens of ${leaseSeconds} s`, `token_ttl=${maxSeconds}s`])
  if (flaws.length > 0) {
    const [gives, fixes] = [flaws.map(([what]) => what), flaws.map(([, fix]) => fix)]
    return toFix('vault-login', `role ${role} gives ${gives.join(' and ')}`, `set on the role: ${fixes.join(' ')}`)
  }
  return ok('vault-login', `role ${role}: ${type} token of ${leaseSeconds} s, policies ${listed(policies)}`)
}

/**
 * Vault does not tell how a role is set up, but in which order it refuses: the audience before the name. So it is shown a
 * token that nobody ever issued. keyhole's token for the API server would prove as much, and Vault could then use it there.
 */
async function* asksForAudience(parts: CheckParts, port: VaultPort, role: string): Checking {
  const check = 'vault-audience'
  try {
    const answer = await step(parts, (signal) => port.tryLoginAsNobody(role, signal))
    const refused = 'refused' in answer ? answer.refused : undefined
    if (refused === 'audience') return yield ok(check, `role ${role} takes tokens of its audience only`)
    if (refused === 'role-missing') return yield* skipped('vault-login', check)
    if (refused === 'denied') {
      const where = `auth/${parts.config.KEYHOLE_VAULT_AUTH_MOUNT}/role/${role}`
      return yield { check, status: 'skip', detail: `Vault does not tell of role ${role}: see vault read ${where}` }
    }
    yield toFix(
      check,
      `role ${role} takes tokens of any audience: whoever a pod shows its token to can log in as that pod`,
      `set audience= on auth/${parts.config.KEYHOLE_VAULT_AUTH_MOUNT}/role/${role}, e.g. audience=vault`,
    )
  } catch (error) {
    yield failed(check, error)
  }
}

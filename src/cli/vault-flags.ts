/** What `keyhole vault` and `keyhole manifests vault` are told: the policy, and how this installation is called in Vault. */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { VAULT_NAME, VAULT_NAME_RULE, VAULT_PATH, VAULT_PATH_RULE } from '../label.ts'
import type { Policy } from '../policy/in-force.ts'
import type { PemFile, Wanted, WantedAuth } from '../vault-setup/wanted.ts'
import { contradictions, wantedIn } from '../vault-setup/wanted.ts'
import { originOf, unreadable } from './environment.ts'
import { readText } from './files.ts'
import type { Flag, Flags } from './flags.ts'
import type { PolicyAsked } from './policy-flags.ts'
import { POLICY_FLAGS, readPolicyFlags } from './policy-flags.ts'
import type { Environment } from './world.ts'

const name: NonNullable<Flag['check']> = (value) => (VAULT_NAME.test(value) ? undefined : `${VAULT_NAME_RULE}.`)
const path: NonNullable<Flag['check']> = (value) => (VAULT_PATH.test(value) ? undefined : `${VAULT_PATH_RULE}.`)
const audience: NonNullable<Flag['check']> = (value) =>
  /^[\x21-\x7e]{1,253}$/.test(value) && !value.includes(',')
    ? undefined
    : 'must be one audience: printable, without spaces and commas.'
const file: NonNullable<Flag['check']> = (value) => {
  const errno = unreadable(value)
  return errno === undefined ? undefined : `names a file that cannot be read (${errno}).`
}
const origin: NonNullable<Flag['check']> = (value) => {
  const found = originOf(value)
  return typeof found === 'string' ? undefined : `${found.wrong}.`
}

/** How roles are called and what they ask for: as in the settings of the service. */
export const ROLE_FLAGS = {
  ...POLICY_FLAGS,
  'read-role': { value: 'keyhole', check: name },
  'rotate-role': { value: 'keyhole-rotate', check: name },
  'auth-mount': { value: 'kubernetes', check: path },
} as const satisfies Readonly<Record<string, Flag>>

export const VAULT_FLAGS = {
  ...ROLE_FLAGS,
  audience: { value: 'vault', check: audience },
  'auth-type': { value: 'kubernetes', check: name },
  'kubernetes-host': { value: 'URL', check: origin },
  'kubernetes-ca': { value: 'FILE', check: file },
  'token-reviewer-jwt-file': { value: 'FILE', check: file },
} as const satisfies Readonly<Record<string, Flag>>

export interface RolesAsked extends PolicyAsked {
  readonly roles: { readonly read: string; readonly rotate: string }
  readonly authMount: string
}

export interface VaultAsked extends RolesAsked {
  readonly audience: string
  readonly auth: WantedAuth
}

/** @param complaints gets what is wrong, in sentences; what is returned is then of no use. */
export function readRoleFlags(flags: Flags, complaints: string[]): RolesAsked {
  const given = givenIn(flags)
  return {
    ...readPolicyFlags(flags, complaints),
    roles: { read: given('read-role'), rotate: given('rotate-role') },
    authMount: given('auth-mount'),
  }
}

/** @param complaints as above. */
export function readVaultFlags(flags: Flags, complaints: string[]): VaultAsked {
  const given = givenIn(flags)
  const [host, ca] = [flags.value('kubernetes-host'), flags.value('kubernetes-ca')]
  const reviewerTokenFile = flags.value('token-reviewer-jwt-file')
  if (host === undefined && (ca ?? reviewerTokenFile) !== undefined) {
    complaints.push('--kubernetes-ca and --token-reviewer-jwt-file go with --kubernetes-host.')
  }
  // Given the one, Vault takes neither from its pod.
  if (reviewerTokenFile !== undefined && ca === undefined) {
    complaints.push('--token-reviewer-jwt-file goes with --kubernetes-ca.')
  }
  if (reviewerTokenFile !== undefined && tokenIn(reviewerTokenFile) === undefined) {
    complaints.push('--token-reviewer-jwt-file names a file that holds no token.')
  }
  const kubernetes =
    host === undefined
      ? undefined
      : {
          host: host.replace(/\/$/, ''),
          ...(ca !== undefined && { ca: pemIn(ca, complaints) }),
          ...(reviewerTokenFile !== undefined && { reviewerTokenFile }),
        }
  return {
    ...readRoleFlags(flags, complaints),
    audience: given('audience'),
    auth: { mount: given('auth-mount'), type: given('auth-type'), ...(kubernetes && { kubernetes }) },
  }
}

/** What a flag says, or is without being given. */
function givenIn(flags: Flags) {
  return (flag: 'read-role' | 'rotate-role' | 'audience' | 'auth-mount' | 'auth-type') =>
    flags.value(flag) ?? VAULT_FLAGS[flag].value
}

/** Of a ServiceAccount: undefined for anything else. Nothing in place of a token would have Vault ask without any. */
export function tokenIn(file: string): string | undefined {
  const text = readText(file)
  const token = 'done' in text ? text.done.trim() : ''
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token) ? token : undefined
}

function pemIn(pemFile: string, complaints: string[]): PemFile {
  const text = readText(pemFile)
  if ('done' in text && text.done.includes('-----BEGIN CERTIFICATE-----')) return { file: pemFile, text: text.done }
  complaints.push('--kubernetes-ca names a file that holds no certificate in PEM.')
  return { file: pemFile, text: '' }
}

/** @param complaints as above. */
export function wantedOf(policy: Policy, { reader, rotator, ...asked }: VaultAsked, complaints: string[]): Wanted {
  const wanted = wantedIn(policy, { identities: { reader, rotator }, ...asked })
  complaints.push(...contradictions(wanted))
  return wanted
}

interface VaultAccess {
  readonly origin: string
  readonly caFile: string | undefined
  readonly namespace: string | undefined
  /** Where the token is: in the environment, or in the file that `vault login` writes. */
  readonly token: { readonly variable: 'VAULT_TOKEN' } | { readonly file: string }
}

/** The variables of Vault's own command. @param complaints as above. */
export function readVaultAccess(environment: Environment, complaints: string[]): VaultAccess {
  const given = (variable: string) => (environment[variable] === '' ? undefined : environment[variable])
  const address = given('VAULT_ADDR')
  if (address === undefined) {
    complaints.push('VAULT_ADDR is required: the origin of Vault, e.g. https://vault.vault.svc:8200.')
  }
  const origin = address === undefined ? '' : originOf(address)
  if (typeof origin === 'object') complaints.push(`VAULT_ADDR ${origin.wrong}.`)
  if (given('VAULT_SKIP_VERIFY') !== undefined) {
    complaints.push("VAULT_SKIP_VERIFY is not read. Name the PEM of Vault's CA in VAULT_CACERT, and unset it.")
  }
  const caFile = given('VAULT_CACERT')
  const wrongCa = caFile === undefined ? undefined : unreadable(caFile)
  if (wrongCa !== undefined) complaints.push(`VAULT_CACERT names a file that cannot be read (${wrongCa}).`)
  const namespace = given('VAULT_NAMESPACE')?.replace(/^\/|\/$/g, '')
  if (namespace !== undefined && !VAULT_PATH.test(namespace)) complaints.push(`VAULT_NAMESPACE ${VAULT_PATH_RULE}.`)
  const tokenFile = join(given('HOME') ?? homedir(), '.vault-token')
  const isInEnvironment = given('VAULT_TOKEN') !== undefined
  if (!isInEnvironment && unreadable(tokenFile) !== undefined) {
    complaints.push('There is no token: set VAULT_TOKEN, or log in with: vault login')
  }
  return {
    origin: typeof origin === 'string' ? origin : '',
    caFile,
    namespace,
    token: isInEnvironment ? { variable: 'VAULT_TOKEN' } : { file: tokenFile },
  }
}

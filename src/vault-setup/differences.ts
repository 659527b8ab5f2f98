/**
 * How what Vault holds differs from what is wanted: of each thing whether it is as it should be and, if not, the one write
 * that makes it so. A write makes what is missing and narrows what is too wide; none deletes, and none touches what may be
 * somebody else's.
 */
import { shellWord } from '../policy/words.ts'
import type { Found, Seen } from './found.ts'
import { wordsIn } from './found.ts'
import { policyText } from './policy-text.ts'
import type { Fields } from './port.ts'
import { readPolicy } from './read-policy.ts'
import { roleFlaws } from './role-flaws.ts'
import type { Rule } from './rules.ts'
import { isSameRule, ruleText } from './rules.ts'
import type { Wanted, WantedAuth, WantedKey, WantedRole } from './wanted.ts'
import { IN_CLUSTER_HOST, pathOf, TOKEN_TTL_SECONDS } from './wanted.ts'

/**
 * `lacks`: it is missing, or gives too little. `wide`: it gives more than is asked for. `note`: somebody else's, to be
 * known. `skip`: whoever looked may not see it.
 */
export type Status = 'ok' | 'lacks' | 'wide' | 'note' | 'skip'

export interface Finding {
  readonly status: Status
  /** What it is about: a path of Vault, or several words for what has none. */
  readonly about: string
  /** Names, numbers and words of ours, and names that Vault holds. */
  readonly detail: string
  /** What to do, where no write does. */
  readonly fix?: string
  readonly write?: Write
  /** Nothing is to be written before this is settled: what is there may be somebody else's. */
  readonly stops?: true
}

export interface Write {
  readonly path: string
  readonly data: Fields
  /** Further fields, each the text of a file that is read when it is written: no secret is held or told before. */
  readonly files?: Readonly<Record<string, string>>
  /** The same as one types it. */
  readonly command: string
}

/** In the order in which they are to be written: a role comes last, when what it gives is as narrow as it should be. */
export function differences(wanted: Wanted, found: Found): readonly Finding[] {
  return [
    ...wanted.mounts.map((path) => mountFinding(path, found.mounts)),
    ...wanted.keys.map((key) => keyFinding(key, found.keys.get(pathOf(key)))),
    ...wanted.roles.map((role) => policyFinding(role, wanted.auth.mount, found)),
    authFinding(wanted.auth, found.authMethods),
    configFinding(wanted.auth, found.authConfig),
    ...wanted.roles.map((role) => roleFinding(role, wanted.auth, found.roles.get(role.name))),
  ]
}

function ok(about: string, detail: string): Finding {
  return { status: 'ok', about, detail }
}

function unseen(about: string, needed: string): Finding {
  return {
    status: 'skip',
    about,
    detail: 'may not be looked at with this token',
    fix: `use one whose policies give "read" on ${needed}`,
  }
}

function mountFinding(path: string, mounts: Found['mounts']): Finding {
  if (mounts === 'unseen') return unseen(path, 'sys/mounts')
  const type = mounts?.get(path)
  if (type === 'transit') return ok(path, 'the Transit secrets engine')
  if (type !== undefined) {
    return {
      status: 'lacks',
      about: path,
      detail: `another secrets engine is there, of type ${type}`,
      fix: 'name another path as spec.mount of the TransitKeys',
      stops: true,
    }
  }
  return {
    status: 'lacks',
    about: path,
    detail: 'no Transit secrets engine is there',
    write: {
      path: `sys/mounts/${path}`,
      data: { type: 'transit' },
      command: `vault secrets enable -path=${path} transit`,
    },
  }
}

/** The key types of Transit that can derive. */
export const KEY_TYPES: readonly string[] = ['aes256-gcm96', 'aes128-gcm96', 'chacha20-poly1305', 'xchacha20-poly1305']

function keyFinding(key: WantedKey, seen: Seen<Fields>): Finding {
  const about = pathOf(key)
  if (seen === 'unseen') return unseen(about, about)
  if (seen === undefined) return missingKey(key)
  const { type, derived } = seen
  if (key.derived && (derived !== true || !KEY_TYPES.includes(String(type)))) {
    return {
      status: 'wide',
      about,
      detail: `is not derived, so that its ciphertext opens anywhere; that cannot be changed`,
      fix: 'name a key that is not there yet in the policy, or binding: none for one whose ciphertext is bound to no place',
      stops: true,
    }
  }
  if (!key.derived && derived === true) {
    return {
      status: 'lacks',
      about,
      detail: 'is derived, and its TransitKey says binding: none',
      fix: 'take binding: none off the TransitKey',
      stops: true,
    }
  }
  const lets = [
    seen['exportable'] === true && 'exported',
    seen['allow_plaintext_backup'] === true && 'backed up in plaintext',
  ]
    .filter((word) => word !== false)
    .join(' and ')
  if (lets !== '') {
    return {
      status: 'wide',
      about,
      detail: `can be ${lets}, which cannot be taken back`,
      fix: 'make another key, name it in the policy, and have the Secrets encrypted again under it',
    }
  }
  if (seen['deletion_allowed'] === true) {
    const path = `${about}/config`
    return {
      status: 'wide',
      about,
      detail: 'may be deleted, and every Secret under it would be lost',
      write: { path, data: { deletion_allowed: false }, command: `vault write ${path} deletion_allowed=false` },
    }
  }
  return ok(about, `${String(type)}, ${key.derived ? 'derived' : 'not derived, as its TransitKey says'}`)
}

function missingKey(key: WantedKey): Finding {
  const about = pathOf(key)
  if (!key.derived) {
    return {
      status: 'lacks',
      about,
      detail: 'is not there, and with binding: none it is one that has made ciphertext before',
      fix: 'see that its name and mount are right, restore it, or take binding: none off its TransitKey to have a new one made',
      stops: true,
    }
  }
  const data = { type: 'aes256-gcm96', derived: true }
  return {
    status: 'lacks',
    about,
    detail: 'is not there',
    write: { path: about, data, command: `vault write ${about} type=${data.type} derived=true` },
  }
}

function policyFinding(role: WantedRole, authMount: string, found: Found): Finding {
  const about = `sys/policies/acl/${role.name}`
  const seen = found.policies.get(role.name)
  if (seen === 'unseen') return unseen(about, about)
  const write = {
    path: about,
    data: { policy: policyText(role) },
    command: `vault policy write ${role.name} ${role.name}.hcl`,
  }
  if (seen === undefined) {
    return { status: 'lacks', about, detail: `is not there: ${role.rules.map(ruleText).join('; ')}`, write }
  }
  const rules = readPolicy(seen)
  const flaws = rules === undefined ? undefined : policyFlaws(role.rules, rules)
  if (flaws?.status === 'ok') return ok(about, `${role.does === 'reads' ? 'decrypts' : 'rotates'}, and nothing else`)
  const { status, detail } = flaws ?? {
    status: 'wide' as const,
    detail: 'is written in a way that is not understood here',
  }
  if (isOurs(role, found)) return { status, about, detail, write }
  return {
    status,
    about,
    detail: `${detail}; and no role ${role.name} of auth/${authMount} gives it to keyhole, so it may be somebody else's`,
    fix: 'give this installation Vault roles of other names: --read-role, --rotate-role, and the same in its settings',
    stops: true,
  }
}

/** A policy is one for a whole Vault, and may be another cluster's: it is ours where our own role gives it already. */
function isOurs(role: WantedRole, { roles }: Found): boolean {
  const seen = roles.get(role.name)
  if (seen === undefined || seen === 'unseen') return false
  return wordsIn(seen['token_policies']).includes(role.name) && roleFlaws(role, seen) !== 'not-ours'
}

function policyFlaws(
  wanted: readonly Rule[],
  there: readonly Rule[],
): { readonly status: Status; readonly detail: string } {
  const lacking = wanted.filter((rule) => !there.some((one) => isSameRule(one, rule)))
  const beyond = there.filter((rule, at) => !wanted.some((one) => isSameRule(one, rule)) || isRepeated(there, at))
  const parts = [
    ...(lacking.length === 0 ? [] : [`does not give ${listed(lacking)}`]),
    ...(beyond.length === 0 ? [] : [`gives ${listed(beyond)}, which is not asked for`]),
  ]
  const status = beyond.length > 0 ? 'wide' : lacking.length > 0 ? 'lacks' : 'ok'
  return { status, detail: parts.join('; ') }
}

function isRepeated(rules: readonly Rule[], at: number): boolean {
  return rules.findIndex(({ path }) => path === rules[at]?.path) < at
}

const MOST_LISTED = 5

function listed(rules: readonly Rule[]): string {
  const shown = rules.slice(0, MOST_LISTED).map(ruleText).join('; ')
  return rules.length <= MOST_LISTED ? shown : `${shown}; and ${rules.length - MOST_LISTED} more`
}

function authFinding({ mount, type }: WantedAuth, methods: Found['authMethods']): Finding {
  const about = `auth/${mount}`
  if (methods === 'unseen') return unseen(about, 'sys/auth')
  const there = methods?.get(mount)
  if (there === type) return ok(about, 'the Kubernetes auth method')
  if (there !== undefined) {
    return {
      status: 'lacks',
      about,
      detail: `another auth method is there, of type ${there}`,
      fix: 'name another path: --auth-mount, and KEYHOLE_VAULT_AUTH_MOUNT in the settings',
      stops: true,
    }
  }
  const command = `vault auth enable -path=${mount} ${type}`
  return {
    status: 'lacks',
    about,
    detail: 'no auth method is there',
    write: { path: `sys/auth/${mount}`, data: { type }, command },
  }
}

/** One write sets all of it, so whatever is there and not asked about is written again as it was. */
function configFinding({ mount, kubernetes }: WantedAuth, seen: Seen<Fields>): Finding {
  const about = `auth/${mount}/config`
  if (seen === 'unseen') return unseen(about, about)
  const host = kubernetes?.host ?? (seen === undefined ? IN_CLUSTER_HOST : undefined)
  if (host === undefined) {
    return ok(about, `asks ${String(seen?.['kubernetes_host'])} about tokens`)
  }
  const flaws = configFlaws(host, kubernetes, seen)
  if (flaws.length === 0) return ok(about, `asks ${host} about tokens`)
  const { ca, reviewerTokenFile } = kubernetes ?? {}
  if (seen?.['token_reviewer_jwt_set'] === true && reviewerTokenFile === undefined) {
    return {
      status: 'lacks',
      about,
      detail: `${flaws.join('; ')}; to change it would drop the reviewer's token, which Vault does not show`,
      fix: 'give that token as well: --token-reviewer-jwt-file',
      stops: true,
    }
  }
  const kept = Object.fromEntries(
    ['kubernetes_ca_cert', 'pem_keys', 'issuer', 'disable_iss_validation', 'use_annotations_as_alias_metadata']
      .filter((field) => seen?.[field] !== undefined)
      .map((field) => [field, seen?.[field]]),
  )
  const words = [
    `kubernetes_host=${host}`,
    ...(ca === undefined ? [] : [`kubernetes_ca_cert=@${shellWord(ca.file)}`]),
    ...(reviewerTokenFile === undefined
      ? []
      : [`token_reviewer_jwt=@${shellWord(reviewerTokenFile)}`, 'disable_local_ca_jwt=true']),
  ]
  return {
    status: 'lacks',
    about,
    detail: flaws.join('; '),
    write: {
      path: about,
      data: {
        ...kept,
        kubernetes_host: host,
        ...(ca !== undefined && { kubernetes_ca_cert: ca.text }),
        disable_local_ca_jwt: reviewerTokenFile !== undefined || seen?.['disable_local_ca_jwt'] === true,
      },
      ...(reviewerTokenFile !== undefined && { files: { token_reviewer_jwt: reviewerTokenFile } }),
      command: `vault write ${about} ${words.join(' ')}`,
    },
  }
}

function configFlaws(host: string, kubernetes: WantedAuth['kubernetes'], seen: Fields | undefined): readonly string[] {
  if (seen === undefined) return ['Vault has not been told which API server to ask about tokens']
  const { ca, reviewerTokenFile } = kubernetes ?? {}
  const there = { host: String(seen['kubernetes_host']), ca: String(seen['kubernetes_ca_cert'] ?? '') }
  return [
    ...(there.host === host ? [] : [`asks ${there.host} about tokens, and not ${host}`]),
    ...(ca === undefined || there.ca.trim() === ca.text.trim() ? [] : [`trusts another CA than ${ca.file}`]),
    // Whether it is the same, Vault does not tell.
    ...(reviewerTokenFile === undefined ? [] : [`gets the reviewer's token of ${reviewerTokenFile}`]),
  ]
}

function roleFinding(role: WantedRole, auth: WantedAuth, seen: Seen<Fields>): Finding {
  const about = `auth/${auth.mount}/role/${role.name}`
  if (seen === 'unseen') return unseen(about, about)
  const { namespace, name } = role.account
  const data = {
    audience: role.audience,
    bound_service_account_names: [name],
    bound_service_account_namespaces: [namespace],
    token_policies: [role.name],
    token_no_default_policy: true,
    token_type: 'batch',
    token_ttl: TOKEN_TTL_SECONDS,
  }
  const words = Object.entries(data).map(
    ([field, value]) => `${field}=${String(value)}${field === 'token_ttl' ? 's' : ''}`,
  )
  const write = { path: about, data, command: `vault write ${about} ${words.join(' ')}` }
  if (seen === undefined) {
    return {
      status: 'lacks',
      about,
      detail: `is not there: for ${namespace}/${name}, audience ${role.audience}`,
      write,
    }
  }
  const flaws = roleFlaws(role, seen)
  if (flaws === 'not-ours') {
    return {
      status: 'lacks',
      about,
      detail: `is not bound to ${namespace}/${name}, so it may be somebody else's`,
      fix: 'give this installation Vault roles of other names (--read-role, --rotate-role, and the same in its settings), or name its ServiceAccounts (--reader, --rotator)',
      stops: true,
    }
  }
  if (flaws.wide.length + flaws.lacks.length === 0) {
    return ok(
      about,
      `batch tokens of ${TOKEN_TTL_SECONDS} s at most for ${namespace}/${name}, audience ${role.audience}`,
    )
  }
  // All of it, so that the command makes the role what it should be wherever it is typed.
  const selector = 'bound_service_account_namespace_selector'
  const none: Fields = {
    ...Object.fromEntries(flaws.unset.map((field) => [field, 0])),
    ...((seen[selector] ?? '') !== '' && { [selector]: '' }),
  }
  return {
    status: flaws.wide.length > 0 ? 'wide' : 'lacks',
    about,
    detail: [...flaws.wide, ...flaws.lacks].join('; '),
    write: {
      ...write,
      data: { ...data, ...none },
      command: [write.command, ...Object.entries(none).map(([field, value]) => `${field}=${String(value)}`)].join(' '),
    },
  }
}

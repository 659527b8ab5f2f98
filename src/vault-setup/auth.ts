/** The Kubernetes auth method, and which API server it asks. */
import { shellWord } from '../words.ts'
import type { Finding, Write } from './finding.ts'
import { ok, unseen } from './finding.ts'
import type { Found, Mounted } from './found.ts'
import type { Fields } from './port.ts'
import { wordIn, wordsIn } from './read-fields.ts'
import type { WantedAuth } from './wanted.ts'
import { IN_CLUSTER_HOST } from './wanted.ts'

export function authFinding({ mount, type }: WantedAuth, methods: Found['authMethods']): Finding {
  const about = `auth/${mount}`
  if (methods === 'unseen') return unseen(about, 'sys/auth')
  const there = methods?.get(mount)
  if (there?.type === type) return methodFinding(about, mount, there)
  if (there !== undefined) {
    return {
      status: 'lacks',
      about,
      detail: `another auth method is there, of type ${there.type}`,
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

/** What the method says goes before what its roles say. */
function methodFinding(about: string, mount: string, { config }: Mounted): Finding {
  if (wordsIn(config['audit_non_hmac_request_keys']).includes('jwt')) {
    return {
      status: 'wide',
      about,
      detail: "audit_non_hmac_request_keys puts tokens into Vault's audit log as they are",
      fix: `take jwt off it: vault auth tune ${mount}`,
    }
  }
  if (wordIn(config['token_type']) !== 'service') return ok(about, 'the Kubernetes auth method')
  return {
    status: 'wide',
    about,
    detail: 'gives tokens of type service, whatever its roles say',
    fix: `have roles decide: vault auth tune -token-type=default-service ${mount}`,
  }
}

/**
 * One write sets all of it, so whatever is there and not asked about is written again as it was. All roles of the method log in
 * by it: it is not changed for others, and another API server, which is other people to every role, only where there is none.
 */
export function configFinding({ mount, kubernetes }: WantedAuth, found: Found): Finding {
  const about = `auth/${mount}/config`
  const { authConfig: seen, roles, others } = found
  if (seen === 'unseen') return unseen(about, about)
  const there = wordIn(seen?.['kubernetes_host'])
  const host = kubernetes?.host ?? (seen === undefined ? IN_CLUSTER_HOST : there)
  const flaws = configFlaws(host, kubernetes, seen)
  if (flaws.length === 0) return ok(about, `asks ${host} about tokens`)
  const write = configWrite(about, host, kubernetes, seen)
  const plain: Finding = { status: 'lacks', about, detail: flaws.join('; ') }
  if (seen === undefined) return { ...plain, write }

  const stop = (why: string, fix: string): Finding => ({
    ...plain,
    detail: `${plain.detail}; ${why}`,
    fix,
    stops: true,
  })
  const byHand = `or, if it is meant for all of them, ${write.command}`
  const hasOthers = !(others.roles instanceof Map && others.roles.size === 0)
  const hasRoles = hasOthers || [...roles.values()].some((role) => role !== undefined)
  if (hasRoles && !isSameOrigin(there, host)) {
    return stop('and it has roles, whose tokens are of that one', `name another auth method: --auth-mount; ${byHand}`)
  }
  if (hasOthers) {
    return stop('and other roles log in by it', `leave it as it is, without --kubernetes-host; ${byHand}`)
  }
  // Older Vaults do not say whether one is set, so it may be.
  if (seen['token_reviewer_jwt_set'] !== false && kubernetes?.reviewerTokenFile === undefined) {
    return stop(
      "to change it would drop the reviewer's token, which Vault does not show",
      'give that token as well: --token-reviewer-jwt-file',
    )
  }
  return { ...plain, write }
}

/** However it is spelled. */
function isSameOrigin(one: string, other: string): boolean {
  return (URL.parse(one)?.origin ?? one) === (URL.parse(other)?.origin ?? other)
}

function configWrite(
  about: string,
  host: string,
  kubernetes: WantedAuth['kubernetes'],
  seen: Fields | undefined,
): Write {
  const { ca, reviewerTokenFile } = kubernetes ?? {}
  const disablesLocal = reviewerTokenFile !== undefined || seen?.['disable_local_ca_jwt'] === true
  const kept = KEPT.filter(
    (field) => seen?.[field] !== undefined && !(field === 'kubernetes_ca_cert' && ca !== undefined),
  )
  const words = [
    `kubernetes_host=${shellWord(host)}`,
    ...(ca === undefined ? [] : [`kubernetes_ca_cert=@${shellWord(ca.file)}`]),
    ...(reviewerTokenFile === undefined ? [] : [`token_reviewer_jwt=@${shellWord(reviewerTokenFile)}`]),
    ...(disablesLocal ? ['disable_local_ca_jwt=true'] : []),
    // No shell takes this, so that nobody drops them by typing half of it.
    ...kept.filter((field) => !isDefault(field, seen?.[field])).map((field) => `${field}=<as it is>`),
  ]
  return {
    path: about,
    data: {
      ...Object.fromEntries(kept.map((field) => [field, seen?.[field]])),
      kubernetes_host: host,
      ...(ca !== undefined && { kubernetes_ca_cert: ca.text }),
      disable_local_ca_jwt: disablesLocal,
    },
    ...(reviewerTokenFile !== undefined && { files: { token_reviewer_jwt: reviewerTokenFile } }),
    command: `vault write ${about} ${words.join(' ')}`,
  }
}

const KEPT = [
  'kubernetes_ca_cert',
  'pem_keys',
  'issuer',
  'disable_iss_validation',
  'use_annotations_as_alias_metadata',
] as const

function isDefault(field: (typeof KEPT)[number], value: unknown): boolean {
  if (field === 'disable_iss_validation') return value === true
  return value === '' || value === false || (Array.isArray(value) && value.length === 0)
}

function configFlaws(host: string, kubernetes: WantedAuth['kubernetes'], seen: Fields | undefined): readonly string[] {
  if (seen === undefined) return ['Vault has not been told which API server to ask about tokens']
  const { ca, reviewerTokenFile } = kubernetes ?? {}
  const there = { host: wordIn(seen['kubernetes_host']), ca: wordIn(seen['kubernetes_ca_cert']) }
  return [
    ...(isSameOrigin(there.host, host) ? [] : [`asks ${there.host} about tokens, and not ${host}`]),
    ...(ca === undefined || there.ca.trim() === ca.text.trim() ? [] : [`trusts another CA than ${ca.file}`]),
    // Whether it is the same, Vault does not tell.
    ...(reviewerTokenFile === undefined ? [] : [`gets the reviewer's token of ${reviewerTokenFile}`]),
  ]
}

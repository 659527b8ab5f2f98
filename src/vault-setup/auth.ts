/** The Kubernetes auth method, and which API server it asks. */
import { shellWord } from '../words.ts'
import type { Finding, Write } from './finding.ts'
import { hidden, ok } from './finding.ts'
import type { Found, Mounted } from './found.ts'
import { mountedAt } from './found.ts'
import type { Fields } from './port.ts'
import { wordIn, wordsIn } from './read-fields.ts'
import type { WantedAuth } from './wanted.ts'
import { IN_CLUSTER_HOST } from './wanted.ts'

export function authFinding({ mount, type }: WantedAuth, methods: Found['authMethods']): Finding {
  const about = `auth/${mount}`
  const seen = mountedAt(methods, mount)
  if (seen === 'hidden') return hidden(about, 'sys/auth')
  if (seen === 'missing') {
    const command = `vault auth enable -path=${mount} ${type}`
    return {
      kind: 'mendable',
      flaw: 'lacks',
      about,
      detail: 'no auth method is there',
      write: { path: `sys/auth/${mount}`, data: { type }, command },
    }
  }
  if (seen.there.type === type) return methodFinding(about, mount, seen.there)
  return {
    kind: 'blocked',
    flaw: 'lacks',
    about,
    detail: `another auth method is there, of type ${seen.there.type}`,
    fix: 'name another path: --auth-mount, and KEYHOLE_VAULT_AUTH_MOUNT in the settings',
  }
}

/** What the method says goes before what its roles say. */
function methodFinding(about: string, mount: string, { config }: Mounted): Finding {
  if (wordsIn(config['audit_non_hmac_request_keys']).includes('jwt')) {
    return {
      kind: 'remaining',
      flaw: 'wide',
      about,
      detail: "audit_non_hmac_request_keys puts tokens into Vault's audit log as they are",
      fix: `take jwt off it: vault auth tune ${mount}`,
    }
  }
  if (wordIn(config['token_type']) !== 'service') return ok(about, 'the Kubernetes auth method')
  return {
    kind: 'remaining',
    flaw: 'wide',
    about,
    detail: 'gives tokens of type service, whatever its roles say',
    fix: `have roles decide: vault auth tune -token-type=default-service ${mount}`,
  }
}

/** Which API server the method asks, and how. */
export function configFinding({ mount, kubernetes }: WantedAuth, found: Found): Finding {
  const about = `auth/${mount}/config`
  const { authConfig: seen } = found
  if (seen === 'hidden') return hidden(about, about)
  if (seen === 'missing') {
    const detail = 'Vault has not been told which API server to ask about tokens'
    const write = configWrite(about, kubernetes?.host ?? IN_CLUSTER_HOST, kubernetes, {})
    return { kind: 'mendable', flaw: 'lacks', about, detail, write }
  }
  const host = kubernetes?.host ?? wordIn(seen.there['kubernetes_host'])
  const flaws = configFlaws(host, kubernetes, seen.there)
  if (flaws.length === 0) return ok(about, `asks ${host} about tokens`)

  const write = configWrite(about, host, kubernetes, seen.there)
  const bar = barToChange(host, kubernetes, seen.there, found, write)
  if (bar === undefined) return { kind: 'mendable', flaw: 'lacks', about, detail: flaws.join('; '), write }
  return { kind: 'blocked', flaw: 'lacks', about, detail: [...flaws, bar.why].join('; '), fix: bar.fix }
}

/**
 * Why what is there is not changed. All roles of the method log in by it: it is not changed for others, and another API server,
 * which is other people to every role, is set only where there is no role.
 */
function barToChange(
  host: string,
  kubernetes: WantedAuth['kubernetes'],
  there: Fields,
  { roles, others }: Found,
  { command }: Write,
): { readonly why: string; readonly fix: string } | undefined {
  const byHand = `or, if it is meant for all of them, ${command}`
  const hasOthers = others.roles === 'hidden' || others.roles.there.size > 0
  const hasRoles = hasOthers || [...roles.values()].some((role) => role !== 'missing')
  if (hasRoles && !isSameOrigin(wordIn(there['kubernetes_host']), host)) {
    return {
      why: 'and it has roles, whose tokens are of that one',
      fix: `name another auth method: --auth-mount; ${byHand}`,
    }
  }
  if (hasOthers) {
    return { why: 'and other roles log in by it', fix: `leave it as it is, without --kubernetes-host; ${byHand}` }
  }
  // Older Vaults do not say whether one is set, so it may be.
  if (there['token_reviewer_jwt_set'] !== false && kubernetes?.reviewerTokenFile === undefined) {
    return {
      why: "to change it would drop the reviewer's token, which Vault does not show",
      fix: 'give that token as well: --token-reviewer-jwt-file',
    }
  }
  return undefined
}

function configFlaws(host: string, kubernetes: WantedAuth['kubernetes'], there: Fields): readonly string[] {
  const { ca, reviewerTokenFile } = kubernetes ?? {}
  const asked = wordIn(there['kubernetes_host'])
  const trusted = wordIn(there['kubernetes_ca_cert'])
  return [
    ...(isSameOrigin(asked, host) ? [] : [`asks ${asked} about tokens, and not ${host}`]),
    ...(ca === undefined || trusted.trim() === ca.text.trim() ? [] : [`trusts another CA than ${ca.file}`]),
    // Whether it is the same, Vault does not tell.
    ...(reviewerTokenFile === undefined ? [] : [`gets the reviewer's token of ${reviewerTokenFile}`]),
  ]
}

/** However it is spelled. */
function isSameOrigin(one: string, other: string): boolean {
  return (URL.parse(one)?.origin ?? one) === (URL.parse(other)?.origin ?? other)
}

/**
 * A write sets all of it, so whatever is there and not asked about is written again as it was.
 * @param there empty where nothing is.
 */
function configWrite(about: string, host: string, kubernetes: WantedAuth['kubernetes'], there: Fields): Write {
  const { ca, reviewerTokenFile } = kubernetes ?? {}
  const disablesLocal = reviewerTokenFile !== undefined || there['disable_local_ca_jwt'] === true
  const kept = KEPT.filter(
    (field) => there[field] !== undefined && !(field === 'kubernetes_ca_cert' && ca !== undefined),
  )
  const words = [
    `kubernetes_host=${shellWord(host)}`,
    ...(ca === undefined ? [] : [`kubernetes_ca_cert=@${shellWord(ca.file)}`]),
    ...(reviewerTokenFile === undefined ? [] : [`token_reviewer_jwt=@${shellWord(reviewerTokenFile)}`]),
    ...(disablesLocal ? ['disable_local_ca_jwt=true'] : []),
    // No shell takes this, so that nobody drops them by typing half of it.
    ...kept.filter((field) => !isDefault(field, there[field])).map((field) => `${field}=<as it is>`),
  ]
  return {
    path: about,
    data: {
      ...Object.fromEntries(kept.map((field) => [field, there[field]])),
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

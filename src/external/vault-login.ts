/** A login that is told about rather than used: what keyhole check asks, and why it was refused. */
import { randomBytes } from 'node:crypto'
import type { LoginRefused, LoginTold } from '../check/ports.ts'
import { UpstreamError } from '../errors.ts'
import type { Token } from '../opaque.ts'
import { wipe } from '../opaque.ts'
import { unanswered } from './refused.ts'
import type { LoginRequest } from './vault.ts'
import type { VaultOptions } from './vault-client.ts'
import { garbage, isMount, isName } from './vault-client.ts'
import { kindOfRefusal, loginRefusal } from './vault-refusals.ts'

/** The token that it yields is thrown away. @throws UpstreamError for what is not about the login. */
export async function tryLogin(
  { send, namespace }: VaultOptions,
  { mount, role, jwt }: Omit<LoginRequest, 'jwt'> & { readonly jwt: string },
  signal: AbortSignal,
): Promise<LoginTold | LoginRefused> {
  if (!isMount(mount) || !isName(role)) throw new UpstreamError('vault', 'bad-request')
  const headers = {
    'content-type': 'application/json',
    'x-vault-request': 'true',
    ...(namespace !== undefined && { 'x-vault-namespace': namespace }),
  }
  const body = JSON.stringify({ role, jwt })
  const answer = await send({ method: 'POST', path: `/v1/auth/${mount}/login`, headers, body }, signal).catch(
    (error: unknown) => {
      throw unanswered('vault', error)
    },
  )
  try {
    if (answer.status === 200) return toldIn(answer.body)
    const refused = loginRefusal(answer.status, answer.body)
    if (refused !== undefined) return { refused }
    throw new UpstreamError('vault', kindOfRefusal(answer.status, answer.body), answer.status)
  } finally {
    wipe(answer.body)
  }
}

/**
 * A token that was never issued, signed by nobody, of a ServiceAccount that there is not, for an audience that nobody has:
 * no credential, for Vault or for anybody who gets to see it.
 */
export function nobodysToken(nowMs: number, issuer: string | undefined): string {
  const seconds = Math.floor(nowMs / 1000)
  const serviceaccount = { name: 'nobody-at-all', uid: 'none' }
  const claims = {
    // Where Vault looks at the issuer, it does so first.
    ...(issuer !== undefined && { iss: issuer }),
    aud: ['nobody-at-all'],
    iat: seconds,
    nbf: seconds,
    exp: seconds + 60,
    'kubernetes.io': { namespace: 'nowhere-at-all', serviceaccount },
  }
  const part = (content: object) => Buffer.from(JSON.stringify(content)).toString('base64url')
  return `${part({ alg: 'RS256', typ: 'JWT' })}.${part(claims)}.${randomBytes(256).toString('base64url')}`
}

/** As the token says, which is nobody's secret. */
export function issuerOf(jwt: Token): string | undefined {
  try {
    const { iss } = JSON.parse(Buffer.from(jwt.reveal().split('.')[1] ?? '', 'base64url').toString('utf8'))
    return typeof iss === 'string' ? iss : undefined
  } catch {
    return undefined
  }
}

const NAME = /^[\x21-\x7e]{1,253}$/

function toldIn(body: Buffer): LoginTold {
  try {
    const { auth } = JSON.parse(body.toString('utf8'))
    const { lease_duration: leaseSeconds, token_type: type, policies } = auth
    if (!Number.isSafeInteger(leaseSeconds) || typeof type !== 'string' || !NAME.test(type)) throw garbage()
    if (!Array.isArray(policies) || !policies.every((name) => typeof name === 'string' && NAME.test(name)))
      throw garbage()
    return { leaseSeconds, type, policies }
  } catch {
    // A SyntaxError quotes what it could not parse.
    throw garbage()
  }
}

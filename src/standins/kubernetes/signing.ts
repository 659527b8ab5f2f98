/** The cluster's key: signs ServiceAccount tokens and checks them as kube-apiserver's library does, with its texts. */
import type { KeyObject } from 'node:crypto'
import { createECDH, createHash, createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import type { Random } from '../server.ts'

export interface SigningKey {
  /** A compact JWS, ES256. Without `kid` in its header, as a token whose key must be searched for. */
  sign(claims: Readonly<Record<string, unknown>>, options?: { readonly kid: boolean }): string
  /** The claims, or the text of the refusal; undefined where the real server says only "invalid bearer token". */
  verify(token: string): { readonly claims: Claims } | { readonly error: string } | undefined
  /** As served under /openid/v1/jwks. */
  readonly jwk: Readonly<Record<string, unknown>>
}

export interface Claims {
  readonly iss?: string
  readonly sub?: string
  readonly aud?: string | readonly string[]
  readonly exp?: number
  readonly nbf?: number
  readonly iat?: number
  readonly jti?: string
  readonly 'kubernetes.io'?: {
    readonly namespace?: string
    readonly serviceaccount?: Reference
    readonly pod?: Reference
    readonly node?: Reference
    readonly warnafter?: number
  }
}

interface Reference {
  readonly name?: string
  readonly uid?: string
}

const CRYPTO_FAILURE = 'go-jose/go-jose: error in cryptographic primitive'

export function createSigningKey(random: Random): SigningKey {
  const { privateKey, publicKey } = keyPair(random)
  const kid = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64url')
  return {
    jwk: { use: 'sig', ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256' },
    sign(claims, options) {
      const header = options?.kid === true ? { alg: 'ES256', kid } : { alg: 'ES256' }
      const content = `${encode(header)}.${encode(claims)}`
      const signature = sign('sha256', Buffer.from(content), { key: privateKey, dsaEncoding: 'ieee-p1363' })
      return `${content}.${signature.toString('base64url')}`
    },
    verify(token) {
      const [head, payload, signature, ...rest] = token.split('.')
      if (head === undefined || payload === undefined || signature === undefined || rest.length > 0) return undefined
      const header = decode(head)
      const claims = decode(payload)
      if (header === undefined || claims === undefined || typeof header['alg'] !== 'string') return undefined
      if (header['kid'] !== undefined && header['kid'] !== kid) return { error: 'invalid signature, no keys found' }
      const authentic =
        header['alg'] === 'ES256' &&
        verify(
          'sha256',
          Buffer.from(`${head}.${payload}`),
          { key: publicKey, dsaEncoding: 'ieee-p1363' },
          Buffer.from(signature, 'base64url'),
        )
      return authentic ? { claims: claims as Claims } : { error: CRYPTO_FAILURE }
    },
  }
}

/** The claims without any check, for the one question that comes first: whose token is it? */
export function unverifiedClaims(token: string): Claims | undefined {
  const parts = token.split('.')
  return parts.length === 3 ? (decode(parts[1] ?? '') as Claims | undefined) : undefined
}

/** From 32 random bytes, so that an injected random source yields the same cluster every time. */
function keyPair(random: Random): { privateKey: KeyObject; publicKey: KeyObject } {
  const curve = createECDH('prime256v1')
  curve.setPrivateKey(random(32))
  const point = curve.getPublicKey()
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    x: point.subarray(1, 33).toString('base64url'),
    y: point.subarray(33).toString('base64url'),
    d: curve.getPrivateKey().toString('base64url'),
  }
  const privateKey = createPrivateKey({ key: jwk, format: 'jwk' })
  return { privateKey, publicKey: createPublicKey(privateKey) }
}

function encode(part: unknown): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}

function decode(part: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(part, 'base64url').toString())
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

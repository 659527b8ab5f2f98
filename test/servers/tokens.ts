/** ServiceAccount tokens that no API server would issue, signed with its key, which is ours here. */

import type { KeyObject } from 'node:crypto'
import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'

export type Claims = Readonly<Record<string, unknown>>

export function claimsOf(token: string): Claims {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Claims
}

export function signToken(claims: Claims, key: KeyObject): string {
  const head = [{ alg: 'RS256', typ: 'JWT' }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString('base64url'),
  )
  const signed = head.join('.')
  return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`
}

export function clusterKey(signingKeyFile: string): KeyObject {
  return createPrivateKey(readFileSync(signingKeyFile))
}

/** A key that the cluster does not know. */
export function strangersKey(): KeyObject {
  return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
}

/** The token of a request, from its one Authorization header. */
import type { FastifyRequest } from 'fastify'
import { KeyholeError } from '../errors.ts'
import type { Token } from '../opaque.ts'
import { token } from '../opaque.ts'

/**
 * Two headers are refused, not chosen from: Node keeps the first, a proxy in front may have checked the second.
 * @throws KeyholeError TOKEN_MISSING or MALFORMED_REQUEST.
 */
export function bearer(request: FastifyRequest): Token {
  const values = request.raw.headersDistinct['authorization'] ?? []
  const [value, ...others] = values
  if (others.length > 0) {
    throw new KeyholeError('MALFORMED_REQUEST', {
      why: 'several-authorizations',
      detail: 'Send one Authorization header.',
    })
  }
  const presented = /^bearer +([^\s,]+) *$/i.exec(value ?? '')?.[1]
  if (presented === undefined)
    throw new KeyholeError('TOKEN_MISSING', { why: value === undefined ? 'absent' : 'not-bearer' })
  return token(presented)
}

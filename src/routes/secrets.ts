/** GET /secrets/:name and GET /secrets: the read path, told in order. */
import type { FastifyInstance } from 'fastify'
import type { Bounds } from '../dictionary.ts'
import type { Attempts } from '../http/attempt.ts'
import { peerOf } from '../http/attempt.ts'
import { bearer } from '../http/bearer.ts'
import { parseListRequest, parseReadRequest } from '../http/read-request.ts'
import { sendDisclosed, sendListing, sendUnchanged } from '../http/replies.ts'
import { scanned } from '../http/tripwire.ts'
import type { Audit } from '../services/audit.ts'
import type { Authenticate } from '../services/authenticate.ts'
import type { Authorize } from '../services/authorize.ts'
import type { CiphertextReader } from '../services/ciphertext.ts'
import type { Disclose, Disclosed } from '../services/disclose.ts'
import type { Unchanged } from '../services/entry.ts'
import type { Open } from '../services/open.ts'

/** What every route goes through. */
export interface Door {
  readonly audit: Audit
  readonly authenticate: Authenticate
  readonly authorize: Authorize
  readonly attempts: Attempts
}

export interface Reading {
  readonly ciphertext: CiphertextReader
  readonly open: Open
  readonly disclose: Disclose
  /** Bounds of a whole reply, for the last look at it. */
  readonly replyBounds: Bounds
}

export function secretsRoutes(app: FastifyInstance, door: Door, reading: Reading): void {
  const { audit, authenticate, authorize, attempts } = door
  const { ciphertext, open, disclose, replyBounds } = reading

  app.get('/secrets/:name', { config: { audit: 'read' } }, async (request, reply) => {
    const { ask, ifNoneMatch } = parseReadRequest(request)
    const attempt = attempts.open(request, reply)

    const answer = await audit.read<Disclosed | Unchanged>(attempt, ask, async (entry, signal) => {
      const caller = entry.identified(await authenticate({ token: bearer(request), peer: peerOf(request) }, signal))
      const grant = entry.granted(authorize.read(caller, ask))
      const sealed = await ciphertext.read(grant, signal)
      if (ifNoneMatch(sealed.etag)) return entry.unchanged(sealed)
      using opened = await open(sealed, signal)
      return entry.disclosed(scanned(disclose(opened), replyBounds))
    })
    return 'body' in answer ? sendDisclosed(reply, answer) : sendUnchanged(reply, answer)
  })

  app.get('/secrets', { config: { audit: 'list' } }, async (request, reply) => {
    parseListRequest(request)
    const attempt = attempts.open(request, reply)

    const listing = await audit.list(attempt, async (entry, signal) => {
      const caller = entry.identified(await authenticate({ token: bearer(request), peer: peerOf(request) }, signal))
      return entry.listed(authorize.list(caller))
    })
    return sendListing(reply, listing)
  })
}

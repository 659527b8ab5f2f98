/** How Vault is, which it tells everybody: no token is shown, and nothing else is asked. */
import type { Health } from '../check/ports.ts'
import { UpstreamError } from '../errors.ts'
import { wipe } from '../opaque.ts'
import { unanswered } from './refused.ts'
import type { Send } from './send.ts'

/** @throws UpstreamError when there was no answer, or not one of Vault's. */
export async function vaultHealth(send: Send, signal: AbortSignal): Promise<Health> {
  // Its status says the same as its body: 200 active, 429 standby, 501 uninitialized, 503 sealed, 472 and 473 replicas.
  const answer = await send({ method: 'GET', path: '/v1/sys/health', headers: {} }, signal).catch((error: unknown) => {
    throw unanswered('vault', error)
  })
  try {
    const found = healthIn(answer.body)
    if (found === undefined) throw new UpstreamError('vault', 'garbage', answer.status)
    return found
  } finally {
    wipe(answer.body)
  }
}

function healthIn(body: Buffer): Health | undefined {
  try {
    const { initialized, sealed, standby, version } = JSON.parse(body.toString('utf8'))
    if (typeof initialized !== 'boolean' || typeof sealed !== 'boolean' || typeof standby !== 'boolean')
      return undefined
    return { initialized, sealed, standby, version: VERSION.exec(version)?.[0] ?? '' }
  } catch {
    // A SyntaxError quotes what it could not parse.
    return undefined
  }
}

const VERSION = /^[\w.+-]{1,64}$/

/**
 * Secrets are read as many at a time as are then worked on: no more than Vault takes in one batch, and no more bytes than
 * there is room for. One Secret may hold a mebibyte, and 250 of those are more than the heap of a rotator.
 */
import type { SecretUnder } from '../../policy/secrets-under.ts'
import type { Inspected } from './inspect.ts'
import { isBlocked } from './inspect.ts'
import type { Gate } from './pool.ts'
import { all } from './pool.ts'
import type { Reachability } from './reachability.ts'
import { reachability } from './reachability.ts'

/** A batch of Vault's. */
export const CHUNK = 250
/** Of ciphertext. What is being read when it is reached comes on top: as many Secrets as the gate is wide. */
export const MAX_BYTES_IN_HAND = 1 * 1024 * 1024

/**
 * In the order of the secrets.
 * @throws KeyholeError KUBERNETES_UNAVAILABLE where the API server has answered about none of them.
 */
export async function* inHand(
  secrets: readonly SecretUnder[],
  gate: Gate,
  read: (secret: SecretUnder) => Promise<Inspected>,
): AsyncGenerator<readonly Inspected[]> {
  const server = reachability()
  async function readNoted(secret: SecretUnder): Promise<Inspected> {
    const one = await read(secret)
    if (isBlocked(one) && one.blocked === 'UNANSWERED') server.silent()
    else server.answered()
    return one
  }
  for (let at = 0; at < secrets.length; ) {
    const found = await readSome(secrets.slice(at, at + CHUNK), gate, readNoted, server)
    // No answer about one Secret is that Secret's fault; if all fail, the fault is the API server's.
    server.mustBeReachable()
    at += found.length
    yield found
  }
}

/** The first few of them, or all. If the first read gets no answer and none has succeeded so far, the rest are not tried. */
async function readSome(
  secrets: readonly SecretUnder[],
  gate: Gate,
  read: (secret: SecretUnder) => Promise<Inspected>,
  server: Reachability,
): Promise<readonly Inspected[]> {
  const found: Inspected[] = []
  const left = secrets.entries()
  let bytes = 0
  async function reader(): Promise<void> {
    while (bytes < MAX_BYTES_IN_HAND && !server.isDown()) {
      const next = left.next()
      if (next.done === true) return
      const [at, secret] = next.value
      const one = await gate(() => read(secret))
      found[at] = one
      bytes += bytesOf(one)
    }
  }
  await all(Array.from({ length: gate.width }), reader)
  return found
}

function bytesOf(one: Inspected): number {
  return isBlocked(one) ? 0 : one.parts.reduce((sum, { ciphertext }) => sum + ciphertext.length, 0)
}

/**
 * Secrets are read as many at a time as are then worked on: no more than Vault takes in one batch, and no more bytes than
 * there is room for. One Secret may hold a mebibyte, and 250 of those are more than the heap of a rotator.
 */
import { KeyholeError } from '../../errors.ts'
import type { SecretUnder } from '../../policy/secrets-under.ts'
import type { Inspected } from './inspect.ts'
import { isBlocked } from './inspect.ts'
import type { Gate } from './pool.ts'
import { all } from './pool.ts'

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
  let answered = 0
  async function readNoted(secret: SecretUnder): Promise<Inspected> {
    const one = await read(secret)
    if (!isUnanswered(one)) answered += 1
    return one
  }
  for (let at = 0; at < secrets.length; ) {
    const found = await readSome(secrets.slice(at, at + CHUNK), gate, readNoted, () => answered === 0)
    // No answer about one Secret is its own fault; about all of them it is nobody's of theirs.
    if (answered === 0 && found.some(isUnanswered)) {
      throw new KeyholeError('KUBERNETES_UNAVAILABLE', { why: 'kubernetes-silent' })
    }
    at += found.length
    yield found
  }
}

/** The first few of them, or all. When there is no answer about the first, and was none before, about the others it is not asked. */
async function readSome(
  secrets: readonly SecretUnder[],
  gate: Gate,
  read: (secret: SecretUnder) => Promise<Inspected>,
  isSilent: () => boolean,
): Promise<readonly Inspected[]> {
  const found: Inspected[] = []
  const left = secrets.entries()
  let bytes = 0
  let unanswered = 0
  async function reader(): Promise<void> {
    while (bytes < MAX_BYTES_IN_HAND && !(unanswered > 0 && isSilent())) {
      const next = left.next()
      if (next.done === true) return
      const [at, secret] = next.value
      const one = await gate(() => read(secret))
      found[at] = one
      bytes += bytesOf(one)
      if (isUnanswered(one)) unanswered += 1
    }
  }
  await all(Array.from({ length: gate.width }), reader)
  return found
}

function isUnanswered(one: Inspected): boolean {
  return isBlocked(one) && one.blocked === 'UNANSWERED'
}

function bytesOf(one: Inspected): number {
  return isBlocked(one) ? 0 : one.parts.reduce((sum, { ciphertext }) => sum + ciphertext.length, 0)
}

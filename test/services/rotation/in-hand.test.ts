import { describe, expect, test } from 'vitest'
import type { SecretUnder } from '../../../src/policy/secrets-under.ts'
import { CHUNK, inHand, MAX_BYTES_IN_HAND } from '../../../src/services/rotation/in-hand.ts'
import type { Inspected } from '../../../src/services/rotation/inspect.ts'
import { gate } from '../../../src/services/rotation/pool.ts'

function secrets(count: number): readonly SecretUnder[] {
  return Array.from({ length: count }, (_, index) => {
    return { namespace: 'payments', secret: `s${index}`, dataKeys: 'all', others: new Set<string>() }
  })
}

/** Holds so many bytes of ciphertext; none: it is blocked. */
function holding(secret: SecretUnder, bytes: number): Inspected {
  if (bytes === 0) return { secret, blocked: 'MALFORMED', gitops: undefined }
  const ciphertext = 'x'.repeat(bytes / 2)
  const part = { dataKey: 'a', stored: '', ciphertext, keyVersion: 1 }
  return { secret, parts: [part, part], version: 1, immutable: false, gitops: undefined }
}

async function taken(count: number, width: number, bytes: number) {
  const all = secrets(count)
  const chunks: number[] = []
  const order: SecretUnder[] = []
  let read = 0
  let mostRead = 0
  const found = inHand(all, gate(width), async (secret) => {
    read += 1
    return holding(secret, bytes)
  })
  for await (const chunk of found) {
    mostRead = Math.max(mostRead, read)
    read = 0
    chunks.push(chunk.length)
    order.push(...chunk.map((one) => one.secret))
  }
  expect(order).toEqual(all)
  return { chunks, mostRead }
}

describe('inHand', () => {
  test('has nothing of nothing', async () => {
    expect((await taken(0, 4, 2)).chunks).toEqual([])
  })

  test('takes as many as one batch of Vault holds, in order', async () => {
    expect((await taken(2 * CHUNK + 1, 4, 2)).chunks).toEqual([CHUNK, CHUNK, 1])
    expect((await taken(CHUNK + 1, 4, 0)).chunks).toEqual([CHUNK, 1])
  })

  test('takes no more bytes than there is room for, and what is being read when that is reached', async () => {
    const { chunks, mostRead } = await taken(10, 2, MAX_BYTES_IN_HAND / 2)
    // Two fill it; one more is being read by then.
    expect(chunks).toEqual([3, 3, 3, 1])
    expect(mostRead).toBe(3)
  })

  test('gets on where one Secret alone is more than that', async () => {
    expect((await taken(3, 1, 2 * MAX_BYTES_IN_HAND)).chunks).toEqual([1, 1, 1])
  })

  /** Answers about none of these. */
  function reading(count: number, silent: ReadonlySet<string>, width = 2) {
    const asked: string[] = []
    const found = inHand(secrets(count), gate(width), async (secret) => {
      asked.push(secret.secret)
      return silent.has(secret.secret) ? { secret, blocked: 'UNANSWERED', gitops: undefined } : holding(secret, 0)
    })
    return { asked, found }
  }

  test('goes on where there is no answer about some of them: that is their own fault', async () => {
    const { found } = reading(CHUNK + 1, new Set(['s1', 's7', `s${CHUNK}`]))
    const all = (await Array.fromAsync(found)).flat()
    expect(all).toHaveLength(CHUNK + 1)
    expect(all.filter((one) => 'blocked' in one && one.blocked === 'UNANSWERED')).toHaveLength(3)
  })

  test('refuses where there is no answer about any, and does not ask about the others', async () => {
    const { asked, found } = reading(100, new Set(secrets(100).map(({ secret }) => secret)))
    await expect(Array.fromAsync(found)).rejects.toMatchObject({
      code: 'KUBERNETES_UNAVAILABLE',
      why: 'kubernetes-silent',
    })
    expect(asked).toHaveLength(2)
  })

  test('tells of one that cannot be read', async () => {
    const found = inHand(secrets(3), gate(2), () => Promise.reject(new Error('no')))
    await expect(Array.fromAsync(found)).rejects.toThrow('no')
  })
})

import { describe, expect, test } from 'vitest'
import type { UpstreamKind } from '../../src/errors.ts'
import { UpstreamError } from '../../src/errors.ts'
import { token } from '../../src/opaque.ts'
import type { Transit } from '../../src/services/decrypt.ts'
import { decryptor, TooOld, tooOldForGood } from '../../src/services/decrypt.ts'
import { filesGrantOf, grantOf, partOf, sealedOf, transitKeyOf } from './permits.ts'

const signal = new AbortController().signal

type Request = Parameters<Transit['decrypt']>[0]
type Answer = Error | readonly Buffer[]

/** Transit gives these answers in turn, the last of them for ever; the role is the token. */
function transit(...answers: [Answer, ...Answer[]]) {
  const requests: Request[] = []
  const decrypt = decryptor({
    transit: {
      async decrypt(request) {
        requests.push(request)
        const answer = answers.length > 1 ? answers.shift() : answers[0]
        if (answer instanceof Error) throw answer
        return answer ?? []
      },
    },
    sessions: { use: (role, _signal, act) => act(token(role)) },
    realm: 'prod',
    role: 'keyhole',
  })
  return { decrypt, requests }
}

function refused(kind: UpstreamKind): UpstreamError {
  return new UpstreamError('vault', kind, 400)
}

function text(context: string | undefined): string {
  return Buffer.from(context ?? '', 'base64').toString()
}

describe('open', () => {
  test.each([
    ['not-authentic', 'CIPHERTEXT_REJECTED'],
    ['malformed-ciphertext', 'CIPHERTEXT_REJECTED'],
    ['no-prefix', 'CIPHERTEXT_REJECTED'],
    ['key-missing', 'KEY_UNUSABLE'],
    ['context-missing', 'KEY_UNUSABLE'],
    ['forbidden', 'KEY_UNUSABLE'],
    ['sealed', 'VAULT_SEALED'],
    ['timeout', 'VAULT_UNAVAILABLE'],
  ] as const)('refuses %s at once', async (kind, code) => {
    const { decrypt, requests } = transit(refused(kind))
    await expect(decrypt.open(sealedOf(grantOf()), signal)).rejects.toMatchObject({ code, why: `vault-${kind}` })
    expect(requests).toHaveLength(1)
  })

  test('refuses what is too new after one more try', async () => {
    const { decrypt, requests } = transit(refused('too-new'))
    await expect(decrypt.open(sealedOf(grantOf()), signal)).rejects.toMatchObject({
      code: 'CIPHERTEXT_REJECTED',
      why: 'vault-too-new',
    })
    expect(requests).toHaveLength(2)
  })

  test('leaves it to the caller what to do about too old', async () => {
    const { decrypt, requests } = transit(refused('too-old'))
    await expect(decrypt.open(sealedOf(grantOf()), signal)).rejects.toBeInstanceOf(TooOld)
    expect(requests).toHaveLength(1)
  })

  test('also when it was too new before', async () => {
    const { decrypt } = transit(refused('too-new'), refused('too-old'))
    await expect(decrypt.open(sealedOf(grantOf()), signal)).rejects.toBeInstanceOf(TooOld)
  })

  test('hands on a defect and a deadline as they are', async () => {
    const gone = new Error('gone')
    await expect(transit(gone).decrypt.open(sealedOf(grantOf()), signal)).rejects.toBe(gone)
  })

  test('a standby that lagged is asked once more', async () => {
    const bytes = Buffer.from('x')
    const { decrypt } = transit(refused('too-new'), [bytes])
    await expect(decrypt.open(sealedOf(grantOf()), signal)).resolves.toEqual([bytes])
  })

  test('asks Vault nothing where there is nothing to open', async () => {
    const { decrypt, requests } = transit([])
    await expect(decrypt.open(sealedOf(filesGrantOf(), []), signal)).resolves.toEqual([])
    expect(requests).toHaveLength(0)
  })

  test('asks once for all files, each in the context of its own place', async () => {
    const { decrypt, requests } = transit([Buffer.from('a'), Buffer.from('b')])
    await decrypt.open(sealedOf(filesGrantOf(), [partOf('tls.crt'), partOf('tls.key')]), signal)
    expect(requests).toHaveLength(1)
    expect(requests[0]).toMatchObject({ mount: 'transit', key: 'payments' })
    expect(requests[0]?.items.map(({ context }) => text(context))).toEqual([
      'keyhole/1/prod/payments/payments-db/tls.crt',
      'keyhole/1/prod/payments/payments-db/tls.key',
    ])
  })

  test('gives no context to a key that binds nothing', async () => {
    const { decrypt, requests } = transit([Buffer.from('x')])
    await decrypt.open(sealedOf(grantOf({ transitKey: transitKeyOf({ binding: 'none' }) })), signal)
    expect(requests[0]?.items).toEqual([{ ciphertext: 'vault:v1:AAAA' }])
  })

  test('logs in as the role of the key, or as the one configured', async () => {
    const { decrypt, requests } = transit([Buffer.from('x')])
    await decrypt.open(sealedOf(grantOf()), signal)
    await decrypt.open(sealedOf(grantOf({ transitKey: transitKeyOf({ vaultRoles: { read: 'own' } }) })), signal)
    expect(requests.map((request) => request.token.reveal())).toEqual(['keyhole', 'own'])
  })
})

describe('refusal', () => {
  test('is how Vault refuses a ciphertext without a context', async () => {
    const { decrypt, requests } = transit(refused('context-missing'))
    await expect(decrypt.refusal(transitKeyOf(), 'vault:v1:AAAA', signal)).resolves.toBe('context-missing')
    expect(requests[0]?.items).toEqual([{ ciphertext: 'vault:v1:AAAA' }])
  })

  test('is undefined for what opens, whose bytes are wiped', async () => {
    const bytes = Buffer.from('plaintext')
    await expect(transit([bytes]).decrypt.refusal(transitKeyOf(), 'vault:v1:AAAA', signal)).resolves.toBeUndefined()
    expect(bytes).toEqual(Buffer.alloc(9))
  })

  test('throws what is no refusal', async () => {
    const gone = new Error('gone')
    await expect(transit(gone).decrypt.refusal(transitKeyOf(), 'vault:v1:AAAA', signal)).rejects.toBe(gone)
  })
})

test('what is too old after it was read again is the fault of the ciphertext, with the fix', () => {
  expect(tooOldForGood()).toMatchObject({ code: 'CIPHERTEXT_REJECTED', fix: expect.stringContaining('encrypt') })
})

import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { KeyholeError } from '../../src/errors.ts'
import type { Sealed } from '../../src/services/ciphertext.ts'
import { TooOld } from '../../src/services/decrypt.ts'
import { opener } from '../../src/services/open.ts'
import { filesGrantOf, grantOf, partOf, sealedOf } from './permits.ts'

const signal = new AbortController().signal
const CANARY = 'c4n4ry'
const SEALED = sealedOf(grantOf())
const REWRAPPED = sealedOf(SEALED.grant, [partOf('secrets.json', 'vault:v2:AAAA')], { etag: '"e-2"' })

type Answer<T> = T | Error

/** The stages below it, each with its answers in turn. */
function stages(answers: { keys?: Error; opens?: Answer<Buffer[]>[]; reads?: Answer<Sealed>[] }) {
  const log: string[] = []
  function next<T>(list: Answer<T>[] | undefined): T {
    const answer = list?.shift()
    if (answer === undefined) throw new Error('asked once too often')
    if (answer instanceof Error) throw answer
    return answer
  }
  const open = opener({
    keys: {
      async proven() {
        log.push('proven')
        if (answers.keys !== undefined) throw answers.keys
      },
      recheck: async () => {},
      conditions: () => new Map(),
    },
    decrypt: {
      async open({ parts }) {
        log.push(`open ${parts.map(({ ciphertext }) => ciphertext).join()}`)
        return next(answers.opens)
      },
      refusal: async () => undefined,
    },
    ciphertext: {
      async read() {
        log.push('read')
        return next(answers.reads)
      },
    },
  })
  return { open: (sealed = SEALED) => open(sealed, signal), log }
}

describe('open', () => {
  test('asks Vault for nothing while the key is not proven', async () => {
    const { open, log } = stages({ keys: new KeyholeError('KEY_UNUSABLE'), opens: [[Buffer.from('x')]] })
    await expect(open()).rejects.toMatchObject({ code: 'KEY_UNUSABLE' })
    expect(log).toEqual(['proven'])
  })

  test('hands on how the decryption was refused, and reads nothing again', async () => {
    const { open, log } = stages({ opens: [new KeyholeError('CIPHERTEXT_REJECTED')] })
    await expect(open()).rejects.toMatchObject({ code: 'CIPHERTEXT_REJECTED' })
    expect(log).not.toContain('read')
  })

  test('refuses what is too old and the same when it is read again, without a second decryption', async () => {
    const { open, log } = stages({ opens: [new TooOld()], reads: [SEALED] })
    await expect(open()).rejects.toMatchObject({ code: 'CIPHERTEXT_REJECTED', why: 'vault-too-old' })
    expect(log).toEqual(['proven', 'open vault:v1:AAAA', 'read'])
  })

  test('refuses what is too old twice, and reads again once only', async () => {
    const { open, log } = stages({ opens: [new TooOld(), new TooOld()], reads: [REWRAPPED] })
    await expect(open()).rejects.toMatchObject({ code: 'CIPHERTEXT_REJECTED', why: 'vault-too-old' })
    expect(log).toEqual(['proven', 'open vault:v1:AAAA', 'read', 'open vault:v2:AAAA'])
  })

  test.each([
    ['the second read', { opens: [new TooOld()], reads: [new KeyholeError('SECRET_MISSING')] }, 'SECRET_MISSING'],
    [
      'the second decryption',
      { opens: [new TooOld(), new KeyholeError('VAULT_SEALED')], reads: [REWRAPPED] },
      'VAULT_SEALED',
    ],
  ])('hands on how %s was refused', async (_, answers, code) => {
    await expect(stages(answers).open()).rejects.toMatchObject({ code })
  })

  test.each([
    ['fewer plaintexts than ciphertexts', [CANARY]],
    ['more plaintexts than ciphertexts', [CANARY, CANARY, CANARY]],
  ])('refuses %s, and wipes them', async (_, contents) => {
    const plaintexts = contents.map((content) => Buffer.from(content))
    const { open } = stages({ opens: [plaintexts] })
    const refusal = await open(sealedOf(filesGrantOf(), [partOf('a'), partOf('b')])).catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(Error)
    expect(refusal).not.toBeInstanceOf(KeyholeError)
    expect(inspect(refusal)).not.toContain(CANARY)
    for (const bytes of plaintexts) expect(bytes).toEqual(Buffer.alloc(CANARY.length))
  })

  test('opens what was re-wrapped meanwhile, under its new tag and version', async () => {
    const { open } = stages({ opens: [new TooOld(), [Buffer.from('x')]], reads: [REWRAPPED] })
    using opened = await open()
    expect(opened.sealed).toBe(REWRAPPED)
  })

  test('names each plaintext by its data key', async () => {
    const { open } = stages({ opens: [[Buffer.from('1'), Buffer.from('2')]] })
    using opened = await open(sealedOf(filesGrantOf(), [partOf('a'), partOf('b')]))
    expect(opened.parts.map(({ dataKey, bytes }) => `${dataKey}=${bytes.toString()}`)).toEqual(['a=1', 'b=2'])
  })

  test('wipes every plaintext on disposal, also where its user throws', async () => {
    const plaintexts = [Buffer.from(CANARY), Buffer.from(CANARY)]
    const { open } = stages({ opens: [plaintexts] })
    async function use(): Promise<void> {
      using opened = await open(sealedOf(filesGrantOf(), [partOf('a'), partOf('b')]))
      expect(opened.parts[0]?.bytes.toString()).toBe(CANARY)
      throw new Error('user failed')
    }
    await expect(use()).rejects.toThrow('user failed')
    for (const bytes of plaintexts) expect(bytes).toEqual(Buffer.alloc(CANARY.length))
  })

  test('prints as a label to whatever prints', async () => {
    using opened = await stages({ opens: [[Buffer.from(CANARY)]] }).open()
    const shown = [`${opened}`, String(opened), JSON.stringify({ opened }), inspect({ opened }, { depth: 9 })]
    expect(shown).toEqual(['[opened]', '[opened]', '{"opened":"[opened]"}', '{ opened: [opened] }'])
  })

  test('has nothing to enumerate but what is no secret, for printers that go by that', async () => {
    using opened = await stages({ opens: [[Buffer.from(CANARY)]] }).open()
    expect(opened).toMatchInlineSnapshot(`"[opened]"`)
    expect(inspect({ ...opened }, { depth: 9, customInspect: false })).not.toMatch(
      /Buffer|parts: \[ \{ dataKey: .*bytes/,
    )
    expect(Object.keys(opened)).not.toContain('parts')
  })
})

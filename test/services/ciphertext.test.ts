import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { UpstreamError } from '../../src/errors.ts'
import type { Grant } from '../../src/services/authorize.ts'
import type { StoredSecret } from '../../src/services/ciphertext.ts'
import { ciphertextReader, effectiveKeys } from '../../src/services/ciphertext.ts'
import { filesGrantOf, grantOf } from './permits.ts'

const signal = new AbortController().signal
const CIPHERTEXT = 'vault:v7:AAAA'

function stored(data: Readonly<Record<string, string>>, uid = 's-1'): StoredSecret {
  return { uid, data: new Map(Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')])) }
}

function reading(answer: StoredSecret | undefined | Error) {
  const asked: unknown[][] = []
  const { read } = ciphertextReader({
    async getSecret(...question) {
      asked.push(question)
      if (answer instanceof Error) throw answer
      return answer
    },
  })
  return { read: (grant: Grant) => read(grant, signal), asked }
}

describe('ciphertextReader', () => {
  test('refuses when there is no such Secret', async () => {
    await expect(reading(undefined).read(grantOf())).rejects.toMatchObject({
      code: 'SECRET_MISSING',
      why: 'no-such-secret',
    })
  })

  test('refuses when the Secret lacks the data key of the grant', async () => {
    await expect(reading(stored({ other: CIPHERTEXT })).read(grantOf())).rejects.toMatchObject({
      code: 'SECRET_MISSING',
      why: 'no-such-data-key',
    })
  })

  test('refuses when a file that was asked for is not there', async () => {
    const { read } = reading(stored({ a: CIPHERTEXT }))
    await expect(read(filesGrantOf({ selection: ['a', 'b'] }))).rejects.toMatchObject({ code: 'KEY_MISSING' })
  })

  test('refuses more files than one batch may hold, and says how to have them', async () => {
    const many = Object.fromEntries(Array.from({ length: 251 }, (_, index) => [`f${index}`, CIPHERTEXT]))
    await expect(reading(stored(many)).read(filesGrantOf())).rejects.toMatchObject({
      code: 'CONTENT_INVALID',
      why: 'too-many-files',
      detail: expect.stringContaining('?key=NAME'),
    })
    delete many['f0']
    const { parts } = await reading(stored(many)).read(filesGrantOf())
    expect(parts).toHaveLength(250)
  })

  test.each([
    ['a failure', 'unavailable', 'KUBERNETES_UNAVAILABLE'],
    ['a right that is missing', 'forbidden', 'SECRET_UNREADABLE'],
  ] as const)('refuses on %s of the API server', async (_, kind, code) => {
    await expect(reading(new UpstreamError('kubernetes', kind)).read(grantOf())).rejects.toMatchObject({ code })
  })

  test.each([
    ['nothing', '', 'empty'],
    ['what is not base64', '***', 'not-base64'],
    ['base64 without its padding', 'dmF1bHQ', 'not-base64'],
    ['base64 with a line break', 'dmF1bHQ6djE6QUFBQQ==\n', 'not-base64'],
    ['base64url', '_-__', 'not-base64'],
  ])('refuses %s for a value', async (_, value, why) => {
    const { read } = reading({ uid: 's', data: new Map([['secrets.json', value]]) })
    await expect(read(grantOf())).rejects.toMatchObject({ code: 'CIPHERTEXT_REJECTED', why })
  })

  test.each([
    ['plaintext', '{"PGHOST":"db"}'],
    ['no version', 'vault:AAAA'],
    ['version zero', 'vault:v0:AAAA'],
    ['a version with a leading zero', 'vault:v01:AAAA'],
    ['a version of ten digits', 'vault:v1000000000:AAAA'],
    ['a negative version', 'vault:v-1:AAAA'],
    ['an empty ciphertext', 'vault:v1:'],
    ['another prefix', 'Vault:v1:AAAA'],
    ['a line break at its end', 'vault:v1:AAAA\n'],
    ['two ciphertexts', 'vault:v1:AAAA\nvault:v1:AAAA'],
    ['base64url', 'vault:v1:__--'],
    ['three signs of padding', 'vault:v1:A==='],
    ['other letters', 'vault:v1:ÀÀÀÀ'],
  ])('refuses %s for a ciphertext', async (_, text) => {
    await expect(reading(stored({ 'secrets.json': text })).read(grantOf())).rejects.toMatchObject({
      code: 'CIPHERTEXT_REJECTED',
      why: 'not-transit-ciphertext',
    })
  })

  test('one bad file spoils no other that was asked for alone', async () => {
    const { read } = reading(stored({ good: CIPHERTEXT, bad: 'x' }))
    await expect(read(filesGrantOf())).rejects.toMatchObject({ code: 'CIPHERTEXT_REJECTED' })
    await expect(read(filesGrantOf({ selection: ['good'] }))).resolves.toMatchObject({ parts: [{ dataKey: 'good' }] })
  })

  test('asks for the one Secret that the policy names', async () => {
    const { read, asked } = reading(stored({ 'secrets.json': CIPHERTEXT }))
    await read(grantOf())
    expect(asked).toEqual([['payments', 'payments-db', signal]])
  })

  test('takes the one ciphertext of a dictionary, and its version', async () => {
    const { read } = reading(stored({ 'secrets.json': CIPHERTEXT, other: 'x' }))
    await expect(read(grantOf())).resolves.toMatchObject({
      parts: [{ dataKey: 'secrets.json', ciphertext: CIPHERTEXT, keyVersion: 7 }],
      missing: [],
    })
  })

  test('takes the granted files that are there, sorted, and names those that are not', async () => {
    const { read } = reading(stored({ c: CIPHERTEXT, a: CIPHERTEXT, other: 'x' }))
    const sealed = await read(filesGrantOf({ keys: new Set(['c', 'b', 'a']) }))
    expect(sealed.parts.map(({ dataKey }) => dataKey)).toEqual(['a', 'c'])
    expect(sealed.missing).toEqual(['b'])
  })

  test('takes every file where every key is granted', async () => {
    const sealed = await reading(stored({ b: CIPHERTEXT, a: CIPHERTEXT })).read(filesGrantOf())
    expect(sealed.parts.map(({ dataKey }) => dataKey)).toEqual(['a', 'b'])
    expect(sealed.missing).toEqual([])
  })

  test('a Secret without data has no files', async () => {
    const sealed = await reading(stored({})).read(filesGrantOf())
    expect(sealed).toMatchObject({ parts: [], missing: [] })
  })
})

describe('effectiveKeys', () => {
  test('are the keys asked for, else those granted, sorted, else whatever is there', () => {
    expect(effectiveKeys(grantOf({ keys: new Set(['b', 'a']), selection: ['b'] }))).toEqual(['b'])
    expect(effectiveKeys(grantOf({ keys: new Set(['b', 'a']) }))).toEqual(['a', 'b'])
    expect(effectiveKeys(grantOf())).toBeUndefined()
  })
})

describe('the ETag', () => {
  async function etag(grant: Grant, secret = stored({ 'secrets.json': CIPHERTEXT })): Promise<string> {
    return (await reading(secret).read(grant)).etag
  }

  test('is a strong entity tag that names nothing', async () => {
    expect(await etag(grantOf())).toMatch(/^"[A-Za-z0-9_-]{43}"$/)
  })

  test('is the same for the same reply, whatever the order of the grant', async () => {
    const [a, b] = [grantOf({ keys: new Set(['a', 'b']) }), grantOf({ keys: new Set(['b', 'a']) })]
    expect(await etag(a)).toBe(await etag(b))
  })

  test('is the same for two callers of one grant, so that replicas and replacements agree', async () => {
    const grant = grantOf()
    const other = grantOf({ caller: { ...grant.caller, uid: 'u-2' } })
    expect(await etag(grant)).toBe(await etag(other))
  })

  test.each([
    ['the Secret was made again', grantOf(), stored({ 'secrets.json': CIPHERTEXT }, 's-2')],
    ['the ciphertext is another', grantOf(), stored({ 'secrets.json': 'vault:v7:AAAB' })],
    ['the ciphertext was re-wrapped', grantOf(), stored({ 'secrets.json': 'vault:v8:AAAA' })],
    ['fewer keys are granted', grantOf({ keys: new Set(['a']) }), undefined],
    ['keys were asked for', grantOf({ selection: ['a'] }), undefined],
  ])('differs when %s', async (_, grant, secret) => {
    expect(await etag(grant, secret)).not.toBe(await etag(grantOf()))
  })

  test('differs when what is granted was asked for, since a missing key is then another answer', async () => {
    expect(await etag(grantOf({ keys: new Set(['a']), selection: ['a'] }))).not.toBe(
      await etag(grantOf({ keys: new Set(['a']) })),
    )
  })

  test('differs between a file as it is and as JSON, and between files and a dictionary', async () => {
    const secret = stored({ 'secrets.json': CIPHERTEXT })
    const selection = ['secrets.json']
    const tags = [
      await etag(filesGrantOf({ selection, raw: true }), secret),
      await etag(filesGrantOf({ selection }), secret),
      await etag(grantOf({ selection }), secret),
    ]
    expect(new Set(tags).size).toBe(3)
  })

  test('differs between any two replies that differ', async () => {
    const word = fc.constantFrom('a', 'b', 'ab', 'a,b', '1:a', 'all', 'whole', '"', ']', '\ud800', '\ud801')
    const some = fc.uniqueArray(word, { maxLength: 3 })
    const reply = fc.record({
      uid: fc.constantFrom('u', 'v'),
      keys: fc.option(some, { nil: undefined }),
      selection: fc.option(some, { nil: undefined }),
      dataKey: word,
      ciphertext: fc.constantFrom('vault:v1:AAAA', 'vault:v1:AAAB', 'vault:v2:AAAA'),
    })
    type Reply = typeof reply extends fc.Arbitrary<infer T> ? T : never
    const meaning = ({ keys, selection, ...others }: Reply) =>
      JSON.stringify({
        ...others,
        selection: selection?.sort() ?? 0,
        keys: selection === undefined ? (keys?.sort() ?? 0) : 1,
      })
    const tagOf = ({ uid, keys, selection, dataKey, ciphertext }: Reply) =>
      etag(
        grantOf({ keys: keys === undefined ? 'all' : new Set(keys), selection: selection?.sort(), dataKey }),
        stored({ [dataKey]: ciphertext }, uid),
      )
    await fc.assert(
      fc.asyncProperty(reply, reply, async (a, b) => {
        expect((await tagOf(a)) === (await tagOf(b))).toBe(meaning(a) === meaning(b))
      }),
      { seed: 3, numRuns: 500 },
    )
  })

  test('differs between any two Secrets of files', async () => {
    const files = fc.dictionary(fc.constantFrom('a', 'b', 'ab'), fc.constantFrom('vault:v1:AAAA', 'vault:v1:AAAB'))
    await fc.assert(
      fc.asyncProperty(files, files, async (a, b) => {
        const names = Object.keys({ ...a, ...b })
        const same = names.every((name) => a[name] === b[name])
        expect((await etag(filesGrantOf(), stored(a))) === (await etag(filesGrantOf(), stored(b)))).toBe(same)
      }),
      { seed: 3 },
    )
  })
})

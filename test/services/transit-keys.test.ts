import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { UpstreamKind } from '../../src/errors.ts'
import { UpstreamError } from '../../src/errors.ts'
import type { TransitKey } from '../../src/policy/schema.ts'
import type { KeyCondition } from '../../src/services/transit-keys.ts'
import { transitKeys } from '../../src/services/transit-keys.ts'
import { settled, virtualClock } from '../virtual-clock.ts'
import { transitKeyOf } from './permits.ts'

const patient = new AbortController().signal
const KEEP_MS = 3_600_000
const RETRY_MS = 10_000
const KEY = transitKeyOf()

type Ask = (key: TransitKey, ciphertext: string, signal: AbortSignal) => Promise<UpstreamKind | undefined>
type Answer = UpstreamKind | undefined | Ask

/** Vault answers the probe as `vault.answer` says at the time. */
function probing(answer: Answer) {
  const clock = virtualClock()
  const asked: string[] = []
  const told: [name: string, condition: KeyCondition, fix: string | undefined][] = []
  const unasked: [why: string | undefined, fix: string | undefined, keys: number][] = []
  const vault: { answer: Answer } = { answer }
  const keys = transitKeys({
    async ask(key, ciphertext, signal) {
      asked.push(ciphertext)
      return typeof vault.answer === 'function' ? await vault.answer(key, ciphertext, signal) : vault.answer
    },
    clock,
    keepMs: KEEP_MS,
    retryMs: RETRY_MS,
    changed: (key, condition, fix) => void told.push([key.name, condition, fix]),
    unasked: ({ why, fix }, count) => void unasked.push([why, fix, count]),
  })
  return { clock, asked, told, unasked, vault, keys, proven: (key = KEY, signal = patient) => keys.proven(key, signal) }
}

/** A derived key whose versions from `min` to `latest` may be used, as Vault checks them. */
function versions(min: number, latest: number): Ask {
  return async (_, ciphertext) => {
    const version = Number(/^vault:v(\d+):AAAA$/.exec(ciphertext)?.[1])
    if (version > latest) return 'too-new'
    return version < min ? 'too-old' : 'context-missing'
  }
}

describe('proven', () => {
  test.each([
    ['opens what cannot be a ciphertext', undefined, 'not-derived', 'derived=true'],
    ['looks at the ciphertext without a context', 'not-authentic', 'not-derived', 'derived=true'],
    ['calls the ciphertext malformed', 'malformed-ciphertext', 'not-derived', 'derived=true'],
    ['refuses for a reason not known', 'bad-request', 'not-derived', 'derived=true'],
    ['is missing', 'key-missing', 'missing', 'create the Transit key'],
    ['lies at a mount that is none', 'mount-missing', 'missing', 'mount'],
    ['may not be used', 'forbidden', 'role-refused', 'decrypt'],
    ['has a role that is none', 'role-missing', 'role-refused', 'role'],
  ] as const)('refuses a key that %s', async (_, kind, condition, fix) => {
    const { proven, keys, told } = probing(kind)
    await expect(proven()).rejects.toMatchObject({
      code: 'KEY_UNUSABLE',
      why: `transit-key-${condition}`,
      fix: expect.stringContaining(fix),
    })
    expect(keys.conditions()).toEqual(new Map([['payments', condition]]))
    expect(told).toEqual([['payments', condition, expect.stringContaining(fix)]])
  })

  test.each([
    ['unavailable', 'VAULT_UNAVAILABLE'],
    ['timeout', 'VAULT_UNAVAILABLE'],
    ['throttled', 'VAULT_UNAVAILABLE'],
    ['garbage', 'VAULT_UNAVAILABLE'],
    ['redirected', 'VAULT_UNAVAILABLE'],
    ['unauthorized', 'VAULT_UNAVAILABLE'],
    ['sealed', 'VAULT_SEALED'],
    ['standby', 'VAULT_SEALED'],
  ] as const)('refuses while Vault is %s, and keeps nothing of it', async (kind, code) => {
    const { proven, keys, told, vault } = probing(kind)
    await expect(proven()).rejects.toMatchObject({ code })
    expect(keys.conditions().size + told.length).toBe(0)
    vault.answer = 'context-missing'
    await expect(proven()).resolves.toBeUndefined()
  })

  test('hands on who gave up', async () => {
    const { proven } = probing(() => new Promise(() => {}))
    const hasty = new AbortController()
    const waiting = proven(KEY, hasty.signal)
    hasty.abort('gave up')
    await expect(waiting).rejects.toBe('gave up')
  })

  test('hands on a defect as it is', async () => {
    const { proven } = probing(() => Promise.reject(new Error('defect')))
    await expect(proven()).rejects.toThrow('defect')
  })

  test('takes a derived key, and asks once', async () => {
    const { proven, keys, asked, told } = probing('context-missing')
    await proven()
    await proven()
    expect(asked).toEqual(['vault:v1:AAAA'])
    expect(told).toEqual([['payments', 'derived', undefined]])
    expect(keys.conditions()).toEqual(new Map([['payments', 'derived']]))
  })

  test('asks once for all who wait, and one that gives up takes nothing from another', async () => {
    const { promise, resolve } = Promise.withResolvers<UpstreamKind>()
    const { proven, asked } = probing(() => promise)
    const hasty = new AbortController()
    const [first, second] = [proven(KEY, hasty.signal), proven()]
    hasty.abort('gave up')
    await expect(first).rejects.toBe('gave up')
    resolve('context-missing')
    await second
    expect(asked).toHaveLength(1)
  })

  test('asks nothing about a key that binds nothing', async () => {
    const { proven, keys, asked } = probing(undefined)
    await proven(transitKeyOf({ binding: 'none' }))
    await keys.recheck([transitKeyOf({ binding: 'none' })], patient)
    expect(asked).toHaveLength(0)
    expect(keys.conditions().size).toBe(0)
  })

  test('keeps a good answer for its time and a bad one for less', async () => {
    const { proven, asked, clock, vault, told } = probing('key-missing')
    await expect(proven()).rejects.toMatchObject({ code: 'KEY_UNUSABLE' })
    vault.answer = 'context-missing'
    await clock.advance(RETRY_MS - 1)
    await expect(proven()).rejects.toMatchObject({ code: 'KEY_UNUSABLE' })
    expect(asked).toHaveLength(1)
    await clock.advance(1)
    await proven()
    vault.answer = undefined
    await clock.advance(KEEP_MS - 1)
    await proven()
    expect(asked).toHaveLength(2)
    await clock.advance(1)
    await expect(proven()).rejects.toMatchObject({ why: 'transit-key-not-derived' })
    expect(told.map(([, condition]) => condition)).toEqual(['missing', 'derived', 'not-derived'])
  })

  test.each([
    ['a good', 'context-missing'],
    ['a bad', 'key-missing'],
  ] as const)('does not keep %s answer for longer because the clock was set back', async (_, kind) => {
    const { proven, asked, clock } = probing(kind)
    await proven().catch(() => {})
    clock.set(clock.now() - 1)
    await proven().catch(() => {})
    expect(asked).toHaveLength(2)
  })

  test('tells of a condition once, however often it is found', async () => {
    const { proven, clock, told } = probing('forbidden')
    for (let count = 0; count < 5; count += 1) {
      await expect(proven()).rejects.toMatchObject({ code: 'KEY_UNUSABLE' })
      await clock.advance(RETRY_MS)
    }
    expect(told).toHaveLength(1)
  })

  test('asks each role about a key of its own, and each mount', async () => {
    const ask: Ask = async ({ vaultRoles, mount }) =>
      vaultRoles.read === 'good' && mount === 'transit' ? 'context-missing' : 'forbidden'
    const { proven, asked } = probing(ask)
    await proven(transitKeyOf({ vaultRoles: { read: 'good' } }))
    await expect(proven(transitKeyOf({ vaultRoles: { read: 'bad' } }))).rejects.toMatchObject({ code: 'KEY_UNUSABLE' })
    await expect(proven(transitKeyOf({ vaultRoles: {} }))).rejects.toMatchObject({ code: 'KEY_UNUSABLE' })
    await expect(proven(transitKeyOf({ vaultRoles: { read: 'good' }, mount: 'other' }))).rejects.toMatchObject({
      code: 'KEY_UNUSABLE',
    })
    expect(asked).toHaveLength(4)
  })

  test.each([
    ['mount a/b and key c', { mount: 'a/b', name: 'c' }, { mount: 'a', name: 'b/c' }],
    ['no role and a role called null', {}, { vaultRoles: { read: 'null' } }],
  ])('does not take %s for one another', async (_, one, other) => {
    const { proven, asked } = probing('context-missing')
    await proven(transitKeyOf(one))
    await proven(transitKeyOf(other))
    expect(asked).toHaveLength(2)
  })
})

describe('the version that is asked about', () => {
  test('is found by doubling and halving, in few questions', async () => {
    const range = fc
      .tuple(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 0, max: 5000 }))
      .map(([min, more]) => ({ min, latest: min + more }))
    await fc.assert(
      fc.asyncProperty(range, async ({ min, latest }) => {
        const { proven, asked } = probing(versions(min, latest))
        await proven()
        expect(asked.length).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(min + 1)) + 1)
      }),
      {
        seed: 3,
        numRuns: 300,
        examples: [[{ min: 1, latest: 1 }], [{ min: 3, latest: 3 }], [{ min: 5000, latest: 5000 }]],
      },
    )
  })

  test.each([
    ['too old, whatever is asked', async () => 'too-old' as const],
    ['too new, whatever is asked', async () => 'too-new' as const],
    [
      'of versions that moved meanwhile',
      (async (_, text) => (text === 'vault:v1:AAAA' ? 'too-old' : 'too-new')) as Ask,
    ],
  ])('is given up where every answer is %s', async (_, answer) => {
    const { proven, asked, keys } = probing(answer)
    await expect(proven()).rejects.toMatchObject({ code: 'VAULT_UNAVAILABLE', why: 'vault-garbage' })
    expect(asked.length).toBeLessThanOrEqual(31)
    expect(asked.every((text) => /^vault:v[1-9]\d{0,8}:AAAA$/.test(text))).toBe(true)
    expect(keys.conditions().size).toBe(0)
  })

  test('a Vault that fails half-way settles nothing', async () => {
    const { proven, vault, keys } = probing(async (_, text) => (text === 'vault:v1:AAAA' ? 'too-old' : 'standby'))
    await expect(proven()).rejects.toMatchObject({ code: 'VAULT_SEALED' })
    expect(keys.conditions().size).toBe(0)
    vault.answer = versions(4, 4)
    await proven()
  })
})

describe('recheck', () => {
  const [a, b] = [transitKeyOf({ name: 'a' }), transitKeyOf({ name: 'b' })]

  test('asks about every key again, one after the other', async () => {
    let inFlight = 0
    const { keys, asked } = probing(async () => {
      expect(inFlight).toBe(0)
      inFlight += 1
      await settled()
      inFlight -= 1
      return 'context-missing'
    })
    await keys.recheck([a, b], patient)
    await keys.recheck([a, b], patient)
    expect(asked).toHaveLength(4)
    expect(keys.conditions()).toEqual(
      new Map([
        ['a', 'derived'],
        ['b', 'derived'],
      ]),
    )
  })

  test('leaves as it was known what Vault cannot be asked, and asks about the next', async () => {
    const { keys, vault, proven } = probing('context-missing')
    await keys.recheck([a], patient)
    vault.answer = async ({ name }) => (name === 'a' ? 'unavailable' : 'context-missing')
    await keys.recheck([a, b], patient)
    expect([...keys.conditions().keys()]).toEqual(['a', 'b'])
    await proven(a)
  })

  test('tells once for each reason that somebody can mend why keys could not be asked about, and how many', async () => {
    const c = transitKeyOf({ name: 'c' })
    const { keys, vault, unasked } = probing('context-missing')
    await keys.recheck([a, b, c], patient)
    vault.answer = async ({ name }) => {
      throw new UpstreamError('vault', name === 'b' ? 'unavailable' : 'unauthorized')
    }
    await keys.recheck([a, b, c], patient)
    expect(unasked).toEqual([['vault-unauthorized', expect.stringContaining("keyhole's login"), 2]])
  })

  test('that was given up tells nothing', async () => {
    const { keys, unasked } = probing(() => Promise.reject(new UpstreamError('vault', 'unauthorized')))
    await keys.recheck([a], AbortSignal.abort('stopped'))
    expect(unasked).toEqual([])
  })

  test('needs nobody who is told', async () => {
    const ask = () => Promise.reject(new UpstreamError('vault', 'unauthorized'))
    const keys = transitKeys({ ask, clock: virtualClock(), keepMs: KEEP_MS, retryMs: RETRY_MS, changed() {} })
    await keys.recheck([a], patient)
    expect(keys.conditions().size).toBe(0)
  })

  test('finds what became of a key before anybody reads', async () => {
    const { keys, vault, told, proven } = probing('context-missing')
    await keys.recheck([a], patient)
    vault.answer = 'malformed-ciphertext'
    await keys.recheck([a], patient)
    expect(told.map(([, condition]) => condition)).toEqual(['derived', 'not-derived'])
    await expect(proven(a)).rejects.toMatchObject({ code: 'KEY_UNUSABLE' })
  })

  test('forgets keys that are in the policy no more, or with another role', async () => {
    const { keys } = probing('context-missing')
    await keys.recheck([a, b], patient)
    await keys.recheck([transitKeyOf({ name: 'b', vaultRoles: { read: 'r' } })], AbortSignal.abort('stopped'))
    expect(keys.conditions().size).toBe(0)
  })
})

test('what cannot be asked is an UpstreamError to nobody but a KeyholeError', async () => {
  const { proven } = probing(() => Promise.reject(new UpstreamError('vault', 'timeout')))
  await expect(proven()).rejects.toMatchObject({ name: 'KeyholeError', code: 'VAULT_UNAVAILABLE' })
})

import { describe, expect, test } from 'vitest'
import type { UpstreamKind } from '../../../src/errors.ts'
import { UpstreamError } from '../../../src/errors.ts'
import type { TransitKey } from '../../../src/policy/schema.ts'
import type { LocatedPart } from '../../../src/services/rotation/inspect.ts'
import type { RewrapItem } from '../../../src/services/rotation/ports.ts'
import type { ToRewrap } from '../../../src/services/rotation/rewrap.ts'
import { MAX_ITEMS } from '../../../src/services/rotation/rewrap.ts'
import { transitKeyOf } from '../permits.ts'
import { ROLE, stagesOf } from './stages.ts'
import type { World } from './world.ts'
import { NEVER, sealed, world } from './world.ts'

function part(ciphertext: string, dataKey = 'secrets.json'): LocatedPart {
  const keyVersion = Number(/^vault:v(\d+):/.exec(ciphertext)?.[1])
  return { dataKey, stored: Buffer.from(ciphertext).toString('base64'), ciphertext, keyVersion }
}

function secret(name: string, ...parts: readonly LocatedPart[]): ToRewrap {
  return { secret: { namespace: 'payments', secret: name, dataKeys: 'all', others: new Set() }, parts }
}

/** So many Secrets of one ciphertext each. */
function secrets(count: number, plaintext = 's'): readonly ToRewrap[] {
  return Array.from({ length: count }, (_, index) =>
    secret(`s${index}`, part(sealed(1, `payments/s${index}`, 'secrets.json', { plaintext }))),
  )
}

function opened(key: Partial<TransitKey> = {}) {
  const there = world()
  there.putKey('payments', { latestVersion: 2 })
  const { rewrap } = stagesOf(there)
  return {
    there,
    rewrap: (all: readonly ToRewrap[], signal = NEVER) => there.elapsed(rewrap(transitKeyOf(key), all, signal)),
  }
}

function sizes(there: World): readonly string[] {
  return there.calls.filter((call) => call.startsWith('rewrap'))
}

describe('rewrap: a Secret that is blocked', () => {
  test.each<[string, string, string]>([
    ['pasted from another place', sealed(1, 'payments/other'), 'FOREIGN'],
    ['of another data key', sealed(1, 'payments/db', 'other.json'), 'FOREIGN'],
    ['of another Transit key', sealed(1, 'payments/db', 'secrets.json', { key: 'billing' }), 'FOREIGN'],
    ['forged', 'vault:v1:AAAA', 'FOREIGN'],
    ['of a version that was never made', sealed(9), 'TOO_NEW'],
    ['without a version', 'vault:1:AAAA', 'MALFORMED'],
  ])('by a ciphertext %s takes nothing from the others', async (_, bad, blocked) => {
    const { rewrap } = opened()
    const [one, two, three] = await rewrap([
      secret('a', part(sealed(1, 'payments/a'))),
      secret('db', part(sealed(1)), part(bad)),
      secret('c', part(sealed(1, 'payments/c'))),
    ])
    expect(two).toMatchObject({ one: { secret: { secret: 'db' } }, blocked })
    expect(one).toMatchObject({ one: { secret: { secret: 'a' } }, made: [{ ciphertext: sealed(2, 'payments/a') }] })
    expect(three).toMatchObject({ one: { secret: { secret: 'c' } }, made: [{ ciphertext: sealed(2, 'payments/c') }] })
  })

  test('by an old version says so', async () => {
    const { there, rewrap } = opened()
    there.putKey('payments', { latestVersion: 3, minDecryptionVersion: 2 })
    expect(await rewrap([secret('db', part(sealed(1)))])).toMatchObject([{ blocked: 'TOO_OLD' }])
  })

  test.each([
    ['too-large', 'TOO_LARGE'],
    ['bad-request', 'MALFORMED'],
  ] as const)('is found by halving where Vault refuses the batch with %s', async (kind, blocked) => {
    const { there, rewrap } = opened()
    const all = secrets(5)
    const { rewrap: ask } = there.transit
    const refusing = (request: { readonly items: readonly RewrapItem[] }) => {
      if (!request.items.some(({ ciphertext }) => ciphertext === all[3]?.parts[0]?.ciphertext)) return
      there.fail(/rewrap/, new UpstreamError('vault', kind))
    }
    there.transit.rewrap = (request, signal) => {
      refusing(request)
      return ask(request, signal)
    }
    const outcomes = await rewrap(all)
    expect(outcomes.map((outcome) => ('blocked' in outcome ? outcome.blocked : 'made'))).toEqual([
      'made',
      'made',
      'made',
      blocked,
      'made',
    ])
    expect(sizes(there)).toEqual([
      'rewrap payments 5',
      'rewrap payments 3',
      'rewrap payments 2',
      'rewrap payments 1',
      'rewrap payments 1',
    ])
  })
})

describe('rewrap: what is not about one ciphertext', () => {
  test.each<[UpstreamKind, string]>([
    ['forbidden', 'KEY_UNUSABLE'],
    ['mount-missing', 'KEY_UNUSABLE'],
    ['key-missing', 'KEY_UNUSABLE'],
    ['sealed', 'VAULT_SEALED'],
    ['unavailable', 'VAULT_UNAVAILABLE'],
  ])('%s refuses with %s', async (kind, code) => {
    const { there, rewrap } = opened()
    there.fail(/rewrap/, new UpstreamError('vault', kind), 99)
    await expect(rewrap(secrets(3))).rejects.toMatchObject({ code, why: `vault-${kind}` })
  })

  test('a login that Vault refuses is no fault of the key', async () => {
    const { there, rewrap } = opened()
    there.fail(/login/, new UpstreamError('vault', 'forbidden'), 99)
    await expect(rewrap(secrets(1))).rejects.toMatchObject({ code: 'VAULT_UNAVAILABLE', why: 'vault-unauthorized' })
  })

  test.each([
    ['place', 'key-missing', 'create it with derived=true'],
    ['none', 'context-missing', 'take binding: none off'],
  ] as const)('with binding %s, an item that says %s is about the key', async (binding, refused, fix) => {
    const { there, rewrap } = opened({ binding })
    there.fail(/rewrap/, () => [{ refused }])
    await expect(rewrap(secrets(1))).rejects.toMatchObject({
      code: 'KEY_UNUSABLE',
      why: 'transit-key-binding',
      fix: expect.stringContaining(fix),
    })
  })

  test('ends with its signal', async () => {
    const { rewrap } = opened()
    await expect(rewrap(secrets(1), AbortSignal.abort(new Error('over')))).rejects.toThrow('over')
  })
})

describe('rewrap', () => {
  test('asks nothing about nothing', async () => {
    const { there, rewrap } = opened()
    expect(await rewrap([])).toEqual([])
    expect(await rewrap([secret('empty')])).toMatchObject([{ made: [] }])
    expect(there.calls).toEqual([])
  })

  test('asks about 250 at most, and keeps the order over all batches', async () => {
    const { there, rewrap } = opened()
    const all = secrets(2 * MAX_ITEMS + 1)
    const outcomes = await rewrap(all)
    expect(sizes(there)).toEqual(['rewrap payments 250', 'rewrap payments 250', 'rewrap payments 1'])
    expect(outcomes.map(({ one }) => one)).toEqual(all)
    expect(
      outcomes.every((outcome, index) => 'made' in outcome && outcome.made[0]?.part === all[index]?.parts[0]),
    ).toBe(true)
  })

  test('asks about 3 MiB at most, but for one that is larger alone', async () => {
    const { there, rewrap } = opened()
    const large = 'x'.repeat(1_000_000)
    await rewrap(secrets(7, large))
    expect(sizes(there)).toEqual(['rewrap payments 2', 'rewrap payments 2', 'rewrap payments 2', 'rewrap payments 1'])
    there.calls.length = 0
    await rewrap(secrets(2, 'x'.repeat(2_500_000)))
    expect(sizes(there)).toEqual(['rewrap payments 1', 'rewrap payments 1'])
  })

  test('waits for a standby that does not know the newest version yet, once', async () => {
    const { there, rewrap } = opened()
    there.fail(/rewrap/, () => [{ refused: 'too-new' }])
    expect(await rewrap([secret('db', part(sealed(2)))])).toMatchObject([{ made: [{ keyVersion: 2 }] }])
    there.fail(/rewrap/, () => [{ refused: 'too-new' }], 99)
    expect(await rewrap([secret('db', part(sealed(2)))])).toMatchObject([{ blocked: 'TOO_NEW' }])
    expect(there.count(/rewrap/)).toBe(4)
  })

  test('outlasts a Vault that is away for a while', async () => {
    const { there, rewrap } = opened()
    there.fail(/rewrap/, new UpstreamError('vault', 'sealed'), 6)
    expect(await rewrap(secrets(1))).toMatchObject([{ made: [{ keyVersion: 2 }] }])
  })

  test('asks without a context where the key binds to no place', async () => {
    const { there, rewrap } = opened({ binding: 'none' })
    there.putKey('payments', { derived: false, latestVersion: 2 })
    const unbound = sealed(1, '', '', { bound: false })
    expect(await rewrap([secret('db', part(unbound))])).toMatchObject([{ made: [{ keyVersion: 2 }] }])
  })

  test.each([
    [{}, ROLE],
    [{ vaultRoles: { rotate: 'own' } }, 'own'],
    [{ vaultRoles: { read: 'reads' } }, ROLE],
  ])('with %o logs in as %s', async (key, role) => {
    const { there, rewrap } = opened(key)
    await rewrap(secrets(1))
    expect(there.calls.filter((call) => call.startsWith('login'))).toEqual([`login ${role}`])
  })
})

import { describe, expect, test } from 'vitest'
import type { UpstreamKind } from '../../../src/errors.ts'
import { UpstreamError } from '../../../src/errors.ts'
import type { TransitKey } from '../../../src/policy/schema.ts'
import type { Begun } from '../../../src/services/rotation/effects.ts'
import type { Claim } from '../../../src/services/rotation/journal.ts'
import type { LeaseRecord } from '../../../src/services/rotation/ports.ts'
import { transitKeyOf } from '../permits.ts'
import { claimOf, ROLE, stagesOf } from './stages.ts'
import { NEVER, world } from './world.ts'

const BEGUN = {} as Begun

function opened() {
  const there = world()
  there.putKey('payments', { latestVersion: 2 })
  return { there, keys: stagesOf(there).keys }
}

type At = ReturnType<typeof opened> & { readonly claimed?: Claim }

describe('keys.read', () => {
  test.each([
    ['place', false, 'not-derived', 'derived=true'],
    ['none', true, 'derived', 'take that off'],
  ] as const)('refuses a key of binding %s whose derived is %s', async (binding, derived, why, fix) => {
    const { there, keys } = opened()
    there.putKey('payments', { derived })
    await expect(keys.read(transitKeyOf({ binding }), NEVER)).rejects.toMatchObject({
      code: 'KEY_UNUSABLE',
      why,
      fix: expect.stringContaining(fix),
    })
  })

  test.each<[RegExp, UpstreamKind, string, string]>([
    [/read/, 'key-missing', 'KEY_UNUSABLE', 'vault-key-missing'],
    [/read/, 'forbidden', 'KEY_UNUSABLE', 'vault-forbidden'],
    [/login/, 'role-missing', 'KEY_UNUSABLE', 'vault-role-missing'],
    [/login/, 'forbidden', 'VAULT_UNAVAILABLE', 'vault-unauthorized'],
    [/read/, 'sealed', 'VAULT_SEALED', 'vault-sealed'],
  ])('refuses where %s fails with %s: %s', async (call, kind, code, why) => {
    const { there, keys } = opened()
    there.fail(call, new UpstreamError('vault', kind), 99)
    await expect(there.elapsed(keys.read(transitKeyOf(), NEVER))).rejects.toMatchObject({ code, why })
  })

  test('tells what Vault does, with the role that rotates', async () => {
    const { there, keys } = opened()
    expect(await keys.read(transitKeyOf(), NEVER)).toMatchObject({ derived: true, latestVersion: 2 })
    expect(await keys.read(transitKeyOf({ vaultRoles: { rotate: 'own' } }), NEVER)).toMatchObject({ latestVersion: 2 })
    expect(there.calls).toEqual([`login ${ROLE}`, 'read payments', 'login own', 'read payments'])
  })
})

describe('the fence', () => {
  const changes: [string, string, (key?: Partial<TransitKey>) => (at: At) => Promise<void>][] = [
    [
      'addVersion',
      'rotate payments',
      (key) =>
        async ({ there, keys, claimed }) =>
          keys.addVersion(BEGUN, transitKeyOf(key), 3, claimed ?? (await claimOf(there))),
    ],
    [
      'setMinDecryptionVersion',
      'min payments 2',
      (key) =>
        async ({ there, keys, claimed }) =>
          keys.setMinDecryptionVersion(BEGUN, transitKeyOf(key), 2, claimed ?? (await claimOf(there))),
    ],
  ]

  test.each(changes)('%s logs in anew on a fresh Lease, and acts with that token', async (name, call, change) => {
    const at = opened()
    await at.keys.read(transitKeyOf(), NEVER)
    at.there.calls.length = 0
    await change()(at)
    // For a raise, one that has just been written is written again.
    const renewed = name === 'addVersion' ? [] : ['write-lease']
    expect(at.there.calls).toEqual(['read-lease', 'write-lease', ...renewed, `login ${ROLE}`, call])
  })

  test.each(changes)(
    '%s renews a Lease that was written half a second ago, before it logs in',
    async (_, call, change) => {
      const at = opened()
      const claimed = await claimOf(at.there)
      await at.there.clock.advance(500)
      at.there.calls.length = 0
      await change()({ ...at, claimed })
      expect(at.there.calls).toEqual(['write-lease', `login ${ROLE}`, call])
    },
  )

  test.each(changes)('%s refuses a token that outlives the Lease, and changes nothing', async (_, call, change) => {
    const at = opened()
    at.there.setTokenSeconds(31)
    await expect(change()(at)).rejects.toMatchObject({
      code: 'KEY_UNUSABLE',
      why: 'vault-token-outlives-lease',
      fix: expect.stringContaining('token_ttl=10s'),
    })
    expect(at.there.count(new RegExp(call))).toBe(0)
  })

  test('takes a token that ends with the Lease', async () => {
    const at = opened()
    at.there.setTokenSeconds(30)
    await expect(changes[0]?.[2]()(at)).resolves.toBeUndefined()
  })

  test('counts the life of a token from when it is there, not from when it was asked for', async () => {
    const at = opened()
    at.there.setTokenSeconds(25)
    at.there.fail(/login/, () => at.there.clock.advance(6_000))
    await expect(changes[0]?.[2]()(at)).rejects.toMatchObject({ why: 'vault-token-outlives-lease' })
  })

  test('a 403 looks at the Lease before any login: who was stopped for long finds it taken, and changes nothing', async () => {
    const { there, keys } = opened()
    const claim = await claimOf(there)
    there.fail(/^rotate/, () => {
      there.setLease({ ...(there.lease() as LeaseRecord), holder: 'them' })
      throw new UpstreamError('vault', 'forbidden', 403)
    })
    await expect(keys.addVersion(BEGUN, transitKeyOf(), 3, claim)).rejects.toMatchObject({
      code: 'ROTATION_IN_PROGRESS',
      why: 'lease-taken',
    })
    expect(there.calls.slice(-4)).toEqual([`login ${ROLE}`, 'rotate payments', 'write-lease', 'read-lease'])
    expect(there.keys.get('payments')?.latestVersion).toBe(2)
  })

  test('a 403 with the Lease still ours is tried once more with a new token', async () => {
    const { there, keys } = opened()
    there.fail(/^rotate/, new UpstreamError('vault', 'forbidden', 403))
    await keys.addVersion(BEGUN, transitKeyOf(), 3, await claimOf(there))
    expect(there.keys.get('payments')?.latestVersion).toBe(3)
  })

  test('a 403 after a 403 is a missing right', async () => {
    const { there, keys } = opened()
    there.fail(/^rotate/, new UpstreamError('vault', 'forbidden', 403), 99)
    const added = keys.addVersion(BEGUN, transitKeyOf(), 3, await claimOf(there))
    await expect(added).rejects.toMatchObject({ kind: 'forbidden' })
    expect(there.count(/^rotate/)).toBe(2)
  })

  test('a 403 that somebody on the way said of a call that Vault obeyed makes no second version', async () => {
    const { there, keys } = opened()
    const forbid = () => {
      throw new UpstreamError('vault', 'forbidden', 403)
    }
    there.fail(/^rotate/, { afterwards: forbid })
    await keys.addVersion(BEGUN, transitKeyOf(), 3, await claimOf(there))
    expect(there.keys.get('payments')?.latestVersion).toBe(3)
    expect(there.count(/^rotate/)).toBe(1)
  })

  test.each<UpstreamKind>(['timeout', 'unavailable', 'garbage'])(
    'what ends in %s is not repeated: it may have been done',
    async (kind) => {
      const { there, keys } = opened()
      there.fail(/^rotate/, new UpstreamError('vault', kind))
      await expect(keys.addVersion(BEGUN, transitKeyOf(), 3, await claimOf(there))).rejects.toMatchObject({ kind })
      expect(there.count(/^rotate/)).toBe(1)
    },
  )

  test('a Vault that refuses the login, as it does while it cannot reach the API server, is no fault of the key', async () => {
    const { there, keys } = opened()
    there.fail(/login/, new UpstreamError('vault', 'forbidden', 403))
    await expect(keys.addVersion(BEGUN, transitKeyOf(), 3, await claimOf(there))).rejects.toMatchObject({
      code: 'VAULT_UNAVAILABLE',
      why: 'vault-unauthorized',
    })
  })

  test('a login is waited for as long as the Lease is held', async () => {
    const { there, keys } = opened()
    there.fail(/login/, new UpstreamError('vault', 'sealed'), 3)
    await there.elapsed(keys.addVersion(BEGUN, transitKeyOf(), 3, await claimOf(there)))
    expect(there.keys.get('payments')?.latestVersion).toBe(3)
  })
})

describe('keys.settled', () => {
  test.each<UpstreamKind>(['timeout', 'garbage', 'aborted'])(
    'waits after %s until the token has died that the change was asked for with',
    async (kind) => {
      const { there, keys } = opened()
      there.fail(/^rotate/, new UpstreamError('vault', kind))
      const began = there.clock.now()
      await keys.addVersion(BEGUN, transitKeyOf(), 3, await claimOf(there)).catch(() => {})
      await there.elapsed(keys.settled(NEVER))
      expect(there.clock.now() - began).toBe(10_000)
      await keys.settled(NEVER)
    },
  )

  test('waits no longer than that token lives because the clock was set back', async () => {
    const { there, keys } = opened()
    there.fail(/^rotate/, new UpstreamError('vault', 'timeout'))
    await keys.addVersion(BEGUN, transitKeyOf(), 3, await claimOf(there)).catch(() => {})
    there.clock.set(there.clock.now() - 3_600_000)
    const setBackAt = there.clock.now()
    await there.elapsed(keys.settled(NEVER))
    expect(there.clock.now() - setBackAt).toBe(10_000)
  })

  test('waits for nothing where every change was answered, be it with a refusal', async () => {
    const { there, keys } = opened()
    const claim = await claimOf(there)
    await keys.addVersion(BEGUN, transitKeyOf(), 3, claim)
    there.fail(/^min/, new UpstreamError('vault', 'forbidden'), 2)
    await keys.setMinDecryptionVersion(BEGUN, transitKeyOf(), 2, claim).catch(() => {})
    const began = there.clock.now()
    await keys.settled(NEVER)
    expect(there.clock.now()).toBe(began)
  })
})

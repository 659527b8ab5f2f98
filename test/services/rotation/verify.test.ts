import { describe, expect, test } from 'vitest'
import { UpstreamError } from '../../../src/errors.ts'
import type { Moved } from '../../../src/services/rotation/move.ts'
import type { Estate } from './stages.ts'
import { advancedOf, claimOf, estateOf, outcomesIn, wantedOf } from './stages.ts'
import { sealed } from './world.ts'

/** All Secrets moved from version 1 to 2; what happens after that is the test's. */
async function moved(secrets: Readonly<Record<string, number>>, over: Estate = {}) {
  const { there, key, stages } = estateOf(secrets, over)
  const wanted = wantedOf(key)
  const advanced = await advancedOf(stages, await claimOf(there), wanted)
  const permit: Moved = await stages.move(advanced, wanted.secrets)
  there.records.length = 0
  return {
    there,
    verify: () => there.elapsed(stages.verify(permit)),
    newest: () => wanted.tally.newest(),
    told: () => outcomesIn(wanted),
  }
}

describe('verify finds', () => {
  test('an older ciphertext that was put back meanwhile', async () => {
    const { there, verify, told } = await moved({ 'payments/a': 1, 'payments/b': 1 })
    there.putSecret('payments/a', { 'secrets.json': sealed(1, 'payments/a') })
    const verified = await verify()
    expect(verified.astray.map(({ secret }) => secret)).toEqual(['a'])
    expect(verified.lowest).toBe(1)
    expect(told()).toEqual({ a: 'rewrapped', b: 'rewrapped' })
  })

  test('a ciphertext that was pasted from another place, though it names the new version', async () => {
    const { there, verify, told } = await moved({ 'payments/a': 1, 'payments/b': 1 })
    there.putSecret('payments/a', { 'secrets.json': sealed(2, 'payments/b') }, { managers: ['helm-controller'] })
    const verified = await verify()
    expect(told()).toEqual({ a: 'FOREIGN', b: 'rewrapped' })
    expect(verified.astray).toEqual([])
  })

  test('a newer version than the target, and a number that only says so', async () => {
    const { there, verify, newest } = await moved({ 'payments/a': 1, 'payments/b': 1 })
    there.putKey('payments', { latestVersion: 4 })
    there.putSecret('payments/a', { 'secrets.json': sealed(3, 'payments/a') })
    there.putSecret('payments/b', { 'secrets.json': 'vault:v4:AAAA' })
    await verify()
    expect(newest()).toBe(3)
  })

  test('a number in front of nothing', async () => {
    const { there, verify, told } = await moved({ 'payments/a': 1 })
    there.putSecret('payments/a', { 'secrets.json': 'vault:v2:AAAA' })
    await verify()
    expect(told()).toEqual({ a: 'FOREIGN' })
  })

  test('a Secret that is gone', async () => {
    const { there, verify, told } = await moved({ 'payments/a': 1 })
    there.secrets.delete('payments/a')
    expect(await verify()).toMatchObject({ lowest: undefined, astray: [] })
    expect(told()).toEqual({ a: 'SECRET_MISSING' })
  })

  test('an old ciphertext in a Secret that was made immutable: that is not contended', async () => {
    const { there, verify, told } = await moved({ 'payments/a': 1 })
    there.putSecret('payments/a', { 'secrets.json': sealed(1, 'payments/a') }, { immutable: true })
    expect(await verify()).toMatchObject({ astray: [], lowest: 1 })
    expect(told()).toEqual({ a: 'IMMUTABLE' })
  })
})

describe('verify', () => {
  test('keeps the reason that is told already of a Secret that could not be moved', async () => {
    const { there, key, stages } = estateOf({ 'payments/a': 1 })
    const wanted = wantedOf(key)
    const advanced = await advancedOf(stages, await claimOf(there), wanted)
    there.fail(/^replace/, new UpstreamError('kubernetes', 'forbidden'))
    const verified = await stages.verify(await stages.move(advanced, wanted.secrets))
    expect(verified).toMatchObject({ astray: [], lowest: 1 })
    expect(outcomesIn(wanted)).toEqual({ a: 'UNWRITABLE' })
  })

  test('finds nothing where all is well, changes nothing, and reads everything', async () => {
    const { there, verify, told } = await moved({ 'payments/a': 1, 'payments/b': 2 })
    there.calls.length = 0
    expect(await verify()).toMatchObject({ astray: [], lowest: 2 })
    expect(told()).toEqual({ a: 'rewrapped', b: 'current' })
    expect(there.calls).toEqual(['hold payments/a', 'hold payments/b', 'rewrap payments 2'])
    expect(there.records).toEqual([])
  })

  test('knows a Secret of files that holds none', async () => {
    const { there, key, stages } = estateOf({ 'payments/a': 1 })
    const files = key.secrets.map((secret) => ({ ...secret, dataKeys: 'all' as const }))
    there.putSecret('payments/a', {})
    const wanted = wantedOf({ ...key, secrets: files })
    const advanced = await advancedOf(stages, await claimOf(there), wanted)
    const verified = await stages.verify(await stages.move(advanced, files))
    expect(verified).toMatchObject({ astray: [], lowest: undefined })
    expect(outcomesIn(wanted)).toEqual({ a: 'current' })
  })

  test('begins nothing once the process was told to stop', async () => {
    const halting = new AbortController()
    const { there, verify } = await moved({ 'payments/a': 1 }, { halt: halting.signal })
    halting.abort(new Error('stopping'))
    there.calls.length = 0
    await expect(verify()).rejects.toThrow('stopping')
    expect(there.calls).toEqual([])
  })
})

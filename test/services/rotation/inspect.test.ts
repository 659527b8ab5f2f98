import { describe, expect, test } from 'vitest'
import type { UpstreamKind } from '../../../src/errors.ts'
import { UpstreamError } from '../../../src/errors.ts'
import type { SecretUnder } from '../../../src/policy/secrets-under.ts'
import type { Inspected } from '../../../src/services/rotation/inspect.ts'
import { isBlocked, isLocated } from '../../../src/services/rotation/inspect.ts'
import { stagesOf } from './stages.ts'
import type { World } from './world.ts'
import { NEVER, sealed, world } from './world.ts'

const DB: SecretUnder = { namespace: 'payments', secret: 'db', dataKeys: ['secrets.json'], others: new Set() }
const ALL: SecretUnder = { ...DB, dataKeys: 'all', others: new Set(['of-another-key']) }

async function inspected(there: World, secret = DB): Promise<Inspected> {
  return await there.elapsed(stagesOf(there).inspect(secret, NEVER))
}

describe('inspect: what blocks', () => {
  test('a Secret that is not there', async () => {
    expect(await inspected(world())).toEqual({ secret: DB, blocked: 'SECRET_MISSING', gitops: undefined })
  })

  test('a data key that is not there, with the tool that may have dropped it', async () => {
    const there = world()
    there.putSecret('payments/db', { other: sealed(1) }, { managers: ['argocd-controller'] })
    expect(await inspected(there)).toEqual({ secret: DB, blocked: 'DATA_KEY_MISSING', gitops: 'Argo CD' })
  })

  test.each([
    ['nothing', ''],
    ['plaintext', '{"PGPASSWORD":"s3cret"}'],
    ['a ciphertext and more', `${sealed(1)}\n`],
    ['two ciphertexts', `${sealed(1)}${sealed(1)}`],
    ['a version of zero', 'vault:v0:AAAA'],
    ['a version without end', 'vault:v9999999999:AAAA'],
    ['a version below zero', 'vault:v-1:AAAA'],
    ['no base64', 'vault:v1:äöü'],
  ])('a data key that holds %s', async (_, value) => {
    const there = world()
    there.putSecret('payments/db', { 'secrets.json': value })
    expect(await inspected(there)).toMatchObject({ blocked: 'MALFORMED' })
  })

  test('a data key whose stored value is not base64', async () => {
    const there = world()
    there.putSecret('payments/db', {}, { data: new Map([['secrets.json', '!']]) })
    expect(await inspected(there)).toMatchObject({ blocked: 'MALFORMED' })
  })

  test.each([
    ['forbidden', 'UNREADABLE'],
    ['too-large', 'TOO_LARGE'],
  ] as const)('%s, which says nothing of other Secrets', async (kind, blocked) => {
    const there = world()
    there.putSecret('payments/db', { 'secrets.json': sealed(1) })
    there.fail(/hold/, new UpstreamError('kubernetes', kind))
    const found = await inspected(there)
    expect(found).toEqual({ secret: DB, blocked, gitops: undefined })
    expect([isBlocked(found), isLocated(found)]).toEqual([true, false])
  })

  test('no answer for long, for whoever reads several to tell whose fault that is', async () => {
    const there = world()
    there.putSecret('payments/db', { 'secrets.json': sealed(1) })
    there.fail(/hold/, new UpstreamError('kubernetes', 'unavailable'), 6)
    expect(await inspected(there)).toMatchObject({ version: 1 })
    there.fail(/hold/, new UpstreamError('kubernetes', 'unavailable'), 7)
    expect(await inspected(there)).toEqual({ secret: DB, blocked: 'UNANSWERED', gitops: undefined })
  })
})

describe('inspect', () => {
  test.each<UpstreamKind>(['unauthorized', 'redirected', 'bad-request'])(
    'refuses where the API server says %s: no Secret is at fault',
    async (kind) => {
      const there = world()
      there.fail(/hold/, new UpstreamError('kubernetes', kind))
      await expect(inspected(there)).rejects.toMatchObject({
        code: 'KUBERNETES_UNAVAILABLE',
        why: `kubernetes-${kind}`,
      })
    },
  )

  test('ends with its signal, and takes a defect for what it is', async () => {
    const there = world()
    const { inspect } = stagesOf(there)
    await expect(inspect(DB, AbortSignal.abort(new Error('over')))).rejects.toThrow('over')
    there.fail(/hold/, new TypeError('defect'))
    await expect(inspect(DB, NEVER)).rejects.toThrow('defect')
  })

  test('says where each ciphertext stands, and the lowest of them', async () => {
    const there = world()
    const two = { ...DB, dataKeys: ['a.json', 'b.json'] }
    there.putSecret('payments/db', { 'b.json': sealed(2), 'a.json': sealed(3), note: 'plain' }, { immutable: true })
    const found = await inspected(there, two)
    expect(found).toMatchObject({ secret: two, version: 2, immutable: true, gitops: undefined })
    expect(found).toMatchObject({
      parts: [
        { dataKey: 'a.json', keyVersion: 3, ciphertext: sealed(3), stored: Buffer.from(sealed(3)).toString('base64') },
        { dataKey: 'b.json', keyVersion: 2 },
      ],
    })
    expect([isBlocked(found), isLocated(found)]).toEqual([false, true])
  })

  test('takes all data keys but those of another key, where the grant is of files', async () => {
    const there = world()
    there.putSecret('payments/db', { 'tls.key': sealed(2), 'of-another-key': 'x', 'ca.crt': sealed(1) })
    const found = await inspected(there, ALL)
    expect(found).toMatchObject({ parts: [{ dataKey: 'ca.crt' }, { dataKey: 'tls.key' }], version: 1 })
  })

  test('of files there may be none', async () => {
    const there = world()
    there.putSecret('payments/db', {})
    expect(await inspected(there, ALL)).toMatchObject({ parts: [], version: undefined })
  })
})

/** The policy is another one in the middle of a rotation: it ends as it was granted, and retires nothing. */
import { describe, expect, it } from 'vitest'
import type { RotationReport } from '../../src/contract.ts'
import { SAMPLE_POLICY } from '../../src/testing/sample.ts'
import { problem } from './ask.ts'
import type { RotationWorld } from './rotation-world.ts'
import { holdCalls, ROTATION_POLICY, reportIn, startRotationWorld } from './rotation-world.ts'

function transitKey(rotation: string, more = 'exclusive: true'): string {
  return `apiVersion: keyhole.dev/v1alpha1
kind: TransitKey
metadata: { name: payments }
spec:
  namespaces: [payments]
  ${more}
  rotation: ${rotation}
`
}

const CRON = '{ namespace: keyhole, serviceAccount: keyhole-cron }'
/** An old version goes as soon as nothing needs it. */
const POLICY = { ...ROTATION_POLICY, 'platform.yaml': transitKey(`{ grace: 0, admins: [${CRON}] }`) }
const [DB_ONLY] = SAMPLE_POLICY['payments.yaml'].split('---\n')

const SWAPPED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'a Secret has left it': { ...POLICY, 'payments.yaml': DB_ONLY ?? '' },
  'whoever asked may rotate no more': {
    ...POLICY,
    'platform.yaml': transitKey('{ grace: 0, admins: [{ namespace: keyhole, serviceAccount: somebody-else }] }'),
  },
  'the key is not exclusive any more': {
    ...POLICY,
    'platform.yaml': transitKey(`{ grace: 0, admins: [${CRON}] }`, 'exclusive: false'),
  },
  'the key has left it': { 'others.yaml': ROTATION_POLICY['others.yaml'] ?? '', 'payments.yaml': DB_ONLY ?? '' },
}

/** Rotates, and swaps the policy while one Secret is written and the other is not. */
async function swapped(world: RotationWorld, policy: Readonly<Record<string, string>>): Promise<RotationReport> {
  const patch = holdCalls(world.kubernetes, { method: 'PATCH', path: /payments-tls$/ })
  const rotated = world.rotate()
  await patch.arrived
  await world.keyhole.writePolicy(policy)
  patch.release()
  const answer = await rotated
  expect(answer.status).toBe(200)
  return reportIn(answer)
}

describe.each(Object.entries(SWAPPED))('in the middle, %s', (_, policy) => {
  it('the rotation goes on by the policy it was granted under, and retires nothing', async () => {
    await using world = await startRotationWorld({ policy: POLICY })
    const report = await swapped(world, policy)
    expect(report).toMatchObject({
      complete: true,
      keys: [
        {
          key: 'payments',
          minDecryptionVersion: { before: 1, after: 1 },
          retirement: { done: false, why: 'policy-changed' },
          secrets: [
            { name: 'payments-db', outcome: 'rewrapped' },
            { name: 'payments-tls', outcome: 'rewrapped' },
          ],
        },
      ],
    })
    expect(world.standing()).toEqual({ versions: ['v2', 'v2', 'v2'], latest: 2, min: 1 })
  })

  it('every record of it names the policy that let it in', async () => {
    await using world = await startRotationWorld({ policy: POLICY })
    const { id } = await swapped(world, policy)
    await world.rotate({ body: { dryRun: true } })
    const records = await world.keyhole.auditRecords()
    const own = records.filter(({ rotation, policyHash }) => rotation === id && policyHash !== undefined)
    expect(own.map(({ kind, phase }) => phase ?? kind)).toEqual(['decision', 'begin', 'end'])
    expect(new Set(own.map(({ policyHash }) => policyHash)).size).toBe(1)
    // By the next one that is asked, it is another.
    expect(records.at(-1)?.['policyHash']).not.toBe(own[0]?.['policyHash'])
  })
})

describe('once it is over, the new policy says', () => {
  const rewrap = { body: { mode: 'rewrap' } } as const

  it('that a Secret that left it may hold an old version still', async () => {
    await using world = await startRotationWorld({ policy: POLICY })
    await swapped(world, SWAPPED['a Secret has left it'] ?? {})
    const { complete, keys } = reportIn(await world.rotate(rewrap))
    expect([complete, keys[0]?.retirement]).toMatchObject([true, { done: false, why: 'secrets-dropped' }])
    expect(keys[0]?.secrets).toMatchObject([{ name: 'payments-db', outcome: 'current' }])
    expect(world.standing().min).toBe(1)
  })

  it('that this caller rotates nothing', async () => {
    await using world = await startRotationWorld({ policy: POLICY })
    await swapped(world, SWAPPED['whoever asked may rotate no more'] ?? {})
    const answer = await world.rotate(rewrap)
    expect([answer.status, problem(answer).code]).toEqual([403, 'NOT_GRANTED'])
  })

  it('that the key is not to be retired', async () => {
    await using world = await startRotationWorld({ policy: POLICY })
    await swapped(world, SWAPPED['the key is not exclusive any more'] ?? {})
    const { keys } = reportIn(await world.rotate(rewrap))
    expect(keys[0]?.retirement).toMatchObject({ done: false, why: 'not-exclusive' })
    expect(world.standing().min).toBe(1)
  })

  it('that what was withheld is done now, where it is as before', async () => {
    await using world = await startRotationWorld({ policy: POLICY })
    await swapped(world, { ...POLICY, 'others.yaml': '' })
    const { keys } = reportIn(await world.rotate(rewrap))
    expect(keys[0]).toMatchObject({ retirement: { done: true, why: 'raised' }, minDecryptionVersion: { after: 2 } })
    expect(world.standing().min).toBe(2)
  })
})

import { describe, expect, test } from 'vitest'
import type { RotationEvent } from '../../../src/contract.ts'
import type { JournalState } from '../../../src/services/rotation/journal-state.ts'
import { EMPTY_STATE } from '../../../src/services/rotation/journal-state.ts'
import type { Asked, Estate } from './stages.ts'
import { estateOf, wantedOf } from './stages.ts'
import { NEVER, sealed } from './world.ts'

async function foreseen(
  secrets: Readonly<Record<string, number>>,
  { asked = {}, state = EMPTY_STATE, ...over }: Estate & { readonly asked?: Asked; readonly state?: JournalState } = {},
  arrange: (there: ReturnType<typeof estateOf>['there']) => void = () => {},
) {
  const { there, key, stages } = estateOf(secrets, { latest: 2, ...over })
  arrange(there)
  const events: RotationEvent[] = []
  const wanted = wantedOf(key, { onEvent: (event) => events.push(event), ...asked })
  const before = JSON.stringify([[...there.secrets.values()].map(({ data }) => [...data]), [...there.keys.values()]])
  const { report } = await there.elapsed(stages.foresee(wanted, { state }, NEVER))
  const now = JSON.stringify([[...there.secrets.values()].map(({ data }) => [...data]), [...there.keys.values()]])
  expect(now).toBe(before)
  // Nobody was even asked to change anything, and nothing had to be recorded before it.
  expect(there.count(/^(?:rotate|min|replace|write-lease|audit)/)).toBe(0)
  return { report, events, there }
}

describe('foresee', () => {
  test('tells what a rotation would do, and does none of it', async () => {
    const { report, events } = await foreseen({ 'payments/a': 1, 'payments/b': 3 }, {}, (there) => {
      there.putKey('payments', { latestVersion: 3 })
      there.putSecret('payments/a', { 'secrets.json': sealed(1, 'payments/a') }, { managers: ['kubectl'] })
    })
    expect(report).toMatchObject({
      complete: true,
      from: 3,
      to: 4,
      advance: 'made',
      minDecryptionVersion: { before: 1, after: 4 },
      retirement: { done: false, why: 'dry-run', detail: expect.stringContaining('raised to 4') },
      secrets: [{ outcome: 'rewrapped' }, { outcome: 'rewrapped' }],
    })
    expect(events).toEqual([
      { type: 'step', key: 'payments', stage: 'intend', from: 3, to: 4 },
      { type: 'progress', key: 'payments', stage: 'move', done: 2, total: 2 },
    ])
  })

  test('knows what is there already', async () => {
    const { report } = await foreseen({ 'payments/a': 2 }, { asked: { mode: 'rewrap' } })
    expect(report).toMatchObject({ advance: 'not-asked', to: 2, secrets: [{ outcome: 'current' }] })
  })

  test('finds now what would be blocked, and that it withholds retirement', async () => {
    const { report } = await foreseen(
      { 'payments/a': 1, 'payments/b': 1, 'payments/c': 1, 'payments/d': 1 },
      {},
      (there) => {
        there.secrets.delete('payments/a')
        there.putSecret('payments/b', { 'secrets.json': sealed(1, 'payments/a') })
        there.putSecret('payments/c', { 'secrets.json': sealed(1, 'payments/c') }, { immutable: true })
      },
    )
    expect(report).toMatchObject({
      complete: false,
      minDecryptionVersion: { before: 1, after: 1 },
      retirement: { done: false, why: 'secrets-blocked' },
      secrets: [{ code: 'SECRET_MISSING' }, { code: 'FOREIGN' }, { code: 'IMMUTABLE' }, { outcome: 'rewrapped' }],
    })
  })

  test('names the Secrets that git would bring back', async () => {
    const { report } = await foreseen({ 'payments/a': 1 }, {}, (there) =>
      there.putSecret('payments/a', { 'secrets.json': sealed(1, 'payments/a') }, { managers: ['helm-controller'] }),
    )
    expect(report).toMatchObject({ retirement: { why: 'gitops' }, secrets: [{ gitops: 'Flux' }] })
  })

  test('knows of Secrets that left the policy', async () => {
    const { report } = await foreseen(
      { 'payments/a': 1 },
      { state: { ...EMPTY_STATE, forgotAtMs: Date.UTC(2026, 0, 14) } },
    )
    expect(report.retirement).toMatchObject({ why: 'secrets-unknown' })
  })

  test('of files that are not there yet says nothing amiss', async () => {
    const { there, key, stages } = estateOf({ 'payments/a': 1 })
    there.putSecret('payments/a', {})
    const wanted = wantedOf({ ...key, secrets: key.secrets.map((one) => ({ ...one, dataKeys: 'all' })) })
    const { report } = await stages.foresee(wanted, { state: EMPTY_STATE }, NEVER)
    expect(report.secrets).toMatchObject([{ outcome: 'current' }])
  })
})

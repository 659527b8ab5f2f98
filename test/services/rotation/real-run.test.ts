/** What a run ends with where its last record fails. The rest of it is in run.test.ts, with all that it is made of. */
import { expect, test } from 'vitest'
import { KeyholeError } from '../../../src/errors.ts'
import type { RealRunOptions } from '../../../src/services/rotation/real-run.ts'
import { realRunner } from '../../../src/services/rotation/real-run.ts'

const REPORT = { key: 'payments', mount: 'transit', complete: true, resumed: false, secrets: [] }

function ending(failure: Error): Promise<unknown> {
  const parts = {
    rotateAll: async () => [REPORT],
    keys: { settled: async () => {} },
    survey: { outdated: () => {} },
    effects: {
      tell: async (_: unknown, { phase }: { readonly phase: string }) => {
        if (phase === 'end') throw failure
      },
    },
    clock: { now: () => 0, after: () => () => {} },
    budgetMs: 1,
    givenUp: new AbortController().signal,
  } as unknown as RealRunOptions
  const held = { claim: { release: async () => {} }, ending: new AbortController(), garbled: false }
  const work = { grant: { keys: [] }, order: { mode: 'rotate' }, rotating: { id: '1' }, onEvent: () => {} }
  return realRunner(parts)(held as never, work as never)
}

test('a run whose end has no record says that what was changed stays changed', async () => {
  const failure = new KeyholeError('AUDIT_UNAVAILABLE', { why: 'audit-sink-failed' })
  await expect(ending(failure)).rejects.toMatchObject({
    code: 'AUDIT_UNAVAILABLE',
    detail: expect.stringContaining('What was changed until then stays changed'),
  })
})

test('a defect at its end stays a defect', async () => {
  const failure = new Error('a defect')
  await expect(ending(failure)).rejects.toBe(failure)
})

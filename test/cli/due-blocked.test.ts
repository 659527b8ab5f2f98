/** `--if-older-than` over a young key with Secrets that cannot be moved: not what is nothing to do. */
import { describe, expect, test } from 'vitest'
import { whatIsDue } from '../../src/cli/due.ts'
import type { LedgerEntry } from '../../src/contract.ts'
import { BLOCKED_ONLY, ledgerEntry, report, says, status, streams } from '../client/samples.ts'
import { daysAgo, NOW_MS, run } from './world.ts'

const DAY_MS = 86_400_000
const YOUNG = ledgerEntry('billing', daysAgo(3))
const GONE: LedgerEntry['blocked'][number] = {
  namespace: 'payments',
  name: 'gone',
  code: 'SECRET_MISSING',
  detail: 'Create it.',
}
const BLOCKED = ledgerEntry('payments', daysAgo(3), { blocked: [GONE] })

describe('a young key with blocked Secrets', () => {
  test('is behind, like one whose Secrets rest under an older version', () => {
    expect(whatIsDue([YOUNG, BLOCKED], [], 20 * DAY_MS, NOW_MS)).toMatchObject({
      old: [],
      behind: ['payments'],
      young: [{ key: 'billing' }],
    })
  })

  test('is asked for without a new version, and is exit 3 as long as they are blocked', async () => {
    const ran = await run('--if-older-than 20d', [says(status(YOUNG, BLOCKED)), streams(BLOCKED_ONLY)])
    expect(ran.exit).toBe(3)
    expect(ran.seen.slice(1).map(({ body }) => JSON.parse(body) as unknown)).toEqual([
      { keys: ['payments'], mode: 'rewrap', dryRun: false, retire: 'after-grace' },
    ])
    expect(ran.stdout).toContain('  payments/gone of payments: SECRET_MISSING: Create it.\n')
    expect(ran.stdout).not.toContain('Nothing due')
  })

  test('is exit 0 once somebody has mended them', async () => {
    const ran = await run('--if-older-than 20d', [says(status(YOUNG, BLOCKED)), streams(report())])
    expect(ran.exit).toBe(0)
  })
})

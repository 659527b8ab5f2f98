/** `--if-older-than`: for whoever fires every night and wants a new version every now and then. */
import { describe, expect, test } from 'vitest'
import type { LedgerEntry } from '../../src/contract.ts'
import { BLOCKED_ONLY, keyReport, ledgerEntry, refuses, report, says, status, streams } from '../client/samples.ts'
import type { Ran } from './world.ts'
import { daysAgo, run, waits } from './world.ts'

const OLD = ledgerEntry('payments', daysAgo(20))
const YOUNG = ledgerEntry('billing', daysAgo(3))
const BEHIND: LedgerEntry = {
  ...ledgerEntry('orders', daysAgo(3)),
  drift: [{ namespace: 'orders', name: 'db', version: 4 }],
}
const UNKNOWN = ledgerEntry('lost', undefined, { failure: { code: 'KEY_UNUSABLE', detail: 'Make it in Vault.' } })
const PASSING = ledgerEntry('late', undefined, { failure: { code: 'VAULT_UNAVAILABLE', detail: 'Try again.' } })
const DONE = streams(report())

/** What was rotated. */
const asked = ({ seen }: Ran) =>
  seen.filter(({ method }) => method === 'POST').map(({ body }) => JSON.parse(body) as Record<string, unknown>)

describe('nothing due', () => {
  test('is exit 0, with the ages', async () => {
    const ran = await run('--if-older-than 20d', [says(status(YOUNG, ledgerEntry('new', daysAgo(19.9))))])
    expect(ran).toMatchObject({ exit: 0, stderr: '' })
    expect(ran.stdout).toBe(
      `Nothing due: no key is older than 20d.\n  billing: 3 d old, made ${daysAgo(3)}\n  new: 19 d old, made ${daysAgo(19.9)}\n`,
    )
    expect(asked(ran)).toEqual([])
  })

  test('as JSON is one document', async () => {
    const ran = await run('--if-older-than 20d --output json', [says(status(YOUNG))])
    expect(JSON.parse(ran.stdout)).toEqual({
      type: 'nothing-due',
      olderThan: '20d',
      keys: [{ key: 'billing', latestCreatedAt: daysAgo(3), ageSeconds: 259_200 }],
    })
  })

  test('looks at the keys that were named only', async () => {
    const ran = await run('--if-older-than 20d --key billing', [says(status(OLD, YOUNG, UNKNOWN))])
    expect(ran.exit).toBe(0)
    expect(asked(ran)).toEqual([])
  })

  test('is also what a CronJob that fires twice is told', async () => {
    const answers = [says(status(OLD)), refuses('ROTATED_RECENTLY'), says(status({ ...YOUNG, key: 'payments' }))]
    const ran = await run('--if-older-than 20d', answers)
    expect(ran).toMatchObject({ exit: 0, stderr: '' })
    expect(ran.stdout).toContain('Rotated just now by somebody else: payments.\n')
  })

  test('is not what is told of a key that is old, and may not have a new version yet', async () => {
    const ran = await run('--if-older-than 20d', [says(status(OLD)), refuses('ROTATED_RECENTLY'), says(status(OLD))])
    expect(ran).toMatchObject({ exit: 4, stdout: '' })
    expect(ran.stderr).toBe(
      'keyhole rotate: ROTATED_RECENTLY: A key is older than 20d and may not have a new version yet: ' +
        'its minInterval is longer than that.\n',
    )
  })
})

describe('after somebody else rotated meanwhile', () => {
  const raced = (then: LedgerEntry) =>
    run('--if-older-than 20d', [says(status(OLD)), refuses('ROTATED_RECENTLY'), says(status(then))])

  test('what was not moved is exit 2', async () => {
    const ran = await raced({ ...BEHIND, key: 'payments' })
    expect(ran.exit).toBe(2)
    expect(ran.stderr).toContain('not every Secret is moved: payments. Run it again.')
  })

  test('an age that is not known any more is exit 3', async () => {
    const ran = await raced(ledgerEntry('payments', undefined))
    expect(ran.exit).toBe(3)
    expect(ran.stderr).toContain('payments: AGE_UNKNOWN: ')
  })
})

describe('what is due', () => {
  test('is rotated, and nothing else', async () => {
    const ran = await run('--if-older-than 20d', [says(status(OLD, YOUNG)), DONE])
    expect(ran.exit).toBe(0)
    expect(asked(ran)).toEqual([{ keys: ['payments'], mode: 'rotate', dryRun: false, retire: 'after-grace' }])
  })

  test('is also a young key with Secrets that were left behind, which are moved without a new version', async () => {
    const ran = await run('--if-older-than 20d', [says(status(YOUNG, BEHIND)), DONE])
    expect(ran.exit).toBe(0)
    expect(asked(ran)).toMatchObject([{ keys: ['orders'], mode: 'rewrap' }])
  })

  test('may take two requests, each with its Idempotency-Key, and is one report', async () => {
    const moved = report({ id: 'second', mode: 'rewrap', keys: [keyReport({ key: 'orders' })] })
    const ran = await run('--if-older-than 20d --output json', [says(status(OLD, BEHIND)), DONE, streams(moved)])
    expect(ran.exit).toBe(0)
    expect(asked(ran)).toMatchObject([
      { keys: ['payments'], mode: 'rotate' },
      { keys: ['orders'], mode: 'rewrap' },
    ])
    const keys = ran.seen.map(({ headers }) => headers['idempotency-key'])
    expect(keys).toEqual([undefined, 'invocation-1', 'invocation-1.1'])
    expect(JSON.parse(ran.stdout)).toEqual({ ...report(), keys: [keyReport(), keyReport({ key: 'orders' })] })
  })

  test('that stays incomplete is exit 3, and keeps nothing else from being done', async () => {
    const ran = await run('--if-older-than 20d', [says(status(OLD, BEHIND)), streams(BLOCKED_ONLY), DONE])
    expect(ran.exit).toBe(3)
    expect(asked(ran)).toHaveLength(2)
  })

  test('of more keys than one request takes is asked for in parts', async () => {
    const many = Array.from({ length: 250 }, (_, index) => ledgerEntry(`key-${'x'.repeat(20)}-${index}`, daysAgo(30)))
    const ran = await run('--if-older-than 20d', [says(status(...many)), DONE])
    expect(asked(ran).flatMap(({ keys }) => keys)).toEqual(many.map(({ key }) => key))
    for (const { body } of ran.seen) expect(Buffer.byteLength(body)).toBeLessThan(4_096)
    for (const { keys } of asked(ran)) expect((keys as unknown[]).length).toBeLessThanOrEqual(100)
  })

  test('that is refused is exit 4, with the report of what was done before', async () => {
    const answers = [says(status(OLD, BEHIND)), DONE, refuses('NOT_GRANTED', { detail: 'No.' })]
    const ran = await run('--if-older-than 20d --output json', answers)
    expect(ran.exit).toBe(4)
    expect(JSON.parse(ran.stdout)).toEqual({
      type: 'error',
      exit: 4,
      code: 'NOT_GRANTED',
      detail: 'No.',
      report: report(),
    })
  })
})

describe('an age that is not known', () => {
  test('is exit 3, with why', async () => {
    const ran = await run('--if-older-than 20d', [says(status(YOUNG, UNKNOWN))])
    expect(ran).toMatchObject({ exit: 3, stdout: '' })
    expect(ran.stderr).toContain('AGE_UNKNOWN')
    expect(ran.stderr).toContain('  lost: KEY_UNUSABLE: Make it in Vault.\n')
    expect(asked(ran)).toEqual([])
    expect(waits(ran)).toEqual([])
  })

  test('keeps no other key from being rotated', async () => {
    const ran = await run('--if-older-than 20d', [says(status(OLD, UNKNOWN, PASSING)), DONE])
    expect(ran.exit).toBe(3)
    expect(ran.stdout).toContain('Rotation 7f3c2a9e: complete')
    expect(ran.stderr).toContain('lost: KEY_UNUSABLE')
    expect(asked(ran)).toMatchObject([{ keys: ['payments'] }])
  })

  test('is asked for again where it may pass and nothing else is to be done', async () => {
    const ran = await run('--if-older-than 20d', [says(status(PASSING)), says(status(YOUNG))])
    expect(ran.exit).toBe(0)
    expect(waits(ran)).toEqual([1])
    const never = await run('--if-older-than 20d --budget 5s', [says(status(PASSING))])
    // To be tried again: a CronJob must not lose the month to a Vault that was away for longer than the budget.
    expect(never.exit).toBe(2)
    expect(never.stderr).toContain('late: VAULT_UNAVAILABLE')
  })

  test('is exit 3 without a reason, too', async () => {
    const ran = await run('--if-older-than 20d', [says(status(ledgerEntry('odd', undefined)))])
    expect(ran).toMatchObject({ exit: 3 })
    expect(ran.stderr).toContain('odd: AGE_UNKNOWN: ')
  })
})

describe('the look at the ages', () => {
  test('is tried again as everything is, and refused as everything is', async () => {
    const ran = await run('--if-older-than 20d', [refuses('VAULT_SEALED', {}, 5), says(status(YOUNG))])
    expect(ran.exit).toBe(0)
    expect(waits(ran)).toEqual([5])
    expect(await run('--if-older-than 20d', [refuses('NOT_GRANTED')])).toMatchObject({ exit: 4 })
  })

  test('that shows no key of that name is exit 4, with the name that was meant', async () => {
    const ran = await run('--if-older-than 20d --key paymnets', [says(status(OLD, YOUNG))])
    expect(ran).toMatchObject({ exit: 4, stdout: '' })
    expect(ran.stderr).toBe(
      'keyhole rotate: NOT_GRANTED: paymnets is no TransitKey that this caller may rotate. Did you mean "payments"?\n',
    )
    expect(asked(ran)).toEqual([])
  })

  test('that shows no key at all is exit 4: nothing to rotate is not nothing due', async () => {
    expect(await run('--if-older-than 20d', [says(status())])).toMatchObject({ exit: 4 })
  })
})

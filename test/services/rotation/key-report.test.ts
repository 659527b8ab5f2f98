import { describe, expect, test } from 'vitest'
import { KeyholeError } from '../../../src/errors.ts'
import type { Reached } from '../../../src/services/rotation/key-report.ts'
import { keyReport } from '../../../src/services/rotation/key-report.ts'
import type { Wanted } from '../../../src/services/rotation/wanted.ts'
import { keyOf, policyOf, wantedOf } from './stages.ts'

const SECRETS = ['payments/a', 'payments/b']

function moved(over: Partial<Wanted> = {}): Wanted {
  const wanted = wantedOf(keyOf(policyOf(SECRETS)), over)
  for (const secret of wanted.secrets) wanted.tally.rewrapped(secret, undefined)
  return wanted
}

/** From version 1 to 2, with a minimum of 1. */
function intended(wanted: Wanted): NonNullable<Reached['intended']> {
  return {
    wanted,
    isResumed: false,
    plan: { from: 1, target: 2, advance: 'made' },
    info: { derived: true, latestVersion: 1, minDecryptionVersion: 1, createdAtMs: new Map() },
    minimum: { before: 1, after: 1 },
  }
}

const RETIRED = {
  minimum: { before: 1, after: 2 },
  retirement: { done: true, why: 'raised', detail: '' },
} as const
const FELL_BACK = {
  minimum: { before: 1, after: 1 },
  retirement: { done: false, why: 'fell-back', detail: '' },
} as const

describe('the report of a key', () => {
  test('that could not even be read tells of no version, and that everything is left', () => {
    const failure = new KeyholeError('VAULT_SEALED', { why: 'vault-sealed' })
    expect(keyReport(wantedOf(keyOf(policyOf(SECRETS))), {}, failure)).toEqual({
      key: 'payments',
      mount: 'transit',
      complete: false,
      resumed: false,
      secrets: [
        { namespace: 'payments', name: 'a', outcome: 'left' },
        { namespace: 'payments', name: 'b', outcome: 'left' },
      ],
      failure: { code: 'VAULT_SEALED', detail: failure.detail },
    })
  })

  test('says what the operator can mend, where that is known', () => {
    const failure = new KeyholeError('KEY_UNUSABLE', { fix: 'give the role a policy' })
    expect(keyReport(moved(), {}, failure).failure).toEqual({ code: 'KEY_UNUSABLE', detail: 'give the role a policy' })
  })

  test('tells of a version only once it is there, and of the minimum as it was found', () => {
    const wanted = moved()
    const failure = new KeyholeError('VAULT_UNAVAILABLE')
    const report = keyReport(wanted, { intended: intended(wanted), restored: { fellBack: undefined } }, failure)
    expect(report).toMatchObject({ from: 1, to: 2, minDecryptionVersion: { before: 1, after: 1 } })
    expect([report.advance, report.retirement]).toEqual([undefined, undefined])
  })

  test('tells of the newest version that a Secret has', () => {
    const wanted = moved()
    wanted.tally.found(3)
    expect(keyReport(wanted, { intended: intended(wanted) }).to).toBe(3)
  })

  test('of what fell back before anything else says so, until more is known', () => {
    const wanted = moved()
    const reached = { intended: intended(wanted), restored: { fellBack: FELL_BACK } }
    expect(keyReport(wanted, reached).retirement).toEqual(FELL_BACK.retirement)
    expect(keyReport(wanted, { ...reached, retired: RETIRED }).retirement).toEqual(RETIRED.retirement)
  })

  test('is complete once every Secret is where it should be, and nothing failed', () => {
    const wanted = moved()
    const reached = { intended: intended(wanted), advanced: { version: 'made' }, retired: RETIRED } as const
    expect(keyReport(wanted, reached)).toMatchObject({ complete: true, advance: 'made' })
    expect(keyReport(wanted, reached, new KeyholeError('INTERNAL')).complete).toBe(false)
    wanted.tally.contended(wanted.secrets[0] as (typeof wanted.secrets)[number])
    expect(keyReport(wanted, reached).complete).toBe(false)
  })

  test.each([
    ['now', FELL_BACK, false],
    ['now', RETIRED, true],
    ['after-grace', FELL_BACK, true],
  ] as const)('where to retire was asked %s', (retire, retired, complete) => {
    const wanted = moved({ retire })
    expect(keyReport(wanted, { intended: intended(wanted), retired }).complete).toBe(complete)
  })
})

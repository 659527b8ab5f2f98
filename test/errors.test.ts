import { describe, expect, test } from 'vitest'
import type { Code, RotationReport } from '../src/contract.ts'
import { CODES } from '../src/contract.ts'
import { asKeyholeError, KeyholeError, UpstreamError } from '../src/errors.ts'

describe('a refusal', () => {
  test.each(Object.entries(CODES))('%s says what its rule says, unless it is told better', (code, rule) => {
    const plain = new KeyholeError(code as Code)
    expect([plain.detail, plain.why, plain.fix, plain.cause]).toEqual([rule.advice, undefined, undefined, undefined])
    expect(plain.retryAfterSeconds).toBe('retryAfterSeconds' in rule ? rule.retryAfterSeconds : undefined)
    const told = new KeyholeError(code as Code, {
      detail: 'Do this.',
      why: 'a-guard',
      fix: 'Mend that.',
      retryAfterSeconds: 9,
    })
    expect([told.detail, told.why, told.fix, told.retryAfterSeconds]).toEqual(['Do this.', 'a-guard', 'Mend that.', 9])
  })

  test('carries how far a rotation is, or what it came to, and nothing of that in its message', () => {
    const progress = { startedAt: '2026-01-15T00:00:00.000Z', done: 1, total: 2 }
    const waiting = new KeyholeError('ROTATION_IN_PROGRESS', { progress })
    expect([waiting.progress, waiting.report, waiting.message]).toEqual([progress, undefined, 'ROTATION_IN_PROGRESS'])
    const report = { type: 'report', id: 'canary' } as RotationReport
    const incomplete = new KeyholeError('ROTATION_INCOMPLETE', { report })
    expect([incomplete.report, incomplete.progress, incomplete.message]).toEqual([
      report,
      undefined,
      'ROTATION_INCOMPLETE',
    ])
  })

  test('has a message of its code and its guard, and nothing else', () => {
    expect(new KeyholeError('NOT_GRANTED', { detail: 'canary', fix: 'canary', cause: 'canary' }).message).toBe(
      'NOT_GRANTED',
    )
    expect(new KeyholeError('NOT_GRANTED', { why: 'not-a-reader', detail: 'canary' }).message).toBe(
      'NOT_GRANTED: not-a-reader',
    )
  })
})

describe('whatever was thrown', () => {
  test('is itself when it is a refusal', () => {
    const refusal = new KeyholeError('DEADLINE')
    expect(asKeyholeError(refusal)).toBe(refusal)
  })

  test.each<readonly [what: string, thrown: unknown]>([
    ['an error', new TypeError('canary')],
    ['an upstream error', new UpstreamError('vault', 'garbage', 200)],
    ['a string', 'canary'],
    ['nothing', undefined],
    ['an object that looks like a refusal', { name: 'KeyholeError', code: 'NOT_GRANTED', message: 'canary' }],
  ])('is INTERNAL when it is %s, which is kept for the log and not for the caller', (_what, thrown) => {
    const error = asKeyholeError(thrown)
    expect([error.code, error.why, error.cause]).toEqual(['INTERNAL', 'defect', thrown])
    expect(error.message + error.detail).not.toContain('canary')
  })
})

describe('an upstream error', () => {
  test('says whose and of which kind, and no text of theirs', () => {
    const error = new UpstreamError('vault', 'not-authentic', 400)
    expect([error.message, error.status, error.cause]).toEqual(['vault: not-authentic', 400, undefined])
  })
})

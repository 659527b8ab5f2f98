import { describe, expect, test } from 'vitest'
import { isSameRequest, refuseReuse } from '../../../src/services/rotation/idempotency.ts'

const ONE = { key: 'k1', request: 'r1' }
const OTHER_BODY = { key: 'k1', request: 'r2' }
const OTHER_KEY = { key: 'k2', request: 'r1' }

describe('a request', () => {
  test.each([
    ['the one that is known', ONE, ONE, true],
    ['another body', OTHER_BODY, ONE, false],
    ['another key', OTHER_KEY, ONE, false],
    ['no key', undefined, ONE, false],
    ['nothing known', ONE, undefined, false],
    ['neither', undefined, undefined, false],
  ])('with %s', (_, asked, known, isSame) => {
    expect(isSameRequest(asked, known)).toBe(isSame)
  })

  test('is refused for another body under the same key, and for nothing else', () => {
    expect(() => refuseReuse(OTHER_BODY, ONE)).toThrow('IDEMPOTENCY_KEY_REUSED')
    for (const asked of [ONE, OTHER_KEY, undefined]) expect(() => refuseReuse(asked, ONE)).not.toThrow()
    expect(() => refuseReuse(ONE, undefined)).not.toThrow()
  })
})

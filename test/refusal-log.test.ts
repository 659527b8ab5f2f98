import { describe, expect, test } from 'vitest'
import { KeyholeError, UpstreamError } from '../src/errors.ts'
import type { Level, LogFields } from '../src/log.ts'
import { refusalLog } from '../src/log.ts'
import { virtualClock } from './virtual-clock.ts'

interface Line {
  readonly level: Level
  readonly message: string
  readonly fields: LogFields
}

function opened() {
  const lines: Line[] = []
  const clock = virtualClock()
  const at =
    (level: Level) =>
    (message: string, fields: LogFields = {}) =>
      void lines.push({ level, message, fields: JSON.parse(JSON.stringify(fields)) as LogFields })
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  return { lines, clock, refused: refusalLog(log, clock) }
}

const away = (): KeyholeError => new KeyholeError('VAULT_UNAVAILABLE', { why: 'vault-timeout' })

describe('refusalLog', () => {
  test("does not tell of a caller's own mistake", () => {
    const { lines, refused } = opened()
    refused(new KeyholeError('NOT_GRANTED', { why: 'not-a-reader' }), 'id')
    refused(new KeyholeError('TOKEN_REJECTED', { why: 'expired' }), 'id')
    expect(lines).toEqual([])
  })

  test('names the request, the reason, the upstream and the fix, and nothing of what was thrown', () => {
    const { lines, refused } = opened()
    const cause = new UpstreamError('vault', 'forbidden', 403)
    refused(new KeyholeError('KEY_UNUSABLE', { why: 'vault-forbidden', fix: 'give it the right', cause }), 'id')
    refused(new KeyholeError('INTERNAL', { why: 'defect', cause: new TypeError('c4n4ry') }), 'id')
    expect(lines[0]).toEqual({
      level: 'warn',
      message: 'refused: KEY_UNUSABLE',
      fields: {
        requestId: 'id',
        why: 'vault-forbidden',
        fix: 'give it the right',
        upstream: 'vault',
        kind: 'forbidden',
        status: 403,
      },
    })
    expect(lines[1]).toMatchObject({ level: 'error', fields: { requestId: 'id', cause: 'TypeError' } })
    expect(JSON.stringify(lines)).not.toContain('c4n4ry')
  })

  test('writes ten lines of one code in a second and counts the rest, so that an outage does not fill the disk', async () => {
    const { lines, clock, refused } = opened()
    for (let request = 0; request < 1_000; request += 1) refused(away(), String(request))
    expect(lines).toHaveLength(10)
    await clock.advance(1_000)
    refused(away(), 'next')
    refused(away(), 'and next')
    expect(lines.slice(10).map(({ fields }) => [fields['requestId'], fields['unlogged']])).toEqual([
      ['next', 990],
      ['and next', undefined],
    ])
  })

  test('lets no code take the lines of another', () => {
    const { lines, refused } = opened()
    for (let request = 0; request < 20; request += 1) refused(away(), 'id')
    refused(new KeyholeError('AUDIT_UNAVAILABLE'), 'id')
    expect(lines.at(-1)?.message).toBe('refused: AUDIT_UNAVAILABLE')
  })

  test('begins anew when the clock is set back', () => {
    const { lines, clock, refused } = opened()
    for (let request = 0; request < 20; request += 1) refused(away(), 'id')
    clock.set(clock.now() - 3_600_000)
    refused(away(), 'id')
    expect(lines).toHaveLength(11)
  })

  test('takes a crowd for a warning, not for a fault of ours', () => {
    const { lines, refused } = opened()
    refused(new KeyholeError('OVERLOADED', { why: 'queue-full' }), 'id')
    expect(lines[0]?.level).toBe('warn')
  })
})

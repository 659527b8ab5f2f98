import { expect, test } from 'vitest'
import type { LedgerEntry } from '../src/contract.ts'
import { openLog } from '../src/log.ts'
import { surveyLog } from '../src/survey-log.ts'
import { virtualClock } from './virtual-clock.ts'

const WELL: LedgerEntry = { key: 'a', mount: 'transit', secrets: 2, versions: {}, drift: [], gitops: [], blocked: [] }
const blocked = (...codes: readonly ('UNREADABLE' | 'MALFORMED')[]): LedgerEntry => ({
  ...WELL,
  blocked: codes.map((code, index) => ({ namespace: 'canary', name: `canary-${index}`, code, detail: 'x' })),
})
const failing = (code: string): LedgerEntry => ({ ...WELL, failure: { code, detail: `mend ${code}` } })

function told() {
  const lines: Record<string, unknown>[] = []
  const tell = surveyLog(openLog('info', { write: (line) => lines.push(JSON.parse(line)) }, virtualClock()))
  return (...entries: readonly (readonly [string, LedgerEntry])[]) => {
    lines.length = 0
    tell({ entries: new Map(entries) })
    return lines.map(({ time: _, ...line }) => line)
  }
}

test('a survey in which all is well says nothing', () => {
  const survey = told()
  expect([survey(['a', WELL]), survey(['a', WELL], ['b', WELL])]).toEqual([[], []])
})

test('what keeps a key from being rotated is told when it changes, with what to do, and when it is over', () => {
  const survey = told()
  const line = {
    level: 'warn',
    transitKey: 'a',
    code: 'KEY_UNUSABLE',
    fix: 'mend KEY_UNUSABLE',
    msg: 'transit key cannot be rotated',
  }
  expect(survey(['a', failing('KEY_UNUSABLE')])).toEqual([line])
  expect(survey(['a', failing('KEY_UNUSABLE')])).toEqual([])
  expect(survey(['a', failing('VAULT_SEALED')])).toMatchObject([{ code: 'VAULT_SEALED' }])
  expect(survey(['a', WELL])).toEqual([{ level: 'info', transitKey: 'a', msg: 'transit key can be rotated again' }])
  expect(survey(['a', WELL])).toEqual([])
})

test('Secrets that cannot be moved are counted by reason, and not named', () => {
  const survey = told()
  const [line] = survey(['a', blocked('UNREADABLE', 'MALFORMED', 'UNREADABLE')], ['b', WELL])
  expect(line).toMatchObject({
    level: 'warn',
    transitKey: 'a',
    blocked: ['MALFORMED: 1', 'UNREADABLE: 2'],
    fix: expect.stringContaining('keyhole check'),
  })
  expect(JSON.stringify(line)).not.toContain('canary')
  expect(survey(['a', blocked('MALFORMED', 'UNREADABLE', 'UNREADABLE')])).toEqual([])
  expect(survey(['a', blocked('UNREADABLE')])).toMatchObject([{ blocked: ['UNREADABLE: 1'] }])
})

test('a key that has left the policy is told of no more, and anew when it comes back', () => {
  const survey = told()
  survey(['a', failing('KEY_UNUSABLE')])
  expect(survey()).toEqual([])
  expect(survey(['a', failing('KEY_UNUSABLE')])).toHaveLength(1)
})

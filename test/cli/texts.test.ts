/** Small texts: durations, what is printable, and lists that are long. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ageText, parseDuration, waitText } from '../../src/cli/durations.ts'
import { printReport } from '../../src/cli/report-text.ts'
import { jsonLine, openScreen } from '../../src/cli/screen.ts'
import type { RotationReport } from '../../src/contract.ts'
import { incomplete, keyReport, report, secretReport } from '../client/samples.ts'

function printed(what: RotationReport): string {
  const written: string[] = []
  printReport(openScreen({ write: (text) => written.push(text) }, {}), what)
  return written.join('')
}

describe('durations', () => {
  test('have one number and one unit', () => {
    expect(['30s', '15m', '12h', '20d'].map(parseDuration)).toEqual([30_000, 900_000, 43_200_000, 1_728_000_000])
    for (const text of ['', '0s', 'd', '1', '1D', '1 d', '1d1h', '-1d', '1.5h', '1e3s', '1234567s', '１d']) {
      expect(parseDuration(text), text).toBeUndefined()
    }
  })

  test('are told in a unit that says something, ages rounded down and waits up', () => {
    expect([0, 999, 119_999, 120_000, 7_199_999, 172_799_999, 172_800_000].map(ageText)).toEqual([
      '0 s',
      '0 s',
      '119 s',
      '2 m',
      '119 m',
      '47 h',
      '2 d',
    ])
    expect(ageText(-5)).toBe('0 s')
    expect([1, 1_000, 1_001].map(waitText)).toEqual(['1 s', '1 s', '2 s'])
  })
})

describe('what is printed', () => {
  test('is printable ASCII on one line, whatever it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const written: string[] = []
        openScreen({ write: (each) => written.push(each) }, {}).line(text)
        expect(written.join('')).toMatch(/^[\x20-\x7e]*\n$/)
      }),
    )
  })

  test('as JSON is the same document still', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(jsonLine(value)).toMatch(/^[\x20-\x7e]*\n$/)
        expect(JSON.parse(jsonLine(value))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })
})

describe('a report', () => {
  test('tells why there is no new version, and why an old one stays', () => {
    const retirement = { done: false, why: 'not-exclusive', detail: 'Others encrypt with it.' } as const
    const same = { from: 5, to: 5, advance: 'recent', minDecryptionVersion: { before: 3, after: 3 } } as const
    const text = printed(report({ keys: [keyReport({ ...same, retirement, resumed: true, secrets: [] })] }))
    expect(text).toContain('payments (went on with what an earlier rotation began)\n')
    expect(text).toContain('  version                 5 (no new one: younger than minInterval)\n')
    expect(text).toContain('  min_decryption_version  3\n')
    expect(text).toContain('  retirement              not done: Others encrypt with it.\n')
    expect(text).toContain('  secrets                 none to tell of\n')
  })

  test('of a key that could not be read tells why', () => {
    const { key, mount } = keyReport()
    const failure = { code: 'KEY_UNUSABLE', detail: 'Make it.' }
    const unread = { key, mount, complete: false, resumed: false, secrets: [], failure }
    expect(printed(report({ complete: false, keys: [unread] }))).toContain(
      '  failed                  KEY_UNUSABLE: Make it.\n',
    )
  })

  test('names what a GitOps tool holds still', () => {
    const text = printed(
      report({ keys: [keyReport({ secrets: [secretReport('db', 'rewrapped', { gitops: 'Flux' })] })] }),
    )
    expect(text).toMatch(/Also written by a GitOps tool.*\n {2}payments\/db of payments: Flux\n/)
  })

  test('of thousands of Secrets lists some, and says so', () => {
    const secrets = Array.from({ length: 1_000 }, (_, index) => secretReport(`s-${index}`, 'left'))
    const text = printed(incomplete({ secrets }))
    expect(text).toContain('  secrets                 1000 left\n')
    expect(text).toContain('  and 950 more, which --output json lists\n')
    expect(text.split('\n').length).toBeLessThan(70)
  })

  test('with words that this version does not know is told all the same', () => {
    const newer = JSON.parse(JSON.stringify(report()).replaceAll('"made"', '"conjured"')) as RotationReport
    expect(printed(newer)).toContain('4 -> 5 (conjured)')
  })
})

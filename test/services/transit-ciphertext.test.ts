import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { transitCiphertext } from '../../src/services/transit-ciphertext.ts'

function stored(text: string): string {
  return Buffer.from(text, 'latin1').toString('base64')
}

describe('transitCiphertext', () => {
  test.each([
    ['nothing', '', 'empty'],
    ['no base64', 'vault:v1:AAAA', 'not-base64'],
    ['base64 that another text would give, too', `${stored('vault:v1:AAAA')}=`, 'not-base64'],
    ['base64 over two lines', `${stored('vault:v1:AAAA')}\n`, 'not-base64'],
    [
      'base64 of the URL',
      stored('vault:v1:????').replaceAll('/', '_').replaceAll('+', '-').replaceAll('=', ''),
      'not-base64',
    ],
    ['plaintext', stored('{"PGPASSWORD":"s3cret"}'), 'not-transit-ciphertext'],
    ['no version', stored('vault:AAAA'), 'not-transit-ciphertext'],
    ['version zero', stored('vault:v0:AAAA'), 'not-transit-ciphertext'],
    ['a version with a zero before it', stored('vault:v01:AAAA'), 'not-transit-ciphertext'],
    ['a version below zero', stored('vault:v-1:AAAA'), 'not-transit-ciphertext'],
    ['a version that Number would round', stored(`vault:v${'9'.repeat(20)}:AAAA`), 'not-transit-ciphertext'],
    ['no body', stored('vault:v1:'), 'not-transit-ciphertext'],
    ['a line after it', stored('vault:v1:AAAA\n'), 'not-transit-ciphertext'],
    ['a blank before it', stored(' vault:v1:AAAA'), 'not-transit-ciphertext'],
    ['two of them', stored('vault:v1:AAAAvault:v1:AAAA'), 'not-transit-ciphertext'],
    ['letters that only look alike', stored('v\u00e4ult:v1:AAAA'), 'not-transit-ciphertext'],
  ])('%s is none', (_, value, why) => {
    expect(transitCiphertext(value)).toBe(why)
  })

  test('is taken apart, whatever its version', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 999_999_999 }), fc.base64String({ minLength: 4 }), (keyVersion, body) => {
        const ciphertext = `vault:v${keyVersion}:${body}`
        expect(transitCiphertext(stored(ciphertext))).toEqual({ ciphertext, keyVersion })
      }),
    )
  })

  test('answers any text with what it is or with a word, and never throws', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.base64String()), (value) => {
        const found = transitCiphertext(value)
        expect(['empty', 'not-base64', 'not-transit-ciphertext', 'object']).toContain(
          typeof found === 'string' ? found : typeof found,
        )
      }),
    )
  })
})

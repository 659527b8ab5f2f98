import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ascii, didYouMean, nearest, quoted } from '../src/words.ts'

describe('the nearest word', () => {
  const fields = ['serviceAccount', 'namespace', 'keys', 'allKeys', 'podBound', 'uid', 'until']

  it.each([
    ['serviceAcount', 'serviceAccount'],
    ['serviceaccount', 'serviceAccount'],
    ['namepsace', 'namespace'],
    ['key', 'keys'],
    ['all_keys', 'allKeys'],
    ['podbuond', 'podBound'],
    ['unitl', 'until'],
    ['ui', 'uid'],
  ])('takes %s for a slip of %s', (word, meant) => {
    expect(nearest(word, fields)).toBe(meant)
  })

  it.each(['', 'x', 'secret', 'zzz', 'role', 'ke'.repeat(40)])('guesses nothing for %j', (word) => {
    expect(nearest(word, fields)).toBeUndefined()
  })

  it('prefers fewer slips, and then the first candidate', () => {
    expect(nearest('keyz', ['kexz2', 'keys', 'keya'])).toBe('keys')
  })

  it('never names the word itself', () => {
    expect(nearest('keys', ['keys'])).toBeUndefined()
  })

  it('compares with a bounded number of candidates', () => {
    const many = Array.from({ length: 199 }, () => 'something else')
    expect(nearest('keyz', [...many, 'keys'])).toBe('keys')
    expect(nearest('keyz', [...many, 'another', 'keys'])).toBeUndefined()
  })

  it('follows a sentence, or adds nothing to it', () => {
    expect(didYouMean('keyz', fields)).toBe(' Did you mean "keys"?')
    expect(didYouMean('nothing-like-it', fields)).toBe('')
  })
})

/** Format characters of both lengths, and halves of some. */
const HIDDEN = fc.constantFrom('\u202e', '\u200b', '\u{e0001}', '\u{1d173}', '\ud800', '\udc01')

describe('a quoted word', () => {
  it('cannot begin a new line of a log', () => {
    expect(quoted('a\nERROR forged')).toBe('"a\\nERROR forged"')
    expect(quoted('a\u2028b')).toBe('"a\\u2028b"')
  })

  it('shows what would hide or reorder text', () => {
    expect(quoted('a\u202eb\u200b\u0085')).toBe('"a\\u202eb\\u200b\\u0085"')
    expect(quoted('\ud800')).toBe('"\\ud800"')
  })

  it('shows both halves of a character beyond U+FFFF', () => {
    expect(quoted('a\u{e0001}b')).toBe('"a\\udb40\\udc01b"')
    expect(quoted('\u{1f511}')).toBe('"\u{1f511}"')
  })

  it('means what was written, and hides nothing, whatever that was', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.oneof(fc.string({ unit: 'binary' }), HIDDEN), maxLength: 30 }), (word) => {
        fc.pre(word.length <= 60)
        expect(quoted(word)).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)
        expect(JSON.parse(quoted(word))).toBe(word)
      }),
    )
  })

  it('is bounded', () => {
    expect(quoted('x'.repeat(1_000_000))).toHaveLength(63)
  })
})

describe('ASCII', () => {
  it('is one line, and as JSON the same document, for any text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: HIDDEN })), (text) => {
        expect(ascii(text)).toMatch(/^[\x20-\x7e]*$/)
        expect(JSON.parse(ascii(JSON.stringify(text)))).toBe(text)
      }),
    )
  })
})

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseIfNoneMatch } from '../../src/http/etag.ts'

describe('parseIfNoneMatch', () => {
  test.each([
    ['is not there', undefined],
    ['is empty', ''],
    ['names another tag', '"b"'],
    ['names a tag that only begins like it', '"ab"'],
    ['names it without quotes', 'a'],
    ['names it in single quotes', "'a'"],
    ['lacks a quote', '"a'],
    ['joins two tags without a comma', '"a" "b"'],
    ['holds a star among tags', '*, "a"'],
    ['names it in a tag of another', '"b,\\"a\\""'],
    ['names a weak tag in lower case', 'w/"a"'],
    ['holds a blank in a tag', '"a","b c"'],
    ['ends in a comma', '"a",'],
  ])('matches nothing when the header %s', (_, header) => {
    expect(parseIfNoneMatch(header)('"a"')).toBe(false)
  })

  test.each([
    ['is a star', '*'],
    ['is a star between blanks', ' * '],
    ['names it', '"a"'],
    ['names it as weak, since the comparison is the weak one', 'W/"a"'],
    ['names it among others', '"b" , W/"c","a"'],
    ['names it between blanks', '  "a"\t'],
  ])('matches when the header %s', (_, header) => {
    expect(parseIfNoneMatch(header)('"a"')).toBe(true)
  })

  test('an empty tag is one like any other', () => {
    expect(parseIfNoneMatch('""')('""')).toBe(true)
    expect(parseIfNoneMatch('""')('"a"')).toBe(false)
  })

  test('throws over nothing, and in no time that grows faster than the header', () => {
    const header = fc.array(fc.constantFrom('"', 'W/', ',', ' ', '\t', '*', 'a', '\\', 'é', '\u0000'), {
      maxLength: 40,
    })
    fc.assert(
      fc.property(header, (parts) => {
        expect(typeof parseIfNoneMatch(parts.join(''))('"a"')).toBe('boolean')
      }),
      { seed: 3 },
    )
    for (const repeated of ['"a" ', ' ', '"a", ', 'W/', '"', ', ']) {
      expect(parseIfNoneMatch(`"a"${repeated.repeat(16_384 / repeated.length)}x`)('"a"')).toBe(false)
    }
  })

  test('finds a tag in any list of tags, and no other', () => {
    const tag = fc.stringMatching(/^[!#-~]{0,4}$/)
    fc.assert(
      fc.property(fc.array(tag, { minLength: 1, maxLength: 5 }), tag, (tags, sought) => {
        const header = tags.map((each, index) => `${index % 2 === 0 ? '' : 'W/'}"${each}"`).join(', ')
        expect(parseIfNoneMatch(header)(`"${sought}"`)).toBe(tags.includes(sought))
      }),
      { seed: 3 },
    )
  })
})

import { expect, test } from 'vitest'
import { canaries } from './leaks.ts'

const VALUE = 'canary value: 50 % of {"it"}?>'
const JWT = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlLW9mLWNhbmFyeQ'

const search = canaries()
search.add('value', VALUE)
search.add('token', JWT)

test.each([
  ['as it is', VALUE],
  ['in base64', Buffer.from(VALUE).toString('base64')],
  ['in base64url', Buffer.from(VALUE).toString('base64url')],
  ['in hex', Buffer.from(VALUE).toString('hex')],
  ['in a URL', encodeURIComponent(VALUE)],
  ['in a JSON string', JSON.stringify({ at: VALUE })],
])('finds a value %s', (_form, text) => {
  expect(search.foundIn(`before ${text} after`)).toEqual(['value'])
})

test.each([
  ['whole', JWT],
  ['payload', JWT.split('.')[1]],
  ['signature', JWT.split('.')[2]],
])('finds a token by its %s', (_part, text) => {
  expect(search.foundIn(`"${text}"`)).toEqual(['token'])
})

test('finds nothing where nothing is, in the header that all tokens share, and what is granted', () => {
  expect(search.foundIn(`canary ${JWT.split('.')[0]}`)).toEqual([])
  expect(search.foundIn(VALUE, new Set(['value']))).toEqual([])
})

test('takes nothing that chance would find', () => {
  expect(() => search.add('short', 'api')).toThrow('too short')
})

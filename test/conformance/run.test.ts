import { describe, expect, it } from 'vitest'
import type { Expected } from './case.ts'
import type { Answer } from './run.ts'
import { differences } from './run.ts'

const BODY = { kind: 'Status', code: 404, details: { name: 'db' }, list: ['a', 'b'], gone: null }
const ANSWER: Answer = { status: 404, headers: { 'content-type': 'application/json' }, body: JSON.stringify(BODY) }

function found(expected: Partial<Expected>, answer: Answer = ANSWER): readonly string[] {
  return differences(answer, { status: 404, ...expected }, { name: 'db' })
}

describe('an answer conforms', () => {
  it.each<[string, Partial<Expected>]>([
    ['by its status alone', {}],
    ['by a subset of its members', { json: { kind: 'Status', details: {} } }],
    ['by a pattern', { json: { kind: /^St/ } }],
    ['by what a function says of it', { json: { code: Number.isSafeInteger } }],
    ['by a text filled in', { json: { details: { name: '{name}' } } }],
    ['by a member that is absent', { json: { data: undefined } }],
    ['by null', { json: { gone: null } }],
    ['by a whole array', { json: { list: ['a', /b/] } }],
    ['by its whole text', { text: JSON.stringify(BODY) }],
    ['by a header', { headers: { 'content-type': 'application/json' } }],
  ])('%s', (_, expected) => {
    expect(found(expected)).toEqual([])
  })
})

describe('an answer differs', () => {
  it.each<[string, Partial<Expected>, string]>([
    ['by its status', { status: 403 }, 'status: 404, expected 403'],
    ['by a header', { headers: { 'content-type': 'text/plain' } }, 'header content-type'],
    ['by a header that is not there', { headers: { location: '/' } }, 'header location'],
    ['by a text', { json: { kind: 'Secret' } }, 'body.kind'],
    ['by a number', { json: { code: 403 } }, 'body.code'],
    ['by the type of a member', { json: { code: '404' } }, 'body.code'],
    ['by a pattern', { json: { kind: /^Se/ } }, 'body.kind'],
    ['by what a function says of it', { json: { kind: Number.isSafeInteger } }, 'body.kind'],
    ['by a pattern for what is no string', { json: { code: /404/ } }, 'body.code'],
    ['by a text filled in', { json: { kind: '{name}' } }, 'body.kind'],
    ['by a member that should be absent', { json: { code: undefined } }, 'body.code'],
    ['by null where nothing should be', { json: { gone: undefined } }, 'body.gone'],
    ['by a missing object', { json: { status: {} } }, 'body.status'],
    ['by a member further down', { json: { details: { name: 'other' } } }, 'body.details.name'],
    ['by a shorter array', { json: { list: ['a'] } }, 'body.list'],
    ['by an element', { json: { list: ['a', 'c'] } }, 'body.list[1]'],
    ['by its whole text', { text: 'x' }, 'body: '],
  ])('%s', (_, expected, where) => {
    expect(found(expected)).toEqual([expect.stringContaining(where)])
  })

  it('by not being JSON', () => {
    expect(found({ json: { kind: 'Status' } }, { ...ANSWER, body: '<html>' })).toEqual([
      expect.stringContaining('not JSON'),
    ])
  })
})

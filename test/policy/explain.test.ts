import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { check } from '../../src/policy/explain.ts'

/** Schemas of other shapes than ours have now: what is said of them must still be true. */
describe('an explanation', () => {
  it('of something that is no document at all names the document', () => {
    expect(check(z.strictObject({}), 'TransitKey', 3)).toEqual([
      { path: [], part: 'value', message: '"document" must be a mapping of fields.' },
    ])
  })

  it('of a type without a name of ours uses that of the schema', () => {
    expect(check(z.strictObject({ at: z.date() }), 'TransitKey', { at: 1 })).toEqual([
      { path: ['at'], part: 'value', message: '"at" must be date.' },
    ])
  })

  it('of an unknown field guesses nothing where it does not know its way', () => {
    const schema = z.strictObject({ pair: z.tuple([z.strictObject({ left: z.string() })]) })
    expect(check(schema, 'TransitKey', { pair: [{ left: 'a', lefd: 1 }] })).toEqual([
      { path: ['pair', 0, 'lefd'], part: 'key', message: 'There is no field "lefd" here.' },
    ])
  })
})

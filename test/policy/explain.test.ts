import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { check } from '../../src/policy/explain.ts'

/** Schemas of other shapes than ours have now: what is said of them must still be true. */
describe('an explanation', () => {
  it('of something that is no document at all names the document', () => {
    expect(check(z.strictObject({}), 'TransitKey', 3)).toEqual({
      complaints: [{ path: [], part: 'value', message: '"document" must be a mapping of fields.' }],
      more: 0,
    })
  })

  it('of a type without a name of ours uses that of the schema', () => {
    expect(check(z.strictObject({ at: z.date() }), 'TransitKey', { at: 1 })).toEqual({
      complaints: [{ path: ['at'], part: 'value', message: '"at" must be date.' }],
      more: 0,
    })
  })

  it('of an unknown field guesses nothing where it does not know its way', () => {
    const schema = z.strictObject({ pair: z.tuple([z.strictObject({ left: z.string() })]) })
    expect(check(schema, 'TransitKey', { pair: [{ left: 'a', lefd: 1 }] })).toEqual({
      complaints: [{ path: ['pair', 0, 'lefd'], part: 'key', message: 'There is no field "lefd" here.' }],
      more: 0,
    })
  })

  it('is given 50 times and no more, and the rest is counted, whatever rule it breaks', () => {
    const fields = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`x${index}`, 1]))
    const schema = z.strictObject({ spec: z.object({ readers: z.array(z.unknown()) }) })
    const readers = Array.from({ length: 70 }, () => ({}))
    const unknown = check(schema, 'TransitKey', { ...fields, spec: { readers: [] } })
    expect(unknown).toMatchObject({ more: 10, complaints: { length: 50 } })
    expect(check(schema, 'SecretGrant', { spec: { readers } })).toMatchObject({ more: 20, complaints: { length: 50 } })
    const both = check(schema, 'SecretGrant', { ...fields, spec: { readers } })
    expect(both).toMatchObject({ more: 80, complaints: { length: 50 } })
  })
})

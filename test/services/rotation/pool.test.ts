import fc from 'fast-check'
import { expect, test } from 'vitest'
import { all, chunks, gate } from '../../../src/services/rotation/pool.ts'
import { settled } from '../../virtual-clock.ts'

/** Acts that end when the test says so, and how many of them are under way. */
function acts() {
  const ends: PromiseWithResolvers<string>[] = []
  const begun: string[] = []
  return {
    begun,
    ends,
    act: (name: string) => () => {
      begun.push(name)
      const end = Promise.withResolvers<string>()
      ends.push(end)
      return end.promise
    },
  }
}

test('a gate lets in as many as it is wide, and the others in the order in which they came', async () => {
  const through = gate(2)
  const { begun, ends, act } = acts()
  const passed = ['a', 'b', 'c', 'd'].map((name) => through(act(name)))
  await settled()
  expect(begun).toEqual(['a', 'b'])
  ends[1]?.resolve('b is through')
  await settled()
  expect(begun).toEqual(['a', 'b', 'c'])
  ends[0]?.reject(new Error('a failed'))
  await expect(passed[0]).rejects.toThrow('a failed')
  await settled()
  expect(begun).toEqual(['a', 'b', 'c', 'd'])
  for (const end of ends) end.resolve('')
  await Promise.all(passed.slice(1))
})

test('a gate that stood empty is as wide as before', async () => {
  const through = gate(1)
  await through(async () => {})
  await expect(
    through(async () => {
      throw new Error('no')
    }),
  ).rejects.toThrow('no')
  await expect(through(async () => 'in')).resolves.toBe('in')
})

test('all waits for the last of them, and only then tells of the first that failed', async () => {
  const slow = Promise.withResolvers<string>()
  let over = false
  const outcome = all([0, 1, 2], async (item) => {
    if (item === 1) throw new Error('1 failed')
    return await slow.promise
  }).finally(() => {
    over = true
  })
  const told = outcome.catch((error: unknown) => error)
  await settled()
  expect(over).toBe(false)
  slow.resolve('done')
  expect(await told).toMatchObject({ message: '1 failed' })
})

test('all answers in the order of the items', async () => {
  await expect(all([3, 1, 2], async (item) => item * 2)).resolves.toEqual([6, 2, 4])
})

test('chunks lose nothing, keep the order, and are none of them larger than asked', () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), fc.integer({ min: 1, max: 10 }), (items, size) => {
      const cut = [...chunks(items, size)]
      expect(cut.flat()).toEqual(items)
      expect(cut.every(({ length }) => length > 0 && length <= size)).toBe(true)
    }),
  )
})

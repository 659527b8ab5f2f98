import { describe, expect, it } from 'vitest'
import { problemList } from '../../src/policy/problem-list.ts'
import { problemAt } from '../../src/policy/problems.ts'
import { lines } from './documents.ts'

/** A list of so many problems in each of these files. */
function listOf(counts: Readonly<Record<string, number>>) {
  const list = problemList()
  let made = 0
  for (const [file, count] of Object.entries(counts)) {
    for (let line = 1; line <= count; line++) {
      list.add(file, () => {
        made += 1
        return problemAt(file, { line, column: 1 }, 'M.')
      })
    }
  }
  return { shown: lines(list.shown()), made: () => made }
}

describe('the problems of a policy', () => {
  it('are in the order of reading, whoever found them first', () => {
    expect(listOf({ 'b/x': 1, a: 2, 'a/x': 1 }).shown).toEqual([
      'a:1:1: error: M.',
      'a:2:1: error: M.',
      'a/x:1:1: error: M.',
      'b/x:1:1: error: M.',
    ])
    expect(listOf({}).shown).toEqual([])
  })

  it('are at most 200, and the last says how many more there are', () => {
    expect(listOf({ a: 200 }).shown).toHaveLength(200)
    const { shown } = listOf({ a: 150, b: 60 })
    expect(shown).toHaveLength(201)
    expect(shown.at(-1)).toBe('.:1:1: error: And 10 more problems, which are not shown.')
  })

  it('of one directory do not crowd out those of another, nor of the top level', () => {
    const { shown } = listOf({ 'aaa/x': 5000, 'aaa/y': 5000, 'b/x': 3, c: 2 })
    expect(shown.filter((line) => !line.startsWith('aaa/'))).toEqual([
      'b/x:1:1: error: M.',
      'b/x:2:1: error: M.',
      'b/x:3:1: error: M.',
      'c:1:1: error: M.',
      'c:2:1: error: M.',
      '.:1:1: error: And 9805 more problems, which are not shown.',
    ])
  })

  it('are shared out one by one where there is not room for all', () => {
    const many = Object.fromEntries(Array.from({ length: 150 }, (_, index) => [`n${100 + index}/x`, 2]))
    const { shown } = listOf(many)
    expect(shown.filter((line) => line.includes('/x:1:1:'))).toHaveLength(150)
    expect(shown.filter((line) => line.includes('/x:2:1:'))).toHaveLength(50)
  })

  it('cost nothing that are not shown', () => {
    expect(listOf({ a: 10_000, 'b/x': 10_000 }).made()).toBe(200)
  })
})

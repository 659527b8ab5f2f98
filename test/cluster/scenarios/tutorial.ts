/** The tutorial, as a reader follows it: what it says will be printed is printed. It has run before; this reads what it printed. */
import { describe, expect, test } from 'vitest'
import type { Followed } from '../script.ts'

export function tutorial(followed: () => readonly Followed[]): void {
  describe('the tutorial', () => {
    test('can be followed to its end', () => {
      expect(followed().length).toBeGreaterThan(10)
    })

    test('shows no value and no token', () => {
      const printed = followed()
        .map(({ output }) => output)
        .join('\n')
      expect(printed).not.toMatch(/eyJ[A-Za-z0-9_-]{20}|hvs\.[A-Za-z0-9]{10}|hvb\.[A-Za-z0-9]{10}/)
    })
  })
}

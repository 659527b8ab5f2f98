/** The tutorial, as a reader follows it: what it says will be printed is printed. It has run before; this reads what it printed. */
import { describe, expect, test } from 'vitest'
import type { Followed } from '../script.ts'

/** @param page its text. */
export function tutorial(followed: () => readonly Followed[], page: string): void {
  const printedBy = (commands: string) =>
    followed().find(({ block }) => block.commands.includes(commands))?.output ?? ''

  describe('the tutorial', () => {
    test('can be followed to its end', () => {
      expect(followed().length).toBeGreaterThan(10)
    })

    test.each(promisesOf(page))('prints what it says of the block at line %i', (line, promised) => {
      const printed =
        followed()
          .find(({ block }) => block.line === line)
          ?.output.split('\n') ?? []
      expect(printed.filter((one) => promised.includes(one))).toEqual(promised)
    })

    test('sets up Vault, and finds nothing to do when it looks again', () => {
      expect(printedBy('rm my-keyhole/reviewer.token')).toMatch(/^Vault is as the policy asks for\.$/m)
    })

    test('has an installation in which keyhole check finds nothing missing once the Secret is there', () => {
      const checks = printedBy('rm my-keyhole/secrets.json').match(/^\d+ ok, .*/gm)
      expect(checks).toHaveLength(2)
      for (const check of checks ?? []) expect(check).toMatch(/^\d+ ok, 0 /)
    })

    test('has a stranger and whoever is in no pod refused in the same words, but for who they are', () => {
      const answers = printedBy('ask bi default')
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as { status: number; code: string; detail: string; retryable: boolean })
        // curl prints what it asks again after, too.
        .filter(({ retryable }) => !retryable)
      expect(answers.map(({ status, code }) => [status, code])).toEqual(Array(3).fill([403, 'NOT_GRANTED']))
      expect(new Set(answers.map(({ detail }) => detail.replace(/^\S+/, 'WHO'))).size).toBe(1)
    })

    test('has the Secret on the second version at its end', () => {
      expect(printedBy('create job first-rotation')).toMatch(/^vault:v2$/m)
    })

    test('shows records of who asked, and of what the rotation changed', () => {
      const records = printedBy('"kind":"decision"')
      expect(records).toMatch(/"kind":"decision".*"outcome":"disclosed"/)
      for (const effect of ['advance', 'move'])
        expect(records).toMatch(new RegExp(`"kind":"effect".*"effect":"${effect}"`))
    })

    test('shows no value and no token', () => {
      const printed = followed()
        .map(({ output }) => output)
        .join('\n')
      expect(printed).not.toMatch(/eyJ[A-Za-z0-9_-]{20}|hvs\.[A-Za-z0-9]{10}|hvb\.[A-Za-z0-9]{10}/)
    })
  })
}

/** Each block of commands before one of text: where it stands, and the lines that are promised. */
function promisesOf(page: string): readonly (readonly [line: number, promised: readonly string[]])[] {
  const fences = [...page.matchAll(/^```(sh|text)\n(.*?)^```$/gms)]
  return fences.flatMap((fence, index) => {
    const before = fences[index - 1]
    if (fence[1] !== 'text' || before === undefined) return []
    return [[page.slice(0, before.index).split('\n').length, (fence[2] ?? '').trimEnd().split('\n')] as const]
  })
}

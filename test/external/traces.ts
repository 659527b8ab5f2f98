import { inspect } from 'node:util'
import { expect } from 'vitest'

/** Shows that none of the words is to be found in what was thrown, however it is printed. */
export function expectNoTraceOf(words: readonly string[], thrown: unknown): void {
  const error = thrown as Error
  const prints = [
    inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true, maxStringLength: null }),
    JSON.stringify(error),
    JSON.stringify(error, Object.getOwnPropertyNames(error)),
    String(error),
    error.message,
    error.stack ?? '',
    inspect(error.cause, { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true }),
  ]
  for (const word of words) for (const print of prints) expect(print).not.toContain(word)
}

export async function thrownBy(act: Promise<unknown>): Promise<unknown> {
  return await act.then(
    () => expect.fail('nothing was thrown'),
    (error: unknown) => error,
  )
}

/** A stream line by line. */
import { Readable } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { eachLine } from '../../src/cli/lines.ts'

async function linesOf(...chunks: readonly string[]) {
  const lines: string[] = []
  let bytes = 0
  await eachLine(
    Readable.from(chunks.map((chunk) => Buffer.from(chunk))),
    (line) => lines.push(line.toString()),
    (more) => {
      bytes += more
    },
  )
  return { lines, bytes }
}

test('lines are whole however they come, and a last newline ends the last one', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.stringMatching(/^[ab\n]{1,9}$/), { maxLength: 9 }), async (chunks) => {
      const text = chunks.join('')
      const wanted = text.split('\n')
      if (wanted.at(-1) === '') wanted.pop()
      expect(await linesOf(...chunks)).toEqual({ lines: wanted, bytes: text.length })
    }),
  )
})

test('a line without end fills no memory: the rest of it is left out, and the next one is whole', async () => {
  const MIB = 1024 * 1024
  const { lines, bytes } = await linesOf(
    'a'.repeat(MIB - 1),
    'bc',
    'd'.repeat(3 * MIB),
    'e\nf\n',
    `${'g'.repeat(2 * MIB)}\n`,
  )
  expect(bytes).toBe(6 * MIB + 6)
  expect(lines.map(({ length }) => length)).toEqual([MIB, 1, MIB])
  expect(lines[0]?.endsWith('aab')).toBe(true)
})

/** The parts of docs/reference that the code states already. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { PAGES, PARTS, regenerated, verbsIn } from '../../docs.ts'
import { ROOT } from './pages.ts'

test.each(PAGES)('%s says what the code says: run `npm run docs`', async (page) => {
  expect(readFileSync(join(ROOT, page), 'utf8')).toBe(await regenerated(page))
})

test('every part has its place, once', () => {
  const placed = PAGES.flatMap((page) =>
    [...readFileSync(join(ROOT, page), 'utf8').matchAll(/<!-- generated: (\S+) -->/g)].map(([, name = '']) => name),
  )
  expect(placed.toSorted()).toEqual(Object.keys(PARTS).toSorted())
})

test('verbs of one word and of two are found in the help, and flags are none', () => {
  const help = `keyhole VERB [FLAGS]\n\n  check           look\n  manifests rbac  write\n  --help          this text\n`
  expect(verbsIn(help)).toEqual(['check', 'manifests rbac'])
})

/** docs/how-to/check-an-installation.md against what `keyhole check` looks at. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { CHECKS } from '../../src/check/finding.ts'

it('the table of checks has each of them, in order, in the words of the command', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/how-to/check-an-installation.md'), 'utf8')
  const rows = [...page.matchAll(/^\| `([a-z-]+)` \| (.*) \|$/gm)].map(([, name, what]) => [name, what])
  expect(rows.slice(4)).toEqual(Object.entries(CHECKS))
})

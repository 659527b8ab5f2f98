/** docs/how-to/check-an-installation.md against what `keyhole check` looks at. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { CHECKS } from '../../src/check/finding.ts'
import { CHECK_HELP } from '../../src/cli/check-help.ts'

it('the table s of states and of checks have each of them, in order, in the words of the command', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/how-to/check-an-installation.md'), 'utf8')
  const rows = [...page.matchAll(/^\| `([a-z-]+)` \| (.*) \|$/gm)].map(([, name, what]) => [name, what])
  const states = [...CHECK_HELP.matchAll(/^ {2}(ok|wait|fix|skip) +(.*)$/gm)].map(([, name, what]) => [name, what])
  expect(rows).toEqual([...states, ...Object.entries(CHECKS)])
})

/** docs/how-to/set-up-vault.md: the commands that it gives are those that `keyhole vault setup` shows. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startVaultWorld } from '../cli/vault-world.ts'

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/how-to/set-up-vault.md'), 'utf8')
const POLICY = join(import.meta.dirname, '../../deploy/k8s/base/policy')

test('gives the vault commands that keyhole vault setup shows for the policy of the base', async () => {
  const policy = Object.fromEntries(
    ['platform.yaml', 'payments.yaml'].map((name) => [`policy/${name}`, readFileSync(join(POLICY, name), 'utf8')]),
  )
  await using world = await startVaultWorld(policy)
  const { stdout } = await world.setup('--dry-run')
  const shown = [...stdout.matchAll(/^ {7}(vault .*)$/gm)].map(([, command = '']) =>
    command.replace(/\S+\.hcl$/, (file) => `"$OVERLAY/vault/${file}"`),
  )
  expect(shown).toHaveLength(8)
  const [, block = ''] = /^## With vault commands\n.*?^```sh\n(vault .*?)^```$/ms.exec(PAGE) ?? []
  expect(
    block
      .replaceAll(/ \\\n */g, ' ')
      .trimEnd()
      .split('\n'),
  ).toEqual(shown)
})

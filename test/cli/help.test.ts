/** What every verb prints of itself. */
import { describe, expect, test } from 'vitest'
import { AUDIT_VERIFY_HELP } from '../../src/cli/audit-verify-help.ts'
import { CHECK_HELP } from '../../src/cli/check-help.ts'
import { MANIFESTS_RBAC_HELP } from '../../src/cli/manifests-rbac-help.ts'
import { MANIFESTS_VAULT_HELP } from '../../src/cli/manifests-vault-help.ts'
import { ROTATE_HELP } from '../../src/cli/rotate-help.ts'
import { SERVE_HELP } from '../../src/cli/serve.ts'
import { VAULT_CHECK_HELP } from '../../src/cli/vault-check-help.ts'
import { VAULT_SETUP_HELP } from '../../src/cli/vault-setup-help.ts'

describe.each([
  ['audit verify', AUDIT_VERIFY_HELP],
  ['check', CHECK_HELP],
  ['manifests rbac', MANIFESTS_RBAC_HELP],
  ['manifests vault', MANIFESTS_VAULT_HELP],
  ['rotate', ROTATE_HELP],
  ['serve', SERVE_HELP],
  ['vault check', VAULT_CHECK_HELP],
  ['vault setup', VAULT_SETUP_HELP],
])('the help of %s', (verb, help) => {
  test('fits 120 columns and is plain ASCII', () => {
    expect(help.split('\n').filter((line) => line.length > 120 || /[^\x20-\x7e]/.test(line))).toEqual([])
  })

  test('begins with the verb, and says what every exit code means', () => {
    expect(help.startsWith(`keyhole ${verb}`)).toBe(true)
    expect(help).toMatch(/^Exit codes\n {2}0 {2}\S.*\n {2}1 {2}\S/m)
  })

  test('has a whole flag on every line of flags, and a text for it', () => {
    const rows = help.split('\n').filter((line) => /^ {2}--/.test(line))
    expect(rows.at(-1)).toMatch(/^ {2}--help {2,}this text$/)
    for (const row of rows) expect(row).toMatch(/^ {2}--[a-z-]+( [A-Za-z/|]+)?( +\S.*)?$/)
  })
})

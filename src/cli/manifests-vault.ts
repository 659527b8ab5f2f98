/** `keyhole manifests vault`: the Vault policies that a policy asks for, one file a role. */
import { join } from 'node:path'
import type { Policy } from '../policy/in-force.ts'
import { policyText } from '../vault-setup/policy-text.ts'
import { ascii, shellWord } from '../words.ts'
import { complain } from './complain.ts'
import { readText, replaceText } from './files.ts'
import type { Flag } from './flags.ts'
import { readFlags } from './flags.ts'
import { MANIFESTS_VAULT_HELP } from './manifests-vault-help.ts'
import { policyFlagsText, policyOrComplaint } from './policy-flags.ts'
import type { Screen } from './screen.ts'
import { openScreen } from './screen.ts'
import type { RolesAsked } from './vault-flags.ts'
import { ROLE_FLAGS, readRoleFlags, VAULT_FLAGS, wantedOf } from './vault-flags.ts'
import type { ExitCode, World } from './world.ts'
import { EXIT } from './world.ts'

const FLAGS = {
  ...ROLE_FLAGS,
  role: { value: 'NAME' },
  write: { value: 'DIR' },
  check: { value: 'DIR' },
  help: {},
} as const satisfies Readonly<Record<string, Flag>>

export async function manifestsVault(args: readonly string[], world: World): Promise<ExitCode> {
  const complaints: string[] = []
  const flags = readFlags(args, FLAGS, complaints)
  if (flags.has('help')) {
    world.stdout.write(MANIFESTS_VAULT_HELP)
    return EXIT.done
  }
  const screen = openScreen(world.stderr, world.environment)
  const asked = readRoleFlags(flags, complaints)
  const [write, check] = [flags.value('write'), flags.value('check')]
  if (write !== undefined && check !== undefined) complaints.push('--write and --check do not go together.')
  const policy = await policyOrComplaint(asked, world.clock, screen, complaints)
  const all = policy === undefined ? [] : textsFor(policy, asked, complaints)
  const role = flags.value('role')
  const texts = all.filter(({ name }) => role === undefined || name === `${role}.hcl`)
  const names = all.map(({ name }) => name.slice(0, -'.hcl'.length)).join(', ')
  if (policy !== undefined && texts.length === 0) complaints.push(`--role must be one of ${names}.`)
  // As one text they would be one role, which decrypts and rotates.
  if (write === undefined && check === undefined && texts.length > 1) {
    complaints.push(`there are several policies: name one (--role), of ${names}, or a directory for all (--write).`)
  }
  if (complaints.length > 0) return complain(screen, 'manifests vault', complaints, 'Nothing was written.')
  if (write !== undefined) return writeAll(write, texts, screen)
  if (check !== undefined) return checkAll(check, texts, asked, screen)
  world.stdout.write(texts.map(({ text }) => text).join(''))
  return EXIT.done
}

interface PolicyFile {
  readonly name: string
  readonly text: string
}

function textsFor(policy: Policy, asked: RolesAsked, complaints: string[]): readonly PolicyFile[] {
  const auth = { mount: asked.authMount, type: VAULT_FLAGS['auth-type'].value }
  const { roles } = wantedOf(policy, { ...asked, auth, audience: VAULT_FLAGS.audience.value }, complaints)
  return roles.map((role) => ({ name: `${role.name}.hcl`, text: policyText(role, asked.authMount) }))
}

function writeAll(directory: string, texts: readonly PolicyFile[], screen: Screen): ExitCode {
  for (const { name, text } of texts) {
    const file = join(directory, name)
    const done = replaceText(file, text)
    if ('errno' in done) {
      screen.line(`keyhole manifests vault: ${file} cannot be written (${done.errno}).`, 'bad')
      return EXIT.usage
    }
  }
  return EXIT.done
}

function checkAll(directory: string, texts: readonly PolicyFile[], asked: RolesAsked, screen: Screen): ExitCode {
  const wrong = texts.flatMap(({ name, text }) => {
    const file = join(directory, name)
    const found = readText(file)
    if ('errno' in found) return [`${file} cannot be read (${found.errno}).`]
    return found.done === text ? [] : [`${file} is not what the policy asks for.`]
  })
  if (wrong.length === 0) return EXIT.done
  for (const sentence of wrong) screen.line(`keyhole manifests vault: ${sentence}`, 'bad')
  screen.line(`Write it again: ${commandOf(directory, asked)}`)
  return EXIT.usage
}

function commandOf(directory: string, asked: RolesAsked): string {
  const roles = (['read', 'rotate'] as const).flatMap((does) => {
    const name = `${does}-role` as const
    return asked.roles[does] === ROLE_FLAGS[name].value ? [] : [`--${name}=${asked.roles[does]}`]
  })
  const mount = asked.authMount === ROLE_FLAGS['auth-mount'].value ? [] : [`--auth-mount=${asked.authMount}`]
  const flags = [...policyFlagsText(asked), ...roles, ...mount, `--write=${shellWord(directory)}`]
  return ascii(`keyhole manifests vault ${flags.join(' ')}`)
}

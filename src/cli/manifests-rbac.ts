/** `keyhole manifests rbac`: the rights on Secrets that a policy asks for, as manifests. */
import { secretsNamed } from '../policy/secrets-named.ts'
import { ascii, shellWord } from '../words.ts'
import { complain } from './complain.ts'
import { readText, replaceText } from './files.ts'
import type { Flag, Flags } from './flags.ts'
import { readFlags } from './flags.ts'
import { MANIFESTS_RBAC_HELP } from './manifests-rbac-help.ts'
import type { PolicyAsked } from './policy-flags.ts'
import { POLICY_FLAGS, policyFlagsText, policyOrComplaint, readPolicyFlags } from './policy-flags.ts'
import type { RbacObject } from './rbac.ts'
import { rbacFor, rbacYaml } from './rbac.ts'
import { differences } from './rbac-differences.ts'
import type { Screen } from './screen.ts'
import { openScreen } from './screen.ts'
import type { ExitCode, World } from './world.ts'
import { EXIT } from './world.ts'

export async function manifestsRbac(args: readonly string[], world: World): Promise<ExitCode> {
  const complaints: string[] = []
  const flags = readFlags(args, FLAGS, complaints)
  if (flags.has('help')) {
    world.stdout.write(MANIFESTS_RBAC_HELP)
    return EXIT.done
  }
  const screen = openScreen(world.stderr, world.environment)
  const asked = readAsked(flags, complaints)
  const policy = await policyOrComplaint(asked, world.clock, screen, complaints)
  if (policy === undefined) return complain(screen, 'manifests rbac', complaints, 'Nothing was written.')
  const objects = rbacFor(secretsNamed(policy), asked)
  if (asked.check !== undefined) return check(asked.check, objects, asked, screen)
  const text = rbacYaml(objects, [
    'The rights on Secrets that the policy asks for. Not to be edited: edit the policy, and write this again with',
    `  ${commandOf(asked)}`,
  ])
  if (asked.write !== undefined) return write(asked.write, text, screen)
  world.stdout.write(text)
  return EXIT.done
}

interface Asked extends PolicyAsked {
  readonly write: string | undefined
  readonly check: string | undefined
}

function readAsked(flags: Flags, complaints: string[]): Asked {
  const [write, check] = [flags.value('write'), flags.value('check')]
  if (write !== undefined && check !== undefined) complaints.push('--write and --check do not go together.')
  return { ...readPolicyFlags(flags, complaints), write, check }
}

const FLAGS = {
  ...POLICY_FLAGS,
  write: { value: 'FILE' },
  check: { value: 'FILE' },
  help: {},
} as const satisfies Readonly<Record<string, Flag>>

/** As it is typed; from another directory the paths have to be others. */
function commandOf(asked: Asked): string {
  const file = asked.write ?? asked.check
  const flags = [...policyFlagsText(asked), ...(file === undefined ? [] : [`--write=${shellWord(file)}`])]
  return ascii(`keyhole manifests rbac ${flags.join(' ')}`)
}

function check(file: string, objects: readonly RbacObject[], asked: Asked, screen: Screen): ExitCode {
  const text = readText(file)
  if ('errno' in text) {
    screen.line(`keyhole manifests rbac: ${file} cannot be read (${text.errno}).`, 'bad')
    return EXIT.usage
  }
  const found = differences(text.done, objects)
  if (found.length === 0) return EXIT.done
  for (const difference of found) screen.line(`${file}: ${difference}`, 'bad')
  screen.line(`It is not what the policy asks for. Write it again: ${commandOf(asked)}`)
  return EXIT.usage
}

function write(file: string, text: string, screen: Screen): ExitCode {
  const done = replaceText(file, text)
  if (!('errno' in done)) return EXIT.done
  screen.line(`keyhole manifests rbac: ${file} cannot be written (${done.errno}).`, 'bad')
  return EXIT.usage
}

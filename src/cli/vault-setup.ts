/** `keyhole vault setup`: makes Vault what a policy asks for. Says what it will do, does it when told to, and looks again. */
import { UpstreamError } from '../errors.ts'
import { StartError } from '../starting.ts'
import type { Finding } from '../vault-setup/finding.ts'
import type { Plan } from '../vault-setup/set-up.ts'
import { carryOut, planFor } from '../vault-setup/set-up.ts'
import type { Wanted } from '../vault-setup/wanted.ts'
import { withoutReviewerToken } from '../vault-setup/wanted.ts'
import type { Flag, Flags } from './flags.ts'
import type { Screen } from './screen.ts'
import { openScreen } from './screen.ts'
import { tokenIn, VAULT_FLAGS } from './vault-flags.ts'
import { VAULT_SETUP_HELP } from './vault-setup-help.ts'
import type { Opened } from './vault-world.ts'
import { findingLine, withVault } from './vault-world.ts'
import type { ExitCode, World } from './world.ts'
import { EXIT } from './world.ts'

const FLAGS = {
  ...VAULT_FLAGS,
  yes: {},
  'dry-run': {},
  help: {},
} as const satisfies Readonly<Record<string, Flag>>

export function vaultSetup(args: readonly string[], world: World): Promise<ExitCode> {
  const asked = {
    verb: 'vault setup',
    help: VAULT_SETUP_HELP,
    flags: FLAGS,
    complaint: (flags: Flags) =>
      flags.has('yes') && flags.has('dry-run') ? '--yes and --dry-run do not go together.' : undefined,
  }
  return withVault(asked, args, world, async (opened) => {
    const screen = openScreen(world.stdout, world.environment)
    const planned = async (wanted: Wanted) => {
      const plan = await planFor(wanted, opened.looking)
      opened.screen.leave()
      return plan
    }
    const plan = await planned(opened.wanted)
    if (plan.stops.length > 0) return stop(plan, screen)
    if (plan.writes.length === 0) return end(plan, screen)
    show(plan, opened, screen)
    if (opened.flags.has('dry-run')) return EXIT.done
    if (!opened.flags.has('yes')) {
      screen.line('Nothing was written yet. To have it done, give the same command with --yes.', 'bold')
      return EXIT.incomplete
    }
    await write(plan, opened, screen)
    return end(await planned(withoutReviewerToken(opened.wanted)), screen)
  })
}

async function write(plan: Plan, { wanted, looking, screen: errors }: Opened, screen: Screen): Promise<void> {
  let last = ''
  const began = ({ about }: Finding, at: number) => {
    last = about
    screen.line(`writing ${at + 1} of ${plan.writes.length}: ${about}`)
  }
  try {
    await carryOut(plan, { ...looking, readFile, began })
  } catch (error) {
    // Vault looks for the files of its pod, and says only in its log that there are none.
    const isOutside =
      error instanceof UpstreamError && error.status === 400 && last === `auth/${wanted.auth.mount}/config`
    if (isOutside && wanted.auth.kubernetes === undefined) {
      errors.line(
        'A Vault that does not run in the cluster needs --kubernetes-host, --kubernetes-ca and --token-reviewer-jwt-file.',
      )
    }
    throw error
  }
}

function readFile(path: string): string {
  const token = tokenIn(path)
  if (token === undefined) throw new StartError(path, 'holds no token any more; the same again goes on from here')
  return token
}

/** A token that sees nothing at all is the wrong one. */
function stop({ stops, all }: Plan, screen: Screen): ExitCode {
  for (const finding of stops) screen.line(...findingLine(finding))
  screen.line('Nothing was written: this has to be settled first.', 'bold')
  return all.every(({ kind }) => kind === 'hidden') ? EXIT.refused : EXIT.incomplete
}

function show({ writes, remains, notes }: Plan, { origin, wanted }: Opened, screen: Screen): void {
  const keys = `${wanted.keys.length} Transit key${wanted.keys.length === 1 ? '' : 's'}`
  screen.line(`For the ${keys} of the policy, in ${origin}. Nothing is deleted.`, 'bold')
  for (const [at, { about, detail, write }] of writes.entries()) {
    screen.line(`${String(at + 1).padStart(3)}  ${about}: ${detail}`)
    screen.line(`       ${write.command}`)
  }
  for (const finding of [...remains, ...notes]) screen.line(...findingLine(finding))
}

/** After the last look. */
function end({ writes, stops, remains }: Plan, screen: Screen): ExitCode {
  const left = [...stops, ...writes, ...remains]
  if (left.length === 0) {
    screen.line('Vault is as the policy asks for.', 'good')
    return EXIT.done
  }
  for (const finding of left) screen.line(...findingLine(finding))
  return EXIT.incomplete
}

/** `keyhole vault check`: what Vault lacks for a policy, what it gives beyond it, and who else may come at its keys. */

import { differences } from '../vault-setup/differences.ts'
import type { Finding } from '../vault-setup/finding.ts'
import { isThere } from '../vault-setup/found.ts'
import { look } from '../vault-setup/look.ts'
import { othersOf } from '../vault-setup/others.ts'
import { withoutReviewerToken } from '../vault-setup/wanted.ts'
import type { Flag } from './flags.ts'
import { oneOf } from './flags.ts'
import { jsonLine, openScreen } from './screen.ts'
import { VAULT_CHECK_HELP } from './vault-check-help.ts'
import { VAULT_FLAGS } from './vault-flags.ts'
import type { Status } from './vault-world.ts'
import { findingLine, fixOf, statusOf, withVault } from './vault-world.ts'
import type { ExitCode, World } from './world.ts'
import { EXIT } from './world.ts'

const FLAGS = {
  ...VAULT_FLAGS,
  output: { value: 'text|json', check: oneOf(['text', 'json']) },
  help: {},
} as const satisfies Readonly<Record<string, Flag>>

export function vaultCheck(args: readonly string[], world: World): Promise<ExitCode> {
  const asked = { verb: 'vault check', help: VAULT_CHECK_HELP, flags: FLAGS }
  return withVault(asked, args, world, async ({ wanted, flags, looking, screen: progress }) => {
    const found = await look(wanted, looking)
    progress.leave()
    const { authConfig } = found
    const hasReviewer = isThere(authConfig) && authConfig.there['token_reviewer_jwt_set'] !== false
    const compared = hasReviewer ? withoutReviewerToken(wanted) : wanted
    const findings = [...differences(compared, found), ...othersOf(wanted, found)]
    const status = worstOf(findings)
    if (flags.value('output') === 'json') {
      world.stdout.write(jsonLine({ type: 'vault-check', status, findings: findings.map(told) }))
    } else {
      const screen = openScreen(world.stdout, world.environment)
      for (const finding of findings) {
        screen.line(...findingLine(finding))
        if (finding.kind === 'mendable') screen.line(`         ${finding.write.command}`)
      }
      screen.line(summary(findings), status === 'ok' ? 'good' : 'bold')
    }
    return { ok: EXIT.done, unseen: EXIT.refused, fix: EXIT.incomplete }[status]
  })
}

/** Without the data of the write: the command says the same, and where it reads files from. */
function told(finding: Finding): object {
  const { about, detail } = finding
  const fix = fixOf(finding)
  return {
    status: statusOf(finding),
    about,
    detail,
    ...(fix !== undefined && { fix }),
    ...(finding.kind === 'mendable' && { command: finding.write.command }),
  }
}

function worstOf(findings: readonly Finding[]): 'ok' | 'unseen' | 'fix' {
  const has = (...statuses: readonly Status[]) => findings.some((finding) => statuses.includes(statusOf(finding)))
  if (has('lacks', 'wide')) return 'fix'
  return has('skip') ? 'unseen' : 'ok'
}

function summary(findings: readonly Finding[]): string {
  const count = (status: Status) => findings.filter((finding) => statusOf(finding) === status).length
  return `${count('ok')} ok, ${count('lacks')} lacking, ${count('wide')} too wide, ${count('note')} to know of, ${count('skip')} not looked at`
}

/** What `keyhole vault setup` and `keyhole vault check` begin with and end with. */
import { UpstreamError } from '../errors.ts'
import { StartError } from '../starting.ts'
import type { Looking } from '../vault-setup/asking.ts'
import type { Finding, Flaw } from '../vault-setup/finding.ts'
import type { Wanted } from '../vault-setup/wanted.ts'
import type { Administration } from '../wire-vault-setup.ts'
import { openAdministration } from '../wire-vault-setup.ts'
import { complain } from './complain.ts'
import type { Flag, Flags } from './flags.ts'
import { readFlags } from './flags.ts'
import { policyOrComplaint } from './policy-flags.ts'
import type { Screen, Style } from './screen.ts'
import { openScreen } from './screen.ts'
import { withFix } from './sentence.ts'
import { readVaultAccess, readVaultFlags, wantedOf } from './vault-flags.ts'
import type { ExitCode, World } from './world.ts'
import { EXIT } from './world.ts'

export interface Opened {
  readonly wanted: Wanted
  readonly flags: Flags
  /** stderr: for people, where stdout may be a document. */
  readonly screen: Screen
  readonly origin: string
  readonly looking: Looking
}

export interface Asked {
  /** `vault setup` */
  readonly verb: string
  readonly help: string
  readonly flags: Readonly<Record<string, Flag>>
  /** What is wrong with flags that go together, or do not. */
  complaint?(flags: Flags): string | undefined
}

/** Reads flags, environment and policy, opens Vault, and tells what went wrong with any of it. */
export async function withVault(
  { verb, help, flags: declared, complaint }: Asked,
  args: readonly string[],
  world: World,
  act: (opened: Opened) => Promise<ExitCode>,
): Promise<ExitCode> {
  const complaints: string[] = []
  const flags = readFlags(args, declared, complaints)
  if (flags.has('help')) {
    world.stdout.write(help)
    return EXIT.done
  }
  const screen = openScreen(world.stderr, world.environment)
  const asked = readVaultFlags(flags, complaints)
  const more = complaint?.(flags)
  if (more !== undefined) complaints.push(more)
  const access = readVaultAccess(world.environment, complaints)
  const policy = await policyOrComplaint(asked, world.clock, screen, complaints)
  const wanted = policy && wantedOf(policy, asked, complaints)
  if (wanted === undefined || complaints.length > 0)
    return complain(screen, verb, complaints, 'Nothing was asked of Vault.')
  const token = 'file' in access.token ? access.token : { text: world.environment['VAULT_TOKEN'] ?? '' }
  let administration: Administration | undefined
  try {
    administration = await openAdministration({ ...access, token, clock: world.clock })
    const { vault } = administration
    const progress = (done: number, total: number) => screen.redraw(`Looking at Vault: ${done} of ${total}`)
    return await act({
      wanted,
      flags,
      screen,
      origin: access.origin,
      looking: { vault, signal: world.signal, progress },
    })
  } catch (error) {
    if (error instanceof StartError) {
      screen.line(`keyhole ${verb}: ${error.message}.`, 'bad')
      return EXIT.usage
    }
    if (!(error instanceof UpstreamError)) throw error
    return await failed(error, administration)
  } finally {
    await administration?.close()
  }

  async function failed(error: UpstreamError, opened: Administration | undefined): Promise<ExitCode> {
    const { words, exit } = failureOf(error)
    const why = words === UNTRUSTED ? `: ${await opened?.whyUntrusted(world.signal)}` : ''
    screen.line(`keyhole ${verb}: ${words}${why}.`, 'bad')
    return exit
  }
}

const UNTRUSTED = "Vault's certificate is not trusted. VAULT_CACERT must hold the CA that signed it"

function failureOf({ kind, status, cause }: UpstreamError): { readonly words: string; readonly exit: ExitCode } {
  const outcome = cause instanceof Error && 'code' in cause ? String(cause.code) : kind
  if (kind === 'aborted') return { words: 'stopped', exit: EXIT.unavailable }
  if (outcome === 'tls') return { words: UNTRUSTED, exit: EXIT.unavailable }
  if (kind === 'sealed') return { words: 'Vault is sealed. Unseal it: vault operator unseal', exit: EXIT.unavailable }
  if (kind === 'standby' || kind === 'redirected') {
    return { words: 'this Vault is a standby: name the one that is active in VAULT_ADDR', exit: EXIT.unavailable }
  }
  if (kind === 'forbidden') {
    return {
      words:
        'Vault refuses this token (403). Its policies must let it do what is asked for, and it must not have expired',
      exit: EXIT.refused,
    }
  }
  if (status === undefined || status === 429 || status >= 500) {
    const words = status === undefined ? `no answer from Vault: ${outcome}` : `Vault answers ${status}`
    return { words: `${words}. See that it runs, and that VAULT_ADDR is its origin`, exit: EXIT.unavailable }
  }
  return { words: `Vault answers ${status}. Its log says why`, exit: EXIT.refused }
}

/** The word that a finding is told with. */
export type Status = 'ok' | Flaw | 'note' | 'skip'

export function statusOf(finding: Finding): Status {
  if (finding.kind === 'hidden') return 'skip'
  return finding.kind === 'ok' || finding.kind === 'note' ? finding.kind : finding.flaw
}

export function fixOf(finding: Finding): string | undefined {
  return finding.kind === 'ok' ? undefined : finding.fix
}

const STYLES: Readonly<Record<Status, Style>> = { ok: 'good', lacks: 'bad', wide: 'bad', note: 'bold', skip: 'bold' }

export function findingLine(finding: Finding): readonly [text: string, style: Style] {
  const status = statusOf(finding)
  return [`${status.padEnd(5)}  ${finding.about}: ${withFix(finding.detail, fixOf(finding))}`, STYLES[status]]
}

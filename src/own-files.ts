/**
 * The small files that others bring: keyhole's own credentials, and whom it trusts. Which there are is said once, for the
 * service, which waits for them, and for `keyhole check`, which tells of each.
 */
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import type { Renewed } from './external/renewed-file.ts'
import { parseCa, parseToken, renewedFile, UnreadableFile } from './external/renewed-file.ts'
import type { Token } from './opaque.ts'
import { PolicyDirectoryError, requirePolicyDirectory } from './policy/current.ts'
import { FILE_FIXES, starting } from './starting.ts'
import type { Waiting } from './waiting.ts'

export interface OwnFiles {
  readonly kubernetesToken: Renewed<Token>
  readonly kubernetesCa: Renewed<string> | undefined
  readonly vaultJwt: Renewed<Token>
  readonly vaultCa: Renewed<string> | undefined
}

/** Waits for them, and for a policy directory. @throws Stopped */
export async function ownFiles(config: Config, clock: Clock, waiting: Waiting): Promise<OwnFiles> {
  const { kubernetesToken, kubernetesCa, vaultJwt, vaultCa } = expectedFiles(config, clock)
  const there = async <T>({ setting, open }: ExpectedFile<T>) =>
    await waiting.until({ setting, fix: FILE_FIXES[setting], problem: UnreadableFile }, open)
  const found = await Promise.all([
    there(kubernetesToken),
    kubernetesCa && there(kubernetesCa),
    there(vaultJwt),
    vaultCa && there(vaultCa),
    waiting.until({ setting: 'KEYHOLE_POLICY_DIR', problem: PolicyDirectoryError }, () =>
      requirePolicyDirectory(config.KEYHOLE_POLICY_DIR),
    ),
  ])
  return { kubernetesToken: found[0], kubernetesCa: found[1], vaultJwt: found[2], vaultCa: found[3] }
}

export interface ExpectedFile<T> {
  /** The setting that names it. */
  readonly setting: keyof typeof FILE_FIXES
  /** @throws UnreadableFile */
  open(): Renewed<T>
}

/** Which they are. Where there is no TLS, nobody shows a certificate, and no CA is looked for. */
export function expectedFiles(config: Config, clock: Clock) {
  const { KEYHOLE_KUBERNETES_CACERT: kubernetesCa, VAULT_CACERT: vaultCa } = config
  const isSecure = (origin: string) => origin.startsWith('https:')
  const file = <T>(setting: keyof typeof FILE_FIXES, path: string, parse: (text: string) => T): ExpectedFile<T> => ({
    setting,
    open: () => renewedFile({ path, clock, parse }),
  })
  return {
    kubernetesToken: file('KEYHOLE_KUBERNETES_TOKEN_FILE', config.KEYHOLE_KUBERNETES_TOKEN_FILE, parseToken),
    kubernetesCa: isSecure(config.kubernetesUrl) ? file('KEYHOLE_KUBERNETES_CACERT', kubernetesCa, parseCa) : undefined,
    vaultJwt: file('KEYHOLE_VAULT_TOKEN_FILE', config.KEYHOLE_VAULT_TOKEN_FILE, parseToken),
    vaultCa: isSecure(config.VAULT_ADDR) && vaultCa !== undefined ? file('VAULT_CACERT', vaultCa, parseCa) : undefined,
  }
}

/** Reads it now. @throws StartError */
export async function readNow<T>({ setting, open }: ExpectedFile<T>): Promise<T> {
  return await starting(setting, () => open().current(), UnreadableFile)
}

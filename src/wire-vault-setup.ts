/** `keyhole vault`, wired: Vault with a person's token, and nothing of the service. */
import type { Clock } from './clock.ts'
import { parseCa, parseToken, renewedFile, UnreadableFile } from './external/renewed-file.ts'
import { openSend } from './external/send.ts'
import { whyUntrusted } from './external/untrusted.ts'
import { openVaultAdmin } from './external/vault-admin.ts'
import { starting } from './starting.ts'
import type { VaultAdmin } from './vault-setup/port.ts'

export interface Administration {
  readonly vault: VaultAdmin
  /** In a few words. */
  whyUntrusted(signal: AbortSignal): Promise<string>
  close(): Promise<void>
}

interface AdministrationOptions {
  readonly origin: string
  readonly caFile: string | undefined
  readonly namespace: string | undefined
  readonly token: { readonly text: string } | { readonly file: string }
  readonly clock: Clock
}

/** @throws StartError for a CA or a token that cannot be used. */
export async function openAdministration(options: AdministrationOptions): Promise<Administration> {
  const { origin, caFile, namespace, token, clock } = options
  const read = <T>(setting: string, path: string, parse: (text: string) => T) =>
    starting(setting, () => renewedFile({ path, clock, parse }).current(), UnreadableFile)
  const isSecure = origin.startsWith('https:')
  const ca = isSecure && caFile !== undefined ? await read('VAULT_CACERT', caFile, parseCa) : undefined
  const own =
    'file' in token
      ? await read('~/.vault-token', token.file, parseToken)
      : await starting('VAULT_TOKEN', () => tokenIn(token.text), NoToken)
  const { send, close } = openSend({
    origin,
    ...(ca !== undefined && { ca: () => ca }),
    connections: 4,
    maxBodyBytes: MAX_BODY_BYTES,
    callTimeoutMs: CALL_TIMEOUT_MS,
    clock,
  })
  const vault = openVaultAdmin({ send, token: own, ...(namespace !== undefined && { namespace }) })
  return { vault, whyUntrusted: (signal) => whyUntrusted(origin, ca, signal), close }
}

/** A list of all mounts of a large Vault. */
const MAX_BODY_BYTES = 16 * 1024 * 1024
/** Making a mount or a key may take a storage's time. */
const CALL_TIMEOUT_MS = 30_000

class NoToken extends Error {
  override readonly name = 'NoToken'
}

function tokenIn(text: string) {
  try {
    return parseToken(text)
  } catch {
    throw new NoToken('it holds no token')
  }
}

/** Why keyhole does not start, told to whoever starts it: the setting to look at, and what is wrong with what it names. */
import { getSystemErrorMap } from 'node:util'

/** The message is all there is to tell: it names settings, paths and addresses, and nothing that a file holds. */
export class StartError extends Error {
  override readonly name = 'StartError'
  readonly setting: string
  readonly problem: string

  constructor(setting: string, problem: string) {
    super(`${setting}: ${problem}`)
    this.setting = setting
    this.problem = problem
  }
}

/** What to do about a file that is not there or not right, by the setting that names it. */
export const FILE_FIXES = {
  KEYHOLE_KUBERNETES_TOKEN_FILE: 'mount a projected serviceAccountToken without audience there',
  KEYHOLE_KUBERNETES_CACERT: 'mount ca.crt of the ConfigMap kube-root-ca.crt there',
  KEYHOLE_VAULT_TOKEN_FILE: 'mount a projected serviceAccountToken there, of the audience that the Vault role names',
  VAULT_CACERT: "put the PEM of the CA that signed Vault's certificate into the ConfigMap that is mounted there",
  KEYHOLE_TLS_CERT_FILE:
    'put a certificate that is valid now and its key into the Secret that is mounted there, as tls.crt and tls.key',
} as const

/** An error class whose messages are ours, and fit to be read. */
export type Readable = new (...args: never[]) => Error

/**
 * Runs a step of the start that depends on `setting`. What it fails with is told if it is one of `readable`, or came from
 * the system; anything else is a defect, whose message may quote what it choked on.
 *
 * @throws StartError; a defect as it is.
 */
export async function starting<T>(
  setting: string,
  step: () => T | Promise<T>,
  ...readable: readonly Readable[]
): Promise<T> {
  try {
    return await step()
  } catch (error) {
    const told = error instanceof Error && (isOfSystem(error) || readable.some((type) => error instanceof type))
    throw told ? new StartError(setting, withWords(error.message)) : error
  }
}

/** Says the errno, the call, and a path or address. */
function isOfSystem(error: Error): boolean {
  return 'syscall' in error && 'errno' in error
}

/** `... ENOENT` as whoever has no table of errnos at hand wants to read it. */
export function withWords(message: string): string {
  return message.replace(/\bE[A-Z0-9]+$/, (code) => {
    const known = [...getSystemErrorMap().values()].find(([name]) => name === code)
    return known === undefined ? code : `${code} (${known[1]})`
  })
}

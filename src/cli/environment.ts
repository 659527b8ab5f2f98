/** Where keyhole is, whom to trust, and what to show: every complaint at once, and none quotes a value. */
import { accessSync, constants } from 'node:fs'
import type { Environment } from './world.ts'

export interface Access {
  readonly origin: string
  readonly caFile: string | undefined
  readonly tokenFile: string
}

export const DEFAULT_TOKEN_FILE = '/var/run/secrets/keyhole/token'

/** @param complaints gets what is wrong, in sentences; what is returned is then of no use. */
export function readAccess(environment: Environment, complaints: string[]): Access {
  const given = (name: string) => (environment[name] === '' ? undefined : environment[name])
  for (const [wrong, right] of Object.entries(MISNOMERS)) {
    if (given(wrong) !== undefined) complaints.push(`${wrong} is not read. ${right}`)
  }
  const address = given('KEYHOLE_ADDR')
  const caFile = given('KEYHOLE_CACERT')
  const givenTokenFile = given('KEYHOLE_TOKEN_FILE')
  const tokenFile = givenTokenFile ?? DEFAULT_TOKEN_FILE
  if (address === undefined) {
    complaints.push('KEYHOLE_ADDR is required: the origin of keyhole, e.g. https://keyhole-rotate.keyhole.svc:8443.')
  }
  const origin = address === undefined ? undefined : originOf(address)
  if (typeof origin === 'object') complaints.push(`KEYHOLE_ADDR ${origin.wrong}.`)
  const unreadableCa = caFile === undefined ? undefined : unreadable(caFile)
  if (unreadableCa !== undefined) complaints.push(`KEYHOLE_CACERT names a file that cannot be read (${unreadableCa}).`)
  const unreadableToken = unreadable(tokenFile)
  if (unreadableToken !== undefined) {
    complaints.push(
      givenTokenFile === undefined
        ? `KEYHOLE_TOKEN_FILE is not given, and ${DEFAULT_TOKEN_FILE} cannot be read (${unreadableToken}).`
        : `KEYHOLE_TOKEN_FILE names a file that cannot be read (${unreadableToken}).`,
    )
  }
  return { origin: typeof origin === 'string' ? origin : '', caFile, tokenFile }
}

/** Names that one might guess. A CA that is silently not read would have every public CA trusted instead. */
const MISNOMERS: Readonly<Record<string, string>> = {
  KEYHOLE_ADDRESS: 'Did you mean KEYHOLE_ADDR?',
  KEYHOLE_URL: 'Did you mean KEYHOLE_ADDR?',
  KEYHOLE_CA_CERT: 'Did you mean KEYHOLE_CACERT?',
  KEYHOLE_CA_FILE: 'Did you mean KEYHOLE_CACERT?',
  KEYHOLE_CACERT_FILE: 'Did you mean KEYHOLE_CACERT?',
  KEYHOLE_TOKEN: 'Put the token into a file, and name that in KEYHOLE_TOKEN_FILE.',
}

/** Never quotes what it was given, which may hold credentials. */
export function originOf(text: string): string | { readonly wrong: string } {
  const url = /^https?:\/\/[^/@?#\\\s]+\/?$/i.test(text) ? URL.parse(text) : null
  if (url === null) return { wrong: 'must be https://HOST[:PORT] with nothing behind, or http:// on loopback' }
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    return { wrong: 'must be https:// unless it is on loopback: the token would cross the network in the clear' }
  }
  return url.origin
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host)
}

/** The errno of why; undefined for a file that can be read. */
export function unreadable(path: string): string | undefined {
  try {
    accessSync(path, constants.R_OK)
    return undefined
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
  }
}

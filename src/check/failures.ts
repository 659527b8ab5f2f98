/** A call that failed, told for whoever has to do something about it. */
import { KeyholeError, UpstreamError } from '../errors.ts'
import { outcomeFix } from '../services/upstream.ts'
import type { CheckName, Finding } from './finding.ts'
import { toFix, wait } from './finding.ts'
import type { Peer } from './ports.ts'

const NAMES = { kubernetes: 'the API server', vault: 'Vault' } as const

/**
 * `wait` for what may pass, such as a server that is away; `fix` for what will not.
 * @throws what is no failure of an upstream.
 */
export function failed(check: CheckName, error: unknown): Finding {
  if (error instanceof KeyholeError) {
    const { code, why, fix, cause } = error
    if (fix !== undefined) return toFix(check, why ?? code, fix)
    if (cause instanceof UpstreamError) return failed(check, cause)
  }
  if (error instanceof Error && error.name === 'AbortError') return wait(check, 'not over in time')
  if (!(error instanceof UpstreamError)) throw error
  const { upstream, status } = error
  const outcome = outcomeOf(error)
  const detail =
    status === undefined ? `no answer from ${NAMES[upstream]}: ${outcome}` : `${NAMES[upstream]} answers ${status}`
  const fix = outcomeFix(upstream, outcome)
  const mayPass = status === undefined ? outcome !== 'tls' : status === 429 || status >= 500
  return mayPass ? wait(check, detail, fix) : toFix(check, detail, fix ?? `see the log of ${NAMES[upstream]} for why`)
}

/** The same for a first call, with why the peer is not trusted. */
export async function unreached(check: CheckName, error: unknown, peer: Peer, signal: AbortSignal): Promise<Finding> {
  const finding = failed(check, error)
  if (!(error instanceof UpstreamError) || outcomeOf(error) !== 'tls') return finding
  return { ...finding, detail: `${NAMES[error.upstream]} is not trusted: ${await peer.whyUntrusted(signal)}` }
}

/** The word of the transport, or the status. */
function outcomeOf({ kind, status, cause }: UpstreamError): string {
  if (status !== undefined) return String(status)
  return cause instanceof Error && 'code' in cause ? String(cause.code) : kind
}

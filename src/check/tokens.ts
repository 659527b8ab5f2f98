/** keyhole's own two tokens, by what they say of themselves. Whether they are believed, their servers say. */
import type { Token } from '../opaque.ts'
import { StartError } from '../starting.ts'
import { listed } from '../words.ts'
import type { Checking, CheckName, Finding } from './finding.ts'
import { ok, toFix, wait } from './finding.ts'
import type { CheckParts } from './ports.ts'

export interface OwnTokens {
  /** Undefined: there is none to use. */
  readonly kubernetes: OwnToken | undefined
  readonly vault: OwnToken | undefined
}

export interface OwnToken {
  readonly token: Token
  /** `system:serviceaccount:<namespace>:<name>`, as the token says. */
  readonly subject: string | undefined
  readonly audiences: readonly string[]
}

export async function* tokens({ files, clock }: CheckParts): Checking<OwnTokens> {
  const kubernetes = yield* one('kubernetes-token', files.kubernetesToken, clock.now(), () => undefined)
  const vault = yield* one('vault-token', files.vaultToken, clock.now(), ({ audiences }) => {
    const shared = audiences.filter((audience) => kubernetes?.audiences.includes(audience))
    if (shared.length === 0) return undefined
    return toFix(
      'vault-token',
      'it is good for the API server, too: with it, whoever holds Vault could act as keyhole there',
      'mount a projected serviceAccountToken of its own audience, e.g. vault, and name that on the Vault roles',
    )
  })
  return { kubernetes, vault }
}

/** What the kubelet mounts of itself where nobody asks for a projected token lives a year. */
const MAX_LIFETIME_MS = 86_400_000

async function* one(
  check: CheckName,
  read: () => Promise<Token>,
  nowMs: number,
  flaw: (own: OwnToken) => Finding | undefined,
): Checking<OwnToken | undefined> {
  const file = yield* unlessMissing(check, read, 'mount a projected serviceAccountToken there')
  if (file === undefined) return undefined
  const token = file.found
  const claims = claimsOf(token.reveal())
  if (claims === undefined) {
    // Not every API server gives JWTs. What it says of this one decides.
    yield { check, status: 'skip', detail: 'it is no JWT: only the server that it is for can tell' }
    return { token, subject: undefined, audiences: [] }
  }
  const { audiences, expiresAtMs, issuedAtMs, subject } = claims
  const own = { token, subject, audiences }
  const lifetimeMs = expiresAtMs - issuedAtMs
  const found = flaw(own)
  if (found !== undefined) yield found
  else if (expiresAtMs <= nowMs) {
    const since = new Date(expiresAtMs).toISOString()
    yield wait(
      check,
      `expired since ${since}`,
      'the kubelet renews it: if it does not, see its log, and the clock of the node',
    )
    return undefined
  } else if (!(lifetimeMs <= MAX_LIFETIME_MS)) {
    const fix =
      'mount a projected serviceAccountToken with expirationSeconds of at most 3600, and automountServiceAccountToken: false'
    yield toFix(check, `it lives ${Math.round(lifetimeMs / MAX_LIFETIME_MS)} days`, fix)
  } else {
    const minutes = Math.round((expiresAtMs - nowMs) / 60_000)
    const lifetime = Math.round(lifetimeMs / 1000)
    yield ok(check, `${subject ?? 'somebody'}, audience ${listed(audiences)}, lives ${lifetime} s, ${minutes} min left`)
  }
  return own
}

/** What is not there may come, what is there and wrong does not mend itself. */
export async function* unlessMissing<T>(
  check: CheckName,
  read: () => Promise<T>,
  fix: string,
): Checking<{ readonly found: T } | undefined> {
  try {
    return { found: await read() }
  } catch (error) {
    if (!(error instanceof StartError)) throw error
    const isMissing = error.problem.includes('ENOENT') || error.problem.includes('does not exist')
    yield isMissing ? wait(check, error.message, fix) : toFix(check, error.message, fix)
    return undefined
  }
}

interface Claims {
  readonly audiences: readonly string[]
  readonly issuedAtMs: number
  readonly expiresAtMs: number
  readonly subject: string | undefined
}

/** Nothing of it is verified, and nothing but names and times is kept. */
function claimsOf(jwt: string): Claims | undefined {
  try {
    const { aud, iat, exp, sub } = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString('utf8'))
    const audiences = (Array.isArray(aud) ? aud : [aud]).filter((one) => typeof one === 'string')
    return { audiences, issuedAtMs: msOf(iat), expiresAtMs: msOf(exp), subject: textOf(sub) }
  } catch {
    return undefined
  }
}

/** One that does not say lives for ever. */
function msOf(seconds: unknown): number {
  return typeof seconds === 'number' ? seconds * 1000 : Number.POSITIVE_INFINITY
}

function textOf(claim: unknown): string | undefined {
  return typeof claim === 'string' ? claim : undefined
}

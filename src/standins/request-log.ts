/**
 * What a stand-in was asked, and which tokens it was shown where. Tokens are kept as SHA-256 only: a test asks
 * "where did you see this one?", and a log that leaks is then no harm.
 */
import { createHash } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { StandinRequest } from './server.ts'

export interface RequestLog {
  /** Oldest first; at most the last 10,000. */
  entries(): readonly LoggedRequest[]
  /** Every place where this token came by: which request, and in which part of it. */
  sightings(token: string): readonly Sighting[]
  /** How many requests match; of those still kept. */
  count(method: string, path: string | RegExp): number
  clear(): void
}

export interface LoggedRequest {
  readonly method: string
  /** Raw path without the query. */
  readonly path: string
  /** Epoch milliseconds of the stand-in's clock. */
  readonly at: number
  /** Value of the Host header. */
  readonly host: string
  /** Undefined until answered. */
  readonly status: number | undefined
  /** SHA-256, hex, of the bearer token. */
  readonly bearer: string | undefined
  /** SHA-256, hex, of the X-Vault-Token header. */
  readonly vaultToken: string | undefined
}

export interface Sighting {
  readonly method: string
  readonly path: string
  readonly host: string
  readonly where: 'authorization' | 'x-vault-token' | 'other-header' | 'url' | 'body'
}

const KEPT_REQUESTS = 10_000
/** Anything that could be a token: a run of the characters of JWTs, Vault's tokens and hex. A slash or `=` ends it, as in URLs. */
const TOKEN_SHAPED = /[\w.~-]{8,}/g

export function createRequestLog(
  clock: Clock,
): RequestLog & { record(request: StandinRequest): { answered(status: number): void } } {
  let kept: (LoggedRequest & { tokens: ReadonlyMap<string, Sighting['where']> })[] = []
  return {
    entries: () => kept.map(({ tokens: _, ...entry }) => entry),
    count: (method, path) =>
      kept.filter(
        (entry) => entry.method === method && (typeof path === 'string' ? entry.path === path : path.test(entry.path)),
      ).length,
    sightings(token) {
      const hash = digest(token)
      return kept.flatMap(({ method, path, host, tokens }) => {
        const where = tokens.get(hash)
        return where === undefined ? [] : [{ method, path, host, where }]
      })
    },
    clear() {
      kept = []
    },
    record(request) {
      const bearer = /^bearer +(\S+)$/i.exec(text(request.headers['authorization']))?.[1]
      const vaultToken = request.headers['x-vault-token']
      const entry = {
        method: request.method,
        path: request.path,
        at: clock.now(),
        host: text(request.headers['host']),
        status: undefined as number | undefined,
        bearer: bearer === undefined ? undefined : digest(bearer),
        vaultToken: vaultToken === undefined ? undefined : digest(text(vaultToken)),
        tokens: tokensOf(request),
      }
      kept.push(entry)
      if (kept.length > KEPT_REQUESTS) kept.shift()
      return {
        answered(status) {
          entry.status = status
        },
      }
    },
  }
}

function tokensOf(request: StandinRequest): Map<string, Sighting['where']> {
  const seen = new Map<string, Sighting['where']>()
  // Later entries win: of several places in one request the worst is told.
  const note = (where: Sighting['where'], content: string) => {
    for (const [run] of content.matchAll(TOKEN_SHAPED)) seen.set(digest(run), where)
  }
  note('authorization', text(request.headers['authorization']))
  note('x-vault-token', text(request.headers['x-vault-token']))
  note('body', request.body.toString('latin1'))
  for (const [name, value] of Object.entries(request.headers)) {
    if (name !== 'authorization' && name !== 'x-vault-token') note('other-header', text(value))
  }
  note('url', `${request.path} ${[...request.query].flat().join(' ')}`)
  return seen
}

function text(header: string | string[] | undefined): string {
  return header === undefined ? '' : typeof header === 'string' ? header : header.join(' ')
}

function digest(content: string): string {
  return createHash('sha256').update(content).digest('hex')
}

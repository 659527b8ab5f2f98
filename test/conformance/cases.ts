/**
 * Raw HTTP requests with everything that matters of their answers, as kube-apiserver 1.36 and Vault 1.21 gave them.
 * Run against the stand-ins and against the real servers: whoever fails, a text moved or a stand-in lies.
 */
import type { Environment } from './environment.ts'

export interface Case {
  /** A sentence, unique in the suite. */
  readonly title: string
  readonly server: 'kubernetes' | 'vault'
  /** Sets the world up and answers with the request. `unique` is a DNS label that no other case uses: name everything after it. */
  arrange(world: Environment, unique: string): Promise<RawRequest>
  readonly expected: Expected
}

export interface RawRequest {
  readonly method: string
  /** Path and query, sent as it is. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Replaced in the expected texts: `{name}` becomes the value. */
  readonly fill?: Readonly<Record<string, string>>
  /** Undoes what would disturb the next case, e.g. unseals. Runs whatever happened. */
  readonly tidy?: () => Promise<void>
}

export interface Expected {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** A JSON subset: named members must match, arrays in full; `matching(...)` where a value varies. */
  readonly json?: unknown
  /** Members, as paths, that must be absent, e.g. `status.authenticated`. */
  readonly absent?: readonly string[]
  /** The whole body, when it is not JSON. */
  readonly text?: string
}

/** What a case is: a world set up, one raw request, and everything that matters of the answer. */
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
  /** Known only once the world is set up: `{uid}` in an expected text becomes its value. */
  readonly fill?: Readonly<Record<string, string>>
  /** Undoes what would disturb the next case, e.g. unseals. Runs whatever happened. */
  readonly tidy?: () => Promise<void>
}

export interface Expected {
  readonly status: number
  /** A subset; names in lower case. */
  readonly headers?: Readonly<Record<string, string>>
  /**
   * A subset: members named here must match, arrays in full. A RegExp stands for a string that varies, a function for
   * what it says true of, undefined for a member that must be absent.
   */
  readonly json?: unknown
  /** The whole body, where it is not JSON. */
  readonly text?: string
}

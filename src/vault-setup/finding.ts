/** What a look at Vault tells of one thing, and the write that mends it. */
import type { Fields } from './port.ts'

/**
 * `lacks`: it is missing, or gives too little. `wide`: it gives more than is asked for. `note`: somebody else's, to be
 * known. `skip`: whoever looked may not see it.
 */
export type Status = 'ok' | 'lacks' | 'wide' | 'note' | 'skip'

export interface Finding {
  readonly status: Status
  /** What it is about: a path of Vault, or several words for what has none. */
  readonly about: string
  /** Names, numbers and words of ours, and names that Vault holds. */
  readonly detail: string
  /** What to do, where no write does. */
  readonly fix?: string
  readonly write?: Write
  /** Nothing is to be written before this is settled: what is there may be somebody else's. */
  readonly stops?: true
}

export interface Write {
  readonly path: string
  readonly data: Fields
  /** Further fields, each the text of a file that is read when it is written: no secret is held or told before. */
  readonly files?: Readonly<Record<string, string>>
  /** The same as one types it. */
  readonly command: string
}

export function ok(about: string, detail: string): Finding {
  return { status: 'ok', about, detail }
}

export function unseen(about: string, needed: string): Finding {
  return {
    status: 'skip',
    about,
    detail: 'may not be looked at with this token',
    fix: `use one whose policies give "read" on ${needed}`,
  }
}

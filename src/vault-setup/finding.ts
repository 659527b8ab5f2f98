/** What a look at Vault tells of one thing, and who can mend it. */
import type { Fields } from './port.ts'

export type Finding = Ok | Mendable | Blocked | Remaining | Hidden | Note

/** `lacks`: it is missing, or gives too little. `wide`: it gives more than is asked for. */
export type Flaw = 'lacks' | 'wide'

interface Told {
  /** What it is about: a path of Vault, or several words for what has none. */
  readonly about: string
  /** Names, numbers and words of ours, and names that Vault holds. */
  readonly detail: string
}

/** It is as it should be. */
export interface Ok extends Told {
  readonly kind: 'ok'
}

/** One write mends it. */
export interface Mendable extends Told {
  readonly kind: 'mendable'
  readonly flaw: Flaw
  readonly write: Write
  /** What a person has to do beside, for what the write does not mend. */
  readonly fix?: string
}

/** Nothing at all is to be written before a person has settled this: what is there may be somebody else's. */
export interface Blocked extends Told {
  readonly kind: 'blocked'
  readonly flaw: Flaw
  readonly fix: string
}

/** No write mends it, and it is no reason to write nothing else. */
export interface Remaining extends Told {
  readonly kind: 'remaining'
  readonly flaw: Flaw
  readonly fix: string
}

/** Whoever looked may not see it. */
export interface Hidden extends Told {
  readonly kind: 'hidden'
  readonly fix?: string
}

/** Nothing is wrong with what is asked for: it is somebody else's, and to be known. */
export interface Note extends Told {
  readonly kind: 'note'
  readonly fix?: string
}

export interface Write {
  readonly path: string
  readonly data: Fields
  /** Further fields, each the text of a file that is read when it is written: no secret is held or told before. */
  readonly files?: Readonly<Record<string, string>>
  /** The same as one types it. */
  readonly command: string
}

export function ok(about: string, detail: string): Ok {
  return { kind: 'ok', about, detail }
}

/** @param needed the path that one has to be let read. */
export function hidden(about: string, needed: string): Hidden {
  return {
    kind: 'hidden',
    about,
    detail: 'may not be looked at with this token',
    fix: `use one whose policies give "read" on ${needed}`,
  }
}

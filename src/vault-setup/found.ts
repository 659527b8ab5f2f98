/** What Vault holds, of all that a policy asks about, and who else may come at its keys. */
import type { Fields } from './port.ts'
import type { Rule } from './rules.ts'

/** `hidden`: whoever looked may not see whether it is there. */
export type Seen<T> = There<T> | 'missing' | 'hidden'

export interface There<T> {
  readonly there: T
}

export interface Found {
  readonly mounts: Seen<Mounts>
  readonly authMethods: Seen<Mounts>
  /** By pathOf. */
  readonly keys: ReadonlyMap<string, Seen<Fields>>
  /** By name of the role: the text of the policy of the same name. */
  readonly policies: ReadonlyMap<string, Seen<string>>
  readonly roles: ReadonlyMap<string, Seen<Fields>>
  readonly authConfig: Seen<Fields>
  readonly others: Others
}

/** By path, without slashes around it. */
export type Mounts = ReadonlyMap<string, Mounted>

/** A secrets engine, or an auth method. */
export interface Mounted {
  readonly type: string
  /** How it is tuned. */
  readonly config: Fields
}

/** What is not keyhole's, by name. `hidden` where they may not all be looked at. */
export interface Others {
  /** Policies; undefined for one whose text is not wholly understood, or may not be looked at. */
  readonly policies: There<ReadonlyMap<string, readonly Rule[] | undefined>> | 'hidden'
  /** Roles of the same auth method, with the policies that each gives. */
  readonly roles: There<ReadonlyMap<string, readonly string[] | 'hidden'>> | 'hidden'
}

export function isThere<T>(seen: Seen<T>): seen is There<T> {
  return typeof seen === 'object'
}

/** What nobody looked for counts as missing. */
export function seenAt<T>(found: ReadonlyMap<string, Seen<T>>, name: string): Seen<T> {
  return found.get(name) ?? 'missing'
}

export function mountedAt(mounts: Seen<Mounts>, path: string): Seen<Mounted> {
  if (!isThere(mounts)) return mounts
  const there = mounts.there.get(path)
  return there === undefined ? 'missing' : { there }
}

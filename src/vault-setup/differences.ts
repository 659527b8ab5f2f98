/**
 * How what Vault holds differs from what is wanted: of each thing whether it is as it should be and, if not, the one write
 * that makes it so. A write makes what is missing and narrows what is too wide; none deletes, and none touches what may be
 * somebody else's.
 */
import { authFinding, configFinding } from './auth.ts'
import type { Finding } from './finding.ts'
import type { Found } from './found.ts'
import { isThere, seenAt } from './found.ts'
import { keyFinding, mountFinding } from './keys.ts'
import { policyFinding } from './policies.ts'
import { roleFinding } from './roles.ts'
import type { Wanted, WantedKey } from './wanted.ts'
import { pathOf } from './wanted.ts'

/** In the order in which they are to be written: a role comes last, when what it gives is as narrow as it should be. */
export function differences(wanted: Wanted, found: Found): readonly Finding[] {
  return [
    ...wanted.mounts.map((path) => mountFinding(path, found.mounts)),
    ...wanted.keys.map((key) => keyFinding(key, seenAt(found.keys, pathOf(key)))),
    ...wanted.keys.filter((key) => isAdopted(key, wanted, found)).map(adoptedNote),
    ...wanted.roles.map((role) => policyFinding(role, wanted.auth.mount, found)),
    authFinding(wanted.auth, found.authMethods),
    configFinding(wanted.auth, found),
    ...wanted.roles.map((role) => roleFinding(role, wanted.auth, found)),
  ]
}

/** It is there, and nothing of this installation names it yet: somebody else may use it. */
function isAdopted({ mount, name }: WantedKey, { roles }: Wanted, { keys, policies }: Found): boolean {
  if (!isThere(seenAt(keys, pathOf({ mount, name })))) return false
  const readers = roles.filter(({ rules }) => rules.some(({ path }) => path === `${mount}/decrypt/${name}`))
  return readers.every((role) => seenAt(policies, role.name) === 'missing')
}

function adoptedNote(key: WantedKey): Finding {
  return {
    kind: 'note',
    about: pathOf(key),
    detail: 'is there already',
    fix: 'see that nobody else encrypts with it, or that its TransitKey is not exclusive: a rotation retires versions that they may need',
  }
}

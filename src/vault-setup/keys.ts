/** Transit engines and keys, as they should be. */
import type { Finding } from './finding.ts'
import { ok, unseen } from './finding.ts'
import type { Found, Mounted, Seen } from './found.ts'
import type { Fields } from './port.ts'
import { wordIn, wordsIn } from './read-fields.ts'
import type { WantedKey } from './wanted.ts'
import { pathOf } from './wanted.ts'

export function mountFinding(path: string, mounts: Found['mounts']): Finding {
  if (mounts === 'unseen') return unseen(path, 'sys/mounts')
  const there = mounts?.get(path)
  if (there?.type === 'transit') return transitFinding(path, there)
  if (there !== undefined) {
    return {
      status: 'lacks',
      about: path,
      detail: `another secrets engine is there, of type ${there.type}`,
      fix: 'name another path as spec.mount of the TransitKeys',
      stops: true,
    }
  }
  return {
    status: 'lacks',
    about: path,
    detail: 'no Transit secrets engine is there',
    write: {
      path: `sys/mounts/${path}`,
      data: { type: 'transit' },
      command: `vault secrets enable -path=${path} transit`,
    },
  }
}

/** Vault can be told to leave fields of its audit log as they are. These hold values. */
function transitFinding(path: string, { config }: Mounted): Finding {
  const kept = ['audit_non_hmac_request_keys', 'audit_non_hmac_response_keys'].filter((field) =>
    ['plaintext', 'batch_results', 'batch_input'].some((held) => wordsIn(config[field]).includes(held)),
  )
  if (kept.length === 0) return ok(path, 'the Transit secrets engine')
  return {
    status: 'wide',
    about: path,
    detail: `${kept.join(' and ')} put values into Vault's audit log as they are`,
    fix: `take plaintext, batch_input and batch_results off them: vault secrets tune ${path}`,
  }
}

/** The key types of Transit that can derive. */
const KEY_TYPES: readonly string[] = ['aes256-gcm96', 'aes128-gcm96', 'chacha20-poly1305', 'xchacha20-poly1305']

export function keyFinding(key: WantedKey, seen: Seen<Fields>): Finding {
  const about = pathOf(key)
  if (seen === 'unseen') return unseen(about, about)
  if (seen === undefined) return missingKey(key)
  const type = wordIn(seen['type'])
  const { derived } = seen
  if (key.derived && (derived !== true || !KEY_TYPES.includes(type))) {
    return {
      status: 'wide',
      about,
      detail: 'is not derived, so that its ciphertext opens anywhere; that cannot be changed',
      fix: 'name a key that is not there yet in the policy, or binding: none for one whose ciphertext is bound to no place',
      stops: true,
    }
  }
  if (!key.derived && derived === true) {
    return {
      status: 'lacks',
      about,
      detail: 'is derived, and its TransitKey says binding: none',
      fix: 'take binding: none off the TransitKey',
      stops: true,
    }
  }
  const lasting = LASTING.filter(([field]) => seen[field] === true).map(([, words]) => words)
  const isDeletable = seen['deletion_allowed'] === true
  const path = `${about}/config`
  const flaws = [
    ...(lasting.length === 0 ? [] : [`${lasting.join(' and ')}, which cannot be taken back`]),
    ...(isDeletable ? ['may be deleted, and every Secret under it would be lost'] : []),
  ]
  if (flaws.length === 0)
    return ok(about, `${type}, ${key.derived ? 'derived' : 'not derived, as its TransitKey says'}`)
  return {
    status: 'wide',
    about,
    detail: flaws.join('; '),
    ...(lasting.length > 0 && {
      fix: 'make another key, name it in the policy, and have the Secrets encrypted again under it',
    }),
    ...(isDeletable && {
      write: { path, data: { deletion_allowed: false }, command: `vault write ${path} deletion_allowed=false` },
    }),
  }
}

/** What lets the key itself out, for good. */
const LASTING = [
  ['exportable', 'can be exported'],
  ['allow_plaintext_backup', 'can be backed up in plaintext'],
  ['imported_key', 'was imported, so that whoever imported it has it'],
] as const

function missingKey(key: WantedKey): Finding {
  const about = pathOf(key)
  if (!key.derived) {
    return {
      status: 'lacks',
      about,
      detail: 'is not there, and with binding: none it is one that has made ciphertext before',
      fix: 'see that its name and mount are right, restore it, or take binding: none off its TransitKey to have a new one made',
      stops: true,
    }
  }
  const data = { type: 'aes256-gcm96', derived: true }
  return {
    status: 'lacks',
    about,
    detail: 'is not there',
    write: { path: about, data, command: `vault write ${about} type=${data.type} derived=true` },
  }
}

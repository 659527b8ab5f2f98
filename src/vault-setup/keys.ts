/** Transit engines and keys, as they should be. */
import type { Finding } from './finding.ts'
import { hidden, ok } from './finding.ts'
import type { Found, Mounted, Seen } from './found.ts'
import { mountedAt } from './found.ts'
import type { Fields } from './port.ts'
import { wordIn, wordsIn } from './read-fields.ts'
import type { WantedKey } from './wanted.ts'
import { pathOf } from './wanted.ts'

export function mountFinding(path: string, mounts: Found['mounts']): Finding {
  const seen = mountedAt(mounts, path)
  if (seen === 'hidden') return hidden(path, 'sys/mounts')
  if (seen === 'missing') {
    const command = `vault secrets enable -path=${path} transit`
    return {
      kind: 'mendable',
      flaw: 'lacks',
      about: path,
      detail: 'no Transit secrets engine is there',
      write: { path: `sys/mounts/${path}`, data: { type: 'transit' }, command },
    }
  }
  if (seen.there.type === 'transit') return transitFinding(path, seen.there)
  return {
    kind: 'blocked',
    flaw: 'lacks',
    about: path,
    detail: `another secrets engine is there, of type ${seen.there.type}`,
    fix: 'name another path as spec.mount of the TransitKeys',
  }
}

/** Vault can be told to leave fields of its audit log as they are. These hold values. */
function transitFinding(path: string, { config }: Mounted): Finding {
  const kept = ['audit_non_hmac_request_keys', 'audit_non_hmac_response_keys'].filter((field) =>
    ['plaintext', 'batch_results', 'batch_input'].some((held) => wordsIn(config[field]).includes(held)),
  )
  if (kept.length === 0) return ok(path, 'the Transit secrets engine')
  return {
    kind: 'remaining',
    flaw: 'wide',
    about: path,
    detail: `${kept.join(' and ')} put values into Vault's audit log as they are`,
    fix: `take plaintext, batch_input and batch_results off them: vault secrets tune ${path}`,
  }
}

export function keyFinding(key: WantedKey, seen: Seen<Fields>): Finding {
  const about = pathOf(key)
  if (seen === 'hidden') return hidden(about, about)
  if (seen === 'missing') return missingKey(key, about)
  return wrongBinding(key, about, seen.there) ?? laxKey(key, about, seen.there)
}

function missingKey(key: WantedKey, about: string): Finding {
  if (!key.derived) {
    return {
      kind: 'blocked',
      flaw: 'lacks',
      about,
      detail: 'is not there, and with binding: none it is one that has made ciphertext before',
      fix: 'see that its name and mount are right, restore it, or take binding: none off its TransitKey to have a new one made',
    }
  }
  const data = { type: 'aes256-gcm96', derived: true }
  return {
    kind: 'mendable',
    flaw: 'lacks',
    about,
    detail: 'is not there',
    write: { path: about, data, command: `vault write ${about} type=${data.type} derived=true` },
  }
}

/** The key types of Transit that can derive. */
const KEY_TYPES: readonly string[] = ['aes256-gcm96', 'aes128-gcm96', 'chacha20-poly1305', 'xchacha20-poly1305']

/** Whether a key derives is settled when it is made. */
function wrongBinding(key: WantedKey, about: string, { type, derived }: Fields): Finding | undefined {
  if (key.derived && (derived !== true || !KEY_TYPES.includes(wordIn(type)))) {
    return {
      kind: 'blocked',
      flaw: 'wide',
      about,
      detail: 'is not derived, so that its ciphertext opens anywhere; that cannot be changed',
      fix: 'name a key that is not there yet in the policy, or binding: none for one whose ciphertext is bound to no place',
    }
  }
  if (!key.derived && derived === true) {
    return {
      kind: 'blocked',
      flaw: 'lacks',
      about,
      detail: 'is derived, and its TransitKey says binding: none',
      fix: 'take binding: none off the TransitKey',
    }
  }
  return undefined
}

/** What lets the key itself out, for good. */
const LASTING = [
  ['exportable', 'can be exported'],
  ['allow_plaintext_backup', 'can be backed up in plaintext'],
  ['imported_key', 'was imported, so that whoever imported it has it'],
] as const

/** A key that binds as it should, and may let out or lose what it protects. */
function laxKey(key: WantedKey, about: string, there: Fields): Finding {
  const lasting = LASTING.filter(([field]) => there[field] === true).map(([, words]) => words)
  const lets = `${lasting.join(' and ')}, which cannot be taken back`
  const fix = 'make another key, name it in the policy, and have the Secrets encrypted again under it'
  if (there['deletion_allowed'] === true) {
    const path = `${about}/config`
    const deletable = 'may be deleted, and every Secret under it would be lost'
    return {
      kind: 'mendable',
      flaw: 'wide',
      about,
      detail: lasting.length === 0 ? deletable : `${lets}; ${deletable}`,
      write: { path, data: { deletion_allowed: false }, command: `vault write ${path} deletion_allowed=false` },
      ...(lasting.length > 0 && { fix }),
    }
  }
  if (lasting.length > 0) return { kind: 'remaining', flaw: 'wide', about, detail: lets, fix }
  const binding = key.derived ? 'derived' : 'not derived, as its TransitKey says'
  return ok(about, `${wordIn(there['type'])}, ${binding}`)
}

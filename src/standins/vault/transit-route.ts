/** From a path below a Transit mount to what answers it. */
import type { Clock } from '../../clock.ts'
import type { Random, StandinReply } from '../server.ts'
import { errors, wrapped } from './answers.ts'
import type { Fields } from './body.ts'
import type { Keyring } from './keyring.ts'
import { createKeyring } from './keyring.ts'
import { configureKey, listKeys, readKey, rotateKey } from './keys.ts'
import type { Capability } from './policies.ts'
import { rewrap } from './rewrap.ts'
import { decrypt, encrypt } from './transit.ts'

/** `header`: what HEAD asks for, which no policy grants and no path of Transit has. */
export type Operation = Exclude<Capability, 'sudo' | 'deny' | 'create'> | 'header'

/** What a path names below a Transit mount. */
export interface Target {
  readonly keys: Map<string, Keyring>
  readonly verb: string
  /** May be no name a key can have. */
  readonly name: string
  /** What follows the name of a key below `keys/`: `rotate`, `config`; empty for the key itself. */
  readonly action: string
}

export function targetOf(path: string, mounts: ReadonlyMap<string, Map<string, Keyring>>): Target | undefined {
  for (const [mount, keys] of mounts) {
    if (path !== mount && !path.startsWith(`${mount}/`)) continue
    const [verb = '', ...rest] = path.slice(mount.length + 1).split('/')
    const [, name = '', action = ''] = (verb === 'keys' && /^([^/]*)\/(.+)$/.exec(rest.join('/'))) || []
    return action === '' ? { keys, verb, name: rest.join('/'), action } : { keys, verb, name, action }
  }
  return undefined
}

export interface Within {
  readonly clock: Clock
  readonly random: Random
}

export function transit(target: Target, operation: Operation, fields: Fields, within: Within): StandinReply {
  const { keys, verb, name, action } = target
  if (OTHER_PATHS.has(verb)) return notServed()
  if (verb === 'keys' && name === '') {
    return operation === 'list' ? listKeys(keys) : wrapped(405, 'unsupported operation')
  }
  const served = verb === 'keys' ? KEY_ACTIONS.has(action) : VERBS.has(verb)
  if (verb === 'keys' && OTHER_KEY_ACTIONS.has(action)) return notServed()
  // A list asks for the path with a slash behind, which no name has.
  if (!served || operation === 'list' || !/^\w(?:[\w.-]*\w)?$/.test(name)) return wrapped(404, 'unsupported path')
  if (verb === 'keys' && action === '') return ofKey(target, operation)
  if (operation !== 'update') return wrapped(405, 'unsupported operation')
  if (action === 'rotate') return rotateKey(name, keys.get(name), fields)
  if (action === 'config') return configureKey(name, keys.get(name), fields)
  if (verb === 'decrypt') return decrypt(fields, keys.get(name))
  if (verb === 'rewrap') return rewrap(fields, keys.get(name))
  return encrypt(fields, (derived) => {
    const key = keys.get(name) ?? createKeyring({ derived, ...within })
    keys.set(name, key)
    return key
  })
}

function ofKey({ keys, name }: Target, operation: Operation): StandinReply {
  if (operation === 'read') return readKey(name, keys.get(name))
  return operation === 'header' ? wrapped(405, 'unsupported operation') : notServed()
}

const VERBS = new Set(['decrypt', 'encrypt', 'rewrap'])
const KEY_ACTIONS = new Set(['', 'rotate', 'config'])
const OTHER_KEY_ACTIONS = new Set(['trim', 'import', 'import_version', 'csr', 'set-certificate'])
const OTHER_PATHS = new Set(
  'datakey random hash hmac sign verify export backup restore byok-export cache-config wrapping_key config'.split(' '),
)

/** The stand-in's own word, where the real server would do something: a loud gap beats a false answer. */
export function notServed(): StandinReply {
  return errors(501, 'the stand-in does not serve this path of the real Vault')
}

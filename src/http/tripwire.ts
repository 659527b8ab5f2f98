/**
 * The last look at what is about to leave. It knows nothing of how the body was made: it reads the body itself and
 * holds it against the grant and against what the record will say. A key outside of either, or a member that no reply
 * has, is a defect of ours, so it is a 500 and nothing is sent.
 */
import type { Bounds } from '../dictionary.ts'
import { members } from '../dictionary.ts'
import { KeyholeError } from '../errors.ts'
import type { Disclosed } from '../services/disclose.ts'

/** Hands its argument on, or disposes of it and throws KeyholeError INTERNAL. */
export function scanned(disclosed: Disclosed, bounds: Bounds): Disclosed {
  try {
    if (mayLeave(disclosed, keysOf(disclosed, bounds))) return disclosed
  } catch {
    // A body that cannot be read cannot be vouched for. What the reader choked on is plaintext, so it is not kept.
  }
  disclosed[Symbol.dispose]()
  throw new KeyholeError('INTERNAL', { why: 'tripwire' })
}

function mayLeave({ grant, keys }: Disclosed, found: readonly string[]): boolean {
  const granted = grant.keys === 'all' || grant.keys.isSupersetOf(new Set(found))
  const asked = grant.selection === undefined || new Set(grant.selection).isSupersetOf(new Set(found))
  const told = found.length === keys.length && found.every((key, index) => key === keys[index])
  return granted && asked && told
}

const REPLY_MEMBERS = new Set(['name', 'encoding', 'data', 'missing'])

function keysOf({ grant, body, keys }: Disclosed, bounds: Bounds): readonly string[] {
  if (grant.raw) {
    if (keys.length !== 1) throw new Error('a raw reply holds one key')
    return keys
  }
  const reply = members(body, bounds)
  if (reply.some(({ key }) => !REPLY_MEMBERS.has(key))) throw new Error('a reply holds nothing else')
  const data = reply.find(({ key }) => key === 'data')
  if (data === undefined) throw new Error('a reply holds data')
  return members(body, bounds, { start: data.valueStart, end: data.valueEnd }).map(({ key }) => key)
}

/** A Secret read from a patched document. */
import type { GivenMeta } from './decode.ts'
import { member, metaIn, objectOf, Undecodable } from './decode.ts'
import type { JsonObject } from './json-patch.ts'
import type { StoredSecret } from './store.ts'

export function secretIn(
  document: JsonObject,
  old: StoredSecret,
): { readonly meta: GivenMeta; readonly secret: StoredSecret } | { readonly undecodable: string } {
  try {
    const meta = metaIn(document['metadata'])
    const immutable = member(document, 'immutable', 'boolean', 'Secret.immutable of type bool')
    const type = member(document, 'type', 'string', 'Secret.type of type string') ?? 'Opaque'
    const data = new Map([...dataIn(document['data']), ...stringDataIn(document['stringData'])])
    const { labels, annotations } = meta
    return { meta, secret: { ...old, labels, annotations, immutable, type, data } }
  } catch (thrown) {
    if (thrown instanceof Undecodable) return { undecodable: thrown.message }
    throw thrown
  }
}

function dataIn(value: unknown): [string, Buffer][] {
  const given = objectOf(value, 'Secret.data of type map[string][]uint8')
  const what = 'Secret.data of type []uint8'
  return Object.keys(given).map((dataKey) => [dataKey, decoded(member(given, dataKey, 'string', what) ?? '')])
}

function stringDataIn(value: unknown): [string, Buffer][] {
  const given = objectOf(value, 'Secret.stringData of type map[string]string')
  const what = 'Secret.stringData of type string'
  return Object.keys(given).map((dataKey) => [dataKey, Buffer.from(member(given, dataKey, 'string', what) ?? '')])
}

/** Go skips line ends, and wants the padding: without it, it names the first byte of the last four. */
function decoded(text: string): Buffer {
  const base64 = text.replace(/[\r\n]/g, '')
  if (/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(base64))
    return Buffer.from(base64, 'base64')
  const stray = text.search(/[^A-Za-z0-9+/\r\n]/)
  throw new Undecodable(`illegal base64 data at input byte ${stray < 0 ? text.length - (base64.length % 4) : stray}`)
}

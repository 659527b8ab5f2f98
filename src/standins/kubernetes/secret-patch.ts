/** PATCH /api/v1/namespaces/:namespace/secrets/:name with a JSON Patch: all of it or nothing. */
import { isDeepStrictEqual } from 'node:util'
import type { StandinReply, StandinRequest } from '../server.ts'
import {
  badName,
  badRequest,
  conflict,
  goTypeOf,
  invalid,
  MODIFIED,
  mediaTypeOf,
  misplaced,
  notFound,
  notServed,
  object,
  refusal,
  syntaxError,
} from './answers.ts'
import { secretFlaws } from './flaws.ts'
import type { JsonObject } from './json-patch.ts'
import { applyPatch } from './json-patch.ts'
import { secretIn } from './patched-secret.ts'
import { secretObject } from './secrets.ts'
import type { Store, StoredSecret } from './store.ts'
import { at } from './store.ts'
import { contentType } from './token-review.ts'

const JSON_PATCH = 'application/json-patch+json'
/** That the real server takes, and the stand-in does not. */
const OTHERS = new Set(['merge-patch+json', 'strategic-merge-patch+json', 'apply-patch+yaml', 'apply-patch+cbor'])
const MAX_BODY_BYTES = 3 * 1024 * 1024
const MAX_OPERATIONS = 10_000

export function patchSecret(request: StandinRequest, store: Store, namespace: string, name: string): StandinReply {
  const mediaType = mediaTypeOf(contentType(request))
  if (mediaType?.startsWith('application/') && OTHERS.has(mediaType.slice('application/'.length))) return notServed()
  if (mediaType !== JSON_PATCH) return refusal(415, 'UnsupportedMediaType', '415: Unsupported Media Type', {})
  const misnamed = badName(name)
  if (misnamed !== undefined) return misnamed
  if (request.body.length > MAX_BODY_BYTES) return tooLarge(`limit is ${MAX_BODY_BYTES}`)
  const old = store.secrets.get(at(namespace, name))
  if (old === undefined) return notFound('secrets', name)
  const operations = operationsIn(request.body)
  if (!Array.isArray(operations)) return operations
  const patched = applyPatch(secretObject(old), operations)
  if (patched === 'unknown') return notServed()
  if (patched === 'failed') return UNAPPLIED
  return replaced(patched, old, store, managerOf(request))
}

const UNAPPLIED = refusal(422, 'Invalid', 'the server rejected our request due to an error in our request', {})

function tooLarge(why: string): StandinReply {
  return refusal(413, 'RequestEntityTooLarge', `Request entity too large: ${why}`)
}

function operationsIn(body: Buffer): unknown[] | StandinReply {
  const undecodable = (why: string) => badRequest(`error decoding patch: ${why}`)
  const mistyped = (value: unknown, type: string) =>
    undecodable(`json: cannot unmarshal ${goTypeOf(value)} into Go value of type ${type}`)
  let operations: unknown
  try {
    operations = JSON.parse(body.toString())
  } catch {
    return undecodable(syntaxError(body))
  }
  if (operations === null) return []
  if (!Array.isArray(operations)) return mistyped(operations, '[]handlers.jsonPatchOp')
  const stray: unknown = operations.find((one) => typeof one !== 'object' || Array.isArray(one))
  if (stray !== undefined) return mistyped(stray, 'handlers.jsonPatchOp')
  if (operations.length <= MAX_OPERATIONS) return operations
  return tooLarge(`The allowed maximum operations in a JSON patch is ${MAX_OPERATIONS}, got ${operations.length}`)
}

function managerOf({ query, headers }: StandinRequest): string {
  return query.get('fieldManager') ?? String(headers['user-agent'] ?? 'unknown').replace(/\/.*/, '')
}

function replaced(document: JsonObject, old: StoredSecret, store: Store, manager: string): StandinReply {
  if (document['kind'] !== 'Secret' || document['apiVersion'] !== 'v1') return notServed()
  const found = secretIn(document, old)
  if ('undecodable' in found) return undecodable(document, found.undecodable)
  const { meta, secret } = found
  const { namespace, name } = old.meta
  const elsewhere = misplaced(meta, namespace, name)
  if (elsewhere !== undefined) return elsewhere
  // Without one it is whatever is there.
  if (!['', '0', old.meta.resourceVersion].includes(meta.resourceVersion)) return conflict('secrets', name, MODIFIED)
  const flaws = secretFlaws(secret, meta.uid, old)
  if (flaws.length > 0) return invalid('Secret', name, flaws)
  // What changes nothing is not written, and the resourceVersion stays.
  if (isDeepStrictEqual(secret, old)) return object(200, secretObject(old))
  const managers = [...new Set([...old.managers, manager])]
  const written = { ...secret, managers, meta: store.written(namespace, name, old.meta) }
  store.secrets.set(at(namespace, name), written)
  return object(200, secretObject(written))
}

/** The real server quotes the whole object, as this does. */
function undecodable(document: JsonObject, why: string): StandinReply {
  const message = `Invalid value: ${JSON.stringify(JSON.stringify(document))}: ${why}`
  const causes = [{ reason: 'FieldValueInvalid', message, field: 'patch' }]
  return refusal(422, 'Invalid', ` "" is invalid: patch: ${message}`, { causes })
}

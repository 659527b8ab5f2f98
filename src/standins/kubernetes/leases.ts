/**
 * GET and PUT of /apis/coordination.k8s.io/v1/namespaces/:namespace/leases/:name. A PUT creates what is not there, even
 * where it names the resourceVersion of something that was; only a uid keeps it from that.
 */
import { isDeepStrictEqual } from 'node:util'
import type { StandinReply, StandinRequest } from '../server.ts'
import {
  badName,
  badRequest,
  conflict,
  invalid,
  MODIFIED,
  misplaced,
  notFound,
  object,
  parseObject,
} from './answers.ts'
import type { GivenMeta } from './decode.ts'
import { metaIn, Undecodable } from './decode.ts'
import { leaseFlaws } from './flaws.ts'
import { leaseSpecIn } from './lease-spec.ts'
import type { LeaseSpec, Store, StoredLease } from './store.ts'
import { at } from './store.ts'
import { contentType } from './token-review.ts'

const GROUP = 'coordination.k8s.io'
const API_VERSION = `${GROUP}/v1`

export function getLease(store: Store, namespace: string, name: string): StandinReply {
  const lease = store.leases.get(at(namespace, name))
  return badName(name) ?? (lease === undefined ? notFound('leases', name, GROUP) : object(200, leaseObject(lease)))
}

/** @param mayNotCreate what refuses to create it; asked only where there is none. */
export function putLease(
  request: StandinRequest,
  store: Store,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  mayNotCreate: () => StandinReply | undefined,
): StandinReply {
  const given = leaseIn(request)
  if ('refused' in given) return given.refused
  const { meta, spec } = given
  const misnamed = badName(name) ?? misplaced(meta, namespace, name)
  if (misnamed !== undefined) return misnamed
  const old = store.leases.get(at(namespace, name))
  const unmet = unmetPrecondition(meta, namespace, name, old)
  if (unmet !== undefined) return unmet
  if (old === undefined && !store.namespaces.has(namespace)) return notFound('namespaces', namespace)
  const stale = old === undefined ? undefined : staleness(meta, old)
  if (stale !== undefined) return stale
  const flaws = leaseFlaws(meta, spec, old === undefined)
  if (flaws.length > 0) return invalid('Lease', name, flaws, GROUP)
  const refused = old === undefined ? mayNotCreate() : undefined
  if (refused !== undefined) return refused
  const { labels, annotations } = meta
  if (old !== undefined && isDeepStrictEqual({ meta: old.meta, labels, annotations, spec }, old)) {
    return object(200, leaseObject(old))
  }
  const lease = { meta: store.written(namespace, name, old?.meta), labels, annotations, spec }
  store.leases.set(at(namespace, name), lease)
  return object(old === undefined ? 201 : 200, leaseObject(lease))
}

export function leaseObject({ meta, labels, annotations, spec }: StoredLease): object {
  return {
    kind: 'Lease',
    apiVersion: API_VERSION,
    metadata: {
      ...meta,
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations }),
    },
    spec,
  }
}

function leaseIn(
  request: StandinRequest,
): { readonly meta: GivenMeta; readonly spec: LeaseSpec } | { readonly refused: StandinReply } {
  const parsed = parseObject(request.body, contentType(request), 'Lease', API_VERSION)
  if ('refused' in parsed) return parsed
  try {
    return { meta: metaIn(parsed.value['metadata']), spec: leaseSpecIn(parsed.value['spec']) }
  } catch (thrown) {
    if (!(thrown instanceof Undecodable)) throw thrown
    return { refused: badRequest(`Lease in version "v1" cannot be handled as a Lease: ${thrown.message}`) }
  }
}

function unmetPrecondition(
  meta: GivenMeta,
  namespace: string,
  name: string,
  old: StoredLease | undefined,
): StandinReply | undefined {
  const uid = old?.meta.uid ?? ''
  if (meta.uid === '' || meta.uid === uid) return undefined
  const why = `StorageError: invalid object, Code: 4, Key: /registry/leases/${namespace}/${name}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: ${meta.uid}, UID in object meta: ${uid}`
  return conflict('leases', name, why, GROUP)
}

function staleness({ resourceVersion }: GivenMeta, { meta }: StoredLease): StandinReply | undefined {
  if (resourceVersion === '' || resourceVersion === '0') {
    const message = 'Invalid value: 0: must be specified for an update'
    return invalid(
      'leases',
      meta.name,
      [{ field: 'metadata.resourceVersion', reason: 'FieldValueInvalid', message }],
      GROUP,
    )
  }
  if (!/^\d+$/.test(resourceVersion)) return unreadable(resourceVersion)
  return resourceVersion === meta.resourceVersion ? undefined : conflict('leases', meta.name, MODIFIED, GROUP)
}

/** A failure of the server without a reason, in the real one too. */
function unreadable(resourceVersion: string): StandinReply {
  const message = `strconv.ParseUint: parsing ${JSON.stringify(resourceVersion)}: invalid syntax`
  return object(500, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, code: 500 })
}

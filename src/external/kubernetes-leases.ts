/**
 * A Lease, read and written by compare-and-swap.
 *
 * A PUT alone is not a full compare-and-swap. With the resourceVersion of a Lease that is gone, the API server creates another in its
 * place; with the uid beside it, it refuses. So what stands for the version here is both.
 */
import { CoordinationV1ApiRequestFactory } from '@kubernetes/client-node/dist/gen/apis/CoordinationV1Api.js'
import { V1MicroTime } from '@kubernetes/client-node/dist/types.js'
import { UpstreamError } from '../errors.ts'
import type { LeaseName, LeaseRecord, Leases } from '../services/rotation/ports.ts'
import type { ApiObject, Call, Refused } from './kubernetes-client.ts'
import {
  CONFIGURATION,
  isLabel,
  isSubdomain,
  mapOfStrings,
  objectIn,
  record,
  refusedBy,
  whole,
} from './kubernetes-client.ts'

export function openLeases(call: Call): Leases {
  const coordination = new CoordinationV1ApiRequestFactory(CONFIGURATION)
  return {
    async readLease(which, signal) {
      mustBeNames(which)
      const answer = await call(await coordination.readNamespacedLease(which.name, which.namespace), signal)
      if (answer.status === 404 && isMissing(refusedBy(answer), which)) return undefined
      return await whole(answer, 200, async (found) => leaseIn(objectIn(found, named(which))))
    },

    async writeLease(which, lease, signal) {
      mustBeNames(which)
      const version = versionOf(lease)
      const body = { ...TYPE, metadata: { ...which, ...version, ...notesOf(lease) }, spec: specOf(lease) }
      const request = await coordination.replaceNamespacedLease(which.name, which.namespace, body)
      const answer = await call(request, signal)
      const refused = answer.status < 400 ? undefined : refusedBy(answer)
      if (isConflict(answer.status, refused, which)) return 'conflict'
      if (answer.status === 404 && refused?.kind === 'namespaces') {
        throw new UpstreamError('kubernetes', 'bad-request', answer.status)
      }
      return await whole(answer, version === undefined ? 201 : 200, async (found) => {
        const object = objectIn(found, named(which))
        const written = leaseIn(object)
        // Another holder's Lease would pass for ours.
        if (written?.holder !== lease.holder) return undefined
        return version === undefined || object?.uid === version.uid ? written : undefined
      })
    },
  }
}

const TYPE = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' } as const

function named(which: LeaseName) {
  return { ...TYPE, namespace: which.namespace, name: which.name }
}

function mustBeNames({ namespace, name }: LeaseName): void {
  if (!isLabel(namespace) || !isSubdomain(name)) throw new UpstreamError('kubernetes', 'bad-request')
}

/** Undefined where there should be none yet. */
function versionOf(lease: LeaseRecord): { readonly uid: string; readonly resourceVersion: string } | undefined {
  if (lease.resourceVersion === '') return undefined
  const [, uid, resourceVersion] = /^([-\w]+)\/(\w+)$/.exec(lease.resourceVersion) ?? []
  // Half of it would make a blind write of a compare-and-swap.
  if (uid === undefined || resourceVersion === undefined) throw new UpstreamError('kubernetes', 'bad-request')
  return { uid, resourceVersion }
}

/** What others keep on the Lease, sent back as it was found: a PUT drops what it does not hold. */
function notesOf({ labels, annotations }: LeaseRecord) {
  return { labels: Object.fromEntries(labels), annotations: Object.fromEntries(annotations) }
}

/** The API server refuses a number beyond this, and a duration of zero. */
const MAX_INT32 = 2 ** 31 - 1

function specOf({ holder, renewedAtMs, durationMs, transitions }: LeaseRecord) {
  return {
    holderIdentity: holder,
    ...(durationMs > 0 && { leaseDurationSeconds: Math.min(Math.ceil(durationMs / 1000), MAX_INT32) }),
    ...(renewedAtMs > 0 && { renewTime: new V1MicroTime(renewedAtMs) }),
    // Whoever may edit the Lease may have set it to the highest there is. It is a count for people.
    leaseTransitions: Math.min(transitions, MAX_INT32),
  }
}

function isMissing(refused: Refused | undefined, which: LeaseName): boolean {
  return refused?.reason === 'NotFound' && isAbout(refused, which)
}

function isAbout({ kind, name }: Refused, which: LeaseName): boolean {
  return kind === 'leases' && name === which.name
}

/** It is not what it was, or, where there should be none yet, it is there. */
function isConflict(status: number, refused: Refused | undefined, which: LeaseName): boolean {
  if (refused === undefined || !isAbout(refused, which)) return false
  if (status === 409) return refused.reason === 'Conflict' || refused.reason === 'AlreadyExists'
  return status === 422 && refused.causes.some(({ field }) => field === 'metadata.resourceVersion')
}

/**
 * Whoever may edit a Lease can write anything that the API server takes. A field of no use reads as never held, so that
 * it cannot keep everybody out.
 */
function leaseIn(lease: ApiObject | undefined): LeaseRecord | undefined {
  if (lease === undefined) return undefined
  const { uid, resourceVersion, metadata } = lease
  const labels = mapOfStrings(metadata['labels'])
  const annotations = mapOfStrings(metadata['annotations'])
  if (labels === undefined || annotations === undefined) return undefined
  const { holderIdentity, leaseDurationSeconds, renewTime, leaseTransitions } = record(lease['spec']) ?? {}
  return {
    resourceVersion: `${uid}/${resourceVersion}`,
    holder: typeof holderIdentity === 'string' ? holderIdentity : '',
    renewedAtMs: epochMsOf(renewTime),
    durationMs: countOf(leaseDurationSeconds) * 1000,
    transitions: countOf(leaseTransitions),
    labels,
    annotations,
  }
}

function countOf(value: unknown): number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_INT32 ? value : 0
}

function epochMsOf(time: unknown): number {
  const ms = typeof time === 'string' && RFC_3339.test(time) ? Date.parse(time) : 0
  return Number.isNaN(ms) ? 0 : Math.max(ms, 0)
}

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[-+]\d\d:\d\d)$/

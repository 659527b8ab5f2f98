/**
 * Secrets, as far as rotating needs them: one with what tells who else writes it, and a change of its data that is made
 * whole or not at all. What is read and written here is ciphertext.
 *
 * An answer is believed as far as it is what was asked for. `garbage` after a write does not say that nothing was written:
 * a proxy may have spoilt the answer of an API server that obeyed.
 */
import { CoreV1ApiRequestFactory } from '@kubernetes/client-node/dist/gen/apis/CoreV1Api.js'
import { UpstreamError } from '../errors.ts'
import type { Place } from '../services/place.ts'
import type { DataChange, HeldSecret, SecretStore, Unwritten } from '../services/rotation/ports.ts'
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
import type { Answer } from './send.ts'

export function openSecretStore(call: Call): SecretStore {
  const core = new CoreV1ApiRequestFactory(CONFIGURATION)
  return {
    async holdSecret(place, signal) {
      mustBeNames(place, [])
      const answer = await call(await core.readNamespacedSecret(place.secret, place.namespace), signal)
      if (answer.status === 404 && isMissing(refusedBy(answer), place)) return undefined
      return await whole(answer, 200, async (found) => heldIn(objectIn(found, named(place))))
    },

    async replaceData(place, changes, signal) {
      mustBeNames(place, changes)
      const patch = changes.flatMap(testAndReplace)
      const answer = await call(await core.patchNamespacedSecret(place.secret, place.namespace, patch), signal)
      const unwritten = answer.status < 400 ? undefined : unwrittenBy(answer, place)
      if (unwritten !== undefined) return unwritten
      await whole(answer, 200, async (found) => {
        const data = heldIn(objectIn(found, named(place)))?.data
        return changes.every(({ dataKey, to }) => data?.get(dataKey) === to) ? data : undefined
      })
      return undefined
    },
  }
}

function named({ namespace, secret }: Place) {
  return { apiVersion: 'v1', kind: 'Secret', namespace, name: secret } as const
}

function mustBeNames({ namespace, secret }: Place, changes: readonly DataChange[]): void {
  const good = isLabel(namespace) && isSubdomain(secret) && changes.every(({ dataKey }) => DATA_KEY.test(dataKey))
  if (!good) throw new UpstreamError('kubernetes', 'bad-request')
}

const DATA_KEY = /^[-._a-zA-Z0-9]{1,253}$/

/** The test is what guards: the API server takes a `replace` of what is not there for an `add`. */
function testAndReplace({ dataKey, from, to }: DataChange): readonly object[] {
  const path = `/data/${escaped(dataKey)}`
  return [
    { op: 'test', path, value: from },
    { op: 'replace', path, value: to },
  ]
}

/** RFC 6901. No data key that passes the check holds either; one that did must still be one segment. */
function escaped(segment: string): string {
  return segment.replaceAll('~', '~0').replaceAll('/', '~1')
}

function unwrittenBy(answer: Answer, place: Place): Unwritten | undefined {
  const { status } = answer
  const refused = refusedBy(answer)
  if (refused === undefined) return undefined
  if (status === 404 && isMissing(refused, place)) return 'missing'
  if (status === 409 && isAbout(refused, place) && refused.reason === 'Conflict') return 'changed'
  if (status === 422 && isFailedTest(refused)) return 'changed'
  if (status === 422 && refused.causes.some(isImmutability)) return 'immutable'
  return undefined
}

function isMissing(refused: Refused | undefined, place: Place): boolean {
  return refused?.reason === 'NotFound' && isAbout(refused, place)
}

function isAbout({ kind, name }: Refused, { secret }: Place): boolean {
  return kind === 'secrets' && name === secret
}

/**
 * The API server says this of a patch that did not apply, and not why. Ours can only fail at a test. The sentence is
 * compared because an admission webhook may refuse with the same status and reason.
 */
function isFailedTest({ reason, message, kind, causes }: Refused): boolean {
  return reason === 'Invalid' && message === UNAPPLIED && kind === undefined && causes.length === 0
}

const UNAPPLIED = 'the server rejected our request due to an error in our request'

function isImmutability({ reason, message, field }: Readonly<Record<string, unknown>>): boolean {
  return reason === 'FieldValueForbidden' && field === 'data' && String(message).includes(IMMUTABLE)
}

const IMMUTABLE = 'field is immutable when `immutable` is set'

function heldIn(secret: ApiObject | undefined): HeldSecret | undefined {
  if (secret === undefined) return undefined
  const { uid, metadata, immutable } = secret
  const data = mapOfStrings(secret['data'])
  const labels = mapOfStrings(metadata['labels'])
  const annotations = mapOfStrings(metadata['annotations'])
  const managers = managersIn(metadata['managedFields'])
  if (immutable !== undefined && typeof immutable !== 'boolean') return undefined
  if (data === undefined || labels === undefined || annotations === undefined || managers === undefined)
    return undefined
  return { uid, immutable: immutable === true, data, labels, annotations, managers }
}

function managersIn(managedFields: unknown): readonly string[] | undefined {
  if (managedFields === undefined) return []
  if (!Array.isArray(managedFields)) return undefined
  const managers = managedFields.map((entry) => record(entry)?.['manager'])
  return [...new Set(managers.filter((manager) => typeof manager === 'string'))]
}

/** What the real server finds wrong with an object that it could read, in its words. Not: the syntax of labels. */
import { isDeepStrictEqual } from 'node:util'
import type { Flaw } from './answers.ts'
import type { GivenMeta } from './decode.ts'
import type { LeaseSpec, StoredSecret } from './store.ts'

export function secretFlaws(secret: StoredSecret, uid: string, old: StoredSecret): readonly Flaw[] {
  const flaws: Flaw[] = []
  const flaw = (field: string, reason: Flaw['reason'], message: string): void =>
    void flaws.push({ field, reason, message })
  if (uid !== '' && uid !== old.meta.uid) {
    // Twice, as in the real server.
    for (let count = 0; count < 2; count += 1)
      flaw('metadata.uid', 'FieldValueInvalid', `Invalid value: "${uid}": field is immutable`)
  }
  flaws.push(...annotationFlaws(secret.annotations))
  if (secret.type !== old.type) flaw('type', 'FieldValueInvalid', `Invalid value: "${secret.type}": field is immutable`)
  if (old.immutable === true) {
    if (secret.immutable !== true) flaw('immutable', 'FieldValueForbidden', IMMUTABLE)
    if (!isDeepStrictEqual(secret.data, old.data)) flaw('data', 'FieldValueForbidden', IMMUTABLE)
  }
  for (const dataKey of secret.data.keys()) {
    const why = dataKeyFlaw(dataKey)
    if (why !== undefined) flaw(`data[${dataKey}]`, 'FieldValueInvalid', `Invalid value: "${dataKey}": ${why}`)
  }
  const bytes = [...secret.data.values()].reduce((sum, value) => sum + value.length, 0)
  if (bytes > MAX_DATA_BYTES) flaws.push(tooLong('data', MAX_DATA_BYTES))
  return flaws
}

/** @param isNew a name is looked at when it is made, and never again. */
export function leaseFlaws({ name, annotations }: GivenMeta, spec: LeaseSpec, isNew: boolean): readonly Flaw[] {
  const flaws: Flaw[] = []
  const flaw = (field: string, message: string): void =>
    void flaws.push({ field, reason: 'FieldValueInvalid', message })
  if (isNew && !SUBDOMAIN.test(name)) flaw('metadata.name', `Invalid value: "${name}": ${NOT_A_SUBDOMAIN}`)
  flaws.push(...annotationFlaws(annotations))
  const { leaseDurationSeconds = 1, leaseTransitions = 0 } = spec
  if (leaseDurationSeconds <= 0) {
    flaw('spec.leaseDurationSeconds', `Invalid value: ${leaseDurationSeconds}: must be greater than 0`)
  }
  if (leaseTransitions < 0) {
    flaw('spec.leaseTransitions', `Invalid value: ${leaseTransitions}: must be greater than or equal to 0`)
  }
  return flaws
}

const SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/
const NOT_A_SUBDOMAIN =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"

const IMMUTABLE = 'Forbidden: field is immutable when `immutable` is set'
const MAX_DATA_BYTES = 1_048_576
const MAX_ANNOTATION_BYTES = 262_144

function annotationFlaws(annotations: Readonly<Record<string, string>> | undefined): readonly Flaw[] {
  const bytes = Object.entries(annotations ?? {}).reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value),
    0,
  )
  return bytes > MAX_ANNOTATION_BYTES ? [tooLong('metadata.annotations', MAX_ANNOTATION_BYTES)] : []
}

function tooLong(field: string, maxBytes: number): Flaw {
  return { field, reason: 'FieldValueTooLong', message: `Too long: may not be more than ${maxBytes} bytes` }
}

function dataKeyFlaw(dataKey: string): string | undefined {
  if (dataKey.length > 253) return 'must be no more than 253 characters'
  if (!/^[-._a-zA-Z0-9]+$/.test(dataKey)) {
    return "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
  }
  if (dataKey === '.' || dataKey === '..') return `must not be '${dataKey}'`
  return dataKey.startsWith('..') ? "must not start with '..'" : undefined
}

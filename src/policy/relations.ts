/** Rules between fields of one document. They also hold where other fields are wrong: all complaints come at once. */
import type { Complaint } from './explain.ts'
import type { Kind } from './schema.ts'
import { DATA_KEY, DATA_KEY_RULE } from './schema.ts'

/** @param value a document of which nothing is known yet. */
export function relations(kind: Kind, value: unknown): readonly Complaint[] {
  const spec = field(value, 'spec')
  return kind === 'SecretGrant' ? [...placeRules(spec), ...readerRules(spec)] : []
}

function placeRules(spec: unknown): readonly Complaint[] {
  const secretRef = field(spec, 'secretRef')
  if (!isRecord(secretRef)) return []
  const path = ['spec', 'secretRef']
  const key = field(secretRef, 'key')
  if (isFiles(spec) && key !== undefined) {
    const message = 'With format files every data key of the Secret is a key of its own: remove secretRef.key.'
    return [{ path: [...path, 'key'], part: 'key', message }]
  }
  if (field(spec, 'format') !== undefined && field(spec, 'format') !== 'json') return []
  if (key !== undefined) return []
  const message = 'With format json, secretRef.key must say which data key of the Secret holds the ciphertext.'
  return [{ path, part: 'key', message }]
}

function readerRules(spec: unknown): readonly Complaint[] {
  const readers = field(spec, 'readers')
  return (Array.isArray(readers) ? readers : []).flatMap((reader: unknown, index): readonly Complaint[] => {
    if (!isRecord(reader)) return []
    const path = ['spec', 'readers', index]
    const keys = field(reader, 'keys')
    const allKeys = field(reader, 'allKeys')
    if ((keys === undefined) === (allKeys === undefined)) {
      const message = 'A reader has either keys, a list of what it may read, or allKeys: true.'
      return [{ path, part: 'value', message }]
    }
    return isFiles(spec) ? fileNameRules(keys, [...path, 'keys']) : []
  })
}

function fileNameRules(keys: unknown, path: readonly (string | number)[]): readonly Complaint[] {
  return (Array.isArray(keys) ? keys : []).flatMap((key: unknown, index): readonly Complaint[] => {
    if (typeof key !== 'string' || DATA_KEY.test(key)) return []
    return [
      {
        path: [...path, index],
        part: 'value',
        message: `With format files, keys are data keys of the Secret, and ${DATA_KEY_RULE}.`,
      },
    ]
  })
}

function isFiles(spec: unknown): boolean {
  return field(spec, 'format') === 'files'
}

/** Own fields only: a document may hold anything, a key `__proto__` included. */
export function field(value: unknown, name: string): unknown {
  return isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

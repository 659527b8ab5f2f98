/** GET /api/v1/namespaces/:namespace/secrets/:name. */
import type { StandinReply } from '../server.ts'
import { badName, notFound, object } from './answers.ts'
import type { Store, StoredSecret } from './store.ts'
import { at } from './store.ts'

export function getSecret(store: Store, namespace: string, name: string): StandinReply {
  const secret = store.secrets.get(at(namespace, name))
  return badName(name) ?? (secret === undefined ? notFound('secrets', name) : object(200, secretObject(secret)))
}

export function secretObject(secret: StoredSecret): Record<string, unknown> {
  const data = Object.fromEntries([...secret.data].map(([key, bytes]) => [key, bytes.toString('base64')]))
  const managedFields = secret.managers.map((manager) => ({
    manager,
    operation: 'Update',
    apiVersion: 'v1',
    time: secret.meta.creationTimestamp,
    fieldsType: 'FieldsV1',
    // Of which field is whose nothing is known here.
    fieldsV1: {},
  }))
  return {
    kind: 'Secret',
    apiVersion: 'v1',
    metadata: {
      ...secret.meta,
      ...(secret.labels === undefined ? {} : { labels: secret.labels }),
      ...(secret.annotations === undefined ? {} : { annotations: secret.annotations }),
      ...(managedFields.length === 0 ? {} : { managedFields }),
    },
    ...(secret.immutable === undefined ? {} : { immutable: secret.immutable }),
    ...(secret.data.size === 0 ? {} : { data }),
    type: secret.type,
  }
}

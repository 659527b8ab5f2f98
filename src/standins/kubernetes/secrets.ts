/** GET /api/v1/namespaces/:namespace/secrets/:name. */
import type { StandinReply } from '../server.ts'
import { badRequest, notFound, object } from './answers.ts'
import type { Store } from './store.ts'
import { at } from './store.ts'

export function getSecret(store: Store, namespace: string, name: string): StandinReply {
  if (name === '.' || name === '..') {
    return badRequest(`Name parameter invalid: "${name}": may not be '${name}'`)
  }
  const secret = store.secrets.get(at(namespace, name))
  if (secret === undefined) return notFound('secrets', name)
  const data = Object.fromEntries([...secret.data].map(([key, bytes]) => [key, bytes.toString('base64')]))
  return object(200, {
    kind: 'Secret',
    apiVersion: 'v1',
    metadata: {
      ...secret.meta,
      ...(secret.labels === undefined ? {} : { labels: secret.labels }),
      ...(secret.annotations === undefined ? {} : { annotations: secret.annotations }),
    },
    ...(secret.immutable === undefined ? {} : { immutable: secret.immutable }),
    ...(secret.data.size === 0 ? {} : { data }),
    type: secret.type,
  })
}

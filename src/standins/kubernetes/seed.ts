/** What a test or an operator puts into the cluster, past the wire. */
import type { KubernetesSeeding, Named, TokenOrder } from '../kubernetes.ts'
import type { StandinRequest } from '../server.ts'
import { leaseSpecIn } from './lease-spec.ts'
import type { Cluster } from './serve.ts'
import type { Store } from './store.ts'
import { at } from './store.ts'
import type { Issuer } from './token-request.ts'
import { tokenRequest } from './token-request.ts'

export type Seeding = Omit<KubernetesSeeding, 'issuer' | 'adminToken' | 'signToken'>

export function seeding(cluster: Cluster): Seeding {
  const { clock, store, rights } = cluster
  const seed: Seeding = {
    putNamespace(name) {
      store.namespaces.add(name)
    },
    putServiceAccount({ namespace, name }) {
      store.namespaces.add(namespace)
      const account = store.serviceAccounts.get(at(namespace, name)) ?? store.written(namespace, name)
      store.serviceAccounts.set(at(namespace, name), account)
      return { uid: account.uid }
    },
    deleteServiceAccount({ namespace, name }) {
      store.serviceAccounts.delete(at(namespace, name))
    },
    putPod({ namespace, name, serviceAccount, node = 'worker' }) {
      seed.putServiceAccount({ namespace, name: serviceAccount })
      const uid = store.nodes.get(node) ?? store.uid()
      store.nodes.set(node, uid)
      const meta = store.written(namespace, name)
      store.pods.set(at(namespace, name), { meta, serviceAccount, node: { name: node, uid }, deletionAt: undefined })
      return { uid: meta.uid }
    },
    deletePod({ namespace, name }, graceSeconds = 0) {
      const pod = store.pods.get(at(namespace, name))
      if (pod === undefined || graceSeconds === 0) store.pods.delete(at(namespace, name))
      else store.pods.set(at(namespace, name), { ...pod, deletionAt: clock.now() + graceSeconds * 1000 })
    },
    putSecret(secret) {
      const place = at(secret.namespace, secret.name)
      store.namespaces.add(secret.namespace)
      const old = store.secrets.get(place)
      const meta = store.written(secret.namespace, secret.name, old?.meta)
      store.secrets.set(place, {
        meta,
        data: new Map(Object.entries(secret.data).map(([dataKey, value]) => [dataKey, Buffer.from(value)])),
        type: secret.type ?? 'Opaque',
        labels: unlessEmpty(secret.labels),
        annotations: unlessEmpty(secret.annotations),
        immutable: secret.immutable,
        managers: secret.managers ?? old?.managers ?? [],
      })
      return { uid: meta.uid, resourceVersion: meta.resourceVersion }
    },
    deleteSecret({ namespace, name }) {
      store.secrets.delete(at(namespace, name))
    },
    secret({ namespace, name }) {
      const found = store.secrets.get(at(namespace, name))
      if (found === undefined) return undefined
      const { meta, data, type, labels = {}, annotations = {}, immutable = false, managers } = found
      const { uid, resourceVersion } = meta
      return { uid, resourceVersion, data: Object.fromEntries(data), type, labels, annotations, immutable, managers }
    },
    putLease({ namespace, name, labels, annotations, spec = {} }) {
      store.namespaces.add(namespace)
      const meta = store.written(namespace, name, store.leases.get(at(namespace, name))?.meta)
      const notes = { labels: unlessEmpty(labels), annotations: unlessEmpty(annotations) }
      store.leases.set(at(namespace, name), { meta, ...notes, spec: leaseSpecIn(spec) })
      return { uid: meta.uid, resourceVersion: meta.resourceVersion }
    },
    deleteLease({ namespace, name }) {
      store.leases.delete(at(namespace, name))
    },
    lease({ namespace, name }) {
      const found = store.leases.get(at(namespace, name))
      if (found === undefined) return undefined
      const { meta, labels = {}, annotations = {}, spec } = found
      return { uid: meta.uid, resourceVersion: meta.resourceVersion, labels, annotations, spec }
    },
    putUser({ name, uid, groups = [], token }) {
      store.users.set(token, { name, uid, groups })
    },
    allow(subject, ...added) {
      const username = usernameOf(subject)
      rights.set(username, [...(rights.get(username) ?? []), ...added])
    },
    disallow(subject) {
      rights.delete(usernameOf(subject))
    },
    issueToken(order) {
      return issue(cluster, store, order)
    },
  }
  return seed
}

/** The real server leaves out what is empty. */
function unlessEmpty(notes: Readonly<Record<string, string>> | undefined): typeof notes {
  return notes === undefined || Object.keys(notes).length === 0 ? undefined : notes
}

function usernameOf(subject: Named | string): string {
  return typeof subject === 'string' ? subject : `system:serviceaccount:${subject.namespace}:${subject.name}`
}

/** Through the same code that serves TokenRequest, so that a seeded token cannot be one that a cluster would refuse to make. */
function issue(issuer: Issuer, store: Store, order: TokenOrder): string {
  const pod = order.pod === undefined ? undefined : { kind: 'Pod', apiVersion: 'v1', ...order.pod }
  const spec = {
    audiences: order.audiences,
    expirationSeconds: order.expirationSeconds,
    ...(pod === undefined ? {} : { boundObjectRef: pod }),
  }
  const request: StandinRequest = {
    method: 'POST',
    path: '/',
    query: new URLSearchParams(),
    headers: {},
    body: Buffer.from(JSON.stringify({ spec })),
    signal: new AbortController().signal,
  }
  if (!store.serviceAccounts.has(at(order.namespace, order.serviceAccount))) {
    throw new Error(
      `no ServiceAccount ${order.namespace}/${order.serviceAccount}: put it, or a pod that runs as it, first`,
    )
  }
  const reply = tokenRequest(request, issuer, order.namespace, order.serviceAccount)
  const body = JSON.parse(String(reply.body)) as { status: { token: string }; message?: string }
  if (reply.status !== 201) throw new Error(`TokenRequest refused: ${body.message ?? reply.status}`)
  return body.status.token
}

/** The cluster's administrator: everything that the tests change in Kubernetes, by raw HTTPS. */
import { randomUUID } from 'node:crypto'
import type { KubernetesOperator, Lease, Named, Right, TokenOrder } from '../conformance/environment.ts'
import type { Call } from './call.ts'
import { bearer, caller, expectStatus } from './call.ts'
import type { Connection } from './start.ts'

import { claimsOf, clusterKey, signToken, strangersKey } from './tokens.ts'
import { until } from './until.ts'

export interface RealKubernetesOperator extends KubernetesOperator {
  readonly call: Call
  /** Server-side apply: creates, or changes what differs. */
  apply(path: string, manifest: Manifest): Promise<Applied>
  /** Nothing to do if it is not there. */
  remove(path: string): Promise<void>
  createNamespace(name: string): Promise<void>
  /** The Secret's values, decoded; undefined if it is not there. */
  getSecret(which: Named): Promise<Readonly<Record<string, string>> | undefined>
  /** Whether the API server, asked now, would let this ServiceAccount do it. */
  may(subject: Named | string, right: Right): Promise<boolean>
}

export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly [member: string]: unknown
}

interface Applied {
  readonly metadata: { readonly uid: string; readonly resourceVersion: string }
}

const RBAC = '/apis/rbac.authorization.k8s.io/v1'
export const RBAC_VERSION = 'rbac.authorization.k8s.io/v1'

export function kubernetesOperator({ ca, kubernetes }: Connection): RealKubernetesOperator {
  const call = caller({ origin: kubernetes.origin, ca, headers: bearer(kubernetes.adminToken) })
  const key = { cluster: clusterKey(kubernetes.signingKeyFile), stranger: strangersKey() }

  function apply(path: string, manifest: Manifest): Promise<Applied> {
    const query = '?fieldManager=operator&force=true'
    return expectStatus(call<Applied>('PATCH', `${path}${query}`, manifest, 'application/apply-patch+yaml'))
  }

  async function remove(path: string): Promise<void> {
    await expectStatus(call('DELETE', path, { gracePeriodSeconds: 0 }), 200, 202, 404)
  }

  async function createNamespace(name: string): Promise<void> {
    await apply(`/api/v1/namespaces/${name}`, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  }

  async function createServiceAccount({ namespace, name }: Named): Promise<{ uid: string }> {
    await createNamespace(namespace)
    const manifest = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name } }
    const { metadata } = await apply(pathOf('serviceaccounts', { namespace, name }), manifest)
    return { uid: metadata.uid }
  }

  async function deleteServiceAccount(which: Named): Promise<void> {
    const token = await issueToken({ namespace: which.namespace, serviceAccount: which.name })
    await remove(pathOf('serviceaccounts', which))
    await untilRefused(token)
  }

  async function createPod(pod: Named & { serviceAccount: string; node?: string }): Promise<{ uid: string }> {
    const manifest = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: pod.name },
      spec: {
        serviceAccountName: pod.serviceAccount,
        // Nothing runs here: a pod is an object that tokens can be bound to.
        containers: [{ name: 'main', image: 'none.invalid/none' }],
        nodeName: pod.node ?? 'worker',
      },
    }
    const { metadata } = await apply(pathOf('pods', pod), manifest)
    return { uid: metadata.uid }
  }

  async function deletePod(which: Named): Promise<void> {
    const path = pathOf('pods', which)
    const found = await call<Applied & { spec: { serviceAccountName: string } }>('GET', path)
    if (found.status === 404) return
    const pod = { name: which.name, uid: found.body.metadata.uid }
    const serviceAccount = found.body.spec.serviceAccountName
    const token = await issueToken({ namespace: which.namespace, serviceAccount, pod })
    await remove(path)
    await untilRefused(token)
  }

  /**
   * The API server looks accounts and pods up in a cache that is a moment behind, and keeps what it accepted for 10 s: so ask
   * with a token never seen, a new one each time.
   */
  async function untilRefused(token: string): Promise<void> {
    await until('the token is refused', async () => {
      const spec = { token: signToken({ ...claimsOf(token), jti: randomUUID() }, key.cluster) }
      const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec }
      const path = '/apis/authentication.k8s.io/v1/tokenreviews'
      const { status } = await expectStatus(call<{ status: { authenticated?: boolean } }>('POST', path, review))
      return status.authenticated !== true
    })
  }

  async function putSecret(
    secret: Named & { data: Readonly<Record<string, string>>; immutable?: boolean },
  ): Promise<{ uid: string; resourceVersion: string }> {
    await createNamespace(secret.namespace)
    const data = mapValues(secret.data, (value) => Buffer.from(value).toString('base64'))
    const { name, immutable } = secret
    const manifest = { apiVersion: 'v1', kind: 'Secret', metadata: { name }, data, immutable }
    const replaced = await call<Applied>('PUT', pathOf('secrets', secret), manifest)
    if (replaced.status === 200) return replaced.body.metadata
    const collection = `/api/v1/namespaces/${secret.namespace}/secrets`
    const { metadata } = await expectStatus(call<Applied>('POST', collection, manifest))
    return metadata
  }

  async function getSecret(which: Named): Promise<Readonly<Record<string, string>> | undefined> {
    const got = call<{ data?: Readonly<Record<string, string>> }>('GET', pathOf('secrets', which))
    if ((await got).status === 404) return undefined
    const { data } = await expectStatus(got)
    return mapValues(data ?? {}, (value) => Buffer.from(value, 'base64').toString())
  }

  async function putLease({ namespace, name, labels, annotations, spec }: Lease): Promise<Applied['metadata']> {
    await createNamespace(namespace)
    const manifest = { apiVersion: LEASES, kind: 'Lease', metadata: { name, labels, annotations }, spec }
    return (await apply(leasePath({ namespace, name }), manifest)).metadata
  }

  async function allow(subject: Named | string, right: Right): Promise<void> {
    const name = `allowed-${randomUUID()}`
    const [scope, kind] =
      right.namespace === undefined ? ['', 'ClusterRole'] : [`/namespaces/${right.namespace}`, 'Role']
    const rule = { apiGroups: [right.group], resources: [right.resource], verbs: right.verbs }
    const rules = [right.names === undefined ? rule : { ...rule, resourceNames: right.names }]
    if (right.namespace !== undefined) await createNamespace(right.namespace)
    await apply(`${RBAC}${scope}/${kind.toLowerCase()}s/${name}`, {
      apiVersion: RBAC_VERSION,
      kind,
      metadata: { name },
      rules,
    })
    await apply(`${RBAC}${scope}/${kind.toLowerCase()}bindings/${name}`, {
      apiVersion: RBAC_VERSION,
      kind: `${kind}Binding`,
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: userName(subject) }],
    })
    await until('the right is known', () => may(subject, right))
  }

  async function may(subject: Named | string, right: Right): Promise<boolean> {
    for (const verb of right.verbs)
      for (const name of right.names ?? [undefined]) {
        const resourceAttributes = {
          verb,
          group: right.group,
          resource: right.resource,
          namespace: right.namespace,
          name,
        }
        const spec = { user: userName(subject), resourceAttributes }
        const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec }
        const path = '/apis/authorization.k8s.io/v1/subjectaccessreviews'
        const { status } = await expectStatus(call<{ status: { allowed: boolean } }>('POST', path, review))
        if (!status.allowed) return false
      }
    return true
  }

  async function issueToken(order: TokenOrder): Promise<string> {
    const { audiences, expirationSeconds, pod } = order
    const boundObjectRef = pod && { apiVersion: 'v1', kind: 'Pod', ...pod }
    const request = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences: audiences ?? [], expirationSeconds, boundObjectRef },
    }
    const path = `${pathOf('serviceaccounts', { namespace: order.namespace, name: order.serviceAccount })}/token`
    return (await expectStatus(call<{ status: { token: string } }>('POST', path, request))).status.token
  }

  return {
    adminToken: kubernetes.adminToken,
    userToken: kubernetes.userToken,
    nodeToken: kubernetes.nodeToken,
    call,
    apply,
    remove,
    createNamespace,
    createServiceAccount,
    deleteServiceAccount,
    createPod,
    deletePod,
    putSecret,
    deleteSecret: (which) => remove(pathOf('secrets', which)),
    getSecret,
    putLease,
    deleteLease: (which) => remove(leasePath(which)),
    allow,
    may,
    issueToken,
    signToken: async (claims, which) => signToken(claims, key[which]),
  }
}

const LEASES = 'coordination.k8s.io/v1'

function leasePath({ namespace, name }: Named): string {
  return `/apis/${LEASES}/namespaces/${namespace}/leases/${name}`
}

export function pathOf(resource: string, { namespace, name }: Named): string {
  return `/api/v1/namespaces/${namespace}/${resource}/${name}`
}

function userName(subject: Named | string): string {
  return typeof subject === 'string' ? subject : `system:serviceaccount:${subject.namespace}:${subject.name}`
}

function mapValues(
  record: Readonly<Record<string, string>>,
  change: (value: string) => string,
): Record<string, string> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]))
}

/** What the other tests here look for is found where it is. */
import { describe, expect, test } from 'vitest'
import type { Container, KubeObject, PodSpec } from './objects.ts'
import { base, deployments, only } from './objects.ts'
import { violations } from './restricted.ts'
import { rightsIn, tooWide } from './rights.ts'

describe('the restricted profile objects', () => {
  const good = only(deployments(base())).pod.spec
  const pod = (change: object): PodSpec => ({ ...good, ...change })
  const secure = (change: object): PodSpec =>
    pod({
      containers: good.containers.map((one) => ({ ...one, securityContext: { ...one.securityContext, ...change } })),
    })
  const container = (change: object): PodSpec =>
    pod({ containers: good.containers.map((one) => ({ ...one, ...change })) })

  test('to nothing in what is good', () => {
    expect(violations(good)).toEqual([])
  })

  test.each([
    ['the network of the node', pod({ hostNetwork: true })],
    ['a directory of the node', pod({ volumes: [{ name: 'x', hostPath: { path: '/' } }] })],
    ['a sysctl', pod({ securityContext: { ...good.securityContext, sysctls: [] } })],
    ['no filter of system calls', pod({ securityContext: { ...good.securityContext, seccompProfile: undefined } })],
    ['no filter but in name', secure({ seccompProfile: { type: 'Unconfined' } })],
    ['root, perhaps', pod({ securityContext: { ...good.securityContext, runAsNonRoot: undefined } })],
    ['root', secure({ runAsUser: 0 })],
    ['privileges', secure({ privileged: true })],
    ['escalation', secure({ allowPrivilegeEscalation: undefined })],
    ['a capability', secure({ capabilities: { drop: ['ALL'], add: ['SYS_ADMIN'] } })],
    ['the usual capabilities', secure({ capabilities: {} })],
    ['a /proc of its own', secure({ procMount: 'Unmasked' })],
    ['a port of the node', container({ ports: [{ name: 'x', containerPort: 1, hostPort: 1 }] })],
    ['a probe of somebody else', container({ livenessProbe: { httpGet: { host: 'x', path: '/', port: 1 } } })],
    [
      'a first container that does',
      pod({ initContainers: [{ name: 'x', securityContext: { ...secured(good), privileged: true } }] }),
    ],
  ])('to %s', (_title, changed) => {
    expect(violations(changed)).toHaveLength(1)
  })

  function secured({ containers }: PodSpec): Container['securityContext'] {
    return containers[0]?.securityContext
  }
})

describe('a right is too wide', () => {
  const secrets = { apiGroups: [''], resources: ['secrets'], resourceNames: ['a'], verbs: ['get'] }
  const role = (rule: object): KubeObject => Object.assign(object('Role', 'r'), { rules: [rule] })

  test('unless it is one to get a named Secret', () => {
    expect(tooWide([role(secrets)])).toEqual([])
  })

  test.each([
    ['over every Secret', { ...secrets, resourceNames: undefined }],
    ['over no Secret, which is every one', { ...secrets, resourceNames: [] }],
    ['over a pattern', { ...secrets, resourceNames: ['a*'] }],
    ['to list', { ...secrets, verbs: ['list'] }],
    ['to watch', { ...secrets, verbs: ['get', 'watch'] }],
    ['to create Secrets', { ...secrets, verbs: ['create'] }],
    ['to update Secrets', { ...secrets, verbs: ['update'] }],
    ['to do anything', { ...secrets, verbs: ['*'] }],
    ['over everything', { ...secrets, resources: ['*'] }],
    ['to be somebody else', { ...secrets, resources: ['serviceaccounts'], verbs: ['impersonate'] }],
    ['to give rights', { ...secrets, resources: ['roles'], verbs: ['bind', 'escalate'] }],
    ['beside reviews', { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews', 'x'], verbs: ['create'] }],
    ['at a path of the server', { nonResourceURLs: ['/metrics'], resourceNames: ['a'], verbs: ['get'] }],
  ])('%s', (_title, rule) => {
    expect(tooWide([role(rule)])).toHaveLength(1)
  })

  test('where others are added to it', () => {
    expect(tooWide([Object.assign(role(secrets), { aggregationRule: {} })])).toHaveLength(1)
  })

  test('where a role of the cluster, or a stranger, is bound', () => {
    const account = object('ServiceAccount', 'keyhole')
    const subject = { kind: 'ServiceAccount', namespace: 'keyhole', name: 'keyhole' }
    const binding = (name: string, subjects: readonly object[]) =>
      Object.assign(object('ClusterRoleBinding', 'b'), { roleRef: { kind: 'ClusterRole', name }, subjects })
    const reviews = Object.assign(object('ClusterRole', 'reviews'), { rules: [] })
    expect(() => rightsIn([account, binding('system:auth-delegator', [subject])])).toThrow('which is not ours')
    expect(() => rightsIn([reviews, account, binding('reviews', [{ ...subject, kind: 'Group' }])])).toThrow(
      'a stranger',
    )
    expect(() => rightsIn([reviews, account, binding('reviews', [{ ...subject, name: 'default' }])])).toThrow(
      'a stranger',
    )
  })
})

function object(kind: string, name: string): KubeObject {
  return { apiVersion: 'v1', kind, metadata: { name, namespace: 'keyhole' } }
}

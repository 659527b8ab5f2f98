/** Each component, against what it stands beside. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { configOf, sourceOf } from './installation.ts'
import type { KubeObject, Labels, PodTemplate } from './objects.ts'
import {
  at,
  base,
  cronJob,
  deployments,
  named,
  objectsOf,
  ofKind,
  only,
  onlyContainer,
  ROOT,
  selects,
} from './objects.ts'
import { violations } from './restricted.ts'

const production = objectsOf('overlays/production/rotator.yaml')
const serving = [...deployments(base()), ...deployments(production)]
const config = configOf(base(), only(deployments(base())))

describe('network-policy', () => {
  const policies = objectsOf('components/network-policy/network-policies.yaml')
  const rules = (name: string, way: 'ingress' | 'egress') =>
    at<readonly Rule[] | undefined>(named(policies, 'NetworkPolicy', name), way) ?? []
  const portsOf = (name: string) =>
    rules(name, 'egress')
      .flatMap(({ ports }) => ports.map(({ protocol, port }) => `${protocol} ${port}`))
      .toSorted()

  test('denies what it does not name, to every pod and both ways', () => {
    const { spec } = named(policies, 'NetworkPolicy', 'keyhole-default-deny')
    expect(spec).toEqual({ podSelector: {}, policyTypes: ['Ingress', 'Egress'] })
    for (const policy of policies) expect(at(policy, 'policyTypes')).toEqual(['Ingress', 'Egress'])
  })

  test('lets in at the ports that are listened on, and no namespace but one at probes and metrics', () => {
    const monitoring = { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } }
    expect(rules('keyhole', 'ingress')).toEqual([
      { from: [{ namespaceSelector: {} }], ports: [{ protocol: 'TCP', port: config.KEYHOLE_LISTEN.port }] },
      {
        from: [{ namespaceSelector: monitoring }],
        ports: [{ protocol: 'TCP', port: config.KEYHOLE_MANAGEMENT_LISTEN.port }],
      },
    ])
    expect(rules('keyhole-cron', 'ingress')).toEqual([])
  })

  test('lets out to names, the API server and Vault', () => {
    const vault = `TCP ${new URL(config.VAULT_ADDR).port}`
    expect(portsOf('keyhole')).toEqual(['TCP 443', 'TCP 53', 'TCP 6443', vault, 'UDP 53'])
  })

  test('lets the CronJob out to names and rotators only', () => {
    expect(portsOf('keyhole-cron')).toEqual(['TCP 53', `TCP ${config.KEYHOLE_LISTEN.port}`, 'UDP 53'])
    const to = rules('keyhole-cron', 'egress').flatMap((rule) => rule.to ?? [])
    const { matchLabels } = only(to).podSelector
    for (const { pod } of serving) expect(selects(matchLabels, pod.metadata.labels)).toBe(true)
    expect(selects(matchLabels, cronJob(base()).pod.metadata.labels)).toBe(false)
  })

  test('has one rule for every pod that there is', () => {
    for (const { kind, pod } of [...serving, cronJob(base())]) {
      const found = ['keyhole', 'keyhole-cron'].filter((name) =>
        isOf(at<Selector>(named(policies, 'NetworkPolicy', name), 'podSelector'), pod.metadata.labels),
      )
      expect(found).toEqual([kind === 'CronJob' ? 'keyhole-cron' : 'keyhole'])
    }
  })
})

interface Rule {
  readonly ports: readonly { readonly protocol: string; readonly port: number }[]
  readonly from?: readonly unknown[]
  readonly to?: readonly { readonly podSelector: { readonly matchLabels: Labels } }[]
}

interface Selector {
  readonly matchLabels: Labels
  readonly matchExpressions?: readonly {
    readonly key: string
    readonly operator: string
    readonly values: readonly string[]
  }[]
}

function isOf({ matchLabels, matchExpressions = [] }: Selector, labels: Labels): boolean {
  const isIn = matchExpressions.every(
    ({ key, operator, values }) => operator === 'In' && values.includes(labels[key] ?? ''),
  )
  return isIn && selects(matchLabels, labels)
}

describe('cert-manager', () => {
  const certificate = named(objectsOf('components/cert-manager/certificate.yaml'), 'Certificate', 'keyhole')
  const authority = objectsOf('components/cert-manager/authority.yaml')
  const names = at<readonly string[]>(certificate, 'dnsNames')

  test('puts the certificate where the pods look for it', () => {
    for (const workload of serving) {
      const source = sourceOf(workload.pod.spec, onlyContainer(workload), config.tls?.certFile)
      expect(source).toBe(`Secret ${at(certificate, 'secretName')}`)
    }
    expect(certificate.metadata.namespace).toBe('keyhole')
  })

  test('makes it for every name by which manifests, help, examples and documentation call keyhole', () => {
    const files = globSync(['{deploy,docs,examples,src}/**/*.{yaml,md,mjs,ts}', '*.md', 'openapi.yaml'], { cwd: ROOT })
    const called = files.flatMap((file) =>
      [...readFileSync(join(ROOT, file), 'utf8').matchAll(/https:\/\/(keyhole[-.a-z]*|localhost):8443/g)].map(
        ([, name = '']) => name,
      ),
    )
    expect(new Set(called).size).toBeGreaterThanOrEqual(3)
    expect(called.filter((name) => !names.includes(name))).toEqual([])
  })

  test('makes it for the names of both Services, and for nobody else', () => {
    const services = ofKind(base(), 'Service').map(({ metadata }) => `${metadata.name}.${metadata.namespace}`)
    const wanted = services.flatMap((name) => [name, `${name}.svc`, `${name}.svc.cluster.local`])
    expect(names).toEqual([...wanted, 'localhost'])
  })

  test('has it signed by a CA that nobody outside of the namespace can use, and that signs for servers', () => {
    const { name } = at<{ name: string }>(certificate, 'issuerRef')
    const ca = named(authority, 'Certificate', 'keyhole-ca')
    expect(ofKind(authority, 'ClusterIssuer')).toEqual([])
    expect(at(named(authority, 'Issuer', name), 'ca.secretName')).toBe(at(ca, 'secretName'))
    expect([at(ca, 'isCA'), at(certificate, 'isCA')]).toEqual([true, undefined])
    expect(at(certificate, 'usages')).toEqual(['digital signature', 'server auth'])
  })
})

test('trust-manager hands out the very ConfigMap that consumers mount', () => {
  const bundle = named(objectsOf('components/trust-manager/bundle.yaml'), 'Bundle', 'keyhole-ca')
  const job = cronJob(base())
  const caFile = only((onlyContainer(job).env ?? []).filter(({ name }) => name === 'KEYHOLE_CACERT')).value
  expect(caFile).toBe(`/etc/keyhole/ca/${at(bundle, 'target.configMap.key')}`)
  expect(sourceOf(job.pod.spec, onlyContainer(job), caFile)).toBe(`ConfigMap ${bundle.metadata.name}`)
  expect(at(bundle, 'target.namespaceSelector.matchLabels')).toEqual({ 'keyhole.dev/ca': 'true' })
})

test('hpa scales the readers, and to no fewer than production has', () => {
  const scaler = named(objectsOf('components/hpa/horizontal-pod-autoscaler.yaml'), 'HorizontalPodAutoscaler', 'keyhole')
  const { replicas } = only(deployments(objectsOf('overlays/production/reader.yaml')))
  expect(at(scaler, 'scaleTargetRef')).toEqual({ apiVersion: 'apps/v1', kind: 'Deployment', name: 'keyhole' })
  expect(at(scaler, 'minReplicas')).toBe(replicas)
  expect(at(scaler, 'maxReplicas')).toBeGreaterThan(replicas)
})

test('monitoring scrapes the management port of every pod that has one', () => {
  const monitor = named(objectsOf('components/monitoring/pod-monitor.yaml'), 'PodMonitor', 'keyhole')
  expect(at(monitor, 'podMetricsEndpoints')).toEqual([{ port: 'management', path: '/metrics', interval: '30s' }])
  const isScraped = ({ metadata }: PodTemplate) => isOf(at<Selector>(monitor, 'selector'), metadata.labels)
  for (const { pod } of serving) expect(isScraped(pod)).toBe(true)
  expect(isScraped(cronJob(base()).pod)).toBe(false)
})

describe('knative', () => {
  const service = only(objectsOf('components/knative/service.yaml'))
  // As a Deployment, of which the rest here knows where things are.
  const asDeployment: KubeObject = { ...service, kind: 'Deployment' }
  const workload = only(deployments([asDeployment]))
  const reader = only(deployments(base()))

  test('serves reads to the proxy in its own pod, and to nobody else in the clear', () => {
    const its = configOf([...base(), asDeployment], workload)
    expect([its.serves, its.tls, its.KEYHOLE_PLAIN_HTTP]).toEqual([{ read: true, rotate: false }, undefined, undefined])
    const [port] = onlyContainer(workload).ports ?? []
    expect(its.KEYHOLE_LISTEN).toEqual({ host: '127.0.0.1', port: port?.containerPort })
    expect(service.metadata.labels?.['networking.knative.dev/visibility']).toBe('cluster-local')
    // One address, as which they all come, has half.
    expect(at(service, 'template.spec.containerConcurrency')).toBe(its.KEYHOLE_REQUESTS_IN_FLIGHT / 2)
  })

  test('keeps to the restricted profile', () => {
    expect(violations(workload.pod.spec)).toEqual([])
  })

  test('mounts what readers mount, but for their certificate and what Knative does not take', () => {
    const volumes = ({ pod }: typeof workload) =>
      pod.spec.volumes
        .filter(({ name }) => name !== 'tls')
        .map(({ projected, ...rest }) => ({
          ...rest,
          ...(projected && { sources: projected.sources.filter(({ downwardAPI }) => downwardAPI === undefined) }),
        }))
    expect(volumes(workload)).toEqual(volumes(reader))
    const mounts = onlyContainer(reader).volumeMounts.filter(({ name }) => name !== 'tls')
    expect(onlyContainer(workload).volumeMounts).toEqual(mounts)
  })
})

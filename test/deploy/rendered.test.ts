/** What kustomize makes of the overlays. Needs kubectl on the PATH, or where KEYHOLE_KUBECTL says. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { installation } from './installation.ts'
import type { KubeObject } from './objects.ts'
import {
  at,
  deployments,
  environmentOf,
  K8S,
  named,
  ofKind,
  only,
  onlyContainer,
  ROOT,
  rendered,
  workloads,
} from './objects.ts'

const REVIEWS = '*: create tokenreviews'
const LEASE = 'keyhole: get,update,create leases [keyhole-rotation]'
const READS = 'payments: get secrets [payments-db]'
const MOVES = 'payments: get,patch secrets [payments-db]'

installation('overlays/dev', () => rendered(join(K8S, 'overlays/dev')), {
  rights: { 'keyhole/keyhole': [REVIEWS, LEASE, READS, MOVES], 'keyhole/keyhole-cron': [] },
  deployments: { keyhole: ['read,rotate', 'keyhole/keyhole', 1] },
})

installation('overlays/production', () => rendered(join(K8S, 'overlays/production')), {
  rights: {
    'keyhole/keyhole': [REVIEWS, READS],
    'keyhole/keyhole-cron': [],
    'keyhole/keyhole-rotate': [REVIEWS, LEASE, MOVES],
  },
  deployments: {
    keyhole: ['read', 'keyhole/keyhole', 3],
    'keyhole-rotate': ['rotate', 'keyhole/keyhole-rotate', 2],
  },
})

/** As somebody has it who takes a copy, as the tutorial does. */
let directory = ''
const COMPONENTS = readdirSync(join(K8S, 'components'))

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyhole-overlay-'))
  cpSync(K8S, join(directory, 'k8s'), { recursive: true })
  writeFileSync(join(directory, 'k8s/components/ca-from-file/ca.crt'), 'PEM')
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** @param more of a kustomization over `overlay`, in a directory of its own. */
function over(overlay: string, more: object): readonly KubeObject[] {
  const own = mkdtempSync(join(directory, 'own-'))
  const kustomization = { resources: [`../k8s/overlays/${overlay}`], ...more }
  writeFileSync(join(own, 'kustomization.yaml'), stringify(kustomization))
  return rendered(own)
}

describe.each(['dev', 'production'])('over %s', (overlay) => {
  const settings = (literals: readonly string[]) => ({
    configMapGenerator: [{ name: 'keyhole-settings', namespace: 'keyhole', behavior: 'merge', literals }],
  })

  test('an image and settings of one’s own reach every pod, and another setting rolls them', () => {
    const images = [{ name: 'keyhole', newName: 'registry.example/keyhole', digest: `sha256:${'0'.repeat(64)}` }]
    const own = (realm: string) => over(overlay, { images, ...settings([`KEYHOLE_REALM=${realm}`, 'VAULT_CACERT=']) })
    const [objects, others] = [own('one'), own('two')]
    for (const workload of workloads(objects)) {
      expect(onlyContainer(workload).image).toBe(`registry.example/keyhole@sha256:${'0'.repeat(64)}`)
    }
    for (const workload of deployments(objects)) {
      const environment = environmentOf(objects, onlyContainer(workload))
      expect(environment).toMatchObject({ KEYHOLE_REALM: 'one', VAULT_CACERT: '' })
      expect(environment['VAULT_ADDR']).toBe('https://vault.vault.svc:8200')
    }
    const references = (of: readonly KubeObject[]) =>
      deployments(of).map((workload) => onlyContainer(workload).envFrom?.[0]?.configMapRef.name)
    expect(references(objects)).not.toEqual(references(others))
  })

  test('another policy is taken by pods that run', () => {
    const objects = over(overlay, {})
    expect(named(objects, 'ConfigMap', 'keyhole-policy').data).toEqual(
      Object.fromEntries(
        ['payments.yaml', 'platform.yaml'].map((name) => [name, readFileSync(join(K8S, 'base/policy', name), 'utf8')]),
      ),
    )
  })

  test.each(COMPONENTS)('the component %s fits', (component) => {
    const objects = over(overlay, {
      components: [`../k8s/components/${component}`].filter(() => overlay === 'dev' || component !== 'network-policy'),
    })
    expect(deployments(objects).length).toBe(deployments(over(overlay, {})).length)
  })
})

describe('all components together', () => {
  const all = () =>
    over('production', {
      components: COMPONENTS.filter((name) => name !== 'network-policy').map((name) => `../k8s/components/${name}`),
    })
  const objectsOf = (kind: string) =>
    ofKind(all(), kind)
      .map(({ metadata }) => metadata.name)
      .toSorted()

  test('are objects of these names, each in its namespace', () => {
    expect(objectsOf('NetworkPolicy')).toEqual(['keyhole', 'keyhole-cron', 'keyhole-default-deny', 'keyhole-reads'])
    expect(objectsOf('Certificate')).toEqual(['keyhole', 'keyhole-ca'])
    expect(objectsOf('ConfigMap').map((name) => name.replace(/-[a-z0-9]{10}$/, '-HASH'))).toEqual([
      'keyhole-ca',
      'keyhole-dashboard',
      'keyhole-policy',
      'keyhole-settings-HASH',
    ])
    const homeless = all().filter(
      ({ kind, metadata }) => metadata.namespace === undefined && !OF_THE_CLUSTER.includes(kind),
    )
    expect(homeless).toEqual([])
  })

  test('leave the number of readers to their autoscaler, and of rotators alone', () => {
    const replicas = deployments(all()).map((object) => [object.metadata.name, at(object, 'replicas')])
    expect(Object.fromEntries(replicas)).toEqual({ keyhole: undefined, 'keyhole-rotate': 2 })
  })

  test('have the Knative Service read the settings of the others', () => {
    const services = all().filter(({ apiVersion }) => apiVersion.startsWith('serving.knative.dev/'))
    const [container] = at<readonly { envFrom: readonly { configMapRef: { name: string } }[] }[]>(
      only(services),
      'template.spec.containers',
    )
    const [from] = container?.envFrom ?? []
    expect(named(all(), 'ConfigMap', from?.configMapRef.name ?? '').data).toHaveProperty('KEYHOLE_REALM')
  })

  test('have the CA handed out to the CronJob as to any consumer', () => {
    expect(named(all(), 'Namespace', 'keyhole').metadata.labels).toHaveProperty(['keyhole.dev/ca'], 'true')
  })
})

const OF_THE_CLUSTER = ['Namespace', 'PriorityClass', 'ClusterRole', 'ClusterRoleBinding', 'Bundle']

test('the component ca-from-file wants the file', () => {
  expect(() => rendered(join(K8S, 'components/ca-from-file'))).toThrow(/ca\.crt/)
})

test('a team’s own ConfigMap is added to the policy of every pod by one patch, as the documentation has it', () => {
  const page = readFileSync(join(ROOT, 'docs/how-to/onboard-a-team.md'), 'utf8')
  const [, patch = ''] = /```yaml\n(patches:\n[\s\S]*?)```/.exec(page) ?? []
  const own = join(directory, 'team')
  mkdirSync(own)
  writeFileSync(join(own, 'kustomization.yaml'), `resources: [../k8s/overlays/production]\n${patch}`)
  for (const { pod } of deployments(rendered(own))) {
    const [policy] = pod.spec.volumes
    expect(policy?.name).toBe('policy')
    expect(policy?.projected?.sources).toEqual([
      { configMap: { name: 'keyhole-policy' } },
      {
        configMap: {
          name: 'keyhole-policy-billing',
          optional: true,
          items: [{ key: 'grants.yaml', path: 'billing/grants.yaml' }],
        },
      },
    ])
  }
})

test('alerts lead to where somebody reads the runbooks, by what the rules say for an overlay', () => {
  const rules = readFileSync(join(K8S, 'components/monitoring/rules.yaml'), 'utf8')
  const shown = [...rules.matchAll(/^# {3}(.*)$/gm)].map(([, line]) => line).join('\n')
  const objects = over('production', { components: ['../k8s/components/monitoring'], ...parse(shown) })
  const urls = JSON.stringify(only(ofKind(objects, 'PrometheusRule'))).match(/"runbook_url":"[^"]+"/g) ?? []
  expect(urls).toHaveLength(rules.match(/ runbook_url: docs/g)?.length ?? 0)
  expect(urls.length).toBeGreaterThan(10)
  for (const url of urls) {
    expect(url).toMatch(/"https:\/\/git\.example\.com\/keyhole\/blob\/main\/docs\/runbooks\/keyhole-[a-z-]+\.md"$/)
  }
  // It is there for kustomize alone.
  expect(objects.some(({ metadata }) => metadata.name === 'keyhole-docs')).toBe(false)
})

describe.each(['payments-api', 'bi-reports'])('examples/%s', (example) => {
  const objects = rendered(join(ROOT, 'examples', example))

  test('is all in the namespace of its team, and has its scripts', () => {
    expect(new Set(objects.map(({ metadata }) => metadata.namespace))).toEqual(new Set([example.split('-')[0]]))
    const { data = {} } = only(ofKind(objects, 'ConfigMap'))
    expect(Object.keys(data)).toContain('read-secret.mjs')
    const { pod } = only(workloads(objects))
    expect(pod.spec.volumes.map(({ configMap }) => configMap?.name)).toContain(
      only(ofKind(objects, 'ConfigMap')).metadata.name,
    )
  })
})

/** What holds for every installation, whether it is read from the files of the base or made by kustomize of an overlay. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseRotateOptions } from '../../src/cli/rotate-options.ts'
import { EXIT } from '../../src/cli/world.ts'
import type { Config } from '../../src/config.ts'
import { parseConfig } from '../../src/config.ts'
import { openHealth } from '../../src/health.ts'
import { openMetrics } from '../../src/metrics.ts'
import { buildManagement } from '../../src/routes/management.ts'
import { VERSION } from '../../src/version.ts'
import type { Container, KubeObject, Labels, PodSpec, Workload } from './objects.ts'
import { at, cronJob, deployments, environmentOf, named, ofKind, onlyContainer, selects, workloads } from './objects.ts'
import { violations } from './restricted.ts'
import { rightsIn, tooWide } from './rights.ts'

export interface Expected {
  /** By ServiceAccount, and of no other: see rights.ts. */
  readonly rights: Readonly<Record<string, readonly string[]>>
  /** What each Deployment serves, under which ServiceAccount, how many times. */
  readonly deployments: Readonly<Record<string, readonly [serve: string, serviceAccount: string, replicas: number]>>
}

export function installation(title: string, load: () => readonly KubeObject[], expected: Expected): void {
  describe(`installation: ${title}`, () => {
    const objects = load()

    describe('rights', () => {
      test('of each ServiceAccount are these, and no others', () => {
        expect(rightsIn(objects)).toEqual(expected.rights)
      })

      test('are about names, and none is wider', () => {
        expect(tooWide(objects)).toEqual([])
      })

      test('are no Secrets of ours: whoever installs brings them', () => {
        expect(ofKind(objects, 'Secret')).toEqual([])
      })
    })

    describe('pods', () => {
      test('are these, as these ServiceAccounts', () => {
        const found = deployments(objects).map((workload) => [
          workload.metadata.name,
          [servedBy(objects, workload), `keyhole/${workload.pod.spec.serviceAccountName}`, workload.replicas],
        ])
        expect(Object.fromEntries(found)).toEqual(expected.deployments)
        expect(cronJob(objects).pod.spec.serviceAccountName).toBe('keyhole-cron')
      })

      test('keep to the restricted profile, which their namespace enforces', () => {
        for (const { pod } of workloads(objects)) expect(violations(pod.spec)).toEqual([])
        const { labels = {} } = named(objects, 'Namespace', 'keyhole').metadata
        for (const mode of ['enforce', 'audit', 'warn']) {
          expect(labels[`pod-security.kubernetes.io/${mode}`]).toBe('restricted')
          expect(labels[`pod-security.kubernetes.io/${mode}-version`]).toMatch(/^v1\.\d+$/)
        }
      })

      test('run as nobody, write nothing, and have memory bounded and no processor taken away', () => {
        for (const workload of workloads(objects)) {
          const { securityContext, resources } = onlyContainer(workload)
          expect(securityContext?.['readOnlyRootFilesystem']).toBe(true)
          expect(workload.pod.spec.securityContext).toMatchObject({ runAsUser: 65_532, runAsGroup: 65_532 })
          expect(Object.keys(resources.requests)).toEqual(['cpu', 'memory'])
          expect(Object.keys(resources.limits)).toEqual(['memory'])
          for (const mount of onlyContainer(workload).volumeMounts) expect(mount.readOnly).toBe(true)
        }
      })

      test('get no token and no variable that they did not ask for', () => {
        for (const { automountServiceAccountToken } of ofKind(objects, 'ServiceAccount')) {
          expect(automountServiceAccountToken).toBe(false)
        }
        for (const { pod } of workloads(objects)) {
          expect([pod.spec.automountServiceAccountToken, pod.spec.enableServiceLinks]).toEqual([false, false])
        }
      })

      test('are of the version that this is', () => {
        for (const workload of workloads(objects)) {
          expect(onlyContainer(workload).image).toBe(`keyhole:${VERSION}`)
          expect(workload.metadata.labels?.['app.kubernetes.io/version'] ?? VERSION).toBe(VERSION)
        }
      })
    })

    describe.each(deployments(objects).map((workload) => [workload.metadata.name, workload] as const))(
      'Deployment %s',
      (_, workload) => {
        deployment(objects, workload)
      },
    )

    describe('CronJob', () => {
      rotationJob(objects)
    })

    describe('Services', () => {
      const services = ofKind(objects, 'Service').filter(({ apiVersion }) => apiVersion === 'v1')

      test('are two, and each selects exactly the pods that serve what it is for', () => {
        expect(services.map(({ metadata }) => metadata.name).toSorted()).toEqual(['keyhole', 'keyhole-rotate'])
        for (const [name, role] of [
          ['keyhole', 'read'],
          ['keyhole-rotate', 'rotate'],
        ] as const) {
          const selector = at(named(services, 'Service', name), 'selector') as Labels
          const selected = workloads(objects).filter(({ pod }) => selects(selector, pod.metadata.labels))
          const serving = deployments(objects).filter((one) => servedBy(objects, one).split(',').includes(role))
          expect(selected.length).toBeGreaterThan(0)
          expect(selected).toEqual(serving)
        }
      })

      test('lead to a port that their pods have', () => {
        for (const service of services) {
          expect(at(service, 'ports')).toEqual([
            { name: 'https', port: 8443, targetPort: 'https', appProtocol: 'https' },
          ])
        }
      })
    })

    test('a node is drained one pod at a time, and one that is not ready holds up nothing', () => {
      const budgets = ofKind(objects, 'PodDisruptionBudget')
      for (const { pod } of deployments(objects)) {
        const [budget, another] = budgets.filter((each) => selects(selectorOf(each), pod.metadata.labels))
        expect([at(budget as KubeObject, 'maxUnavailable'), another]).toEqual([1, undefined])
        expect(at(budget as KubeObject, 'unhealthyPodEvictionPolicy')).toBe('AlwaysAllow')
      }
      expect(budgets).toHaveLength(deployments(objects).length)
      expect(budgets.some((each) => selects(selectorOf(each), cronJob(objects).pod.metadata.labels))).toBe(false)
    })

    test('what is selected by can stay as it is for good', () => {
      const text = JSON.stringify(objects.map((object) => [at(object, 'selector'), at(object, 'podSelector')]))
      expect(text).not.toMatch(/app\.kubernetes\.io\/(?:version|part-of|managed-by)/)
      for (const { selector, pod } of deployments(objects)) {
        expect(selector).toBeDefined()
        expect(selects(selector ?? {}, pod.metadata.labels)).toBe(true)
      }
    })

    test('the Lease is the one that is configured, and has nothing in it that an apply would set back', () => {
      const lease = named(objects, 'Lease', 'keyhole-rotation')
      expect(lease.spec).toBeUndefined()
      for (const workload of deployments(objects)) {
        expect(configOf(objects, workload).KEYHOLE_ROTATION_LEASE).toBe(
          `${lease.metadata.namespace}/${lease.metadata.name}`,
        )
      }
    })
  })
}

function deployment(objects: readonly KubeObject[], workload: Workload): void {
  const { pod } = workload
  const container = onlyContainer(workload)

  test('starts: its environment is complete, and every name in it is a setting', () => {
    const config = configOf(objects, workload)
    expect([config.tls?.certFile, config.tls?.keyFile]).toEqual([
      '/etc/keyhole/tls/tls.crt',
      '/etc/keyhole/tls/tls.key',
    ])
    expect(config.KEYHOLE_AUDIT).toBe('stdout')
  })

  test('finds each file that its settings name, from where it has to come', () => {
    const config = configOf(objects, workload)
    expect(sourceOf(pod.spec, container, config.tls?.certFile)).toBe('Secret keyhole-tls')
    expect(sourceOf(pod.spec, container, config.tls?.keyFile)).toBe('Secret keyhole-tls')
    expect(sourceOf(pod.spec, container, config.VAULT_CACERT)).toBe('ConfigMap vault-ca')
    expect(sourceOf(pod.spec, container, `${config.KEYHOLE_POLICY_DIR}/any.yaml`)).toBe('ConfigMap keyhole-policy')
    expect(sourceOf(pod.spec, container, config.KEYHOLE_KUBERNETES_CACERT)).toBe('ConfigMap kube-root-ca.crt')
    expect(sourceOf(pod.spec, container, config.KEYHOLE_KUBERNETES_TOKEN_FILE)).toBe('token of the API server, 600 s')
    expect(sourceOf(pod.spec, container, config.KEYHOLE_VAULT_TOKEN_FILE)).toBe('token of vault, 600 s')
  })

  test('mounts nothing else', () => {
    const tokens = JSON.stringify(pod.spec).match(/"serviceAccountToken"/g)
    expect(tokens).toHaveLength(2)
    expect(container.volumeMounts.map(({ name }) => name).toSorted()).toEqual(
      pod.spec.volumes.map(({ name }) => name).toSorted(),
    )
    // Where a team's ConfigMap is added, by a patch that counts.
    expect(pod.spec.volumes[0]?.name).toBe('policy')
  })

  test('waits and says so, rather than the kubelet, where a certificate or a CA is not there yet', () => {
    const optional = pod.spec.volumes.filter(({ secret, configMap }) => (secret ?? configMap)?.optional === true)
    expect(optional.map(({ name }) => name)).toEqual(['tls', 'vault-ca'])
  })

  test('listens where its ports are', () => {
    const config = configOf(objects, workload)
    expect(container.ports).toEqual([
      { name: 'https', containerPort: config.KEYHOLE_LISTEN.port },
      { name: 'management', containerPort: config.KEYHOLE_MANAGEMENT_LISTEN.port },
    ])
    for (const { host } of [config.KEYHOLE_LISTEN, config.KEYHOLE_MANAGEMENT_LISTEN]) expect(host).toBe('0.0.0.0')
  })

  test('is probed at paths that there are, and is not killed for waiting', async () => {
    const management = await buildManagement(openHealth(), openMetrics())
    for (const probe of [container.startupProbe, container.livenessProbe, container.readinessProbe]) {
      expect(probe?.httpGet.port).toBe('management')
      const { statusCode } = await management.inject(probe?.httpGet.path ?? '')
      expect(statusCode).not.toBe(404)
    }
    await management.close()
    const pathOf = (name: 'startupProbe' | 'livenessProbe' | 'readinessProbe') => container[name]?.httpGet.path
    expect([pathOf('startupProbe'), pathOf('livenessProbe'), pathOf('readinessProbe')]).toEqual([
      '/livez',
      '/livez',
      '/readyz',
    ])
  })

  test('has time to be forgotten and to drain before it is killed', () => {
    const { KEYHOLE_DRAIN_MS } = configOf(objects, workload)
    const sleptMs = (container.lifecycle?.preStop?.sleep?.seconds ?? 0) * 1_000
    expect(sleptMs).toBeGreaterThanOrEqual(5_000)
    // Five more for what comes behind the drain: the audit log's last record.
    expect(sleptMs + KEYHOLE_DRAIN_MS + 5_000).toBeLessThanOrEqual(pod.spec.terminationGracePeriodSeconds * 1_000)
  })

  test('is replaced without a gap', () => {
    expect(at(workload, 'strategy')).toEqual({
      type: 'RollingUpdate',
      rollingUpdate: { maxUnavailable: 0, maxSurge: 1 },
    })
  })

  test('is placed before others by a class that is there, and spread over nodes by its own labels', () => {
    expect(named(objects, 'PriorityClass', pod.spec.priorityClassName ?? '').kind).toBe('PriorityClass')
    const constraints = pod.spec.topologySpreadConstraints ?? []
    expect(constraints.length).toBeGreaterThan(0)
    for (const { labelSelector } of constraints) expect(labelSelector.matchLabels).toEqual(workload.selector)
  })
}

function rotationJob(objects: readonly KubeObject[]): void {
  const job = cronJob(objects)
  const { spec } = job.pod
  const container = onlyContainer(job)
  const of = (path: string) => at(job, `jobTemplate.spec.${path}`)

  /** As the command itself reads it, on files where the pod has them. */
  function asked() {
    const directory = mkdtempSync(join(tmpdir(), 'keyhole-cron-'))
    try {
      const readable = join(directory, 'file')
      writeFileSync(readable, '')
      const [program, verb, ...args] = container.command ?? []
      expect([program, verb]).toEqual(['keyhole', 'rotate'])
      const environment = environmentOf(objects, container)
      expect(Object.keys(environment).toSorted()).toEqual(['KEYHOLE_ADDR', 'KEYHOLE_CACERT'])
      return parseRotateOptions(args, { ...environment, KEYHOLE_CACERT: readable, KEYHOLE_TOKEN_FILE: readable })
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  }

  test('asks the Service that leads to rotators, with a command that is taken', () => {
    expect(asked()).toMatchObject({
      options: { access: { origin: 'https://keyhole-rotate.keyhole.svc:8443' }, mode: 'rotate', dryRun: false },
    })
  })

  test('leaves alone what was rotated a moment ago: it may fire twice, and its pods are tried again', () => {
    const parsed = asked()
    expect('options' in parsed && parsed.options.ifOlderThan?.ms).toBeGreaterThan(0)
  })

  test('shows a token for keyhole alone, and trusts the CA that consumers trust', () => {
    expect(sourceOf(spec, container, '/var/run/secrets/keyhole/token')).toBe('token of keyhole, 600 s')
    expect(sourceOf(spec, container, environmentOf(objects, container)['KEYHOLE_CACERT'])).toBe('ConfigMap keyhole-ca')
    expect(JSON.stringify(spec).match(/"serviceAccountToken"/g)).toHaveLength(1)
  })

  test('is tried again for what may pass, and for nothing else', () => {
    const { done: _, unavailable, ...lasting } = EXIT
    expect(of('podFailurePolicy.rules')).toEqual([
      {
        action: 'FailJob',
        onExitCodes: {
          containerName: container.name,
          operator: 'In',
          values: Object.values(lasting).toSorted((a, b) => a - b),
        },
      },
      { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
    ])
    expect(Object.values(lasting)).not.toContain(unavailable)
    expect(spec.restartPolicy).toBe('Never')
  })

  test('ends after as long as all its tries may take, and one does not begin while another runs', () => {
    const parsed = asked()
    const budgetMs = 'options' in parsed ? parsed.options.budgetMs : Number.POSITIVE_INFINITY
    const retries = Number(of('backoffLimit'))
    const waits = Array.from({ length: retries }, (_, index) => 10 * 2 ** index).reduce((sum, each) => sum + each, 0)
    expect((retries + 1) * (budgetMs / 1_000) + waits).toBeLessThan(Number(of('activeDeadlineSeconds')))
    expect(at(job, 'concurrencyPolicy')).toBe('Forbid')
    expect([at(job, 'schedule'), at(job, 'timeZone')]).toEqual(['0 3 1 * *', 'Etc/UTC'])
  })

  test('leaves nothing behind for good', () => {
    expect(of('ttlSecondsAfterFinished')).toBeGreaterThan(0)
    for (const field of ['successfulJobsHistoryLimit', 'failedJobsHistoryLimit', 'startingDeadlineSeconds']) {
      expect(at(job, field)).toBeGreaterThan(0)
    }
  })
}

/** As the process would have it, with what the kubelet adds. @throws ConfigError for what it would not start with. */
export function configOf(objects: readonly KubeObject[], workload: Workload): Config {
  const injected = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' }
  return parseConfig({ ...injected, ...environmentOf(objects, onlyContainer(workload)) })
}

function servedBy(objects: readonly KubeObject[], workload: Workload): string {
  return configOf(objects, workload).KEYHOLE_SERVE
}

function selectorOf(object: KubeObject): Labels {
  return at(object, 'selector.matchLabels') as Labels
}

/** What the kubelet puts at a path of a container. */
export function sourceOf(pod: PodSpec, container: Container, path = ''): string | undefined {
  const mount = container.volumeMounts.find(({ mountPath }) => path.startsWith(`${mountPath}/`))
  const volume = pod.volumes.find(({ name }) => name === mount?.name)
  const file = path.slice((mount?.mountPath.length ?? 0) + 1)
  if (volume?.secret !== undefined) return `Secret ${volume.secret.secretName}`
  if (volume?.configMap !== undefined) return `ConfigMap ${volume.configMap.name}`
  for (const { serviceAccountToken: token, configMap, downwardAPI } of volume?.projected?.sources ?? []) {
    if (token?.path === file) return `token of ${token.audience ?? 'the API server'}, ${token.expirationSeconds} s`
    if (downwardAPI?.items.some((item) => item.path === file)) return 'the pod itself'
    if (configMap !== undefined && (configMap.items?.some((item) => item.path === file) ?? true))
      return `ConfigMap ${configMap.name}`
  }
  return undefined
}

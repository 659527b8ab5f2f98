/** Kubernetes objects as far as the tests look at them, from files as they lie there and from what kustomize makes of them. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parse, parseAllDocuments } from 'yaml'

export const ROOT = join(import.meta.dirname, '../..')
export const K8S = join(ROOT, 'deploy/k8s')

export interface KubeObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: Metadata
  readonly spec?: Readonly<Record<string, unknown>>
  readonly data?: Readonly<Record<string, string>>
  readonly automountServiceAccountToken?: boolean
}

export interface Metadata {
  readonly name: string
  readonly namespace?: string
  readonly labels?: Labels
}

export type Labels = Readonly<Record<string, string>>

export interface Workload extends KubeObject {
  readonly replicas: number
  readonly selector: Labels | undefined
  readonly pod: PodTemplate
}

export interface PodTemplate {
  readonly metadata: { readonly labels: Labels }
  readonly spec: PodSpec
}

export interface PodSpec {
  readonly serviceAccountName: string
  readonly automountServiceAccountToken: boolean
  readonly enableServiceLinks: boolean
  readonly priorityClassName?: string
  readonly restartPolicy?: string
  readonly terminationGracePeriodSeconds: number
  readonly securityContext?: Readonly<Record<string, unknown>>
  readonly containers: readonly Container[]
  readonly initContainers?: readonly Container[]
  readonly volumes: readonly Volume[]
  readonly topologySpreadConstraints?: readonly { readonly labelSelector: { readonly matchLabels: Labels } }[]
}

export interface Container {
  readonly name: string
  readonly image: string
  readonly command?: readonly string[]
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[]
  readonly env?: readonly { readonly name: string; readonly value: string }[]
  readonly envFrom?: readonly { readonly configMapRef: { readonly name: string } }[]
  readonly resources: Readonly<Record<'requests' | 'limits', Readonly<Record<string, string>>>>
  readonly securityContext?: Readonly<Record<string, unknown>>
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[]
  readonly lifecycle?: { readonly preStop?: { readonly sleep?: { readonly seconds: number } } }
  readonly startupProbe?: Probe
  readonly livenessProbe?: Probe
  readonly readinessProbe?: Probe
}

export interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string | number }
}

export interface Volume {
  readonly name: string
  readonly secret?: { readonly secretName: string; readonly optional?: boolean }
  readonly configMap?: { readonly name: string; readonly optional?: boolean }
  readonly emptyDir?: object
  readonly projected?: { readonly sources: readonly Source[] }
}

export interface Source {
  readonly serviceAccountToken?: {
    readonly audience?: string
    readonly expirationSeconds: number
    readonly path: string
  }
  readonly configMap?: { readonly name: string; readonly items?: readonly { readonly path: string }[] }
  readonly downwardAPI?: { readonly items: readonly { readonly path: string }[] }
}

export interface Kustomization {
  readonly resources: readonly string[]
  readonly labels?: readonly { readonly pairs: Labels }[]
  readonly images?: readonly { readonly name: string; readonly newTag: string }[]
  readonly configMapGenerator?: readonly {
    readonly name: string
    readonly literals?: readonly string[]
    readonly files?: readonly string[]
  }[]
}

export function objectsIn(text: string): readonly KubeObject[] {
  return parseAllDocuments(text).flatMap((document) => {
    const [error] = document.errors
    if (error !== undefined) throw error
    const object: unknown = document.toJS()
    return object === null ? [] : [object as KubeObject]
  })
}

/** Below deploy/k8s. */
export function objectsOf(path: string): readonly KubeObject[] {
  return objectsIn(readFileSync(join(K8S, path), 'utf8'))
}

export function kustomizationOf(directory: string): Kustomization {
  return parse(readFileSync(join(K8S, directory, 'kustomization.yaml'), 'utf8')) as Kustomization
}

/** As it lies there, with the ConfigMaps that kustomize would make of it: the tests of this need no kubectl. */
export function base(): readonly KubeObject[] {
  const { resources, configMapGenerator = [] } = kustomizationOf('base')
  const configMaps = configMapGenerator.map(({ name, literals = [], files = [] }) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'keyhole' },
    data: Object.fromEntries([
      ...literals.map((literal) => [literal.slice(0, literal.indexOf('=')), literal.slice(literal.indexOf('=') + 1)]),
      ...files.map((file) => [basename(file), readFileSync(join(K8S, 'base', file), 'utf8')]),
    ]) as Record<string, string>,
  }))
  return [...resources.flatMap((file) => objectsOf(`base/${file}`)), ...configMaps]
}

/** @throws with what kubectl complains of. */
export function rendered(directory: string): readonly KubeObject[] {
  const program = process.env['KEYHOLE_KUBECTL'] ?? 'kubectl'
  return objectsIn(
    execFileSync(program, ['kustomize', directory], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }),
  )
}

export function ofKind(objects: readonly KubeObject[], ...kinds: readonly string[]): readonly KubeObject[] {
  return objects.filter(({ kind }) => kinds.includes(kind))
}

export function named(objects: readonly KubeObject[], kind: string, name: string): KubeObject {
  return only(objects.filter((object) => object.kind === kind && object.metadata.name === name))
}

export function workloads(objects: readonly KubeObject[]): readonly Workload[] {
  return ofKind(objects, 'Deployment', 'CronJob').map((object) => {
    const pod = at(object, object.kind === 'CronJob' ? 'jobTemplate.spec.template' : 'template') as PodTemplate
    const selector = at(object, 'selector.matchLabels') as Labels | undefined
    return { ...object, pod, selector, replicas: Number(at(object, 'replicas') ?? 1) }
  })
}

export function deployments(objects: readonly KubeObject[]): readonly Workload[] {
  return workloads(objects).filter(({ kind }) => kind === 'Deployment')
}

export function cronJob(objects: readonly KubeObject[]): Workload {
  return only(workloads(objects).filter(({ kind }) => kind === 'CronJob'))
}

export function onlyContainer({ pod }: Workload): Container {
  return only([...pod.spec.containers, ...(pod.spec.initContainers ?? [])])
}

/** @throws unless there is exactly one. */
export function only<T>(all: readonly T[]): T {
  const [one, another] = all
  if (one === undefined || another !== undefined) throw new Error(`there are ${all.length}, and not one`)
  return one
}

/** In the spec, by field names with dots between. The caller says what is there. */
export function at<T = unknown>(object: KubeObject, path: string): T {
  return path
    .split('.')
    .reduce<unknown>((value, field) => (value as Record<string, unknown> | undefined)?.[field], object.spec) as T
}

/** What a container finds in its environment, as the kubelet would make it. */
export function environmentOf(
  objects: readonly KubeObject[],
  { env = [], envFrom = [] }: Container,
): Record<string, string> {
  const from = envFrom.map(({ configMapRef }) => named(objects, 'ConfigMap', configMapRef.name).data ?? {})
  return Object.assign({}, ...from, Object.fromEntries(env.map(({ name, value }) => [name, value]))) as Record<
    string,
    string
  >
}

export function selects(selector: Labels, labels: Labels): boolean {
  return Object.entries(selector).every(([name, value]) => labels[name] === value)
}

/** What the scenarios look at again and again in the installed keyhole. */
import { until } from '../servers/until.ts'
import type { Kubectl } from './kubectl.ts'

export const NAMESPACE = 'keyhole'
export const DEPLOYMENTS = ['keyhole', 'keyhole-rotate'] as const

type Deployment = (typeof DEPLOYMENTS)[number]
/** By the label app.kubernetes.io/component. */
const COMPONENTS: Readonly<Record<Deployment, string>> = { keyhole: 'server', 'keyhole-rotate': 'rotator' }

export interface Pod {
  readonly metadata: {
    readonly name: string
    readonly uid: string
    readonly creationTimestamp: string
    readonly deletionTimestamp?: string
    readonly ownerReferences?: readonly { readonly kind: string }[]
  }
  readonly spec: {
    readonly serviceAccountName: string
    readonly containers: readonly { readonly name: string; readonly image: string }[]
  }
  readonly status: {
    readonly phase: string
    readonly podIP?: string
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
    readonly containerStatuses?: readonly { readonly ready: boolean; readonly restartCount: number }[]
  }
}

/** What runs and is to go on, of one of keyhole's Deployments or of all. */
export async function podsOf(kubectl: Kubectl, deployment?: Deployment): Promise<readonly Pod[]> {
  const pods = await everyPodOf(kubectl, deployment === undefined ? DEPLOYMENTS : [deployment])
  return pods.filter(({ metadata, status }) => status.phase === 'Running' && metadata.deletionTimestamp === undefined)
}

/** Also what does not run yet, and what is about to end. */
async function everyPodOf(kubectl: Kubectl, deployments: readonly Deployment[]): Promise<readonly Pod[]> {
  const components = deployments.map((deployment) => COMPONENTS[deployment]).join(', ')
  const selector = `app.kubernetes.io/name=keyhole, app.kubernetes.io/component in (${components})`
  const { items } = await kubectl.json<{ items: readonly Pod[] }>('-n', NAMESPACE, 'get', 'pods', '-l', selector)
  // Not a copy that the suite made by hand.
  return items.filter(({ metadata }) => metadata.ownerReferences?.some(({ kind }) => kind === 'ReplicaSet'))
}

/** Every Deployment is rolled out, and nothing of a former one is left. */
export async function settled(kubectl: Kubectl): Promise<void> {
  for (const deployment of DEPLOYMENTS) {
    await kubectl('-n', NAMESPACE, 'rollout', 'status', `deployment/${deployment}`, '--timeout=240s')
    await until(
      `${deployment} has only the pods that it should have`,
      async () => {
        const { spec, status } = await kubectl.json<DeploymentState>('-n', NAMESPACE, 'get', 'deployment', deployment)
        const pods = (await everyPodOf(kubectl, [deployment])).filter(({ status: { phase } }) => !ENDED.has(phase))
        return pods.length === spec.replicas && status.readyReplicas === spec.replicas
      },
      { withinMs: 180_000, everyMs: 500 },
    )
  }
}

const ENDED: ReadonlySet<string> = new Set(['Succeeded', 'Failed'])

interface DeploymentState {
  readonly spec: { readonly replicas: number }
  readonly status: { readonly readyReplicas?: number }
}

export function restartsOf(pods: readonly Pod[]): number {
  return pods
    .flatMap(({ status }) => status.containerStatuses ?? [])
    .reduce((sum, { restartCount }) => sum + restartCount, 0)
}

/** The version of the Transit key that a Secret holds. */
export async function versionOf(kubectl: Kubectl, namespace: string, secret: string, dataKey: string): Promise<number> {
  const { data } = await kubectl.json<{ data: Record<string, string> }>('-n', namespace, 'get', 'secret', secret)
  const ciphertext = Buffer.from(data[dataKey] ?? '', 'base64').toString()
  return Number(/^vault:v(\d+):/.exec(ciphertext)?.[1])
}

/** Ends when the Job does. */
export async function jobEnds(kubectl: Kubectl, job: string): Promise<'Complete' | 'Failed'> {
  let end: 'Complete' | 'Failed' | undefined
  await until(
    `Job ${job} ends`,
    async () => {
      const { status } = await kubectl.json<JobState>('-n', NAMESPACE, 'get', 'job', job)
      end = (['Complete', 'Failed'] as const).find((type) =>
        status.conditions?.some((condition) => condition.type === type && condition.status === 'True'),
      )
      return end !== undefined
    },
    { withinMs: 240_000, everyMs: 500 },
  )
  return end ?? 'Failed'
}

interface JobState {
  readonly status: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
}

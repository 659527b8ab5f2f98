/** What the scenarios look at again and again in the installed keyhole. */
import { until } from '../servers/until.ts'
import type { Kubectl } from './kubectl.ts'

export const NAMESPACE = 'keyhole'
export const DEPLOYMENTS = ['keyhole', 'keyhole-rotate'] as const

export interface Pod {
  readonly metadata: { readonly name: string; readonly uid: string; readonly creationTimestamp: string }
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

/** Of one component, or of all of keyhole's Deployments. */
export async function podsOf(kubectl: Kubectl, deployment?: (typeof DEPLOYMENTS)[number]): Promise<readonly Pod[]> {
  const { items } = await kubectl.json<{ items: readonly Pod[] }>('-n', NAMESPACE, 'get', 'pods')
  return items.filter(({ metadata, status }) => {
    const [, of] = /^(.*)-[a-z0-9]+-[a-z0-9]{5}$/.exec(metadata.name) ?? []
    return status.phase === 'Running' && (deployment === undefined ? isDeployment(of) : of === deployment)
  })
}

function isDeployment(name: string | undefined): boolean {
  return DEPLOYMENTS.some((deployment) => deployment === name)
}

/** Every Deployment is rolled out, and nothing of a former one is left. */
export async function settled(kubectl: Kubectl): Promise<void> {
  for (const deployment of DEPLOYMENTS) {
    await kubectl('-n', NAMESPACE, 'rollout', 'status', `deployment/${deployment}`, '--timeout=120s')
    await until(
      `${deployment} has only the pods that it should have`,
      async () => {
        const { spec, status } = await kubectl.json<DeploymentState>('-n', NAMESPACE, 'get', 'deployment', deployment)
        return (await podsOf(kubectl, deployment)).length === spec.replicas && status.readyReplicas === spec.replicas
      },
      { withinMs: 120_000, everyMs: 500 },
    )
  }
}

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
    { withinMs: 180_000, everyMs: 500 },
  )
  return end ?? 'Failed'
}

interface JobState {
  readonly status: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
}

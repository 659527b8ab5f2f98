/** The restricted profile of the Pod Security Standards, as far as a pod can break it, written down as a table. */
import type { Container, PodSpec } from './objects.ts'

type Fields = Readonly<Record<string, unknown>>

/** What the pod or one of its containers does that the profile forbids. */
export function violations(pod: PodSpec): readonly string[] {
  const containers = [...pod.containers, ...(pod.initContainers ?? [])]
  return [
    ...Object.entries(OF_THE_POD).flatMap(([rule, holds]) => (holds(pod as unknown as Fields) ? [] : [rule])),
    ...containers.flatMap((container) =>
      Object.entries(OF_A_CONTAINER).flatMap(([rule, holds]) =>
        holds(container, pod.securityContext ?? {}) ? [] : [`${container.name}: ${rule}`],
      ),
    ),
  ]
}

const VOLUMES = [
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
]

const OF_THE_POD: Readonly<Record<string, (pod: Fields) => boolean>> = {
  'shares no namespace of the node': (pod) => ['hostNetwork', 'hostPID', 'hostIPC'].every((name) => pod[name] !== true),
  'mounts volumes of harmless kinds only': ({ volumes = [] }) =>
    (volumes as readonly Fields[]).every((volume) =>
      Object.keys(volume).every((name) => name === 'name' || VOLUMES.includes(name)),
    ),
  'sets no sysctls': ({ securityContext = {} }) => (securityContext as Fields)['sysctls'] === undefined,
}

const OF_A_CONTAINER: Readonly<Record<string, (container: Container, pod: Fields) => boolean>> = {
  'is not privileged': ({ securityContext: own = {} }) => own['privileged'] !== true,
  'allows no escalation': ({ securityContext: own = {} }) => own['allowPrivilegeEscalation'] === false,
  'drops all capabilities, and adds none': ({ securityContext: own = {} }) => {
    const { drop = [], add = [] } = (own['capabilities'] ?? {}) as { drop?: readonly string[]; add?: readonly string[] }
    return drop.includes('ALL') && add.every((name) => name === 'NET_BIND_SERVICE')
  },
  'runs as no root': ({ securityContext: own = {} }, pod) =>
    (own['runAsNonRoot'] ?? pod['runAsNonRoot']) === true && own['runAsUser'] !== 0 && pod['runAsUser'] !== 0,
  'has a seccomp profile': ({ securityContext: own = {} }, pod) => {
    const { type } = (own['seccompProfile'] ?? pod['seccompProfile'] ?? {}) as { type?: string }
    return type === 'RuntimeDefault' || type === 'Localhost'
  },
  'has an ordinary /proc': ({ securityContext: own = {} }) => (own['procMount'] ?? 'Default') === 'Default',
  'takes no port of the node': ({ ports = [] }) => ports.every((port) => !('hostPort' in port)),
  'is probed and stopped at its own address': (container) => !JSON.stringify(container).includes('"host":'),
}

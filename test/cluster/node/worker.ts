/** containerd, the kubelet, kube-proxy, CoreDNS and kube-router: what turns a control plane into a node that runs pods. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bearer, caller } from '../../servers/call.ts'
import { answersOk, asFlags } from '../../servers/processes.ts'
import type { ServerProcess } from '../../servers/server-process.ts'
import { serverProcess } from '../../servers/server-process.ts'
import type { NodeLayout } from './control-plane.ts'
import { LOOK_MS } from './control-plane.ts'
import { PAUSE_IMAGE } from './images.ts'
import { API, NODE } from './kubeconfig.ts'
import { CNI_PLUGINS } from './needs.ts'
import { HOST, POD_RANGE, SERVICE_RANGE, writeCni } from './network.ts'

/** Parent of every pod's cgroup, so that what is left behind by a run that was killed can be found. */
export const CGROUP = 'keyhole-cluster'
const CGROUP_ROOT = '/sys/fs/cgroup'

export function containerd({ directory }: NodeLayout): ServerProcess {
  const configFile = join(directory, 'containerd.toml')
  writeFileSync(
    configFile,
    `version = 2
root = "${directory}/containerd"
state = "${directory}/run"
[grpc]
  address = "${socketOf(directory)}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${CNI_PLUGINS}"
    conf_dir = "${writeCni(directory)}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
[plugins."io.containerd.internal.v1.opt"]
  path = "${directory}/opt"
`,
  )
  return serverProcess({
    name: 'containerd',
    command: 'containerd',
    args: ['--config', configFile],
    cwd: directory,
    logFile: join(directory, 'containerd.log'),
    ready: async () => {
      execFileSync('ctr', ['--address', socketOf(directory), 'version'], { stdio: 'ignore' })
      return true
    },
    readyWithinMs: 60_000,
  })
}

export function socketOf(directory: string): string {
  return join(directory, 'containerd.sock')
}

export function kubelet({ node, directory, authority, people }: NodeLayout): ServerProcess {
  makeCgroups()
  const configFile = join(directory, 'kubelet.json')
  const resolvConf = join(directory, 'resolv.conf')
  writeFileSync(resolvConf, `nameserver ${HOST}\n`)
  const config = {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: HOST,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: authority.caFile },
    },
    authorization: { mode: 'Webhook' },
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${CGROUP}`,
    failCgroupV1: false,
    enforceNodeAllocatable: [],
    failSwapOn: false,
    clusterDNS: [HOST],
    clusterDomain: 'cluster.local',
    resolvConf,
    containerRuntimeEndpoint: `unix://${socketOf(directory)}`,
    // How soon a pod sees a new ConfigMap, Secret or token: a minute by default.
    syncFrequency: '10s',
    podLogsDir: join(directory, 'pod-logs'),
    evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '500Mi', 'imagefs.available': '500Mi' },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    // Many small pods, on a machine with two cores that do much else.
    maxPods: 60,
    serializeImagePulls: false,
  }
  writeFileSync(configFile, JSON.stringify(config))
  const call = caller({ origin: API, ca: authority.ca, headers: bearer(people.token('admin')), timeoutMs: LOOK_MS })
  return serverProcess({
    name: 'kubelet',
    command: node.kubelet,
    args: asFlags({
      config: configFile,
      kubeconfig: people.kubeconfig('kubelet'),
      'hostname-override': NODE,
      'node-ip': HOST,
      'root-dir': join(directory, 'kubelet'),
      'cert-dir': join(directory, 'kubelet-certificates'),
    }),
    cwd: directory,
    logFile: join(directory, 'kubelet.log'),
    ready: async () => {
      const { body } = await call<NodeState>('GET', `/api/v1/nodes/${NODE}`)
      return body.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
    },
    readyWithinMs: 120_000,
  })
}

interface NodeState {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
}

/** The kubelet wants its root to be there, in each hierarchy of version 1. */
function makeCgroups(): void {
  for (const hierarchy of cgroupHierarchies()) mkdirSync(join(hierarchy, CGROUP), { recursive: true })
  const cpus = join(CGROUP_ROOT, 'cpuset')
  if (!existsSync(cpus)) return
  // Empty in a new cgroup of version 1, and then nothing can enter it.
  for (const file of ['cpuset.cpus', 'cpuset.mems'])
    writeFileSync(join(cpus, CGROUP, file), readFileSync(join(cpus, file)))
}

export function cgroupHierarchies(): readonly string[] {
  if (existsSync(join(CGROUP_ROOT, 'cgroup.controllers'))) return [CGROUP_ROOT]
  return readdirSync(CGROUP_ROOT, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(CGROUP_ROOT, name))
}

export function kubeProxy({ node, directory, people }: NodeLayout): ServerProcess {
  const health = `${HOST}:12256`
  return serverProcess({
    name: 'kube-proxy',
    command: node.proxy,
    args: asFlags({
      kubeconfig: people.kubeconfig('kube-proxy'),
      'hostname-override': NODE,
      'proxy-mode': 'iptables',
      'cluster-cidr': POD_RANGE,
      'conntrack-max-per-core': '0',
      // How long a pod that ends may still be sent connections: a second by default, of the five that it has.
      'iptables-min-sync-period': '100ms',
      'healthz-bind-address': health,
      'metrics-bind-address': `${HOST}:12249`,
    }),
    cwd: directory,
    logFile: join(directory, 'kube-proxy.log'),
    ready: () => answersOk(`http://${health}/livez`),
    readyWithinMs: 60_000,
  })
}

export function coredns({ node, directory, people }: NodeLayout): ServerProcess {
  const file = join(directory, 'Corefile')
  const health = `${HOST}:12053`
  writeFileSync(
    file,
    `.:53 {
  bind ${HOST}
  errors
  health ${health}
  kubernetes cluster.local {
    kubeconfig ${people.kubeconfig('coredns')} own
    ttl 5
  }
}
`,
  )
  return serverProcess({
    name: 'coredns',
    command: node.coredns,
    args: ['-conf', file],
    cwd: directory,
    logFile: join(directory, 'coredns.log'),
    ready: () => answersOk(`http://${health}/health`),
    readyWithinMs: 60_000,
  })
}

/** Enforces NetworkPolicies by iptables and ipset; neither routes nor proxies here. */
export function policyEngine({ node, directory, people }: NodeLayout): ServerProcess {
  const port = 12_244
  return serverProcess({
    name: 'kube-router',
    command: node.policyEngine,
    args: asFlags({
      kubeconfig: people.kubeconfig('kube-router'),
      'hostname-override': NODE,
      'run-firewall': 'true',
      'run-router': 'false',
      'run-service-proxy': 'false',
      'service-cluster-ip-range': SERVICE_RANGE,
      'health-port': String(port),
      'iptables-sync-period': '1m',
      v: '1',
    }),
    cwd: directory,
    logFile: join(directory, 'kube-router.log'),
    ready: () => answersOk(`http://127.0.0.1:${port}/healthz`),
    readyWithinMs: 60_000,
  })
}

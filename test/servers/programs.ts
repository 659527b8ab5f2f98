/**
 * Where the real servers' programs live: outside the repository, each set in a directory named after everything that
 * decides its content, so that a changed pin builds anew and an unchanged one never does.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

export interface Programs {
  readonly etcd: string
  readonly kubeApiserver: string
  readonly vault: string
  /** Holds nothing but plugins: Vault runs what it finds there. */
  readonly vaultPluginDirectory: string
  readonly tofu: string
  /** Stands in for the provider hashicorp/vault. */
  readonly vaultProvider: string
  /** The interpreter of the environment that has the Python library. */
  readonly python: string
  readonly schemathesis: string
}

/** What else a node of a cluster runs, and who works on it. */
export interface NodePrograms {
  readonly kubectl: string
  readonly controllerManager: string
  readonly scheduler: string
  readonly kubelet: string
  readonly proxy: string
  readonly coredns: string
  readonly policyEngine: string
}

/** One Go module of `tool` lines, and the programs built from it: file name to package. */
export interface GoSet {
  readonly module: string
  readonly flags: readonly string[]
  readonly programs: Readonly<Record<string, string>>
  /** What it has of its own, and not from elsewhere. */
  readonly sources?: readonly string[]
}

export const VAULT_PLUGIN = 'vault-plugin-auth-kubernetes'

/** No debug information and no version-control stamp: smaller, and the same from a tarball as from a clone. */
const COMMON_FLAGS = ['-buildvcs=false', '-mod=readonly', '-ldflags=-s -w']

export const GO_SETS = {
  kubernetes: {
    module: join(import.meta.dirname, 'kubernetes'),
    flags: COMMON_FLAGS,
    programs: { 'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver' },
  },
  // What makes a cluster of an API server; of the same versions, because of the same go.mod.
  node: {
    module: join(import.meta.dirname, 'kubernetes'),
    flags: COMMON_FLAGS,
    programs: {
      kubectl: 'k8s.io/kubernetes/cmd/kubectl',
      'kube-controller-manager': 'k8s.io/kubernetes/cmd/kube-controller-manager',
      'kube-scheduler': 'k8s.io/kubernetes/cmd/kube-scheduler',
      kubelet: 'k8s.io/kubernetes/cmd/kubelet',
      'kube-proxy': 'k8s.io/kubernetes/cmd/kube-proxy',
    },
  },
  dns: {
    module: join(import.meta.dirname, 'dns'),
    flags: COMMON_FLAGS,
    programs: { coredns: 'github.com/coredns/coredns' },
  },
  networkPolicy: {
    module: join(import.meta.dirname, 'network-policy'),
    flags: COMMON_FLAGS,
    programs: { 'kube-router': 'github.com/cloudnativelabs/kube-router/v2/cmd/kube-router' },
  },
  vault: {
    module: join(import.meta.dirname, 'vault'),
    // "minimal" leaves out the built-in plugins, and with them most of a thousand dependencies; hence our own plugin.
    flags: [...COMMON_FLAGS, '-tags=minimal'],
    programs: {
      vault: 'github.com/hashicorp/vault',
      [`plugins/${VAULT_PLUGIN}`]: `github.com/hashicorp/${VAULT_PLUGIN}/cmd/${VAULT_PLUGIN}`,
    },
  },
  tofu: {
    module: join(import.meta.dirname, 'open-tofu'),
    // Without the last one it takes itself for a version that is not out yet.
    flags: [...COMMON_FLAGS, '-ldflags=-s -w -X github.com/opentofu/opentofu/version.dev=no'],
    programs: { tofu: 'github.com/opentofu/opentofu/cmd/tofu' },
  },
  vaultProvider: {
    module: join(import.meta.dirname, 'vault-provider'),
    flags: COMMON_FLAGS,
    programs: { 'terraform-provider-vault': 'keyhole/test/servers/vault-provider' },
    sources: ['main.go', 'resources.go'],
  },
  grafanaModel: {
    module: join(import.meta.dirname, '..', 'monitoring', 'grafana-model'),
    flags: COMMON_FLAGS,
    programs: { 'grafana-model': 'keyhole/test/monitoring/grafana-model' },
    sources: ['main.go'],
  },
} as const satisfies Record<string, GoSet>

export const REQUIREMENTS = join(import.meta.dirname, 'requirements.txt')

export function programs(): Programs {
  return {
    etcd: 'etcd',
    kubeApiserver: join(goSetDirectory(GO_SETS.kubernetes), 'kube-apiserver'),
    vault: join(goSetDirectory(GO_SETS.vault), 'vault'),
    vaultPluginDirectory: join(goSetDirectory(GO_SETS.vault), 'plugins'),
    tofu: join(goSetDirectory(GO_SETS.tofu), 'tofu'),
    vaultProvider: join(goSetDirectory(GO_SETS.vaultProvider), 'terraform-provider-vault'),
    python: join(pythonDirectory(), 'bin', 'python'),
    schemathesis: join(pythonDirectory(), 'bin', 'schemathesis'),
  }
}

export function nodePrograms(): NodePrograms {
  const node = (file: keyof typeof GO_SETS.node.programs) => join(goSetDirectory(GO_SETS.node), file)
  return {
    kubectl: node('kubectl'),
    controllerManager: node('kube-controller-manager'),
    scheduler: node('kube-scheduler'),
    kubelet: node('kubelet'),
    proxy: node('kube-proxy'),
    coredns: join(goSetDirectory(GO_SETS.dns), 'coredns'),
    policyEngine: join(goSetDirectory(GO_SETS.networkPolicy), 'kube-router'),
  }
}

export function goSetDirectory(set: GoSet): string {
  const files = ['go.mod', 'go.sum', ...(set.sources ?? [])].map((file) => readFileSync(join(set.module, file), 'utf8'))
  return inCache('servers', [...files, ...set.flags, ...Object.entries(set.programs).flat()])
}

export function pythonDirectory(): string {
  return inCache('python', [readFileSync(REQUIREMENTS, 'utf8')])
}

export function inCache(kind: string, decides: readonly string[]): string {
  const root = process.env['KEYHOLE_CACHE'] ?? join(homedir(), '.cache', 'keyhole')
  const hash = createHash('sha256').update(JSON.stringify([process.platform, process.arch, ...decides]))
  return join(root, kind, hash.digest('hex').slice(0, 16))
}

/** What a machine needs to be a node of a cluster: Debian's packages, and programs from Go modules. Linux, as root. */
import { buildGoSet } from '../../servers/build.ts'
import type { Needed, Say } from '../../servers/machine.ts'
import { installMissing } from '../../servers/machine.ts'
import type { NodePrograms } from '../../servers/programs.ts'
import { GO_SETS, nodePrograms } from '../../servers/programs.ts'

/** Where Debian puts the plugins of its containernetworking-plugins. */
export const CNI_PLUGINS = '/usr/lib/cni'

const NEEDED: readonly Needed[] = [
  { command: 'containerd', args: ['--version'], debian: 'containerd' },
  { command: 'runc', args: ['--version'], debian: 'runc' },
  { command: 'buildah', args: ['--version'], debian: 'buildah' },
  { command: 'iptables', args: ['--version'], debian: 'iptables' },
  { command: 'ipset', args: ['--version'], debian: 'ipset' },
  { command: 'ip', args: ['-V'], debian: 'iproute2' },
  { command: 'busybox', args: ['true'], debian: 'busybox-static' },
  { command: 'test', args: ['-x', `${CNI_PLUGINS}/bridge`], debian: 'containernetworking-plugins' },
]

/** Throws an Error whose message says what to do. */
export async function buildNode(say: Say): Promise<NodePrograms> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    throw new Error(
      'a cluster of our own needs Linux and root; set KUBECONFIG and KEYHOLE_IMAGE to use one that runs (CONTRIBUTING.md)',
    )
  }
  await installMissing('a cluster', NEEDED, say)
  await buildGoSet('node', GO_SETS.node, say)
  await buildGoSet('CoreDNS', GO_SETS.dns, say)
  await buildGoSet('kube-router', GO_SETS.networkPolicy, say)
  return nodePrograms()
}

/** Free ports of loopback. */
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'

export interface Ports {
  readonly etcd: number
  readonly etcdPeer: number
  readonly kubernetes: number
  readonly vault: number
  readonly vaultCluster: number
}

/** All held at once, so that no two are the same. */
export async function freePorts(): Promise<Ports> {
  const [etcd, etcdPeer, kubernetes, vault, vaultCluster] = await Promise.all([
    holdPort(),
    holdPort(),
    holdPort(),
    holdPort(),
    holdPort(),
  ] as const)
  for (const { release } of [etcd, etcdPeer, kubernetes, vault, vaultCluster]) await release()
  const ports = { etcd: etcd.port, etcdPeer: etcdPeer.port, kubernetes: kubernetes.port }
  return { ...ports, vault: vault.port, vaultCluster: vaultCluster.port }
}

function holdPort(): Promise<{ port: number; release: () => Promise<void> }> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    const release = (): Promise<void> => new Promise((done) => server.close(() => done()))
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => resolve({ port: (server.address() as AddressInfo).port, release }))
  })
}

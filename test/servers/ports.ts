/** Ports of loopback for the servers. */
import { holdPort } from '../../src/standins/held-port.ts'

export interface Ports {
  readonly etcd: number
  readonly etcdPeer: number
  readonly kubernetes: number
  readonly vault: number
  readonly vaultCluster: number
}

/** Nobody else is given one of them while this process runs: not before its server listens there, nor while that is killed. */
export async function freePorts(): Promise<Ports> {
  const held = () => holdPort().then(({ port }) => port)
  return {
    etcd: await held(),
    etcdPeer: await held(),
    kubernetes: await held(),
    vault: await held(),
    vaultCluster: await held(),
  }
}

/** A whole cluster of one node, and a Vault that its pods reach as vault.vault.svc, on this machine. */
import { mkdtempSync, realpathSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { certificateAuthority } from '../../servers/certificates.ts'
import { initialiseVault, unseal } from '../../servers/initialise-vault.ts'
import type { Say } from '../../servers/machine.ts'
import { vault } from '../../servers/processes.ts'
import type { NodePrograms, Programs } from '../../servers/programs.ts'
import type { ServerProcess } from '../../servers/server-process.ts'
import type { Connection } from '../../servers/start.ts'
import type { NodeLayout } from './control-plane.ts'
import { controlPlane } from './control-plane.ts'
import { importImage, importPause } from './images.ts'
import { writePeople } from './kubeconfig.ts'
import { removeLeftBehind } from './left-behind.ts'
import { HOST, openBridge } from './network.ts'
import { containerd, coredns, kubelet, kubeProxy, policyEngine } from './worker.ts'

export interface OwnCluster extends AsyncDisposable {
  readonly directory: string
  readonly kubeconfig: string
  readonly vault: Connection['vault'] & { readonly caFile: string; readonly ca: string }
  /** Makes an image, in a file as `oci-archive`, known to the node. */
  load(archiveFile: string): void
  /** SIGKILL. */
  killVault(): Promise<void>
  /** Started again and unsealed. */
  reviveVault(): Promise<void>
  /** The ends of all logs. */
  tails(): string
}

const VAULT_PORT = 8200
const VAULT_NAMES = ['DNS:vault.vault.svc', 'DNS:vault.vault.svc.cluster.local', `IP:${HOST}`]

/** The kubelet evicts pods below half a GiB; the rest is for images, containers and logs. */
const DISK_GIB = 2

export async function startCluster(programs: Programs, node: NodePrograms, say: Say): Promise<OwnCluster> {
  lookForRoom(tmpdir(), say)
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'keyhole-cluster-')))
  await removeLeftBehind(directory)
  openBridge()
  const authority = certificateAuthority(directory)
  const layout: NodeLayout = { programs, node, directory, authority, people: writePeople(directory, authority) }
  const ports = { vault: VAULT_PORT, vaultCluster: VAULT_PORT + 1 }
  const vaultServer = vault({ ...layout, ports, host: HOST, names: VAULT_NAMES })
  const running: ServerProcess[] = []

  async function start(server: ServerProcess): Promise<void> {
    const startedMs = performance.now()
    running.push(server)
    await server.start()
    say(`${server.name} is ready, ${Math.round(performance.now() - startedMs)} ms`)
  }

  async function stop(): Promise<void> {
    // The last first: the API server without etcd hangs in its drain.
    for (const server of running.toReversed()) await server.kill()
    await removeLeftBehind(directory)
    rmSync(directory, { recursive: true, force: true })
  }

  try {
    const vaultStarts = start(vaultServer)
    for (const server of controlPlane(layout)) await start(server)
    await start(containerd(layout))
    importPause(directory)
    await start(coredns(layout))
    await start(kubelet(layout))
    await start(kubeProxy(layout))
    await start(policyEngine(layout))
    await vaultStarts
    const connection = await initialiseVault(layout, `https://${HOST}:${VAULT_PORT}`)
    return {
      directory,
      kubeconfig: layout.people.kubeconfig('admin'),
      vault: { ...connection, caFile: authority.caFile, ca: authority.ca },
      load: (archiveFile) => importImage(directory, archiveFile),
      killVault: () => vaultServer.kill(),
      async reviveVault() {
        await vaultServer.start()
        await unseal(connection, authority.ca)
      },
      tails: () => running.map((server) => server.tail()).join('\n\n'),
      [Symbol.asyncDispose]: stop,
    }
  } catch (thrown) {
    say(running.at(-1)?.tail() ?? '')
    await stop()
    throw thrown
  }
}

/** Too little shows as pods that are evicted, one of them in some test. */
function lookForRoom(path: string, say: Say): void {
  const { bavail, bsize } = statfsSync(path)
  const freeGib = (bavail * bsize) / 1024 ** 3
  say(`${freeGib.toFixed(1)} GiB are free in ${path}`)
  if (freeGib < DISK_GIB) {
    throw new Error(
      `a cluster needs ${DISK_GIB} GiB in ${path}, and ${freeGib.toFixed(1)} are free: make room, or set TMPDIR`,
    )
  }
}

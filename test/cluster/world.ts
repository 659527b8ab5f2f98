/**
 * Where the suite runs: on a cluster of its own, with a Vault beside it; or, where KUBECONFIG and KEYHOLE_IMAGE are set, on any
 * cluster, with the Vault that the environment names. The suite installs keyhole as the tutorial says, and so needs the
 * namespaces `keyhole`, `payments` and `bi` for itself.
 */
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildImage } from '../image/build.ts'
import { build } from '../servers/build.ts'
import type { Call } from '../servers/call.ts'
import { caller, expectStatus } from '../servers/call.ts'
import { unseal } from '../servers/initialise-vault.ts'
import type { Say } from '../servers/machine.ts'
import type { Programs } from '../servers/programs.ts'
import { VAULT_PLUGIN } from '../servers/programs.ts'
import type { Connection } from '../servers/start.ts'
import { until } from '../servers/until.ts'
import type { Kubectl } from './kubectl.ts'
import { kubectlOf } from './kubectl.ts'
import { buildNode } from './node/needs.ts'
import { HOST } from './node/network.ts'
import { startCluster } from './node/start.ts'

export interface ClusterWorld extends AsyncDisposable {
  readonly kubectl: Kubectl
  /** Of keyhole, as pods name it. */
  readonly image: string
  /** Vault's administrator. */
  readonly vault: Call
  /** Where pods find Vault. */
  readonly vaultOfPods: string
  /** Takes Vault away, and brings it back: unsealed, and with logins of keyhole served. */
  readonly outage: { begin(): Promise<void>; end(): Promise<void> }
  /** For a shell in which the tutorial is followed. */
  readonly environment: NodeJS.ProcessEnv
  /** What the servers logged last, for a failure. */
  tails(): string
}

/** As the tutorial has it. */
export const VAULT_OF_PODS = 'https://vault.vault.svc:8200'

export function openWorld(say: Say): Promise<ClusterWorld> {
  const { KUBECONFIG: kubeconfig, KEYHOLE_IMAGE: image } = process.env
  return kubeconfig === undefined && image === undefined ? ownWorld(say) : Promise.resolve(foreignWorld(process.env))
}

async function ownWorld(say: Say): Promise<ClusterWorld> {
  const programs = await build(say)
  const node = await buildNode(say)
  const image = await buildImage(say)
  const cluster = await startCluster(programs, node, say)
  const bin = mkdtempSync(join(tmpdir(), 'keyhole-bin-'))
  const stop = async () => {
    await cluster[Symbol.asyncDispose]()
    rmSync(bin, { recursive: true, force: true })
  }
  try {
    for (const archiveFile of [image.archiveFile, image.nodeArchiveFile]) cluster.load(archiveFile)
    say('the images are on the node')
    symlinkSync(node.kubectl, join(bin, 'kubectl'))
    symlinkSync(programs.vault, join(bin, 'vault'))
    const kubectl = kubectlOf({ program: node.kubectl, kubeconfig: cluster.kubeconfig })
    const vault = administratorOf(cluster.vault, cluster.vault.ca)
    await nameVault(kubectl)
    await registerAuthMethod(programs, vault)
    return {
      kubectl,
      image: image.reference,
      vault,
      vaultOfPods: VAULT_OF_PODS,
      outage: { begin: cluster.killVault, end: () => servesLogins(kubectl, vault, cluster.reviveVault) },
      environment: {
        PATH: `${bin}:${process.env['PATH']}`,
        HOME: bin,
        KUBECONFIG: cluster.kubeconfig,
        KEYHOLE_IMAGE: image.reference,
        VAULT_ADDR: cluster.vault.origin,
        VAULT_CACERT: cluster.vault.caFile,
        VAULT_TOKEN: cluster.vault.rootToken,
      },
      tails: cluster.tails,
      [Symbol.asyncDispose]: stop,
    }
  } catch (thrown) {
    say(cluster.tails())
    await stop()
    throw thrown
  }
}

/** Vault is a process beside the cluster; pods find it under the name that it would have inside. */
async function nameVault(kubectl: Kubectl): Promise<void> {
  const port = { name: 'https', port: 8200 }
  await kubectl.apply(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'vault' } },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'vault', namespace: 'vault' }, spec: { ports: [port] } },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'vault', namespace: 'vault', labels: { 'kubernetes.io/service-name': 'vault' } },
      addressType: 'IPv4',
      ports: [port],
      endpoints: [{ addresses: [HOST], conditions: { ready: true } }],
    },
  )
}

/** Under the name that it has where Vault was built with its plugins inside. */
async function registerAuthMethod({ vaultPluginDirectory }: Programs, vault: Call): Promise<void> {
  const plugin = readFileSync(join(vaultPluginDirectory, VAULT_PLUGIN))
  const sha256 = createHash('sha256').update(plugin).digest('hex')
  await expectStatus(vault('PUT', '/v1/sys/plugins/catalog/auth/kubernetes', { sha256, command: VAULT_PLUGIN }))
}

/**
 * A Vault that is unsealed still has to start the plugin of its auth method, which the first login waits for. That is Vault's time
 * and not keyhole's, so this logs in as keyhole does.
 */
async function servesLogins(kubectl: Kubectl, vault: Call, revive: () => Promise<void>): Promise<void> {
  const jwt = (await kubectl('-n', 'keyhole', 'create', 'token', 'keyhole', '--audience=vault')).trim()
  await revive()
  const login = () => vault('POST', '/v1/auth/kubernetes/login', { role: 'keyhole', jwt })
  await until('Vault serves logins', async () => (await login()).status === 200, { withinMs: 60_000 })
}

function administratorOf({ origin, rootToken }: Pick<Connection['vault'], 'origin' | 'rootToken'>, ca: string): Call {
  return caller({ origin, ca, headers: { 'x-vault-token': rootToken } })
}

const ASKED_OF_THE_ENVIRONMENT = {
  KUBECONFIG: 'of an administrator of the cluster',
  KEYHOLE_IMAGE: 'as the nodes of the cluster can pull it, or have it',
  VAULT_ADDR: 'reachable from here and from pods',
  VAULT_CACERT: 'PEM of its CA',
  VAULT_TOKEN: 'of an administrator of Vault',
  VAULT_UNSEAL_KEY: 'the one key of a Vault that may be sealed for two minutes',
} as const

/** @throws Error with every variable that is missing. */
export function foreignWorld(environment: NodeJS.ProcessEnv): ClusterWorld {
  const missing = Object.entries(ASKED_OF_THE_ENVIRONMENT).filter(([name]) => (environment[name] ?? '') === '')
  if (missing.length > 0) {
    const lines = missing.map(([name, what]) => `  ${name}: ${what}`)
    throw new Error(`to run on a cluster that is there already, set also\n${lines.join('\n')}`)
  }
  const given = (name: keyof typeof ASKED_OF_THE_ENVIRONMENT) => environment[name] ?? ''
  const server = { origin: given('VAULT_ADDR'), rootToken: given('VAULT_TOKEN'), unsealKey: given('VAULT_UNSEAL_KEY') }
  const ca = readFileSync(given('VAULT_CACERT'), 'utf8')
  const vault = administratorOf(server, ca)
  const kubectl = kubectlOf({ program: 'kubectl', kubeconfig: given('KUBECONFIG') })
  return {
    kubectl,
    image: given('KEYHOLE_IMAGE'),
    vault,
    vaultOfPods: server.origin,
    outage: {
      begin: async () => void (await expectStatus(vault('PUT', '/v1/sys/seal'))),
      end: () => servesLogins(kubectl, vault, () => unseal(server, ca)),
    },
    environment,
    tails: () => '',
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

/**
 * etcd, kube-apiserver and Vault as an operator would run them, on loopback and in a temporary directory.
 *
 * Vault is a real `vault server` with Raft storage and TLS, not `-dev`: it is sealed after every start, keeps its data
 * over a kill, and hands out its root token only at initialisation.
 */
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Say } from './build.ts'
import { caller, expectStatus } from './call.ts'
import type { Authority } from './certificates.ts'
import { certificateAuthority } from './certificates.ts'
import type { Programs } from './programs.ts'
import { VAULT_PLUGIN } from './programs.ts'
import type { ServerProcess } from './server-process.ts'
import { serverProcess } from './server-process.ts'
import { until } from './until.ts'

export type ServerName = 'etcd' | 'kubernetes' | 'vault'

export interface Servers extends AsyncDisposable {
  readonly connection: Connection
  /** Resolves once it answers. Vault answers sealed. */
  start(name: ServerName): Promise<void>
  kill(name: ServerName): Promise<void>
  /** Ends all three, the API server before etcd, and removes the directory; after a failure it says what the logs end with. */
  stop(outcome?: 'failed'): Promise<void>
}

/** What is needed to reach the servers as their administrator; plain JSON, so that it can be handed to a test. */
export interface Connection {
  readonly directory: string
  readonly caFile: string
  readonly ca: string
  readonly kubernetes: {
    readonly origin: string
    readonly adminToken: string
    /** Of a person and of a node: tokens that are good, and no ServiceAccount's. */
    readonly userToken: string
    readonly nodeToken: string
    /** Private key of ServiceAccount tokens, for tokens that no API server would issue, such as expired ones. */
    readonly signingKeyFile: string
  }
  readonly vault: { readonly origin: string; readonly rootToken: string; readonly unsealKey: string }
}

export interface Ports {
  readonly etcd: number
  readonly etcdPeer: number
  readonly kubernetes: number
  readonly vault: number
  readonly vaultCluster: number
}

export interface StartOptions {
  readonly programs: Programs
  readonly say: Say
  /** Free ones when left out. */
  readonly ports?: Ports
}

/** Issuer of the cluster's tokens, and the audience of one that was asked for without: what kubeadm sets up. */
export const ISSUER = 'https://kubernetes.default.svc.cluster.local'

const READY_WITHIN_MS = { etcd: 30_000, kubernetes: 120_000, vault: 30_000 } as const

export async function startServers({ programs, say, ports }: StartOptions): Promise<Servers> {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'keyhole-servers-')))
  const used = ports ?? (await freePorts())
  const authority = certificateAuthority(directory)
  const tokens = { adminToken: randomToken(), userToken: randomToken(), nodeToken: randomToken() }
  const layout: Layout = { programs, directory, ports: used, authority, tokens }
  const processes: Record<ServerName, ServerProcess> = {
    etcd: etcd(layout),
    kubernetes: kubernetes(layout),
    vault: vault(layout),
  }

  async function start(name: ServerName): Promise<void> {
    const startedMs = performance.now()
    await processes[name].start()
    say(`${name} is ready, ${Math.round(performance.now() - startedMs)} ms`)
  }

  async function kill(name: ServerName): Promise<void> {
    await processes[name].kill()
    say(`${name} is killed`)
  }

  // The API server first: without etcd it hangs in its drain for minutes.
  async function killAll(): Promise<void> {
    for (const name of ['vault', 'kubernetes', 'etcd'] as const) await processes[name].kill()
  }

  async function stop(outcome?: 'failed'): Promise<void> {
    await killAll()
    if (outcome === 'failed') for (const { tail } of Object.values(processes)) say(tail())
    rmSync(directory, { recursive: true, force: true })
  }

  try {
    await start('etcd')
    await Promise.all([start('kubernetes'), start('vault')])
    const connection: Connection = {
      directory,
      caFile: authority.caFile,
      ca: authority.ca,
      kubernetes: { origin: `https://127.0.0.1:${used.kubernetes}`, ...tokens, signingKeyFile: signingKey(directory) },
      vault: await initialiseVault(layout),
    }
    return { connection, start, kill, stop, [Symbol.asyncDispose]: () => stop() }
  } catch (thrown) {
    await killAll()
    say(`the servers did not start; their logs stay in ${directory}`)
    throw thrown
  }
}

interface Layout {
  readonly programs: Programs
  readonly directory: string
  readonly ports: Ports
  readonly authority: Authority
  readonly tokens: { readonly adminToken: string; readonly userToken: string; readonly nodeToken: string }
}

function etcd({ programs, directory, ports }: Layout): ServerProcess {
  const [client, peer] = [`http://127.0.0.1:${ports.etcd}`, `http://127.0.0.1:${ports.etcdPeer}`]
  const flags = {
    name: 'only',
    'data-dir': join(directory, 'etcd'),
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `only=${peer}`,
  }
  return serverProcess({
    name: 'etcd',
    command: programs.etcd,
    args: asFlags(flags),
    cwd: directory,
    logFile: join(directory, 'etcd.log'),
    ready: () => answersOk(`${client}/health`),
    readyWithinMs: READY_WITHIN_MS.etcd,
  })
}

function kubernetes({ programs, directory, ports, authority, tokens }: Layout): ServerProcess {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  writeFileSync(signingKey(directory), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  const tokenFile = join(directory, 'tokens.csv')
  const people = [
    [tokens.adminToken, 'admin', 'admin-uid', 'system:masters'],
    [tokens.userToken, 'ada', 'ada-uid', 'developers'],
    [tokens.nodeToken, 'system:node:worker', 'node-uid', 'system:nodes'],
  ]
  writeFileSync(tokenFile, people.map((person) => `${person.join(',')}\n`).join(''), { mode: 0o600 })
  const { certFile, keyFile } = authority.issue('kube-apiserver')
  const flags = {
    'etcd-servers': `http://127.0.0.1:${ports.etcd}`,
    'bind-address': '127.0.0.1',
    'secure-port': String(ports.kubernetes),
    'tls-cert-file': certFile,
    'tls-private-key-file': keyFile,
    'cert-dir': join(directory, 'kubernetes'),
    'service-cluster-ip-range': '10.99.0.0/24',
    'service-account-issuer': ISSUER,
    'service-account-key-file': signingKey(directory),
    'service-account-signing-key-file': signingKey(directory),
    'api-audiences': ISSUER,
    'authorization-mode': 'RBAC',
    'token-auth-file': tokenFile,
    // It waits for a `default` ServiceAccount in every namespace, which the controller-manager would make.
    'disable-admission-plugins': 'ServiceAccount',
  }
  const { origin, headers } = { origin: `https://127.0.0.1:${ports.kubernetes}`, headers: bearer(tokens.adminToken) }
  const call = caller({ origin, ca: authority.ca, headers })
  return serverProcess({
    name: 'kube-apiserver',
    command: programs.kubeApiserver,
    args: asFlags(flags),
    cwd: directory,
    logFile: join(directory, 'kube-apiserver.log'),
    ready: async () => (await call('GET', '/readyz')).status === 200,
    readyWithinMs: READY_WITHIN_MS.kubernetes,
  })
}

function vault({ programs, directory, ports, authority }: Layout): ServerProcess {
  const { certFile, keyFile } = authority.issue('vault')
  const [address, clusterAddress] = [`127.0.0.1:${ports.vault}`, `127.0.0.1:${ports.vaultCluster}`]
  const [configFile, data] = [join(directory, 'vault.json'), join(directory, 'vault')]
  mkdirSync(data, { mode: 0o700 })
  const config = {
    storage: { raft: { path: data, node_id: 'only', performance_multiplier: 1 } },
    listener: { tcp: { address, cluster_address: clusterAddress, tls_cert_file: certFile, tls_key_file: keyFile } },
    api_addr: `https://${address}`,
    cluster_addr: `https://${clusterAddress}`,
    plugin_directory: realpathSync(programs.vaultPluginDirectory),
    disable_mlock: true,
    ui: true,
    log_level: 'info',
  }
  writeFileSync(configFile, JSON.stringify(config))
  const call = caller({ origin: `https://${address}`, ca: authority.ca })
  return serverProcess({
    name: 'vault',
    command: programs.vault,
    args: ['server', `-config=${configFile}`],
    cwd: directory,
    logFile: join(directory, 'vault.log'),
    ready: async () => (await call('GET', '/v1/sys/seal-status')).status === 200,
    readyWithinMs: READY_WITHIN_MS.vault,
  })
}

/** Initialises, unseals, and registers the Kubernetes auth plugin by its checksum. */
async function initialiseVault({ programs, ports, authority }: Layout): Promise<Connection['vault']> {
  const target = { origin: `https://127.0.0.1:${ports.vault}`, ca: authority.ca }
  const anyone = caller(target)
  const shares = { secret_shares: 1, secret_threshold: 1 }
  const made = await expectStatus(anyone<{ keys: [string]; root_token: string }>('PUT', '/v1/sys/init', shares))
  const vault = { origin: target.origin, rootToken: made.root_token, unsealKey: made.keys[0] }
  await unseal(vault, authority.ca)
  const root = caller({ ...target, headers: { 'x-vault-token': vault.rootToken } })
  const plugin = readFileSync(join(programs.vaultPluginDirectory, VAULT_PLUGIN))
  const sha256 = createHash('sha256').update(plugin).digest('hex')
  const path = `/v1/sys/plugins/catalog/auth/${VAULT_PLUGIN}`
  await expectStatus(root('PUT', path, { sha256, command: VAULT_PLUGIN }))
  return vault
}

/** Resolves once Vault serves: between unsealing and serving it elects itself leader. */
export async function unseal({ origin, unsealKey }: Connection['vault'], ca: string): Promise<void> {
  const call = caller({ origin, ca })
  await expectStatus(call('PUT', '/v1/sys/unseal', { key: unsealKey }))
  await until('Vault serves', async () => (await call('GET', '/v1/sys/health')).status === 200)
}

export function bearer(token: string): { authorization: string } {
  return { authorization: `Bearer ${token}` }
}

function randomToken(): string {
  return randomBytes(24).toString('hex')
}

function signingKey(directory: string): string {
  return join(directory, 'service-account.key')
}

function asFlags(flags: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(flags).map(([name, value]) => `--${name}=${value}`)
}

function answersOk(url: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    get(url, (incoming) => resolve(incoming.resume().statusCode === 200)).on('error', reject)
  })
}

/** All held at once, so that no two are the same. */
async function freePorts(): Promise<Ports> {
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

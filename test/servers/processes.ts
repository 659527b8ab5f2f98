/** The three servers as commands: what an operator would configure, on loopback and with everything in one directory. */
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { bearer, caller } from './call.ts'
import type { Authority } from './certificates.ts'
import type { Ports } from './ports.ts'
import type { Programs } from './programs.ts'
import type { ServerProcess } from './server-process.ts'
import { serverProcess } from './server-process.ts'

/** Issuer of the cluster's tokens, and the audience of one that was asked for without: what kubeadm sets up. */
export const ISSUER = 'https://kubernetes.default.svc.cluster.local'

export interface Layout {
  readonly programs: Programs
  readonly directory: string
  readonly ports: Ports
  readonly authority: Authority
  readonly tokens: { readonly adminToken: string; readonly userToken: string; readonly nodeToken: string }
}

interface EtcdLayout extends Pick<Layout, 'programs' | 'directory'> {
  readonly ports: Pick<Ports, 'etcd' | 'etcdPeer'>
}

interface VaultLayout extends Pick<Layout, 'programs' | 'directory' | 'authority'> {
  readonly ports: Pick<Ports, 'vault' | 'vaultCluster'>
  /** Where it listens; loopback when left out. */
  readonly host?: string
  /** Of its certificate, as openssl writes them. */
  readonly names?: readonly string[]
}

const READY_WITHIN_MS = { etcd: 120_000, kubernetes: 120_000, vault: 120_000 } as const
/** Of one look at whether it is ready: a server that takes a connection and is silent is not, yet. */
const LOOK_MS = 5_000

export function etcd({ programs, directory, ports }: EtcdLayout): ServerProcess {
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

export function kubernetes({ programs, directory, ports, authority, tokens }: Layout): ServerProcess {
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
  const call = caller({ origin, ca: authority.ca, headers, timeoutMs: LOOK_MS })
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

export function vault(layout: VaultLayout): ServerProcess {
  const { programs, directory, ports, authority, host = '127.0.0.1', names } = layout
  const { certFile, keyFile } = authority.issue('vault', names)
  const [address, clusterAddress] = [`${host}:${ports.vault}`, `${host}:${ports.vaultCluster}`]
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
  const call = caller({ origin: `https://${address}`, ca: authority.ca, timeoutMs: LOOK_MS })
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

/** Private key of ServiceAccount tokens. */
export function signingKey(directory: string): string {
  return join(directory, 'service-account.key')
}

export function asFlags(flags: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(flags).map(([name, value]) => `--${name}=${value}`)
}

/** Of a server on plain HTTP. */
export function answersOk(url: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const asked = get(url, { timeout: LOOK_MS }, (incoming) => resolve(incoming.resume().statusCode === 200))
    asked.on('error', reject).on('timeout', () => asked.destroy(new Error(`${url}: no answer in ${LOOK_MS} ms`)))
  })
}

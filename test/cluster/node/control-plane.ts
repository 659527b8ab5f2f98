/** etcd, the API server with everything that `restricted` namespaces need, the controllers, and the scheduler. */
import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { get } from 'node:https'
import { join } from 'node:path'
import { bearer, caller } from '../../servers/call.ts'
import type { Authority } from '../../servers/certificates.ts'
import { asFlags, etcd, ISSUER, signingKey } from '../../servers/processes.ts'
import type { NodePrograms, Programs } from '../../servers/programs.ts'
import type { ServerProcess } from '../../servers/server-process.ts'
import { serverProcess } from '../../servers/server-process.ts'
import type { People } from './kubeconfig.ts'
import { API, API_PORT } from './kubeconfig.ts'
import { API_SERVICE, HOST, SERVICE_RANGE } from './network.ts'

export interface NodeLayout {
  readonly programs: Programs
  readonly node: NodePrograms
  readonly directory: string
  readonly authority: Authority
  readonly people: People
}

/** Of one look at whether a server is ready: one that takes a connection and is silent is not, yet. */
export const LOOK_MS = 5_000

/** In the order in which they start. */
export function controlPlane(layout: NodeLayout): readonly ServerProcess[] {
  const ports = { etcd: 12_379, etcdPeer: 12_380 }
  return [etcd({ ...layout, ports }), apiServer(layout, ports.etcd), controllerManager(layout), scheduler(layout)]
}

function apiServer(layout: NodeLayout, etcdPort: number): ServerProcess {
  const { programs, directory, authority, people } = layout
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  writeFileSync(signingKey(directory), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  const names = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'localhost'].map((name) => `DNS:${name}`)
  const serving = authority.issue('kube-apiserver', [`IP:${HOST}`, `IP:${API_SERVICE}`, 'IP:127.0.0.1', ...names])
  const toKubelets = authority.issueClient('kube-apiserver', 'system:masters')
  const call = caller({ origin: API, ca: authority.ca, headers: bearer(people.token('admin')), timeoutMs: LOOK_MS })
  return serverProcess({
    name: 'kube-apiserver',
    command: programs.kubeApiserver,
    args: asFlags({
      'etcd-servers': `http://127.0.0.1:${etcdPort}`,
      'bind-address': HOST,
      'advertise-address': HOST,
      'secure-port': String(API_PORT),
      'tls-cert-file': serving.certFile,
      'tls-private-key-file': serving.keyFile,
      'client-ca-file': authority.caFile,
      'kubelet-client-certificate': toKubelets.certFile,
      'kubelet-client-key': toKubelets.keyFile,
      'kubelet-preferred-address-types': 'InternalIP',
      'cert-dir': join(directory, 'kubernetes'),
      'service-cluster-ip-range': SERVICE_RANGE,
      'service-account-issuer': ISSUER,
      'service-account-key-file': signingKey(directory),
      'service-account-signing-key-file': signingKey(directory),
      'api-audiences': ISSUER,
      'authorization-mode': 'Node,RBAC',
      'enable-admission-plugins': 'NodeRestriction',
      'token-auth-file': people.tokenFile,
    }),
    cwd: directory,
    logFile: join(directory, 'kube-apiserver.log'),
    ready: async () => (await call('GET', '/readyz')).status === 200,
    readyWithinMs: 120_000,
  })
}

function controllerManager({ node, directory, authority, people }: NodeLayout): ServerProcess {
  const port = 12_357
  return serverProcess({
    name: 'kube-controller-manager',
    command: node.controllerManager,
    args: asFlags({
      kubeconfig: people.kubeconfig('kube-controller-manager'),
      'service-account-private-key-file': signingKey(directory),
      'root-ca-file': authority.caFile,
      'use-service-account-credentials': 'true',
      // No cloud and no ranges of pod addresses here: CNI hands those out.
      controllers: '*,-node-ipam-controller,-node-route-controller,-service-lb-controller',
      'leader-elect': 'false',
      'bind-address': '127.0.0.1',
      'secure-port': String(port),
      'cert-dir': join(directory, 'controller-manager'),
    }),
    cwd: directory,
    logFile: join(directory, 'kube-controller-manager.log'),
    ready: () => healthy(`https://127.0.0.1:${port}/healthz`),
    readyWithinMs: 60_000,
  })
}

function scheduler({ node, directory, people }: NodeLayout): ServerProcess {
  const port = 12_359
  return serverProcess({
    name: 'kube-scheduler',
    command: node.scheduler,
    args: asFlags({
      kubeconfig: people.kubeconfig('kube-scheduler'),
      'leader-elect': 'false',
      'bind-address': '127.0.0.1',
      'secure-port': String(port),
      'cert-dir': join(directory, 'scheduler'),
    }),
    cwd: directory,
    logFile: join(directory, 'kube-scheduler.log'),
    ready: () => healthy(`https://127.0.0.1:${port}/healthz`),
    readyWithinMs: 60_000,
  })
}

/** Of a server on loopback with a certificate that it made itself. */
function healthy(url: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const outgoing = get(url, { rejectUnauthorized: false, agent: false, timeout: LOOK_MS }, (incoming) =>
      resolve(incoming.resume().statusCode === 200),
    )
    outgoing.on('timeout', () => outgoing.destroy(new Error(`${url}: no answer in ${LOOK_MS} ms`))).on('error', reject)
  })
}

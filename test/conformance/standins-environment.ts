/** The stand-ins as a world of the conformance suite. */
import { startKubernetesStandin } from '../../src/standins/kubernetes.ts'
import { startVaultStandin } from '../../src/standins/vault.ts'
import { virtualClock } from '../virtual-clock.ts'
import type { Environment, KubernetesOperator, VaultOperator } from './environment.ts'

export async function startStandinsEnvironment(): Promise<Environment & AsyncDisposable> {
  const clock = virtualClock()
  const kubernetes = await startKubernetesStandin({ clock })
  const reviewer = { namespace: 'vault', name: 'vault' }
  kubernetes.putServiceAccount(reviewer)
  kubernetes.allow(reviewer, { verbs: ['create'], group: 'authentication.k8s.io', resource: 'tokenreviews' })
  const reviewerToken = () => kubernetes.issueToken({ namespace: 'vault', serviceAccount: 'vault' })
  const vault = await startVaultStandin({ clock, kubernetes: { url: kubernetes.url, reviewerToken } })
  kubernetes.putUser({ name: 'ada', uid: 'ada-uid', groups: ['developers'], token: 'ada-token' })
  kubernetes.putUser({ name: 'system:node:worker', uid: 'node-uid', groups: ['system:nodes'], token: 'node-token' })
  return {
    kubernetes: { url: kubernetes.url },
    vault: { url: vault.url },
    issuer: kubernetes.issuer,
    now: () => clock.now(),
    elapse: (ms) => clock.advance(ms),
    operator: { kubernetes: kubernetesOperator(kubernetes), vault: vaultOperator(vault) },
    async [Symbol.asyncDispose]() {
      await vault[Symbol.asyncDispose]()
      await kubernetes[Symbol.asyncDispose]()
    },
  }
}

function kubernetesOperator(standin: Awaited<ReturnType<typeof startKubernetesStandin>>): KubernetesOperator {
  return {
    adminToken: standin.adminToken,
    userToken: 'ada-token',
    nodeToken: 'node-token',
    createServiceAccount: async (which) => standin.putServiceAccount(which),
    deleteServiceAccount: async (which) => standin.deleteServiceAccount(which),
    createPod: async (pod) => standin.putPod(pod),
    deletePod: async (which) => standin.deletePod(which),
    putSecret: async (secret) => standin.putSecret(secret),
    deleteSecret: async (which) => standin.deleteSecret(which),
    putLease: async (lease) => standin.putLease(lease),
    deleteLease: async (which) => standin.deleteLease(which),
    allow: async (subject, right) => standin.allow(subject, right),
    issueToken: async (order) => standin.issueToken(order),
    signToken: async (claims, key) => standin.signToken(claims, key),
  }
}

function vaultOperator(standin: Awaited<ReturnType<typeof startVaultStandin>>): VaultOperator {
  const transit = standin.transit()
  return {
    rootToken: standin.rootToken,
    putPolicy: async (name, rules) => standin.putPolicy(name, rules),
    putRole: async (role) => standin.putRole(role),
    deleteRole: async (name) => standin.deleteRole(name),
    createToken: async (order) => standin.createToken(order),
    createTransitKey: async ({ name, derived }) => transit.putKey(name, { derived }),
    async rotateTransitKey(name) {
      transit.rotateKey(name)
    },
    configureTransitKey: async (name, config) => transit.configureKey(name, config),
    trimTransitKey: async (name, minAvailableVersion) => transit.trimKey(name, minAvailableVersion),
    deleteTransitKey: async (name) => transit.deleteKey(name),
    seal: async () => standin.seal(),
    unseal: async () => standin.unseal(),
  }
}

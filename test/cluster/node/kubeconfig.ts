/** Who works on the cluster, and how each reaches the API server. */
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Authority } from '../../servers/certificates.ts'
import { HOST } from './network.ts'

export const NODE = 'node'
export const API_PORT = 6443
export const API = `https://${HOST}:${API_PORT}`

/** User name and group by which RBAC knows them. */
const PEOPLE = {
  admin: ['admin', 'system:masters'],
  'kube-controller-manager': ['system:kube-controller-manager', ''],
  'kube-scheduler': ['system:kube-scheduler', ''],
  'kube-proxy': ['system:kube-proxy', ''],
  kubelet: [`system:node:${NODE}`, 'system:nodes'],
  coredns: ['coredns', 'system:masters'],
  'kube-router': ['kube-router', 'system:masters'],
} as const

export type Person = keyof typeof PEOPLE

export interface People {
  /** For --token-auth-file. */
  readonly tokenFile: string
  kubeconfig(person: Person): string
  token(person: Person): string
}

export function writePeople(directory: string, { ca }: Authority): People {
  const names = Object.keys(PEOPLE) as Person[]
  const tokens = Object.fromEntries(names.map((name) => [name, randomBytes(24).toString('hex')])) as Record<
    Person,
    string
  >
  const tokenFile = join(directory, 'tokens.csv')
  const lines = names.map((name) => [tokens[name], PEOPLE[name][0], `${name}-uid`, PEOPLE[name][1]].join(','))
  writeFileSync(tokenFile, `${lines.join('\n')}\n`, { mode: 0o600 })
  const file = (name: Person) => join(directory, `${name}.kubeconfig`)
  for (const name of names) writeFileSync(file(name), JSON.stringify(configOf(ca, tokens[name])), { mode: 0o600 })
  return { tokenFile, kubeconfig: file, token: (name) => tokens[name] }
}

function configOf(ca: string, token: string): unknown {
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'own', cluster: { server: API, 'certificate-authority-data': Buffer.from(ca).toString('base64') } },
    ],
    users: [{ name: 'own', user: { token } }],
    contexts: [{ name: 'own', context: { cluster: 'own', user: 'own' } }],
    'current-context': 'own',
  }
}

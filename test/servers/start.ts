/**
 * etcd, kube-apiserver and Vault as an operator would run them, on loopback and in a temporary directory.
 *
 * Vault is a real `vault server` with Raft storage and TLS, not `-dev`: it is sealed after every start, keeps its data
 * over a kill, and hands out its root token only at initialisation.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { certificateAuthority } from './certificates.ts'
import { initialiseVault } from './initialise-vault.ts'
import type { Say } from './machine.ts'
import type { Ports } from './ports.ts'
import { freePorts } from './ports.ts'
import type { Layout } from './processes.ts'
import { etcd, kubernetes, signingKey, vault } from './processes.ts'
import type { Programs } from './programs.ts'
import type { ServerProcess } from './server-process.ts'

export { ISSUER } from './processes.ts'

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

export interface StartOptions {
  readonly programs: Programs
  readonly say: Say
  /** Free ones when left out. */
  readonly ports?: Ports
}

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
      vault: await initialiseVault(layout, `https://127.0.0.1:${used.vault}`),
    }
    return { connection, start, kill, stop, [Symbol.asyncDispose]: () => stop() }
  } catch (thrown) {
    await killAll()
    say(`the servers did not start; their logs stay in ${directory}`)
    throw thrown
  }
}

function randomToken(): string {
  return randomBytes(24).toString('hex')
}

/**
 * The one way to boot keyhole for anything but production: tests, dev mode, the demo, and the tests of those who
 * consume it. It is the real service, configured by a real environment and real files in a directory of its own; only
 * the servers behind it are stand-ins, and those speak the real protocols.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import type { Clock } from '../clock.ts'
import { systemClock } from '../clock.ts'
import { parseConfig } from '../config.ts'
import { openLog } from '../log.ts'
import type { Serving } from '../serve.ts'
import { realRandomness, serve } from '../serve.ts'
import type { KubernetesStandin } from '../standins/kubernetes.ts'
import { startKubernetesStandin } from '../standins/kubernetes.ts'
import type { Tls } from '../standins/server.ts'
import type { VaultStandin } from '../standins/vault.ts'
import { startVaultStandin } from '../standins/vault.ts'
import type { Surroundings } from '../surroundings.ts'
import { VERSION } from '../version.ts'
import { publish } from './mounted-volume.ts'
import type { Workload } from './sample.ts'
import { KEYHOLE, SAMPLE_POLICY, SAMPLE_REALM, seedSample, WORKLOADS } from './sample.ts'
import { UNBOUNDED } from './unbounded.ts'

export interface StartOptions {
  /** Policy documents by file name; default: the sample's. */
  readonly policy?: Readonly<Record<string, string>>
  /** Environment variables that differ from what a test wants. */
  readonly settings?: Readonly<Record<string, string>>
  readonly clock?: Clock
  /** Gets keyhole's own log as it is written. */
  readonly logged?: (line: string) => void
  /** Gets each audit line as it is written; without it they go to a file, for `auditRecords`. */
  readonly audited?: (line: string) => void
  /** `stdout` is where audit records go in place of `audited`, with `KEYHOLE_AUDIT` set to `stdout`: a sink that fails. */
  readonly surroundings?: Partial<Pick<Surroundings, 'decorate' | 'random' | 'requestId' | 'stdout' | 'stopping'>>
}

/** Servers that keyhole is to speak to, with keyhole's own credentials there. */
export interface Upstreams {
  readonly kubernetes: { readonly url: string; readonly caFile?: string | undefined; readonly tokenFile: string }
  readonly vault: { readonly url: string; readonly caFile?: string | undefined; readonly tokenFile: string }
}

export interface Keyhole extends AsyncDisposable {
  /** Origin of the service. */
  readonly url: string
  readonly managementUrl: string
  readonly serving: Serving
  /** Where policy, tokens and the audit file lie. */
  readonly directory: string
  /** Makes these the policy documents, as an edited ConfigMap would, and waits until they are in force. */
  writePolicy(files: Readonly<Record<string, string>>): Promise<void>
  /** What the audit file holds, parsed. */
  auditRecords(): Promise<readonly Record<string, unknown>[]>
  /** Lines of keyhole's own log so far. */
  readonly logLines: readonly string[]
  stop(): Promise<void>
}

export interface KeyholeOnStandins extends Keyhole {
  readonly kubernetes: KubernetesStandin
  readonly vault: VaultStandin
  /** A token as the kubelet would mount it for one of the sample's workloads: good for an hour. */
  tokenOf(workload: Workload): string
  /** Gives keyhole fresh tokens of its own, as the kubelet would before an hour is over. */
  renewCredentials(): Promise<void>
}

/** Kubernetes and Vault with the sample in them, and keyhole's own credentials there. */
export interface Standins extends AsyncDisposable {
  readonly kubernetes: KubernetesStandin
  readonly vault: VaultStandin
  readonly upstreams: Upstreams
  /** The directory of keyhole's own tokens `kubernetes` and `vault` and of `ca.crt`, mounted as the kubelet does. */
  readonly credentials: string
  /** Puts fresh tokens there. */
  renewCredentials(): Promise<void>
  /** A token as the kubelet would mount it for one of the sample's workloads. */
  tokenOf(workload: Workload): string
}

/** @param tls served with this certificate; without it over plain HTTP. */
export async function startStandins(clock: Clock = systemClock, tls?: Tls): Promise<Standins> {
  const secure = tls === undefined ? {} : { tls }
  const kubernetes = await startKubernetesStandin({ clock, ...secure })
  const vault = await startVaultStandin({
    clock,
    ...secure,
    kubernetes: { url: kubernetes.url, ca: kubernetes.ca, reviewerToken: () => kubernetes.adminToken },
  })
  seedSample(kubernetes, vault)
  const credentials = await mkdtemp(join(tmpdir(), 'keyhole-credentials-'))
  const file = (name: string) => join(credentials, name)
  const renewCredentials = () => {
    const issue = (audience: string) =>
      kubernetes.issueToken({ ...KEYHOLE, audiences: [audience], pod: { name: 'keyhole-0' } })
    const tokens = { kubernetes: issue(kubernetes.issuer), vault: issue('vault') }
    return publish(credentials, { ...tokens, 'ca.crt': kubernetes.ca ?? '' })
  }
  await renewCredentials()
  const caFile = tls === undefined ? undefined : file('ca.crt')
  return {
    kubernetes,
    vault,
    upstreams: {
      kubernetes: { url: kubernetes.url, caFile, tokenFile: file('kubernetes') },
      vault: { url: vault.url, caFile, tokenFile: file('vault') },
    },
    credentials,
    renewCredentials,
    tokenOf(workload) {
      const { pod, ...account } = WORKLOADS[workload]
      return kubernetes.issueToken({ ...account, audiences: ['keyhole'], pod: { name: pod } })
    },
    async [Symbol.asyncDispose]() {
      await vault[Symbol.asyncDispose]()
      await kubernetes[Symbol.asyncDispose]()
      await rm(credentials, { recursive: true, force: true })
    },
  }
}

/** Boots stand-ins with the sample in them, and keyhole on top. */
export async function startKeyhole(options: StartOptions = {}): Promise<KeyholeOnStandins> {
  const standins = await startStandins(options.clock)
  const keyhole = await startKeyholeOn(standins.upstreams, options).catch(async (error: unknown) => {
    await standins[Symbol.asyncDispose]()
    throw error
  })
  async function stop(): Promise<void> {
    await keyhole.stop()
    await standins[Symbol.asyncDispose]()
  }
  const { kubernetes, vault, tokenOf, renewCredentials } = standins
  return { ...keyhole, kubernetes, vault, tokenOf, renewCredentials, stop, [Symbol.asyncDispose]: stop }
}

/** Boots keyhole on servers that run already. */
export async function startKeyholeOn(upstreams: Upstreams, options: StartOptions = {}): Promise<Keyhole> {
  const { clock = systemClock, policy = SAMPLE_POLICY, audited } = options
  const directory = await mkdtemp(join(tmpdir(), 'keyhole-'))
  const policyDirectory = join(directory, 'policy')
  const auditFile = join(directory, 'audit.log')
  await publish(policyDirectory, policy)
  const logLines: string[] = []
  const config = parseConfig({
    KEYHOLE_REALM: SAMPLE_REALM,
    KEYHOLE_SERVE: 'read,rotate',
    KEYHOLE_LISTEN: '127.0.0.1:0',
    KEYHOLE_MANAGEMENT_LISTEN: '127.0.0.1:0',
    KEYHOLE_POLICY_DIR: policyDirectory,
    KEYHOLE_AUDIT: audited === undefined ? `file:${auditFile}` : 'stdout',
    // A start fails without its first record, and the disk of a busy machine is slow.
    KEYHOLE_AUDIT_TIMEOUT_MS: UNBOUNDED.KEYHOLE_AUDIT_TIMEOUT_MS,
    KEYHOLE_KUBERNETES_URL: upstreams.kubernetes.url,
    KEYHOLE_KUBERNETES_CACERT: upstreams.kubernetes.caFile ?? '',
    KEYHOLE_KUBERNETES_TOKEN_FILE: upstreams.kubernetes.tokenFile,
    VAULT_ADDR: upstreams.vault.url,
    VAULT_CACERT: upstreams.vault.caFile ?? '',
    KEYHOLE_VAULT_TOKEN_FILE: upstreams.vault.tokenFile,
    ...options.settings,
  })
  const serving = await serve(config, {
    ...realRandomness,
    stdout: lines(audited ?? (() => {})),
    ...options.surroundings,
    clock,
    log: openLog(
      config.KEYHOLE_LOG_LEVEL,
      lines((line) => {
        logLines.push(line)
        options.logged?.(line)
      }),
      clock,
    ),
    versions: { keyhole: VERSION, node: process.version },
  }).catch(async (error: unknown) => {
    await rm(directory, { recursive: true, force: true })
    throw error
  })

  let stopped: Promise<void> | undefined
  function stop(): Promise<void> {
    stopped ??= serving.stop().then(() => rm(directory, { recursive: true, force: true }))
    return stopped
  }
  return {
    url: serving.url,
    managementUrl: serving.managementUrl,
    serving,
    directory,
    logLines,
    async writePolicy(files) {
      await publish(policyDirectory, files)
      await serving.wired.policy.recheck()
    },
    async auditRecords() {
      const text = await readFile(auditFile, 'utf8')
      return text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** A stream that hands on whole lines. */
function lines(tell: (line: string) => void): Writable {
  let rest = ''
  return new Writable({
    decodeStrings: false,
    write(chunk: string | Buffer, _encoding, done) {
      const parts = (rest + chunk.toString()).split('\n')
      rest = parts.pop() ?? ''
      parts.forEach(tell)
      done()
    },
  })
}

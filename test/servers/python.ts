/** The Python library at work on the real servers: writes a Secret, reads it back, and is timed doing so. */
import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RealOperator } from './operator.ts'
import type { Programs } from './programs.ts'
import { LEGACY, PLAIN_KEY, SECRETS } from './set-up.ts'
import type { Connection } from './start.ts'

export interface PythonLibrary {
  /** Encrypts with the key that is not derived and puts the Secret. Throws unless the library reports success. */
  write(plaintext: string): Promise<void>
  /** The dictionary as the library gives it to its caller. */
  read(): Promise<Readonly<Record<string, unknown>>>
  /** Milliseconds of init, read and logout, once per round, all within one process. */
  timeInOneProcess(rounds: number): Promise<readonly number[]>
  /** The same of init, read, rotate, write and logout. */
  timeRotations(rounds: number): Promise<readonly number[]>
  /** Milliseconds of a process that starts, reads once and ends. */
  timeAsProcess(): Promise<number>
}

/** Where the library writes and reads. */
export const LEGACY_SECRET = { namespace: LEGACY.namespace, name: SECRETS.legacy, dataKey: 'secrets.json' } as const

interface Report {
  readonly status: 'success' | 'failure'
  readonly data?: Readonly<Record<string, unknown>>
}

export async function pythonLibrary(
  connection: Connection,
  operator: RealOperator,
  programs: Pick<Programs, 'python'>,
): Promise<PythonLibrary> {
  const kubeconfig = join(connection.directory, 'legacy.kubeconfig')
  const identity = { namespace: LEGACY.namespace, serviceAccount: LEGACY.name }
  await writeFile(kubeconfig, kubeconfigOf(connection, await operator.kubernetes.issueToken(identity)), { mode: 0o600 })
  const settings = {
    config: {
      kube_config: kubeconfig,
      service_account: LEGACY.name,
      namespace: LEGACY.namespace,
      vault_url: connection.vault.origin,
      role: 'python',
      ca_cert: connection.caFile,
    },
    secret: {
      transit_key: PLAIN_KEY,
      namespace: LEGACY_SECRET.namespace,
      secret_name: LEGACY_SECRET.name,
      read_type: 'SECRET',
      read_key: LEGACY_SECRET.dataKey,
    },
  }

  async function run<T>(args: readonly string[], extra: Readonly<Record<string, unknown>> = {}): Promise<T> {
    const script = join(import.meta.dirname, 'library.py')
    return JSON.parse(await output(programs.python, [script, ...args], JSON.stringify({ ...settings, ...extra }))) as T
  }

  async function succeed(verb: string, extra?: Readonly<Record<string, unknown>>): Promise<Report> {
    const report = await run<Report>([verb], extra)
    if (report.status !== 'success') throw new Error(`the Python library failed to ${verb}`)
    return report
  }

  return {
    async write(plaintext) {
      await succeed('write', { plaintext })
    },
    async read() {
      return (await succeed('read')).data ?? {}
    },
    timeInOneProcess: (rounds) => run(['bench', String(rounds)]),
    timeRotations: (rounds) => run(['rotate', String(rounds)]),
    async timeAsProcess() {
      const startedMs = performance.now()
      await succeed('read')
      return performance.now() - startedMs
    },
  }
}

/** JSON is YAML. */
function kubeconfigOf({ caFile, kubernetes }: Connection, token: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server: kubernetes.origin, 'certificate-authority': caFile } }],
    users: [{ name: 'legacy', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'legacy' } }],
    'current-context': 'test',
  })
}

/** Without our environment: hvac takes a VAULT_TOKEN from there, or from the home directory. */
async function output(command: string, args: readonly string[], input: string): Promise<string> {
  const env = { PATH: process.env['PATH'], HOME: '/nonexistent' }
  const child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
  const [out, err]: [string[], string[]] = [[], []]
  child.stdout.setEncoding('utf8').on('data', (text: string) => out.push(text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => err.push(text))
  child.stdin.end(input)
  const status = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  if (status !== 0) throw new Error(`Python ended with status ${status}: ${err.join('').slice(-2_000)}`)
  return out.join('')
}

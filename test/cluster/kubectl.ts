/** kubectl, as a person at a terminal has it. */
import { spawn } from 'node:child_process'

export interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export interface Kubectl {
  /** What it printed; throws with what it complained of unless it exits with 0. */
  (...args: readonly string[]): Promise<string>
  /** Whatever the exit code. */
  attempt(...args: readonly string[]): Promise<Ran>
  json<T>(...args: readonly string[]): Promise<T>
  apply(...objects: readonly object[]): Promise<string>
}

export interface KubectlOptions {
  readonly program: string
  readonly kubeconfig: string
}

/** Longer than any --timeout that is given to it. */
const TIMEOUT_MS = 300_000

export function kubectlOf({ program, kubeconfig }: KubectlOptions): Kubectl {
  const run = (args: readonly string[], input?: string) => ran(program, [`--kubeconfig=${kubeconfig}`, ...args], input)
  const kubectl = async (args: readonly string[], input?: string): Promise<string> => {
    const { status, stdout, stderr } = await run(args, input)
    if (status !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr || stdout}`)
    return stdout
  }
  return Object.assign((...args: readonly string[]) => kubectl(args), {
    attempt: (...args: readonly string[]) => run(args),
    json: async <T>(...args: readonly string[]) => JSON.parse(await kubectl([...args, '-o', 'json'])) as T,
    apply: (...items: readonly object[]) =>
      kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items })),
  })
}

/** A program to its end, with everything that it wrote. */
export function ran(
  program: string,
  args: readonly string[],
  input = '',
  env: NodeJS.ProcessEnv = process.env,
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, timeout: TIMEOUT_MS, killSignal: 'SIGKILL' })
    const [out, err]: [Buffer[], Buffer[]] = [[], []]
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    child.on('error', reject)
    child.on('close', (code) => {
      const [stdout, stderr] = [Buffer.concat(out).toString(), Buffer.concat(err).toString()]
      resolve({ status: code ?? -1, stdout, stderr })
    })
    // One that ends without reading is no fault of ours.
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}

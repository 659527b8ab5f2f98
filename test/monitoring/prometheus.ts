/** A real Prometheus that scrapes one keyhole every second, with the rules as they are deployed. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { holdPort } from '../../src/standins/held-port.ts'
import { until } from '../process/world.ts'
import { ruleFile } from './rules.ts'

export interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [at: number, value: string]
}

export interface ShownRule {
  readonly name: string
  readonly health: string
  /** RFC 3339 */
  readonly lastEvaluation: string
  readonly lastError?: string
  readonly state: 'inactive' | 'pending' | 'firing'
}

export interface Prometheus extends AsyncDisposable {
  /** An instant query. @throws Error with what Prometheus says. */
  query(expr: string): Promise<readonly Sample[]>
  /** How the rules stand, each evaluated after the call. */
  rules(): Promise<readonly ShownRule[]>
  metricNames(): Promise<ReadonlySet<string>>
}

/** @param target origin of a management port. */
export async function startPrometheus(target: string): Promise<Prometheus> {
  const directory = await mkdtemp(join(tmpdir(), 'keyhole-prometheus-'))
  const held = await holdPort()
  const origin = `http://127.0.0.1:${held.port}`
  await writeFile(join(directory, 'rules.yaml'), ruleFile())
  await writeFile(join(directory, 'prometheus.yaml'), configFor(target))
  const flags = [
    `--config.file=${join(directory, 'prometheus.yaml')}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    `--web.listen-address=127.0.0.1:${held.port}`,
  ]
  const output: string[] = []
  const child = spawn('prometheus', flags, { stdio: ['ignore', 'ignore', 'pipe'] })
  child.stderr.setEncoding('utf8').on('data', (text: string) => output.push(text))
  let over = false
  const exited = new Promise<void>((resolve) => {
    child.once('close', () => {
      over = true
      resolve()
    })
  })

  async function api<T>(path: string): Promise<T> {
    const answer = (await (await fetch(`${origin}/api/v1/${path}`)).json()) as { data?: T; error?: string }
    if (answer.data === undefined) throw new Error(answer.error)
    return answer.data
  }
  const query = async (expr: string) =>
    (await api<{ readonly result: readonly Sample[] }>(`query?query=${encodeURIComponent(expr)}`)).result
  const rules = async () => {
    const { groups } = await api<{ readonly groups: readonly { readonly rules: readonly ShownRule[] }[] }>('rules')
    return groups.flatMap((group) => group.rules)
  }

  async function dispose(): Promise<void> {
    child.kill('SIGTERM')
    await exited
    held[Symbol.dispose]()
    await rm(directory, { recursive: true, force: true })
  }

  try {
    // Two scrapes make a rate.
    await until(async () => {
      if (over) throw new Error(`prometheus exited:\n${output.join('')}`)
      return (await query('count_over_time(up[1m]) > 2').catch(() => [])).length > 0
    })
  } catch (error) {
    await dispose()
    throw error
  }
  return {
    query,
    rules() {
      const from = Date.now()
      return until(async () => {
        const found = await rules()
        return found.every(({ lastEvaluation }) => Date.parse(lastEvaluation) > from) && found
      })
    },
    metricNames: async () => new Set(await api<readonly string[]>('label/__name__/values')),
    [Symbol.asyncDispose]: dispose,
  }
}

function configFor(target: string): string {
  return stringify({
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: ['rules.yaml'],
    scrape_configs: [
      {
        job_name: 'keyhole',
        static_configs: [{ targets: [new URL(target).host], labels: { namespace: 'keyhole', pod: 'keyhole-0' } }],
      },
    ],
  })
}

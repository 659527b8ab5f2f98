/** The rows of docs/reference/metrics.md, as three keyholes serve them that were asked for everything there is to count. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StartOptions } from '../../src/testing/start-keyhole.ts'
import { startKeyhole } from '../../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../../src/testing/unbounded.ts'
import { createAuthority } from '../certificates.ts'

export interface ServedMetric {
  readonly name: string
  readonly type: string
  readonly labels: readonly string[]
  readonly help: string
  /** What a process must serve for it to be there; empty: any process has it. */
  readonly where: string
}

export async function servedMetrics(): Promise<readonly ServedMetric[]> {
  const [reading, rotating, all] = [
    metricsIn(await scraped({ KEYHOLE_SERVE: 'read' })),
    metricsIn(await scraped({ KEYHOLE_SERVE: 'rotate' })),
    metricsIn(await scrapedWithTls()),
  ]
  return [...all].map(([name, metric]) => ({
    name,
    ...metric,
    where: reading.has(name) ? '' : rotating.has(name) ? 'rotate' : 'TLS',
  }))
}

/** Everything under `# HELP` and `# TYPE`, with the labels that its samples have. Node's own come and go with what it does, so theirs are not told. */
export function metricsIn(text: string): ReadonlyMap<string, Omit<ServedMetric, 'name' | 'where'>> {
  const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type]))
  const samples = [...text.matchAll(/^(\w+?)(?:_bucket|_sum|_count)?\{([^}]*)\} /gm)]
  const labelsOf = (name: string) => {
    const own = samples.filter(([, sampled]) => sampled === name && name.startsWith('keyhole_'))
    const labels = own.flatMap(([, , found = '']) => [...found.matchAll(/(\w+)="/g)].map(([, label = '']) => label))
    return [...new Set(labels)].filter((label) => label !== 'le').toSorted()
  }
  return new Map(
    [...text.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name = '', help = '']) => [
      name,
      { type: types.get(name) ?? '', labels: labelsOf(name), help },
    ]),
  )
}

export function tableOf(metrics: readonly ServedMetric[]): string {
  const rows = metrics.map(({ name, type, labels, where, help }) => [
    `\`${name}\``,
    type,
    labels.map((label) => `\`${label}\``).join(', '),
    where,
    help,
  ])
  return [
    '| metric | type | labels | where | what it is |',
    '| --- | --- | --- | --- | --- |',
    ...rows.map(lineOf),
  ].join('\n')
}

function lineOf(row: string | readonly string[]): string {
  return typeof row === 'string' ? row : `| ${row.join(' | ')} |`
}

async function scrapedWithTls(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'keyhole-metrics-'))
  const { cert, key } = createAuthority().issue()
  const [certFile, keyFile] = [join(directory, 'tls.crt'), join(directory, 'tls.key')]
  await writeFile(certFile, cert)
  await writeFile(keyFile, key)
  try {
    return await scraped({
      KEYHOLE_TLS_CERT_FILE: certFile,
      KEYHOLE_TLS_KEY_FILE: keyFile,
      KEYHOLE_METRICS_KEY_NAMES: 'show',
    })
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function scraped(settings: StartOptions['settings'] = {}): Promise<string> {
  await using keyhole = await startKeyhole({ settings: { ...UNBOUNDED, ...settings } })
  await keyhole.serving.wired.takeSurvey()
  return await (await fetch(`${keyhole.managementUrl}/metrics`)).text()
}

/** What pages call by name in the cluster is in deploy/k8s by that name. */
import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { blocksOf, ROOT, readPage, rowsIn, tableUnder } from './pages.ts'

interface Resource {
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly spec?: unknown
}

const resources = globSync('deploy/k8s/**/*.yaml', { cwd: ROOT })
  .flatMap((path) => parseAllDocuments(readFileSync(join(ROOT, path), 'utf8')).map((document) => document.toJS()))
  .filter((value): value is Resource => value?.kind !== undefined && value?.metadata?.name !== undefined)

const KINDS: Readonly<Record<string, string>> = {
  cronjob: 'CronJob',
  deploy: 'Deployment',
  deployment: 'Deployment',
  service: 'Service',
  svc: 'Service',
}

test('every workload and Service that a command names in keyhole is there', () => {
  const named = blocksOf('sh').flatMap(([where, text]) =>
    text
      .split('\n')
      .filter((line) => line.includes('-n keyhole '))
      .flatMap((line) => [...line.matchAll(/\b(cronjob|deploy|deployment|service|svc)[/ ]([a-z-]+)/g)])
      .map(([, kind = '', name = '']) => [where, KINDS[kind], name] as const),
  )
  expect(named.length).toBeGreaterThan(10)
  const strangers = named.filter(
    ([, kind, name]) => !resources.some((resource) => resource.kind === kind && resource.metadata.name === name),
  )
  expect(strangers).toEqual([])
})

test('the tutorial makes every Secret and ConfigMap that the pods mount and nothing else makes', () => {
  const tutorial = readPage('docs/tutorial.md').text
  const mounted = resources
    .filter(({ kind }) => kind === 'Deployment' || kind === 'CronJob')
    .flatMap(({ spec }) => [...JSON.stringify(spec).matchAll(/"secretName":"([^"]+)"|"configMap":\{"name":"([^"]+)"/g)])
    .map(([, secret, configMap]) => secret ?? configMap ?? '')
  const generated = ['keyhole-policy', 'keyhole-settings', 'kube-root-ca.crt']
  const wanted = [...new Set(mounted)].filter((name) => !generated.includes(name))
  expect(wanted.toSorted()).toEqual(['keyhole-ca', 'keyhole-tls', 'vault-ca'])
  for (const name of wanted) expect(tutorial).toMatch(new RegExp(`create (?:configmap|secret tls) ${name}\\b`))
})

test('labels that commands select pods by are labels of pods', () => {
  const text = JSON.stringify(resources)
  const selected = blocksOf('sh').flatMap(([where, block]) =>
    [...block.matchAll(/ -l "?(\S+?)=([^\s")]+)/g)].map(([, key = '', value = '']) => [where, key, value] as const),
  )
  const strangers = selected.filter(
    ([, key, value]) => key !== 'job-name' && !text.includes(`${JSON.stringify(key)}:${JSON.stringify(value)}`),
  )
  expect(strangers).toEqual([])
})

test('sizing says what the Deployments ask for', () => {
  const rows = tableUnder(readPage('docs/reference/sizing.md'), 'What to ask for').slice(1)
  const asked = (name: string) => {
    const of = resources.filter(({ kind, metadata }) => kind === 'Deployment' && metadata.name === name)
    const containers = of.flatMap(({ spec }) => (spec as DeploymentSpec).template.spec.containers)
    // A patch of the overlay has the name as well, and asks for nothing.
    const [asks] = containers.flatMap((one) => one.resources ?? [])
    const { requests, limits } = asks ?? {}
    return [`\`${requests?.cpu}\`; ${limits?.cpu ?? 'none'}`, `\`${requests?.memory}\`; \`${limits?.memory}\``]
  }
  expect(rows.map(([, readers]) => readers)).toEqual(asked('keyhole'))
  expect(rows.map(([, , rotators]) => rotators)).toEqual(asked('keyhole-rotate'))
})

test('every overlay and component is explained', () => {
  const directories = (under: string) =>
    globSync(`deploy/k8s/${under}/*`, { cwd: ROOT }).map((path) => `\`${basename(path)}\``)
  const page = readPage('docs/how-to/choose-components.md').text
  const explained = (header: string) => rowsIn(page, header).map(([name = '']) => name)
  expect(explained('| overlay |').toSorted()).toEqual(directories('overlays').toSorted())
  expect(explained('| component |').toSorted()).toEqual(directories('components').toSorted())
})

test('no command applies what is in deploy/k8s itself, over an installation that has an overlay of its own', () => {
  const applied = blocksOf('sh').flatMap(([where, text]) =>
    [...text.matchAll(/kubectl (?:apply|diff) -k (\S+)/g)].map(([, what = '']) => [where, what] as const),
  )
  expect(applied.length).toBeGreaterThan(5)
  expect(applied.filter(([, what]) => what.includes('k8s'))).toEqual([])
})

test('no log has prefixes before its lines where a program reads them', () => {
  const logs = blocksOf('sh').flatMap(([where, block]) =>
    block.split(/(?<![|\\])\n/).flatMap((line) => (/kubectl .*\blogs\b/.test(line) ? [[where, line] as const] : [])),
  )
  expect(logs.length).toBeGreaterThan(10)
  // Through grep or nothing, a person reads it.
  const read = logs.filter(([, line]) => !/^[^|>]*(?:\| *grep [^|>]*)?$/.test(line.replaceAll(/'[^']*'/g, '')))
  expect(read.length).toBeGreaterThan(5)
  expect(read.filter(([, line]) => /--all-pods|--prefix(?!=false)|--all-containers/.test(line))).toEqual([])
  // With a selector kubectl shows ten lines of each pod, unless it is told otherwise.
  expect(logs.filter(([, line]) => line.includes(' -l ') && !line.includes('--tail='))).toEqual([])
})

interface DeploymentSpec {
  readonly template: { readonly spec: { readonly containers: readonly { readonly resources?: Asks }[] } }
}

interface Asks {
  readonly requests: { readonly cpu: string; readonly memory: string }
  readonly limits: { readonly cpu?: string; readonly memory: string }
}

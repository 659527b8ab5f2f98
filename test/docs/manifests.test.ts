/** What pages call by name in the cluster is in deploy/k8s by that name. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { blocksOf, ROOT, readPage } from './pages.ts'

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
    [...block.matchAll(/ -l (\S+?)=(\S+)/g)].map(([, key = '', value = '']) => [where, key, value] as const),
  )
  const strangers = selected.filter(
    ([, key, value]) => key !== 'job-name' && !text.includes(`${JSON.stringify(key)}:${JSON.stringify(value)}`),
  )
  expect(strangers).toEqual([])
})

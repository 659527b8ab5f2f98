/** The base as it lies there, against the code that it starts and the policy that it ships. */
import { globSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { SETTINGS } from '../../src/config.ts'
import { openPolicy } from '../../src/policy/current.ts'
import { VERSION } from '../../src/version.ts'
import { generate, generateVault } from '../cli/manifests-world.ts'
import { virtualClock } from '../virtual-clock.ts'
import { installation } from './installation.ts'
import type { KubeObject } from './objects.ts'
import { at, base, deployments, K8S, kustomizationOf, objectsIn, objectsOf, only, ROOT } from './objects.ts'

installation('base', base, {
  rights: {
    'keyhole/keyhole': [
      '*: create tokenreviews',
      'keyhole: get,update,create leases [keyhole-rotation]',
      'payments: get secrets [payments-db]',
      'payments: get,patch secrets [payments-db]',
    ],
    'keyhole/keyhole-cron': [],
  },
  deployments: { keyhole: ['read,rotate', 'keyhole/keyhole', 2] },
})

describe('the policy', () => {
  const directory = join(K8S, 'base/policy')
  const textOf = (name: string) => readFileSync(join(directory, name), 'utf8')

  test('is in the ConfigMap, every file of it', () => {
    const { configMapGenerator = [] } = kustomizationOf('base')
    const { files } = only(configMapGenerator.filter(({ name }) => name === 'keyhole-policy'))
    expect(files).toEqual(
      readdirSync(directory)
        .toSorted()
        .map((name) => `policy/${name}`),
    )
  })

  test('has nothing wrong with it, and lets the CronJob rotate every key', async () => {
    const source = await openPolicy({ directory, clock: virtualClock(0), watch: false, changed() {} })
    source.close()
    expect(source.problems()).toEqual([])
    const keys = [...source.current().transitKeys.values()]
    expect(keys.length).toBeGreaterThan(0)
    for (const { rotation } of keys) {
      expect(rotation.admins).toEqual([{ namespace: 'keyhole', serviceAccount: 'keyhole-cron', podBound: true }])
    }
  })

  test('is the one that README.md shows, but for the end of a grant, which would come', () => {
    const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
    const [, shown = ''] = /```yaml\n(# yaml-language-server[\s\S]*?)```/.exec(readme) ?? []
    const shipped = ['platform.yaml', 'payments.yaml'].flatMap((name) => objectsIn(textOf(name)))
    expect(objectsIn(shown).map(withoutEnds)).toEqual(shipped)
  })

  test('asks for the rights that rbac-secrets.yaml gives, by the command that its first lines name', async () => {
    const { scripts } = parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
    const text = readFileSync(join(K8S, 'base/rbac-secrets.yaml'), 'utf8')
    const [, command = ''] = /^#.*\n# {3}keyhole (.*)\n---\n/.exec(text) ?? []
    expect(scripts['manifests']?.split(' && ')[0]).toBe(`node src/cli/main.ts ${command}`)
    const args = command.replaceAll('=deploy/', `=${ROOT}/deploy/`).replace('--write=', '--check=').split(' ')
    expect(args.slice(0, 2)).toEqual(['manifests', 'rbac'])
    expect(await generate(...args.slice(2))).toEqual({ exit: 0, stdout: '', stderr: '' })
  })

  test('asks for the Vault policies of deploy/vault, by the command after that one', async () => {
    const { scripts } = parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
    const flags = '--policy=deploy/k8s/base/policy --write=deploy/vault'
    expect(scripts['manifests']?.split(' && ')[1]).toBe(`node src/cli/main.ts manifests vault ${flags}`)
    const args = flags.replaceAll('=deploy/', `=${ROOT}/deploy/`).replace('--write=', '--check=').split(' ')
    expect(await generateVault(...args)).toEqual({ exit: 0, stdout: '', stderr: '' })
  })
})

function withoutEnds(document: KubeObject): KubeObject {
  const readers = at<readonly Record<string, unknown>[] | undefined>(document, 'readers')
  if (readers === undefined) return document
  const endless = readers.map(({ until: _, reason: __, ...reader }) => reader)
  return { ...document, spec: { ...document.spec, readers: endless } }
}

test('the rotator of production is the Deployment of the base, but for who it is, what it serves and where it is placed', () => {
  const ours = only(deployments(base())).pod
  const theirs = only(deployments(objectsOf('overlays/production/rotator.yaml'))).pod
  const renamed = JSON.stringify(theirs)
    .replaceAll('"rotator"', '"server"')
    .replaceAll('"keyhole-rotate"', '"keyhole"')
    .replace('"value":"rotate"', '"value":"read,rotate"')
    .replace('"keyhole.dev/serves-rotations"', '"keyhole.dev/serves-reads":"true",$&')
  const { topologySpreadConstraints } = ours.spec
  const { metadata, spec } = JSON.parse(renamed) as typeof ours
  expect({ metadata, spec: { ...spec, topologySpreadConstraints } }).toEqual(ours)
})

test.each(['dev', 'production'])('the overlay %s lists the settings that everybody has to look at', (overlay) => {
  const { configMapGenerator = [] } = kustomizationOf(`overlays/${overlay}`)
  const names = configMapGenerator.flatMap(({ literals = [] }) => literals.map((literal) => literal.split('=')[0]))
  expect(names[0]).toBe('KEYHOLE_REALM')
  for (const name of names) expect(Object.keys(SETTINGS)).toContain(name)
})

test('every file that lies there is part of something, and every version is this one', () => {
  const directories = globSync('**/kustomization.yaml', { cwd: K8S }).map(dirname)
  expect(directories.length).toBeGreaterThan(8)
  for (const directory of directories) {
    const text = readFileSync(join(K8S, directory, 'kustomization.yaml'), 'utf8')
    for (const name of readdirSync(join(K8S, directory))) {
      if (name !== 'kustomization.yaml' && name !== 'policy') expect(text, directory).toContain(name)
    }
    const { labels = [], images = [] } = kustomizationOf(directory)
    for (const { pairs } of labels) expect(pairs['app.kubernetes.io/version']).toBe(VERSION)
    for (const { newTag } of images) expect(newTag).toBe(VERSION)
  }
})

test('docs/reference/rights.md names the very rules that the manifests give', () => {
  const page = readFileSync(join(ROOT, 'docs/reference/rights.md'), 'utf8')
  const shown = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].flatMap(([, text = '']) => objectsIn(text))
  const idOf = ({ kind, metadata }: KubeObject) => `${kind} ${metadata.namespace ?? '*'}/${metadata.name}`
  expect(shown.map(idOf)).toEqual([
    'ClusterRole */keyhole-reviews-tokens',
    'Role payments/keyhole',
    'Role payments/keyhole-rotate',
    'Role keyhole/keyhole-rotation',
  ])
  for (const role of shown) {
    const { rules } = role as KubeObject & { rules: unknown }
    expect(only(base().filter((object) => idOf(object) === idOf(role)))).toMatchObject({ rules })
  }
})

/** The manifests of the example consumers, against the policy that lets them read and the manifests of keyhole. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { sourceOf } from './installation.ts'
import type { Kustomization } from './objects.ts'
import { at, objectsIn, objectsOf, ofKind, only, ROOT, workloads } from './objects.ts'
import { violations } from './restricted.ts'

const grant = only(objectsOf('base/policy/payments.yaml'))

describe.each([
  ['payments-api', '/secrets/db'],
  ['bi-reports', '/secrets/db.payments'],
])('examples/%s', (example, path) => {
  const directory = join(ROOT, 'examples', example)
  const textOf = (name: string) => readFileSync(join(directory, name), 'utf8')
  const {
    namespace,
    images,
    resources,
    configMapGenerator = [],
  } = parse(textOf('kustomization.yaml')) as Kustomization & {
    readonly namespace: string
    readonly images: readonly { readonly newName: string; readonly newTag: string }[]
  }
  const objects = resources.flatMap((file) => objectsIn(textOf(file)))
  const { spec } = only(workloads(objects)).pod
  const containers = [...(spec.initContainers ?? []), ...spec.containers]
  const [asking] = containers
  const env = Object.fromEntries((asking?.env ?? []).map(({ name, value }) => [name, value]))

  test('keeps to the restricted profile, and writes nothing to its own image', () => {
    expect(violations(spec)).toEqual([])
    for (const { securityContext } of containers) expect(securityContext?.['readOnlyRootFilesystem']).toBe(true)
  })

  test('asks as a ServiceAccount of its own that the policy lets read', () => {
    const readers = at<readonly { namespace?: string; serviceAccount: string }[]>(grant, 'readers').map(
      (reader) => `${reader.namespace ?? grant.metadata.namespace}/${reader.serviceAccount}`,
    )
    expect(readers).toContain(`${namespace}/${spec.serviceAccountName}`)
    const account = only(ofKind(objects, 'ServiceAccount'))
    expect([account.metadata.name, account.automountServiceAccountToken]).toEqual([spec.serviceAccountName, false])
    expect([spec.automountServiceAccountToken, spec.enableServiceLinks]).toEqual([false, false])
  })

  test('shows a token for keyhole alone, and trusts the CA that is handed out', () => {
    if (asking === undefined) throw new Error('no container')
    expect(env['KEYHOLE_ADDR']).toBe('https://keyhole.keyhole.svc:8443')
    expect(sourceOf(spec, asking, env['KEYHOLE_TOKEN_FILE'])).toBe('token of keyhole, 600 s')
    expect(sourceOf(spec, asking, env['KEYHOLE_CACERT'])).toBe('ConfigMap keyhole-ca')
    expect(JSON.stringify(spec).match(/"serviceAccountToken"/g)).toHaveLength(1)
  })

  test('asks for the grant that it has', () => {
    const [program, script = ''] = asking?.command ?? []
    expect(program).toBe('node')
    expect(textOf(script.replace('/app/', ''))).toContain(`readSecret('${path}', `)
    const [, , name = '', of = namespace] = /^\/(secrets)\/([a-z]+)(?:\.([a-z]+))?$/.exec(path) ?? []
    expect([name, of]).toEqual([grant.metadata.name, grant.metadata.namespace])
  })

  test('runs the files that it ships, on the Node that keyhole is built with', () => {
    const scripts = readdirSync(directory).filter((name) => name.endsWith('.mjs'))
    expect(only(configMapGenerator).files?.toSorted()).toEqual(scripts.toSorted())
    const [, image] = /^ARG NODE_BASE=(.*)$/m.exec(readFileSync(join(ROOT, 'Dockerfile'), 'utf8')) ?? []
    expect(`${only(images).newName}:${only(images).newTag}`).toBe(image)
    for (const container of containers) expect(container.image).toBe('node')
  })
})
